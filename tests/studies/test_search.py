"""Where a tuner looks: what every strategy owes, and that no simpler one finds better steps at equal cost."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, get_args

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray

from bench.analysis.statistics import interquartile_mean
from bench.contracts import Coefficient, Decay, Epsilon, Fraction, Hyperparameter, Momentum, StepSize
from bench.studies.tuning.search import Point, Space, Trial, best, can_tie, propose, reach, rounds, stages

Array = NDArray[np.float64]
Score = Callable[[Point], float]

STEP: Hyperparameter = get_args(StepSize)[1]
SHARE = Hyperparameter("share", 1e-3, 1.0, log=True, least=1e-3, most=1.0, step_size=True)  # bounded on both sides
KINDS = [*(get_args(kind)[1] for kind in (StepSize, Decay, Fraction, Momentum, Coefficient, Epsilon)), SHARE]
SPACES: dict[str, Space] = {kind.kind: {"only": kind} for kind in KINDS}
SPACES |= {"two steps": {"a": STEP, "b": STEP}, "two decays": {"a": KINDS[1], "b": KINDS[1]}}
SPACES |= {"many": {kind.kind: kind for kind in KINDS}}


def places(space: Space, point: Point) -> Array:
    """Where a point is on the scale of the search, 0 and 1 being the ends of the range."""
    scale = [np.log if kind.log else float for kind in space.values()]
    ends = [(f(kind.low), f(kind.high)) for f, kind in zip(scale, space.values(), strict=True)]
    return np.array([(f(point[path]) - a) / (b - a) for f, path, (a, b) in zip(scale, space, ends, strict=True)])


def proposed(space: Space, trials: int, score: Score) -> list[Trial]:
    """A whole tuning as `bench.studies.tuning.tuner` asks for it."""
    tried: list[Trial] = []
    for beside in rounds(trials, len(space), can_tie(space)):
        points: list[Point] = []
        for stage in beside:
            assert stage.first == len(tried) + len(points)
            points += propose(space, stage, tried)
        tried += [Trial(point, score(point)) for point in points]
    return tried


def rough(space: Space, seed: int) -> Score:
    """A score with no order in it, in which a fifth fails."""

    def score(point: Point) -> float:
        drawn = np.random.default_rng([seed, *(places(space, point) * 1e6 + 1e9).astype(int)]).random(2)
        return math.inf if drawn[0] < 0.2 else float(drawn[1])

    return score


def scores(space: Space) -> dict[str, Score]:
    return {
        "best at the low end": lambda point: float(places(space, point).sum()),
        "best at the high end": lambda point: -float(places(space, point).sum()),
        "best in the middle": lambda point: float(np.abs(places(space, point) - 0.4).sum()),
        "all alike": lambda point: 0.0,
        "all failed": lambda point: math.inf,
        "rough": rough(space, 1),
        "rough too": rough(space, 2),
    }


# --- laws ------------------------------------------------------------------------------------------------------------


# (dimensions, whether the step sizes are tied at first)
KINDS_OF_SEARCH = [(1, False), (2, False), (5, False), (2, True), (5, True)]


@pytest.mark.parametrize(("dimensions", "tied"), KINDS_OF_SEARCH)
@pytest.mark.parametrize("trials", range(4, 71))
def test_all_trials_are_spent_half_of_them_spread(trials: int, dimensions: int, tied: bool) -> None:
    spent = stages(trials, dimensions, tied)
    assert sum(stage.size for stage in spent) == trials
    assert min(stage.size for stage in spent) > 0
    assert [stage.first for stage in spent] == [sum(stage.size for stage in spent[:k]) for k in range(len(spent))]
    spread = sum(stage.size for stage in spent if stage.spread)
    assert trials / 2 - 1 <= spread <= trials / 2
    together = rounds(trials, dimensions, tied)
    assert [stage for one in together for stage in one] == spent
    assert all(stage.spread for one in together for stage in one[1:]), "what closes in waits for its round"


def test_rounds_are_few() -> None:
    """Every round trains as stacks of its own, so that many small ones are slow."""
    assert len(rounds(16)) == len(rounds(24)) == 3
    for dimensions, tied in KINDS_OF_SEARCH[:3]:
        assert len(rounds(16, dimensions, tied)) <= 3
        assert len(rounds(64, dimensions, tied)) <= 5
    assert len(rounds(16, 2, True)) == 3
    assert len(rounds(64, 2, True)) == 5


@pytest.mark.parametrize(
    ("dimensions", "trials"), [*((1, n) for n in (8, 9, 16, 24, 32)), *((2, n) for n in (8, 16, 24, 32))]
)
def test_twice_as_many_trials_begin_with_the_same(dimensions: int, trials: int) -> None:
    space = {f"step{k}": STEP for k in range(dimensions)}
    for name, score in scores(space).items():
        assert proposed(space, 2 * trials, score)[:trials] == proposed(space, trials, score), name


def test_the_points_are_those_of_always() -> None:
    """Of one hyperparameter, and of two that are not both step sizes: they are part of what a study's chunks are."""
    assert [trial.point["lr"] for trial in proposed({"lr": STEP}, 16, nearest_to(-2.2))] == [
        0.001, 0.01, 0.1, 1.0, 0.003939957188, 0.007006344745, 0.01427277755, 0.02538098645,
        0.00316227766, 0.0316227766, 0.316227766, 3.16227766, 0.004397818018, 0.005864584581, 0.008370391117,
        0.01116209595,
    ]  # fmt: skip
    assert [trial.point["lr"] for trial in proposed({"lr": STEP}, 16, nearest_to(1.4))] == [
        0.001, 0.01, 0.1, 1.0, 0.4908886668, 1.606983174, 3.462140297, 7.458955158,
        0.00316227766, 0.0316227766, 0.316227766, 3.16227766, 5.226001127, 11.98641544, 25.82394923, 55.63601205,
    ]  # fmt: skip
    assert [trial.point["lr"] for trial in proposed({"lr": STEP}, 12, lambda point: math.inf)] == [
        0.001, 0.004641588834, 0.0215443469, 0.1, 0.4641588834, 2.15443469, 0.00011578732, 0.0001699525435,
        0.0002494562188, 0.0003661516553, 0.0005374371315, 0.0007888498281,
    ]  # fmt: skip
    two = proposed(
        {"a": STEP, "b": KINDS[1]}, 16, lambda point: abs(math.log10(point["a"]) + 1) + abs(point["b"] - 0.5)
    )
    assert [tuple(trial.point.values()) for trial in two] == [
        (0.04363132023, 0.9631560983), (0.772052152, 0.1074172521), (4.163567662, 0.5280229721),
        (0.007390216611, 0.4140302598), (0.002275744811, 0.6931353589), (1.281769658, 0.3620777529),
        (0.2507171426, 0.7492723936), (0.01417287115, 0.1769366177), (0.07263620651, 0.9130257812),
        (0.539324624, 0.6383317879), (0.6568412442, 0.7671835478), (0.1873120078, 0.691132716),
        (0.115326618, 0.8283360333), (0.8535931784, 0.7056905676), (0.3396719856, 0.841738496),
        (0.09717185212, 0.6087294494),
    ]  # fmt: skip


def nearest_to(exponent: float) -> Score:
    return lambda point: abs(math.log10(point["lr"]) - exponent)


@pytest.mark.parametrize("trials", [8, 16, 32])
def test_several_step_sizes_begin_as_one(trials: int) -> None:
    """The first of them are tied, and find what one alone finds; where ranges differ, at the same share of them."""
    other = replace(STEP, low=1e-5, high=1e-1)
    alone = proposed({"a": STEP}, 8, lambda point: abs(math.log10(point["a"]) - 0.3))
    both = proposed({"a": STEP, "b": STEP}, trials, lambda point: abs(math.log10(point["a"]) - 0.3))
    assert [trial.point["a"] for trial in both[:8]] == [trial.point["a"] for trial in alone]
    assert all(trial.point["a"] == trial.point["b"] for trial in both[:8])
    assert not any(trial.point["a"] == trial.point["b"] for trial in both[8:])
    shared = proposed({"a": STEP, "b": other}, 8, lambda point: abs(math.log10(point["a"]) - 0.3))
    for trial in shared:
        assert trial.point["b"] == pytest.approx(trial.point["a"] / 100, rel=1e-8)


def test_what_is_no_step_size_is_not_tied() -> None:
    assert can_tie({"a": STEP, "b": STEP})
    assert not can_tie({"a": STEP})
    assert not can_tie({"a": STEP, "b": STEP, "decay": KINDS[1]})


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("trials", [4, 8, 16, 30, 64])
def test_no_point_is_out_of_reach(name: str, trials: int) -> None:
    """The ends are what a distribution spans."""
    space = SPACES[name]
    ends = reach(space, trials)
    for path, kind in space.items():
        assert kind.least <= ends[path][0] <= kind.low < kind.high <= ends[path][1] <= kind.most
    for score in scores(space).values():
        for trial in proposed(space, trials, score):
            for path, value in trial.point.items():
                assert ends[path][0] <= value <= ends[path][1]


def test_reach_is_a_quarter_of_the_range_for_every_stage_that_closes_in() -> None:
    assert reach({"lr": STEP}, 8)["lr"] == pytest.approx((1e-4, 1e2))
    assert reach({"lr": STEP}, 16)["lr"] == pytest.approx((1e-5, 1e3))
    assert reach({"share": SHARE}, 16)["share"] == (SHARE.low, SHARE.high), "its bounds are its range"


@pytest.mark.parametrize("name", SPACES)
def test_every_point_is_new_within_its_bounds_and_the_same_on_every_machine(name: str) -> None:
    space = SPACES[name]
    for trials in (4, 5, 8, 15, 16, 30, 64) if len(space) > 1 else (*range(4, 34), 48, 64, 70, 256):
        for score in scores(space).values():
            tried = proposed(space, trials, score)
            assert len({tuple(trial.point.values()) for trial in tried}) == len(tried) == trials
            for trial in tried:
                assert list(trial.point) == list(space)
                for path, kind in space.items():
                    value = trial.point[path]
                    assert kind.least <= value <= kind.most
                    assert value == float(f"{value:.10g}"), "the last digits differ between machines"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.most > kind.high or kind.least < kind.low])
def test_a_bound_beyond_the_range_is_not_tried_itself(kind: Hyperparameter) -> None:
    """A decay of 1 divides by zero."""
    for score in scores({"only": kind}).values():
        values = [trial.point["only"] for trial in proposed({"only": kind}, 64, score)]
        assert kind.most == kind.high or max(values) < kind.most
        assert kind.least == kind.low or min(values) > kind.least


@pytest.mark.parametrize("dimensions", [1, 2])
def test_half_of_the_points_cover_the_range(dimensions: int) -> None:
    """Wherever the best may seem to be: no quarter of the range, or of the square, is left out."""
    space = {f"step{k}": STEP for k in range(dimensions)}
    for score in scores(space).values():
        at = np.array([places(space, trial.point) for trial in proposed(space, 16 * dimensions, score)])
        parts = 4 if dimensions == 1 else 2
        inside = at[(at >= 0).all(axis=1) & (at < 1).all(axis=1)]
        assert len({tuple(place) for place in (inside * parts).astype(int)}) == parts**dimensions


@pytest.mark.parametrize("trials", [16, 32, 64])
@pytest.mark.parametrize("beyond", [-1.0, -0.6, -0.3, 0.3, 0.6, 1.0])
def test_an_optimum_up_to_a_decade_outside_of_the_range_is_found(beyond: float, trials: int) -> None:
    """With no trial more than are asked for, and within a factor of 2."""
    optimum = (-3.0 if beyond < 0 else 1.0) + beyond
    tried = proposed({"lr": STEP}, trials, lambda point: abs(math.log10(point["lr"]) - optimum))
    assert len(tried) == trials
    assert tried[best(tried, 1)[0]].value < math.log10(2)


def test_an_optimum_inside_is_not_left_for_the_outside() -> None:
    for optimum in np.linspace(-2.4, 0.2, 20):
        tried = proposed({"lr": STEP}, 16, lambda point: abs(math.log10(point["lr"]) - optimum))  # noqa: B023
        assert all(STEP.low <= trial.point["lr"] <= STEP.high for trial in tried)
        assert tried[best(tried, 1)[0]].value < math.log10(1.5)


@pytest.mark.parametrize("where", [-3.6, 1.6])
def test_two_dimensions_look_outside_too(where: float) -> None:
    space = {"a": STEP, "b": STEP}

    def score(point: Point) -> float:
        return math.hypot(math.log10(point["a"]) - where, math.log10(point["b"]) + 1)

    tried = proposed(space, 32, score)
    assert len(tried) == 32
    assert tried[best(tried, 1)[0]].value < 0.55
    assert tried[best(tried, 1)[0]].value < min(trial.value for trial in tried if STEP.low <= trial.point["a"] <= 10)


def test_where_all_failed_shorter_steps_are_tried() -> None:
    """And then found: here whatever is longer than half of the range's least fails."""
    tried = proposed({"lr": STEP}, 16, lambda point: 1.0 if point["lr"] < STEP.low / 2 else math.inf)
    assert best(tried[:4], 3) == []
    assert all(trial.point["lr"] < STEP.low for trial in tried[4:8])
    assert best(tried, 1)
    both = [trial.point for trial in proposed({"a": STEP, "b": STEP}, 16, lambda point: math.inf)]
    for spread, closing in ((both[:4], both[4:8]), (both[8:12], both[12:])):
        assert max(max(point.values()) for point in closing) <= min(max(point.values()) for point in spread)


def test_the_best_are_those_that_came_through() -> None:
    values = [3.0, math.inf, 1.0, 2.0, 1.0]
    tried = [Trial({"lr": float(k)}, value) for k, value in enumerate(values)]
    assert best(tried, 9) == [2, 4, 3, 0]
    assert best(tried, 2) == [2, 4]
    equal = [Trial({"lr": 1.0}, value, tie_break=tie) for value, tie in ((1.0, 2.0), (1.0 + 1e-13, 1.0), (0.9, 9.0))]
    assert best(equal, 3) == [2, 1, 0], "what rounding parts is ordered by the tie-break"
    ends = ((1.0, False), (2.0, True), (math.inf, True))
    learning = [Trial({"lr": 1.0}, value, learns=learns) for value, learns in ends]
    assert best([*learning, Trial({"lr": 1.0}, math.inf, learns=False)], 4) == [1, 2, 0]
    stopped = [Trial(trial.point, trial.value, stopped=k == 2) for k, trial in enumerate(tried)]
    assert best(stopped, 2) == [4, 3]


# --- a simulation: is what is chosen better than what simpler strategies choose? --------------------------------------

WORST = 3.0  # log score of an untrained or failed player over the best there is, at most
REPEATS = 3  # of the noise
SEEDS, RERANKED, MORE = 3, 3, 3  # as `bench.studies.tuning.tuner` has them; trials whose cost is that of the re-ranking
BOX: dict[int, Space] = {1: {"a": STEP}, 2: {"a": STEP, "b": STEP}}


@dataclass(frozen=True)
class Landscape:
    """Log scores over log step sizes: a valley, steeper to one side or not, and a cliff beyond which all diverges."""

    optimum: Array  # [d]; in the range, or up to so many decades out of it
    axes: Array  # [d, d], of the valley
    slopes: Array  # [2, d], before and after the optimum
    power: float
    cliff: float  # how far from the optimum
    fuzzy: float  # how long before it some diverge
    noise: float

    @staticmethod
    def drawn(number: int, dimensions: int, out: float) -> Landscape:
        rng = np.random.default_rng([number, dimensions])
        low, high = ((0.3, 3.0), (0.1, 2.0))[dimensions - 1]
        slopes = np.exp(rng.uniform(math.log(low), math.log(high), (2, dimensions)))
        power = 1.0 + rng.integers(2)
        return Landscape(
            optimum=rng.uniform(-3 - out, 1 + out, dimensions),
            axes=np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0],
            slopes=slopes if power == 1 else slopes[:1].repeat(2, axis=0),
            power=power,
            cliff=rng.uniform(0.1, 1.2),
            fuzzy=rng.uniform(0.02, 0.3),
            noise=rng.uniform(0.1, 0.5),
        )

    def lost(self, at: Array) -> Array:
        """The probability to diverge: [..., d] -> [...]."""
        along = (at - self.optimum).sum(axis=-1) / math.sqrt(at.shape[-1])
        found: Array = np.clip((along - self.cliff + self.fuzzy) / self.fuzzy, 0.0, 1.0)
        return found

    def valley(self, at: Array) -> Array:
        off = (at - self.optimum) @ self.axes
        rise = np.where(off < 0, self.slopes[0], self.slopes[1]) * np.abs(off) ** self.power
        found: Array = np.minimum(rise.sum(axis=-1), WORST)
        return found

    def truth(self, at: Array) -> Array:
        """Without noise, a failure counting as the worst there is."""
        return np.minimum(self.valley(at) + WORST * self.lost(at), WORST)

    @cached_property
    def least(self) -> float:
        """The best there is, on a fine grid that goes beyond the range on all sides."""
        offsets = np.linspace(-1.5, 1.5, 301 if len(self.optimum) == 2 else 3001)
        grid = np.stack(np.meshgrid(*[offsets] * len(self.optimum), indexing="ij"), axis=-1)
        return float(self.truth(grid + self.optimum).min())


class Trainings:
    """What trainings on a landscape give: half of the noise is the seed's, the same for all trials."""

    def __init__(self, land: Landscape, repeat: int) -> None:
        rng = np.random.default_rng([repeat, int(land.noise * 1e9)])
        self.land, self.shared = land, rng.normal(size=2 * SEEDS)
        self.own, self.luck = rng.normal(size=(64, 2 * SEEDS)), rng.random((64, 2 * SEEDS))

    def scores(self, point: Point, number: int) -> Array:
        """Of a trial: on the tuning seeds, then on as many fresh ones."""
        at = np.log10(list(point.values()))
        noise = self.land.noise * (self.shared + self.own[number]) / math.sqrt(2)
        found: Array = np.exp(self.land.valley(at) + noise)
        return np.where(self.luck[number] < self.land.lost(at), np.inf, found)

    def regret(self, tried: list[Trial], rerank: bool) -> float:
        """Of what is chosen of these trials, how much worse than the best there is."""
        finalists = best(tried, RERANKED if rerank else 1)
        if not finalists:
            return WORST
        again = {i: float(interquartile_mean(self.scores(tried[i].point, i))) for i in finalists}
        chosen = min(finalists, key=lambda i: again[i]) if rerank else finalists[0]
        chosen = chosen if math.isfinite(again[chosen]) else finalists[0]
        return float(self.land.truth(np.log10(list(tried[chosen].point.values())))) - self.land.least

    def told(self, points: list[Point], known: int) -> list[Trial]:
        return [
            Trial(point, float(np.median(self.scores(point, number)[:SEEDS])))
            for number, point in enumerate(points, known)
        ]


Strategy = Callable[[Space, int, list[Trial], int], Iterator[list[Point]]]  # space, trials, tried so far, a seed


def ours(space: Space, trials: int, tried: list[Trial], seed: int) -> Iterator[list[Point]]:
    for beside in rounds(trials, len(space), can_tie(space)):
        yield [point for stage in beside for point in propose(space, stage, tried)]


def pointed(space: Space, unit: Array) -> list[Point]:
    return [dict(zip(space, map(float, 10 ** (4 * row - 3)), strict=True)) for row in unit]


def random(space: Space, trials: int, tried: list[Trial], seed: int) -> Iterator[list[Point]]:
    yield pointed(space, np.random.default_rng(seed).random((trials, len(space))))


def grid(space: Space, trials: int, tried: list[Trial], seed: int) -> Iterator[list[Point]]:
    """Ends included; in two dimensions as square as it can be, and the rest of the trials at random."""
    sides = [trials] if len(space) == 1 else [math.isqrt(trials), trials // math.isqrt(trials)]
    even = np.stack(np.meshgrid(*[np.linspace(0, 1, side) for side in sides], indexing="ij"), axis=-1)
    points = pointed(space, even.reshape(-1, len(space)))
    yield points + pointed(space, np.random.default_rng(seed).random((trials - len(points), len(space))))


def estimator(batch: int) -> Strategy:
    """Optuna's TPE as it comes, but that it knows what is under way in its batch."""

    def ask(space: Space, trials: int, tried: list[Trial], seed: int) -> Iterator[list[Point]]:
        shapes: Any = {path: optuna.distributions.FloatDistribution(1e-3, 10.0, log=True) for path in space}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the option is experimental
            study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=batch > 1))
            for first in range(0, trials, batch):
                asked = [study.ask(shapes) for _ in range(min(batch, trials - first))]
                yield [dict(trial.params) for trial in asked]
                worst = max((trial.value for trial in tried if math.isfinite(trial.value)), default=0.0)
                for trial, known in zip(asked, tried[first:], strict=True):
                    study.tell(trial, known.value if math.isfinite(known.value) else 2 * worst + 1)

    return ask


def simulated(strategy: Strategy, space: Space, trials: int, work: Trainings, seed: int) -> list[Trial]:
    tried: list[Trial] = []
    for points in strategy(space, trials, tried, seed):
        tried += work.told(points, len(tried))
    assert len(tried) == trials
    return tried


RIVALS: dict[str, Strategy] = {"random": random, "grid": grid, "TPE": estimator(1), "TPE by eights": estimator(8)}


Means = dict[tuple[str, int, bool], float]


def compared(lands: list[Landscape], counts: tuple[int, ...], rivals: list[str]) -> Means:
    """Mean regret by strategy, trials and whether the best are re-ranked; three more trials where they are not."""
    space, regrets = BOX[len(lands[0].optimum)], defaultdict[tuple[str, int, bool], list[float]](list)
    for number, (land, repeat) in enumerate(product(lands, range(REPEATS))):
        work = Trainings(land, repeat)
        for trials in counts:
            own = simulated(ours, space, trials, work, number)
            regrets["ours", trials, True].append(work.regret(own, rerank=True))
        for name in rivals:
            whole = simulated(RIVALS[name], space, max(counts) + MORE, work, number)  # it begins with what fewer are
            for trials in counts:
                for rerank, count in ((True, trials), (False, trials + MORE)):
                    tried = whole[:count] if name != "grid" else simulated(grid, space, count, work, number)
                    regrets[name, trials, rerank].append(work.regret(tried, rerank))
    return {key: float(np.mean(found)) for key, found in regrets.items()}


@pytest.mark.parametrize(
    ("dimensions", "curves", "out", "counts", "rivals"),
    [
        pytest.param(1, 40, 0.5, (16, 32), list(RIVALS), marks=pytest.mark.slow),
        (1, 40, 0.0, (16, 32), ["random", "grid"]),
        pytest.param(2, 20, 0.5, (32,), list(RIVALS), marks=pytest.mark.slow),
        (2, 20, 0.0, (32,), ["random", "grid"]),
    ],
)
def test_no_simpler_strategy_chooses_better(
    dimensions: int, curves: int, out: float, counts: tuple[int, ...], rivals: list[str]
) -> None:
    """At equal cost: with the re-ranking for all, or for the rivals as many more trials instead."""
    mean = compared([Landscape.drawn(curve, dimensions, out) for curve in range(curves)], counts, rivals)
    assert 0 < mean["ours", counts[-1], True] < 0.25
    for (name, trials, rerank), found in mean.items():
        assert mean["ours", trials, True] <= found, f"{name} with {trials} trials, re-ranked: {rerank}: {mean}"


class TiedLandscape(Landscape):
    """One of one step size for two: the best are tied, and parting them costs ``across`` a decade."""

    across = 1.0

    @staticmethod
    def of(alone: Landscape) -> TiedLandscape:
        return TiedLandscape(**{name: getattr(alone, name) for name in Landscape.__dataclass_fields__})

    def lost(self, at: Array) -> Array:
        return super().lost(at.max(axis=-1, keepdims=True))

    def valley(self, at: Array) -> Array:
        apart = self.across * np.abs(at[..., 0] - at[..., 1])
        found: Array = np.minimum(super().valley(at.mean(axis=-1, keepdims=True)) + apart, WORST)
        return found


@pytest.mark.parametrize("trials", [8, 16])
def test_two_step_sizes_find_what_one_finds(trials: int) -> None:
    """Where tied ones are best: at equal cost, and far better than at random."""
    alone, both, drawn = [], [], []
    for number in range(40):
        land = Landscape.drawn(number, 1, 0.0)
        tied = TiedLandscape.of(land)
        tied.__dict__["least"] = land.least
        work, tied_work = Trainings(land, 0), Trainings(tied, 0)
        alone.append(work.regret(simulated(ours, BOX[1], trials, work, number), rerank=True))
        both.append(tied_work.regret(simulated(ours, BOX[2], trials, tied_work, number), rerank=True))
        drawn.append(tied_work.regret(simulated(random, BOX[2], trials, tied_work, number), rerank=True))
    assert np.mean(both) < np.mean(alone) + 0.05
    assert np.mean(both) < np.mean(drawn) / 5
