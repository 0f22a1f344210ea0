"""From a study to work: cells, grouped into chunks that train as one stack. Nothing here runs.

The only files that it reads are the sources of plug-ins, because their hash is part of a chunk.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.contracts import Game, Hyperparameter, UpdateRule
from bench.contracts.introspection import for_game
from bench.registry.build import Plugins, free, spell
from bench.registry.identity import plugin_code
from bench.studies.seeds import MOST_SEED

PROTOCOL = "2.0"
"""MAJOR.MINOR: only results of the same protocol are comparable."""
TUNING_SEED = MOST_SEED
"""Tuning seeds start here; report seeds lie below, so the two never overlap."""

Values = dict[str, "float | tuple[float, ...]"]
Curves = tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True)
class Row:
    """One replica of a chunk: its seed, and the hyperparameters in which it differs from its chunk's rule."""

    seed: int
    values: tuple[tuple[str, float | tuple[float, ...]], ...]
    trial: int = -1


STORED = {"evaluations": "marks", "reference_curves": "rivals"}
"""Fields of a chunk -> their names in files of protocol 1."""
CONTINUES = "continues"
"""The field that only the chunks of a continued run have in files."""


@dataclass(frozen=True)
class Chunk:
    """Cells that train together as one stack: plain data that any worker can train and any store can name."""

    optimizer: str  # the spelling as the user wrote it: the label in tables
    rule: str  # the complete spelling
    game: str  # the complete spelling
    label: str  # the game's spelling as the user wrote it
    phase: str  # "tune" or "report"
    budget: float
    evaluations: int  # after the start
    pruner: str  # ends trials of a tuning chunk early; "none" outside of tuning
    reference_curves: Curves  # the pruner's further comparisons: [evaluations, curves, tuning seeds], lower is better
    device: str
    code: str  # hash of the source of plug-ins, "" for what is shipped here
    rows: tuple[Row, ...]
    continues: tuple[float, ...] = ()  # the smaller budgets that it was trained to before, rising

    @property
    def id(self) -> str:
        """A hash of the chunk's content, in order: the name that its result is stored under."""
        return chunk_id(self.content)

    @property
    def content(self) -> dict[str, Any]:
        """The chunk's content as it is stored and hashed, under the field names of the protocol."""
        content = {STORED.get(name, name): value for name, value in asdict(self).items()}
        return content if self.continues else {key: content[key] for key in content if key != CONTINUES}

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> Chunk:
        """The chunk of a content as it is stored: what `content` gives, from a file."""
        names = {stored: name for name, stored in STORED.items()}
        fields = {names.get(key, key): _tuples(value) for key, value in content.items()}
        rows = tuple(
            Row(row["seed"], tuple((path, _tuples(value)) for path, value in row["values"]), row["trial"])
            for row in content["rows"]
        )
        return cls(**fields | {"rows": rows})

    @property
    def cost(self) -> float:
        """Gradient evaluations planned, over all replicas."""
        return self.budget * len(self.rows)


def chunk_id(content: dict[str, Any], protocol: str = PROTOCOL) -> str:
    """The id of a chunk by its content; which of several equal devices it ran on does not matter."""
    return _hash([protocol, content | {"device": content["device"].split(":")[0]}])


def _tuples(value: Any) -> Any:
    """A value of JSON with tuples in the place of its lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Task:
    """One rule on one game, with the study's budget, evaluations and device."""

    optimizer: str
    game: str
    budget: float
    evaluations: int
    device: str
    continues: tuple[float, ...] = ()
    plugins: Plugins = field(default_factory=Plugins, compare=False, repr=False)
    """The study's; a task without a study makes its own objects."""

    @property
    def rule(self) -> UpdateRule:
        """The rule itself."""
        return self.plugins.rule(self.optimizer)

    @property
    def played(self) -> Game:
        """The game itself."""
        return self.plugins.game(self.game)

    def tunable(self, track: str) -> dict[str, Hyperparameter]:
        """What is tuned of the rule; see `tunable`."""
        return tunable(self.optimizer, track, self.rule)

    def chunks(
        self,
        rows: Iterable[Row],
        phase: str,
        evaluations: int | None = None,
        pruner: str = "none",
        reference_curves: Curves = (),
    ) -> list[Chunk]:
        """The rows as stacks of at most the game's size, in the order given; the rows of a trial stay together."""
        rule, game = self.rule, self.played
        for_game(rule, game)  # what the rule cannot do there is found before anything runs
        rows, written, code = list(rows), (spell(rule), spell(game)), plugin_code(rule, game)
        together = max((count for trial, count in Counter(row.trial for row in rows).items() if trial >= 0), default=1)
        size = max(1, game.stack // together) * together
        return [
            Chunk(
                optimizer=self.optimizer,
                rule=written[0],
                game=written[1],
                label=self.game,
                phase=phase,
                budget=self.budget,
                evaluations=self.evaluations if evaluations is None else evaluations,
                pruner=pruner,
                reference_curves=reference_curves,
                device=self.device,
                code=code,
                rows=tuple(rows[start : start + size]),
                continues=self.continues,
            )
            for start in range(0, len(rows), size)
        ]


def report_rows(seeds: Sequence[int], values: Values) -> list[Row]:
    """A row for each report seed at the frozen values."""
    return [Row(seed, tuple(sorted(values.items()))) for seed in seeds]


def rounded_rows(seeds: Sequence[int], values: Values, draws: int) -> list[Row]:
    """The report's rows again for every draw of roundings; see `bench.execution.rounding`."""
    return [Row(row.seed, row.values, trial=draw) for draw in range(draws) for row in report_rows(seeds, values)]


def tunable(optimizer: str, track: str = "step", rule: UpdateRule | None = None) -> dict[str, Hyperparameter]:
    """What is tuned of a spelled rule, path -> kind: its step sizes, or with the track ``full`` every number.

    What is given stays, and so does a whole number: it is the same for all replicas of a stack.
    """
    return {path: kind for path, kind in free(optimizer, rule).items() if kind.step_size or track == "full"}
