"""An Optuna storage in which the tuning of a run can be watched: a journal or an SQLite file.

It is a copy for others to look at. The run's records are the truth, and the studies are made anew from them whenever
the run goes on, so a storage may be deleted at any time. Everything that may be wrong with one is found before a run
writes anything.
"""

from __future__ import annotations

import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.studies.study import Study

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

KINDS = ("journal:", "sqlite:///")
WAIT = 5.0  # seconds to wait at first for another process's lock; one that watches holds it for milliseconds
LONG_WAIT = 60.0  # the same while a run goes on


@contextmanager
def optuna_storage(spelled: str, study: Study) -> Iterator[BaseStorage | None]:
    """The storage of ``journal:FILE`` or ``sqlite:///FILE`` for a study, closed at the end; None for "".

    Raises:
        UserError: it is spelled otherwise, locked by another process, unreadable or no storage of Optuna's, or it holds
            an Optuna study of the same name that is another's.
    """
    if not spelled:
        yield None
        return
    kind = next((kind for kind in KINDS if spelled.startswith(kind)), None)
    if kind is None or spelled == kind:
        raise UserError(f"storage is {spelled!r}; journal:FILE or sqlite:///FILE is allowed")
    path = Path(spelled.removeprefix(kind))
    _check_file(path)
    storage = (_journal if kind == "journal:" else _sqlite)(path)
    try:
        _check_studies(storage, path, study)
        yield storage
    finally:
        _close(storage)


def _check_file(path: Path) -> None:
    """UserError for what can hold no storage; a pipe would be waited for without end."""
    if path.exists() and not path.is_file():
        raise UserError(f"storage {str(path)!r} is no file; name another one")
    if not path.parent.is_dir():
        raise UserError(f"storage {str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")
    if not os.access(path if path.exists() else path.parent, os.W_OK | (os.R_OK if path.exists() else 0)):
        raise UserError(f"storage {str(path)!r} cannot be written: Permission denied")


def _check_studies(storage: BaseStorage, path: Path, study: Study) -> None:
    """UserError where the run would replace an Optuna study that is not its own."""
    from bench.studies.tuning.optuna_study import RUN, study_name

    wanted = {study_name(game, optimizer) for game in study.games for optimizer in study.optimizers}
    for one in storage.get_all_studies():
        if one.study_name in wanted and storage.get_study_user_attrs(one._study_id).get(RUN) != study.name:
            raise UserError(f"storage {str(path)!r} holds {one.study_name!r} of another run; name another file")


def _no_storage(path: Path, what: str) -> UserError:
    return UserError(f"storage {str(path)!r} is {what}; name another file, or delete this one: a run makes it anew")


# --- a journal -------------------------------------------------------------------------------------------------------


def _journal(path: Path) -> BaseStorage:
    """A journal's storage. A last line that was torn by a crash would make all that follow unreadable."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock = Path(f"{path}.lock")
    end = time.monotonic() + WAIT
    while os.path.lexists(lock):
        if time.monotonic() > end:
            raise UserError(
                f"storage {str(path)!r} is locked by another process; if there is none, delete {str(lock)!r}"
            )
        time.sleep(0.05)
    try:
        if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
            raise _no_storage(path, "no journal of Optuna's, or its last line is torn")
        return JournalStorage(JournalFileBackend(str(path)))
    except OSError as error:
        raise UserError(f"storage {str(path)!r} cannot be read: {error.strerror}") from None
    except UserError:
        raise
    except Exception:  # whatever it is that another file's lines do to Optuna's reader
        raise _no_storage(path, "no journal of Optuna's") from None


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _sqlite(path: Path) -> BaseStorage:
    """An SQLite file's storage. A new file's tables are made at once."""
    from optuna.storages import RDBStorage

    _check_sqlite(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # The connection is made here, because some characters of a path have a meaning in SQLAlchemy's URLs.
            return RDBStorage("sqlite://", engine_kwargs={"creator": partial(_connection, path)})
    except Exception as error:  # of another version of Optuna's, or what SQLAlchemy says
        raise _no_storage(path, f"no storage for this Optuna ({' '.join(str(error).split())[:80]})") from None


def _check_sqlite(path: Path) -> None:
    """UserError for a file that is locked, of another kind, or another program's."""
    try:
        with closing(sqlite3.connect(path, timeout=WAIT)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            connection.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise UserError(
                f"storage {str(path)!r} is locked by another process; try again when it has ended"
            ) from None
        raise UserError(f"storage {str(path)!r} cannot be opened: {error}") from None
    except sqlite3.DatabaseError:
        raise _no_storage(path, "no SQLite file") from None
    if tables and not {"studies", "trials", "version_info"} <= tables:
        raise _no_storage(path, "an SQLite file of another program")


def _connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=LONG_WAIT)
    with closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA synchronous = OFF")  # each number is a transaction; what a crash takes is made anew
    return connection


def _close(storage: BaseStorage) -> None:
    storage.remove_session()
    engine = getattr(storage, "engine", None)
    if engine is not None:
        engine.dispose()
