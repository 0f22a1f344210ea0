"""Where a CI gets the suite from, by what pip wrote when it was installed."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from bench.checks.suite_source import _source_of, check_source, known_source


class Installed(Distribution):
    """A package of version 1.2 with what pip wrote beside it."""

    def __init__(self, direct: object | None) -> None:
        self.direct = direct

    def read_text(self, filename: str) -> str | None:
        if filename == "direct_url.json":
            return None if self.direct is None else json.dumps(self.direct)
        return "Metadata-Version: 2.1\nName: gan-optimizer-bench\nVersion: 1.2\n"

    def locate_file(self, path: object) -> Path:  # type: ignore[override]
        return Path(str(path))


GIT = {"vcs_info": {"vcs": "git", "commit_id": "0123abc", "requested_revision": "main"}}


@pytest.mark.parametrize(
    ("direct", "source"),
    [
        (None, "gan-optimizer-bench==1.2"),
        ({"url": "https://example.org/o/r.git"} | GIT, "gan-optimizer-bench @ git+https://example.org/o/r.git@0123abc"),
        (
            {"url": "https://me:token@example.org/o/r.git"} | GIT,
            "gan-optimizer-bench @ git+https://example.org/o/r.git@0123abc",
        ),
        ({"url": "ssh://git@example.org/o/r"} | GIT, "gan-optimizer-bench @ git+ssh://git@example.org/o/r@0123abc"),
        (
            {"url": "https://example.org/bench-1.2.whl", "archive_info": {}},
            "gan-optimizer-bench @ https://example.org/bench-1.2.whl",
        ),
        ({"url": "file:///tmp/bench-1.2.whl", "archive_info": {}}, ""),
        ({"url": "file:///no/such/folder", "dir_info": {"editable": True}}, ""),
    ],
)
def test_by_what_pip_wrote(direct: object, source: str) -> None:
    assert _source_of(Installed(direct)) == source
    if source:
        assert check_source(source) == source


def git(folder: Path, *words: str) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *author, "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://example.org/o/r.git", "git+https://example.org/o/r.git"),
        ("https://me:token@example.org/o/r", "git+https://example.org/o/r"),
        ("git@example.org:o/r.git", "git+https://example.org/o/r.git"),
        ("/srv/bare/r.git", ""),
        ("", ""),
    ],
)
def test_a_folder_of_sources_is_what_it_was_cloned_from(tmp_path: Path, remote: str, url: str) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    if remote:
        git(tmp_path, "remote", "add", "origin", remote)
    direct = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert _source_of(Installed(direct)) == (f"gan-optimizer-bench @ {url}@{commit}" if url else "")
    (tmp_path / "inside").mkdir()  # some folder in somebody else's repository
    assert _source_of(Installed({"url": (tmp_path / "inside").as_uri(), "dir_info": {}})) == ""


def test_what_is_known_here_can_be_installed_elsewhere() -> None:
    source = known_source()
    assert not source or check_source(source) == source
