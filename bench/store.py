"""A run's folder: append-only, atomic, no pickle.

    study.json                 the manifest: study, protocol, versions, machine
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
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bench.execute import Result
from bench.plan import Chunk
from bench.spelling import SpecError, write

SCHEMA = 1
COLUMNS = {
    "optimizer": "category", "game": "category", "hyperparameters": "category", "seed": "int64", "phase": "category",
    "trial": "int64", "cost": "float64", "seconds": "float64", "metric": "category", "value": "float64",
    "outcome": "category", "ended": "float64",
}  # fmt: skip


class InUse(Exception):
    """Another process holds the run's folder."""


def pack(chunk: Chunk, result: Result) -> dict[str, bytes]:
    """A chunk's result as the bytes of its files: what a worker sends back."""
    rows = [json.dumps({k: v for k, v in row.values}, sort_keys=True) for row in chunk.rows]
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
        """Make or continue the run: raises InUse, or SpecError for another study's folder or one that can't be written."""
        found = self.manifest() if (self.path / "study.json").exists() else None
        if found is not None:
            self._check_same(found, manifest)
        try:
            self.records_path.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(self.path / ".lock")
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InUse(f"{self.path} is in use by {self._holder()}") from None
        except OSError as error:
            raise SpecError(f"run folder {str(self.path)!r} cannot be written: {error.strerror}") from None
        write_file(self.path / ".holder", f"process {os.getpid()}".encode())
        if found is None:
            write_file(self.path / "study.json", json.dumps(manifest, indent=2).encode())

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
        if not isinstance(found, dict) or found.get("schema", SCHEMA + 1) > SCHEMA:
            raise SpecError(f"{str(path)!r} has schema {found.get('schema')!r}; up to {SCHEMA} is known here")
        return found

    def _check_same(self, found: dict[str, Any], asked: dict[str, Any]) -> None:
        for part in ("protocol", "device", "study"):
            if found.get(part) != asked[part]:
                changed = part
                if part == "study":
                    changed = ", ".join(k for k in asked[part] if found[part].get(k) != asked[part][k])
                raise SpecError(f"run folder {str(self.path)!r} holds another study ({changed} differ); choose another --out")

    def has(self, chunk: Chunk) -> bool:
        """Whether the chunk's result is here whole: its hashes are checked."""
        return self._read(chunk.id) is not None

    def save(self, chunk: Chunk, files: dict[str, bytes]) -> None:
        for suffix, content in files.items():
            write_file(self.records_path / f"{chunk.id}.{suffix}", content)
        hashes = {suffix: hashlib.sha256(content).hexdigest() for suffix, content in files.items()}
        stub = {"schema": SCHEMA, "chunk": asdict(chunk), "sha256": hashes}
        write_file(self.records_path / f"{chunk.id}.json", json.dumps(stub).encode())

    def _read(self, name: str) -> dict[str, bytes] | None:
        """A chunk's files, or None where one is missing or damaged: the chunk is then done again."""
        try:
            hashes = json.loads((self.records_path / f"{name}.json").read_text("utf-8"))["sha256"]
            files = {suffix: (self.records_path / f"{name}.{suffix}").read_bytes() for suffix in hashes}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = all(hashlib.sha256(files[suffix]).hexdigest() == digest for suffix, digest in hashes.items())
        return files if whole else None

    def load(self, chunk: Chunk) -> pd.DataFrame:
        """A chunk's long records."""
        files = self._read(chunk.id)
        if files is None:
            raise FileNotFoundError(f"chunk {chunk.id} is not in {self.path}")
        return _frame([pq.read_table(pa.BufferReader(files["parquet"]))])

    def names(self) -> list[str]:
        """The chunks that are here, in a stable order."""
        return sorted(path.stem for path in self.records_path.glob("*.json"))

    def records(self) -> pd.DataFrame:
        """All records of the run, long: a row a replica, evaluation and metric."""
        found = [files for name in self.names() if (files := self._read(name)) is not None]
        return _frame([pq.read_table(pa.BufferReader(files["parquet"])) for files in found])

    def tensors(self) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
        """Each report chunk that left something to look at: (chunk, tensors)."""
        for name in self.names():
            files = self._read(name)
            if files is None:
                continue
            chunk = json.loads((self.records_path / f"{name}.json").read_text("utf-8"))["chunk"]
            try:
                tensors = load_tensors(files["safetensors"])
            except SafetensorError:
                continue
            if tensors:
                yield chunk, tensors


def _frame(tables: list[pa.Table]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().to_pandas()


def values_of(text: str) -> str:
    """Hyperparameters as people read them: ``lr=0.1``."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
    return ", ".join(f"{key}={write(value)}" for key, value in values.items())
