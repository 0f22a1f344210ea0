"""A study's final scores and what its pages ask of them; how numbers and tables are printed.

Scores are final values of each game's own metric on the report seeds, turned so that lower is better; a failed replica
is infinitely bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from bench.analysis.scores import scores
from bench.analysis.statistics import (
    Band,
    Interval,
    interquartile_mean,
    mean_ranks,
    probability_of_improvement,
    stratified_bootstrap,
)
from bench.analysis.table import table
from bench.api import Run
from bench.games.harness.gan import GAN
from bench.registry import get_game
from bench.report.warnings import gets_nowhere
from bench.studies.tuning.sensitivity import Tried, tried, tuning

RESAMPLES = 2000

Array = np.ndarray
Lines = Iterator[str]


def measured(arguments: Sequence[str]) -> Measured:
    """The run that a command names."""
    return Measured(Run(Path(arguments[0]) if arguments else Path(__file__).parent))


def plain(game: str) -> str:
    """A game's name without its settings, which the first lines tell."""
    return game.partition("[")[0]


@dataclass(frozen=True)
class Measured:
    """A run's final scores and what is asked of them."""

    run: Run

    @cached_property
    def records(self) -> pd.DataFrame:
        return self.run.records

    @cached_property
    def table(self) -> pd.DataFrame:
        return table(self.records, self.run.study)

    @cached_property
    def tuning(self) -> pd.DataFrame:
        return tuning(self.records, self.run.study, self.tried)

    @cached_property
    def tried(self) -> Tried:
        """(game, rule) -> its trials."""
        return tried(self.records, self.run.study)

    @cached_property
    def scores(self) -> dict[str, pd.DataFrame]:
        """game -> final scores [rules, seeds], lower is better; games that are not whole are left out."""
        found, size = {}, (len(self.run.study.optimizers), len(self.run.study.seeds))
        for game in self.run.study.games:
            metric = self.run.study.primary(game)
            wide = metric.sign * scores(self.records[self.records["game"] == game], metric)
            if wide.shape == size and not wide.isna().any(axis=None):
                found[game] = wide.loc[self.run.study.optimizers]
        return found

    @property
    def rules(self) -> list[str]:
        return list(self.run.study.optimizers)

    @property
    def gans(self) -> list[str]:
        """Games of two networks; gaussian-covariance has a matrix for each, and an expected loss in closed form."""
        return [game for game in self.scores if isinstance(get_game(game), GAN)]

    @property
    def kinds(self) -> tuple[list[str], list[str]]:
        """Games that are solved in closed form, and GANs."""
        return [game for game in self.scores if game not in self.gans], self.gans

    @cached_property
    def ranks(self) -> Band:
        """Mean ranks of the rules over the GANs."""
        return mean_ranks([self.scores[game].to_numpy(float) for game in self.gans], resamples=RESAMPLES)

    @cached_property
    def nowhere(self) -> set[tuple[str, str]]:
        """(rule, game) where half of the seeds or more ended no better than they began."""
        parts = dict(iter(self.records.groupby(["optimizer", "game"], observed=True)))
        return {
            (rule, game)
            for game in self.scores
            for rule in self.rules
            if gets_nowhere(self.run.study.primary(game), parts[rule, game])
        }

    def better(self, a: str, b: str, games: Sequence[str]) -> Interval:
        """How often a training by rule a ends better than one by b, mean over games."""
        sides = [np.stack([self.scores[game].loc[rule].to_numpy(float) for game in games]) for rule in (a, b)]
        return probability_of_improvement(*sides, resamples=RESAMPLES)

    def share(self, a: str, b: str, games: Sequence[str]) -> str:
        """`better` as it is printed; "-" where no such game is finished."""
        return percent(self.better(a, b, games)) if games else "-"

    def mean(self, rule: str, game: str) -> Interval:
        """The interquartile mean of its final scores."""
        return stratified_bootstrap(self.scores[game].loc[rule].to_numpy(float))

    def shown(self, rule: str, game: str) -> str:
        """`mean` as it is printed, turned back to the metric's own sign."""
        sign, found = self.run.study.primary(game).sign, self.mean(rule, game)
        low, high = sorted((sign * found.low, sign * found.high))
        return three(Interval(sign * found.value, low, high))

    def start(self, game: str, rule: str = "") -> float:
        """The mean score before the first step, of a rule or of all; lower is better."""
        metric, records = self.run.study.primary(game), self.records
        first = (records["game"] == game) & (records["phase"] == "report") & (records["cost"] == 0)
        first &= (records["optimizer"] == rule) if rule else True
        return float(metric.sign * records[first & (records["metric"] == metric.name)]["value"].mean())


def percent(found: Interval) -> str:
    return f"{100 * found.value:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def number(found: Interval) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def three(found: Interval) -> str:
    """To three significant digits, as scores are told."""
    return f"{found.value:.3g} [{found.low:.3g}, {found.high:.3g}]"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    """A Markdown table."""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


# --- orders ---


def resampled_ranks(x: Array, seed: int) -> Array:
    """Ranks of rules [1 + RESAMPLES, rules] by interquartile means of scores [rules, n], then of seeds drawn anew."""
    drawn = np.random.default_rng(seed).integers(x.shape[1], size=(RESAMPLES, x.shape[1]))
    means = np.concatenate([interquartile_mean(x)[:, None], interquartile_mean(x[:, drawn])], axis=1)
    return np.asarray(rankdata(means, axis=0)).T


def correlation(a: Array, b: Array) -> Interval:
    """Spearman's of ranks [1 + resamples, rules], with the percentile interval of the resamples."""
    value, *drawn = spearman(a, b)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(value), float(low), float(high))


def spearman(a: Array, b: Array) -> Array:
    """Pearson's correlation of ranks [..., rules]; 0 where all rules tie."""
    a, b = (side - side.mean(axis=-1, keepdims=True) for side in (a, b))
    spread = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    return np.asarray(np.divide((a * b).sum(axis=-1), spread, out=np.zeros_like(spread), where=spread > 0))


def halves(x: Array) -> float:
    """Spearman's correlation of the orders of rules that either half of the seeds gives; scores [rules, seeds]."""
    half = x.shape[1] // 2
    return float(spearman(*(rankdata(interquartile_mean(part)) for part in (x[:, :half], x[:, half:]))))


def groups(band: Band) -> list[list[int]]:
    """Places of rules in groups, the best first: a group ends where an interval lies wholly beyond its first one's."""
    found: list[list[int]] = []
    for i in np.argsort(band.value, kind="stable"):
        if found and band.low[i] <= band.high[found[-1][0]]:
            found[-1].append(int(i))
        else:
            found.append([int(i)])
    return found
