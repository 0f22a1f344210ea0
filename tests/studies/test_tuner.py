"""Tuning as a study's part: what is granted, chosen and frozen, decided by the study's content alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from silent import silent_games

import bench
from bench.errors import UserError
from bench.registry import get_rule, rules
from bench.studies.plan import TUNING_SEED, Task, tunable
from bench.studies.request import make_request
from bench.studies.toml import read_toml
from bench.studies.tuning.search import stages
from bench.studies.tuning.sensitivity import Trials, _spreading, can_be_trained
from bench.studies.tuning.tuner import MARKS, RERANKED, _Tuning, declared

RING = "ring8[width=16,batch_size=16]"
TINY: dict[str, Any] = {"games": "dirac", "seeds": "0-1", "tuning_seeds": 2, "budget": 40, "evaluations": 2}


def tried(run: bench.Run, optimizer: str) -> pd.DataFrame:
    """Of a rule's tuning, a row a replica."""
    own = run.records[(run.records["optimizer"] == optimizer) & (run.records["phase"] == "tune")]
    return own.drop_duplicates(["trial", "seed"], keep="last")


def frozen(run: bench.Run, optimizer: str, phase: str = "report") -> dict[str, float]:
    own = run.records[(run.records["optimizer"] == optimizer) & (run.records["phase"] == phase)]
    (values,) = own["hyperparameters"].unique()
    found: dict[str, float] = json.loads(values)
    return found


def files(run: bench.Run) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.records_path.iterdir()}


@pytest.mark.parametrize(("optimizer", "fewer"), [("sgd", 8), ("ttur", 16)])
def test_twice_as_many_trials_go_on_from_what_is_there(tmp_path: Path, optimizer: str, fewer: int) -> None:
    """A total and no addition; and the same as if they had been asked for at once."""
    first = bench.run(bench.Study(optimizers=optimizer, trials=fewer, **TINY), out=tmp_path / "run")
    before = files(first)
    tuned = {name for name in first.names() if '"phase": "tune"' in before[f"{name}.json"][1].decode()}
    more = bench.Study(optimizers=optimizer, trials=2 * fewer, **TINY)
    second = bench.run(more, out=tmp_path / "run")
    after = files(second)
    assert tuned
    assert all(after[name] == before[name] for name in before), "what was there was done again"
    assert tuned <= set(second.names()), "what was there is no part of the greater study"
    assert sorted(tried(second, optimizer)["trial"].unique()) == list(range(2 * fewer))
    straight = bench.run(more, out=tmp_path / "straight")
    timeless = [run.records.drop(columns="seconds") for run in (second, straight)]
    pd.testing.assert_frame_equal(*timeless)


def test_the_same_rule_under_two_names_is_the_same(tmp_path: Path) -> None:
    names = ["extraadam", rules["extraadam"].spelling]  # type: ignore[union-attr]
    study = bench.Study(optimizers=names, trials=8, **TINY | {"games": RING})
    run = bench.run(study, out=tmp_path)
    assert frozen(run, names[0]) == frozen(run, names[1])
    by_rule = [own.drop(columns=["optimizer", "seconds"]) for _, own in run.records.groupby("optimizer", observed=True)]
    order = ["phase", "trial", "seed", "cost", "metric"]
    pd.testing.assert_frame_equal(
        *(own.astype({"phase": str}).sort_values(order, ignore_index=True) for own in by_rule)
    )


def test_every_rule_is_granted_the_same_and_finalists_meet_seeds_of_their_own(tmp_path: Path) -> None:
    run = bench.run(bench.Study(optimizers="sgd,ttur,adam", trials=8, **TINY), out=tmp_path)
    tuning = run.records[run.records["phase"].isin(["tune", "rerank"])]
    replicas = tuning.groupby(["optimizer", "phase"], observed=True)[["trial", "seed"]]
    counts = replicas.apply(lambda own: len(own.drop_duplicates())).unstack()
    assert (counts == {"tune": 16, "rerank": 6}).all(axis=None)
    seeds = {str(phase): set(own["seed"]) for phase, own in tuning.groupby("phase", observed=True)}
    assert seeds == {"tune": {TUNING_SEED, TUNING_SEED + 1}, "rerank": {TUNING_SEED + 2, TUNING_SEED + 3}}
    again = tuning[tuning["phase"] == "rerank"].groupby("optimizer", observed=True)["trial"].nunique()
    assert set(again) == {RERANKED}


def test_tuning_alone_is_gone_on_from(tmp_path: Path) -> None:
    study = bench.Study(optimizers="sgd", trials=4, **TINY)
    alone = bench.api.run(study, out=tmp_path, only_tune=True)  # type: ignore[attr-defined]
    assert "report" not in set(alone.records["phase"])
    before = files(alone)
    values = alone.hyperparameters()
    whole = bench.run(study, out=tmp_path)
    assert all(files(whole)[name] == before[name] for name in before)
    assert values == whole.hyperparameters() == {"dirac": {"sgd": frozen(whole, "sgd")}}


def test_frozen_values_come_back_from_their_file(tmp_path: Path) -> None:
    tuned = bench.run(bench.Study(optimizers="sgd,ttur", trials=4, **TINY), out=tmp_path / "tuned")
    path = tuned.freeze()
    order = make_request({"optimizers": "sgd,ttur", "hyperparameters": path} | TINY)
    again = bench.run(order.study, out=tmp_path / "again")
    assert set(again.records["phase"]) == {"report"}
    columns = ["optimizer", "hyperparameters", "seed", "cost", "metric", "value", "outcome"]
    report = tuned.records[tuned.records["phase"] == "report"].reset_index(drop=True)
    left, right = (r[columns].astype(str).sort_values(columns, ignore_index=True) for r in (again.records, report))
    pd.testing.assert_frame_equal(left, right)


def test_every_mistake_in_frozen_values_at_once(tmp_path: Path) -> None:
    path = tmp_path / "frozen.toml"
    path.write_text("[dirac]\nsgd = {lr = -1, lx = 3}\nadma = {lr = 1}\n[ring9]\n")
    with pytest.raises(UserError) as error:
        make_request({"optimizers": "sgd,ttur", "games": "dirac", "hyperparameters": path})
    for said in ("no values for ttur", "lr of sgd is -1", "sgd has no 'lx'", "'adma'; did you mean adam", "'ring9'"):
        assert said in str(error.value)
    with pytest.raises(UserError, match="nowhere"):
        make_request({"optimizers": "sgd", "hyperparameters": tmp_path / "nowhere.toml"})


def test_tracks(tmp_path: Path) -> None:
    """Step sizes; every number but whole ones, within its bounds; nothing; and the declared defaults beside."""
    adam = "adam"
    assert set(tunable(adam)) == {"lr"}
    assert set(tunable(adam, "full")) > {"lr", "direction.beta1"}
    assert "steps" not in tunable("lookahead", "full")  # of whole numbers a stack has one
    assert set(tunable("adam[beta1=0.9]", "full")) == set(tunable(adam, "full")) - {"direction.beta1"}
    full = bench.run(bench.Study(optimizers=adam, tune="full", trials=8, untuned=True, **TINY), out=tmp_path / "full")
    assert set(frozen(full, adam)) == set(tunable(adam, "full"))
    for path, kind in tunable(adam, "full").items():
        values = [json.loads(text)[path] for text in tried(full, adam)["hyperparameters"]]
        assert kind.least <= min(values) < max(values) <= kind.most
    row = full.table(full=True).iloc[0]
    assert frozen(full, adam, "untuned") == {}
    assert row["untuned_low"] <= row["untuned_iqm"] <= row["untuned_high"]
    none = bench.run(bench.Study(optimizers=adam, tune="none", **TINY), out=tmp_path / "none")
    assert none.table(full=True)["iqm"].iloc[0] == row["untuned_iqm"]


@pytest.mark.parametrize("option", ["sampler=TPESampler", "sampler=RandomSampler", "pruner=MedianPruner"])
def test_optunas_own(tmp_path: Path, option: str) -> None:
    key, _, value = option.partition("=")
    run = bench.run(bench.Study(optimizers="sgd", trials=12, **TINY | {key: value}), out=tmp_path)
    assert tried(run, "sgd")["hyperparameters"].nunique() == 12
    assert run.hyperparameters()["dirac"]["sgd"] == frozen(run, "sgd")


@pytest.mark.parametrize("option", ["sampler=TPSampler", "pruner=Medianpruner", "sampler=GridSampler"])
def test_optunas_that_are_none(option: str) -> None:
    key, _, value = option.partition("=")
    with pytest.raises(UserError, match=rf"{key}.*(did you mean|{value})"):
        make_request({"optimizers": "sgd", key: value})


PLUGIN = '''
from bench.games.dirac import Dirac
from bench.registry import game, metric

@metric("nothing", on=Dirac)
def nothing(game, w, F):
    """No number at all."""
    return w[:, 0] * float("nan")

@game("unmeasurable")
class Unmeasurable(Dirac):
    """A game whose score is never a number."""
    score = "nothing"
'''


@pytest.mark.slow
def test_a_rule_that_cannot_be_tuned_says_so_and_the_study_goes_on(tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text(PLUGIN)
    arguments = ["run", "--optimizers", "sgd", "--games", "./plug.py:Unmeasurable,dirac", "--trials", "4"]
    arguments += ["--budget", "40", "--seeds", "0-1", "--out", "run", "--jobs", "1"]
    done = subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    assert "it cannot be trained here: every trial failed" in page
    lines = (tmp_path / "run" / "table.csv").read_text().splitlines()
    found = pd.DataFrame([line.split(",")[:5] for line in lines[1:]], columns=lines[0].split(",")[:5]).set_index("game")
    assert found["iqm"].astype(float).map(np.isinf).to_dict()["./plug.py:Unmeasurable"]
    assert declared(get_rule("sgd"), tunable("sgd")) == {"lr": get_rule("sgd").lr}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_tune_by_command(tmp_path: Path) -> None:
    arguments = ["tune", "--optimizers", "sgd", "--games", "dirac", "--trials", "4", "--budget", "40", "--jobs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--out", "run"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / "run" / "hyperparameters.toml"
    assert str(Path("run") / "hyperparameters.toml") in done.stdout
    assert set(read_toml(path)["dirac"]["sgd"]) == {"lr"}
    assert path.read_text().strip() in done.stdout


def told(
    tuning: Any, scores: dict[int, list[float]], phase: str, ties: dict[int, list[float]] | None = None
) -> pd.DataFrame:
    """Records of trials that ended with these scores and tie-breaks, inf for one that diverged."""
    measured = [(tuning.judge.score.name, scores)] + ([(tuning.judge.tie_break.name, ties)] if ties else [])
    rows = [
        {"trial": trial, "seed": seed, "cost": float(cost), "metric": metric, "phase": phase, "value": value}
        | {"outcome": "ok" if np.isfinite(scores[trial][seed]) else "diverged", "ended": float(MARKS)}
        for metric, by_trial in measured
        for trial, values in by_trial.items()
        for seed, value in enumerate(values)
        for cost in (0, *range(1, MARKS + 1))
    ]
    return pd.DataFrame(rows).assign(hyperparameters="{}")


def tried_with(
    game: str, scores: list[list[float]], ties: list[list[float]] | None = None, rule: str = "sgd", **keys: Any
) -> Any:
    """A tuning whose trials ended with these scores."""
    study = bench.Study(optimizers=rule, games=game, trials=len(scores), tuning_seeds=len(scores[0]), **keys)
    tuning = _Tuning(Task(rule, game, 10, 1, "cpu"), study, tunable(rule))
    while chunks := tuning.ask():
        numbers = sorted({row.trial for chunk in chunks for row in chunk.rows})
        broken = {n: ties[n] for n in numbers} if ties else None
        tuning.tell(told(tuning, {n: scores[n] for n in numbers}, "tune", broken))
    return tuning


def again(tuning: Any, scores: list[list[float]], ties: list[list[float]] | None = None) -> dict[int, Any]:
    """How the finalists did on fresh seeds, in their order."""
    fresh = dict(zip(tuning.finalists, scores, strict=True))
    broken = dict(zip(tuning.finalists, ties, strict=True)) if ties else None
    records = told(tuning, fresh, "rerank", broken)
    return {int(trial): tuning.judge.judge(own) for trial, own in records.groupby("trial")}


@pytest.mark.parametrize(
    ("fresh", "chosen"),
    [
        ([[1] * 4, [2] * 4, [3] * 4], 0),
        ([[np.inf] * 4, [2] * 4, [np.inf] * 4], 1),
        ([[np.inf] * 4] * 3, 4),  # at the edge of a cliff: of the others, the best that never failed
    ],
)
@pytest.mark.usefixtures("silent")
def test_a_trial_at_a_cliff_is_not_chosen(fresh: list[list[float]], chosen: int) -> None:
    """The first three do best on the seeds of tuning, one of four lost, and fail on those of the re-ranking."""
    at_cliff = [[1.0, 1.0, 1.0, np.inf], [1.1, 1.1, np.inf, 1.1], [1.2, np.inf, 1.2, 1.2]]
    rest = [[6.0, 6.0, 6.0, np.inf], [5.0] * 4, [9.0] * 4, [np.inf] * 4, [8.0] * 4]
    tuning = tried_with("dirac", [*at_cliff, *rest])
    assert tuning.finalists == [0, 1, 2]
    assert tuning.chosen(again(tuning, fresh)) == chosen


# --- learning, and ties: ring8 says that up to 0.6 of mode_error a replica has learned --------------------------------


def test_a_trial_that_learns_comes_before_one_that_does_not() -> None:
    """Though its mean is the worse: half of its seeds learned, and the other half failed."""
    untrained = [[0.75, 0.75]] * 4
    tuning = tried_with("ring8", [[0.9, 0.9], [0.61, 0.61], [np.inf, 0.6], [0.7, 0.7], *untrained])
    assert tuning.finalists == [2, 1, 3]
    assert tuning.chosen(again(tuning, [[np.inf, 0.5], [0.61, 0.61], [0.3, 0.9]])) == 2
    assert tuning.chosen(again(tuning, [[0.9, 0.9], [0.1, 0.5], [0.9, 0.9]])) == 1, "on all its seeds it does not"


def test_where_no_finalist_learns_another_trial_that_does_is_chosen() -> None:
    scores = [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.3, 0.3, 0.3], [0.5, 0.5, 0.5], *[[0.9, 0.9, 0.9]] * 4]
    tuning = tried_with("ring8", scores)
    assert tuning.finalists == [0, 1, 2]
    assert tuning.chosen(again(tuning, [[0.9] * 3, [0.9] * 3, [np.inf] * 3])) == 0, "half of its six seeds learned"
    scores[:3] = [[0.1, 0.1, 0.9], [0.2, 0.9, 0.2], [0.9, 0.3, 0.3]]
    tuning = tried_with("ring8", scores)
    assert tuning.chosen(again(tuning, [[0.9] * 3, [0.9] * 3, [np.inf] * 3])) == 3


def test_a_rule_that_learns_nowhere_keeps_its_declared_values() -> None:
    """However much better one of its step sizes is than another."""
    tuning = tried_with("ring8", [[0.61 + k / 100] * 3 for k in range(8)])
    assert tuning.chosen(again(tuning, [[0.61] * 3] * 3)) is None
    fresh = told(tuning, dict.fromkeys(tuning.finalists, [0.61] * 3), "rerank")
    assert tuning.end(fresh) == declared(get_rule("sgd"), tunable("sgd"))


@pytest.fixture
def silent() -> Iterator[None]:
    """Nothing is said of what is learned."""
    with silent_games():
        yield


@pytest.mark.usefixtures("silent")
def test_where_nothing_is_said_of_learning_the_best_is_chosen() -> None:
    tuning = tried_with("dirac", [[0.61 + k / 100] * 3 for k in range(8)])
    assert tuning.chosen(again(tuning, [[0.61] * 3] * 3)) == 0


def test_equal_scores_are_ordered_by_the_tie_break() -> None:
    """Equal to within rounding; a difference of the score that is none of rounding counts for more."""
    scores = [[0.25] * 3, [0.25 + 1e-13] * 3, [0.25] * 3, [0.24] * 3, *[[0.5] * 3] * 4]
    ties = [[3.0] * 3, [1.0] * 3, [2.0] * 3, [9.0] * 3, *[[0.0] * 3] * 4]
    tuning = tried_with("ring8", scores, ties)
    assert tuning.finalists == [3, 1, 2]
    assert tuning.chosen(again(tuning, [[0.26] * 3] * 3, [[9.0] * 3, [1.0] * 3, [2.0] * 3])) == 3
    assert tuning.chosen(again(tuning, [[0.27] * 3, [0.25] * 3, [0.25] * 3], [[9.0] * 3, [2.0] * 3, [0.5] * 3])) == 2


def test_a_failure_is_worse_than_any_score() -> None:
    """The worst mode_error is 1, which a replica that did not fail can have too."""
    tuning = tried_with("ring8", [[1.0] * 3, [np.inf] * 3, [1.0, 1.0, np.inf], [1.0] * 3, *[[np.inf] * 3] * 4])
    assert [trial.value for trial in tuning.tried[:4]] == [1.0, np.inf, np.inf, 1.0]
    assert tuning.made.trials[1].state.name == "FAIL"


def test_the_tie_break_is_recorded_where_it_decides(tmp_path: Path) -> None:
    """At the end of a trial: on the way nothing asks for it."""
    study = bench.Study(optimizers="sgd", trials=4, **TINY | {"games": RING})
    run = bench.run(study, out=tmp_path)
    assert study.game(RING).tie_break == "sliced_wasserstein"
    tuned = run.records[(run.records["phase"] == "tune") & (run.records["outcome"] == "ok")]
    counts = tuned.groupby(["metric", "trial", "seed"], observed=True)["cost"].agg(["count", "max"])
    assert (counts.loc["sliced_wasserstein"]["count"] == 1).all()
    assert (counts.loc["sliced_wasserstein"]["max"] == 40).all()
    assert (counts.loc["mode_error"]["count"] == MARKS + 1).all()
    untrained = run.records[run.records["phase"] == "report"]["hyperparameters"].iloc[0]
    assert json.loads(untrained) == declared(get_rule("sgd"), tunable("sgd")), "40 steps of sgd learn nothing"
    assert can_be_trained(run.records, run.study, RING) is False
    page = run.report().read_text()
    assert "it cannot be trained here: with none of the 4 step sizes tried did half of its tuning seeds learn" in page
    assert "(mode_error of at most 0.6); its declared defaults were used" in page


def test_what_can_be_trained_is_a_fact_of_the_records(tmp_path: Path) -> None:
    """The same that the tuner went by, wherever the records are read; nothing is said before tuning has ended."""
    study = bench.Study(optimizers="sgd", games=RING, trials=4, tuning_seeds=3)

    def records(first: list[list[float]], fresh: list[list[float]]) -> pd.DataFrame:
        tuning = tried_with(RING, first)
        tuned = told(tuning, dict(enumerate(first)), "tune")
        return pd.concat([tuned, told(tuning, dict(zip(tuning.finalists, fresh, strict=True)), "rerank")])

    bad, good = [[0.9] * 3] * 3, [[0.9, 0.5, 0.5], [0.9] * 3, [0.9] * 3]
    assert can_be_trained(records([*bad, [0.8] * 3], bad), study, RING) is False
    assert can_be_trained(records([*good, [0.8] * 3], bad), study, RING) is False, "two of six seeds"
    assert can_be_trained(records([*good, [0.8] * 3], good), study, RING) is True
    tuned = records([*good, [0.8] * 3], good)
    assert can_be_trained(tuned[tuned["phase"] == "tune"], study, RING) is None
    assert can_be_trained(tuned[tuned["phase"] == "report"], study, RING) is None


@pytest.mark.parametrize(
    ("first", "fresh", "trained"),
    [
        ([1.0, 1.0, 1.0], [np.inf] * 3, True),
        ([1.0, 1.0, np.inf], [np.inf] * 3, False),
        ([1.0, 1.0, np.inf], [1.0] * 3, True),  # one of six seeds
        ([np.inf] * 3, [np.inf] * 3, False),
    ],
)
@pytest.mark.usefixtures("silent")
def test_where_nothing_is_said_of_learning_it_is_to_come_through(
    first: list[float], fresh: list[float], trained: bool
) -> None:
    """The tuner freezes declared values where the report says that a rule cannot be trained, and nowhere else."""
    tuning = tried_with("dirac", [first] * 4)
    ends = told(tuning, dict.fromkeys(range(4), first), "tune"), told(tuning, dict.fromkeys(range(3), fresh), "rerank")
    study = bench.Study(optimizers="sgd", games="dirac", trials=4, tuning_seeds=3)
    assert can_be_trained(pd.concat(ends), study, "dirac") is trained
    assert (tuning.end(ends[1]) != declared(get_rule("sgd"), tunable("sgd"))) is trained


def test_step_sizes_that_were_tied_at_first_are_known_by_where_they_began() -> None:
    study = bench.Study(optimizers="ttur", games="dirac", trials=16)
    names = ("lr_g", "lr_d")
    ranges = [study.rule("ttur").searched[name] for name in names]

    def spread(began: list[float]) -> list[int]:
        none = np.empty((1, 1))
        return _spreading(
            study, "ttur", Trials(names, np.array([began]), none, none[0], (), none, none[0], np.arange(1))
        )

    def planned(tied: bool) -> list[int]:
        return [stage.first + k for stage in stages(16, 2, tied) if stage.spread for k in range(stage.size)]

    assert planned(True) != planned(False)
    assert spread([low for low, *_ in ranges]) == planned(True)
    assert spread([high for _, high, *_ in ranges]) == planned(False)
