"""What records say of themselves: whether they are those that the study would have made. Nothing is trained.

Every chunk's hashes are checked, and the sources of plug-ins against those that were trained. Then tuning is gone
through again by the function that tuned (`bench.studies.tuning.tuner.tune`), which is sent the recorded trials: the
trials, the seeds, the step sizes tried, the curves that the pruner compared with, and the value that is chosen must be
those that are recorded, and the report must have been trained at that value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from bench.errors import UserError
from bench.execution.coordinator import report_chunks
from bench.execution.verification.cells import Cell, Recorded, shown
from bench.execution.verification.pruned import given_up
from bench.registry.identity import plugin_code
from bench.storage.baseline import Baseline
from bench.storage.run_folder import RunFolder
from bench.studies.plan import Chunk, Row, Task, Values
from bench.studies.study import Study
from bench.studies.tuning.tuner import tune

TOLD = 5  # how many seeds, trials or names a line lists
CHECKED = ("rule", "game", "budget", "evaluations", "pruner", "reference_curves", "continues")
"""Fields of a chunk that must be as planned; its rows are compared one by one."""
DECISIVE = {
    "games": ("score", "tie_break", "learned", "collapse", "budget", "dtype", "minibatches"),
    "metrics": ("better", "worst"),
    "rules": ("searched",),
}
"""What a manifest says of plug-ins that decides a table."""

Place = tuple[str, int, int]
"""(phase, trial, seed): which replica of a rule on a game."""


Codes = Callable[[str, str], str]
"""`present_code`, which may remember what it was asked."""


def audit(run: RunFolder | Baseline, study: Study, recorded: Recorded, codes: Codes) -> list[str]:
    """What is wrong with the records of a run or a baseline, a line each; none where all is as its study makes it.

    Args:
        run: what is checked.
        study: its study, with the plug-ins that are installed here.
        recorded: what it holds.
        codes: the hash of the sources that are installed here, by rule and game.
    """
    wrong = [f"chunk {name} is damaged: its hashes are not those of its content" for name in recorded.damaged]
    wrong += _digests(recorded.cells, codes)
    wrong += _descriptions(run.manifest.get("descriptions", {}), study.described())
    by_pair: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in recorded.cells:
        by_pair[cell.pair].append(cell)
    exported = isinstance(run, Baseline)
    for rule, game in study.pairs:
        task = study.task(rule, game, run.manifest["device"])
        pair = _Pair(task, study, by_pair.pop((rule, game), []), recorded)
        wrong += [f"{rule} on {game}: {text}" for text in (pair.kept() if exported else pair.check())]
    return wrong + [f"{rule} on {game}: recorded, and no part of the study" for rule, game in by_pair]


def _digests(cells: Iterable[Cell], codes: Codes) -> list[str]:
    """A line for each rule on a game whose sources are not those that were trained."""
    wrong = []
    for pair, (rule, game, code) in dict.fromkeys(
        (cell.pair, (cell.chunk.rule, cell.chunk.game, cell.chunk.code)) for cell in cells
    ):
        try:
            here = codes(rule, game)
        except UserError as error:
            wrong.append(f"{' on '.join(pair)}: what was trained cannot be made here: {error}")
            continue
        if here != code:
            digests = f"their digest is {here[:12] or 'none'}, recorded is {code[:12] or 'none'}"
            wrong.append(f"{' on '.join(pair)}: a plug-in's code has changed since it was trained: {digests}")
    return list(dict.fromkeys(wrong))


def present_code(rule: str, game: str) -> str:
    """The hash of the sources that are installed here, of a rule and a game as a chunk spells them."""
    from bench.registry import get_game, get_rule

    return plugin_code(get_rule(rule), get_game(game))


def _descriptions(recorded: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """What the manifest says of games, metrics and rules otherwise than they do here."""
    wrong = []
    for kind, keys in DECISIVE.items():
        for name, here in present[kind].items():
            there = recorded.get(kind, {}).get(name, {})
            for key in keys:
                if key in there and there[key] != here[key]:
                    wrong.append(f"{name}: its {key} is {here[key]!r} here, recorded is {there[key]!r}")
    return wrong


class _Pair:
    """The records of one rule on one game beside what its study plans."""

    def __init__(self, task: Task, study: Study, cells: Sequence[Cell], recorded: Recorded) -> None:
        self.task, self.study, self.recorded = task, study, recorded
        self.cells: dict[Place, list[Cell]] = defaultdict(list)
        for cell in cells:
            self.cells[cell.chunk.phase, cell.row.trial, cell.row.seed].append(cell)
        self.seen: set[Place] = set()

    def kept(self) -> list[str]:
        """What is wrong with what a baseline kept: the report, without what chose its values or was not tuned."""
        self.study = self.study.model_copy(update={"untuned": False})
        reports = [cell for place, cells in self.cells.items() if place[0] == "report" for cell in cells]
        values = dict(reports[0].row.values) if reports else {}
        return [*self._twice(), *self._report(values, "the first of its seeds has")]

    def check(self) -> list[str]:
        """What is wrong with its tuning and its report."""
        wrong = list(self._twice())
        values, stopped = self._tuning()
        wrong += stopped
        if values is not None:
            frozen = self.task.optimizer in self.study.hyperparameters.get(self.task.game, {})
            chooser = "the study gives" if frozen or not self.study.trials else "tuning chooses from its trials"
            wrong += self._report(values, chooser)
            wrong += self._extra(self.cells)
        return wrong

    def _twice(self) -> Iterator[str]:
        twice = [place for place, cells in self.cells.items() if len(cells) > 1]
        if twice:
            yield f"recorded more than once: {_places(twice)}"

    def _tuning(self) -> tuple[Values | None, list[str]]:
        """What tuning chooses from the recorded trials, None where that cannot be told; and what is wrong with them."""
        tuning = tune(self.task, self.study)
        try:
            chunks = next(tuning)
            while True:
                if wrong := self._round(chunks):
                    return None, [*wrong, "so what tuning chooses cannot be told"]
                chunks = tuning.send(pd.concat([self._records(chunk) for chunk in chunks], ignore_index=True))
        except StopIteration as end:
            values: Values = end.value
            return values, []

    def _round(self, chunks: Sequence[Chunk]) -> list[str]:
        """What is wrong with the recorded replicas of planned chunks of tuning."""
        wrong = self._missing(chunks)
        for chunk in chunks:
            for row in chunk.rows:
                for cell in self._at(chunk, row):
                    if cell.row.values != row.values:
                        wrong.append(
                            f"{chunk.phase}, trial {row.trial} is recorded at {shown(cell.row.values)}; the search "
                            f"goes to {shown(row.values)}{self._searcher()}"
                        )
                    wrong += self._fields(chunk, cell.chunk)
        if not wrong:
            metric = self.study.primary(self.task.game)
            stacks = {cell.chunk for chunk in chunks for row in chunk.rows for cell in self._at(chunk, row)}
            pruned = (chunk for chunk in stacks if chunk.pruner != "none")
            wrong += [text for chunk in pruned for text in given_up(chunk, self.task.rule, metric, self.recorded)]
        return list(dict.fromkeys(wrong))

    def _searcher(self) -> str:
        if not self.study.sampler:
            return ""
        from importlib.metadata import version

        return f", by Optuna {version('optuna')} here"

    def _report(self, values: Values, chooser: str) -> list[str]:
        """What is wrong with the report's replicas, if these are the values that were frozen."""
        chunks = report_chunks(self.task, self.study, values)
        wrong, others = self._missing(chunks), dict[tuple[str, Any], list[int]]()
        for chunk in chunks:
            for row in chunk.rows:
                for cell in self._at(chunk, row):
                    if cell.row.values != row.values:
                        others.setdefault((chunk.phase, cell.row.values), []).append(row.seed)
                    wrong += self._fields(chunk, cell.chunk)
        wrong += [
            f"{phase}, {_listed('seed', seeds)} trained at {shown(found)}; {chooser} {shown(sorted(values.items()))}"
            for (phase, found), seeds in others.items()
        ]
        return list(dict.fromkeys(wrong))

    def _fields(self, planned: Chunk, found: Chunk) -> Iterator[str]:
        names = [field.name for field in fields(Chunk) if field.name in CHECKED]
        for name in names:
            one, two = getattr(found, name), getattr(planned, name)
            if one != two:
                what = "" if name == "reference_curves" else f" is recorded as {one!r}, the study makes it {two!r}"
                where = f"{planned.phase}: " if planned.phase != "report" else ""
                yield where + (f"{name}{what}" if what else "the curves that its pruner compared with are no trials'")

    def _at(self, chunk: Chunk, row: Row) -> list[Cell]:
        return self.cells.get((chunk.phase, row.trial, row.seed), [])

    def _records(self, chunk: Chunk) -> pd.DataFrame:
        """The recorded rows of a planned chunk's replicas."""
        return self.recorded.of(cell.key for row in chunk.rows for cell in self._at(chunk, row))

    def _missing(self, chunks: Sequence[Chunk]) -> list[str]:
        """The planned replicas that are not recorded, a line for each phase."""
        missing: list[Place] = []
        for chunk in chunks:
            for row in chunk.rows:
                place = (chunk.phase, row.trial, row.seed)
                self.seen.add(place)
                if not any(self.recorded.outcome(cell) for cell in self._at(chunk, row)):
                    missing.append(place)
        return [f"missing: {_places(missing)}"] if missing else []

    def _extra(self, places: Iterable[Place]) -> list[str]:
        extra = [place for place in places if place not in self.seen]
        return [f"recorded, and no part of the study: {_places(extra)}"] if extra else []


def _places(places: Sequence[Place]) -> str:
    """Replicas of one rule on a game in words."""
    phases: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        phases[place[0]].append(place)
    told = []
    for phase, own in phases.items():
        trials = sorted({trial for _, trial, _ in own if trial >= 0})
        seeds = sorted({seed for _, _, seed in own})
        number = f", {_listed('draw' if phase == 'rounded' else 'trial', trials)}" if trials else ""
        told.append(f"{phase}{number}, {_listed('seed', seeds)}")
    return "; ".join(told)


def _listed(what: str, numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers[:TOLD])) + ", ..." * (len(numbers) > TOLD)
    return f"{what}{'s' if len(numbers) > 1 else ''} {listed}"
