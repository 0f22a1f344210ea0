"""The command of the quality gate, and the study that it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from scripts import FOLDER, script

import bench
from bench.registry import directions, get_game, rules
from bench.storage.baseline import RECORDS, Baseline
from bench.studies.request import make_request
from bench.studies.study import Study
from bench.studies.toml import read_toml

SMALL = """
optimizers = ["sgd", "extragrad"]
games = ["bilinear[dim=8]"]
seeds = "0-3"
tune = "none"
budget = 40
evaluations = 2
"""


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command with a small study of its own and no baseline yet."""
    found = script("ci")
    (tmp_path / "ci.toml").write_text(SMALL)
    monkeypatch.setattr(found, "STUDY", tmp_path / "ci.toml")
    monkeypatch.setattr(found, "BASELINE", tmp_path / "ci")
    monkeypatch.setattr(found, "cores", lambda: 1)
    return found


def test_renewed_it_passes_and_a_change_is_stopped(
    gate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate.main(["--renew"]) == 0
    before = (tmp_path / "ci" / RECORDS).read_bytes()
    assert gate.main(["--format", "md"]) == 0
    assert "2 identical" in capsys.readouterr().out
    (tmp_path / "ci.toml").write_text(SMALL.replace('"sgd"', '"sgd", "adam"'))
    assert gate.main([]) == 0
    assert " new " in capsys.readouterr().out
    (tmp_path / "ci.toml").write_text(SMALL)
    assert gate.main(["--renew"]) == 0
    assert (tmp_path / "ci" / RECORDS).read_bytes() == before
    capsys.readouterr()
    for change, code in (('"sgd"', 4), ('seeds = "0-3"', 4), ("budget = 40", 2)):
        other = {'"sgd"': '"sgd[lr=0.05]"', 'seeds = "0-3"': 'seeds = "0-2"', "budget = 40": "budget = 20"}[change]
        (tmp_path / "ci.toml").write_text(SMALL.replace(change, other))
        assert gate.main([]) == code, other
    assert "gives 40 gradient evaluations to bilinear[dim=8]" in capsys.readouterr().err


def test_an_error_is_no_baseline(gate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = tmp_path / "bad.py"
    rule.write_text(
        "from bench import UpdateRule\n\n\n"
        "class Bad(UpdateRule):\n    def step(self, F, w, s):\n        raise OSError\n"
    )
    (tmp_path / "ci.toml").write_text(SMALL.replace('"sgd"', f'"{rule}:Bad"'))
    assert gate.main(["--renew"]) == 1
    assert "OSError" in capsys.readouterr().err
    assert not (tmp_path / "ci").exists()


@pytest.fixture(scope="module")
def study() -> Study:
    return make_request(read_toml(FOLDER / "ci.toml")).study


def test_it_covers_every_rule_and_direction(study: Study) -> None:
    assert set(rules.names()) <= set(study.optimizers)
    assert {f"sgd[direction={name}]" for name in directions.names()} <= set(study.optimizers)
    assert study.tune == "none"
    draws = [get_game(game).batch(torch.tensor([0]), 0) is not None for game in study.games]
    assert draws.count(False) >= 2
    assert draws.count(True) >= 1


def test_what_is_committed_is_of_this_study_and_small(study: Study) -> None:
    kept = Baseline(FOLDER / "ci")
    asked = study.model_dump(mode="json") | {"roundings": script("ci").ROUNDINGS}
    assert {key: value for key, value in kept.manifest["study"].items() if key != "optimizers"} == {
        key: value for key, value in asked.items() if key != "optimizers"
    }
    gone = [name for name in kept.study.optimizers if name not in study.optimizers]
    assert not gone, "a rule that is no more: python results/reference/ci.py --renew"
    assert sum(file.stat().st_size for file in kept.path.iterdir()) < 1_000_000
    pairs = kept.records.groupby(["optimizer", "game"], observed=True)["seed"].nunique()
    assert len(pairs) == len(kept.study.optimizers) * len(study.games)
    assert set(pairs) == {len(study.seeds)}
    assert set(kept.records["outcome"]) <= {"ok", "diverged"}


def test_every_direction_is_a_spelling(call: Callable[..., tuple[int, str, str]]) -> None:
    def spelled(text: str) -> list[str]:
        return bench.Study(optimizers=text, games="dirac").optimizers

    every = directions.names()
    assert spelled("sgd[direction=all]") == [f"sgd[direction={name}]" for name in every]
    assert spelled("sgd,extragrad[lr=0.3,direction=all]")[1:] == [f"extragrad[lr=0.3,direction={d}]" for d in every]
    assert len(spelled("sgd[direction=all],sgd[direction=adam]")) == len(every)
    code, _, err = call("run", "--optimizers", "sgd[direction=al]", "--games", "dirac")
    assert (code, "unknown direction 'al'" in err) == (2, True)


def test_many_rows_that_agree_are_counted(tmp_path: Path) -> None:
    from bench.report.compared import SHOWN, compared, compared_markdown

    games = ",".join(f"bilinear[dim={dim}]" for dim in range(1, SHOWN + 3))
    asked = bench.Study(optimizers="sgd", games=games, trials=0, budget=4, seeds="0-1", evaluations=1)
    run = bench.run(asked, out=tmp_path / "run")
    found = bench.compare(run, run)
    assert compared(found) == f"identical: {SHOWN + 2} more\n"
    assert compared_markdown(found).strip() == f"{SHOWN + 2} identical"
    found.loc[0, ["verdict", "change"]] = "changed", "lr=0.1 -> lr=0.2"
    assert f"identical: {SHOWN + 1} more\nsgd on bilinear[dim=1]: lr=0.1 -> lr=0.2\n" in compared(found)
    assert "- sgd on bilinear[dim=1]: lr=0.1 -> lr=0.2" in compared_markdown(found)
    assert compared_markdown(found).count("\n| bilinear") == 1
