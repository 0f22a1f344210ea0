"""Samplers in an Optuna study: ours proposes what the strategy says, Optuna's own what they always did."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.trial import TrialState

from bench.contracts import Hyperparameter, StepSize
from bench.errors import UserError
from bench.studies.tuning.samplers import distributions, make_sampler, named_sampler
from bench.studies.tuning.search import Point, Space, Trial, can_tie, propose, rounds, stages
from bench.studies.tuning.tuner import BATCH

STEP: Hyperparameter = get_args(StepSize)[1]
SPACES: dict[str, Space] = {"one": {"lr": STEP}, "two": {"a": STEP, "b": STEP}}
Score = Callable[[Point], float]


def places(space: Space, point: Point) -> NDArray[np.float64]:
    """Where a point is on the scale of the search, 0 and 1 being the ends of the range."""
    return np.array([(math.log10(point[path]) + 3) / 4 for path in space])


def asked(
    sampler: str, space: Space, score: Score, batches: list[int], higher: bool = False, storage: Any = None
) -> optuna.Study:
    """A study that is asked for trials in batches, and told inf as a failure."""
    trials = sum(batches)
    study = optuna.create_study(
        sampler=make_sampler(sampler, space, trials), direction="maximize" if higher else "minimize", storage=storage
    )
    for size in batches:
        batch = [study.ask(distributions(space, trials, sampler)) for _ in range(size)]
        for trial in batch:
            value = score(trial.params)
            if math.isfinite(value):
                study.tell(trial, -value if higher else value)
            else:
                study.tell(trial, state=TrialState.FAIL)
    return study


def points(study: optuna.Study) -> list[Point]:
    return [dict(trial.params) for trial in study.trials]


# --- ours ------------------------------------------------------------------------------------------------------------


def planned(space: Space, trials: int) -> list[int]:
    """Sizes of the batches that do not depend on one another's scores."""
    return [sum(stage.size for stage in one) for one in rounds(trials, len(space), can_tie(space))]


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("trials", [4, 8, 16, 32])
def test_ours_proposes_what_the_strategy_says(name: str, trials: int, higher: bool) -> None:
    """In a study that is maximised too; and a failure is the worst there is."""
    space = SPACES[name]

    def score(point: Point) -> float:
        at = places(space, point)
        return math.inf if at.max() > 0.8 else float(np.abs(at - 0.4).sum())

    tried: list[Trial] = []
    for stage in stages(trials, len(space), can_tie(space)):
        tried += [Trial(point, score(point)) for point in propose(space, stage, tried)]
    study = asked("", space, score, planned(space, trials), higher)
    assert points(study) == [trial.point for trial in tried]
    if trials >= 16:
        assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.FAIL}


def test_ours_orders_by_what_is_beside_the_value() -> None:
    """A trial that learns comes first, whatever its value; equal ones are ordered by the tie-break."""
    space = SPACES["one"]
    for attributes, centre in (
        ([{"learns": False}, {"learns": True}, {"learns": False}, {"learns": False}], 0.01),
        ([{"tie-break": 3.0}, {"tie-break": 2.0}, {"tie-break": 1.0}, {"tie-break": None}], 0.1),
    ):
        study = optuna.create_study(sampler=make_sampler("", space, 8))
        batch = [study.ask(distributions(space, 8)) for _ in range(4)]
        for trial, known in zip(batch, attributes, strict=True):
            for key, value in known.items():
                trial.set_user_attr(key, value)
            study.tell(trial, 1.0 if "tie-break" in known else trial.params["lr"])
        closing = [study.ask(distributions(space, 8)).params["lr"] for _ in range(4)]
        assert min(closing) < centre < max(closing)
        assert max(closing) < 10 * centre
        assert min(closing) > centre / 10


def test_ours_says_where_it_may_go() -> None:
    """The distribution spans what may be reached, so that no proposal is outside of it."""
    space = SPACES["one"]
    study = asked("", space, lambda point: point["lr"], planned(space, 16))
    spans = [trial.distributions["lr"] for trial in study.trials]
    assert {(span.low, span.high, span.log) for span in spans} == {(1e-5, 1e3, True)}  # type: ignore[attr-defined]
    lengths = [trial.params["lr"] for trial in study.trials]
    assert min(lengths) < STEP.low
    assert min(lengths) >= 1e-5


def test_ours_is_asked_for_no_more_than_was_planned() -> None:
    study = asked("", SPACES["one"], lambda point: 1.0, planned(SPACES["one"], 8))
    with pytest.raises(ValueError, match="trial 8: 8 were planned"):
        study.ask(distributions(SPACES["one"], 8))
    with pytest.raises(ValueError, match="'momentum' is not tuned; known: lr"):
        study.sampler.sample_independent(study, study.trials[0], "momentum", study.trials[0].distributions["lr"])


# --- Optuna's own ----------------------------------------------------------------------------------------------------

NEEDED = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}  # what a sampler needs beside Optuna
FINITE = {"BruteForceSampler"}  # goes through all there is, and a range has no end of points


def samplers() -> list[str]:
    """Those that can be made without arguments."""
    found = []
    for name in sorted(set(dir(optuna.samplers)) - {"BaseSampler"} - FINITE):
        made = getattr(optuna.samplers, name)
        if name.endswith("Sampler") and all(
            parameter.default is not parameter.empty or parameter.kind == parameter.VAR_KEYWORD
            for parameter in inspect.signature(made).parameters.values()
        ):
            found.append(name)
    return found


def test_there_are_samplers() -> None:
    assert {"TPESampler", "RandomSampler", "QMCSampler", "CmaEsSampler", "NSGAIISampler"} <= set(samplers())


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("name", samplers())
def test_samplers_by_name(name: str, dimensions: int) -> None:
    """They are asked for batches, never for what is known, within the range; and the same again."""
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason=f"{name} needs {NEEDED[name]}")
    space = {f"step{k}": STEP for k in range(dimensions)}

    def score(point: Point) -> float:
        value = float(np.square(places(space, point) - 0.3).sum())
        return value if value < 0.4 else math.inf

    study = asked(name, space, score, [BATCH] * 3)
    assert points(study) == points(asked(name, space, score, [BATCH] * 3))
    assert len({tuple(point.values()) for point in points(study)}) == 3 * BATCH, "what was known was asked again"
    assert all(STEP.low <= value <= STEP.high for point in points(study) for value in point.values())


PINNED = {  # dimensions -> points
    1: [[7.155682162], [0.03417952912], [1.468588599], [0.1304907355]],
    2: [
        [0.001204685241, 2.140323314],
        [1.29606566, 3.02028964],
        [8.212461922, 1.572657885],
        [0.0701321978, 1.324697465],
    ],
}
"""The second batch's first points."""


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_points_of_tpe_are_those_of_always(dimensions: int) -> None:
    """That a failure is told as one changes nothing: the sampler itself still hears of a value."""
    space = {f"step{k}": STEP for k in range(dimensions)}

    def score(point: Point) -> float:
        value = float(np.square(places(space, point) - 0.3).sum())
        return value if value < 0.4 * dimensions else math.inf

    study = asked("TPESampler", space, score, [BATCH] * 2)
    found = [list(point.values()) for point in points(study)[BATCH : BATCH + 4]]
    assert found == [pytest.approx(point, rel=1e-6) for point in PINNED[dimensions]]
    assert points(asked("TPESampler", space, score, [BATCH] * 2, higher=True)) == points(study)


def test_a_sampler_of_optunas_keeps_away_from_failures() -> None:
    """It hears of them as of values worse than all others, though the study says that they failed."""
    space = SPACES["one"]
    study = asked(
        "TPESampler[n_startup_trials=8]",
        space,
        lambda point: math.inf if point["lr"] > 1.0 else 1.0,
        [BATCH] * 5,
    )
    states = [trial.state for trial in study.trials]
    assert TrialState.FAIL in states[:BATCH]
    assert states[-2 * BATCH :].count(TrialState.FAIL) <= 2, "a quarter of the range fails"


def test_a_sampler_that_learns_goes_where_it_is_good() -> None:
    found = []
    for optimum in (0.1, 0.9):
        study = asked(
            "TPESampler[n_startup_trials=8]",
            SPACES["one"],
            lambda point, optimum=optimum: float(abs(places(SPACES["one"], point)[0] - optimum)),  # type: ignore[misc]
            [BATCH] * 4,
        )
        found.append(np.median([places(SPACES["one"], point)[0] for point in points(study)[-BATCH:]]))
        assert abs(found[-1] - optimum) < 0.2
    assert found[0] < 0.5 < found[1]


@pytest.mark.parametrize(
    ("spelled", "said"),
    [
        ("TPSampler", "sampler is 'TPSampler'.*TPESampler"),
        ("BaseSampler", "sampler is 'BaseSampler'"),
        ("GridSampler", "sampler GridSampler: .*search_space"),
        ("BruteForceSampler", "sampler BruteForceSampler: .*"),
        ("TPESampler[startup=3]", "TPESampler.*startup"),
    ],
)
def test_what_is_no_sampler_is_told_at_once(spelled: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        named_sampler(spelled, seed=0)
