"""The script that reads regrets off recorded scores: on scores that are made up, where the best step size is known."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scripts import script

from bench.studies.plan import tunable


@pytest.fixture(scope="module")
def tuning() -> ModuleType:
    return script("tuning")


@pytest.fixture(scope="module")
def valley(tuning: ModuleType) -> Any:
    """Best at 0.05; steps beyond 2 fail; noise that the seeds have in common and their own."""
    space = tunable("sgd")
    steps = tuning.grid(space)
    noise = np.random.default_rng(0).normal(size=(len(steps), tuning.TRUTH)) / 20
    scores = np.abs(np.log10(steps) - np.log10(0.05))[:, None] + noise
    scores[steps > 2] = np.inf
    return tuning.Truth(space, steps, scores)


def test_regret_is_none_at_the_best_and_one_at_the_median(tuning: ModuleType, valley: Any) -> None:
    regrets = [valley.regret(place) for place in range(len(valley.steps))]
    assert min(regrets) == 0
    assert valley.steps[int(np.argmin(regrets))] == pytest.approx(0.05, rel=0.6)
    assert np.median(regrets) == pytest.approx(1.0)
    assert valley.nearest(0.05) == np.abs(np.log(valley.steps / 0.05)).argmin()


@pytest.mark.parametrize("name", ["ours", "random", "grid", "TPE"])
def test_strategies_find_the_valley(tuning: ModuleType, valley: Any, name: str) -> None:
    for statistic in tuning.STATISTICS:
        found = tuning.simulated(name, statistic, valley, 3, 4)
        assert found == tuning.simulated(name, statistic, valley, 3, 4)
        assert 0 <= found < 0.35


def test_what_is_recorded_is_read_again(tuning: ModuleType, tmp_path: Path) -> None:
    tuning.record({"gaussian-mean": 20.0}, ("sgd",), 5, 2, tmp_path / "scores.csv")
    ((key, truth),) = tuning.truths(tmp_path / "scores.csv").items()
    assert key == ("gaussian-mean", "sgd")
    assert truth.scores.shape == (len(truth.steps), 2)
    assert not np.isnan(truth.scores).any()
    assert np.isinf(truth.scores[-1]).all(), "a step of 100 has diverged"
