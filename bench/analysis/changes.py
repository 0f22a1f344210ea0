"""What differs between two runs of a rule on a game though no chance is in it, and how far rounding alone may move it.

Deterministic quantities are compared directly: the curve of the score on a game without minibatches, the counted cost,
the chosen step sizes. A difference in them is ``changed`` where no test makes it better or worse. Bits must agree where
device, core, processor, vector width, system, torch and numba are the same. Elsewhere sums are added in another order,
so every number that a game gives may be rounded differently; how far this error grows is the condition of the
training: `Rounding`.
"""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd

from bench.analysis.formatting import values_of
from bench.registry.description import GameDescription, MetricDescription

SLACK = 16
"""Roundings that a gradient may have on another processor where a draw has one. The errors of a sum of K terms in
another order grow like a random walk, by the square root of K (Higham and Mary 2019, doi:10.1137/18M1226312): 256
terms. Measured on the quality gate's games without minibatches, between AVX-512, AVX2, no vector kernels, and MKL's
compatible products: 1.5 times what three draws show at most."""
NEAR = 1e-3
"""Of the largest value on a replica's curve: less is no difference between runs of which only that is known that they
were made on different platforms. A convention."""


class Change:
    """Deterministic differences between two runs of one rule on one game, on the seeds in common.

    Args:
        sides: the report records of either run.
        game: the game.
        metric: its score.
        rounding: what rounding alone may change; None where both come from the same platform, which rounds alike.
    """

    def __init__(
        self, sides: list[pd.DataFrame], game: GameDescription, metric: MetricDescription, rounding: Rounding | None
    ) -> None:
        curves = [side[side["metric"] == metric.name].set_index(["seed", "cost"])["value"] for side in sides]
        self.curves = pd.concat(curves, axis=1, keys=["first", "second"]).sort_index()  # NaN where one has no record
        ends = [side.drop_duplicates("seed").set_index("seed")[["outcome", "ended"]].sort_index() for side in sides]
        self.ends = [end.astype({"outcome": object}) for end in ends]  # words: two runs' categories differ
        self.chosen = [json.loads(side["hyperparameters"].iloc[0]) for side in sides]
        self.rounding = rounding
        self.exact = not game.minibatches and (rounding is None or rounding.measured)

    @property
    def none(self) -> bool:
        """Whether all agrees bit for bit."""
        same = self.chosen[0] == self.chosen[1] and self.ends[0].equals(self.ends[1])
        return same and bool(self.curves["first"].equals(self.curves["second"]))

    @property
    def words(self) -> str:
        """The differences that are larger than allowed; "" for none."""
        return "; ".join(filter(None, [self._values(), self._cost(), self._curve() if self.exact else ""]))

    @property
    def more_failed(self) -> bool:
        """Whether a replica of the second failed that had not in the first, and rounding does not decide which do."""
        failed = [end["outcome"] != "ok" for end in self.ends]
        return bool((failed[1] & ~failed[0]).any()) and not (self.rounding and self.rounding.decides_failures)

    def judged(self, both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the first and the second run [seeds] of [seeds, 2], equal where rounding may be all there is."""
        if self.rounding is None:
            return both[:, 0], both[:, 1]
        with np.errstate(invalid="ignore"):
            near = np.abs(both[:, 1] - both[:, 0]) <= self.rounding.last * largest(self.curves["first"]).to_numpy()
        return both[:, 0], np.where(near, both[:, 0], both[:, 1])

    def _values(self) -> str:
        """The chosen step sizes: what tuning chose among values that rounding may order otherwise may differ."""
        before, after = self.chosen
        if before == after or (self.rounding and (not self.exact or self.rounding.last > NEAR)):
            return ""
        return f"{values_of(json.dumps(before)) or 'defaults'} -> {values_of(json.dumps(after)) or 'defaults'}"

    def _cost(self) -> str:
        """The counted cost of the replicas that completed in both runs."""
        completed = [set(end.index[end["outcome"] == "ok"]) for end in self.ends]
        measured = self.curves[self.curves.index.get_level_values("seed").isin(completed[0] & completed[1])].notna()
        if bool((measured["first"] == measured["second"]).all()):
            return ""
        last = [measured.index[measured[side]].get_level_values("cost").max() for side in ("first", "second")]
        return f"cost {last[0]:g} -> {last[1]:g}" if last[0] != last[1] else "judged at other costs"

    def _curve(self) -> str:
        """The score's curve, where both runs have it; then the costs at which replicas ended."""
        gaps = gap(self.curves["first"], self.curves["second"]).dropna()
        costs = gaps.index.get_level_values("cost")
        allowed = pd.Series([self.rounding.at(cost) if self.rounding else 0.0 for cost in costs], gaps.index)
        beyond = gaps[gaps > allowed]
        if beyond.empty:
            return self._ends()
        cost = beyond.index.get_level_values("cost").min()
        most = allowed[beyond.idxmax()]
        return f"values differ by {beyond.max():.1g} of the largest, from cost {cost:g} on; {most:.1g} is allowed"

    def _ends(self) -> str:
        """The costs at which replicas ended: on another platform a diverging one may stop a step earlier or later."""
        if self.rounding and self.rounding.decides_failures:
            return ""
        before, after = (end["ended"] for end in self.ends)
        moved = (after - before).abs() > (0.0 if self.rounding is None else self._step() * (1 + 1e-9))
        return f"replicas end elsewhere: {before[moved].iloc[0]:g} -> {after[moved].iloc[0]:g}" if moved.any() else ""

    def _step(self) -> float:
        """The cost of a step: every record is at a whole number of steps."""
        costs = {*self.curves.index.get_level_values("cost"), *(cost for end in self.ends for cost in end["ended"])}
        parts = [Fraction(cost).limit_denominator(1000) for cost in costs]
        shared = math.lcm(*(part.denominator for part in parts))
        return math.gcd(*(int(part * shared) for part in parts)) / shared


class Rounding:
    """How far rounding alone may move a rule's scores on a game, relative to the largest on a replica's curve.

    The first run may have trained its report again with every gradient rounded at random (a study's ``roundings``;
    `bench.execution.rounding`). The largest distance of these trainings from the report, over seeds and draws, is the
    condition of the training times one rounding a gradient. Another processor rounds every term of a gradient's sums,
    not the gradient alone: `SLACK` roundings are allowed, and never fewer than `SLACK` of the dtype's own, for where a
    draw shows no difference the arithmetic may. Without draws the allowance is unknown: scores within `NEAR` of each
    other then count as equal, and only the test separates runs.

    Args:
        report: report records of the first run, of one rule on one game.
        drawn: its records with rounded gradients.
        metric: the name of the score.
        dtype: what the game computes in.
    """

    def __init__(self, report: pd.DataFrame, drawn: pd.DataFrame, metric: str, dtype: str) -> None:
        drawn = drawn[(drawn["metric"] == metric) & drawn["seed"].isin(report["seed"])]
        self.measured = not drawn.empty
        self.least = SLACK * float(np.finfo(dtype).eps) / 2
        self.moved = pd.Series(dtype=float)
        self.decides_failures = not self.measured
        if not self.measured:
            return
        first = report[report["metric"] == metric].set_index(["seed", "cost"])["value"]
        tries = [part.set_index(["seed", "cost"]) for _, part in drawn.groupby("trial")]
        gaps = [gap(first, part["value"]).groupby("cost").max() for part in tries]
        self.moved = SLACK * pd.concat(gaps, axis=1).max(axis=1)
        outcomes = report.drop_duplicates("seed").set_index("seed")["outcome"].astype(str)
        others = (part["outcome"].groupby("seed").first().astype(str) for part in tries)
        self.decides_failures = self.moved.max() > 1 or any((other != outcomes[other.index]).any() for other in others)

    def at(self, cost: float) -> float:
        """How far a score at this cost may be off; never less than at an earlier cost."""
        return max(self.least, float(self.moved[self.moved.index <= cost].max()))

    @property
    def last(self) -> float:
        """How far a final score may be off."""
        return max(self.least, float(self.moved.max())) if self.measured else NEAR


def gap(first: pd.Series, second: pd.Series) -> pd.Series:
    """|second - first| of curves by (seed, cost), relative to the largest value of the seed's first curve.

    NaN where one has no record, as after a failure.
    """
    first, second = first.align(second)
    scale = largest(first).reindex(first.index, level="seed")
    apart = (second - first).abs() / scale.where(scale > 0, 1.0)
    return apart.mask(first == second, 0.0)


def largest(curves: pd.Series) -> pd.Series:
    """The largest value on each replica's curve, by seed in order."""
    maxima: pd.Series = curves.abs().groupby("seed").max()
    return maxima
