"""Two runs side by side: did a rule become better or worse? Differences are paired by seed, failures are kept.

A replica of the second run that failed where the same seed of the first did not is worse, whatever the scores say,
unless rounding decides who fails. Otherwise Wilcoxon's signed-rank test on the common seeds decides (exact,
two-sided), Holm-corrected over the pairs of a comparison that differ at all. Pairs without a significant difference are
``same``, pairs that agree bit for bit ``identical``. Identical pairs are not in the family of tests: under the null
hypothesis each difference has a random sign, and they have no difference.

Where half or more of the seeds have the same score in both runs, as before anything is learned, they are compared by
the game's tie-break.

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
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bench.analysis.comparison_frame import Comparison
from bench.analysis.findings import LEVEL, next_level
from bench.analysis.formatting import values_of
from bench.analysis.scores import last_evaluations
from bench.analysis.statistics import (
    bootstrap_rules,
    holm,
    interquartile_mean,
    paired_test,
    probability_of_improvement,
    seeds_needed,
)
from bench.analysis.study import ComparedStudy
from bench.errors import UserError
from bench.registry.description import GameDescription, MetricDescription

COLUMNS = ["game", "optimizer", "metric", "seeds", "first", "second", "difference", "difference_low"]
COLUMNS += ["difference_high", "better_share", "low", "high", "failed_first", "failed_second", "p", "verdict", "change"]
COLUMNS += ["seeds_needed"]
VERDICTS = ("worse", "changed", "better", "new", "same", "identical")
"""What changed first."""
FAILS_ON = {"never": (), "worse": ("worse", "changed"), "changed": ("worse", "changed", "better")}
"""The value of ``--fail-on`` -> the verdicts that make the comparison fail."""
PLATFORM = {"torch": None, "system": None, "processor": None, "vectors": None, "core": "torch", "numba": None}
"""What decides the bits, and what it is where a manifest does not say."""
SLACK = 16
"""Roundings that a gradient may have on another processor where a draw has one. The errors of a sum of K terms in
another order grow like a random walk, by the square root of K (Higham and Mary 2019, doi:10.1137/18M1226312): 256
terms. Measured on the quality gate's games without minibatches, between AVX-512, AVX2, no vector kernels, and MKL's
compatible products: 1.5 times what three draws show at most."""
NEAR = 1e-3
"""Of the largest value on a replica's curve: less is no difference between runs of which only that is known that they
were made on different platforms. A convention."""
IDENTICAL = {"better_share": 0.5, "low": 0.5, "high": 0.5, "p": 1.0, "verdict": "identical", "change": ""}
NAMED = 5  # how many missing names are listed
ALIKE = ("budget", "evaluations", "tune", "trials", "tuning_seeds")
"""The settings that two studies should share for their rows to be comparable."""


class Recorded(Protocol):
    """One side of a comparison: a run, or a baseline of one."""

    path: Path

    @property
    def manifest(self) -> dict[str, Any]: ...

    @property
    def study(self) -> ComparedStudy: ...

    @property
    def records(self) -> pd.DataFrame: ...


def compare(first: Recorded, second: Recorded) -> pd.DataFrame:
    """Compare the rules of two runs on the games that both have, seed by seed.

    Args:
        first: the run to compare with, or a baseline that was exported from one.
        second: the run that is judged.

    Returns:
        A data frame with one row for each rule and game of the second run. Columns: game, optimizer, metric (the
        game's score, or its tie-break where the score is the same on half of the seeds or more); seeds (in common);
        first, second (interquartile means on those seeds); difference, difference_low, difference_high
        (interquartile mean of second minus first with its 95 % interval); better_share, low, high (how often a replica
        of the second is better than one of the first, with its 95 % interval); failed_first, failed_second; p
        (Holm-corrected); verdict (worse, changed, better, same, identical, or new for a rule that the first run does
        not have); change (what differs among the numbers that do not depend on chance, in words); seeds_needed (for a
        rule that is ``same``, how many seeds would tell its two runs apart with 80 % power if they differ as these do;
        inf where they lean to neither side; 0 for other verdicts).

    Raises:
        UserError: the runs have different protocols, so that their numbers do not mean the same.

    Example:
        >>> import bench
        >>> study = bench.Study(optimizers=["sgd", "adam"], games=["dirac"], trials=0, seeds="0-5", budget=20)
        >>> before, after = (bench.run(study, out=f"results/{name}") for name in ("before", "after"))
        >>> bench.compare(before, after)[["optimizer", "verdict"]].values.tolist()
        [['sgd', 'identical'], ['adam', 'identical']]
    """
    protocols = [str(run.manifest.get("protocol")) for run in (first, second)]
    if protocols[0] != protocols[1]:
        raise UserError(f"{first.path} has protocol {protocols[0]}, {second.path} {protocols[1]}: not comparable")
    same_bits = same_platform(first, second)
    rows = [row for game in second.study.games for row in _rows(game, first, second, same_bits)]
    comparison = pd.DataFrame(rows, columns=COLUMNS)
    differ = comparison["p"] < 1
    if differ.any():
        comparison.loc[differ, "p"] = holm(comparison.loc[differ, "p"])
    comparison["verdict"] = [_verdict(row) for row in comparison.to_dict("records")]
    level = next_level(comparison.loc[differ, "p"])
    comparison["seeds_needed"] = [
        seeds_needed(row["before"], row["after"], level) if verdict == "same" else 0.0
        for row, verdict in zip(rows, comparison["verdict"], strict=True)
    ]
    return Comparison(comparison)


def same_platform(first: Recorded, second: Recorded) -> bool:
    """Whether the same arithmetic gives the same bits in both; never where a run was merged of several platforms."""
    sides = [
        [run.manifest.get("device"), *(run.manifest.get("environment", {}).get(*item) for item in PLATFORM.items())]
        for run in (first, second)
    ]
    return sides[0] == sides[1] and not any(" | " in str(part) for part in sides[0])


def apart(first: Recorded, second: Recorded) -> list[str]:
    """Differences in the settings of the two runs, and what is missing in the second, a line each."""
    lines = [
        f"{key}: {getattr(first.study, key, None)} and {getattr(second.study, key, None)}"
        for key in ALIKE
        if getattr(first.study, key, None) != getattr(second.study, key, None)
    ]
    for what in ("optimizers", "games"):
        missing = [name for name in getattr(first.study, what) if name not in getattr(second.study, what)]
        named = ", ".join(missing[:NAMED]) + ", ..." * (len(missing) > NAMED)
        lines += [f"{what} of the first that are not in the second: {len(missing)} ({named})"] * bool(missing)
    if not same_platform(first, second) and not (first.records["phase"] == "rounded").any():
        lines.append(
            "made on different platforms, and the first run holds no roundings (a study's key): "
            "told apart is only what a test on the seeds can tell apart"
        )
    return lines


def _rows(game: str, first: Recorded, second: Recorded, same_bits: bool) -> list[dict[str, Any]]:
    description, primary = first.study.game(game), first.study.primary(game)
    sides = [run.records[(run.records["game"] == game) & (run.records["phase"] == "report")] for run in (first, second)]
    metrics = [primary, *(first.study.metric(name) for name in [description.tie_break] if name)]
    measured = {
        metric.name: [last_evaluations(side, metric, ["optimizer", "seed"]) for side in sides] for metric in metrics
    }
    ends = measured[primary.name]
    in_first, rows = set(ends[0].index.unique("optimizer")), []
    for rule in ends[1].index.unique("optimizer"):
        names = {"game": game, "optimizer": str(rule), "metric": primary.name}
        if rule not in in_first:
            scores = ends[1]["value"].loc[rule].fillna(primary.worst)
            rows.append(names | _new(scores, ends[1].loc[rule]))
            continue
        metric, common = _telling(metrics, measured, rule)
        if not common.empty:
            names["metric"] = metric.name
            failed = np.stack([(end.loc[rule]["outcome"] != "ok")[common.index].to_numpy(bool) for end in ends], axis=1)
            reports = [side[(side["optimizer"] == rule) & side["seed"].isin(common.index)] for side in sides]
            rounding = (
                None if same_bits else Rounding(reports[0], _drawn(first, game, rule), metric.name, description.dtype)
            )
            rows.append(
                names | _row(common.to_numpy(float), failed, metric, Change(reports, description, metric, rounding))
            )
    return rows


def _telling(
    metrics: list[MetricDescription], measured: dict[str, list[pd.DataFrame]], rule: object
) -> tuple[MetricDescription, pd.DataFrame]:
    """The metric that a rule's two runs are compared by, and its values on the seeds in common, [seeds, 2].

    It is the game's score, unless half or more of the seeds have the same one in both runs, as where nothing is learned
    yet: then the game's tie-break.
    """
    for metric in metrics:
        try:
            values = [end["value"].loc[rule].fillna(metric.worst) for end in measured[metric.name]]
        except KeyError:  # a tie-break that one of the runs did not measure
            break
        compared, common = metric, pd.concat(values, axis=1, join="inner")
        if not (common.iloc[:, 0] == common.iloc[:, 1]).mean() >= 0.5:
            break
    return compared, common


def _drawn(run: Recorded, game: str, rule: str) -> pd.DataFrame:
    """A run's records of a rule on a game, trained with rounded gradients."""
    records = run.records
    return records[(records["phase"] == "rounded") & (records["game"] == game) & (records["optimizer"] == rule)]


def _new(scores: pd.Series, ends: pd.DataFrame) -> dict[str, Any]:
    values = scores.dropna().to_numpy(float)
    row = {"seeds": len(values), "second": float(interquartile_mean(values)), "p": 1.0, "verdict": "new"}
    return row | {"failed_first": 0, "failed_second": int((ends["outcome"] != "ok").sum()), "change": ""}


def _row(both: np.ndarray, failed: np.ndarray, metric: MetricDescription, change: Change) -> dict[str, Any]:
    """Scores [seeds, 2] and failures [seeds, 2] of one rule on one game."""
    means = interquartile_mean(both, axis=0)
    shared: dict[str, Any] = {"seeds": len(both), "first": float(means[0]), "second": float(means[1])}
    shared |= {"failed_first": int(failed[:, 0].sum()), "failed_second": int(failed[:, 1].sum())}
    if change.none:
        return shared | _difference(both[:1]) | IDENTICAL
    shared["change"] = change.words
    before, after = change.judged(both)
    share = probability_of_improvement(both[:, 1], both[:, 0], higher=metric.better == "higher", resamples=2000)
    wins = int((metric.sign * after < metric.sign * before).sum() - (metric.sign * after > metric.sign * before).sum())
    return (
        shared
        | _difference(both)
        | {"better_share": share.value, "low": share.low, "high": share.high, "p": paired_test(before, after)}
        | {"verdict": "worse" if change.more_failed else "better?" if wins > 0 else "worse?"}
        | {"before": before, "after": after}
    )


def _difference(both: np.ndarray) -> dict[str, float]:
    """Second minus first of scores [seeds, 2]: 0 where both failed, infinite where one did.

    NaN if some seeds failed only in the first run and others only in the second.
    """
    with np.errstate(invalid="ignore"):
        change = np.where(both[:, 0] == both[:, 1], 0.0, both[:, 1] - both[:, 0])
    if {-np.inf, np.inf} <= set(change):
        return dict.fromkeys(("difference", "difference_low", "difference_high"), float("nan"))
    band = bootstrap_rules(change[None])
    numbers = (float(band.value[0]), float(band.low[0]), float(band.high[0]))
    return dict(zip(("difference", "difference_low", "difference_high"), numbers, strict=True))


def _verdict(row: dict[str, Any]) -> str:
    """The verdict of a row whose p is corrected; until then it was fixed, or one to be tested."""
    if not row["verdict"].endswith("?"):
        return str(row["verdict"])
    if row["p"] <= LEVEL:
        return str(row["verdict"]).rstrip("?")
    return "changed" if row["change"] else "same"


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
