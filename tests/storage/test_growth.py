"""Seeds added to a run: only these are trained, the others stay as they are, and all is as one run of all seeds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bench
from bench.api import merge
from bench.errors import UserError
from bench.report.status import state
from bench.studies.plan import TUNING_SEED
from bench.studies.seeds import MOST_SEED

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

Call = Callable[..., tuple[int, str, str]]
GAME = "ring8[width=16,batch_size=16]"
SETTINGS: dict[str, Any] = {
    "optimizers": "sgd,adam", "games": f"dirac,{GAME}", "trials": 4, "tuning_seeds": 2, "budget": 30,
    "evaluations": 2, "untuned": True, "roundings": 1,
}  # fmt: skip
FLAGS = {"optimizers": "sgd,adam", "games": "dirac", "trials": 4, "budget": 30}
COMMAND = ["run", *(str(word) for key, value in FLAGS.items() for word in (f"--{key}", value)), "--jobs", "1"]


def study(**changes: Any) -> bench.Study:
    return bench.Study(**SETTINGS | {"seeds": "0-2"} | changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(study(), out=tmp_path_factory.mktemp("three") / "run")


@pytest.fixture
def three(run: bench.Run, tmp_path: Path) -> Path:
    """A folder with the run of three seeds."""
    return shutil.copytree(run.path, tmp_path / "run")


@pytest.fixture(scope="module")
def grown(run: bench.Run, tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    """The same with two more."""
    folder = shutil.copytree(run.path, tmp_path_factory.mktemp("five") / "run")
    return bench.run(study(), out=folder, add_seeds=2)


def measured(run: bench.Run) -> pd.DataFrame:
    """Records without what a clock says, in one order."""
    records = run.records.drop(columns="seconds")
    words = records.select_dtypes("category").columns
    columns = ["optimizer", "game", "phase", "trial", "seed", "metric", "cost"]
    return records.astype(dict.fromkeys(words, str)).sort_values(columns, ignore_index=True)


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "records").iterdir()}


def test_only_the_new_seeds_are_trained(run: bench.Run, three: Path) -> None:
    before = files(three)
    more = bench.run(study(), out=three, add_seeds=2)
    assert more.study.seeds == [0, 1, 2, 3, 4]
    after = files(three)
    assert before.items() <= after.items()
    assert set(run.names()) < set(more.names())
    added = [json.loads(more.content(f"{name}.json"))["chunk"] for name in set(more.names()) - set(run.names())]
    assert {row["seed"] for chunk in added for row in chunk["rows"]} == {3, 4}
    assert {chunk["phase"] for chunk in added} == {"report", "untuned", "rounded"}
    assert len(added) == 3 * len(more.study.optimizers) * len(more.study.games)


def test_grown_is_what_one_run_of_all_seeds_gives(grown: bench.Run, tmp_path: Path) -> None:
    """Bit for bit: a replica's numbers do not depend on what it is stacked with, here on a CPU."""
    whole = bench.run(study(seeds="0-4"), out=tmp_path / "whole")
    pd.testing.assert_frame_equal(measured(grown), measured(whole))


def test_grown_is_the_study_that_its_file_says(grown: bench.Run, tmp_path: Path) -> None:
    """The study alone decides what its stacks are made of, however the run came to be."""
    again = bench.Study(**grown.manifest["study"])
    assert (again.seeds, again.added_seeds) == ([0, 1, 2, 3, 4], [2])
    anew = bench.run(again, out=tmp_path / "anew")
    assert anew.names() == grown.names()
    pd.testing.assert_frame_equal(measured(anew), measured(grown))
    assert again.name == study().name


def test_twice_adds_twice_and_the_same_study_repeats_nothing(grown: bench.Run, tmp_path: Path) -> None:
    folder = shutil.copytree(grown.path, tmp_path / "run")
    more = bench.run(study(), out=folder, add_seeds=1)
    assert (more.study.seeds, more.study.added_seeds) == ([0, 1, 2, 3, 4, 5], [2, 1])
    before = files(folder)
    for asked in (study(), study(seeds="0-4", added_seeds=[2]), more.study):
        again = bench.run(asked, out=folder)
        assert files(folder) == before
        assert again.study.seeds == [0, 1, 2, 3, 4, 5]
    assert state(again).finished
    assert (again.table(full=True)["n"] == 6).all()


def test_a_growth_that_was_stopped_is_finished_by_the_study_alone(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("bench.execution.process_pool.InProcessEngine.advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.run(study(), out=three, add_seeds=2)
    stopped = bench.Run(three)
    assert stopped.study.seeds == [0, 1, 2, 3, 4]
    assert not state(stopped).finished
    with pytest.raises(
        UserError, match=r"is not finished: \d+ of 15 trainings of sgd on dirac; the same command"
    ) as error:
        bench.run(study(), out=three, add_seeds=2)
    assert "\n" not in str(error.value)
    assert bench.Run(three).study.seeds == [0, 1, 2, 3, 4]
    done = bench.run(study(), out=three)
    assert done.study.seeds == [0, 1, 2, 3, 4]
    assert state(done).finished


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_cannot_grow_is_refused_in_a_line(three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = (three / "study.json").read_bytes()
    for asked, out, says in (
        (study(), tmp_path / "none", r"found \+2, but no run of this study in .*none"),
        (study(), None, r"found \+2, but no run of this study in 'results'"),
        (study(budget=31), three, r"holds another study \(budget: 30.0 there, 31.0 asked for\)"),
        (study(trials=8), three, r"holds another study \(trials: 4 there, 8 asked for\)"),
    ):
        with pytest.raises(UserError, match=says) as error:
            bench.run(asked, out=out, add_seeds=2)
        assert "\n" not in str(error.value)
    for count in (-1, 100_001):
        with pytest.raises(UserError, match=f"add_seeds: found {count}; a whole number from 1"):
            bench.run(study(), out=three, add_seeds=count)
    with pytest.raises(UserError, match=r"found \+2; tuning alone trains no report seeds"):
        bench.run(study(), out=three, add_seeds=2, only_tune=True)
    assert (three / "study.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_report_seeds_stay_below_the_tuning_seeds(tmp_path: Path) -> None:
    last = MOST_SEED - 2
    asked = bench.Study(optimizers="sgd", games="dirac", trials=4, budget=4, evaluations=1, seeds=[last])
    first = bench.run(asked, out=tmp_path / "run")
    with pytest.raises(UserError, match=rf"found \+2 after {last}; whole numbers up to {MOST_SEED - 1} are allowed"):
        bench.run(asked, out=tmp_path / "run", add_seeds=2)
    run = bench.run(asked, out=tmp_path / "run", add_seeds=1)
    assert run.study.seeds == [last, last + 1]
    seeds = run.records.groupby(run.records["phase"].isin(["tune", "rerank"]))["seed"]
    assert seeds.max()[False] < TUNING_SEED <= seeds.min()[True]
    assert first.path == run.path


def test_runs_of_several_groups_are_merged(run: bench.Run, grown: bench.Run, tmp_path: Path) -> None:
    """The merged run knows the groups, so that the same study repeats nothing and more seeds can follow."""
    others = bench.run(study(seeds="5-6"), out=tmp_path / "others")
    both = merge([others, grown], tmp_path / "both")
    assert (both.study.seeds, both.study.added_seeds) == (list(range(7)), [2, 2])
    before = files(both.path)
    assert files(bench.run(bench.Study(**both.manifest["study"]), out=both.path).path) == before
    more = bench.run(study(), out=both.path, add_seeds=1)
    assert more.study.seeds == list(range(8))
    assert before.items() <= files(both.path).items()
    again = merge([run, grown], tmp_path / "again")
    assert (again.study.seeds, again.study.added_seeds) == (list(range(5)), [2])


def test_a_strangers_groups_are_refused(three: Path) -> None:
    manifest = bench.Run(three).read_manifest()
    for added in ([3], [-1], ["x"], 1):
        manifest["study"]["added_seeds"] = added
        (three / "study.json").write_text(json.dumps(manifest))
        with pytest.raises(UserError, match=r"is damaged: (its added seeds are none|study|added_seeds)"):
            bench.Run(three)


def test_a_strangers_budget_is_refused(three: Path) -> None:
    manifest = bench.Run(three).read_manifest()
    for budget in ("banana", 0, -3, float("nan"), float("inf")):
        manifest["study"]["budget"] = budget
        (three / "study.json").write_text(json.dumps(manifest))
        with pytest.raises(UserError, match=f"is damaged: its budget is {budget!r}"):
            bench.Run(three)


def test_by_command(call: Call, tmp_path: Path) -> None:
    plus = [*COMMAND, "--seeds", "+2"]
    code, out, err = call(*plus)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "seeds: found +2, but no run of this study in 'results'; run it first" in err
    assert list(tmp_path.iterdir()) == []
    assert call(*COMMAND, "--seeds", "0-1")[0] == 0
    (folder,) = (tmp_path / "results").iterdir()
    code, out, _ = call(*plus, "--dry-run")
    assert code == 0
    assert f"run {folder.name}\n" in out
    assert "cells: 50 " in out  # two rules: 4 trials and 3 finalists of 3 seeds, 4 seeds
    assert bench.Run(folder).study.seeds == [0, 1]
    for seeds in (4, 6):
        code, out, _ = call(*plus)
        assert code == 0
        assert bench.Run(folder).study.seeds == list(range(seeds))
        assert f", {seeds} seeds" in out
    assert len(list((tmp_path / "results").iterdir())) == 1
    assert bench.Run(folder).manifest["command"].count("--seeds +2") == 2  # all that led to it
    assert " && " in bench.Run(folder).manifest["command"]
    assert call(*COMMAND, "--seeds", "0-1")[0] == 0
    assert bench.Run(folder).study.seeds == list(range(6))
    assert call(*COMMAND, "--seeds", "3")[0] == 0
    code, out, err = call(*plus)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "but several runs of this study: " in err
    assert "choose one with --out" in err
