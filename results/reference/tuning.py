"""How good the step sizes are that tuning chooses: regret against what 48 seeds say, by strategy, statistic and seeds.

    OMP_NUM_THREADS=1 python results/reference/tuning.py --record   # trains once: writes tuning_scores.csv beside this
    OMP_NUM_THREADS=1 python results/reference/tuning.py > results/reference/tuning.md

Final scores at many step sizes are trained once, on TRUTH seeds each; what a strategy would have found is then read off
them, at no cost. A strategy proposes any step size, and gets the scores of the nearest one on the grid, which has more
points than any strategy has trials. Its tuning seeds are drawn from the TRUTH, with its finalists' fresh ones. Regret
is how much worse the interquartile mean over all TRUTH seeds is at the chosen step size than at the best one, as a
share of what separates the best from the median of all.

The statistic is what a trial is ordered by: the median, the interquartile mean, or the mean of its ranks on each seed.
Every strategy gets the same cost: those that re-rank nothing have so many trials more.

The second table spends one cost in other ways, by the interquartile mean: more seeds or more trials, more seeds in the
trials that close in than in those that spread, more for the finalists.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import TrialState
from scipy.stats import rankdata

from bench.analysis.scores import final_scores
from bench.analysis.statistics import interquartile_mean
from bench.execution.training import execute
from bench.registry import get_game, get_metric
from bench.studies.plan import Row, Task, tunable
from bench.studies.tuning.samplers import distributions, make_sampler
from bench.studies.tuning.search import Space, rounds
from bench.studies.tuning.tuner import BATCH, RERANKED

Array = NDArray[np.float64]

GAMES = {"ring8": 3000.0, "digits": 1000.0, "gaussian-mean": 1000.0}  # gradient evaluations a replica
RULES = ("sgd", "adam", "extraadam", "alternating")
TRUTH, POINTS, BEYOND = 48, 41, 1.0  # seeds; step sizes a rule; decades past the ends of the range
FIRST = 10_000  # the first seed: neither a report's nor a tuning's
TRIALS, SEEDS, REPEATS = 16, (3, 5), 200
FILE = Path(__file__).with_name("tuning_scores.csv")


# --- the truth, trained once -----------------------------------------------------------------------------------------


def grid(space: Space) -> Array:
    """The step sizes that are trained, [POINTS]."""
    (kind,) = space.values()
    return np.geomspace(kind.low / 10**BEYOND, kind.high * 10**BEYOND, POINTS)


def recorded(game: str, rule: str, budget: float, points: int, seeds: int) -> pd.DataFrame:
    """Scores of a rule on a game, lower the better and inf for a failure: a row a step size, a column a seed."""
    space, metric = tunable(rule), get_metric(get_game(game).score)
    (path,) = space
    steps = grid(space)[:: max(1, POINTS // points)]
    rows = [
        Row(FIRST + seed, ((path, float(f"{step:.6g}")),), number)
        for number, step in enumerate(steps)
        for seed in range(seeds)
    ]
    chunks = Task(rule, game, budget, 1, "cpu").chunks(rows, "tune", 1)
    records = pd.concat([pd.DataFrame(execute(chunk).records) for chunk in chunks])
    scores = (metric.sign * final_scores(records, metric, ["trial", "seed"])).unstack("seed")
    failed = records.groupby(["trial", "seed"])["outcome"].first().unstack("seed") != "ok"
    table = scores.mask(failed, math.inf).set_axis([f"seed{seed}" for seed in range(seeds)], axis=1)
    head = {"game": game, "rule": rule, "step": [float(f"{step:.6g}") for step in steps]}
    return pd.concat([pd.DataFrame(head, index=table.index), table], axis=1)


def record(games: dict[str, float], rules: tuple[str, ...], points: int, seeds: int, file: Path) -> None:
    """Train everything, and write it with four digits."""
    tables = [recorded(game, rule, budget, points, seeds) for game, budget in games.items() for rule in rules]
    pd.concat(tables).to_csv(file, index=False, float_format="%.4g")


class Truth(NamedTuple):
    """What 48 seeds say of a rule on a game: step sizes [P], scores [P, seeds]."""

    space: Space
    steps: Array
    scores: Array

    def nearest(self, step: float) -> int:
        """The place of the step size on the grid that is nearest to one."""
        return int(np.abs(np.log(self.steps) - math.log(step)).argmin())

    def regret(self, chosen: int) -> float:
        """How much worse a step size is than the best, as a share of what parts the best from the median of all."""
        worst = self.scores[np.isfinite(self.scores)].max()
        means = interquartile_mean(np.minimum(self.scores, worst))
        return float((means[chosen] - means.min()) / max(np.median(means) - means.min(), 1e-12))


def truths(file: Path) -> dict[tuple[str, str], Truth]:
    """(game, rule) -> its truth, from the file."""
    table = pd.read_csv(file)
    seeds = [name for name in table if name.startswith("seed")]
    return {
        (str(game), str(rule)): Truth(tunable(str(rule)), own["step"].to_numpy(float), own[seeds].to_numpy(float))
        for (game, rule), own in table.groupby(["game", "rule"], sort=False)
    }


# --- strategies and statistics ---------------------------------------------------------------------------------------

Statistic = Callable[[Array], Array]
"""Scores [trials, seeds] -> what trials are ordered by [trials]."""


def mean_rank(scores: Array) -> Array:
    """The mean over the seeds of a trial's rank among all trials there."""
    return np.asarray(rankdata(scores, axis=0).mean(axis=1))


STATISTICS: dict[str, Statistic] = {
    "median": lambda scores: np.median(scores, axis=1),
    "interquartile mean": interquartile_mean,
    "mean of ranks": mean_rank,
}


def optuna_sampler(name: str, seed: int, space: Space, trials: int) -> tuple[optuna.samplers.BaseSampler, list[int]]:
    """A sampler, and how many trials it is asked for at a time."""
    batches = [min(BATCH, trials - first) for first in range(0, trials, BATCH)]
    if name == "ours":
        return make_sampler("", space, trials), [sum(stage.size for stage in one) for one in rounds(trials)]
    kinds = {"random": "RandomSampler", "grid": "RandomSampler", "TPE": "TPESampler", "GP": "GPSampler"}
    own = getattr(optuna.samplers, kinds[name])(seed=seed)
    return own, ([1] * trials if name == "GP" else batches)  # GP gives one distinct point in a batch


def chosen(name: str, statistic: Statistic, truth: Truth, trials: int, seeds: Array, fresh: Array, seed: int) -> int:
    """The place of the step size that a strategy chooses; without ``fresh`` seeds it re-ranks nothing."""
    sampler, batches = optuna_sampler(name, seed, truth.space, trials)
    study, places = optuna.create_study(sampler=sampler), list[int]()
    spans = distributions(truth.space, trials, "" if name == "ours" else name)
    if name == "grid":
        ((path, kind),) = truth.space.items()
        for step in np.geomspace(kind.low, kind.high, trials):
            study.enqueue_trial({path: min(max(float(step), kind.low), kind.high)})
    for size in batches:
        asked = [study.ask(dict(spans)) for _ in range(size)]
        places += [truth.nearest(next(iter(trial.params.values()))) for trial in asked]
        values = statistic(truth.scores[places][:, seeds])[-size:]
        for trial, value in zip(asked, map(float, values), strict=True):
            finite = math.isfinite(value)
            study.tell(trial, value if finite else None, TrialState.COMPLETE if finite else TrialState.FAIL)
    order = np.argsort(statistic(truth.scores[places][:, seeds]), kind="stable")
    if not len(fresh):
        return places[order[0]]
    finalists = [places[i] for i in order[:RERANKED]]
    again = interquartile_mean(truth.scores[finalists][:, np.concatenate([seeds, fresh])])
    return finalists[int(again.argmin())]


class Way(NamedTuple):
    """A way to spend the cost of tuning: trials, seeds of those that spread and that close in, fresh ones."""

    trials: int
    spreading: int
    closing: int
    fresh: int

    @property
    def cost(self) -> int:
        """Trainings that it takes."""
        seeds = {True: self.spreading, False: self.closing}
        planned = [stage for together in rounds(self.trials) for stage in together]
        return sum(stage.size * seeds[stage.spread] for stage in planned) + RERANKED * self.fresh


WAYS = (
    Way(16, 3, 3, 3), Way(16, 2, 4, 3), Way(16, 2, 2, 8), Way(10, 5, 5, 3), Way(12, 4, 4, 4), Way(8, 6, 6, 6),
    Way(16, 3, 3, 8), Way(16, 5, 5, 5),
)  # fmt: skip


def spent(way: Way, truth: Truth, repeat: int) -> float:
    """The regret of our strategy where its seeds are spent in this way."""
    drawn = np.random.default_rng(repeat).permutation(truth.scores.shape[1])
    study = optuna.create_study(sampler=make_sampler("", truth.space, way.trials))
    spans = distributions(truth.space, way.trials, "")
    tried = list[tuple[float, int, int]]()  # value, place, seeds
    fresh = drawn[max(way.spreading, way.closing) :][: way.fresh]
    for together in rounds(way.trials):
        asked = [(study.ask(dict(spans)), stage) for stage in together for _ in range(stage.size)]
        for trial, stage in asked:
            place = truth.nearest(next(iter(trial.params.values())))
            count = way.spreading if stage.spread else way.closing
            value = float(interquartile_mean(truth.scores[place, drawn[:count]]))
            finite = math.isfinite(value)
            study.tell(trial, value if finite else None, TrialState.COMPLETE if finite else TrialState.FAIL)
            tried.append((value, place, count))
    finalists = sorted(tried, key=lambda trial: trial[0])[:RERANKED]
    again = [
        float(interquartile_mean(truth.scores[place, np.concatenate([drawn[:count], fresh])]))
        for _, place, count in finalists
    ]
    return truth.regret(finalists[int(np.argmin(again))][1])


def simulated(name: str, statistic: str, truth: Truth, count: int, repeats: int) -> float:
    """Mean regret of a strategy with so many tuning seeds, over draws of the seeds."""
    regrets = []
    for repeat in range(repeats):
        drawn = np.random.default_rng(repeat).permutation(truth.scores.shape[1])
        fresh = drawn[count : 2 * count] if name == "ours" else drawn[:0]
        trials = TRIALS if name == "ours" else TRIALS + RERANKED  # what its re-ranking costs
        place = chosen(name, STATISTICS[statistic], truth, trials, drawn[:count], fresh, repeat)
        regrets.append(truth.regret(place))
    return float(np.mean(regrets))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true", help="train, and write the scores")
    parser.add_argument("--smoke", action="store_true", help="a few step sizes, seeds and draws, to see that it works")
    parser.add_argument("--file", type=Path, default=FILE)
    given = parser.parse_args()
    if given.record:
        games = {game: budget / 20 for game, budget in GAMES.items()} if given.smoke else GAMES
        rules = RULES[:1] if given.smoke else RULES
        record(games, rules, *((7, 12) if given.smoke else (POINTS, TRUTH)), given.file)
        return
    start, repeats = time.perf_counter(), 2 if given.smoke else REPEATS
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"# The regret of tuning\n\n{(__doc__ or '').partition('beside this')[0].splitlines()[0]}\n")
    print("| game | rule | strategy | statistic | " + " | ".join(f"{count} seeds" for count in SEEDS) + " |")
    print("| --- | --- | --- | --- |" + " --- |" * len(SEEDS))
    for (game, rule), truth in truths(given.file).items():
        for name in ("ours", "random", "grid", "TPE", "GP"):
            for statistic in STATISTICS if name == "ours" else tuple(STATISTICS)[:2]:
                found = [
                    simulated(name, statistic, truth, count, repeats if name != "GP" else max(1, repeats // 10))
                    for count in SEEDS
                ]
                cells = " | ".join(f"{regret:.3f}" for regret in found)
                print(f"| {game} | {rule} | {name} | {statistic} | {cells} |", flush=True)
    print("\n| trials | seeds: spread, close in, fresh | trainings | mean regret, without sgd on ring8 |")
    print("| --- | --- | --- | --- |")
    learnt = [truth for pair, truth in truths(given.file).items() if pair != ("ring8", "sgd")]
    for way in WAYS:
        regret = np.mean([spent(way, truth, repeat) for truth in learnt for repeat in range(repeats)])
        print(f"| {way.trials} | {way.spreading}, {way.closing}, {way.fresh} | {way.cost} | {regret:.3f} |", flush=True)
    minutes = (time.perf_counter() - start) / 60
    print(
        f"\n{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}; {minutes:.1f} minutes."
    )


if __name__ == "__main__":
    main()
