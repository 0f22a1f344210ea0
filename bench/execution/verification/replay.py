"""Recorded replicas trained again, by the loop, the workers and the coordinator that train a study, and compared.

A replica's bits do not depend on what it is packed with, so a chunk is trained with the replicas of the sample alone.
What ends a trial early is the company of other trials: it is left out, and the trial is compared up to its end.

On the platform that the records name every record must agree bit for bit. Elsewhere rounding moves a training, by as
much as its condition says: the replica is trained `DRAWS` times more with every gradient rounded at random
(`bench.execution.rounding`), and its score and tie-break must be within what that shows (`bench.analysis.changes`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from bench.analysis.changes import SLACK, Rounding, gap
from bench.execution.coordinator import ChunkRounds, Coordinator, Watch
from bench.execution.engine import RunOptions
from bench.execution.engines import begin
from bench.execution.process_pool import origins
from bench.execution.references import references
from bench.execution.verification.audit import Codes
from bench.execution.verification.cells import Cell, Recorded, alone
from bench.storage.run_folder import RunFolder
from bench.storage.writer import RunWriter
from bench.studies.plan import Chunk, Row
from bench.studies.study import Study

DRAWS = 3
"""Trainings with rounded gradients of a replica, where it is compared within bounds; as many as the quality gate's."""
DRAWN = range(512, 512 + DRAWS)
"""Their numbers, beyond those of a study's own."""
Difference = dict[str, Any]
"""The columns metric, cost, recorded, replayed, allowed and others of a verification's table."""
AGREES: Difference = {"metric": "", "cost": math.nan, "recorded": "", "replayed": "", "allowed": 0.0, "others": 0}


def chunks_of(cells: Sequence[Cell], exact: bool, codes: Codes) -> list[Chunk]:
    """What is trained to verify these replicas."""
    planned = []
    for chunk in alone(cells, pruner="none", reference_curves=()):
        present = replace(chunk, code=codes(chunk.rule, chunk.game))
        planned.append(present)
        if not exact:
            rows = [replace(row, trial=draw) for row in _once(present.rows) for draw in DRAWN]
            planned.append(replace(present, phase="rounded", rows=tuple(rows)))
    return planned


def _once(rows: Sequence[Row]) -> list[Row]:
    """Rows without their trials, each once."""
    return list(dict.fromkeys(replace(row, trial=-1) for row in rows))


def train(
    chunks: Sequence[Chunk],
    study: Study,
    manifest: dict[str, Any],
    out: RunFolder,
    jobs: int = 1,
    watch: Watch | None = None,
) -> RunFolder:
    """Train chunks into a new folder.

    Args:
        chunks: what is trained.
        study: what they are of.
        manifest: of the new folder.
        out: the new folder.
        jobs: how many train side by side.
        watch: is told the status.

    Returns:
        The folder. A training that ended in an error is there as one.
    """
    study.plugins.register()
    options = RunOptions(frozenset(origins(study)), jobs)
    if not options.in_process:
        options = replace(options, references=references(study))
    writer = RunWriter(out)
    writer.open(manifest)
    try:
        cost = sum(chunk.cost for chunk in chunks)
        rounds = [_one_round(chunk) for chunk in chunks]
        Coordinator(study, writer, rounds, cost, watch, partial(begin, "local", options), "all").run()
    finally:
        writer.close()
    return out


def _one_round(chunk: Chunk) -> ChunkRounds:
    yield [chunk]


class Comparer:
    """Compares recorded replicas with what was trained now.

    Args:
        replayed: the folder of what was trained now, by `train`.
        study: of the run.
        exact: whether bits must agree.
        metrics: the names of the metrics that the run knows; others are newer than it.
    """

    def __init__(self, replayed: RunFolder, study: Study, exact: bool, metrics: set[str] | None) -> None:
        self.study, self.exact, self.metrics = study, exact, metrics
        self.replayed = Recorded([], replayed.records, [])

    def compare(self, cell: Cell, recorded: pd.DataFrame) -> tuple[str, Difference]:
        """The verdict on a replica, and its first difference; its recorded rows are given."""
        replayed = self.replayed.of([cell.key])
        outcome, ended = recorded["outcome"].iloc[0], float(recorded["ended"].iloc[0])
        if outcome == "interrupted":  # by other trials: what went on beyond it is not compared
            replayed = replayed[replayed["cost"] <= ended]
        compare = self._exactly if self.exact else self._within_bounds
        return compare(cell, recorded, replayed)

    def _exactly(self, cell: Cell, recorded: pd.DataFrame, replayed: pd.DataFrame) -> tuple[str, Difference]:
        if ends := _ends(recorded, replayed, 0.0):
            return "differs", ends
        sides = [side.set_index(["cost", "metric"])["value"] for side in (recorded, self._known(recorded, replayed))]
        both = pd.concat(sides, axis=1, keys=["recorded", "replayed"])
        there = pd.concat([pd.Series(True, side.index) for side in sides], axis=1).notna().all(axis=1)
        same = (both["recorded"] == both["replayed"]) | (both.isna().all(axis=1) & there)
        return self._first(cell, both[~same], pd.Series(0.0, both.index))

    def _known(self, recorded: pd.DataFrame, replayed: pd.DataFrame) -> pd.DataFrame:
        """Without the metrics that the run did not know."""
        known = set(recorded["metric"]) | (set() if self.metrics is None else self.metrics)
        return replayed[replayed["metric"].isin(known)]

    def _within_bounds(self, cell: Cell, recorded: pd.DataFrame, replayed: pd.DataFrame) -> tuple[str, Difference]:
        described = self.study.game(cell.chunk.label)
        rule, game, _, _, seed, values = cell.key
        drawn = self.replayed.of((rule, game, "rounded", draw, seed, values) for draw in DRAWN)
        undecided, beyond = False, []
        for metric in filter(None, (described.score, described.tie_break)):
            rounding = Rounding(replayed, drawn, metric, described.dtype)
            if metric == described.score:
                step = self.study.plugins.rule(cell.chunk.optimizer).cost
                ends = _ends(recorded, replayed, max(step, SLACK * _moved_end(replayed, drawn)))
                if ends and not rounding.decides_failures:
                    return "differs", ends
                undecided = ends is not None
            sides = [
                side[side["metric"] == metric].set_index(["seed", "cost"])["value"] for side in (recorded, replayed)
            ]
            gaps = gap(sides[1], sides[0])
            allowed = pd.Series([rounding.at(cost) for cost in gaps.index.get_level_values("cost")], gaps.index)
            undecided |= bool((allowed >= 1).any()) or not rounding.measured
            both = pd.concat(sides, axis=1, keys=["recorded", "replayed"]).reindex(gaps.index)
            one_alone = gaps.isna() & both.notna().any(axis=1) & (_completed(recorded) and _completed(replayed))
            out = both[(gaps > allowed) | one_alone].droplevel("seed")
            allowed = allowed.droplevel("seed")[out.index]
            beyond.append(out.assign(metric=metric, allowed=allowed).set_index("metric", append=True))
        table = pd.concat(beyond)
        verdict, first = self._first(cell, table, table["allowed"])
        return ("undecided" if verdict == "agrees" and undecided else verdict), first

    def _first(self, cell: Cell, beyond: pd.DataFrame, allowed: pd.Series) -> tuple[str, Difference]:
        """The first difference: at the lowest cost, of the game's score before other metrics."""
        if beyond.empty:
            return "agrees", AGREES
        score = self.study.game(cell.chunk.label).score
        cost, metric = min(beyond.index, key=lambda place: (place[0], place[1] != score, place[1]))
        values = [_value(beyond.at[(cost, metric), side]) for side in ("recorded", "replayed")]
        first = {"metric": metric, "cost": cost, "recorded": values[0], "replayed": values[1]}
        return "differs", first | {"allowed": float(allowed.at[(cost, metric)]), "others": len(beyond) - 1}


def _completed(records: pd.DataFrame) -> bool:
    """Whether a replica has all its evaluations: a failed one may have ended before some of them elsewhere."""
    return bool((records["outcome"] == "ok").all())


def _moved_end(replayed: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """How far rounding moves the cost at which a replica ends."""
    moved: float = (drawn["ended"] - replayed["ended"].iloc[0]).abs().max()
    return moved


def _value(value: float) -> float | str:
    return "nothing" if value != value else float(value)


def _ends(recorded: pd.DataFrame, replayed: pd.DataFrame, slack: float) -> Difference | None:
    """How a replica ended otherwise, if it did; at another cost by more than ``slack``."""
    sides = [(str(side["outcome"].iloc[0]), float(side["ended"].iloc[0])) for side in (recorded, replayed)]
    (outcome, ended), (present, now) = sides
    if outcome == "interrupted":  # it came at least so far
        same = present == "ok" or (present == "diverged" and now > ended)
    else:
        same = outcome == present and abs(now - ended) <= slack * (1 + 1e-9)
    words = [f"{outcome} (cost {ended:g})" for outcome, ended in sides]
    return None if same else AGREES | {"metric": "outcome", "recorded": words[0], "replayed": words[1]}
