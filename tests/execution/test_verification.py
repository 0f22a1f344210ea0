"""What a verification finds: every way in which records may not be those of their study is planted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forging
import numpy as np
import pandas as pd
import pytest
from torch import Tensor

import bench
from bench.api import merge
from bench.errors import UserError
from bench.execution.verification import Verification, price, verify
from bench.execution.verification.cells import draw, recorded
from bench.storage.baseline import Baseline, write_baseline
from bench.storage.run_folder import RunFolder
from bench.storage.writer import RunWriter
from bench.studies.plan import Chunk, Row

Call = Callable[..., tuple[int, str, str]]
PUBLISHED = Path(__file__).parents[2] / "results" / "reference" / "ci"
GAME = "ring8[width=16,batch_size=16]"
SETTINGS: dict[str, Any] = {
    "optimizers": "sgd,adam", "games": f"dirac,{GAME}", "trials": 8, "tuning_seeds": 2, "seeds": "0-2", "budget": 30,
    "evaluations": 3, "untuned": True, "roundings": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(bench.Study(**SETTINGS), out=tmp_path_factory.mktemp("verified") / "run")


@pytest.fixture
def folder(run: bench.Run, tmp_path: Path) -> Path:
    """A copy of the run, to be tampered with."""
    return shutil.copytree(run.path, tmp_path / "run")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    """Nothing but a report, so that all of it is soon trained again."""
    study = bench.Study(optimizers="sgd,adam", games=f"dirac,{GAME}", trials=0, seeds="0-2", budget=30, evaluations=3)
    return bench.run(study, out=tmp_path_factory.mktemp("reports") / "run")


@pytest.fixture
def report(reports: bench.Run, tmp_path: Path) -> Path:
    """A copy of the report alone."""
    return shutil.copytree(reports.path, tmp_path / "report")


def verified(folder: Path, **asked: Any) -> Verification:
    return verify(RunFolder(folder), **({"cells": 1} | asked))


def all_of(folder: Path) -> Verification:
    return verified(folder, cells=None, sample="100%")


def wrong(folder: Path, *words: str) -> list[str]:
    """What is wrong, found without training; some line of it has all these words."""
    found = verified(folder).found
    assert any(all(word in line for word in words) for line in found), found
    return found


# --- what is as it was trained ---------------------------------------------------------------------------------------


def test_a_run_agrees_with_itself_in_every_phase(run: bench.Run) -> None:
    result = all_of(run.path)
    assert result.verified
    assert result.exact
    assert result.undecided == 0
    assert result.agreed == result.cells == len(result.table) == result.replicas == 4 * (8 * 2 + 3 * 2 + 3 + 3)
    assert set(result.table["phase"]) == {"tune", "rerank", "report", "untuned"}
    outcomes = run.records.loc[run.records["phase"] == "tune", "outcome"]
    assert {"ok", "interrupted"} <= set(outcomes.astype(str)), "the run was to have trials that are given up"


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_packed_run_agrees_and_is_not_changed(folder: Path) -> None:
    RunWriter(RunFolder(folder)).pack()
    before = contents(folder)
    result = verified(folder, cells=6)
    assert result.verified
    assert result.agreed == 6
    assert contents(folder) == before


def test_a_run_that_has_grown_and_a_merged_one_agree(folder: Path, tmp_path: Path) -> None:
    study = bench.Study(**SETTINGS)
    grown = bench.run(study, out=folder, add_seeds=2)
    assert grown.verify(cells=4).verified
    others = bench.Study(**SETTINGS | {"optimizers": "sgd[direction=momentum]"})
    bench.run(others, out=tmp_path / "other")
    other = bench.run(others, out=tmp_path / "other", add_seeds=2)
    both = merge([other, grown], tmp_path / "both").verify(cells=6)
    assert both.verified, both.differ
    assert set(both.table["optimizer"]) == {"sgd", "adam", "sgd[direction=momentum]"}


def test_what_no_part_of_a_merged_run_has_is_missing(folder: Path, tmp_path: Path) -> None:
    other = bench.run(bench.Study(**SETTINGS | {"optimizers": "extragrad", "games": "dirac"}), out=tmp_path / "other")
    both = merge([other, bench.Run(folder)], tmp_path / "both").verify(cells=3)
    assert both.cells == both.agreed == 3
    assert len(both.differ) == 2
    assert both.differ[0].startswith(f"extragrad on {GAME}: missing: tune, trials 0, 1, 2, 3")


def test_a_continued_run_agrees(tmp_path: Path) -> None:
    study = bench.Study(optimizers="sgd,adam", games="dirac", trials=4, tuning_seeds=2, seeds="0-1", budget=20)
    longer = bench.run(bench.run(study, out=tmp_path / "first").further(budget=40), out=tmp_path / "longer")
    result = longer.verify(sample="100%")
    assert result.verified, result.differ
    assert result.cells == 4


class Nudge(bench.UpdateRule):
    """w+ = w - lr F(w - lr F(w))"""

    lr: bench.StepSize = 0.1
    cost = 2.0

    def step(self, F: bench.Oracle, w: Tensor, s: bench.State) -> tuple[Tensor, bench.State]:
        return w - self.lr * F(w - self.lr * F(w)), s


def test_optunas_own_samplers_and_rules_of_the_program_agree(tmp_path: Path) -> None:
    study = bench.Study(
        optimizers=["ttur", Nudge], games="dirac", sampler="TPESampler", pruner="MedianPruner", trials=10,
        tuning_seeds=2, seeds="0-1", budget=40,
    )  # fmt: skip
    result = bench.run(study, out=tmp_path / "run").verify(sample="100%", progress=False)
    assert result.verified, result.differ
    assert result.cells == 2 * (10 * 2 + 3 * 2 + 2)


def test_a_baseline_agrees(run: bench.Run, tmp_path: Path) -> None:
    result = verify(Baseline(write_baseline(run, tmp_path / "kept")), sample="100%")
    assert result.verified, result.differ
    assert result.cells == 4 * 3


@pytest.mark.slow
def test_a_sample_of_what_is_published_agrees() -> None:
    """Where it fails on the baseline's own kind of machine, kernels round otherwise since: ci.py --renew."""
    result = verify(Baseline(PUBLISHED), cells=40)
    assert result.verified, str(result)
    assert result.agreed + result.undecided == 40


# --- records that were edited ----------------------------------------------------------------------------------------


def better(table: pd.DataFrame) -> pd.DataFrame:
    """The last score of seed 1 a little better than it was."""
    last = table["cost"].max()
    edited = (table["seed"] == 1) & (table["cost"] == last) & (table["metric"] == "distance")
    assert edited.sum() == 1
    return table.assign(value=np.where(edited, table["value"] * (1 - 1e-12), table["value"]))


def test_an_edit_whose_hash_does_not_hold_is_found_whatever_is_sampled(report: Path) -> None:
    (chunk,) = forging.chunks(report, "report")
    forging.edit(report, chunk, better, mend=False)
    assert f"chunk {chunk.id} is damaged" in " ".join(wrong(report, "damaged"))


def test_an_edit_whose_hash_holds_is_found_and_named(report: Path) -> None:
    (chunk,) = forging.chunks(report, "report")
    forging.edit(report, chunk, better)
    records = RunFolder(report).records
    own = records[(records["phase"] == "report") & (records["optimizer"] == "sgd") & (records["seed"] == 1)]
    own = own[(own["game"] == "dirac") & (own["metric"] == "distance")]
    value = float(own.set_index("cost")["value"][30.0])
    result = all_of(report)
    (line,) = result.differ
    assert line.startswith("sgd on dirac, report, seed 1: distance at cost 30 is recorded as ")
    assert f"distance at cost 30 is recorded as {value!r}, trained again " in line
    row = result.table[result.table["verdict"] == "differs"].iloc[0]
    assert row["recorded"] == value < row["replayed"]
    assert row["others"] == 0
    assert (result.agreed, result.cells - result.agreed) == (result.cells - 1, 1)


def test_an_edit_in_the_archive_is_found(report: Path) -> None:
    (chunk,) = forging.chunks(report, "report")
    forging.edit(report, chunk, better)
    RunWriter(RunFolder(report)).pack()
    assert len(all_of(report).differ) == 1


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda table: table[table["cost"] != table["cost"].max()], "recorded as nothing, trained again"),
        (lambda table: table.assign(outcome="diverged"), "outcome is recorded as diverged (cost 30), trained again ok"),
        (lambda table: table.assign(ended=20.0), "outcome is recorded as ok (cost 20), trained again ok (cost 30)"),
        (lambda table: table.assign(value=-table["value"]), "at cost 0 is recorded as -"),
    ],
    ids=["a row less", "another outcome", "another end", "other signs"],
)
def test_other_edits_are_found(edit: forging.Edit, said: str, report: Path) -> None:
    (chunk,) = forging.chunks(report, "report", "adam", GAME)
    forging.edit(report, chunk, edit)
    differ = all_of(report).differ
    assert len(differ) == 3
    assert all(said in line for line in differ), differ


def test_what_is_reported_of_rules_and_metrics_must_be_what_they_are(folder: Path) -> None:
    def turn_round(content: dict[str, Any]) -> None:
        content["descriptions"]["metrics"]["distance"]["better"] = "higher"

    forging.manifest(folder, turn_round)
    wrong(folder, "distance: its better is 'lower' here, recorded is 'higher'")


# --- plug-ins --------------------------------------------------------------------------------------------------------

RULE = '''
from bench import StepSize, UpdateRule


class Rule(UpdateRule):
    """w+ = w - lr F(w)"""

    lr: StepSize = 0.1

    def step(self, F, w, s):
        return w - self.lr * F(w), s
'''


def test_a_plug_in_whose_code_changed_is_named_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rule.py").write_text(RULE)
    trained = ["run", "--optimizers", "./rule.py:Rule,sgd", "--games", "dirac", "--seeds", "0-2", "--trials", "0"]
    assert call(*trained, "--budget", "30", "--out", "run", "--jobs", "1")[0] == 0
    for new, differ in ((RULE + "# a remark\n", 0), (RULE.replace("w - self.lr", "w - 1.001 * self.lr"), 3)):
        Path("rule.py").write_text(new)
        code, out, _ = call("verify", "run", "--jobs", "1")
        lines = out.splitlines()
        assert code == 4
        assert lines[1].startswith("./rule.py:Rule on dirac: a plug-in's code has changed since it was trained")
        assert len(lines) == 2 + differ
        assert all(line.startswith("./rule.py:Rule on dirac, report, seed") for line in lines[2:])


def test_records_that_name_other_code_than_their_study_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    (chunk,) = forging.chunks(folder, "report")
    forged = dataclasses.replace(chunk, rule=f"{tmp_path}/evil.py:Rule")
    for suffix in ("parquet", "safetensors"):
        shutil.copy(folder / "records" / f"{chunk.id}.{suffix}", folder / "records" / f"{forged.id}.{suffix}")
    stub = json.loads((folder / "records" / f"{chunk.id}.json").read_text()) | {"chunk": forged.content}
    (folder / "records" / f"{forged.id}.json").write_text(json.dumps(stub))
    (folder / "plan.json").unlink()
    with pytest.raises(UserError, match="name code which its study does not"):
        verified(folder)


# --- tuning ----------------------------------------------------------------------------------------------------------


def at_value(chunk: Chunk, lr: float, seeds: set[int]) -> Chunk:
    """The same chunk, with some of its seeds at another step size."""
    rows = tuple(Row(row.seed, (("lr", lr),) if row.seed in seeds else row.values, row.trial) for row in chunk.rows)
    return dataclasses.replace(chunk, rows=rows)


def test_a_tuned_value_that_tuning_would_not_have_chosen_is_found(folder: Path) -> None:
    """All of it is truly trained, so that every replica agrees."""
    (chunk,) = forging.chunks(folder, "report")
    others = {row.values[0][1] for tuned in forging.chunks(folder, "tune") for row in tuned.rows}
    (chosen,) = {row.values[0][1] for row in chunk.rows}
    lr = max(others - {chosen})
    forging.replace(folder, [chunk], [at_value(chunk, lr, {0, 1, 2})])
    result = all_of(folder)
    assert result.agreed == result.cells
    assert result.differ == [
        f"sgd on dirac: report, seeds 0, 1, 2 trained at lr={lr!r}; tuning chooses from its trials lr={chosen!r}"
    ]


def test_replicas_of_the_report_at_another_value_are_found(folder: Path) -> None:
    (chunk,) = forging.chunks(folder, "report", "adam", GAME)
    forging.replace(folder, [chunk], [at_value(chunk, 0.03125, {1})])
    (line,) = wrong(folder, f"adam on {GAME}: report, seed 1 trained at lr=0.03125; tuning chooses")
    assert line.count("seed") == 1


def test_a_better_seed_in_the_place_of_a_planned_one_is_found(folder: Path) -> None:
    (chunk,) = forging.chunks(folder, "report")
    rows = tuple(dataclasses.replace(row, seed=7) if row.seed == 2 else row for row in chunk.rows)
    forging.replace(folder, [chunk], [dataclasses.replace(chunk, rows=rows)])
    wrong(folder, "sgd on dirac: missing: report, seed 2")
    wrong(folder, "sgd on dirac: recorded, and no part of the study: report, seed 7")


def test_trials_that_are_missing_are_found(folder: Path) -> None:
    chunk = forging.chunks(folder, "tune")[-1]
    forging.replace(folder, [chunk], [])
    trials = ", ".join(map(str, sorted({row.trial for row in chunk.rows})))
    wrong(folder, f"sgd on dirac: missing: tune, trials {trials}", "seeds")
    wrong(folder, "so what tuning chooses cannot be told")


def test_a_trial_at_another_point_than_the_search_goes_to_is_found(folder: Path) -> None:
    chunk = forging.chunks(folder, "tune")[0]
    rows = tuple(dataclasses.replace(row, values=(("lr", 0.7),)) if row.trial == 2 else row for row in chunk.rows)
    forging.replace(folder, [chunk], [dataclasses.replace(chunk, rows=rows)])
    wrong(folder, "sgd on dirac: tune, trial 2 is recorded at lr=0.7; the search goes to lr=")


def test_a_smaller_budget_for_tuning_is_found(folder: Path) -> None:
    old = forging.chunks(folder, "rerank")
    forging.replace(folder, old, [dataclasses.replace(chunk, budget=20.0) for chunk in old])
    wrong(folder, "sgd on dirac: rerank: budget is recorded as 20.0, the study makes it 30.0")


def test_a_trial_that_was_given_up_by_hand_is_found(folder: Path) -> None:
    """The best trial is cut, so that another is chosen; what is left of it is what was trained."""
    tuned = forging.chunks(folder, "tune", "sgd", GAME)[0]
    records = RunFolder(folder).records
    own = records[(records["phase"] == "tune") & (records["optimizer"] == "sgd") & (records["game"] == GAME)]
    cost = sorted(own["cost"].unique())[3]
    finished = own[(own["outcome"] == "ok") & own["trial"].isin({row.trial for row in tuned.rows})]["trial"].min()

    def cut(table: pd.DataFrame) -> pd.DataFrame:
        trial = table["trial"] == finished
        outcomes = table["outcome"].astype(str).where(~trial, "interrupted")
        return table.assign(outcome=outcomes, ended=table["ended"].where(~trial, cost))[
            ~trial | (table["cost"] <= cost)
        ]

    forging.edit(folder, tuned, cut)
    wrong(folder, f"sgd on {GAME}: trial {finished} was given up at cost {cost:g}, and its pruner decides otherwise")


# --- on another machine ----------------------------------------------------------------------------------------------


def elsewhere(report: Path) -> None:
    """Let the run have been trained on another processor."""

    def move(content: dict[str, Any]) -> None:
        content["environment"]["processor"] = "another processor"

    forging.manifest(report, move)


def test_on_another_processor_scores_agree_within_bounds(report: Path) -> None:
    elsewhere(report)
    result = verified(report, cells=12)
    assert not result.exact
    assert result.verified
    assert result.agreed + result.undecided == 12
    assert "within the bounds of rounding" in result.summary


@pytest.mark.parametrize(("factor", "found"), [(1 + 2**-51, False), (1 + 1e-6, True)])
def test_bounds_tell_an_edit_from_rounding(factor: float, found: bool, report: Path) -> None:
    elsewhere(report)
    (chunk,) = forging.chunks(report, "report")
    forging.edit(report, chunk, lambda table: table.assign(value=table["value"] * factor))
    result = all_of(report)
    assert result.agreed > result.cells / 2
    assert len(result.differ) == 3 * found
    assert all("off by more than" in line and "sgd on dirac, report" in line for line in result.differ)


def test_rows_that_were_taken_out_are_found_there_too(report: Path) -> None:
    elsewhere(report)
    (chunk,) = forging.chunks(report, "report", "adam", GAME)
    forging.edit(report, chunk, lambda table: table[table["cost"] != table["cost"].max()])
    differ = all_of(report).differ
    assert len(differ) == 3
    assert all("mode_error at cost 30 is recorded as nothing, trained again" in line for line in differ)


# --- the sample ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cells(run: bench.Run) -> list[Any]:
    return recorded(run, run.study).cells


def test_every_pair_is_drawn_once_before_any_is_drawn_twice(cells: list[Any]) -> None:
    for count in (1, 4, 6, 8, 40):
        pairs = Counter(cell.pair for cell in draw(cells, count, seed=3))
        assert len(pairs) == min(count, 4)
        assert max(pairs.values()) - min(pairs.values()) <= 1
        assert sum(pairs.values()) == count


def test_the_sample_is_that_of_its_seed(cells: list[Any]) -> None:
    first, again = draw(cells, 8, seed=1), draw(cells[::-1], 8, seed=1)
    assert first == again
    assert first != draw(cells, 8, seed=2)
    assert {cell.chunk.phase for cell in draw(cells, 8, seed=1)} >= {"report"}
    half = Counter(cell.chunk.phase == "report" for cell in draw(cells, 16, seed=1))
    assert half == {True: 8, False: 8}


def test_shares_and_counts(run: bench.Run) -> None:
    assert verified(run.path, cells=None, sample="2.5%").cells == 3  # of 112
    assert verified(run.path, cells=3).cells == 3
    assert price(run, cells=5).cells == 5
    planned = price(run, cells=5)
    assert planned.cost == 5 * 30
    assert planned.seconds > 0


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(folder: Path, tmp_path: Path, call: Call) -> None:
    code, out, _ = call("verify", folder, "--cells", 4, "--jobs", 1, "--out", folder / "verification.json")
    assert code == 0
    assert out.startswith("4 of 4 replicas agree bit for bit (drawn from 112 by seed 0; ")
    content = json.loads((folder / "verification.json").read_text())
    assert (content["cells"], content["agreed"], content["differ"], content["exact"]) == (4, 4, [], True)
    assert content["protocol"] == "2.0"
    assert "torch" in content["machine"]
    assert content["records"] == RunFolder(folder).digest()
    (chunk,) = forging.chunks(folder, "report")
    forging.edit(folder, chunk, better, mend=False)
    code, out, _ = call("verify", folder, "--cells", 1, "--jobs", 1)
    assert code == 4
    assert "is damaged" in out
    code, out, _ = call("verify", folder, "--dry-run")
    assert code == 0
    assert out.startswith("cells: 20 of 109 ")


def test_bad_input_is_a_line(run: bench.Run, folder: Path, tmp_path: Path, call: Call) -> None:
    def older(content: dict[str, Any]) -> None:
        content["protocol"] = "1.1"

    old, empty = shutil.copytree(folder, tmp_path / "old"), shutil.copytree(folder, tmp_path / "empty")
    forging.manifest(old, older)
    shutil.rmtree(empty / "records")
    for arguments, said in {
        ("nothing",): "'nothing' is no run's folder",
        (old,): f"{str(old)!r} is of protocol 1.1; this version trains protocol 2.0",
        (empty,): f"{str(empty)!r} has no records: there is nothing to verify",
        (folder, "--cells", 0): "cells is 0; a whole number of at least 1 is allowed",
        (folder, "--sample", "5"): "sample is '5'; a share above 0 % and up to 100 % is allowed, e.g. 5%",
        (folder, "--sample", "101%"): "sample is '101%'",
        (folder, "--sample", "5%", "--cells", 3): "found cells and sample; give one of them",
        (folder, "--jobs", 0): "--jobs is 0; a whole number of at least 1 is allowed",
        (folder, "--out", tmp_path / "no" / "v.json"): "a file in a folder that is there is allowed",
    }.items():
        code, out, err = call("verify", *arguments)
        assert (code, out) == (2, ""), arguments
        assert said in err
        assert len(err.splitlines()) == 1


def test_an_unknown_rule_is_a_line(folder: Path, call: Call) -> None:
    forging.manifest(folder, lambda content: content["study"]["optimizers"].append("sgdd"))
    code, out, err = call("verify", folder)
    assert (code, out) == (2, "")
    assert "sgdd" in err
