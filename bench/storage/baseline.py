"""A baseline: the part of a run that a comparison needs, in two small files for a repository.

    study.json         the run's manifest, with the SHA-256 of the records; it holds its own hash
    records.parquet    the records of each game's score: the report's, and those with rounded gradients

The same run gives the same bytes: wall seconds are left out.
"""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.errors import UserError
from bench.storage.files import read_regular, write_file
from bench.storage.manifest import sealed
from bench.storage.records import TYPES, Damaged, as_parquet, from_parquet
from bench.storage.run_folder import RunFolder
from bench.storage.validation import OUTCOMES
from bench.studies.study import Study

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

RECORDS, DIGEST = "records.parquet", "records_sha256"
MOST = 10_000_000  # records; an untrusted file may hold any number


def holds(path: Path) -> bool:
    """Whether a folder is a baseline."""
    return (path / RECORDS).is_file()


def history_of(folder: Path) -> list[Path]:
    """The baselines and runs right below a folder by name, numbers in a name as numbers: the oldest first."""

    def counted(path: Path) -> list[int | str]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]

    return sorted((path.parent for path in folder.glob("*/study.json")), key=counted)


class Baseline:
    """The baseline of a run.

    Args:
        path: the folder that `write_baseline` wrote. Raises UserError where it holds none, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = RunFolder(path).manifest
        try:
            content = read_regular(path / RECORDS)
        except OSError as error:
            raise UserError(f"{str(path)!r} holds no baseline: {RECORDS}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != self.manifest.get(DIGEST):
            raise Damaged(f"{str(path / RECORDS)!r} is damaged: its hash is another")
        self.records = _read(content, path / RECORDS)

    @cached_property
    def study(self) -> Study:
        """The study as it was requested, with the descriptions of its games and metrics at that time."""
        return Study.recorded(self.manifest["study"], self.manifest.get("descriptions", {}))


def write_baseline(run: RunFolder, to: Path) -> Path:
    """Write a run's baseline; an earlier baseline is replaced, any other content refused."""
    if to.exists() and not holds(to) and (not to.is_dir() or any(to.iterdir())):
        raise UserError(f"{str(to)!r} is there already and no baseline; choose another --to")
    described, records = {game: run.study.game(game) for game in run.study.games}, run.records
    games, metrics = records["game"].astype(str), records["metric"].astype(str)
    scores, ties = (
        games.map({game: getattr(of, name) for game, of in described.items()}) for name in ("score", "tie_break")
    )
    is_kept = ((metrics == scores) | (metrics == ties)) & records["phase"].isin(["report", "rounded"])
    order = ["phase", "trial", "game", "optimizer", "seed", "cost", "metric"]
    kept_records = records[is_kept].assign(seconds=0.0).sort_values(order, kind="stable", key=_plain)
    content = as_parquet(pa.Table.from_pandas(kept_records, pa.schema(TYPES), preserve_index=False))
    manifest = run.manifest | {DIGEST: hashlib.sha256(content).hexdigest()}
    try:
        to.mkdir(parents=True, exist_ok=True)
        write_file(to / RECORDS, content)
        write_file(to / "study.json", sealed(manifest) + b"\n")
    except OSError as error:
        raise UserError(f"{str(to)!r} cannot be written: {error.strerror}") from None
    return to


def _plain(column: pd.Series) -> pd.Series:
    return column.astype(str) if isinstance(column.dtype, pd.CategoricalDtype) else column


def _read(content: bytes, path: Path) -> pd.DataFrame:
    """The records, validated."""
    try:
        table = from_parquet(content, MOST)
    except ValueError as error:
        raise Damaged(f"{str(path)!r} is none of bench: {error}") from None
    if table.schema.names != list(TYPES) or table.schema.types != list(TYPES.values()):
        raise Damaged(f"{str(path)!r} is none of bench: its columns are others")
    records: pd.DataFrame = table.unify_dictionaries().to_pandas()
    numbers = records[["seed", "cost", "ended"]].to_numpy(float)
    if set(records["outcome"].unique()) - OUTCOMES or not np.isfinite(numbers).all() or table["value"].null_count:
        raise Damaged(f"{str(path)!r} is none of bench: a record in it is none")
    return records
