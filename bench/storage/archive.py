"""An archive of a folder's files: a finished run's records in one file instead of thousands of small ones.

An archive is a ZIP file, the same bytes for the same files on every machine. The caller checks the hashes of its
content; this module only refuses what cannot be read safely.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from bench.storage.files import read_regular

LARGEST = 2**28
"""Bytes that one of its files may come to: what claims more is not read, for a small archive may claim anything."""
BEGINNING = (1980, 1, 1, 0, 0, 0)  # the earliest time in a ZIP file: an archive does not record when it was made


class Archive(Mapping[str, bytes]):
    """Files by name; none where there is no archive at the path or it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _files(self) -> dict[str, zipfile.ZipInfo]:
        return {} if self._zip is None else {file.filename: file for file in self._zip.infolist()}

    @cached_property
    def _zip(self) -> zipfile.ZipFile | None:
        try:
            return zipfile.ZipFile(io.BytesIO(read_regular(self.path)))
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
            return None

    def __getitem__(self, name: str) -> bytes:
        file = self._files[name]
        if self._zip is None or file.file_size > LARGEST:
            raise KeyError(name)
        try:
            with self._zip.open(file) as content:
                return content.read(file.file_size)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError, RuntimeError, zlib.error):
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def archived(files: Mapping[str, bytes]) -> bytes:
    """An archive of files, in the order of their names."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, BEGINNING)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # else it is the system that it was made on
            archive.writestr(entry, files[name])
    return sink.getvalue()
