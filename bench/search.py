"""Where a tuner looks next: arrays of what was tried in, points to try out; trains nothing, remembers nothing.

One hyperparameter: alternately a grid even in logarithm over the whole range, each grid halving the gaps of the one
before, and a zoom around the best point as far as the grid's next points. Around a best point at an end of the range
the zoom goes past that end: a range too narrow costs trials that others spend within, but never more of them.
Two or more: alternately Sobol points over the whole box, and Optuna's tree-structured Parzen estimator (Bergstra et al.
2011) in batches; a side of the box that the best point is near to moves outward.

Half of the trials spread out, half close in. Twice as many trials begin with the same ones: those of 2n are those of n
and n more, for n of 8 and above (of 16, where there is more than one hyperparameter).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from bench.contracts import Hyperparameter
from bench.spelling import SpecError, nearest, parse

BATCH = 8  # trials that TPE proposes at once
FEW = 8  # trials that are not split any further; twice as many where there is more than one dimension
NEAR = 1 / 16  # of a side of the box: a best point nearer than this to its end moves the end
OUTWARD = 1 / 4  # of a side, by which its end then moves

Space = dict[str, Hyperparameter]
Point = dict[str, float]


@dataclass(frozen=True)
class Trial:
    """What was tried, and how it came out: lower is better, inf is a failure.

    ``value`` is the median over the tuning seeds; ``stopped`` says that it was given up early, and then ``value`` is
    that of its last evaluation, and no candidate.
    """

    point: Point
    value: float
    stopped: bool = False

    @property
    def rank(self) -> float:
        """What it is chosen by."""
        return math.inf if self.stopped else self.value


def stages(trials: int, dimensions: int = 1) -> list[tuple[bool, int]]:
    """How so many trials are spent: (whether they spread out, how many), in order."""
    few = FEW if dimensions == 1 else 2 * FEW
    sizes = [trials]
    while sizes[0] % 2 == 0 and sizes[0] // 2 >= few:
        sizes[:1] = [sizes[0] // 2] * 2
    found = []
    for size in sizes:
        focus = size - size // 2
        batches = [focus] if dimensions == 1 else [min(BATCH, focus - done) for done in range(0, focus, BATCH)]
        found += [(True, size // 2), *((False, batch) for batch in batches)]
    return found


def rounds(trials: int, dimensions: int = 1) -> list[list[tuple[bool, int, int]]]:
    """Stages that may train side by side: (whether they spread, the number of the first trial, how many).

    Points that spread ask nothing of what was tried, so they stand beside the stage before them.
    """
    found: list[list[tuple[bool, int, int]]] = [[]]
    first = 0
    for spread, count in stages(trials, dimensions):
        if not spread:
            found.append([])
        found[-1].append((spread, first, count))
        first += count
    return found


def propose(space: Space, spread: bool, tried: Sequence[Trial], place: int, count: int) -> list[Point]:
    """The points of a stage.

    Args:
        space: path -> kind of each hyperparameter that is tuned.
        spread: whether they spread over the range or close in on the best.
        tried: what has been tried before the stage.
        place: how many points the spreading stages before it had.
        count: how many to give.
    """
    if spread:
        return (_grid if len(space) == 1 else _sobol)(space, place, count)
    return _zoom(space, tried, place, count) if len(space) == 1 else _estimated(space, tried, count)


def best(tried: Sequence[Trial], count: int) -> list[int]:
    """The places of the best trials, best first; none that failed or was given up."""
    order = sorted(range(len(tried)), key=lambda i: (tried[i].rank, i))
    return [i for i in order if tried[i].rank < math.inf][:count]


# --- the scale on which a hyperparameter is searched -----------------------------------------------------------------


def _to_scale(kind: Hyperparameter, value: float) -> float:
    return math.log(value) if kind.log else value


def _from_scale(kind: Hyperparameter, place: float) -> float:
    """A value within its bounds, rounded to ten digits: a point is the same on every machine."""
    value = math.exp(place) if kind.log else place
    return float(f"{min(max(value, kind.least), kind.most):.10g}")


def _range(kind: Hyperparameter) -> tuple[float, float]:
    return _to_scale(kind, kind.low), _to_scale(kind, kind.high)


# --- one hyperparameter ----------------------------------------------------------------------------------------------


def _grid(space: Space, place: int, count: int) -> list[Point]:
    """The first grid has k / count of the range, k from 0; the next ones the middles of the gaps of all before."""
    ((path, kind),) = space.items()
    low, high = _range(kind)
    fractions = (np.arange(count) + (0.5 if place else 0.0)) / count
    return [{path: _from_scale(kind, low + (high - low) * float(fraction))} for fraction in fractions]


def _zoom(space: Space, tried: Sequence[Trial], place: int, count: int) -> list[Point]:
    """Points even on the scale around the best, as far out as points of the grid so far, ``place`` of them, are apart.

    Where all failed it is the least that is closed in on: what fails is mostly a step too long.
    """
    ((path, kind),) = space.items()
    low, high = _range(kind)
    leaders = best(tried, 1)
    centre = min(_to_scale(kind, trial.point[path]) for trial in ([tried[leaders[0]]] if leaders else tried))
    gap = (high - low) / place
    below = gap if kind.log else min(gap, centre - kind.least)
    above = gap if kind.log else min(gap, kind.most - centre)
    left = round(count * below / (below + above))
    steps = [(-below * k / (left + 1), -below / (left + 1)) for k in range(left, 0, -1)]
    steps += [(above * k / (count - left + 1), above / (count - left + 1)) for k in range(1, count - left + 1)]
    known = [_to_scale(kind, trial.point[path]) for trial in tried]
    found = []
    for step, apart in steps:
        again = any(math.isclose(centre + step, at, abs_tol=1e-6) for at in known)
        found.append({path: _from_scale(kind, centre + step + (apart / 2 if again else 0.0))})
    return found


# --- two or more -----------------------------------------------------------------------------------------------------


def _sobol(space: Space, place: int, count: int) -> list[Point]:
    """Scrambled Sobol points (Owen 1998), the next ones of one sequence."""
    sequence = qmc.Sobol(len(space), scramble=True, rng=0)
    if place:
        sequence.fast_forward(place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a number of points is no power of 2
        drawn: NDArray[np.float64] = sequence.random(count)
    found = []
    for row in drawn:
        ranges = {path: _range(kind) for path, kind in space.items()}
        at = {path: low + (high - low) * float(u) for (path, (low, high)), u in zip(ranges.items(), row, strict=True)}
        found.append({path: _from_scale(space[path], p) for path, p in at.items()})
    return found


def widened(space: Space, tried: Sequence[Trial]) -> dict[str, tuple[float, float]]:
    """The box to search, path -> (low, high): a side that the best point is near to is moved outward."""
    leaders = best(tried, 1)
    box = {}
    for path, kind in space.items():
        low, high = _range(kind)
        side = high - low
        if leaders:
            at = _to_scale(kind, tried[leaders[0]].point[path])
            low, high = min(low, at), max(high, at)
            low -= OUTWARD * side if at - low < NEAR * side else 0.0
            high += OUTWARD * side if high - at < NEAR * side else 0.0
        box[path] = (_from_scale(kind, low), _from_scale(kind, high))
    return box


def _estimated(space: Space, tried: Sequence[Trial], count: int) -> list[Point]:
    """A batch of the tree-structured Parzen estimator's."""
    return sampled("TPESampler[multivariate=true,constant_liar=true,n_startup_trials=1]", space, tried, count)


def sampled(sampler: str, space: Space, tried: Sequence[Trial], count: int) -> list[Point]:
    """A batch of a sampler of Optuna's by name, from a study made anew of what was tried."""
    import optuna
    from optuna.distributions import FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    box = widened(space, tried)
    shapes: dict[str, Any] = {path: FloatDistribution(*box[path], log=kind.log) for path, kind in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some samplers or their options are experimental
        study = optuna.create_study(sampler=made(sampler, seed=len(tried)))
        finite = [trial.value for trial in tried if math.isfinite(trial.value)]
        worst = max(finite, default=0.0)
        for trial in tried:
            value = trial.value if math.isfinite(trial.value) else worst + abs(worst) + 1.0  # inf would be no number
            point = {path: min(max(trial.point[path], low), high) for path, (low, high) in box.items()}
            study.add_trial(optuna.create_trial(params=point, distributions=shapes, value=value))
        asked = [study.ask(shapes) for _ in range(count)]
    return [{path: float(f"{trial.params[path]:.10g}") for path in space} for trial in asked]


def made(spelled: str, seed: int) -> Any:
    """A sampler of Optuna's as spelled, e.g. ``TPESampler`` or ``CmaEsSampler[sigma0=0.1]``; SpecError for none."""
    import optuna

    known = [name for name in dir(optuna.samplers) if name.endswith("Sampler") and not name.startswith("Base")]
    asked = parse(spelled)
    if asked.name not in known:
        raise SpecError(f"sampler is {asked.name!r}; {nearest(asked.name, known)}")
    try:
        try:
            return getattr(optuna.samplers, asked.name)(**({"seed": seed} | asked.keys))
        except TypeError:  # one that takes no seed is decided without it
            return getattr(optuna.samplers, asked.name)(**asked.keys)
    except Exception as error:
        raise SpecError(f"sampler {spelled}: {error}") from None
