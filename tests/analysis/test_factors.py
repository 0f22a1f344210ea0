"""Shares of two factors: planted ones are found, chance is none, and the interval covers what is true."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.statistics import factor_shares


def planted(rng, a=0.0, b=0.0, ab=0.0, levels=(4, 4), n=10, games=None):
    """Normal scores whose means differ along the first factor, the second, and in one cell."""
    shape = (*(() if games is None else (games,)), *levels, n)
    x = rng.normal(size=shape)
    x = x + a * np.arange(levels[0])[:, None, None] + b * np.arange(levels[1])[:, None]
    x[..., 0, 0, :] += ab
    return x


def test_each_planted_factor_takes_the_variance():
    rng = np.random.default_rng(0)
    for place, what in enumerate(("a", "b", "ab")):
        shares = factor_shares(planted(rng, **{what: 50.0}), resamples=50)
        assert shares[place].value == max(share.value for share in shares)
        assert sum(share.value for share in shares) > (0.9 if what != "ab" else 0.1)


def test_shares_are_those_of_an_analysis_of_variance():
    """One factor's omega squared, from scipy's F: df (F - 1) / (df F + the other sums of squares over chance + 1)."""
    rng = np.random.default_rng(1)
    x = stats.rankdata(planted(rng, a=1.0, levels=(3, 2), n=6)).reshape(3, 2, 6)
    means = x.mean((1, 2))
    within = x.var(-1, ddof=1).mean()
    total = ((x - x.mean()) ** 2).sum()
    expected = (12 * ((means - means.mean()) ** 2).sum() - 2 * within) / (total + within)
    assert factor_shares(x, resamples=2).first.value == pytest.approx(expected, rel=1e-12)


def test_the_interval_of_chance_covers_nothing_at_its_confidence():
    rng = np.random.default_rng(2)
    covered = [
        [share.low <= 0 <= share.high for share in factor_shares(planted(rng), resamples=200, seed=k)]
        for k in range(100)
    ]
    assert (np.mean(covered, axis=0) > 0.85).all()


def test_only_ranks_count_and_a_failure_is_the_last():
    rng = np.random.default_rng(3)
    x = planted(rng, b=0.5)
    assert factor_shares(x, resamples=20) == factor_shares(np.exp(3 * x), resamples=20)
    worst = np.where(x == x.max(), np.inf, x)
    assert factor_shares(worst, resamples=20) == factor_shares(x, resamples=20)


def test_games_are_ranked_apart():
    rng = np.random.default_rng(4)
    x = planted(rng, a=0.4, games=3)
    scaled = x * np.array([1, 1e3, 1e-3])[:, None, None, None]
    assert factor_shares(scaled, resamples=20) == factor_shares(x, resamples=20)
    apart = [factor_shares(game, resamples=2).first.value for game in x]
    assert factor_shares(x, resamples=2).first.value == pytest.approx(np.mean(apart), rel=1e-12)


def test_all_the_same_is_due_to_nothing():
    assert [share.value for share in factor_shares(np.ones((2, 2, 3)), resamples=10)] == [0, 0, 0]


@pytest.mark.parametrize("shape", [(1, 4, 5), (4, 1, 5), (4, 4, 1)])
def test_what_cannot_be_told(shape):
    with pytest.raises(ValueError, match="two levels a factor and two runs a cell"):
        factor_shares(np.zeros(shape))
