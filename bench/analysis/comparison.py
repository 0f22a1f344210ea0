"""Two runs side by side: did a rule become better or worse? Differences are paired by seed, failures are kept.

A replica of the second run that failed where the same seed of the first did not is worse, whatever the scores say,
unless rounding decides who fails. Otherwise Wilcoxon's signed-rank test on the common seeds decides (exact,
two-sided), Holm-corrected over the pairs of a comparison that differ at all. Pairs without a significant difference are
``same``, pairs that agree bit for bit ``identical``. Identical pairs are not in the family of tests: under the null
hypothesis each difference has a random sign, and they have no difference.

Where half or more of the seeds have the same score in both runs, as before anything is learned, they are compared by
the game's tie-break.

What the first run has and the second has not, a rule, a game or a seed, is ``missing``: a comparison that is passed by
leaving out what became worse would be none. Runs of different budgets are refused, as are those of other protocols.

Deterministic quantities are compared directly (`bench.analysis.changes`): a difference in them is ``changed`` where no
test makes it better or worse.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bench.analysis.changes import Change, Rounding
from bench.analysis.comparison_frame import Comparison
from bench.analysis.findings import LEVEL, next_level
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
from bench.numerics.environment import PLATFORM, SEVERAL
from bench.registry.description import MetricDescription

COLUMNS = ["game", "optimizer", "metric", "seeds", "first", "second", "difference", "difference_low"]
COLUMNS += ["difference_high", "better_share", "low", "high", "failed_first", "failed_second", "p", "verdict", "change"]
COLUMNS += ["seeds_needed", "errors_first", "errors_second"]
VERDICTS = ("worse", "changed", "missing", "better", "new", "same", "identical")
"""What changed first."""
FAILS_ON = {
    "never": (),
    "worse": ("worse", "changed", "missing"),
    "changed": ("worse", "changed", "missing", "better"),
}
"""The value of ``--fail-on`` -> the verdicts that make the comparison fail."""
IDENTICAL = {"better_share": 0.5, "low": 0.5, "high": 0.5, "p": 1.0, "verdict": "identical", "change": ""}
NAMED = 5  # how many missing seeds are listed
ALIKE = ("evaluations", "tune", "trials", "tuning_seeds")
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


def compare(first: Recorded, second: Recorded, allow_missing: bool = False) -> pd.DataFrame:
    """Compare the rules of two runs on their games, seed by seed.

    Args:
        first: the run to compare with, or a baseline that was exported from one.
        second: the run that is judged.
        allow_missing: whether rows of which seeds are missing are judged by the seeds that are there.

    Returns:
        A data frame with one row for each rule and game of either run. Columns: game, optimizer, metric (the
        game's score, or its tie-break where the score is the same on half of the seeds or more); seeds (in common);
        first, second (interquartile means on those seeds); difference, difference_low, difference_high
        (interquartile mean of second minus first with its 95 % interval); better_share, low, high (how often a replica
        of the second is better than one of the first, with its 95 % interval); failed_first, failed_second; p
        (Holm-corrected); verdict (worse, changed, better, same, identical, new for what the first run does not have,
        missing for what the second does not have: a rule, a game, or seeds of a rule that is not worse on the others);
        change (what is missing, and what differs among the numbers that do not depend on chance, in words);
        seeds_needed (for a rule that is ``same``, how many seeds would tell its two runs apart with 80 % power if they
        differ as these do; inf where they lean to neither side; 0 for other verdicts); errors_first, errors_second (how
        many of the failures were an error, which is no divergence).

    Raises:
        UserError: the runs have different protocols or budgets, so that their numbers do not mean the same.

    Example:
        >>> import bench
        >>> study = bench.Study(optimizers=["sgd", "adam"], games=["dirac"], trials=0, seeds="0-5", budget=20)
        >>> before, after = (bench.run(study, out=f"results/{name}") for name in ("before", "after"))
        >>> bench.compare(before, after)[["optimizer", "verdict"]].values.tolist()
        [['sgd', 'identical'], ['adam', 'identical']]
    """
    check_comparable(first, second)
    same_bits, games = same_platform(first, second), dict.fromkeys([*second.study.games, *first.study.games])
    rows = [row for game in games for row in _rows(game, first, second, same_bits)]
    comparison = pd.DataFrame(rows, columns=COLUMNS)
    differ = comparison["p"] < 1
    if differ.any():
        comparison.loc[differ, "p"] = holm(comparison.loc[differ, "p"])
    comparison["verdict"] = [
        _verdict(row | {"lacking": own.get("lacking", False) and not allow_missing, "differs": own.get("differs")})
        for row, own in zip(comparison.to_dict("records"), rows, strict=True)
    ]
    level = next_level(comparison.loc[differ, "p"])
    comparison["seeds_needed"] = [
        seeds_needed(row["before"], row["after"], level) if verdict == "same" else 0.0
        for row, verdict in zip(rows, comparison["verdict"], strict=True)
    ]
    return Comparison(comparison)


def check_comparable(first: Recorded, second: Recorded) -> None:
    """Refuse runs of other protocols, or that gave a game other budgets: at twice the cost a score is another quantity.

    Raises UserError.
    """
    protocols = [str(run.manifest.get("protocol")) for run in (first, second)]
    if protocols[0] != protocols[1]:
        raise UserError(f"{first.path} has protocol {protocols[0]}, {second.path} {protocols[1]}: not comparable")
    for game in (game for game in second.study.games if game in first.study.games):
        costs = [run.study.cost_of(game) for run in (first, second)]
        if costs[0] != costs[1]:
            raise UserError(
                f"{first.path} gives {costs[0]:g} gradient evaluations to {game}, {second.path} {costs[1]:g}: "
                "not comparable"
            )


def same_platform(first: Recorded, second: Recorded) -> bool:
    """Whether the same arithmetic gives the same bits in both; never where a run was merged of several platforms."""
    sides = [
        [run.manifest.get("device"), *(run.manifest.get("environment", {}).get(*item) for item in PLATFORM.items())]
        for run in (first, second)
    ]
    return sides[0] == sides[1] and not any(SEVERAL in str(part) for part in sides[0])


def apart(first: Recorded, second: Recorded) -> list[str]:
    """Differences in the settings of the two runs, a line each."""
    lines = [
        f"{key}: {getattr(first.study, key, None)} and {getattr(second.study, key, None)}"
        for key in ALIKE
        if getattr(first.study, key, None) != getattr(second.study, key, None)
    ]
    if not same_platform(first, second) and not (first.records["phase"] == "rounded").any():
        lines.append(
            "made on different platforms, and the first run holds no roundings (a study's key): "
            "told apart is only what a test on the seeds can tell apart"
        )
    return lines


def _rows(game: str, first: Recorded, second: Recorded, same_bits: bool) -> list[dict[str, Any]]:
    known = first.study if game in first.study.games else second.study
    description, primary = known.game(game), known.primary(game)
    sides = [run.records[(run.records["game"] == game) & (run.records["phase"] == "report")] for run in (first, second)]
    metrics = [primary, *(known.metric(name) for name in [description.tie_break] if name)]
    measured = {
        metric.name: [last_evaluations(side, metric, ["optimizer", "seed"]) for side in sides] for metric in metrics
    }
    ends, rows = measured[primary.name], []
    rules = [list(end.index.unique("optimizer")) for end in ends]
    for rule in dict.fromkeys([*rules[1], *rules[0]]):
        names = {"game": game, "optimizer": str(rule), "metric": primary.name}
        seeds = [set(end.loc[rule].index) if rule in there else set() for end, there in zip(ends, rules, strict=True)]
        if not seeds[0] & seeds[1]:
            is_new = not seeds[0]
            own = ends[is_new]
            rows.append(names | _alone(own["value"].loc[rule].fillna(primary.worst), own.loc[rule], is_new))
            continue
        metric, common = _telling(metrics, measured, rule)
        names["metric"] = metric.name
        outcomes = np.stack([end.loc[rule]["outcome"][common.index].to_numpy(str) for end in ends], axis=1)
        reports = [side[(side["optimizer"] == rule) & side["seed"].isin(common.index)] for side in sides]
        rounding = (
            None if same_bits else Rounding(reports[0], _drawn(first, game, rule), metric.name, description.dtype)
        )
        row = _row(common.to_numpy(float), outcomes, metric, Change(reports, description, metric, rounding))
        if lacking := sorted(seeds[0] - seeds[1]):
            row |= {"lacking": True, "change": "; ".join(filter(None, [_seeds_in_words(lacking), row["change"]]))}
        rows.append(names | row)
    return rows


def _seeds_in_words(seeds: list[int]) -> str:
    listed = ", ".join(map(str, seeds[:NAMED])) + ", ..." * (len(seeds) > NAMED)
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''} of the first missing ({listed})"


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


def _alone(scores: pd.Series, ends: pd.DataFrame, is_new: bool) -> dict[str, Any]:
    """The row of a rule that only one run has on a game, or of which they share no seed; its scores by seed."""
    values, failed = scores.dropna().to_numpy(float), int((ends["outcome"] != "ok").sum())
    mean = float(interquartile_mean(values))
    errors = int((ends["outcome"] == "error").sum())
    row: dict[str, Any] = {"p": 1.0, "failed_first": 0, "failed_second": 0, "change": ""}
    row |= {"errors_first": 0, "errors_second": 0}
    if is_new:
        row |= {"failed_second": failed, "errors_second": errors}
        return row | {"seeds": len(values), "second": mean, "verdict": "new"}
    words = f"not in the second run, of {len(values)} seed{'s' if len(values) > 1 else ''} in the first"
    row |= {"failed_first": failed, "errors_first": errors}
    return row | {"seeds": 0, "first": mean, "verdict": "missing", "change": words}


def _row(both: np.ndarray, outcomes: np.ndarray, metric: MetricDescription, change: Change) -> dict[str, Any]:
    """Scores [seeds, 2] and outcomes [seeds, 2] of one rule on one game."""
    means = interquartile_mean(both, axis=0)
    shared: dict[str, Any] = {"seeds": len(both), "first": float(means[0]), "second": float(means[1])}
    for name, counted in (("failed", outcomes != "ok"), ("errors", outcomes == "error")):
        shared |= {f"{name}_first": int(counted[:, 0].sum()), f"{name}_second": int(counted[:, 1].sum())}
    if change.none:
        return shared | _difference(both[:1]) | IDENTICAL
    shared["change"] = shared["differs"] = change.words
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
    """The verdict of a row whose p is corrected; until then it was fixed, or one to be tested.

    One that lacks seeds is missing, unless what is there is reason enough to fail.
    """
    verdict = str(row["verdict"])
    if verdict.endswith("?"):
        verdict = verdict.rstrip("?") if row["p"] <= LEVEL else "changed" if row["differs"] else "same"
    return "missing" if row["lacking"] and verdict not in ("worse", "changed") else verdict
