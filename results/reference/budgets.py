"""Do rankings at a game's default budget mean something? They should be those at twice the budget.

    OMP_NUM_THREADS=1 python results/reference/budgets.py train ring8
    python results/reference/budgets.py > results/reference/budgets.md

``train GAME`` tunes eight rules at the game's own budget, trains them with twenty seeds to it, and with the same step
sizes to twice the budget; the scores go to budgets.csv. Without a game, the page is made of what is there.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import bench
from bench.analysis.learning import learning
from bench.analysis.statistics import interquartile_mean
from bench.registry import get_game

RECORDS = Path(__file__).with_suffix(".csv")
RULES = (
    "sgd", "adam", "alternating[direction=adam]", "alternating[direction=rmsprop]", "ttur", "extraadam",
    "optimistic-adam", "la-gan",
)  # fmt: skip
SEEDS = 20
AGREED = 0.8
"""Rank correlation at which two rankings are the same in substance."""
RESAMPLES = 2000
Spent = float
"""A budget, in shares of the game's own."""


def train(game: str) -> None:
    """Tune and train a game's rules, and put the scores in the place of those that the records have of it."""
    budget = get_game(game).budget
    asked = {"optimizers": list(RULES), "games": game, "seeds": f"0-{SEEDS - 1}"}
    with tempfile.TemporaryDirectory() as folder:
        tuned = bench.run(bench.Study(**asked), out=Path(folder, "once"))
        frozen = tuned.hyperparameters()
        longer = bench.Study(**asked, budget=2 * budget, hyperparameters=frozen)
        runs = {1.0: tuned, 2.0: bench.run(longer, out=Path(folder, "twice"))}
        rows = pd.concat([_scores(run, game, spent) for spent, run in runs.items()])
    old = pd.read_csv(RECORDS) if RECORDS.exists() else pd.DataFrame({"game": []})
    pd.concat([old[old["game"] != game], rows]).to_csv(RECORDS, index=False, float_format="%.6g")


def _scores(run: bench.Run, game: str, spent: Spent) -> pd.DataFrame:
    """A row a replica: its final score, and whether it learned."""
    scores = run.scores()
    study = run.study
    learnt = learning(run.records, study.game(game), study.primary(game), study.cost_of(game))
    learned = {
        (rule, seed): bool(flag)
        for rule, what in learnt.items()
        if what.learned is not None
        for seed, flag in zip(range(SEEDS), what.learned, strict=True)
    }
    pairs = zip(scores["optimizer"], scores["seed"], strict=True)
    told = {str(row.optimizer): row.hyperparameters for row in run.table(full=True).itertuples()}
    return scores[["game", "optimizer", "seed", "score", "outcome"]].assign(
        spent=spent,
        budget=study.cost_of(game),
        learned=[learned.get(pair, False) for pair in pairs],
        tuned=[told[rule] for rule in scores["optimizer"]],
    )


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation of two rankings, from scores [rules, seeds] each; lower is better, inf a failure."""
    ranks = [pd.Series(interquartile_mean(scores, axis=1)).rank() for scores in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def agreement(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """The correlation with its 95 % interval: seeds are drawn anew, for both budgets the same ones."""
    drawn = np.random.default_rng(0).integers(first.shape[1], size=(RESAMPLES, first.shape[1]))
    values = [spearman(first[:, seeds], second[:, seeds]) for seeds in drawn]
    return spearman(first, second), *(float(np.quantile(values, q)) for q in (0.025, 0.975))


# --- the page --------------------------------------------------------------------------------------------------------


def section(game: str, rows: pd.DataFrame) -> list[str]:
    """A game's table, and what it says."""
    order = [rule for rule in RULES if rule in set(rows["optimizer"])]
    scores = {
        spent: part.pivot(index="optimizer", columns="seed", values="score").loc[order].to_numpy()
        for spent, part in rows.groupby("spent")
    }
    middles = {spent: interquartile_mean(values, axis=1) for spent, values in scores.items()}
    places = {spent: pd.Series(values).rank().astype(int).tolist() for spent, values in middles.items()}
    learned = rows.groupby(["spent", "optimizer"])["learned"].sum()
    lines = [f"## {game}", "", "| rule | tuned | score | place | learned | score, twice | place | learned |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for at, rule in enumerate(order):
        tuned = rows[rows["optimizer"] == rule]["tuned"].iloc[0]
        told = [
            f"{middles[spent][at]:.3g} | {places[spent][at]} | {learned[spent, rule]} of {SEEDS}" for spent in scores
        ]
        lines.append(f"| {rule} | {tuned} | {' | '.join(told)} |")
    value, low, high = agreement(*scores.values())
    able = sum(2 * learned[1.0, rule] >= SEEDS for rule in order)
    reached = "" if value >= AGREED else f", below the {AGREED} that is asked"
    budget = f"{rows['budget'].min():,.0f}"
    lines += ["", f"Budget {budget}. {able} of {len(order)} rules learn on half of the seeds or more."]
    lines += [f"The ranking agrees with that at twice the budget by {value:.2f} [{low:.2f}, {high:.2f}]{reached}.", ""]
    return lines


HEAD = f"""# Does a ranking at the default budget mean something?

Made by `results/reference/budgets.py`, which says how. Machine: {os.cpu_count()}-core {platform.machine()} CPU, Python
{platform.python_version()}, torch {torch.__version__}.

Eight rules are tuned as a study tunes them, at the game's own budget, and trained with {SEEDS} seeds to it and to twice
of it. Scores are interquartile means, lower is better; agreement is Spearman's rank correlation over the rules, with a
95 % interval from seeds drawn anew.
"""


def page(records: pd.DataFrame) -> str:
    """The document, markdown."""
    lines = [HEAD]
    for game, rows in records.groupby("game", sort=False):
        lines += section(str(game), rows)
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["train"]:
        for game in arguments[1:]:
            train(game)
    else:
        print(page(pd.read_csv(RECORDS)), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
