"""What giving up beaten trials costs: what is chosen with and without it, trained again on seeds that neither saw.

    OMP_NUM_THREADS=1 python results/reference/pruning.py > results/reference/pruning.md

Every rule is tuned twice on every game, trials and tuning seeds being the same, once with the pruner and once without.
Where they choose differently, both values train on FRESH seeds, and scores are compared seed by seed.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from bench.analysis.scores import final_scores
from bench.api import run
from bench.execution.training import execute
from bench.registry import get_game, get_metric
from bench.studies.plan import Task, Values, report_rows
from bench.studies.study import Study

GAMES = {"ring8": 1500.0, "gaussian-covariance": 1500.0, "digits": 600.0}
RULES = ("sgd", "adam", "extraadam", "optimistic-adam", "alternating")
FRESH = range(100, 120)


class Choice(NamedTuple):
    """What tuning chose, and the gradient evaluations it spent."""

    values: Values
    spent: float


def tuned(pruner: str) -> dict[tuple[str, str], Choice]:
    """(game, rule) -> its choice."""
    found = {}
    for game, budget in GAMES.items():
        study = Study(optimizers=list(RULES), games=[game], budget=budget, pruner=pruner)
        with tempfile.TemporaryDirectory() as folder:
            made = run(study, out=Path(folder) / "run", only_tune=True)
            records, chosen = made.records, made.hyperparameters()[game]
        ends = records.groupby(["optimizer", "phase", "trial", "seed"], observed=True)["ended"].max()
        spent = ends.groupby("optimizer", observed=True).sum()
        found |= {(game, rule): Choice(chosen[rule], float(spent[rule])) for rule in RULES}
    return found


def scores(game: str, rule: str, values: Values) -> np.ndarray:
    """Final scores on the fresh seeds, lower is better, [seeds]."""
    metric = get_metric(get_game(game).score)
    chunks = Task(rule, game, GAMES[game], 1, "cpu").chunks(report_rows(FRESH, values), "report")
    records = pd.concat([pd.DataFrame(execute(chunk).records) for chunk in chunks])
    return metric.sign * final_scores(records, metric, ["seed"]).sort_index().to_numpy(float)


def compared(game: str, rule: str, with_it: Choice, without: Choice) -> str:
    """A row of the table."""
    saved = f"{1 - with_it.spent / without.spent:.0%}"
    shown = [", ".join(f"{path}={value:.3g}" for path, value in choice.values.items()) for choice in (with_it, without)]
    if with_it.values == without.values:
        return f"| {game} | {rule} | {saved} | {shown[0]} | the same | |"
    a, b = scores(game, rule, with_it.values), scores(game, rule, without.values)
    differences = np.nan_to_num(a, posinf=1e30) - np.nan_to_num(b, posinf=1e30)
    low, high = bootstrap((differences,), np.median, rng=0).confidence_interval
    verdict = "no difference seen" if low <= 0 <= high else "worse with it" if low > 0 else "better with it"
    median = f"{np.median(a):.3g} against {np.median(b):.3g}"
    return f"| {game} | {rule} | {saved} | {shown[0]} | {shown[1]} | {median}: {np.median(differences):.2g} [{low:.2g}, {high:.2g}], {verdict} |"  # noqa: E501


def main() -> None:
    start = time.perf_counter()
    with_it, without = tuned("paired"), tuned("none")
    rows = [compared(*key, with_it[key], without[key]) for key in with_it]
    saved = 1 - sum(choice.spent for choice in with_it.values()) / sum(choice.spent for choice in without.values())
    print("# What giving up beaten trials costs\n")
    print((__doc__ or "").partition("\n\n")[2].partition("\n\n")[2])
    print(f"It saves {saved:.0%} of the cost of tuning in all, failures counted on both sides as they ended.\n")
    print(
        "| game | rule | saved | chosen with it | without | median score on 20 fresh seeds, paired difference [95 %] |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))
    minutes = (time.perf_counter() - start) / 60
    print(
        f"\n{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}; {minutes:.1f} minutes."
    )


if __name__ == "__main__":
    main()
