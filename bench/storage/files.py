"""Writing files safely: names that every file system takes, and no replacement of files that bench did not write."""

from __future__ import annotations

import glob
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import UserError

MARK = b"GANB"  # SQLite's application id: what bears it was written here, and may be replaced
NOTE = ".made-by-bench"  # the same for a folder
O_BINARY = getattr(os, "O_BINARY", 0)


def fsync_dir(folder: Path) -> None:
    """Flush moves, new entries and deletions in a folder, so that a loss of power cannot undo them."""
    if os.name == "nt":  # there it is done with the move
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, content: bytes, last: bool = True) -> None:
    """Write a file atomically: to a temporary file beside it, flushed, then moved.

    Args:
        path: the file.
        content: its bytes.
        last: whether the move is flushed too; of several files in a folder, it is enough to flush the last.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of an ended process with the same id; and never through a link
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if last:
            fsync_dir(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def read_regular(path: Path) -> bytes:
    """The bytes of an ordinary file; OSError for a link, a pipe or a device, which may lead anywhere or never end."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | O_BINARY)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "it is no ordinary file", str(path))
        return file.read()


def remove_stale(folder: Path, name: str = "*") -> None:
    """Delete temporary files of ended processes in a folder, of ``name`` or of any file."""
    for temporary in folder.glob(f".{name}.tmp"):
        number = re.search(r"\.(\d+)\.tmp$", temporary.name)
        if number is None or _alive(int(number[1])):
            continue
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    """Whether another process with this id runs; a file with our own id is an ended process's, as we wrote none yet."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process
        return True
    return True


def check_database(path: Path) -> None:
    """Raise UserError for a file that bench did not write: a wrong path must not overwrite a table or a study."""
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; name a file")
    if not path.exists():
        return
    head = b"?"
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(72)
    if head and not (head.startswith(b"SQLite format 3\0") and head.endswith(MARK)):
        raise UserError(f"{str(path)!r} is there and no export of bench; name another file")


def check_folder(path: Path) -> None:
    """Raise UserError for a path that is not a folder, or a folder that bench did not write."""
    if path.is_symlink():
        raise UserError(f"{str(path)!r} is a link; name a folder")
    if path.exists() and not path.is_dir():
        raise UserError(f"{str(path)!r} is a file; name a folder")
    if path.is_dir() and any(path.iterdir()) and not (path / NOTE).exists():
        raise UserError(f"{str(path)!r} is there and was not written by bench; name another folder")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that replaces the one at ``path`` after everything is written; after an error it is deleted.

    The old folder is moved away before it is deleted: a crash leaves the old one, the new one or none, never a part.
    """
    try:
        check_folder(path)
        remove_stale(path.parent, f"{glob.escape(path.name)}.*")
        temporary, old = (path.with_name(f".{path.name}.{what}{os.getpid()}.tmp") for what in ("", "old."))
        temporary.mkdir()
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    try:
        yield temporary
        (temporary / NOTE).write_text("bench replaces this folder when it is asked to write it again\n")
        with suppress(FileNotFoundError):
            os.replace(path, old)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
