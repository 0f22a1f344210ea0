"""A tuning that is watched: what another handle sees of it, and that no storage does anything to a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

import bench
from bench.errors import UserError
from bench.report.export import export
from bench.storage import optuna_storage as module
from bench.storage.optuna_storage import optuna_storage

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

STUDY: dict[str, Any] = {"optimizers": "sgd,ttur", "games": "dirac", "seeds": "0-1", "trials": 8, "budget": 40}
KINDS = ["journal:{}/tuning.log", "sqlite:///{}/tuning %20?#.db"]
NAMES = ["dirac / sgd", "dirac / ttur"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0.2)
    monkeypatch.setattr(module, "LONG_WAIT", 0.2)


def path_of(storage: str) -> Path:
    return Path(storage.removeprefix("journal:").removeprefix("sqlite:///"))


def seen(storage: str, look: Callable[[BaseStorage], Any]) -> Any:
    """What a handle of one's own shows, as optuna-dashboard's would."""
    if storage.startswith("journal:"):
        return look(JournalStorage(JournalFileBackend(str(path_of(storage)))))
    handle = optuna.storages.RDBStorage(
        "sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(path_of(storage))}
    )
    try:
        return look(handle)
    finally:
        handle.remove_session()
        handle.engine.dispose()


def trials(storage: str, name: str) -> list[optuna.trial.FrozenTrial]:
    found: list[optuna.trial.FrozenTrial] = seen(
        storage, lambda handle: optuna.load_study(study_name=name, storage=handle).trials
    )
    return found


def without_clock(run: bench.Run) -> pd.DataFrame:
    return run.records.drop(columns="seconds")


class Stop(Exception):  # noqa: N818  it stands for Ctrl-C
    """The run is interrupted."""


@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:])])
def test_another_handle_sees_the_trials_while_the_run_goes_on(tmp_path: Path, kind: str) -> None:
    storage, states = kind.format(tmp_path), list[tuple[TrialState, ...]]()

    def watch(_: Any) -> None:
        states.append(tuple(trial.state for trial in trials(storage, NAMES[0])))

    run = bench.run(bench.Study(**STUDY), out=tmp_path / "run", watch=watch, storage=storage)
    assert any(TrialState.RUNNING in now and TrialState.COMPLETE in now for now in states), states
    assert seen(storage, optuna.get_all_study_names) == NAMES
    exported = export(run, "optuna", tmp_path / "export.db")
    for name in NAMES:
        for one, other in zip(trials(storage, name), trials(f"sqlite:///{exported}", name), strict=True):
            for part in ("state", "value", "params", "distributions", "intermediate_values", "user_attrs"):
                assert getattr(one, part) == getattr(other, part), (name, one.number, part)


@pytest.mark.parametrize("kind", KINDS)
def test_a_storage_is_no_part_of_a_study(tmp_path: Path, kind: str) -> None:
    storage = kind.format(tmp_path)
    watched, plain = bench.Study(**STUDY, storage=storage), bench.Study(**STUDY)
    assert watched.name == plain.name
    runs = [bench.run(study, out=tmp_path / str(k)) for k, study in enumerate((watched, plain))]
    assert path_of(storage).exists()
    assert runs[0].manifest["study"] == runs[1].manifest["study"]
    assert runs[0].names() == runs[1].names()
    pd.testing.assert_frame_equal(without_clock(runs[0]), without_clock(runs[1]))


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_goes_on_and_its_studies_are_made_anew(tmp_path: Path, kind: str, deleted: bool) -> None:
    """The records are the truth: with the storage gone, or with half a study in it, the same comes out."""
    storage = kind.format(tmp_path)

    def stop(status: Any) -> None:
        if status.done > 600:
            raise Stop

    with pytest.raises(Stop):
        bench.run(bench.Study(**STUDY), out=tmp_path / "run", watch=stop, storage=storage)
    assert TrialState.RUNNING in {trial.state for name in NAMES for trial in trials(storage, name)}
    if deleted:
        path_of(storage).unlink()
    run = bench.run(bench.Study(**STUDY), out=tmp_path / "run", storage=storage)
    straight = bench.run(bench.Study(**STUDY), out=tmp_path / "straight")
    assert run.names() == straight.names()
    pd.testing.assert_frame_equal(without_clock(run), without_clock(straight))
    for name in NAMES:
        assert [trial.number for trial in trials(storage, name)] == list(range(8))
        assert not any(trial.state == TrialState.RUNNING for trial in trials(storage, name))


def test_a_storage_that_fails_while_the_run_goes_on_loses_nothing(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/tuning.db"
    with closing(sqlite3.connect(tmp_path / "tuning.db", check_same_thread=False)) as other:

        def lock(status: Any) -> None:
            if status.done and not other.in_transaction:
                other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(UserError, match=r"the storage of the tuning failed: .*locked.*same command goes on"):
            bench.run(bench.Study(**STUDY), out=tmp_path / "run", watch=lock, storage=storage)
        other.rollback()
    done = bench.Run(tmp_path / "run").names()
    assert done
    run = bench.run(bench.Study(**STUDY), out=tmp_path / "run", storage=storage)
    assert set(done) <= set(run.names())
    assert len(trials(storage, NAMES[1])) == 8


# --- what is no storage: a line, and nothing is written ---------------------------------------------------------------


def sqlite_of_another(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "other.db")) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def folder_named_so(folder: Path) -> None:
    (folder / "folder.db").mkdir()


def text(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content)

    return write


def studies_of_another(folder: Path) -> None:
    storage = JournalStorage(JournalFileBackend(str(folder / "theirs.log")))
    optuna.create_study(study_name=NAMES[0], storage=storage)


@pytest.mark.parametrize(
    ("storage", "prepare", "says"),
    [
        ("redis://here", None, "storage is 'redis://here'; journal:FILE or sqlite:///FILE is allowed"),
        ("journal:", None, "journal:FILE or sqlite:///FILE is allowed"),
        ("sqlite:///no/where.db", None, "storage 'no/where.db' cannot be written: there is no folder 'no'"),
        ("sqlite:///folder.db", folder_named_so, "storage 'folder.db' is no file"),
        ("journal:folder.db", folder_named_so, "storage 'folder.db' is no file"),
        ("sqlite:///text.db", text("text.db", "game,optimizer\n" * 99), "storage 'text.db' is no SQLite file"),
        ("sqlite:///other.db", sqlite_of_another, "storage 'other.db' is an SQLite file of another program"),
        ("journal:text.log", text("text.log", "game,optimizer\nring8,sgd\n"), "'text.log' is no journal of Optuna's"),
        ("journal:list.log", text("list.log", "[1, 2]\n3\n"), "storage 'list.log' is no journal of Optuna's"),
        ("journal:torn.log", text("torn.log", '{"op_code": 0, "wor'), "or its last line is torn"),
        ("journal:held.log", text("held.log.lock", ""), "'held.log' is locked by another process"),
        ("journal:theirs.log", studies_of_another, "storage 'theirs.log' holds 'dirac / sgd' of another run"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(
    call: Any, tmp_path: Path, storage: str, prepare: Callable[[Path], None] | None, says: str
) -> None:
    if prepare is not None:
        prepare(tmp_path)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    arguments = ["--optimizers", "sgd", "--games", "dirac", "--trials", "4", "--budget", "40", "--seeds", "0-1"]
    code, out, err = call("run", *arguments, "--jobs", "1", "--out", "run", "--storage", storage)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert says in line
    after = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    assert after == before


def test_an_sqlite_file_that_another_process_holds(call: Any, tmp_path: Path) -> None:
    with optuna_storage(f"sqlite:///{tmp_path}/held.db", bench.Study(**STUDY)):
        pass
    with closing(sqlite3.connect(tmp_path / "held.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        arguments = ["--optimizers", "sgd", "--games", "dirac", "--trials", "4", "--budget", "40"]
        code, out, err = call("tune", *arguments, "--jobs", "1", "--out", "run", "--storage", "sqlite:///held.db")
        other.rollback()
    assert (code, out) == (2, "")
    assert err == "bench: storage 'held.db' is locked by another process; try again when it has ended\n"
    assert not (tmp_path / "run").exists()


def test_a_torn_line_is_told_before_it_is_written_after(tmp_path: Path) -> None:
    """Else all that follows it would be unreadable."""
    storage = f"journal:{tmp_path}/tuning.log"
    bench.run(bench.Study(**STUDY), out=tmp_path / "run", storage=storage)
    path_of(storage).write_bytes(path_of(storage).read_bytes()[:-5])
    with pytest.raises(UserError, match="torn; name another file, or delete this one"):
        bench.run(bench.Study(**STUDY), out=tmp_path / "run", storage=storage)


def test_none_is_in_memory() -> None:
    with optuna_storage("", bench.Study(**STUDY)) as storage:
        assert storage is None
