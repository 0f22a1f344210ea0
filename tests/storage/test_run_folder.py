"""A run's folder: what is saved is loaded, damage is noticed, a crash leaves old or new, one writes at a time."""

import json
import os
from dataclasses import replace

import pandas as pd
import pytest
import torch

from bench.analysis.formatting import values_of
from bench.errors import UserError
from bench.storage.files import write_file
from bench.storage.manifest import SCHEMA
from bench.storage.records import COLUMNS, Result, pack
from bench.storage.run_folder import RunFolder
from bench.storage.writer import InUse, RunWriter
from bench.studies.plan import PROTOCOL, Row, Task, chunk_id

SUFFIXES = ["parquet", "safetensors", "json"]
ROWS = [Row(3, (("lr", 0.1),)), Row(4, (("lr", (0.1, 0.2)),), trial=7)]
(CHUNK,) = Task("sgd[lr=0.5]", "dirac", 20.0, 4, "cpu").chunks(ROWS, "report")
MANIFEST = {"schema": SCHEMA, "protocol": PROTOCOL, "device": "cpu", "study": {"seeds": [1], "trials": 4}}


def record(row, cost, value, outcome="ok", metric="distance"):
    own = CHUNK.rows[row]
    shared = {"row": row, "seed": own.seed, "trial": own.trial, "cost": cost, "seconds": 0.5, "ended": 20.0}
    return shared | {"metric": metric, "value": value, "outcome": outcome}


VALUES = [(0, 0.0, 1.0), (0, 10.0, float("inf")), (1, 0.0, float("nan")), (1, 10.0, -1e-300)]
LOOK = {"path": torch.arange(6.0).reshape(3, 1, 2), "path_cost": torch.arange(3.0)}
RESULT = Result([record(*value) for value in VALUES], LOOK)


def writing(path):
    return RunWriter(RunFolder(path))


@pytest.fixture
def writer(tmp_path):
    found = writing(tmp_path / "run")
    found.open(MANIFEST)
    yield found
    found.close()


@pytest.fixture
def folder(writer):
    return writer.folder


@pytest.fixture
def saved(writer):
    writer.save(CHUNK, pack(CHUNK, RESULT))
    return writer.folder


def file_of(folder, suffix):
    return folder.records_path / f"{CHUNK.id}.{suffix}"


# What is saved is loaded


def test_a_chunk_is_loaded_as_it_was_saved(saved):
    loaded = saved.load(CHUNK)
    expected = pd.DataFrame(RESULT.records)[["seed", "trial", "cost", "seconds", "metric", "value", "outcome", "ended"]]
    pd.testing.assert_frame_equal(loaded[list(expected)], expected, check_dtype=False, check_categorical=False)
    assert list(loaded["hyperparameters"].map(values_of)) == ["lr=0.1"] * 2 + ["lr=0.1:0.2"] * 2
    for column, value in {"optimizer": "sgd[lr=0.5]", "game": "dirac", "phase": "report"}.items():
        assert set(loaded[column]) == {value}
    pd.testing.assert_frame_equal(saved.read_records(), loaded)
    ((chunk, tensors),) = saved.tensors()
    assert (chunk["game"], chunk["rows"][1]["seed"]) == (CHUNK.game, 4)
    assert torch.equal(tensors["path"], RESULT.tensors["path"])


def test_no_records_have_the_same_columns(folder):
    assert list(folder.read_records()) == list(COLUMNS)
    assert folder.read_records().empty


def test_a_chunk_is_named_by_all_that_is_in_it():
    assert chunk_id(json.loads(json.dumps(CHUNK.content))) == CHUNK.id
    others = {"optimizer": "sgd", "game": "bilinear", "phase": "tune", "budget": 21.0, "code": "x"}
    others |= {"evaluations": 5, "device": "cuda", "rows": (ROWS[1], ROWS[0])}
    assert len({CHUNK.id, *(replace(CHUNK, **{key: value}).id for key, value in others.items())}) == 1 + len(others)
    assert replace(CHUNK, device="cuda:0").id == replace(CHUNK, device="cuda:1").id


def test_a_chunk_left_behind_is_no_part_of_the_run(writer, saved):
    other = replace(CHUNK, code="edited")
    writer.save(other, pack(other, RESULT))
    assert len(saved.read_records()) == 2 * len(RESULT.records)
    writer.plan([other.id, "0" * 20])  # one is still to come
    assert saved.names() == [other.id]
    assert len(saved.read_records()) == len(RESULT.records)
    assert saved.has(CHUNK)  # it is not thrown away


# Damage


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_truncation_is_noticed(saved, suffix):
    path = file_of(saved, suffix)
    whole = path.read_bytes()
    for kept in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        assert not saved.has(CHUNK)
    path.write_bytes(whole)
    assert saved.has(CHUNK)
    path.unlink()
    assert not saved.has(CHUNK)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_flipped_bit_is_noticed(saved, suffix):
    path = file_of(saved, suffix)
    whole = path.read_bytes()
    for at in range(0, len(whole), 1 + len(whole) // 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert not saved.has(CHUNK), at


@pytest.mark.parametrize("stub", [[], 3, None, {}, {"sha256": {}}, {"sha256": 3, "schema": SCHEMA, "chunk": []}])
def test_any_other_json_is_no_chunk(saved, stub):
    file_of(saved, "json").write_text(json.dumps(stub))
    assert not saved.has(CHUNK)


def test_damaged_records_are_never_left_out_silently(writer, saved):
    file_of(saved, "parquet").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged; run its study again"):
        saved.read_records()
    writer.save(CHUNK, pack(CHUNK, RESULT))
    assert len(saved.read_records()) == len(RESULT.records)


# Crashes


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_write_that_fails_midway_leaves_the_old_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "file"
    write_file(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_chunk_half_saved_does_not_exist(writer, folder, monkeypatch, written):
    done = []

    def killed(path, content, last=True):
        if len(done) == written:
            raise KeyboardInterrupt
        done.append(path)
        write_file(path, content, last)

    monkeypatch.setattr("bench.storage.writer.write_file", killed)
    with pytest.raises(KeyboardInterrupt):
        writer.save(CHUNK, pack(CHUNK, RESULT))
    assert not folder.has(CHUNK)
    assert folder.read_records().empty


# Folders


def test_the_same_study_goes_on(writer, saved):
    writer.close()
    again = writing(saved.path)
    again.open(MANIFEST | {"environment": "another"})
    assert again.folder.has(CHUNK)
    assert "environment" not in again.folder.read_manifest()  # provenance is that of the first
    again.close()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"study": {"seeds": [2], "trials": 4}}, r"\(seeds: \[1\] there, \[2\] asked for\)"),
        ({"study": {"seeds": [2], "trials": 5}}, r"\(seeds: \[1\] there, \[2\] asked for\)"),
        ({"study": {"seeds": [1, 2], "trials": 4}}, r"\(seeds: \[1\] there, \[1, 2\] asked for\)"),
        ({"study": {"seeds": [1, 2, 3], "added_seeds": [1], "trials": 4}}, r"\(seeds: \[1\] there, \[1, 2, 3\] asked"),
        ({"device": "cuda"}, r"\(device: \"cpu\" there, \"cuda\" asked for\)"),
        ({"protocol": "0.9"}, rf"\(protocol: \"{PROTOCOL}\" there, \"0.9\" asked for\)"),
    ],
)
def test_another_study_is_refused(writer, folder, changed, says):
    before = (folder.path / "study.json").read_bytes()
    writer.close()
    with pytest.raises(UserError, match=says):
        writing(folder.path).open(MANIFEST | changed)
    assert (folder.path / "study.json").read_bytes() == before


def test_one_writes_at_a_time(writer, folder):
    with pytest.raises(InUse, match=f"in use by process {os.getpid()}"):
        writing(folder.path).open(MANIFEST)
    assert (folder.path / ".holder").exists()  # who was refused leaves the holder's mark alone
    writer.close()
    writing(folder.path).open(MANIFEST)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[1]", "is damaged"),
        (b'{"schema": "one", "study": {}}', "is damaged"),
        (b'{"schema": 1}', "is damaged"),
        (json.dumps({"schema": SCHEMA + 1}).encode(), f"has schema {SCHEMA + 1}; up to {SCHEMA} is known"),
    ],
)
def test_an_unreadable_manifest_is_one_line(writer, folder, content, says):
    writer.close()
    (folder.path / "study.json").write_bytes(content)
    with pytest.raises(UserError, match=says) as error:
        folder.read_manifest()
    assert "\n" not in str(error.value)
    if "schema" in says:
        with pytest.raises(UserError, match=says):
            writer.open(MANIFEST)
        assert (folder.path / "study.json").read_bytes() == content
        return
    writer.open(MANIFEST)  # the chunks that are here are named by what is in them: they go on
    assert folder.read_manifest() == MANIFEST


def test_a_file_that_only_has_the_manifests_name_is_left_alone(tmp_path):
    (tmp_path / "study.json").write_text("[1]")
    with pytest.raises(UserError, match="is damaged: it is no study's manifest"):
        writing(tmp_path).open(MANIFEST)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


def test_no_folder_of_a_run(tmp_path):
    with pytest.raises(UserError, match="is no run's folder"):
        RunFolder(tmp_path).read_manifest()


@pytest.mark.parametrize("below", ["file", "file/run", f"{'x' * 300}/run"])
def test_a_folder_that_cannot_be_written(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        writing(tmp_path / below).open(MANIFEST)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
