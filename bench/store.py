"""A run's folder: append-only, atomic, no pickle.

    study.json                 the manifest: study, protocol, versions, machine
    plan.json                  the chunks that make up the run so far
    records/<chunk>.parquet    long records of a chunk
    records/<chunk>.safetensors  what there is to look at: trajectories, samples
    records/<chunk>.json       the chunk, with the SHA-256 of both, written last: a chunk without it does not exist
    records.zip                all that stood in records/ when the run was packed; what stands there is read first

Every file is written beside its place, flushed to disk and moved there, and the move is flushed too: a crash leaves the
old file or the new one, and what is once saved outlives a loss of power. The manifest and the plan hold their own hash.
Everything else in the folder (tables, report) is derived from these and may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
import pyarrow as pa
from torch import Tensor

from bench.archive import Archive, archived
from bench.places import read_plain, settle, sweep, write_file
from bench.plan import PROTOCOL, Chunk, chunk_id
from bench.records import SUFFIXES, Damaged, as_frame, records_of, tensors_of
from bench.spelling import SpecError
from bench.vetting import vet_chunk, vet_manifest

SCHEMA = 1
SEAL = "sha256"
NAME = re.compile("[0-9a-f]{20}")  # of a chunk
PLAN_PAUSE = 20  # times as long as the plan took to write, before it is written again


class InUse(Exception):  # noqa: N818  a state of the folder rather than an error
    """Another process holds the run's folder."""


def seal(content: object) -> str:
    """A hash of what JSON can hold, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(manifest: dict[str, Any]) -> bytes:
    """A manifest as it is written, with its own hash."""
    content = {key: value for key, value in manifest.items() if key != SEAL}
    return json.dumps(content | {SEAL: seal(content)}, indent=2).encode()


class Folder:
    """A run's folder on disk; the one process that opened it for writing alone writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records_path = path / "records"
        self._archive = Archive(path / "records.zip")
        self._lock: filelock.FileLock | None = None
        self._planned: list[str] | None = None
        self._next_plan = 0.0

    def open(self, manifest: dict[str, Any]) -> None:
        """Make or continue the run: raises InUse, or SpecError for another study's folder or one not to be written."""
        try:
            found = self._continued(manifest)
            self._make()
            self._acquire()
            sweep(self.path)
            sweep(self.records_path)
            self.__dict__.pop("_protocol", None)
            if found is None or found["study"] != manifest["study"]:
                write_file(self.path / "study.json", sealed(manifest))
        except OSError as error:
            self.close()
            raise SpecError(f"run folder {str(self.path)!r} cannot be written: {error.strerror}") from None

    def _continued(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The manifest that is here, of the study asked for; None where there is none, or a damaged one of a run."""
        if not os.path.lexists(self.path / "study.json"):
            return None
        try:
            found = self.manifest()
        except Damaged:
            if not self.records_path.is_dir():  # then it is somebody else's file
                raise
            return None
        self._check_same(found, asked)
        return found

    def _make(self) -> None:
        """The folder, and above it those that lack, so that they outlive a loss of power."""
        made = [path for path in (self.records_path, *self.records_path.parents) if not path.exists()]
        self.records_path.mkdir(parents=True, exist_ok=True)
        for path in made:
            settle(path.parent)

    def _acquire(self) -> None:
        """Become the one that writes; InUse where another is, or was on another machine, whose locks we may not see."""
        if self.lock_path.is_symlink():
            raise SpecError(f"{str(self.lock_path)!r} is a link; delete it")
        lock = filelock.FileLock(self.lock_path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InUse(f"{self.path} is in use by {self._holder()}") from None
        if self._holder_host() not in ("", socket.gethostname()):
            lock.release()
            hint = f"if nothing runs there any more, delete {self.path / '.holder'}"
            raise InUse(f"{self.path} is in use by {self._holder()}; {hint}")
        self._lock = lock
        write_file(self.path / ".holder", f"process {os.getpid()} on {socket.gethostname()}".encode())

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

    def close(self) -> None:
        """Let others write."""
        if self._lock is None:
            return
        try:
            self._write_plan()
        finally:
            (self.path / ".holder").unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def _holder(self) -> str:
        try:
            return read_plain(self.path / ".holder")[:200].decode(errors="replace") or "another process"
        except OSError:
            return "another process"

    def _holder_host(self) -> str:
        found = re.fullmatch(r"process \d+ on (\S+)", self._holder())
        return found[1] if found else ""

    def manifest(self) -> dict[str, Any]:
        """The run's manifest; SpecError where there is none that this version reads."""
        path = self.path / "study.json"
        try:
            found: dict[str, Any] = json.loads(read_plain(path).decode())
        except OSError as error:
            raise SpecError(f"{str(self.path)!r} is no run's folder: {path.name}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise Damaged(f"{str(path)!r} is damaged: it is not JSON") from None
        if isinstance(found, dict) and SEAL in found and found.pop(SEAL) != seal(found):
            raise Damaged(f"{str(path)!r} is damaged: its hash is another")
        schema = found.get("schema") if isinstance(found, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise SpecError(f"{str(path)!r} has schema {schema}; up to {SCHEMA} is known here")
        if type(schema) is not int or not isinstance(found.get("study"), dict):
            raise Damaged(f"{str(path)!r} is damaged: it is no study's manifest")
        return found

    def vetted(self) -> dict[str, Any]:
        """The manifest, of which all that a report uses has the kind that it must have."""
        found = self.manifest()
        if wrong := vet_manifest(found):
            raise Damaged(f"{str(self.path / 'study.json')!r} is damaged: {wrong}")
        return found

    def _check_same(self, found: dict[str, Any], asked: dict[str, Any]) -> None:
        differ = [(part, found.get(part), asked[part]) for part in ("protocol", "device")]
        # Of tuning trials there may be more or fewer: what is there and is asked for is not done again.
        keys = [key for key in asked["study"] if key != "trials"]
        differ += [(key, found["study"].get(key), asked["study"][key]) for key in keys]
        if changed := [
            f"{key}: {_short(old)} there, {_short(new)} asked for" for key, old, new in differ if old != new
        ]:
            where = f"run folder {str(self.path)!r}"
            raise SpecError(f"{where} holds another study ({'; '.join(changed)}); choose another --out")

    def has(self, chunk: Chunk) -> bool:
        """Whether the chunk's result is here whole."""
        return self.whole(chunk.id)

    def whole(self, name: str) -> bool:
        """Whether the chunk of this name is here whole: its hashes are checked."""
        return self._read(name) is not None

    def save(self, chunk: Chunk, files: dict[str, bytes]) -> None:
        for suffix, content in files.items():
            write_file(self.records_path / f"{chunk.id}.{suffix}", content, last=False)
        hashes = {suffix: hashlib.sha256(content).hexdigest() for suffix, content in files.items()}
        stub = {"schema": SCHEMA, "chunk": asdict(chunk), "sha256": hashes}
        write_file(self.records_path / f"{chunk.id}.json", json.dumps(stub).encode())

    def content(self, file: str) -> bytes:
        """What a file of the records holds; OSError where it is not there."""
        try:
            return read_plain(self.records_path / file)
        except FileNotFoundError:
            if file in self._archive:
                return self._archive[file]
            raise

    def pack(self) -> Path:
        """Put the records that are whole into ``records.zip``, for keeping; raises as `open` does.

        What failed stays where it is, to be tried again. The files go once the archive stands.
        """
        self.open(self.manifest())
        try:
            failed = {path.stem for path in (self.path / "errors").glob("*.txt")}
            names = [name for name in self.names() if name not in failed and self.whole(name)]
            files = {file: self.content(file) for name in names for file in files_of(name)}
            path = self._archive.path
            write_file(path, archived(files))
            self._archive = Archive(path)
            for file in files:
                (self.records_path / file).unlink(missing_ok=True)
            settle(self.records_path)
            return path
        finally:
            self.close()

    def _read(self, name: str) -> tuple[dict[str, Any], dict[str, bytes]] | None:
        """A chunk and its files, or None where one is missing or damaged: the chunk is then done again."""
        try:
            stub = json.loads(self.content(f"{name}.json").decode())
            named = chunk_id(stub["chunk"], self._protocol) == name
            if not 0 < stub["schema"] <= SCHEMA or not named or not vet_chunk(stub["chunk"]):
                return None
            files = {suffix: self.content(f"{name}.{suffix}") for suffix in SUFFIXES}
            whole = all(hashlib.sha256(files[suffix]).hexdigest() == stub["sha256"][suffix] for suffix in SUFFIXES)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return (stub["chunk"], files) if whole else None

    @cached_property
    def _protocol(self) -> str:
        """Of the run that is here: one of another version is whole too, though nothing is to be mixed with it."""
        with suppress(SpecError):
            return str(self.manifest().get("protocol"))
        return PROTOCOL

    def load(self, chunk: Chunk) -> pd.DataFrame:
        """A chunk's long records."""
        return as_frame([self._table(chunk.id, self._read(chunk.id))])

    def plan(self, chunks: list[str]) -> None:
        """Say which chunks make up the run so far: one that an edited plug-in left behind is no part of it any more.

        It is written whole, so not at every word: that takes at most a twentieth of the time. `close` writes the last.
        """
        self._planned = list(chunks)
        if time.monotonic() >= self._next_plan:
            start = time.monotonic()
            self._write_plan()
            self._next_plan = time.monotonic() + PLAN_PAUSE * (time.monotonic() - start)

    def _write_plan(self) -> None:
        if self._planned is not None:
            planned, self._planned = self._planned, None
            write_file(self.path / "plan.json", json.dumps([*planned, f"{SEAL}:{seal(planned)}"]).encode())

    def forget_errors(self) -> None:
        """Drop the chunks that ended in an error, and their tracebacks, so that they are done again."""
        errors = self.path / "errors"
        for path in () if errors.is_symlink() else errors.glob("*.txt"):
            if NAME.fullmatch(path.stem):
                (self.records_path / f"{path.stem}.json").unlink(missing_ok=True)
                path.unlink()

    def names(self) -> list[str]:
        """The run's chunks that are here, in a stable order."""
        files = [*(path.name for path in self.records_path.glob("*.json")), *self._archive]
        here = {stem for stem, _, suffix in (file.partition(".") for file in files) if suffix == "json"}
        here = {stem for stem in here if NAME.fullmatch(stem)}
        path = self.path / "plan.json"
        try:
            planned = json.loads(read_plain(path).decode())
            marks = [name for name in planned if name.startswith(f"{SEAL}:")]
            planned = [name for name in planned if name not in marks]
            if marks and marks != [f"{SEAL}:{seal(planned)}"]:
                raise ValueError
        except FileNotFoundError:
            return sorted(here)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            raise Damaged(f"{str(path)!r} is damaged; run its study again, and it is written anew") from None
        return sorted(here & set(planned))

    def digest(self) -> str:
        """A hash of the run's records, by the hashes that stand beside them."""
        stubs = (self.content(f"{name}.json") for name in self.names())
        return hashlib.sha256(b"".join(stubs)).hexdigest()

    def records(self, damaged: list[str] | None = None) -> pd.DataFrame:
        """All records of the run, long: a row a replica, evaluation and metric.

        A damaged chunk raises SpecError; where a list is given, it is named there and left out.
        """
        tables = []
        for name in self.names():
            read = self._read(name)
            if read is None and damaged is not None:
                damaged.append(name)
            else:
                tables.append(self._table(name, read))
        found = as_frame(tables)
        study = self.manifest()["study"]
        for column, key in (("optimizer", "optimizers"), ("game", "games")):
            if key in study and (others := set(found[column].unique()) - set(study[key])):
                raise Damaged(f"{str(self.path)!r} is damaged: {', '.join(sorted(others))} is no part of its study")
        return found

    def _table(self, name: str, found: tuple[dict[str, Any], dict[str, bytes]] | None) -> pa.Table:
        """A chunk's records of what was read; Damaged where it is: a table without them would look whole."""
        if found is None:
            raise Damaged(f"chunk {name} in {str(self.path)!r} is damaged; run its study again, and it is done anew")
        chunk, files = found
        with self._ours(name):
            return records_of(chunk, files["parquet"])

    @contextmanager
    def _ours(self, name: str) -> Iterator[None]:
        """Damaged, with what is wrong, where a chunk's content is none that was written here."""
        try:
            yield
        except ValueError as error:
            raise Damaged(f"chunk {name} in {str(self.path)!r} is none of bench: {error}") from None

    def tensors(self) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
        """Each chunk that left something to look at: (chunk, tensors)."""
        for name in self.names():
            found = self._read(name)
            if found is None:
                continue
            chunk, files = found
            with self._ours(name):
                tensors = tensors_of(files["safetensors"])
            if tensors:
                yield chunk, tensors


def files_of(name: str) -> list[str]:
    """A chunk's files; the one that says that it is there is the last."""
    return [f"{name}.{suffix}" for suffix in (*SUFFIXES, "json")]


def _short(value: object, most: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 20]}...{text[-17:]}"
