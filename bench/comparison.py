"""Two runs side by side: did a rule become better or worse? Differences are paired by seed, failures are kept.

A replica of the second run that failed where the same seed of the first did not is worse, whatever the scores say.
Otherwise Wilcoxon's signed-rank test on the common seeds decides (exact, two-sided), Holm-corrected over all pairs of a
comparison; what it cannot tell apart is ``same``, what agrees bit for bit ``identical``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.findings import LEVEL
from bench.registry import NamedMetric, get_game, get_metric
from bench.runner import Run
from bench.spelling import SpecError
from bench.statistics import bootstrap_rules, holm, interquartile_mean, paired_test, probability_of_improvement
from bench.table import last_evaluations, scores

COLUMNS = ["game", "optimizer", "metric", "seeds", "first", "second", "difference", "difference_low"]
COLUMNS += ["difference_high", "better_share", "low", "high", "failed_first", "failed_second", "p", "verdict"]


def compare(first: Run, second: Run) -> pd.DataFrame:
    """The rules and games that both runs have, a row each.

    Columns: game, optimizer, metric; seeds in common; first, second (interquartile means on those); difference,
    difference_low, difference_high (interquartile mean of second minus first, seed by seed, with its 95 % interval);
    better_share, low, high (how often a replica of the second is better than one of the first, with its 95 %
    interval); failed_first, failed_second; p (Holm); verdict: better, worse, same or identical.

    Raises SpecError where the runs' protocols differ: their numbers do not mean the same.
    """
    protocols = [str(run.manifest.get("protocol")) for run in (first, second)]
    if protocols[0] != protocols[1]:
        raise SpecError(f"{first.path} has protocol {protocols[0]}, {second.path} {protocols[1]}: not comparable")
    rows = [row for game in first.study["games"] if game in second.study["games"] for row in _rows(game, first, second)]
    found = pd.DataFrame(rows, columns=COLUMNS)
    if rows:
        found["p"] = holm(found["p"])
        found["verdict"] = [_verdict(row, get_metric(row["metric"])) for row in found.to_dict("records")]
    return found


def _rows(game: str, first: Run, second: Run) -> list[dict[str, Any]]:
    metric = get_metric(get_game(game).score)
    sides = [run.records[run.records["game"] == game] for run in (first, second)]
    wides = [scores(side, metric) for side in sides]
    failures = [_failed(side, metric) for side in sides]
    rows = []
    for rule in [rule for rule in wides[0].index if rule in wides[1].index]:
        common = pd.concat([wide.loc[rule].dropna() for wide in wides], axis=1, join="inner")
        if common.empty:
            continue
        both, seeds = common.to_numpy(float), common.index
        lost = [failed.loc[rule].reindex(seeds).to_numpy(bool) for failed in failures]
        share = probability_of_improvement(both[:, 1], both[:, 0], higher=metric.better == "higher", resamples=2000)
        means, equal = interquartile_mean(both, axis=0), (both[:, 0] == both[:, 1]).all()
        rows.append(
            {"game": game, "optimizer": str(rule), "metric": metric.name, "seeds": len(seeds)}
            | {"first": float(means[0]), "second": float(means[1])}
            | _difference(both)
            | {"better_share": share.value, "low": share.low, "high": share.high}
            | {"failed_first": int(lost[0].sum()), "failed_second": int(lost[1].sum())}
            | {"p": paired_test(both[:, 0], both[:, 1])}
            | {"verdict": "worse" if (lost[1] & ~lost[0]).any() else "identical" if equal else ""}
        )
    return rows


def _difference(both: np.ndarray) -> dict[str, float]:
    """Second minus first of scores [seeds, 2]; where both failed there is none, where one did it is infinite."""
    with np.errstate(invalid="ignore"):
        change = np.where(both[:, 0] == both[:, 1], 0.0, both[:, 1] - both[:, 0])
    band = bootstrap_rules(change[None])
    found = (float(band.value[0]), float(band.low[0]), float(band.high[0]))
    return dict(zip(("difference", "difference_low", "difference_high"), found, strict=True))


def _failed(records: pd.DataFrame, metric: NamedMetric) -> pd.DataFrame:
    """Which report replicas did not end as ok: [optimizers, seeds]."""
    last = last_evaluations(records[records["phase"] == "report"], metric, ["optimizer", "seed"])
    return (last["outcome"] != "ok").unstack("seed")


def _verdict(row: dict[str, Any], metric: NamedMetric) -> str:
    if row["verdict"]:
        return str(row["verdict"])
    if row["p"] > LEVEL:
        return "same"
    return "better" if row["better_share"] > 0.5 else "worse"
