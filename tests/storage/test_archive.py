"""A packed run is the run that it was: read, continued, merged and damaged like one of loose files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import bench
from bench.analysis.table import table
from bench.api import Run, run
from bench.storage.archive import Archive, archived
from bench.storage.writer import RunWriter
from bench.studies.study import Study

STUDY = {"optimizers": ["sgd", "extragrad"], "games": ["bilinear"], "seeds": [0, 1, 2], "trials": 8, "budget": 40}


@pytest.fixture(scope="module")
def loose(tmp_path_factory):
    return bench.run(Study(**STUDY), out=tmp_path_factory.mktemp("packing") / "run").path


@pytest.fixture
def packed(loose, tmp_path):
    """A copy of the run, packed."""
    there = shutil.copytree(loose, tmp_path / "packed")
    RunWriter(Run(there)).pack()
    return there


def measured(made):
    """All but the time that it took."""
    return made.records.drop(columns="seconds")


def test_a_packed_run_has_the_records_tensors_and_table_of_the_loose_one(loose, packed):
    assert not any((packed / "records").iterdir())
    one, other = Run(loose), Run(packed)
    assert one.records.equals(other.records)
    assert table(one.records, one.study).equals(table(other.records, other.study))
    assert one.digest() == other.digest()
    names = [[chunk["rule"] for chunk, _ in made.tensors()] for made in (one, other)]
    assert names[0]
    assert names[0] == names[1]


def test_the_archive_is_the_same_wherever_it_is_made(loose, packed, tmp_path):
    again = shutil.copytree(loose, tmp_path / "again")
    for file in sorted((again / "records").iterdir(), reverse=True):
        file.touch()
    RunWriter(Run(again)).pack()
    assert (again / "records.zip").read_bytes() == (packed / "records.zip").read_bytes()


def test_a_packed_run_goes_on_and_may_be_packed_again(loose, packed, tmp_path):
    more = Study(**STUDY | {"trials": 16})
    went_on, whole = run(more, out=packed), run(more, out=tmp_path / "whole")
    assert measured(went_on).equals(measured(whole))
    trained = {file.name for file in (packed / "records").iterdir()}
    assert trained
    assert not trained & set(Archive(packed / "records.zip")), "what was packed was trained again"
    RunWriter(went_on).pack()
    assert measured(Run(packed)).equals(measured(whole))


def test_what_failed_is_left_to_be_tried_again(loose, tmp_path):
    there = shutil.copytree(loose, tmp_path / "there")
    name = Run(there).names()[0]
    (there / "errors").mkdir()
    (there / "errors" / f"{name}.txt").write_text("Error: no reason")
    RunWriter(Run(there)).pack()
    assert sorted(file.stem for file in (there / "records").iterdir()) == [name] * 3


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_damage_is_noticed_and_done_again(loose, packed, place):
    archive = packed / "records.zip"
    content = bytearray(archive.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    archive.write_bytes(content)
    assert measured(run(Study(**STUDY), out=packed)).equals(measured(Run(loose)))


def test_a_packed_run_merges_with_a_loose_one(loose, packed, call, tmp_path):
    other = run(Study(**STUDY | {"optimizers": ["optimistic"]}), out=tmp_path / "other")
    code, _, _ = call("merge", packed, other.path, "--out", tmp_path / "both")
    assert code == 0
    assert set(Run(tmp_path / "both").records["optimizer"]) == {"sgd", "extragrad", "optimistic"}


def test_by_command(loose, call, tmp_path):
    there = shutil.copytree(loose, tmp_path / "there")
    assert call("pack", there)[:2] == (0, f"{there / 'records.zip'}\n")
    assert call("table", there) == call("table", loose)
    code, _, said = call("pack", tmp_path / "nowhere")
    assert code == 2
    assert "is no run's folder" in said


def test_an_archive_that_claims_too_much_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(archived({"one": b"x" * 100, "two": b"y"}))
    monkeypatch.setattr("bench.storage.archive.LARGEST", 10)
    archive = Archive(tmp_path / "a.zip")
    assert archive["two"] == b"y"
    assert archive.get("one") is None


def test_what_is_no_archive_holds_nothing(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK not at all")
    (tmp_path / "link.zip").symlink_to(tmp_path / "a.zip")
    assert [len(Archive(tmp_path / name)) for name in ("a.zip", "link.zip", "none.zip")] == [0, 0, 0]


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A run with samples."""
    study = Study(**STUDY | {"optimizers": ["sgd"], "games": ["ring8[width=16,batch_size=16]"], "trials": 4})
    return run(study, out=tmp_path_factory.mktemp("pictured") / "run")


def test_without_samples_all_else_is_as_it_was(pictured, call, tmp_path):
    there = shutil.copytree(pictured.path, tmp_path / "there")
    assert call("pack", there)[0] == 0
    before = (there / "records.zip").stat().st_size
    assert call("pack", there, "--without-samples")[0] == 0
    bare = Run(there)
    assert bare.records.equals(pictured.records)
    assert (there / "records.zip").stat().st_size < before
    kept = {name: set(tensors) for name, tensors in held(pictured).items()}
    assert {"samples", "samples_cost"} <= set.union(*kept.values())
    assert {name: set(tensors) for name, tensors in held(bare).items()} == {
        name: tensors - {"samples", "samples_cost", "real"} for name, tensors in kept.items()
    }
    drawn = [made.report().read_text("utf-8").count("<svg") for made in (bare, pictured)]
    assert 0 < drawn[0] < drawn[1]
    assert run(bare.study, out=there).digest() == bare.digest(), "what was packed was trained again"


def held(made):
    return {
        (chunk["game"], chunk["optimizer"], chunk["phase"], str(chunk["rows"])): found
        for chunk, found in made.tensors()
    }


@pytest.mark.parametrize("deleted", range(12))
def test_stopped_while_it_deletes_what_it_packed_it_is_whole(pictured, tmp_path, monkeypatch, deleted):
    """The archive of a chunk without samples stands beside its loose files: each chunk is wholly of one of them."""
    there = shutil.copytree(pictured.path, tmp_path / "there")
    unlink, left = Path.unlink, [deleted]

    def stopped(path, missing_ok=False):
        if path.parent.name == "records":
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", stopped)
        with pytest.raises(KeyboardInterrupt):
            RunWriter(Run(there)).pack(samples=False)
    assert all(Run(there).whole(name) for name in pictured.names())
    assert Run(there).records.equals(pictured.records)
    RunWriter(Run(there)).pack(samples=False)
    assert Run(there).records.equals(pictured.records)
    assert not any((there / "records").iterdir())
