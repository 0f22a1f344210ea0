"""Runs of two versions of the protocol: each is whole and reported as its own, and nothing mixes them silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.storage.baseline import write_baseline
from bench.studies.plan import PROTOCOL, chunk_id

Call = Callable[..., tuple[int, str, str]]
STUDY = bench.Study(optimizers="sgd,extragrad", games="dirac", trials=0, budget=20, seeds="0-3", evaluations=2)
OLD = "1.0"


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(STUDY, out=tmp_path_factory.mktemp("now") / "run")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    """What a version of another protocol has written."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("studies.plan", "storage.manifest", "storage.run_folder"):
            patch.setattr(f"bench.{module}.PROTOCOL", OLD)
        patch.setattr(chunk_id, "__defaults__", (OLD,))
        return bench.run(STUDY, out=tmp_path_factory.mktemp("old") / "run")


def test_every_run_and_what_is_kept_of_it_says_its_protocol(now: bench.Run, old: bench.Run, tmp_path: Path) -> None:
    assert [run.manifest["protocol"] for run in (now, old)] == [PROTOCOL, OLD]
    assert bench.Run(write_baseline(old, tmp_path / "kept")).manifest["protocol"] == OLD
    assert f"<dd>{OLD};" in old.report().read_text("utf-8")


def test_one_of_another_protocol_is_whole(old: bench.Run, now: bench.Run) -> None:
    opened = bench.Run(old.path)
    assert opened.table(full=True)["iqm"].tolist() == now.table(full=True)["iqm"].tolist()
    assert set(opened.names()).isdisjoint(now.names())  # no chunk is taken for one of the other


def test_they_are_not_compared(old: bench.Run, now: bench.Run, call: Call, tmp_path: Path) -> None:
    kept = write_baseline(old, tmp_path / "kept")
    for first, second in ((old.path, now.path), (now.path, old.path), (kept, now.path)):
        code, out, err = call("compare", first, second, "--fail-on", "worse")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert f"has protocol {OLD}" in err or f"{old.path} {OLD}: not comparable" in err


def test_they_are_not_merged(old: bench.Run, now: bench.Run, call: Call, tmp_path: Path) -> None:
    code, out, err = call("merge", now.path, old.path, "--out", tmp_path / "both")
    assert (code, out) == (2, "")
    assert f"another protocol ({PROTOCOL} and {OLD}): they cannot be one" in err
    assert not (tmp_path / "both").exists()


def test_one_does_not_go_on_from_the_other(old: bench.Run) -> None:
    before = {path: path.read_bytes() for path in (old.path / "records").iterdir()}
    with pytest.raises(bench.errors.UserError, match=f'protocol: "{OLD}" there, "{PROTOCOL}" asked for'):
        bench.run(STUDY, out=old.path)
    assert {path: path.read_bytes() for path in (old.path / "records").iterdir()} == before
