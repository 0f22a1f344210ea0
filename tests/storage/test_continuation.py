"""A run that continues another is the run that was not interrupted: parameters, scores at the costs that both have."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import bench
from bench.errors import UserError
from bench.execution.training import Training
from bench.report.terminal import summary
from bench.storage import weights
from bench.storage.continuation import further, kept_replicas
from bench.storage.states import FOLDER

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

GAME = "ring8[width=16,batch_size=16]"
RULES = ["adam", "sgd[lr=1e6]", "lookahead[inner=extragrad]", "sgd[direction=torch[RAdam]]"]
"""One fails at once, one has memory in memory and two gradients a step, one the memory of another's class."""
SETTINGS: dict[str, Any] = {
    "optimizers": RULES,
    "games": f"dirac,{GAME}",
    "trials": 0,
    "seeds": "0-2",
    "evaluations": 4,
}
KEYS = ["game", "optimizer", "phase", "trial", "seed", "metric", "cost"]


def study(**changes: Any) -> bench.Study:
    return bench.Study(**SETTINGS | {"budget": 24} | changes)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(study(), out=tmp_path_factory.mktemp("short") / "run", keep_weights="all")


@pytest.fixture(scope="module")
def longer(short: bench.Run, tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(short.further(budget=48), out=tmp_path_factory.mktemp("longer") / "run", keep_weights="all")


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(study(budget=48), out=tmp_path_factory.mktemp("straight") / "run", keep_weights="all")


def final(run: bench.Run) -> dict[tuple[str, str, int], torch.Tensor]:
    size = sum(bench.get_game(GAME).sizes)
    return {(one.game, one.optimizer, one.seed): weights.load(one, size) for one in weights.kept(run)}


def same_parameters(run: bench.Run, other: bench.Run) -> None:
    left, right = final(run), final(other)
    assert left.keys() == right.keys()
    assert len(left) == 9
    assert all(torch.equal(left[key], right[key]) for key in left)


def measured(run: bench.Run, primary: bool = False) -> pd.DataFrame:
    """The records but for seconds, by what they are of."""
    records = run.records
    if primary:
        scores = {run.study.primary(game).name for game in run.study.games}
        records = records[records["metric"].isin(scores)]
    plain = records.astype(dict.fromkeys([*KEYS[:3], "metric"], str)).set_index(KEYS)
    return plain.drop(columns="seconds").sort_index()


def test_it_ends_where_an_uninterrupted_run_ends(short: bench.Run, longer: bench.Run, straight: bench.Run) -> None:
    same_parameters(longer, straight)
    left, right = measured(longer, primary=True), measured(straight, primary=True)
    common = left.index.intersection(right.index)
    assert set(common.get_level_values("cost")) >= {0, 12, 24, 36, 48}
    pd.testing.assert_frame_equal(left.loc[common], right.loc[common], check_exact=True, check_categorical=False)


def test_it_has_the_earlier_records_at_their_own_costs(short: bench.Run, longer: bench.Run) -> None:
    """All but what is measured at the end of a training alone."""
    left, right = measured(longer), measured(short)
    common = left.index.intersection(right.index)
    only = right.index.difference(left.index)
    assert set(only.get_level_values("cost")) <= {24}
    assert set(common.get_level_values("cost")) == {0, 6, 12, 18, 24}
    failed = right["outcome"] != "ok"
    assert failed.any()
    values = [records.loc[common, "value"] for records in (left, right)]
    pd.testing.assert_series_equal(*values, check_exact=True)
    ends = [records.loc[right.index[failed], ["outcome", "ended"]].astype(str) for records in (left, right)]
    pd.testing.assert_frame_equal(*ends)


def steps_of(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The costs at which a training steps, from now on."""
    at: list[float] = []
    advance = Training.advance

    def noted(training: Training) -> None:
        at.append(training.F.cost)
        advance(training)

    monkeypatch.setattr(Training, "advance", noted)
    return at


def test_it_goes_on_from_the_end_and_without_states_from_the_start(
    short: bench.Run, longer: bench.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = steps_of(monkeypatch)
    rules = [rule for rule in RULES if "1e6" not in rule]
    bench.run(short.further(budget=48, optimizers=rules, games=GAME), out=tmp_path / "kept")
    assert min(costs) == 24
    costs.clear()
    bare = bench.Run(shutil.copytree(short.path, tmp_path / "bare"))
    shutil.rmtree(bare.path / FOLDER)
    anew = bench.run(bare.further(budget=48), out=tmp_path / "anew", keep_weights="all")
    assert min(costs) == 0
    same_parameters(anew, longer)
    pd.testing.assert_frame_equal(measured(anew), measured(longer), check_exact=True)
    for name in anew.names():
        assert anew.content(f"{name}.safetensors") == longer.content(f"{name}.safetensors"), "films and paths"


@pytest.mark.parametrize("how", ["damaged", "of another version"])
def test_a_state_that_is_not_as_it_was_written_is_not_taken(
    how: str, short: bench.Run, longer: bench.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.Run(shutil.copytree(short.path, tmp_path / "run"))
    for path in (run.path / FOLDER).iterdir():
        content = bytearray(path.read_bytes())
        if how == "damaged":
            content[-5] ^= 16
        path.write_bytes(content)
    if how == "of another version":
        monkeypatch.setattr("bench.execution.checkpoints.SCHEMA", 99)
    costs = steps_of(monkeypatch)
    again = bench.run(run.further(budget=48), out=tmp_path / "again", keep_weights="all")
    assert min(costs) == 0
    same_parameters(again, longer)


def test_it_can_be_continued_itself_and_so_can_what_was_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = study(optimizers="adam,extragrad", games=GAME, trials=4, tuning_seeds=1, roundings=1, untuned=True)
    first = bench.run(tuned, out=tmp_path / "first", keep_weights="all")
    second = bench.run(first.further(budget=30), out=tmp_path / "second", keep_weights="all")
    costs = steps_of(monkeypatch)
    third = bench.run(second.further(budget=60), out=tmp_path / "third", keep_weights="all", jobs=1)
    assert third.study.continues == [{GAME: 24.0}, {GAME: 30.0}]
    assert (costs.count(0), costs.count(30)) == (4, 6), "defaults and roundings are trained from the start"
    frozen = {GAME: first.hyperparameters()[GAME]}
    at_once = bench.run(
        study(optimizers="adam,extragrad", games=GAME, hyperparameters=frozen, budget=60),
        out=tmp_path / "straight",
        keep_weights="all",
    )
    left, right = final(third), final(at_once)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)
    assert set(third.records["phase"]) == {"report", "untuned", "rounded"}


def test_networks_of_ones_own_with_random_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    generator = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    discriminator = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 1))
    game = bench.gan_game(generator, discriminator, "hinge", points, batch_size=16)
    asked = {"optimizers": "adam", "games": [game], "seeds": "0-1"}
    first = bench.run(study(**asked), out=tmp_path / "first", keep_weights="all")
    costs = steps_of(monkeypatch)
    longer = bench.run(first.further(budget=40), out=tmp_path / "longer", keep_weights="all")
    assert min(costs) == 24
    straight = bench.run(study(**asked, budget=40), out=tmp_path / "straight", keep_weights="all")
    for seed in (0, 1):
        left, right = (run.state_dict("adam", game, seed) for run in (longer, straight))
        assert all(torch.equal(left[name], right[name]) for name in right)


def test_a_game_may_be_given_its_larger_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (f"ring8[width=16,batch_size=16,budget={budget}]" for budget in (24, 48))
    first = bench.run(study(optimizers="adam", games=small, budget="standard"), out=tmp_path / "a", keep_weights="all")
    costs = steps_of(monkeypatch)
    second = bench.run(first.further(games=large), out=tmp_path / "b", keep_weights="all")
    assert (min(costs), set(second.table()["cost"])) == (24, {48})


def test_a_run_keeps_states_with_all_weights_alone(short: bench.Run, tmp_path: Path) -> None:
    assert len(list((short.path / FOLDER).iterdir())) == 6  # not of chunks that failed as a whole
    run = bench.Run(shutil.copytree(short.path, tmp_path / "run"))
    bench.run(study(), out=run.path, keep_weights="median")
    assert not list((run.path / FOLDER).iterdir())
    bench.run(study(optimizers="sgd", games="dirac"), out=tmp_path / "median")
    assert not (tmp_path / "median" / FOLDER).exists()


def test_a_killed_continuation_goes_on(short: bench.Run, longer: bench.Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "run", "--from", str(short.path), "--budget", "48"]
    command += ["--out", str(tmp_path / "run"), "--keep-weights", "all", "--jobs", "2"]
    records = tmp_path / "run" / "records"
    for more in (1, 3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(records.glob("*.json"))) < more and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = bench.Run(tmp_path / "run")
    same_parameters(run, longer)
    pd.testing.assert_frame_equal(measured(run), measured(longer), check_exact=True)
    assert "train from the start" in done.stderr  # the one chunk that failed has no state


# What cannot be continued


def refused(command: list[str], tmp_path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", *command, "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert not (tmp_path / "out").exists()
    (line,) = done.stderr.splitlines()
    return line


def test_a_command_gives_nothing_that_the_run_decides(short: bench.Run, tmp_path: Path) -> None:
    line = refused(["--from", str(short.path), "--budget", "48", "--seeds", "0-9"], tmp_path)
    assert "seeds: decided by the run that --from names" in line
    assert "no run's folder" in refused(["--from", str(tmp_path / "nowhere"), "--budget", "48"], tmp_path)


def test_a_dry_run_prices_what_is_left(short: bench.Run) -> None:
    asked = ["run", "--from", str(short.path), "--budget", "48", "--optimizers", "adam", "--dry-run"]
    command = [sys.executable, "-m", "bench", *asked, "--keep-weights", "all"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cost: 144 gradient evaluations" in shown
    columns = sum(sum(bench.get_game(game).sizes) for game in ("dirac", GAME))
    size = 3 * 4 * columns * 4 / 1000  # a point and the one before it, two moments
    assert float(shown.partition("; to go on from, ")[2].partition(" kB")[0]) == pytest.approx(size, rel=0.3)


def test_refusals(short: bench.Run, tmp_path: Path) -> None:
    for budget in (None, 24, 12):
        with pytest.raises(UserError, match="more than 24 is allowed, to which run folder"):
            short.further(budget=budget)
    with pytest.raises(UserError, match="optimizers: ttur is none of the run's"):
        short.further(budget=48, optimizers="ttur")
    with pytest.raises(UserError, match="games: bilinear is none of the run's"):
        short.further(budget=48, games="bilinear")
    run = bench.Run(shutil.copytree(short.path, tmp_path / "run"))
    (first, *_) = run.names()
    (run.records_path / f"{first}.json").unlink()
    with pytest.raises(UserError, match=r"is not finished: 0 of 3 trainings of .*; the same command again finishes it"):
        bench.Run(run.path).further(budget=48)


def test_a_rule_whose_steps_depend_on_the_budget_is_refused(tmp_path: Path) -> None:
    rules = "adam,lookahead[inner=cosine-schedule]"
    run = bench.run(study(optimizers=rules, games="dirac"), out=tmp_path / "run")
    with pytest.raises(UserError, match=r"lookahead\[inner=cosine-schedule\]: its steps depend on the share of the"):
        run.further(budget=48)
    assert run.further(budget=48, optimizers="adam").optimizers == ["adam"]


def test_a_rule_that_has_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    step = "    def step(self, F, w, s):\n        return w - 0.1 * F(w), s\n"
    text = f"import bench\n\nclass Mine(bench.UpdateRule):\n{step}"
    Path("mine.py").write_text(text)
    run = bench.run(study(optimizers="./mine.py:Mine", games="dirac"), out="run", keep_weights="all")
    assert kept_replicas(further(run, budget=48), "cpu") == {("./mine.py:Mine", "dirac"): 3}
    Path("mine.py").write_text(text.replace("0.1", "0.2"))
    with pytest.raises(UserError, match="has changed since 'run' was trained"):
        run.further(budget=48)


def test_a_plain_study_has_the_name_and_the_manifest_that_it_had(short: bench.Run, longer: bench.Run) -> None:
    assert "continues" not in short.manifest["study"]
    for name in short.names():
        assert "continues" not in json.loads(short.content(f"{name}.json"))["chunk"]
    assert longer.manifest["study"]["continues"] == [{"dirac": 24.0, GAME: 24.0}]
    assert not set(short.names()) & set(longer.names())
    assert longer.study.name != study(budget=48).name


def test_it_says_which_run_it_continues(short: bench.Run, longer: bench.Run, tmp_path: Path) -> None:
    assert "continued" not in short.manifest
    assert longer.manifest["continued"] == short.path.name == "run"
    assert "continues run\n" in summary(longer)
    assert "continues" not in summary(short)
    page = longer.report().read_text("utf-8")
    assert "It continues the run run, whose trainings ended at 24 on dirac, 24 on" in page
    assert "<dt>Continues</dt><dd>run: its trainings go on" in page
    copy = tmp_path / "copy"
    shutil.copytree(longer.path, copy)
    again = bench.run(longer.study, out=copy)  # the study as the folder has it, which names no other
    assert again.manifest["continued"] == "run"


def test_neither_takes_the_folder_of_the_other(straight: bench.Run, longer: bench.Run) -> None:
    frozen = longer.study.hyperparameters
    with pytest.raises(UserError, match=r"holds another study \(continues: \[\{.*there, null asked for\)"):
        bench.run(study(budget=48, hyperparameters=frozen), out=longer.path)
    with pytest.raises(UserError, match="holds another study"):
        bench.run(study(budget=48, hyperparameters=frozen), out=longer.path, add_seeds=2)
    with pytest.raises(ValueError, match="the budgets of dirac are 50, 48; they must rise"):
        study(budget=48, continues=[{"dirac": 50, GAME: 24}])
