"""Runs that are not what was trained: their files are written anew with hashes that hold, as a forger would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.execution.training import execute
from bench.storage.files import write_file
from bench.storage.manifest import sealed
from bench.storage.records import TYPES, pack
from bench.storage.run_folder import RunFolder
from bench.storage.writer import RunWriter
from bench.studies.plan import Chunk

Edit = Callable[[pd.DataFrame], pd.DataFrame]


def chunks(folder: Path, phase: str, rule: str = "sgd", game: str = "dirac") -> list[Chunk]:
    """The stored chunks of a phase of a rule on a game."""
    run = RunFolder(folder)
    every = [Chunk.of_content(content) for name in run.names() if (content := run.chunk(name)) is not None]
    return [chunk for chunk in every if (chunk.phase, chunk.optimizer, chunk.label) == (phase, rule, game)]


def edit(folder: Path, chunk: Chunk, change: Edit, mend: bool = True) -> None:
    """Change the records of a chunk; with ``mend`` its hashes are made to hold."""
    records = folder / "records"
    table = pq.read_table(records / f"{chunk.id}.parquet").to_pandas()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(change(table), pa.schema(TYPES), preserve_index=False), sink)
    content = sink.getvalue().to_pybytes()
    write_file(records / f"{chunk.id}.parquet", content)
    if mend:
        stub = json.loads((records / f"{chunk.id}.json").read_text())
        stub["sha256"]["parquet"] = hashlib.sha256(content).hexdigest()
        write_file(records / f"{chunk.id}.json", json.dumps(stub).encode())


def replace(folder: Path, old: Iterable[Chunk], new: Iterable[Chunk]) -> None:
    """Put other chunks in the place of some: they are truly trained, and the plan names them."""
    run, writer = RunFolder(folder), RunWriter(RunFolder(folder))
    gone = {chunk.id for chunk in old}
    planned = [name for name in run.names() if name not in gone]
    writer.open(run.read_manifest())
    try:
        for chunk in new:
            writer.save(chunk, pack(chunk, execute(chunk)))
            planned.append(chunk.id)
        writer.plan(planned)
    finally:
        writer.close()


def manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a run's manifest, whose hash is made to hold."""
    content = json.loads((folder / "study.json").read_text())
    change(content)
    write_file(folder / "study.json", sealed(content))
