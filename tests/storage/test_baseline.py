"""What is kept of a run for comparisons: small, the same bytes of the same run, and refused where it is damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bench
from bench.errors import UserError
from bench.storage.baseline import DIGEST, RECORDS, Baseline, write_baseline
from bench.storage.manifest import SEAL, seal
from bench.storage.records import TYPES

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def kept(reported: bench.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_baseline(reported, tmp_path_factory.mktemp("kept") / "baseline")


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    to = tmp_path / "copy"
    to.mkdir()
    for file in kept.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_a_run_is_identical_to_what_was_kept_of_it(reported: bench.Run, kept: Path) -> None:
    for pair in ((Baseline(kept), reported), (reported, Baseline(kept)), (Baseline(kept), Baseline(kept))):
        found = bench.compare(*pair)
        assert set(found["verdict"]) == {"identical"}
        assert len(found) == len(reported.study.optimizers) * len(reported.study.games)


def test_it_is_two_small_files_and_the_same_bytes_again(reported: bench.Run, kept: Path, tmp_path: Path) -> None:
    again = write_baseline(reported, tmp_path / "again")
    assert sorted(file.name for file in kept.iterdir()) == [RECORDS, "study.json"]
    assert all((again / file.name).read_bytes() == file.read_bytes() for file in kept.iterdir())
    assert sum(file.stat().st_size for file in kept.iterdir()) < 40_000
    assert (Baseline(kept).records["seconds"] == 0).all()


def test_an_earlier_one_is_replaced_and_nothing_else_is(reported: bench.Run, copy: Path, tmp_path: Path) -> None:
    (copy / RECORDS).write_bytes(b"damaged")
    write_baseline(reported, copy)
    assert len(Baseline(copy).records)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already and no baseline; choose another --to"):
        write_baseline(reported, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_a_flipped_bit_is_noticed(copy: Path, call: Call) -> None:
    content = bytearray((copy / RECORDS).read_bytes())
    content[100] ^= 1
    (copy / RECORDS).write_bytes(content)
    code, out, err = call("compare", copy, copy)
    assert (code, out) == (2, "")
    assert "is damaged: its hash is another" in err
    manifest = json.loads((copy / "study.json").read_text())
    (copy / "study.json").write_text(json.dumps(manifest | {"protocol": "9.9"}))
    assert call("compare", copy, copy)[0] == 2


def forged(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame | bytes]) -> None:
    """Other records, with hashes that fit, as a stranger can make them."""
    changed = change(pq.read_table(folder / RECORDS).to_pandas())
    sink = pa.BufferOutputStream()
    if isinstance(changed, pd.DataFrame):
        words = TYPES["optimizer"] if changed["seed"].dtype != "int64" else TYPES["seed"]
        kinds = [(name, words if name == "seed" else kind) for name, kind in TYPES.items() if name in changed]
        pq.write_table(pa.Table.from_pandas(changed, pa.schema(kinds), preserve_index=False), sink)
    content = changed if isinstance(changed, bytes) else sink.getvalue().to_pybytes()
    manifest = json.loads((folder / "study.json").read_text())
    manifest[DIGEST] = hashlib.sha256(content).hexdigest()
    manifest[SEAL] = seal({key: value for key, value in manifest.items() if key != SEAL})
    (folder / RECORDS).write_bytes(content)
    (folder / "study.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda records: b"PAR1 no table", "is none of bench: "),
        (lambda records: records.drop(columns="value"), "its columns are others"),
        (lambda records: records.assign(seed="three"), "its columns are others"),
        (lambda records: records.assign(cost=float("inf")), "a record in it is none"),
        (lambda records: records.assign(outcome=pd.Categorical(["fine"] * len(records))), "a record in it is none"),
    ],
)
def test_what_a_stranger_made_is_refused_in_a_line(copy: Path, call: Call, change: object, says: str) -> None:
    forged(copy, change)  # type: ignore[arg-type]
    code, out, err = call("compare", copy, copy)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err


def test_one_without_records_is_no_runs_folder_either(copy: Path, call: Call) -> None:
    (copy / RECORDS).unlink()
    code, _, err = call("compare", copy, copy)
    assert code == 5, err  # a run of which nothing is there


def test_by_command(reported: bench.Run, call: Call, tmp_path: Path) -> None:
    code, out, err = call("export", reported.path, "baseline", "--to", tmp_path / "kept")
    assert (code, out, err) == (0, f"{tmp_path / 'kept'}\n", "")
    code, out, _ = call("compare", tmp_path / "kept", reported.path, "--fail-on", "changed", "--format", "md")
    assert code == 0
    assert out.startswith(f"{len(reported.study.optimizers) * len(reported.study.games)} identical\n")
