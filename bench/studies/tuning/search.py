"""The search strategy of a tuner: from the trials so far to the next points; trains nothing, has no state.

Points alternately spread over the whole range and close in on the best. One hyperparameter spreads as a grid even in
logarithm, each grid halving the gaps of the one before; two or more as Sobol points. What closes in fills the cell in
which the best point stands, as wide as the points that spread so far are apart; where the best is an outermost point,
the cell reaches OUTWARD past it: a range too narrow costs trials that others spend within, but never more of them.

Half of the trials spread out, half close in. Twice as many trials begin with the same ones: those of 2n are those of n
and n more, for n of 8 and above (of 16, where there is more than one hyperparameter).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from bench.contracts import Hyperparameter

FEW = 8  # trials that are not split any further; twice as many where there is more than one dimension
OUTWARD = 1 / 4  # share of the range that is searched beyond an outermost point, if that is the best
GOLDEN = (3 - math.sqrt(5)) / 2  # of a gap: points set off by it from one of a grid are on no finer grid to come

Space = dict[str, Hyperparameter]
Point = dict[str, float]


@dataclass(frozen=True)
class Trial:
    """A point and its score: lower is better, inf is a failure.

    ``value`` is the median over the tuning seeds; ``stopped`` says that it was given up early, and then ``value`` is
    that of its last evaluation, and no candidate.
    """

    point: Point
    value: float
    stopped: bool = False

    @property
    def rank(self) -> float:
        """The key that trials are chosen by."""
        return math.inf if self.stopped else self.value


def stages(trials: int, dimensions: int = 1) -> list[tuple[bool, int]]:
    """How so many trials are spent: (whether they spread out, how many), in order."""
    few = FEW if dimensions == 1 else 2 * FEW
    sizes = [trials]
    while sizes[0] % 2 == 0 and sizes[0] // 2 >= few:
        sizes[:1] = [sizes[0] // 2] * 2
    return [stage for size in sizes for stage in ((True, size // 2), (False, size - size // 2))]


def rounds(trials: int, dimensions: int = 1) -> list[list[tuple[bool, int, int]]]:
    """Stages that may train in parallel: (whether they spread, the number of the first trial, how many).

    Points that spread do not depend on earlier trials, so they share a round with the stage before them.
    """
    stages_by_round: list[list[tuple[bool, int, int]]] = [[]]
    first = 0
    for spread, count in stages(trials, dimensions):
        if not spread:
            stages_by_round.append([])
        stages_by_round[-1].append((spread, first, count))
        first += count
    return stages_by_round


def propose(space: Space, spread: bool, tried: Sequence[Trial], spread_count: int, count: int) -> list[Point]:
    """The points of a stage.

    Args:
        space: path -> kind of each hyperparameter that is tuned.
        spread: whether they spread over the range or close in on the best.
        tried: what has been tried before the stage.
        spread_count: how many points the spreading stages before it had.
        count: how many to give.
    """
    if spread:
        return (_grid if len(space) == 1 else _sobol)(space, spread_count, count)
    return (_zoom if len(space) == 1 else _cloud)(space, tried, spread_count, count)


def best(tried: Sequence[Trial], count: int) -> list[int]:
    """The indices of the best trials, best first; none that failed or was pruned."""
    order = sorted(range(len(tried)), key=lambda i: (tried[i].rank, i))
    return [i for i in order if tried[i].rank < math.inf][:count]


# --- the scale on which a hyperparameter is searched -----------------------------------------------------------------


def _to_scale(kind: Hyperparameter, value: float) -> float:
    return math.log(value) if kind.log else value


def _from_scale(kind: Hyperparameter, coordinate: float) -> float:
    """A value within its bounds, rounded to ten digits: a point is the same on every machine."""
    value = math.exp(coordinate) if kind.log else coordinate
    return float(f"{min(max(value, kind.least), kind.most):.10g}")


def _range(kind: Hyperparameter) -> tuple[float, float]:
    return _to_scale(kind, kind.low), _to_scale(kind, kind.high)


def _bounds(kind: Hyperparameter) -> tuple[float, float]:
    least, most = (-math.inf if kind.log and end <= 0 else _to_scale(kind, end) for end in (kind.least, kind.most))
    return least, most


def _cell(kind: Hyperparameter, tried: Sequence[float], leader: int | None, share: float) -> tuple[float, float, float]:
    """The interval to refine, on the scale: (centre, how far below it, how far above).

    Where all trials failed, it is below the smallest step size tried, because failures are mostly too long a step.

    Args:
        kind: of the hyperparameter.
        known: where it was tried.
        leader: which of these is the best; None where all failed.
        share: of the range, to either side of the best.
    """
    (low, high), (least, most) = _range(kind), _bounds(kind)
    near, far = share * (high - low), max(share, OUTWARD) * (high - low)
    if leader is None:
        down = min(far, min(tried) - least) if kind.step_size else 0.0
        return (min(tried), down, 0.0) if down > 0 else (low, 0.0, high - low)
    centre = tried[leader]
    below = min(far if centre <= min(tried) else near, centre - least)
    above = min(far if centre >= max(tried) else near, most - centre)
    return centre, below, above


def _cells(space: Space, tried: Sequence[Trial], spread_count: int) -> dict[str, tuple[float, float, float]]:
    """Around the best: half the spacing of ``spread_count`` points that are evenly spaced in the box."""
    leader, share = next(iter(best(tried, 1)), None), spread_count ** (-1 / len(space)) / 2
    return {
        path: _cell(kind, [_to_scale(kind, trial.point[path]) for trial in tried], leader, share)
        for path, kind in space.items()
    }


# --- one hyperparameter ----------------------------------------------------------------------------------------------


def _grid(space: Space, spread_count: int, count: int) -> list[Point]:
    """The first grid has k / count of the range, k from 0; the next ones the middles of the gaps of all before."""
    ((path, kind),) = space.items()
    low, high = _range(kind)
    fractions = (np.arange(count) + (0.5 if spread_count else 0.0)) / count
    return [{path: _from_scale(kind, low + (high - low) * float(fraction))} for fraction in fractions]


def _zoom(space: Space, tried: Sequence[Trial], spread_count: int, count: int) -> list[Point]:
    """Points even on the scale in the cell of the best, and none that was tried before."""
    ((path, kind),) = space.items()
    ((centre, below, above),) = _cells(space, tried, spread_count).values()
    low, high = _range(kind)
    taken = [_to_scale(kind, trial.point[path]) for trial in tried]
    left = round(count * below / (below + above))
    for sign, reach, number in ((-1, below, left), (1, above, count - left)):
        for k in range(number, 0, -1):
            step = sign * reach / number
            at = centre + (k - GOLDEN) * step
            while np.abs(np.array(taken) - at).min() < 1e-9 * (high - low):
                step /= 2
                at -= step  # inward, because the cell may end at a bound
            taken.append(at)
    return [{path: _from_scale(kind, at)} for at in sorted(taken[len(tried) :])]


# --- two or more -----------------------------------------------------------------------------------------------------


def _drawn(dimensions: int, scrambled: int, first: int, count: int) -> NDArray[np.float64]:
    """Points [count, dimensions] of a scrambled Sobol sequence (Owen 1998) in the unit cube, from an index on."""
    sequence = qmc.Sobol(dimensions, scramble=True, rng=scrambled)
    if first:
        sequence.fast_forward(first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a number of points is no power of 2
        drawn: NDArray[np.float64] = sequence.random(count)
    return drawn


def _placed(space: Space, box: dict[str, tuple[float, float]], drawn: NDArray[np.float64]) -> list[Point]:
    """Points of the unit cube in a box, path -> (low, high) on the scale."""
    return [
        {
            path: _from_scale(kind, box[path][0] + (box[path][1] - box[path][0]) * float(u))
            for (path, kind), u in zip(space.items(), row, strict=True)
        }
        for row in drawn
    ]


def _sobol(space: Space, spread_count: int, count: int) -> list[Point]:
    """The next points of one sequence over the whole range."""
    return _placed(
        space, {path: _range(kind) for path, kind in space.items()}, _drawn(len(space), 0, spread_count, count)
    )


def _cloud(space: Space, tried: Sequence[Trial], spread_count: int, count: int) -> list[Point]:
    """Points of a sequence of their own in the cell of the best."""
    cells = _cells(space, tried, spread_count)
    box = {path: (centre - below, centre + above) for path, (centre, below, above) in cells.items()}
    return _placed(space, box, _drawn(len(space), spread_count, 0, count))
