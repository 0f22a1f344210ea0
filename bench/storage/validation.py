"""Whether what a folder holds is what this suite writes: it may be damaged, or come from a stranger.

Hashes tell of damage alone, for a stranger can make them. What passes here may be read by all that reports on a run:
it has the names, kinds, shapes and sizes that a run's have. Nothing is loaded or executed to find out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from math import inf
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic asks for it below Python 3.12
)

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, Strict, StrictStr, TypeAdapter, ValidationError, create_model
from torch import Tensor
from typing_extensions import TypedDict

from bench.errors import UserError, key_path
from bench.registry.description import Descriptions
from bench.studies.labels import check_labels
from bench.studies.seeds import MOST_SEED
from bench.studies.study import BUDGETS, Study

OUTCOMES = {"ok", "diverged", "interrupted", "error"}
LONGEST = 4096  # letters of a spelling
METRICS = 200  # at most, of one game
SERIES = {"path": 3, "samples": 3, "spectrum_start": 3, "spectrum_end": 3, "angle": 2}
"""Tensors that are drawn -> how many dimensions they have at least."""
_CLOSED = ConfigDict(extra="forbid", strict=True)


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
    weights: Literal["none", "median", "all"] = "median"
    labels: dict[str, str] = {}
    continued: Annotated[str, Field(max_length=LONGEST)] = ""


@cache
def _study() -> TypeAdapter[Any]:
    """The kinds of a study's keys, without what checks names: that would load the plug-ins they name."""
    plain: dict[str, Any] = {
        name: (field.annotation, ... if field.is_required() else field.get_default(call_default_factory=True))
        for name, field in Study.model_fields.items()
    }
    return TypeAdapter(create_model("Plain", __config__=ConfigDict(extra="forbid"), **plain))


def validate_manifest(found: Any) -> str:
    """What is wrong with a run's manifest, in words; "" for nothing."""
    try:
        labels = _Manifest.model_validate(found).labels
        study = _study().validate_python(found["study"])
    except ValidationError as error:
        first = error.errors()[0]
        return f"{key_path(first['loc']) or 'it'}: {first['msg'].lower()}"
    spelled = [*study.optimizers, *study.games]
    if not spelled or any(not one.isprintable() or len(one) > LONGEST for one in spelled):
        return "a name in it is none"
    try:
        check_labels(labels, study.optimizers)
    except UserError as error:
        return str(error)
    if study.budget not in BUDGETS if isinstance(study.budget, str) else not 0 < study.budget < inf:
        return f"its budget is {study.budget!r:.60}"
    if any(not 0 <= seed < MOST_SEED for seed in study.seeds):
        return "a seed in it is none"
    if any(count < 1 for count in study.added_seeds) or sum(study.added_seeds) >= max(1, len(study.seeds)):
        return "its added seeds are none"
    return ""


class _Row(TypedDict):
    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    seed: int
    values: list[Annotated[tuple[StrictStr, Any], Strict(False)]]
    trial: int


class _Chunk(TypedDict):
    __pydantic_config__ = _CLOSED  # type: ignore[misc]
    optimizer: str
    rule: str
    game: str
    label: str
    phase: Literal["tune", "rerank", "report", "untuned", "rounded"]
    budget: Any
    marks: int
    pruner: str
    rivals: Any
    device: str
    code: str
    rows: Annotated[list[_Row], Field(min_length=1)]
    continues: NotRequired[list[float]]


@cache
def _chunk() -> TypeAdapter[_Chunk]:
    return TypeAdapter(_Chunk)


def validate_chunk(found: Any) -> bool:
    """Whether JSON is a chunk as this suite plans them."""
    try:
        _chunk().validate_python(found)
    except ValidationError:
        return False
    return True


def most_rows(chunk: Mapping[str, Any]) -> int:
    """More records than this no chunk has."""
    rows, marks = len(chunk["rows"]), int(chunk["marks"])
    segments = 1 + len(chunk.get("continues", ()))
    return rows * (max(marks, 0) + 2) * segments * METRICS


def validate_records(table: pa.Table, chunk: Mapping[str, Any], kinds: Mapping[str, pa.DataType]) -> str:
    """What is wrong with a chunk's records, in words; "" for nothing."""
    if table.schema.names != list(kinds) or any(table.schema.field(name).type != kinds[name] for name in kinds):
        return "its columns are others"
    if any(table[name].null_count for name in kinds):
        return "a number or a name is missing"
    try:
        table.validate(full=True)
        table = table.combine_chunks().unify_dictionaries()
        words = {name: _words(table, name) for name in kinds if pa.types.is_dictionary(kinds[name])}
        rows = {(row["seed"], row["trial"], json.dumps(dict(row["values"]), sort_keys=True)) for row in chunk["rows"]}
        found = _distinct(table, ("seed", "trial", "hyperparameters"))
        found = {(seed, trial, words["hyperparameters"][at]) for seed, trial, at in found}
    except (pa.ArrowException, UnicodeDecodeError, ValueError, TypeError, IndexError) as error:
        return " ".join(str(error).split())[:100]
    own = {"optimizer": chunk["optimizer"], "game": chunk["label"], "phase": chunk["phase"]}
    if any(set(words[name]) - {value} for name, value in own.items()) or found - rows:
        return "its records are of another chunk"
    if set(words["outcome"]) - OUTCOMES:
        return "an outcome is none"
    if len(_distinct(table, ("seed", "trial", "hyperparameters", "metric", "cost"))) != table.num_rows:
        return "a record stands twice"
    if not all(np.isfinite(table[name].to_numpy()).all() for name in ("cost", "ended", "seconds")):
        return "a cost is no finite number"
    return ""


def _words(table: pa.Table, name: str) -> list[str]:
    """What a column of words may say, each word once."""
    chunks = table[name].chunks
    found: list[str] = chunks[0].dictionary.to_pylist() if chunks else []
    if len(set(found)) != len(found):
        raise ValueError(f"{name} has a word twice")
    return found


def _distinct(table: pa.Table, names: tuple[str, ...]) -> set[tuple[Any, ...]]:
    """Each combination of values once; a word by its place among the column's words."""
    columns = {name: table[name] for name in names}
    for name, column in columns.items():
        if pa.types.is_dictionary(column.type):
            columns[name] = pa.chunked_array([part.indices for part in column.chunks], type=pa.int32())
    numbers = [column.to_numpy() for column in columns.values()]
    return set(zip(*(column.tolist() for column in numbers), strict=True))


def validate_tensors(tensors: Mapping[str, Tensor]) -> str:
    """What is wrong with what there is to look at, in words; "" for nothing."""
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
    for name in ("real", "from", "true"):
        if name in tensors and (tensors[name].ndim < 2 or not tensors[name].is_floating_point()):
            return f"{name} has shape {list(tensors[name].shape)}"
    return ""
