"""Where files made of a run go: names that every file system takes, and nothing of somebody else's replaced."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.spelling import SpecError

MARK = b"GANB"  # SQLite's application id: what bears it was written here, and may be replaced
NOTE = ".made-by-bench"  # the same for a folder
LONGEST = 48  # letters of a name, before what makes it unique


def filename(label: str) -> str:
    """A file's name for a spelling: itself where it is plain, else what is plain in it and a hash that makes it unique.

    Decided by the spelling alone, whatever others stand beside it; two that differ in case alone differ in more.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9_.+-]*", label) and len(label) <= LONGEST and not label.endswith("."):
        return label
    plain = re.sub(r"[^a-z0-9_.=+-]+", "-", label.lower())[:LONGEST].strip("-.")
    return f"{plain}-{hashlib.sha256(label.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")


def check_database(path: Path) -> None:
    """SpecError where something stands that was not written here: a slip must not cost a table or a study."""
    if path.is_dir():
        raise SpecError(f"{str(path)!r} is a folder; name a file")
    if not path.exists():
        return
    head = b"?"
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(72)
    if head and not (head.startswith(b"SQLite format 3\0") and head.endswith(MARK)):
        raise SpecError(f"{str(path)!r} is there and no export of bench; name another file")


def check_folder(path: Path) -> None:
    """SpecError where a folder holds what was not written here, or where something else stands."""
    if path.exists() and not path.is_dir():
        raise SpecError(f"{str(path)!r} is a file; name a folder")
    if path.is_dir() and any(path.iterdir()) and not (path / NOTE).exists():
        raise SpecError(f"{str(path)!r} is there and was not written by bench; name another folder")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write into that stands at ``path`` once all is written, in place of an earlier one; else nothing."""
    try:
        check_folder(path)
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        beside.mkdir()
    except OSError as error:
        raise SpecError(f"{str(path)!r} cannot be written: {error.strerror}") from None
    try:
        yield beside
        (beside / NOTE).write_text("bench replaces this folder when it is asked to write it again\n")
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
        os.replace(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
