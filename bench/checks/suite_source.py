"""Where a CI can install this suite from, by where it was installed from here.

What pip writes beside an installed package is read (``direct_url.json``, PEP 610). Of a folder of sources it is the
repository that the folder was cloned from, at its commit.
"""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from bench.errors import UserError

PACKAGE = "gan-optimizer-bench"
ALLOWED = re.compile(rf"({PACKAGE}([ =<>!~@\[].*)?|(git\+)?(https|ssh)://\S+)")
UNSAFE = re.compile(r"[^ -~]|[\"'\\$`]")
"""What is no part of such a text, and would be something else in a workflow."""


def check_source(source: str) -> str:
    """What pip is to be asked for; UserError for what is no such text, or of this machine alone."""
    if not ALLOWED.fullmatch(source) or UNSAFE.search(source):
        raise UserError(
            f"--suite is {source!r}; {PACKAGE}, {PACKAGE}==VERSION or git+https://...@COMMIT is allowed: what pip can "
            "install elsewhere"
        )
    return source


def known_source() -> str:
    """What pip is to be asked for to have this very suite elsewhere; "" where that cannot be known."""
    try:
        installed = distribution(PACKAGE)
    except PackageNotFoundError:  # run from its sources
        return ""
    return _source_of(installed)


def _source_of(installed: Distribution) -> str:
    written = installed.read_text("direct_url.json")
    if written is None:  # from an index
        return f"{PACKAGE}=={installed.version}"
    direct = json.loads(written)
    parts = urlsplit(str(direct.get("url", "")))
    if parts.scheme == "file":
        return _cloned_from(Path(url2pathname(parts.path))) if "dir_info" in direct else ""
    vcs = direct.get("vcs_info", {})
    if vcs:
        return _pinned(f"{vcs.get('vcs', 'git')}+{_public(direct['url'])}", str(vcs.get("commit_id", "")))
    return f"{PACKAGE} @ {_public(direct['url'])}" if parts.scheme == "https" else ""


def _pinned(url: str, commit: str) -> str:
    return f"{PACKAGE} @ {url}@{commit}" if commit else f"{PACKAGE} @ {url}"


def _public(url: str) -> str:
    """An address without what somebody may have logged in with."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"git@{host}" if parts.scheme == "ssh" else host))


def _cloned_from(folder: Path) -> str:
    """The repository and the commit of a folder of sources; "" where it is none, or was cloned from no server."""
    top, remote, commit = (
        _git(folder, *words)
        for words in (("rev-parse", "--show-toplevel"), ("remote", "get-url", "origin"), ("rev-parse", "HEAD"))
    )
    if not top or Path(top).resolve() != folder.resolve():
        return ""
    if short := re.fullmatch(r"(?:\w+@)?([\w.-]+):(?!//)(.+)", remote):  # git@github.com:owner/name.git
        remote = f"https://{short[1]}/{short[2]}"
    return _pinned(f"git+{_public(remote)}", commit) if remote.startswith(("https://", "ssh://")) else ""


def _git(folder: Path, *words: str) -> str:
    try:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
