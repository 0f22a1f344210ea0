"""The workflows of .github: they parse, and the commands of the one that others call are run as they stand there.

GitHub itself is not asked: what its runners make of them these tests do not know.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from workflow_steps import Runner

import bench
from bench.cli import app
from bench.storage.writer import RunWriter

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "bench" / "checks" / "templates" / "plugin" / "dot-github" / "workflows" / "ci.yml.template"
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}
CALLED = WORKFLOWS["optimizer.yml"]
INPUTS: dict[str, Any] = CALLED[True]["workflow_call"]["inputs"]  # YAML reads "on" as a truth
KEYS = {"uses", "run", "with", "name", "if", "shell", "env", "continue-on-error"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_what_it_needs(name: str) -> None:
    found = WORKFLOWS[name]
    assert {"name", True, "jobs"} <= set(found)
    for job in found["jobs"].values():
        assert {"runs-on", "steps"} <= set(job)
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert set(step) <= KEYS
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_that_others_write_stands_in_a_command(name: str) -> None:
    """An input, a branch's name or a title may hold any command: through the environment it is a word."""
    for job in WORKFLOWS[name]["jobs"].values():
        for step in job["steps"]:
            written = re.findall(r"\$\{\{\s*(.+?)\s*\}\}", step.get("run", ""))
            assert set(written) <= {"github.event.pull_request.base.sha"}


def test_files_that_commands_name_are_there() -> None:
    for found in WORKFLOWS.values():
        for job in found["jobs"].values():
            for step in job["steps"]:
                for file in re.findall(r"(?:python|bash) ([\w./-]+)(?=\s|$)", step.get("run", "")):
                    assert (ROOT / file).is_file() or file.startswith("-"), file


def test_what_the_called_workflow_takes() -> None:
    assert set(INPUTS) == {"rules", "python", "suite", "study", "baseline", "artifact", "fail-on"}
    assert [name for name, given in INPUTS.items() if given.get("required")] == ["rules"]
    for name, given in INPUTS.items():
        assert given["type"] == "string", name
        assert given["description"].endswith("."), name
        assert "default" in given or given["required"], name
    used = set(re.findall(r"inputs\.([\w-]+)", (FOLDER / "optimizer.yml").read_text()))
    assert used == set(INPUTS)
    assert CALLED["permissions"] == {"contents": "read"}


RULE = '''
from bench import UpdateRule
from bench.contracts import StepSize


class Rule(UpdateRule):
    """w+ = w - lr F(w - lr F(w))"""

    lr: StepSize = 0.1
    cost = 2.0

    def step(self, F, w, s):
        return w - self.lr * F(w - self.lr * F(w)), s
'''
STUDY = """
optimizers = ["./rule.py:Rule", "sgd"]
games = ["bilinear[dim=8]"]
seeds = "0-7"
tune = "none"
budget = 60
evaluations = 3
"""


JOB = CALLED["jobs"]["optimizer"]
MAKES = "Commit the folder baseline of this run's artifact 'report' there."


def run(runner: Runner, **inputs: str) -> dict[str, int]:
    """The exit codes of the steps of the called workflow."""
    given = {name: str(what.get("default", "")) for name, what in INPUTS.items()} | inputs
    return {name: one.returncode for name, one in runner.run(JOB, given).items()}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "rule.py").write_text(RULE)
    (tmp_path / "repository" / "study.toml").write_text(STUDY)
    return Runner(tmp_path / "repository", tmp_path / "scratch")


def test_it_installs_once_for_the_cpu_and_keeps_what_pip_got() -> None:
    """The template of `bench init` has the same steps, and its own tests beside them."""
    template = yaml.safe_load(TEMPLATE.read_text())["jobs"]["optimizer"]
    for job in (JOB, template):
        assert job["env"]["PIP_EXTRA_INDEX_URL"] == "https://download.pytorch.org/whl/cpu"
        assert sum("pip install" in step.get("run", "") for step in job["steps"]) == 1
        (python,) = (step["with"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
        assert (python["cache"], python["cache-dependency-path"]) == ("pip", "pyproject.toml")
    ours, theirs = ({step["name"]: step for step in job["steps"] if "name" in step} for job in (JOB, template))
    assert ours == {name: step for name, step in theirs.items() if name != "tests"}
    assert set(JOB["env"]) == set(template["env"])


@pytest.mark.slow
def test_as_it_is_called(runner: Runner) -> None:
    done = run(runner, rules="./rule.py:Rule sgd")
    assert done == {"the study": 0, "against the baseline": 2, "laws and speed": 0, "a baseline to keep": 0}
    told = runner.summary.read_text()
    assert "| bilinear[dim=8] | ./rule.py:Rule | distance |" in told
    assert f"No baseline at baseline: nothing to compare with. {MAKES}" in told
    assert "### Laws and speed\n```\noptimizer ./rule.py:Rule\n" in told
    assert "times as long as sgd for a gradient evaluation" in told
    assert run(runner, rules="sgd", baseline="")["against the baseline"] == 0
    (runner.folder / "results" / "baseline").rename(runner.folder / "baseline")
    assert set(run(runner, rules="sgd").values()) == {0}
    assert "2 identical" in runner.summary.read_text()
    source = RULE.replace("w - self.lr * F(w -", "w - 0.8 * self.lr * F(w -").replace("cost = 2.0", "cost = 1.0")
    (runner.folder / "rule.py").write_text(source.replace("cost = 1.0", "cost = 2.0"))
    assert run(runner, rules="sgd")["against the baseline"] == 4
    assert "1 worse, 1 identical" in runner.summary.read_text()
    assert (runner.folder / "results" / "quality" / "report.html").is_file()
    assert run(runner, rules="sgd", **{"fail-on": "never"})["against the baseline"] == 0
    (runner.folder / "study.toml").write_text(STUDY.replace('"./rule.py:Rule", ', ""))
    shutil.rmtree(runner.folder / "results" / "quality")
    assert run(runner, rules="sgd")["against the baseline"] == 4  # a rule that is not run is no rule that passes
    assert "1 missing, 1 identical" in runner.summary.read_text()


@pytest.mark.slow
def test_a_broken_law_fails(runner: Runner) -> None:
    (runner.folder / "rule.py").write_text(RULE.replace("cost = 2.0", "cost = 1.0"))
    (runner.folder / "study.toml").write_text(STUDY.replace('"./rule.py:Rule", ', ""))
    assert run(runner, rules="./rule.py:Rule", baseline="")["laws and speed"] == 1
    assert "BROKEN  cost is declared" in runner.summary.read_text()


@pytest.mark.slow
def test_an_input_is_a_word_and_no_command(runner: Runner) -> None:
    run(runner, rules="sgd; touch broken", study="study.toml; touch broken", baseline="$(touch broken)")
    assert not (runner.folder / "broken").exists()


BOARD = WORKFLOWS["leaderboard.yml"]["jobs"]["leaderboard"]


def test_what_is_handed_in_runs_with_no_right_but_to_read() -> None:
    assert WORKFLOWS["leaderboard.yml"]["permissions"] == {"contents": "read"}
    assert set(WORKFLOWS["leaderboard.yml"][True]) == {"push", "pull_request"}  # not pull_request_target
    names = [step["name"] for step in BOARD["steps"] if "name" in step]
    assert names == ["the reference study beside them", "laws", "a sample trained again", "the page"]


@pytest.fixture
def handed_in(tmp_path: Path) -> Runner:
    """A repository with a reference study, two runs that were handed in, one with its own verification, and rules."""
    repository = tmp_path / "repository"
    (repository / "optimizers").mkdir(parents=True)
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "base"]):
        subprocess.run([*git, *command], check=True)
    for name in ("sgd.py", "a $(touch broken).py"):
        (repository / "optimizers" / name).write_text('@rule("sgd")\nclass Nothing:\n    """Nothing."""\n')
    for name, seeds in (("reference", "0-3"), ("leaderboard/one", "0-3"), ("leaderboard/two", "4-7")):
        study = bench.Study(optimizers="sgd,extragrad", games="dirac", seeds=seeds, trials=0, budget=40)
        RunWriter(bench.run(study, out=repository / "results" / name)).pack()
    claim = '{"cells": 999, "agreed": 999, "differ": [], "exact": true, "machine": "mine", "protocol": "2.0"}'
    (repository / "results" / "leaderboard" / "two" / "verification.json").write_text(claim)
    for command in (["add", "-f", "."], ["commit", "-q", "-m", "handed in"]):
        subprocess.run([*git, *command], check=True)
    return Runner(repository, tmp_path / "scratch")


@pytest.mark.slow
def test_a_run_that_is_handed_in(handed_in: Runner) -> None:
    if "verify" not in get_command(app).commands:  # type: ignore[attr-defined]
        pytest.skip("there is no bench verify yet")
    job = BOARD | {"env": BOARD["env"] | {"BASE": "HEAD^"}}
    done = handed_in.run(job, {})
    assert {name: one.returncode for name, one in done.items()} == {
        "the reference study beside them": 0, "laws": 0, "a sample trained again": 0, "the page": 0,
    }, [one.stderr for one in done.values()]  # fmt: skip
    assert not (handed_in.folder / "broken").exists()
    told = handed_in.summary.read_text()
    assert told.count("optimizer sgd\n") == 1
    assert "BROKEN" not in told
    page = (handed_in.folder / "site" / "index.html").read_text()
    assert "3 runs, all verified" in page
    assert "999" not in page
    assert len(list((handed_in.folder / "site" / "reports").glob("*.html"))) == 3
