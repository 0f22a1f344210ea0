"""Giving up early: who may be given up at all, and that nobody else feels it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.errors import UserError
from bench.execution.training import execute
from bench.registry import get_game, get_metric, get_rule
from bench.studies.plan import TUNING_SEED, Curves, Row, Task, tunable
from bench.studies.tuning.pruners import PairedPruner, curves_of, make_pruner, pruned, pruned_in_study
from bench.studies.tuning.pruning import KEPT, PATIENCE, paired

Array = NDArray[np.float64]

RING = "swiss-roll[width=16,batch_size=16]"  # its score parts generators that have hardly begun
MARKS = 5

# --- who is given up -------------------------------------------------------------------------------------------------

SCORES = st.integers(1, 12).flatmap(
    lambda trials: st.integers(1, 4).flatmap(
        lambda seeds: st.lists(
            st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0, 9.0, math.inf]), min_size=seeds, max_size=seeds),
            min_size=trials,
            max_size=trials,
        ).map(np.array)
    )
)
"""[T, seeds], with ties and failures."""


def beats(one: Array, other: Array) -> bool:
    return bool((one < other).all())


@settings(max_examples=300, deadline=None)
@given(SCORES)
def test_who_is_given_up_is_beaten_on_every_seed_by_half_of_the_others(scores: Array) -> None:
    for trial, lost in enumerate(paired(scores)):
        better = [other for other in scores if beats(other, scores[trial])]
        assert lost == (len(better) >= KEPT and 2 * len(better) >= len(scores))


@settings(max_examples=300, deadline=None)
@given(SCORES, st.sampled_from([np.median, np.mean, np.min, np.max]))
def test_the_best_are_never_given_up(scores: Array, middle: Callable[..., Array]) -> None:
    """By whatever middle of the seeds they are chosen."""
    order = np.argsort(middle(scores, axis=1), kind="stable")
    assert not paired(scores)[order[:KEPT]].any()


@settings(max_examples=200, deadline=None)
@given(SCORES, st.randoms(use_true_random=False))
def test_only_order_counts(scores: Array, random: Any) -> None:
    found = paired(scores)
    for transform in (np.exp, np.arctan, lambda value: 3 * value - 7):
        assert (paired(transform(scores)) == found).all()
    trials, seeds = list(range(len(scores))), list(range(scores.shape[1]))
    random.shuffle(trials)
    random.shuffle(seeds)
    assert (paired(scores[trials]) == found[trials]).all()
    assert (paired(scores[:, seeds]) == found).all()


def test_failures() -> None:
    """Any finite trial beats one that failed on all seeds; of two that failed neither beats the other."""
    failed, fine = np.full((1, 3), np.inf), np.arange(12.0).reshape(4, 3)
    assert paired(np.concatenate([fine, failed])).tolist() == [False, False, False, True, True]
    assert paired(np.concatenate([fine[3:].repeat(4, axis=0), failed])).tolist() == [False] * 4 + [True]
    assert not paired(failed.repeat(9, axis=0)).any()
    assert not paired(np.concatenate([fine[:2], failed.repeat(2, axis=0)])).any(), "two are no half of the trials, or 3"


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_of_few_trials_nobody_is_given_up(trials: int) -> None:
    scores = np.geomspace(1.0, 1e9, 3 * trials).reshape(1, trials, 3)
    assert not pruned("paired", scores).any()


def test_one_good_seed_is_enough_to_stay() -> None:
    scores = np.arange(20.0).repeat(3).reshape(1, 20, 3)
    assert pruned("paired", scores).tolist() == [False] * 10 + [True] * 10
    scores[0, -1, 1] = -1.0
    assert pruned("paired", scores).tolist() == [False] * 10 + [True] * 9 + [False]


def test_the_last_evaluation_decides() -> None:
    early, late = np.arange(20.0).repeat(3).reshape(20, 3), np.arange(20.0)[::-1].repeat(3).reshape(20, 3)
    assert (pruned("paired", np.stack([early, late])) == paired(late)).all()
    assert not pruned("none", np.stack([early, late])).any()


@settings(max_examples=15, deadline=None)
@given(SCORES)
def test_in_an_optuna_study_it_decides_the_same(scores: Array) -> None:
    """As its pruner, asked on each trial when all others were judged at its step."""
    stood = np.stack([scores[::-1], scores])
    assert (pruned_in_study("paired", stood) == pruned("paired", stood)).all()


def test_ours_compares_at_the_step_of_the_trial() -> None:
    """Others that were not judged there are no rivals; and where more is better, the greater score wins."""
    for direction, sign in (("minimize", 1.0), ("maximize", -1.0)):
        study = optuna.create_study(pruner=make_pruner("paired"), direction=direction)
        for value in (1.0, 2.0, 3.0):
            other = study.ask()
            other.set_user_attr("curves", curves_of([1], np.array([[sign * value] * 2])))
            study.tell(other, sign * value)
        trial = study.ask()
        assert not trial.should_prune(), "nothing is known of it"
        trial.set_user_attr("curves", curves_of([1], np.array([[sign * 9.0] * 2])))
        assert trial.should_prune()
        trial.set_user_attr("curves", curves_of([1, 2], np.array([[sign * 9.0] * 2] * 2)))
        assert not trial.should_prune(), "nobody else came so far"
        assert isinstance(study.pruner, PairedPruner)


# --- pruners of Optuna's ---------------------------------------------------------------------------------------------


def pruners() -> list[str]:
    """Those that can be made without arguments, and some with theirs."""
    found = ["PercentilePruner[percentile=25]", "MedianPruner[n_startup_trials=2]", "ThresholdPruner[upper=2]"]
    for name in sorted(set(dir(optuna.pruners)) - {"BasePruner", "ThresholdPruner"}):
        parameters = inspect.signature(getattr(optuna.pruners, name)).parameters if name.endswith("Pruner") else {}
        if parameters and all(parameter.default is not parameter.empty for parameter in parameters.values()):
            found.append(name)
    return [*found, "NopPruner", "PatientPruner[wrapped_pruner=MedianPruner[n_startup_trials=2],patience=0]"]


def fan(trials: int = 16, marks: int = 3, failed: int = 2) -> Array:
    """Curves [marks, T, 3] that go apart: the first trial is the best and falls, the last ones fail."""
    goal, time = np.linspace(-1, 2, trials), np.linspace(0.4, 1, marks)
    noise = np.random.default_rng(0).normal(size=(1, trials, 3)) / 50
    found = np.exp(goal[None, :, None] * time[:, None, None] + noise)
    found[:, trials - failed :] = np.inf
    return found


def test_there_are_pruners() -> None:
    assert {"MedianPruner", "SuccessiveHalvingPruner", "HyperbandPruner", "NopPruner"} <= set(pruners())


@pytest.mark.parametrize("name", pruners())
def test_pruners_by_name(name: str) -> None:
    """They answer, always the same, never against the best; and those that are there to prune give up the worst."""
    for marks in range(1, MARKS):
        scores = fan(marks=marks)
        lost = pruned(name, scores)
        assert lost.shape == (16,)
        assert (pruned(name, scores) == lost).all()
        assert not lost[0]
    prunes = name.partition("[")[0] not in ("NopPruner", "PatientPruner")
    assert lost[-4:].all() == prunes
    assert pruned(name, np.full((2, 1, 3), np.inf)).shape == (1,)


@pytest.mark.parametrize("name", [name for name in pruners() if "Patient" not in name])
def test_pruners_do_not_mind_the_order_of_seeds(name: str) -> None:
    scores = fan()
    assert (pruned(name, scores[:, :, ::-1]) == pruned(name, scores)).all()


def test_a_trial_is_not_its_own_rival() -> None:
    """The second is worse than the median of the two others, and just that of all three."""
    scores = np.array([1.0, 2.0, 2.5]).reshape(1, 3, 1).repeat(2, axis=0)
    assert pruned("MedianPruner[n_startup_trials=2]", scores).tolist() == [False, True, True]


def test_a_pruner_inside_a_pruner() -> None:
    """Patience waits for as long as a trial gets better."""
    better, worse = fan(failed=0), fan(failed=0)
    worse[-1, 8:] *= 10
    spelled = "PatientPruner[wrapped_pruner=MedianPruner,patience=0]"
    assert not pruned(spelled, better)[:8].any()
    assert pruned("MedianPruner", worse)[-3:].all()
    assert pruned(spelled, worse)[-3:].all()


@pytest.mark.parametrize(
    ("spelled", "said"),
    [
        ("Medianpruner", "pruner is 'Medianpruner'.*MedianPruner"),
        ("pairs", "pruner is 'pairs'.*paired"),
        ("BasePruner", "pruner is 'BasePruner'"),
        ("PercentilePruner", "pruner PercentilePruner: .*percentile"),
        ("ThresholdPruner", "pruner ThresholdPruner: "),
        ("PatientPruner[wrapped_pruner=Medianpruner,patience=1]", "did you mean MedianPruner"),
    ],
)
def test_what_is_no_pruner_is_told_at_once(spelled: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        make_pruner(spelled)


# --- what the engine makes of it -------------------------------------------------------------------------------------


@cache
def trained(
    rule: str,
    game: str,
    budget: float,
    steps: tuple[float, ...],
    seeds: int = 3,
    phase: str = "tune",
    pruner: str = "none",
    rivals: Curves = (),
) -> pd.DataFrame:
    """Trials of so many seeds each as one stack: the records of the score, without what a clock says."""
    rows = [
        Row(TUNING_SEED + seed, tuple((path, step) for path in tunable(rule)), trial)
        for trial, step in enumerate(steps)
        for seed in range(seeds)
    ]
    (chunk,) = Task(rule, game, budget, MARKS, "cpu").chunks(rows, phase, MARKS, pruner, rivals)
    found = pd.DataFrame(execute(chunk).records)
    return found[found["metric"] == get_game(game).score].drop(columns="seconds").reset_index(drop=True)


def by_row(records: pd.DataFrame) -> dict[int, pd.DataFrame]:
    return {int(row): own.reset_index(drop=True) for row, own in records.groupby("row")}


def outcomes(records: pd.DataFrame) -> pd.Series:
    return records.groupby("row")["outcome"].first()


def steps_of(rule: str, count: int) -> tuple[float, ...]:
    kind = next(iter(tunable(rule).values()))
    return tuple(float(step) for step in np.geomspace(kind.low, kind.high, count))


CASES = [
    ("sgd", RING, 40.0, 6),
    ("anderson", RING, 40.0, 6),
    ("adam", "bilinear", 100.0, 8),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (
            *((rule, RING, 40.0, 6) for rule in ("lookahead[inner=adam]", "consensus", "extraadam")),
            *((rule, "bilinear", 100.0, 8) for rule in ("anderson", "consensus")),
            ("lookahead[inner=adam]", "digits", 30.0, 4),
        )
    ),
]


@pytest.mark.parametrize(("rule", "game", "budget", "trials"), CASES)
def test_nobody_feels_who_is_out(rule: str, game: str, budget: float, trials: int) -> None:
    """Bit for bit: where the stack shrinks by failures, and by those given up, it is as where it never does."""
    what = (rule, game, budget, steps_of(rule, trials))
    whole = trained(*what, phase="rerank")  # never shrinks
    pd.testing.assert_frame_equal(trained(*what), whole, check_exact=True)
    pruned = trained(*what, pruner="paired")
    assert (outcomes(pruned) == "interrupted").any()
    assert (outcomes(pruned) == "ok").any()
    before = by_row(whole)
    for row, own in by_row(pruned).items():
        if own["outcome"][0] != "interrupted":
            pd.testing.assert_frame_equal(own, before[row], check_exact=True)
            continue
        ended = own["ended"][0]
        assert own["cost"].iloc[-1] == ended, "its last record is not that by which it was given up"
        measured = ["row", "seed", "trial", "cost", "metric", "value"]
        until = before[row][before[row]["cost"] <= ended]
        pd.testing.assert_frame_equal(own[measured], until[measured], check_exact=True)


@pytest.mark.parametrize(("rule", "game", "budget", "trials"), CASES)
def test_who_is_given_up_is_who_was_beaten(rule: str, game: str, budget: float, trials: int) -> None:
    """Recomputed from a training that gave up nobody; by marks, and with none that was out before."""
    what = (rule, game, budget, steps_of(rule, trials))
    whole = trained(*what, phase="rerank")
    sign = -1.0 if get_metric(get_game(game).score).better == "higher" else 1.0
    costs = sorted(whole["cost"].unique())
    curves = (sign * whole.pivot_table(index="cost", columns="row", values="value")).reindex(costs)
    scores = curves.fillna(np.inf).to_numpy(copy=True).reshape(len(costs), trials, -1)
    expected: dict[int, float] = {}
    for mark, cost in enumerate(costs[1:-1], start=1):
        scores[mark, list(expected)] = np.inf
        if cost >= PATIENCE * costs[-1]:
            expected |= {int(trial): cost for trial in paired(scores[mark]).nonzero()[0] if trial not in expected}
    pruned = trained(*what, pruner="paired")
    lost = pruned[pruned["outcome"] == "interrupted"].groupby("trial")["ended"].unique()
    assert {int(trial): tuple(ended) for trial, ended in lost.items()} == {
        trial: (cost,) for trial, cost in expected.items() if scores[costs.index(cost), trial].min() < np.inf
    }


def test_a_stack_shrinks_and_stays_even(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given up takes no time."""
    sizes: list[int] = []
    rule = type(get_rule("sgd"))
    step = rule.step

    def counted(self: Any, F: Any, w: Any, s: Any) -> Any:
        sizes.append(len(w))
        return step(self, F, w, s)

    monkeypatch.setattr(rule, "step", counted)
    pruned = trained("sgd", RING, 60.0, steps_of("sgd", 9), pruner="paired")
    assert len(sizes) == 60
    assert sizes == sorted(sizes, reverse=True)
    assert all(size % 2 == 0 for size in sizes)
    assert sizes[0] == 28
    through = (outcomes(pruned) == "ok").sum()
    assert through <= sizes[-1] <= through + 2


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_the_last_one_goes_on_alone(seeds: int) -> None:
    what = ("lookahead[inner=adam]", RING, 60.0, steps_of("adam", 5))
    whole = trained(*what, phase="rerank", seeds=seeds)
    looked = whole[(whole["cost"] >= PATIENCE * 60) & (whole["cost"] < 60)]
    stood = looked.groupby(["trial", "cost"])["value"].mean().groupby("trial").max().sort_values()
    limit, last = float(stood.iloc[:2].mean()), int(stood.index[0])
    pruned = trained(*what, pruner=f"ThresholdPruner[upper={limit}]", seeds=seeds)
    through, before = (records[records["trial"] == last].reset_index(drop=True) for records in (pruned, whole))
    pd.testing.assert_frame_equal(through, before, check_exact=True)
    assert set(pruned.loc[pruned["trial"] != last, "outcome"]) == {"interrupted"}


def test_where_all_are_out_it_ends() -> None:
    records = trained("adam", RING, 60.0, steps_of("adam", 4), pruner="ThresholdPruner[upper=-1]")
    assert set(records["outcome"]) == {"interrupted"}
    assert set(records["ended"]) == {records["cost"].max()} == {0.4 * 60}


def test_rivals_of_earlier_rounds() -> None:
    """They beat who trains now, and whoever they do not beat goes on."""
    what = ("adam", RING, 60.0, steps_of("adam", 2))
    whole = trained(*what, pruner="paired")
    assert set(whole["outcome"]) == {"ok"}, "two trials alone are too few"
    for stand, outcome in ((-1.0, "interrupted"), (1e9, "ok"), (math.inf, "ok")):
        rivals: Curves = (((stand,) * 3,) * KEPT,) * MARKS
        found = trained(*what, pruner="paired", rivals=rivals)
        assert set(found["outcome"]) == {outcome}
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    fewer: Curves = (((-1.0,) * 3,) * (KEPT - 2),) * MARKS
    assert set(trained(*what, pruner="paired", rivals=fewer)["outcome"]) == {"ok"}
