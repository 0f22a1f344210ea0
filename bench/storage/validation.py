"""Validation of a folder's content, which may be damaged or come from an untrusted source.

Hashes detect damage only, because anyone can compute them. Content that passes has the names, types, shapes and sizes
of a run's content, and is safe for the report to read. The validation loads and executes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model
from torch import Tensor

from bench.registry.description import Descriptions
from bench.studies.plan import STORED, Chunk
from bench.studies.study import MOST_SEED, Study

OUTCOMES = {"ok", "diverged", "interrupted", "error"}
PHASES = {"tune", "rerank", "report", "untuned", "rounded"}
LONGEST = 4096  # letters of a spelling
METRICS = 200  # at most, of one game
SERIES = {"path": 3, "samples": 3, "spectrum_start": 3, "spectrum_end": 3, "angle": 2}
"""Tensors that are drawn -> how many dimensions they have at least."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")
    environment: dict[str, str | int | float | None] = {}


class _Manifest(_Part):
    schema_: Any = None
    protocol: str
    device: str
    command: str | None = ""
    merged: list[_Part] = []
    descriptions: Descriptions = Descriptions()


@cache
def _study() -> TypeAdapter[Any]:
    """The types of a study's keys, without the validation of names, which would load plug-ins."""
    plain: dict[str, Any] = {
        name: (field.annotation, ... if field.is_required() else field.get_default(call_default_factory=True))
        for name, field in Study.model_fields.items()
    }
    return TypeAdapter(create_model("Plain", __config__=ConfigDict(extra="forbid"), **plain))


def validate_manifest(manifest: Any) -> str:
    """What is wrong with a run's manifest; "" if it is valid."""
    try:
        _Manifest.model_validate(manifest)
        study = _study().validate_python(manifest["study"])
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg'].lower()}"
    spelled = [*study.optimizers, *study.games]
    if not spelled or any(not one.isprintable() or len(one) > LONGEST for one in spelled):
        return "a name in it is none"
    if any(not 0 <= seed < MOST_SEED for seed in study.seeds):
        return "a seed in it is none"
    return ""


def validate_chunk(chunk: Any) -> bool:
    """Whether JSON describes a chunk of this suite."""
    if not isinstance(chunk, dict) or set(chunk) != {STORED.get(name, name) for name in Chunk.__dataclass_fields__}:
        return False
    words = ("optimizer", "rule", "game", "label", "phase", "pruner", "device", "code")
    if not all(isinstance(chunk[key], str) for key in words) or chunk["phase"] not in PHASES:
        return False
    rows = chunk["rows"]
    if type(chunk["marks"]) is not int or not isinstance(rows, list) or not rows:
        return False
    return all(isinstance(row, dict) and set(row) == {"seed", "values", "trial"} for row in rows) and all(
        type(row["seed"]) is int and type(row["trial"]) is int and _pairs(row["values"]) for row in rows
    )


def _pairs(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in values
    )


def most_rows(chunk: Mapping[str, Any]) -> int:
    """The largest number of records that a chunk can have."""
    rows, marks = len(chunk["rows"]), int(chunk["marks"])
    return rows * (max(marks, 0) + 2) * METRICS


def validate_records(table: pa.Table, chunk: Mapping[str, Any], kinds: Mapping[str, pa.DataType]) -> str:
    """What is wrong with a chunk's records; "" if they are valid."""
    if table.schema.names != list(kinds) or any(table.schema.field(name).type != kinds[name] for name in kinds):
        return "its columns are others"
    if any(table[name].null_count for name in kinds):
        return "a number or a name is missing"
    try:
        table.validate(full=True)
        table = table.combine_chunks().unify_dictionaries()
        words = {name: _words(table, name) for name in kinds if pa.types.is_dictionary(kinds[name])}
        rows = {(row["seed"], row["trial"], json.dumps(dict(row["values"]), sort_keys=True)) for row in chunk["rows"]}
        stored_rows = _distinct(table, ("seed", "trial", "hyperparameters"))
        stored_rows = {(seed, trial, words["hyperparameters"][at]) for seed, trial, at in stored_rows}
    except (pa.ArrowException, UnicodeDecodeError, ValueError, TypeError, IndexError) as error:
        return " ".join(str(error).split())[:100]
    expected = {"optimizer": chunk["optimizer"], "game": chunk["label"], "phase": chunk["phase"]}
    if any(set(words[name]) - {value} for name, value in expected.items()) or stored_rows - rows:
        return "its records are of another chunk"
    if set(words["outcome"]) - OUTCOMES:
        return "an outcome is none"
    if len(_distinct(table, ("seed", "trial", "hyperparameters", "metric", "cost"))) != table.num_rows:
        return "a record stands twice"
    if not all(np.isfinite(table[name].to_numpy()).all() for name in ("cost", "ended", "seconds")):
        return "a cost is no finite number"
    return ""


def _words(table: pa.Table, name: str) -> list[str]:
    """The distinct words of a column."""
    chunks = table[name].chunks
    words: list[str] = chunks[0].dictionary.to_pylist() if chunks else []
    if len(set(words)) != len(words):
        raise ValueError(f"{name} has a word twice")
    return words


def _distinct(table: pa.Table, names: tuple[str, ...]) -> set[tuple[Any, ...]]:
    """The distinct combinations of values; a word is its index among the column's words."""
    columns = {name: table[name] for name in names}
    for name, column in columns.items():
        if pa.types.is_dictionary(column.type):
            columns[name] = pa.chunked_array([part.indices for part in column.chunks], type=pa.int32())
    numbers = [column.to_numpy() for column in columns.values()]
    return set(zip(*(column.tolist() for column in numbers), strict=True))


def validate_tensors(tensors: Mapping[str, Tensor]) -> str:
    """What is wrong with a chunk's tensors; "" if they are valid."""
    for name, least in SERIES.items():
        if name not in tensors:
            continue
        held = tensors[name]
        if held.ndim < least or not held.numel() or not held.is_floating_point():
            return f"{name} has shape {list(held.shape)}"
        if name in ("path", "samples") and tensors.get(f"{name}_cost", held[:0]).shape != held.shape[:1]:
            return f"{name} has another length than its costs"
        if (name == "path" and held.shape[2] != 2) or (name.startswith("spectrum") and held.shape[2] != 3):
            return f"{name} has shape {list(held.shape)}"
    return ""
