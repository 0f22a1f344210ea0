"""What a chunk may use up: past its limit it is an error that says so, and the others go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.execution.watchdog import MEMORY, WorkerMonitor, new_context
from bench.registry import rules

PLUGIN = """
import os, signal, time
from bench import UpdateRule
from bench.contracts import StepSize


class Dawdles(UpdateRule):
    lr: StepSize = 0.1

    def step(self, F, w, s):
        time.sleep(0.5)  # lively, but it would take minutes
        return w - self.lr * F(w), s


class Bomb(UpdateRule):
    lr: StepSize = 0.1

    def step(self, F, w, s):
        self.hoard = bytearray(2**33)  # more than is allowed, though the machine may have it
        return w, s
"""
SMALL = {"games": "dirac", "seeds": "0-1", "trials": 0, "budget": 200, "evaluations": 2}


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for kept in ("plugins", "locations"):
        monkeypatch.setattr(rules, kept, dict(getattr(rules, kept)))
    (tmp_path / "plugin.py").write_text(PLUGIN)
    return tmp_path


def test_a_chunk_past_its_timeout_is_an_error_and_the_rest_goes_on(plugin: Path) -> None:
    study = bench.Study(optimizers="./plugin.py:Dawdles,sgd", **SMALL)
    run = bench.run(
        study, out=plugin / "run", timeout=6.0, errors="keep"
    )  # one job: it trains in a process of its own all the same
    (error,) = run.errors
    text = error.read_text()
    assert "took longer than the timeout of 6 s and was ended" in text
    assert "plugin.py" in text, "it does not say where it stood"
    outcomes = run.records.groupby("optimizer", observed=True)["outcome"].agg(set)
    assert outcomes["./plugin.py:Dawdles"] == {"error"}
    assert "error" not in outcomes["sgd"]
    page = run.report().read_text()
    assert error.name in page
    assert "took longer than the timeout of 6 s and was ended" in page


@pytest.mark.slow
def test_a_chunk_that_runs_out_of_memory_is_an_error_that_says_so(plugin: Path) -> None:
    code = """
import resource
import bench
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
study = bench.Study(optimizers="./plugin.py:Bomb,sgd", games="dirac", seeds="0-1", trials=0, budget=20, evaluations=2)
run = bench.run(study, out="run", errors="keep")
(error,) = run.errors
assert "MemoryError" in error.read_text(), error.read_text()
assert set(run.table(full=True)["errors"]) == {0, 2}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=plugin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_kill_from_outside_is_told_with_what_may_have_been_its_cause(tmp_path: Path) -> None:
    context = new_context()
    life = WorkerMonitor(context, tmp_path / "trace")
    life.process = context.Process(target=sys.exit)  # type: ignore[attr-defined]
    life.process._popen = type("Ended", (), {"poll": lambda *_: -9, "returncode": -9})()  # type: ignore[attr-defined]
    assert life.describe(3).endswith(f"was killed 3 times, the last time by SIGKILL{MEMORY}")
