"""Averages that a failure does not break, against scipy and numpy, and by hand."""

import numpy as np
import pytest
from samples import INF, sample
from scipy import stats

from bench.analysis import statistics


@pytest.mark.parametrize("n", range(1, 14))
def test_interquartile_mean_is_the_trimmed_mean(n):
    x = sample(3, n, 4, seed=n)
    np.testing.assert_allclose(
        statistics.interquartile_mean(x, axis=1), stats.trim_mean(x, 0.25, axis=1), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([8, 1, 7, 2, 6, 3, 5, 4], 4.5),
        ([1, 2, 6], 3),
        ([5], 5),
        ([INF, 1, 3, 2], 2.5),
        ([INF, INF, 1, 2], INF),
        ([-INF, 1, 3, 2], 1.5),
        ([INF, INF], INF),
        ([-INF], -INF),
        ([1e308] * 8, 1e308),
        ([0.1] * 10, 0.1),
    ],
)
def test_interquartile_mean_by_hand(scores, expected):
    assert statistics.interquartile_mean(scores) == expected


@pytest.mark.parametrize("n", range(1, 9))
def test_median_is_numpys_where_nothing_failed(n):
    x = sample(3, n, 4, seed=n)
    np.testing.assert_allclose(statistics.median(x, axis=1), np.median(x, axis=1), rtol=1e-12, atol=1e-15)
    x[0, : (n + 1) // 2] = INF  # half or more
    assert (statistics.median(x, axis=1)[0] == INF).all()
    assert statistics.median([1e308, 1e308]) == 1e308
