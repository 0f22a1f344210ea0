"""How much of a difference is due to which of two factors: an analysis of variance on ranks, failures the worst.

Every cell of two crossed factors (schemes x directions) holds as many runs. Their scores are replaced by their ranks
(Conover and Iman 1981, The American Statistician 35:124), so that a failure is no number but the last place. The ranks'
variance is divided among the first factor, the second, what the two do together, and chance (Fisher 1925). Each share
is omega squared, which chance alone leaves at 0 on average (Hays 1963).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bench.analysis.statistics.arrays import Array, Interval, numbers
from bench.analysis.statistics.bootstrap import percentiles


class Shares(NamedTuple):
    """Of the variance of ranks; what remains to 1 is chance."""

    first: Interval
    second: Interval
    together: Interval


def factor_shares(scores: ArrayLike, resamples: int = 2000, confidence: float = 0.95, seed: int = 0) -> Shares:
    """Shares of two crossed factors in scores [a, b, n] or [games, a, b, n], with percentile intervals.

    Args:
        scores: n runs of every combination; inf for failures. Games are ranked apart and their shares averaged.
        resamples: of the bootstrap, which draws the runs of each cell anew.
        confidence: of the intervals.
        seed: of the bootstrap.

    Raises ValueError where a factor has one level or a cell a single run: no effect can be separated from chance.
    """
    x = numbers("scores", scores, dims=(3, 4))
    x = x if x.ndim == 4 else x[None]
    if min(x.shape[1:]) < 2:
        raise ValueError(f"scores: found shape {x.shape}; allowed: two levels a factor and two runs a cell, or more")
    rng = np.random.default_rng(seed)
    n = x.shape[-1]
    # The cells of a resample scatter about those of the data, which scatter themselves: chance comes in twice.
    drawn = np.stack([_shares(_resampled(x, rng), 1 + n / (n - 1)) for _ in range(resamples)], axis=-1)
    low, high = percentiles(drawn, confidence)
    return Shares(*(Interval(*map(float, part)) for part in zip(_shares(x), low, high, strict=True)))


def _resampled(x: Array, rng: np.random.Generator) -> Array:
    return np.take_along_axis(x, rng.integers(x.shape[-1], size=x.shape), axis=-1)


def _shares(x: Array, scatter: float = 1.0) -> Array:
    """Omega squared of the first factor, the second and their interaction, mean over games: [3].

    ``scatter`` is how often the variance within cells is in that of their means.
    """
    games, a, b, n = x.shape
    ranks = stats.rankdata(x.reshape(games, -1), axis=1).reshape(x.shape)
    cells, grand = ranks.mean(-1), ranks.mean((1, 2, 3))[:, None, None]
    firsts, seconds = cells.mean(2, keepdims=True), cells.mean(1, keepdims=True)
    squares = [
        b * n * ((firsts - grand) ** 2).sum((1, 2)),
        a * n * ((seconds - grand) ** 2).sum((1, 2)),
        n * ((cells - firsts - seconds + grand) ** 2).sum((1, 2)),
    ]
    chance = ((ranks - cells[..., None]) ** 2).sum((1, 2, 3)) / (a * b * (n - 1))
    total = ((ranks - grand[..., None]) ** 2).sum((1, 2, 3)) + chance
    freedom = (a - 1, b - 1, (a - 1) * (b - 1))
    return np.array(
        [
            np.divide(square - free * scatter * chance, total, out=np.zeros(games), where=total > 0).mean()
            for square, free in zip(squares, freedom, strict=True)
        ]
    )
