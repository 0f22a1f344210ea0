"""What the bootstrap of a study takes: as a ratio to numpy's own way, which gathers and sorts every resample.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_statistics.py --benchmark-only

Both sides alternate, so that a noisy neighbour hits both.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from bench.analysis import statistics
from bench.analysis.statistics import bootstrap_rules

RULES, SEEDS, RESAMPLES, ROUNDS = 20, 10, 10_000, 7


def plain(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interquartile mean's interval, [rules] each, with as little as numpy needs."""
    drawn = np.random.default_rng(0).integers(SEEDS, size=(RESAMPLES, SEEDS))
    cut = SEEDS // 4
    values = np.stack([np.sort(row[drawn], axis=1)[:, cut : SEEDS - cut].mean(axis=1) for row in scores])
    low, high = np.quantile(values, [0.025, 0.975], axis=1)
    return low, high


def seconds(work: Any, *arguments: Any) -> float:
    start = perf_counter()
    work(*arguments)
    return perf_counter() - start


@pytest.mark.parametrize("name", ["interquartile_mean", "median"])
def test_bootstrap_against_sorting_resamples(benchmark: Any, name: str) -> None:
    scores = np.random.default_rng(1).normal(size=(RULES, SEEDS))
    statistic = getattr(statistics, name)
    sides = ((bootstrap_rules, scores, statistic, RESAMPLES), (plain, scores))
    pairs = [tuple(seconds(*side) for side in sides) for _ in range(ROUNDS)]
    own, theirs = (median(side) for side in zip(*pairs, strict=True))
    benchmark.extra_info |= {"ratio": own / theirs, "seconds": own, "plain_seconds": theirs}
    print(f"\n{name}: {own * 1e3:.1f} ms for {RULES} rules x {SEEDS} seeds, {own / theirs:.2f} of sorting resamples")
    benchmark.pedantic(bootstrap_rules, args=(scores, statistic, RESAMPLES), rounds=ROUNDS)
