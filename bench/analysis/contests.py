"""Results of several runs ranked together, where they can be: on one game, at one budget, tuned alike.

Ranks and the places that a rule may hold as well are those of a single run (`bench.analysis.ranking`): by interquartile
mean, and a rule is surely ahead of another only where their 95 % intervals do not overlap. Intervals are each rule's
own, so this holds for other seeds too. Beside the first rule, those with the same report seeds are compared by
Wilcoxon's signed-rank test, paired by seed (exact, two-sided), corrected together (Holm 1979); seeds pair what met the
same starts and minibatches. A rule with other seeds is behind the first where their intervals do not overlap.

A rule is ranked once. Where several runs have it, one that was verified stands for it, then the one with the most
report seeds, then the first by name: a choice that looks at no score, for the best of several attempts would be
flattered. The others are shown beside. What was trained again and did not agree has no place, and moves nobody else's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.findings import LEVEL
from bench.analysis.ranking import Place, places
from bench.analysis.statistics import Array, holm, paired_test
from bench.registry.description import MetricDescription


class Rule(NamedTuple):
    """What trains, whatever it is called: its complete spelling, its own code, what was tuned of it."""

    spelling: str
    code: str
    tuned: tuple[str, ...]


class Terms(NamedTuple):
    """What results must share to be ranked together."""

    game: str
    """Its complete spelling."""
    code: str
    """Its own code; "" for a game that ships."""
    budget: float
    """Of a replica, in gradient evaluations."""
    tuning: tuple[Any, ...]
    """How hyperparameters were found: what was tuned, trials, tuning seeds, sampler, pruner; none: they were given."""
    evaluations: int
    device: str
    metric: str
    better: str
    worst: float
    """What a failed replica counts as."""


@dataclass(frozen=True)
class Entry:
    """A rule on a game, from one run.

    Args:
        run: the run's name.
        game: the game, as it is spelled there.
        name: the rule, as it is spelled there.
        label: what the run calls it; its name where it has no label.
        rule: what trains.
        seeds: the report seeds, rising.
        scores: of the replicas, in the order of the seeds; failed ones have the metric's worst.
        row: its row of the run's table (`bench.analysis.table.table`).
        chunks: the names of its report chunks, which are hashes of all that decides them.
        copies: other runs that hold the very same trainings.
        verified: whether replicas of its run were trained again and agree; None where nobody knows.
    """

    run: str
    game: str
    name: str
    label: str
    rule: Rule
    seeds: tuple[int, ...]
    scores: Array
    row: Mapping[str, Any]
    chunks: frozenset[str] = frozenset()
    copies: tuple[str, ...] = ()
    verified: bool | None = None

    @property
    def refuted(self) -> bool:
        """Whether its run is not what is trained again."""
        return self.verified is False


class Ranked(NamedTuple):
    """An entry with its place; without one where another run stands for its rule, or it was refuted.

    ``behind``: whether it is worse than the first, None for the first itself, and where nothing was compared. ``p`` is
    Holm's, NaN where intervals decided.
    """

    entry: Entry
    place: Place | None
    behind: bool | None = None
    p: float = math.nan

    @property
    def level(self) -> bool:
        """Whether it is the first, or not surely worse."""
        return self.place is not None and not (self.behind or self.place.failed or self.place.untrainable)


@dataclass(frozen=True)
class Contest:
    """Entries that are ranked together, the best first; those that are not ranked stand below their rule."""

    terms: Terms
    metric: MetricDescription
    entries: list[Ranked] = field(default_factory=list)

    @property
    def ranked(self) -> list[Ranked]:
        return [one for one in self.entries if one.place is not None]

    @property
    def first(self) -> Ranked | None:
        """The best entry; None where no rule came through."""
        best = next(iter(self.ranked), None)
        return best if best is not None and best.level else None

    @property
    def paired(self) -> bool:
        """Whether all that are ranked have the same report seeds."""
        return len({one.entry.seeds for one in self.ranked}) == 1


def contests(entries: Iterable[tuple[Terms, MetricDescription, Entry]]) -> list[Contest]:
    """Rank entries of any runs, each among those with the same terms.

    Args:
        entries: with their terms and the metric that they are ranked by.
    """
    groups: dict[Terms, tuple[MetricDescription, list[Entry]]] = {}
    for terms, metric, entry in entries:
        groups.setdefault(terms, (metric, []))[1].append(entry)
    return [Contest(terms, metric, _ranked(_once(together), metric)) for terms, (metric, together) in groups.items()]


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, those that are the very same trainings with the same scores as one; the first run's name counts."""
    kept: dict[Any, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.run):
        same = (entry.name, entry.chunks or entry.run, entry.seeds, entry.scores.tobytes())
        if same in kept:
            known = {kept[same].verified, entry.verified}
            told = next((one for one in (True, False) if one in known), None)
            entry = replace(kept[same], copies=(*kept[same].copies, entry.run), verified=told)
        kept[same] = entry
    return list(kept.values())


def _ranked(entries: Sequence[Entry], metric: MetricDescription) -> list[Ranked]:
    by_rule: dict[Rule, list[Entry]] = {}
    for entry in sorted(entries, key=_precedence):
        by_rule.setdefault(entry.rule, []).append(entry)
    standing = [same[0] for same in by_rule.values() if not same[0].refuted]
    rows = pd.DataFrame([dict(entry.row) for entry in standing])
    found = places(rows, metric) if standing else []
    placed = [Ranked(entry, place) for entry, place in zip(standing, found, strict=True)]
    placed.sort(key=lambda one: (one.place.untrainable, one.place.rank, one.entry.label))  # type: ignore[union-attr]
    again = {rule: [Ranked(entry, None) for entry in same] for rule, same in by_rule.items()}
    shown = [line for one in _beside_first(placed, metric) for line in (one, *again.pop(one.entry.rule)[1:])]
    return [*shown, *(line for lines in again.values() for line in lines)]


def _precedence(entry: Entry) -> tuple[bool, bool, int, str, str]:
    """Which of a rule's entries stands for it: the least."""
    return (entry.refuted, entry.verified is None, -len(entry.seeds), entry.run, entry.name)


def _beside_first(placed: list[Ranked], metric: MetricDescription) -> list[Ranked]:
    """The entries with whether each is behind the first one."""
    if not placed or not placed[0].level:
        return placed
    first = placed[0].entry
    pairs = [one.entry.seeds == first.seeds for one in placed]
    pairs[0] = False
    tests = [paired_test(first.scores, one.entry.scores) for one, pair in zip(placed, pairs, strict=True) if pair]
    p_values = iter(holm(tests) if tests else np.empty(0))
    compared = [placed[0]]
    for one, pair in zip(placed[1:], pairs[1:], strict=True):
        p = float(next(p_values)) if pair else math.nan
        lost = one.place is not None and one.place.untrainable
        apart = _lost(one.entry, first, metric) and p <= LEVEL if pair else _apart(first.row, one.entry.row)
        compared.append(one._replace(behind=lost or apart, p=p))
    return compared


def _lost(entry: Entry, first: Entry, metric: MetricDescription) -> bool:
    """Whether it is worse than the first on more seeds than it is better, which a mean need not tell."""
    own, best = metric.sign * entry.scores, metric.sign * first.scores
    return int((own > best).sum()) > int((own < best).sum())


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two intervals do not overlap."""
    return bool(one["high"] < other["low"] or other["high"] < one["low"])
