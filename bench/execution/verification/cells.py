"""The recorded replicas of a run, and the random sample of them that is trained again.

The sample is decided by its seed and the names of the replicas alone, whatever the machine, so that anyone can draw it
again. It goes round all pairs of a rule and a game before it comes to one a second time. Replicas of the report and of
tuning take turns within a pair; which come first is drawn too.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import UserError
from bench.storage.baseline import Baseline
from bench.storage.run_folder import RunFolder
from bench.studies.plan import Chunk, Row
from bench.studies.study import Study

CELLS = 20
"""How many replicas are trained again where nothing else is asked for."""
SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
FILE = re.compile(r"[^\[\],={}|]+\.py(?=:)")
"""A file in a spelling."""
KEY = ["optimizer", "game", "phase", "trial", "seed", "hyperparameters"]
"""The columns of records that name a replica."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """One recorded replica: its row, and the chunk that it was trained in."""

    chunk: Chunk
    row: Row

    @property
    def pair(self) -> tuple[str, str]:
        """(rule, game) as the study spells them."""
        return self.chunk.optimizer, self.chunk.label

    @cached_property
    def key(self) -> Key:
        """What its records say in the columns KEY."""
        values = json.dumps(dict(self.row.values), sort_keys=True)
        return (*self.pair, self.chunk.phase, self.row.trial, self.row.seed, values)

    @property
    def name(self) -> str:
        """The replica in words."""
        rule, game, phase, trial, seed, _ = self.key
        number = f", {'draw' if phase == 'rounded' else 'trial'} {trial}" if trial >= 0 else ""
        values = f", {shown(self.row.values)}" if self.row.values else ""
        return f"{rule} on {game}, {phase}{number}, seed {seed}{values}"


def shown(values: Iterable[tuple[str, Any]]) -> str:
    """Hyperparameters in words; "its declared values" for none."""
    return ", ".join(f"{path}={value!r}" for path, value in values) or "its declared values"


class Recorded:
    """What a run or a baseline holds: every replica with its records.

    Args:
        cells: its replicas.
        records: its long records.
        damaged: the names of chunks whose content is not what their hashes say; none of their replicas is here.
    """

    def __init__(self, cells: list[Cell], records: pd.DataFrame, damaged: list[str]) -> None:
        self.cells, self.damaged = cells, damaged
        words = [name for name in records if isinstance(records[name].dtype, pd.CategoricalDtype)]
        self.records = records.astype(dict.fromkeys(words, object))
        self.rows: dict[Key, NDArray[np.intp]] = self.records.groupby(KEY).indices if len(records) else {}
        self.outcomes = self.records["outcome"].to_numpy()

    def outcome(self, cell: Cell) -> str:
        """How a replica ended; "" where it has no records."""
        rows = self.rows.get(cell.key)
        return "" if rows is None else str(self.outcomes[rows[0]])

    def of(self, keys: Iterable[Key]) -> pd.DataFrame:
        """The records of replicas by their keys; none of those that are not here."""
        places = [self.rows[key] for key in keys if key in self.rows]
        return self.records.iloc[np.concatenate(places) if places else []]


def recorded(run: RunFolder | Baseline, study: Study) -> Recorded:
    """The replicas of a run or a baseline; UserError where there are none."""
    damaged: list[str] = []
    if isinstance(run, Baseline):
        records, cells = run.records, list(_of_baseline(run, study))
    else:
        records = run.read_records(damaged)
        cells = list(_of_folder(run, damaged))
        _refuse_other_code(run, study, cells)
    if not cells and not damaged:
        raise UserError(f"{str(run.path)!r} has no records: there is nothing to verify")
    return Recorded(cells, records, damaged)


def _refuse_other_code(run: RunFolder, study: Study, cells: Iterable[Cell]) -> None:
    """Refuse chunks that name files of code which the study does not: to train them would execute these."""
    known = {file for spelled in (*study.optimizers, *study.games) for file in FILE.findall(spelled)}
    spelled = dict.fromkeys(name for cell in cells for name in (cell.chunk.rule, cell.chunk.game))
    for file in (file for name in spelled for file in FILE.findall(name)):
        if file not in known:
            raise UserError(f"{str(run.path)!r} has records that name code which its study does not: {file}")


def _of_folder(run: RunFolder, damaged: list[str]) -> Iterator[Cell]:
    for name in run.names():
        content = None if name in damaged else run.chunk(name)
        if content is not None:
            chunk = Chunk.of_content(content)
            yield from (Cell(chunk, row) for row in chunk.rows)


def _of_baseline(run: Baseline, study: Study) -> Iterator[Cell]:
    """A baseline holds no chunks: those of its study's rules and games, with the values that its records name."""
    replicas = run.records[KEY].drop_duplicates().astype(str).astype({"trial": int, "seed": int})
    for (rule, game, phase), part in replicas.groupby(KEY[:3], sort=False):
        rows = [
            Row(seed, tuple((path, _value(value)) for path, value in sorted(json.loads(values).items())), trial)
            for trial, seed, values in zip(part["trial"], part["seed"], part["hyperparameters"], strict=True)
        ]
        for chunk in study.task(rule, game, run.manifest["device"]).chunks(rows, phase):
            yield from (Cell(chunk, row) for row in chunk.rows)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def sample_size(count: int, cells: int | None, share: str | None) -> int:
    """How many of so many replicas are asked for; UserError for a number or a share that is none."""
    if cells is not None and share is not None:
        raise UserError("found cells and sample; give one of them")
    if share is not None:
        match = SHARE.fullmatch(share.strip())
        if not match or not 0 < float(match[1]) <= 100:
            raise UserError(f"sample is {share!r}; a share above 0 % and up to 100 % is allowed, e.g. 5%")
        return max(1, math.ceil(count * float(match[1]) / 100 - 1e-9))
    wanted = CELLS if cells is None else cells
    if wanted < 1:
        raise UserError(f"cells is {wanted}; a whole number of at least 1 is allowed")
    return min(wanted, count)


def draw(cells: Sequence[Cell], count: int, seed: int) -> list[Cell]:
    """So many replicas at random: every pair of a rule and a game once before any of them twice."""
    by_pair: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in sorted(cells, key=lambda cell: _drawn(seed, cell.key)):
        by_pair[cell.pair].append(cell)
    pairs = sorted(by_pair, key=lambda pair: _drawn(seed, pair))
    queues = [_in_turn(by_pair[pair]) for pair in pairs]
    return [cell for turn in zip_longest(*queues) for cell in turn if cell is not None][:count]


def _in_turn(drawn: Sequence[Cell]) -> list[Cell]:
    """Replicas of one pair in the order drawn, those of the report and the others in turn."""
    reports = [cell for cell in drawn if cell.chunk.phase == "report"]
    others = [cell for cell in drawn if cell.chunk.phase != "report"]
    parts = sorted((part for part in (reports, others) if part), key=lambda part: drawn.index(part[0]))
    return [cell for turn in zip_longest(*parts) for cell in turn if cell is not None]


def _drawn(seed: int, name: Key) -> str:
    """A number at random for a name, in hexadecimal digits: the same on every machine."""
    return hashlib.sha256(json.dumps([seed, *name]).encode()).hexdigest()


def alone(cells: Sequence[Cell], **changes: Any) -> list[Chunk]:
    """Chunks of these replicas alone, one for each chunk that they were trained in.

    Args:
        cells: the replicas.
        changes: fields of a chunk that are to be other than recorded.
    """
    rows: dict[Chunk, list[Row]] = defaultdict(list)
    for cell in cells:
        rows[cell.chunk].append(cell.row)
    return [replace(chunk, rows=tuple(rows[chunk]), **changes) for chunk in rows]
