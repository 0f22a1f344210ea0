"""The search strategy of a tuner: from the trials so far to the next points; trains nothing, has no state.

Points alternately spread over the whole range and close in on the best. One hyperparameter spreads as a grid even in
logarithm, each grid halving the gaps of the one before; two or more as Sobol points. What closes in fills the cell in
which the best point stands, as wide as the points that spread so far are apart; where the best is an outermost point,
the cell reaches OUTWARD past it: a range too narrow costs trials that others spend within, but never more of them.

Several step sizes are first tied, which means that all are the same share of their ranges: the search for one comes
first, and then half of the trials part them. So two step sizes find what one finds where the players need no two. The
first FEW trials are all tied.

Half of the trials spread out, half close in. Twice as many trials begin with the same ones: those of 2n are those of n
and n more, for n of 8 and above (of 16, where there is more than one hyperparameter, and of 8 step sizes).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

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
    """A point and how it did: lower is better, inf is a failure.

    ``value`` is the interquartile mean of the score over the tuning seeds, ``tie_break`` that of the metric which
    orders equal scores. ``learns`` says whether at least half of the seeds learned; None where the game does not say
    what learning is. ``stopped`` says that it was given up early: then ``value`` is that of its last evaluation.
    """

    point: Point
    value: float
    stopped: bool = False
    learns: bool | None = None
    tie_break: float = 0.0

    @property
    def rank(self) -> tuple[bool, float, float]:
        """What trials are ordered by: those that learn come first, however many of their other seeds failed."""
        return self.learns is False, rounded(self.value), self.tie_break

    @property
    def candidate(self) -> bool:
        """Whether it can be chosen: it went on to its end and did not fail."""
        return not self.stopped and (self.value < math.inf or self.learns is True)


def rounded(score: float) -> float:
    """A score by which trials are compared: equal for two that differ by no more than rounding."""
    return float(f"{score:.9g}")


class Stage(NamedTuple):
    """Trials that are proposed together."""

    spread: bool
    """Whether they spread over the range; else they close in on the best."""
    first: int
    """The number of the first of them."""
    size: int
    """How many there are."""
    before: int
    """How many spread before it, over as many dimensions as it has."""
    tied: bool
    """Whether all step sizes are the same share of their ranges."""


def can_tie(space: Space) -> bool:
    """Whether there are several step sizes and nothing else."""
    return len(space) > 1 and all(kind.step_size for kind in space.values())


def stages(trials: int, dimensions: int = 1, tied: bool = False) -> list[Stage]:
    """How so many trials are spent, in order; ``tied`` says that step sizes are tied at first."""
    planned = list[Stage]()
    spread = {True: 0, False: 0}
    for part, together in _parts(trials, dimensions, tied):
        for spreads, size in ((True, part // 2), (False, part - part // 2)):
            if size:
                planned.append(Stage(spreads, sum(stage.size for stage in planned), size, spread[together], together))
            spread[together] += size if spreads else 0
    return planned


def _parts(trials: int, dimensions: int, tied: bool) -> list[tuple[int, bool]]:
    """(how many trials, whether they are tied); half of each part spread, half close in."""
    few = FEW if dimensions == 1 else 2 * FEW
    sizes = [trials]
    while sizes[0] % 2 == 0 and sizes[0] // 2 >= few:
        sizes[:1] = [sizes[0] // 2] * 2
    if not tied:
        return [(size, False) for size in sizes]
    together = min(sizes[0], max(FEW, sizes[0] // 2))
    return [(together, True), *((size, False) for size in (sizes[0] - together, *sizes[1:]) if size)]


def rounds(trials: int, dimensions: int = 1, tied: bool = False) -> list[list[Stage]]:
    """Stages that may train in parallel.

    Points that spread do not depend on earlier trials, so they share a round with the stage before them.
    """
    stages_by_round: list[list[Stage]] = [[]]
    for stage in stages(trials, dimensions, tied):
        if not stage.spread:
            stages_by_round.append([])
        stages_by_round[-1].append(stage)
    return stages_by_round


def propose(space: Space, stage: Stage, tried: Sequence[Trial]) -> list[Point]:
    """The points of a stage.

    Args:
        space: path -> kind of each hyperparameter that is tuned.
        stage: one of `stages`.
        tried: what was tried before the stage.
    """
    if stage.tied:
        return _tied(space, stage, tried)
    if stage.spread:
        return (_grid if len(space) == 1 else _sobol)(space, stage.before, stage.size)
    return (_zoom if len(space) == 1 else _cloud)(space, tried, stage.before, stage.size)


def reach(space: Space, trials: int) -> dict[str, tuple[float, float]]:
    """The least and greatest value that so many trials can come to, path -> (least, greatest).

    Every stage that closes in may go past the outermost point tried.
    """
    closing = [stage for stage in stages(trials, len(space), can_tie(space)) if not stage.spread]
    beyond = sum(max(_share(stage.before, 1 if stage.tied else len(space)), OUTWARD) for stage in closing)
    ends = {}
    for path, kind in space.items():
        low, high = _range(kind)
        past = beyond * (high - low)
        ends[path] = (_from_scale(kind, low - past), _from_scale(kind, high + past))
    return ends


def best(tried: Sequence[Trial], count: int) -> list[int]:
    """The indices of the best trials, best first; none that failed or was pruned."""
    order = sorted(range(len(tried)), key=lambda i: (tried[i].rank, i))
    return [i for i in order if tried[i].candidate][:count]


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
        tried: where it was tried, on the scale.
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


def _share(spread_count: int, dimensions: int) -> float:
    """Half the spacing of so many points that are evenly spaced in the box, as a share of the range."""
    return float(max(spread_count, 1) ** (-1 / dimensions) / 2)


def _cells(space: Space, tried: Sequence[Trial], spread_count: int) -> dict[str, tuple[float, float, float]]:
    """Around the best."""
    leader, share = next(iter(best(tried, 1)), None), _share(spread_count, len(space))
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


def _tied(space: Space, stage: Stage, tried: Sequence[Trial]) -> list[Point]:
    """The search for one step size, in the first one; the others are the same share of their ranges."""
    (path, kind), *others = space.items()
    alone = {path: kind}
    one = [replace(trial, point={path: trial.point[path]}) for trial in tried]
    low, high = _range(kind)
    points = propose(alone, stage._replace(tied=False), one)
    for point in points:
        share = (_to_scale(kind, point[path]) - low) / (high - low)
        for other, its in others:
            least, most = _range(its)
            same = (its.low, its.high, its.log) == (kind.low, kind.high, kind.log)  # then without rounding
            point[other] = point[path] if same else _from_scale(its, least + (most - least) * share)
    return points
