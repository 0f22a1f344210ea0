"""A run's folder may come from a stranger: reporting on it executes nothing, touches nothing else, and never breaks."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

import bench
from bench.analysis.table import to_csv
from bench.errors import UserError
from bench.report.tables import latex, markdown
from bench.storage.files import read_regular, write_file
from bench.storage.manifest import SEAL
from bench.storage.names import filename
from bench.storage.records import Damaged
from bench.studies.plan import chunk_id

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

STUDY = bench.Study(optimizers="sgd,adam", games="dirac", seeds="0-1", trials=0, budget=12, evaluations=2)
BOMBS = {"deep": "[" * 100_000, "deep object": '{"a":' * 100_000, "number": "1" * 10_000, "nothing": "", "nul": "\0"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(STUDY, out=tmp_path_factory.mktemp("sound") / "run")


@pytest.fixture
def strange(sound: bench.Run, tmp_path: Path) -> bench.Run:
    return bench.Run(shutil.copytree(sound.path, tmp_path / "strange"))


def rewrite(run: bench.Run, suffix: str, content: bytes) -> str:
    """Put other content in a chunk, with the hash that it has: a stranger can."""
    name = run.names()[0]
    stub = run.records_path / f"{name}.json"
    found = json.loads(stub.read_text())
    found["sha256"][suffix] = hashlib.sha256(content).hexdigest()
    stub.write_text(json.dumps(found))
    (run.records_path / f"{name}.{suffix}").write_bytes(content)
    return name


def one_line(call, *args: object) -> str:  # type: ignore[no-untyped-def]
    code, out, err = call(*args)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    return str(err)


def test_no_pickle_is_read(sound: bench.Run, call, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle is read")

    for module in (pickle, torch):
        monkeypatch.setattr(module, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    for command in ("report", "table", "show", "figures"):
        assert call(command, sound.path)[0] == 0, command


# JSON


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("file", ["study.json", "plan.json", "stub"])
def test_json_that_bites(strange: bench.Run, call, file: str, bomb: str) -> None:  # type: ignore[no-untyped-def]
    name = f"records/{strange.names()[0]}.json" if file == "stub" else file
    (strange.path / name).write_text(bomb)
    assert "damaged" in one_line(call, "report", strange.path)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_in_the_manifest(sound: bench.Run, call, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    """It is used as it is, or refused in one line."""
    path = sound.path / "study.json"
    kept = path.read_bytes()
    manifest = json.loads(kept)
    manifest.pop(SEAL)
    part = data.draw(st.sampled_from([manifest, manifest["study"], manifest["environment"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(ANYTHING)
    try:
        path.write_text(json.dumps(manifest))
        code, _, err = call("table", sound.path)
        assert code in (0, 2)
        assert code == 0 or len(err.splitlines()) == 1, err
    finally:
        path.write_bytes(kept)


@pytest.mark.parametrize("value", [{"\r": {"\n": 1}}, {"\u2028": {"\n": 1}}])
@pytest.mark.parametrize("key", ["hyperparameters", "environment"])
def test_a_key_that_breaks_lines_is_quoted(sound: bench.Run, call, key: str, value: object) -> None:  # type: ignore[no-untyped-def]
    path = sound.path / "study.json"
    kept = path.read_bytes()
    manifest = json.loads(kept)
    manifest.pop(SEAL)
    (manifest["study"] if key in manifest["study"] else manifest)[key] = value
    try:
        path.write_text(json.dumps(manifest))
        assert "damaged" in one_line(call, "table", sound.path)
    finally:
        path.write_bytes(kept)


# Parquet, safetensors


def other_tables(table: pa.Table) -> dict[str, pa.Table]:
    columns = table.column_names
    return {
        "no rows of another rule": table.set_column(0, "optimizer", pa.array(["<b>"] * len(table)).dictionary_encode()),
        "a column less": table.drop_columns(["seed"]),
        "a column more": table.append_column("more", table["cost"]),
        "another order": table.select(columns[::-1]),
        "words for numbers": table.set_column(columns.index("cost"), "cost", pa.array(["1"] * len(table))),
        "nothing for numbers": table.set_column(columns.index("cost"), "cost", pa.nulls(len(table), pa.float64())),
        "no finite cost": table.set_column(columns.index("cost"), "cost", pa.array([float("inf")] * len(table))),
        "twice": pa.concat_tables([table, table]),
        "too much": pa.concat_tables([table] * 3000),
        "another seed": table.set_column(columns.index("seed"), "seed", pa.array([7] * len(table), pa.int64())),
    }


@pytest.mark.parametrize("what", [*other_tables(pa.table({"optimizer": ["x"], "seed": [1], "cost": [1.0]})), "none"])
def test_records_that_are_none(strange: bench.Run, call, what: str) -> None:  # type: ignore[no-untyped-def]
    content = b"PAR1 not really PAR1"
    if what != "none":
        file = strange.records_path / f"{strange.names()[0]}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(other_tables(pq.read_table(file))[what], sink)
        content = sink.getvalue().to_pybytes()
    name = rewrite(strange, "parquet", content)
    assert f"chunk {name} in " in one_line(call, "report", strange.path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8), st.sampled_from(["parquet", "safetensors"]))
def test_mangled_bytes_with_the_right_hash(sound: bench.Run, at: int, put: bytes, suffix: str) -> None:
    """They are read as numbers of some kind, or refused: nothing else is raised."""
    files = [path for path in sound.records_path.iterdir() if path.stem == sound.names()[0]]
    kept = {path: path.read_bytes() for path in files}
    (own,) = (content for path, content in kept.items() if path.suffix == f".{suffix}")
    at %= len(own)
    try:
        rewrite(sound, suffix, own[:at] + put + own[at + len(put) :])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "load", None)
            with suppress(UserError):
                bench.Run(sound.path).table(full=True)
                bench.Run(sound.path).tensors()
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.parametrize(
    "held", [{"path": torch.zeros(3)}, {"path": torch.zeros(2, 1, 3)}, {"angle": torch.zeros(0, 2)}]
)
def test_tensors_that_are_none(strange: bench.Run, call, held: dict) -> None:  # type: ignore[no-untyped-def]
    name = rewrite(strange, "safetensors", save(held))
    assert f"chunk {name} in " in one_line(call, "report", strange.path)


@pytest.mark.parametrize("change", [{"rows": 3}, {"marks": "4"}, {"phase": "x"}, {"label": None}, {"more": 1}])
def test_a_chunk_that_is_none(strange: bench.Run, change: dict) -> None:
    """Under the name that it has by its content."""
    old = strange.records_path / f"{strange.names()[0]}.json"
    stub = json.loads(old.read_text())
    stub["chunk"] |= change
    name = chunk_id(stub["chunk"])
    for suffix in ("parquet", "safetensors"):
        old.with_suffix(f".{suffix}").rename(old.with_name(f"{name}.{suffix}"))
    old.with_name(f"{name}.json").write_text(json.dumps(stub))
    old.unlink()
    (strange.path / "plan.json").unlink()
    with pytest.raises(Damaged, match=name):
        _ = strange.records


# Paths


@pytest.mark.skipif(os.name == "nt", reason="links take a right there")
@pytest.mark.parametrize(
    "file", ["study.json", "plan.json", ".lock", ".holder", "table.csv", "report.html", ".reported"]
)
def test_a_link_leads_nowhere(strange: bench.Run, call, tmp_path: Path, file: str) -> None:  # type: ignore[no-untyped-def]
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    (strange.path / file).unlink(missing_ok=True)
    (strange.path / file).symlink_to(treasure)
    for act in (("show",), ("report",), ("run", "--optimizers", "sgd", "--games", "dirac", "--out")):
        _, out, err = call(*act, strange.path)
        assert "mine" not in out + err
    assert treasure.read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links take a right there")
def test_folders_that_are_links_lose_nothing(strange: bench.Run, call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / f"{strange.names()[0]}.txt").write_text("note")
    shutil.rmtree(strange.path / "figures", ignore_errors=True)
    for name in ("errors", "figures"):
        (strange.path / name).symlink_to(mine)
    one_line(call, "report", strange.path)  # its figures would go elsewhere
    bench.run(STUDY, out=strange.path, errors="keep")
    assert [path.read_text() for path in mine.iterdir()] == ["note"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes by name here")
def test_a_pipe_does_not_hang(strange: bench.Run) -> None:
    path = strange.records_path / f"{strange.names()[0]}.parquet"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Damaged):
        _ = strange.records
    with pytest.raises(OSError, match="no ordinary file"):
        read_regular(path)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a/b", "..", "x" * 300, "\0"])
def test_a_plan_that_climbs(strange: bench.Run, name: str) -> None:
    (strange.path / "plan.json").write_text(json.dumps([name, *strange.names()]))
    with pytest.raises(Damaged, match="plan"):
        strange.names()


EVIL = "open('ran', 'w')\nfrom bench import UpdateRule\n\n\nclass Evil(UpdateRule):\n    pass\n"


@pytest.mark.parametrize("spelled", ["{}", "lookahead[inner={}]"])
def test_code_in_a_runs_folder_is_not_executed(strange: bench.Run, call, tmp_path: Path, spelled: str) -> None:  # type: ignore[no-untyped-def]
    (strange.path / "evil.py").write_text(EVIL)
    manifest = json.loads((strange.path / "study.json").read_text())
    manifest.pop(SEAL)
    manifest["study"]["optimizers"].append(spelled.format(f"./{strange.path.name}/evil.py:Evil"))
    (strange.path / "study.json").write_text(json.dumps(manifest))
    for command in ("report", "show", "table"):
        assert "names code that came with it" in one_line(call, command, strange.path)
    assert not (tmp_path / "ran").exists()


def test_records_of_what_was_not_asked_for(strange: bench.Run) -> None:
    manifest = json.loads((strange.path / "study.json").read_text())
    manifest.pop(SEAL)
    manifest["study"]["optimizers"] = ["sgd"]
    (strange.path / "study.json").write_text(json.dumps(manifest))
    with pytest.raises(Damaged, match="adam is no part of its study"):
        _ = bench.Run(strange.path).records


# Names


HOSTILE = [
    "../../x",
    "a/b",
    "a\0b",
    "y" * 300,
    "<script>alert(1)</script>",
    "=cmd()",
    "аdam",
    "con",
    "\u202egpj",
    "%00",
    "~",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_and_are_inert(name: str, call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """As a rule's, a game's: refused in a line, nothing written. As a file's: one plain part. In tables: words."""
    made = filename(name)
    assert Path(made).name == made or not made
    assert not set(made) & set('/\\\0<>:"|?*')
    assert len(made) <= 64
    for words in (["--optimizers", name or "?"], ["--optimizers", "sgd", "--games", name or "?"]):
        code, out, err = call("run", *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert list(tmp_path.iterdir()) == []


def test_hostile_names_in_tables(sound: bench.Run) -> None:
    for name in HOSTILE:
        found = sound.table(full=True).assign(optimizer=name)
        rows = to_csv(found).splitlines()
        assert len(rows) == 3
        assert "<script>" not in markdown(found)
        assert "\\end{tabular}" in latex(found)
        assert "_{" not in latex(found)


def test_names_differ_though_they_look_alike() -> None:
    assert len({filename(name) for name in HOSTILE}) == len(HOSTILE)
    assert filename("adam") != filename("аdam")  # the second begins with a Cyrillic letter


def test_what_is_written_goes_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "treasure").write_text("mine")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to(tmp_path / "treasure")
    write_file(tmp_path / "file", b"new")
    assert (tmp_path / "treasure").read_text() == "mine"
    assert (tmp_path / "file").read_bytes() == b"new"
