"""Crashes at every file-system operation, loss of power, torn writes, a full disk, damage: nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import bench
from bench.analysis.table import to_csv
from bench.errors import UserError
from bench.storage import files as places
from bench.storage import writer
from bench.storage.files import write_file
from bench.storage.manifest import SCHEMA, SEAL, seal
from bench.storage.records import SUFFIXES

FEW = 7  # which shares no divisor with the operations of a write
STUDY = bench.Study(optimizers="sgd,adam", games="dirac", seeds="0-1", trials=0, budget=12, evaluations=2)


@pytest.fixture(scope="module", params=[FEW, pytest.param(1, marks=pytest.mark.slow)], ids="every {}".format)
def tour(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """A tour of the operations of a tuned study of two rules, report and all: of every seventh, or of all."""
    strides = ["61", str(FEW)] if request.param == FEW else ["16", "1"]
    script = Path(__file__).parents[1] / "helpers" / "crashing.py"
    command = [sys.executable, str(script), str(tmp_path_factory.mktemp("tour")), *strides]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(("kind", "least"), [("crash", 100), ("power", 100), ("torn", 20), ("full", 5)])
def test_the_same_command_goes_on_wherever_it_was_stopped(
    tour: dict, kind: str, least: int, request: pytest.FixtureRequest
) -> None:
    assert tour[kind]["lost"] == []
    assert tour[kind]["tried"] >= least // request.node.callspec.params["tour"]


# Loss of power


@pytest.mark.skipif(os.name == "nt", reason="there a move is flushed with the file")
def test_what_is_saved_outlives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of a chunk's files is moved, then its folder flushed; a new folder's parent is flushed too."""
    said = []
    replace, fsync_dir = os.replace, places.fsync_dir
    monkeypatch.setattr(os, "replace", lambda *paths: (said.append(Path(paths[1])), replace(*paths))[1])
    for module in (writer, places):
        monkeypatch.setattr(module, "fsync_dir", lambda path: (said.append(path), fsync_dir(path))[1])
    run = bench.run(STUDY, out=tmp_path / "new" / "run")
    for path in (tmp_path, tmp_path / "new", run.path):
        assert path in said
    for name in run.names():
        moved = said.index(run.records_path / f"{name}.json")
        assert said[moved + 1] == run.records_path
        assert all(said.index(run.records_path / f"{name}.{suffix}") < moved for suffix in SUFFIXES)


def test_what_a_gone_process_had_begun_is_swept_away(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run = bench.run(STUDY, out=tmp_path / "run")
    left = [run.path / f".plan.json.{gone.pid}.tmp", run.records_path / f".x.json.{os.getpid()}.tmp"]
    others = [run.path / f".table.csv.{os.getppid()}.tmp", run.path / ".mine.tmp"]
    for path in left + others:
        path.write_text("half")
    (run.path / f".figures.old.{gone.pid}.tmp").mkdir()
    bench.run(STUDY, out=run.path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)
    assert not list(run.path.glob(".figures*"))


def test_a_folder_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier one is moved away, never deleted in place: else half of it would stay, and be refused for good."""
    path = tmp_path / "figures"
    for text in ("old", "new"):
        with places.whole_folder(path) as beside:
            (beside / "one.svg").write_text(text)
    assert (path / "one.svg").read_text() == "new"
    seen = []
    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **how: (seen.append(Path(path)), remove(path, **how)))
    with places.whole_folder(path):
        pass
    assert path not in seen
    assert [entry.name for entry in tmp_path.iterdir()] == ["figures"]


# Damage


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    run = bench.run(STUDY, out=tmp_path_factory.mktemp("whole") / "run")
    run.report()
    return run


def stored(path: Path) -> list[Path]:
    """Every file of a run that says something."""
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name not in (".lock", places.NOTE))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), st.integers(-1, 7))
@example(0.99, 0.1, 0)
@example(0.0, 0.456, 0)  # the colon of the plan's seal
def test_any_damage_is_noticed_and_mended_and_never_used(
    whole: bench.Run, call, which: float, place: float, bit: int
) -> None:  # type: ignore[no-untyped-def]
    """A file cut short at a place, or one bit there flipped; then readers, then the same command."""
    files = stored(whole.path)
    file = files[int(which * len(files))]
    content = file.read_bytes()
    at = int(place * len(content))
    flipped = content[:at] + bytes([content[at] ^ 1 << max(bit, 0)]) + content[at + 1 :]
    before = {path: path.read_bytes() for path in files}
    file.write_bytes(content[:at] if bit < 0 else flipped)
    derived = file.parent not in (whole.path, whole.records_path) or file.suffix in (".csv", ".html")
    try:
        if file.name == ".reported" or derived:
            assert not bench.Run(whole.path).reported
        else:
            code, out, said = call("table", whole.path, "--format", "csv")
            if SEAL.encode() in file.read_bytes():  # else the name of the hash was hit, and nothing else
                assert (code, out, len(said.splitlines())) == (2, "", 1)
            else:
                assert (code, out) in ((2, ""), (0, before[whole.path / "table.csv"].decode()))
        again = bench.run(STUDY, out=whole.path)
        assert (again.path / "study.json").exists()
        if derived or file.name == ".reported":
            assert not again.reported
        assert again.names() == whole.names()
        same = [again.records.drop(columns="seconds"), whole.records.drop(columns="seconds")]
        assert same[0].astype(str).equals(same[1].astype(str))
    finally:
        for path, kept in before.items():
            path.write_bytes(kept)


def test_older_folders_without_hashes_are_read(whole: bench.Run, tmp_path: Path) -> None:
    old = Path(shutil.copytree(whole.path, tmp_path / "old"))
    manifest = json.loads((old / "study.json").read_text())
    assert manifest.pop(SEAL) == seal(manifest)
    (old / "study.json").write_text(json.dumps(manifest))
    (old / "plan.json").write_text(json.dumps(whole.names()))
    assert bench.Run(old).table(full=True).equals(whole.table(full=True))
    (old / "plan.json").unlink()
    assert bench.Run(old).table(full=True).equals(whole.table(full=True))


def test_a_newer_schema_is_refused_though_its_hash_is_right(whole: bench.Run, tmp_path: Path) -> None:
    new = Path(shutil.copytree(whole.path, tmp_path / "new"))
    manifest = json.loads((new / "study.json").read_text()) | {"schema": SCHEMA + 1}
    manifest[SEAL] = seal({key: manifest[key] for key in manifest if key != SEAL})
    (new / "study.json").write_text(json.dumps(manifest))
    for act in (lambda: bench.Run(new), lambda: bench.run(STUDY, out=new)):
        with pytest.raises(UserError, match=rf"schema {SCHEMA + 1}; up to {SCHEMA} is known"):
            act()
    assert json.loads((new / "study.json").read_text()) == manifest


def test_a_difference_names_what_differs_both_ways(whole: bench.Run) -> None:
    other = bench.Study(**STUDY.model_dump() | {"optimizers": ["sgd", "extragrad"], "budget": 13})
    with pytest.raises(UserError) as error:
        bench.run(other, out=whole.path)
    for text in ('optimizers: ["sgd", "adam"] there, ["sgd", "extragrad"] asked for', "budget: 12.0 there, 13.0 asked"):
        assert text in str(error.value)


# No room, no permission


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOSPC,
        *(pytest.param(code, marks=pytest.mark.slow) for code in (errno.EROFS, errno.EACCES, errno.EIO)),
    ],
)
def test_a_disk_that_refuses_is_one_line(whole, call, tmp_path, monkeypatch, number) -> None:  # type: ignore[no-untyped-def]
    out = shutil.copytree(whole.path, tmp_path / "run")
    before = {path: path.read_bytes() for path in stored(out)}

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        code, said, err = call("report", out)
    assert (code, said) == (2, "")
    assert err == f"bench: {out / 'table.csv'}: {os.strerror(number)}; what was finished is kept\n"
    assert {path: path.read_bytes() for path in stored(out)} == before
    assert call("report", out)[0] == 0


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_of_one_megabyte(call, tmp_path) -> None:  # type: ignore[no-untyped-def]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "bench-test", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk may be mounted here")
    words = [
        "--games",
        "dirac",
        "--trials",
        0,
        "--budget",
        12,
        "-o",
        "evaluations=2",
        "--jobs",
        1,
        "--optimizers",
        "sgd,adam,extragrad",
    ]
    try:
        (disk / "ballast").write_bytes(bytes((1 << 20) - 8 * 4096))
        code, said, err = call("run", *words, "--out", disk / "run")
        assert (code, said) == (2, "")
        assert len(err.splitlines()) == 1
        assert os.strerror(errno.ENOSPC) in err
        (disk / "ballast").unlink()
        kept = {path: path.stat().st_mtime_ns for path in (disk / "run" / "records").glob("*.json")}
        study = bench.Study(optimizers="sgd,adam,extragrad", games="dirac", trials=0, budget=12, evaluations=2)
        tables = [bench.run(study, out=path / "run").table(full=True) for path in (disk, tmp_path)]
        assert to_csv(tables[0]) == to_csv(tables[1])
        assert kept.items() <= {path: path.stat().st_mtime_ns for path in kept}.items()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(call, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "closed").mkdir(mode=0o500)
    code, out, err = call("run", "--optimizers", "sgd", "--games", "dirac", "--out", "closed/run")
    assert (code, out) == (2, "")
    assert "cannot be written: Permission denied" in err


def test_a_failed_write_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as error:
        write_file(tmp_path / "nowhere" / "file", b"")
    assert error.value.filename == str(tmp_path / "nowhere" / "file")
