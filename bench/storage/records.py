"""A chunk's result as bytes and back: long records in Parquet, tensors for figures in safetensors; no pickle.

A row is a replica, evaluation and metric. All content is validated before use, because a folder may come from anyone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bench.contracts.game import FROM, TRUE
from bench.errors import UserError
from bench.storage.validation import most_rows, validate_records, validate_tensors
from bench.studies.plan import Chunk


@dataclass
class Result:
    """The result of a chunk: rows of records, tensors for figures (trajectories, samples), errors of metrics.

    ``weights`` are the final parameters, seed -> [n], of the replicas that a run may keep.
    """

    records: list[dict[str, Any]]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    weights: dict[int, Tensor] = field(default_factory=dict)


SUFFIXES = ("parquet", "safetensors")
PICTURED = ("samples", "samples_cost", "real", FROM, TRUE)
"""The tensors that pictures of samples are made of, most of what the records of a GAN weigh."""
COLUMNS = {
    "optimizer": "category", "game": "category", "hyperparameters": "category", "seed": "int64", "phase": "category",
    "trial": "int64", "cost": "float64", "seconds": "float64", "metric": "category", "value": "float64",
    "outcome": "category", "ended": "float64",
}  # fmt: skip

TYPES: dict[str, pa.DataType] = {
    name: pa.dictionary(pa.int32(), pa.string()) if kind == "category" else getattr(pa, kind)()
    for name, kind in COLUMNS.items()
}
"""What the columns of records are stored as."""
CATEGORIES = [name for name, kind in COLUMNS.items() if kind == "category"]


class Damaged(UserError):  # noqa: N818  a state of the folder rather than an error
    """A file is not as it was written: the same command repeats its chunk."""


def pack(chunk: Chunk, result: Result) -> dict[str, bytes]:
    """A chunk's result as the bytes of its files: what a worker sends back."""
    rows = [json.dumps(dict(row.values), sort_keys=True) for row in chunk.rows]
    shared = {"optimizer": chunk.optimizer, "game": chunk.label, "phase": chunk.phase}
    columns: dict[str, Any] = {name: [value] * len(result.records) for name, value in shared.items()}
    columns["hyperparameters"] = [rows[record["row"]] for record in result.records]
    for name in ("seed", "trial", "cost", "seconds", "metric", "value", "outcome", "ended"):
        columns[name] = [record[name] for record in result.records]
    table = pa.table({name: pa.array(columns[name], type=kind) for name, kind in TYPES.items()})
    return {"parquet": as_parquet(table), "safetensors": save_tensors(result.tensors)}


def as_parquet(table: pa.Table) -> bytes:
    """Long records as a Parquet file, as small as it gets: a run has thousands, most of them of a few rows.

    A file is read whole, so it has no statistics; it has no schema of Arrow beside Parquet's own, see `TYPES`; and
    measured values, which hardly repeat, are stored byte by byte instead of in a dictionary.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        write_statistics=False,
        store_schema=False,
        use_dictionary=[name for name in TYPES if name != "value"],
        column_encoding={"value": "BYTE_STREAM_SPLIT"},
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def from_parquet(content: bytes, most: int) -> pa.Table:
    """A table that `as_parquet` wrote, in this version or a former one, not validated.

    Raises ValueError, with what is wrong, where it is none or has more rows than ``most``; they are not read then.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=CATEGORIES)
        if file.metadata.num_rows > most:
            raise ValueError("it holds too much")
        return file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(_line(error)) from None


def records_of(chunk: dict[str, Any], content: bytes) -> pa.Table:
    """A chunk's long records of a Parquet file; ValueError, with what is wrong, where they are none of that chunk."""
    table = from_parquet(content, most_rows(chunk))
    if wrong := validate_records(table, chunk, TYPES):
        raise ValueError(wrong)
    return table


def tensors_of(content: bytes) -> dict[str, Tensor]:
    """A chunk's tensors of a safetensors file; ValueError, with what is wrong, where they are none of ours."""
    try:
        tensors: dict[str, Tensor] = load_tensors(content)
        wrong = validate_tensors(tensors)
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        wrong = _line(error)
    if wrong:
        raise ValueError(wrong)
    return tensors


def without_samples(content: bytes) -> bytes:
    """A chunk's safetensors file without what pictures of samples are made of; ValueError as `tensors_of`."""
    tensors = tensors_of(content)
    kept = {name: tensor for name, tensor in tensors.items() if name not in PICTURED}
    return content if len(kept) == len(tensors) else save_tensors(kept)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:100]


def as_frame(tables: list[pa.Table]) -> pd.DataFrame:
    """Records of many chunks as one frame; its columns where there is none."""
    if not tables:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().to_pandas()
