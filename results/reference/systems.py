"""Does each of the article's systems learn at its default budget with alternating Adam?

    OMP_NUM_THREADS=1 python results/reference/systems.py train strings
    python results/reference/systems.py > results/reference/systems.md

``train GAME`` trains one game to its default budget with four seeds at each of three step sizes and keeps the best by
the median; the scores go to systems.csv. Without a game the page is made of what is there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import pandas as pd
import torch

import bench
from bench.contracts.introspection import stacked
from bench.metrics.evaluation import Evaluator, reference_scores
from bench.numerics.runtime import processor
from bench.registry import games, get_game, get_metric, get_rule

RECORDS = Path(__file__).with_suffix(".csv")
STEP_SIZES = (0.001, 0.003, 0.01)
SEEDS = 4
TIMED = 30  # steps that are timed, beside as many of digits
RULES = {1: "adam", 2: "alternating[direction=adam]"}
"""By the number of players."""


def train(name: str) -> None:
    """Train a game, and put its row in the place of the one that the records have of it."""
    game = get_game(name)
    if game.missing:
        raise SystemExit(game.missing)
    metric, rule = get_metric(game.score), get_rule(RULES[game.players])
    tried = {lr: _scores(game, rule, lr) for lr in STEP_SIZES}
    lr, scores = min(tried.items(), key=lambda pair: float(metric.sign * pair[1].median()))
    learned = int((metric.sign * scores <= metric.sign * (game.learned or 0)).sum())
    perfect = float(reference_scores(game, metric, range(SEEDS), ("perfect",))["perfect"].mean())
    start = Evaluator(game, range(SEEDS))
    begun = float(metric(game, game.init(start.seeds), start).median())
    row = {
        "game": name, "score": game.score, "budget": game.budget, "lr": lr, "start": begun,
        "median": float(scores.median()), "perfect": perfect, "learned": learned, "beside_digits": _pace(game),
    }  # fmt: skip
    old = pd.read_csv(RECORDS) if RECORDS.exists() else pd.DataFrame({"game": []})
    new = pd.concat([old[old["game"] != name], pd.DataFrame([row])])
    new.to_csv(RECORDS, index=False, float_format="%.4g")


def _scores(game: bench.Game, base: bench.UpdateRule, lr: float) -> torch.Tensor:
    """[SEEDS] at the default budget."""
    seeds = torch.arange(SEEDS)
    rule, F = stacked(base, [{"lr": lr}] * SEEDS, game), bench.Oracle(game, seeds, budget=game.budget)
    w, restarted = game.init(seeds), 0
    s = rule.init(w)
    for _ in range(int(game.budget / base.cost)):
        if (restarts := game.restarts(F.share)) != restarted:
            restarted, s = restarts, rule.init(w)
        w, s = rule.step(F, w, s)
        F.new_batch()
    return get_metric(game.score)(game, rule.answer(w, s), Evaluator(game, seeds))


def _pace(game: bench.Game) -> float:
    """Seconds of a step of a replica over those on digits: the median of five, in turn."""
    ratios = []
    for _ in range(5):
        own, other = (_seconds(each) for each in (game, get_game("digits")))
        ratios.append(own / other)
    return sorted(ratios)[2]


def _seconds(game: bench.Game) -> float:
    """Of TIMED steps of simultaneous Adam on two replicas."""
    seeds, rule = torch.arange(2), get_rule("adam")
    F, w = bench.Oracle(game, seeds), game.init(seeds)
    s = rule.init(w)
    for step in range(TIMED + 2):
        if step == 2:
            begun = perf_counter()
        w, s = rule.step(F, w, s)
        F.new_batch()
    return perf_counter() - begun


def page() -> str:
    """The table."""
    rows = pd.read_csv(RECORDS)
    lines = [
        f"| {r.game} | {r.score} | {r.budget:g} | {r.lr:g} | {r.start:.3g} | {r.median:.3g} | {r.perfect:.2g} "
        f"| {r.learned} of {SEEDS} | {r.beside_digits:{'.2g' if r.beside_digits < 100 else '.0f'}} |"
        for r in rows.itertuples()
    ]
    text = [
        "# The article's other systems: does each learn at its default budget?",
        "",
        f"Alternating Adam (Adam where there is one player), the best of {len(STEP_SIZES)} step sizes by the median of",
        f"{SEEDS} seeds. `python results/reference/systems.py train GAME`, then `python results/reference/systems.py`,",
        f"on {processor('cpu')}, one thread, torch {torch.__version__}. The last column is the time of a step of a",
        "replica beside that on `digits`, simultaneous Adam on two replicas, the median of five ratios taken in turn.",
        "",
        "| game | score | budget | lr | start | median | perfect | learned | step beside digits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*text, *lines, ""])


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["train"]:
        for asked in sys.argv[2:] or games.names():
            train(asked)
    else:
        print(page(), end="")
