"""The workflows of .github: they parse, and the commands of the one that others call are run as they stand there.

GitHub itself is not asked: what its runners make of them these tests do not know.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
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


class Runner:
    """Runs the steps of a job in a folder, as GitHub's shell would, but for those that install or use actions."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.summary = folder, folder / "summary.md"
        (folder / "bin").mkdir()
        shim = folder / "bin" / "bench"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench "$@"\n')
        shim.chmod(0o755)
        (folder / "rule.py").write_text(RULE)
        (folder / "study.toml").write_text(STUDY)

    def run(self, job: str, **inputs: str) -> list[subprocess.CompletedProcess[str]]:
        """The steps until the first that fails; and those that run always."""
        given = {name: str(what.get("default", "")) for name, what in INPUTS.items()} | inputs
        env = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: given[found[1]], value)
            for name, value in CALLED["jobs"][job]["env"].items()
        }
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        env |= {"PATH": path, "GITHUB_STEP_SUMMARY": str(self.summary), "OMP_NUM_THREADS": "1"}
        done: list[subprocess.CompletedProcess[str]] = []
        for step in CALLED["jobs"][job]["steps"]:
            failed = bool(done) and any(one.returncode for one in done)
            if "run" not in step or "pip install" in step["run"] or (failed and step.get("if") != "always()"):
                continue
            bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done.append(
                subprocess.run(bash, cwd=self.folder, env=os.environ | env, capture_output=True, text=True, check=False)
            )
        return done


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_laws_as_they_are_called(runner: Runner) -> None:
    (done,) = runner.run("laws", rules="./rule.py:Rule sgd")
    assert done.returncode == 0, done.stderr
    told = runner.summary.read_text()
    assert told.startswith("### Laws and speed\n```\noptimizer ./rule.py:Rule\n")
    assert "times as long as sgd for a gradient evaluation" in told
    (runner.folder / "rule.py").write_text(RULE.replace("cost = 2.0", "cost = 1.0"))
    (broken,) = runner.run("laws", rules="./rule.py:Rule")
    assert broken.returncode == 1
    assert "BROKEN  cost is declared" in runner.summary.read_text()


@pytest.mark.slow
def test_quality_as_it_is_called(runner: Runner) -> None:
    done = runner.run("quality", rules="./rule.py:Rule")
    assert [one.returncode for one in done] == [0, 0, 0], done[-1].stderr
    told = runner.summary.read_text()
    assert "| bilinear[dim=8] | ./rule.py:Rule | distance |" in told
    assert "No baseline at baseline: nothing was compared." in told
    (runner.folder / "results" / "baseline").rename(runner.folder / "baseline")
    again = runner.run("quality", rules="./rule.py:Rule")
    assert [one.returncode for one in again] == [0, 0, 0], again[-1].stderr
    assert "2 identical" in runner.summary.read_text()
    (runner.folder / "rule.py").write_text(RULE.replace("w - self.lr * F(w -", "w - 0.8 * self.lr * F(w -"))
    worse = runner.run("quality", rules="./rule.py:Rule")
    assert [one.returncode for one in worse] == [0, 4, 0], worse[-1].stderr
    assert "1 worse, 1 identical" in runner.summary.read_text()
    assert (runner.folder / "results" / "quality" / "report.html").is_file()
    never = runner.run("quality", rules="./rule.py:Rule", **{"fail-on": "never"})
    assert [one.returncode for one in never] == [0, 0, 0]


@pytest.mark.slow
def test_an_input_is_a_word_and_no_command(runner: Runner) -> None:
    runner.run("quality", rules="sgd", study="study.toml; touch broken", baseline="$(touch broken)")
    runner.run("laws", rules="sgd; touch broken")
    assert not (runner.folder / "broken").exists()
