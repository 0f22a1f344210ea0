"""A run's folder: append-only, atomic, no pickle.

    study.json                 the manifest: study, protocol, versions, machine
    plan.json                  the chunks that make up the run so far
    records/<chunk>.parquet    long records of a chunk
    records/<chunk>.safetensors  what there is to look at: trajectories, samples
    records/<chunk>.json       the chunk, with the SHA-256 of both, written last: a chunk without it does not exist

Every file is written beside its place, flushed to disk and moved there, so a crash leaves the old file or the new one.
Everything else in the folder (tables, report) is derived from these and may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bench.execute import Result
from bench.plan import Chunk, chunk_id
from bench.spelling import SpecError

SCHEMA = 1
SUFFIXES = ("parquet", "safetensors")
COLUMNS = {
    "optimizer": "category", "game": "category", "hyperparameters": "category", "seed": "int64", "phase": "category",
    "trial": "int64", "cost": "float64", "seconds": "float64", "metric": "category", "value": "float64",
    "outcome": "category", "ended": "float64",
}  # fmt: skip


class InUse(Exception):  # noqa: N818  a state of the folder rather than an error
    """Another process holds the run's folder."""


def pack(chunk: Chunk, result: Result) -> dict[str, bytes]:
    """A chunk's result as the bytes of its files: what a worker sends back."""
    rows = [json.dumps(dict(row.values), sort_keys=True) for row in chunk.rows]
    shared = {"optimizer": chunk.optimizer, "game": chunk.label, "phase": chunk.phase}
    columns: dict[str, Any] = {name: [value] * len(result.records) for name, value in shared.items()}
    columns["hyperparameters"] = [rows[record["row"]] for record in result.records]
    for name in ("seed", "trial", "cost", "seconds", "metric", "value", "outcome", "ended"):
        columns[name] = [record[name] for record in result.records]
    table = pa.table({name: pa.array(columns[name], type=_arrow(kind)) for name, kind in COLUMNS.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return {"parquet": sink.getvalue().to_pybytes(), "safetensors": save_tensors(result.tensors)}


def _arrow(kind: str) -> pa.DataType:
    return pa.dictionary(pa.int32(), pa.string()) if kind == "category" else getattr(pa, kind)()


def write_file(path: Path, content: bytes) -> None:
    """Write whole or not at all: beside its place, flushed, then moved there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


class Folder:
    """A run's folder on disk; the one process that opened it for writing alone writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records_path = path / "records"
        self._lock: filelock.FileLock | None = None

    def open(self, manifest: dict[str, Any]) -> None:
        """Make or continue the run: raises InUse, or SpecError for another study's folder or one not to be written."""
        try:
            found = self.manifest() if (self.path / "study.json").exists() else None
            if found is not None:
                self._check_same(found, manifest)
            self.records_path.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
            self._lock = lock
            write_file(self.path / ".holder", f"process {os.getpid()}".encode())
            if found is None or found["study"] != manifest["study"]:
                write_file(self.path / "study.json", json.dumps(manifest, indent=2).encode())
        except filelock.Timeout:
            raise InUse(f"{self.path} is in use by {self._holder()}") from None
        except OSError as error:
            self.close()
            raise SpecError(f"run folder {str(self.path)!r} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        if self._lock is not None:
            (self.path / ".holder").unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def _holder(self) -> str:
        holder = self.path / ".holder"
        return holder.read_text() if holder.exists() else "another process"

    def manifest(self) -> dict[str, Any]:
        """The run's manifest; SpecError where there is none that this version reads."""
        path = self.path / "study.json"
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise SpecError(f"{str(self.path)!r} is no run's folder: {path.name}: {error.strerror}") from None
        except ValueError:
            raise SpecError(f"{str(path)!r} is damaged: it is not JSON") from None
        schema = found.get("schema") if isinstance(found, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise SpecError(f"{str(path)!r} has schema {schema}; up to {SCHEMA} is known here")
        if not isinstance(schema, int) or not isinstance(found.get("study"), dict):
            raise SpecError(f"{str(path)!r} is damaged: it is no study's manifest")
        return found

    def _check_same(self, found: dict[str, Any], asked: dict[str, Any]) -> None:
        for part in ("protocol", "device", "study"):
            keys = [k for k in asked[part] if found[part].get(k) != asked[part][k]] if part == "study" else []
            # Of tuning trials there may be more or fewer: what is there and is asked for is not done again.
            if (set(keys) - {"trials"}) if part == "study" else found.get(part) != asked[part]:
                changed = ", ".join(keys) or part
                where = f"run folder {str(self.path)!r}"
                raise SpecError(f"{where} holds another study (other {changed}); choose another --out")

    def has(self, chunk: Chunk) -> bool:
        """Whether the chunk's result is here whole: its hashes are checked."""
        return self._read(chunk.id) is not None

    def whole(self, name: str) -> bool:
        """Whether the chunk of this name is here whole."""
        return self._read(name) is not None

    def save(self, chunk: Chunk, files: dict[str, bytes]) -> None:
        for suffix, content in files.items():
            write_file(self.records_path / f"{chunk.id}.{suffix}", content)
        hashes = {suffix: hashlib.sha256(content).hexdigest() for suffix, content in files.items()}
        stub = {"schema": SCHEMA, "chunk": asdict(chunk), "sha256": hashes}
        write_file(self.records_path / f"{chunk.id}.json", json.dumps(stub).encode())

    def _read(self, name: str) -> tuple[dict[str, Any], dict[str, bytes]] | None:
        """A chunk and its files, or None where one is missing or damaged: the chunk is then done again."""
        try:
            stub = json.loads((self.records_path / f"{name}.json").read_text("utf-8"))
            if stub["schema"] != SCHEMA or chunk_id(stub["chunk"]) != name:
                return None
            files = {suffix: (self.records_path / f"{name}.{suffix}").read_bytes() for suffix in SUFFIXES}
            whole = all(hashlib.sha256(files[suffix]).hexdigest() == stub["sha256"][suffix] for suffix in SUFFIXES)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return (stub["chunk"], files) if whole else None

    def load(self, chunk: Chunk) -> pd.DataFrame:
        """A chunk's long records."""
        return _frame([self._whole(chunk.id)])

    def plan(self, chunks: list[str]) -> None:
        """Say which chunks make up the run so far: one that an edited plug-in left behind is no part of it any more."""
        write_file(self.path / "plan.json", json.dumps(chunks).encode())

    def forget_errors(self) -> None:
        """Drop the chunks that ended in an error, and their tracebacks, so that they are done again."""
        for path in (self.path / "errors").glob("*.txt"):
            (self.records_path / f"{path.stem}.json").unlink(missing_ok=True)
            path.unlink()

    def names(self) -> list[str]:
        """The run's chunks that are here, in a stable order."""
        here = {path.stem for path in self.records_path.glob("*.json")}
        try:
            planned = set(json.loads((self.path / "plan.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            planned = here
        return sorted(here & planned)

    def digest(self) -> str:
        """A hash of the run's records, by the hashes that stand beside them."""
        stubs = ((self.records_path / f"{name}.json").read_bytes() for name in self.names())
        return hashlib.sha256(b"".join(stubs)).hexdigest()

    def records(self, damaged: list[str] | None = None) -> pd.DataFrame:
        """All records of the run, long: a row a replica, evaluation and metric.

        A damaged chunk raises SpecError; where a list is given, it is named there and left out.
        """
        names = self.names()
        if damaged is not None:
            damaged += [name for name in names if not self.whole(name)]
        return _frame([self._whole(name) for name in names if name not in (damaged or [])])

    def _whole(self, name: str) -> pa.Table:
        """A chunk's records; SpecError where they are damaged, for a table without them would look whole."""
        found = self._read(name)
        if found is None:
            raise SpecError(f"chunk {name} in {str(self.path)!r} is damaged; run its study again, and it is done anew")
        return pq.read_table(pa.BufferReader(found[1]["parquet"]))

    def tensors(self) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
        """Each chunk that left something to look at: (chunk, tensors)."""
        for found in map(self._read, self.names()):
            if found is not None and (tensors := load_tensors(found[1]["safetensors"])):
                yield found[0], tensors


def _frame(tables: list[pa.Table]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().to_pandas()
