"""Processes that are killed, stopped, refused, out of memory or out of time: the same tables, nothing left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import killing
import pandas as pd
import pytest
from scripts import script

import bench
from bench.analysis.table import to_csv
from bench.execution import coordinator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are killed in another way there")

TINY = {"optimizers": "sgd,adam", "games": "dirac", "seeds": "0-1", "trials": 0, "budget": 12, "evaluations": 2}
HOARDS = """
import resource
from bench import UpdateRule


class Hoards(UpdateRule):
    def step(self, F, w, s):
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), used + (256 << 20)))
        return w, {"all": [bytearray(64 << 20) for _ in range(1 << 20)]}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return killing.undisturbed(tmp_path_factory.mktemp("whole") / "run")


# Killed


@pytest.mark.slow
def test_a_command_killed_again_and_again(whole: bench.Run, tmp_path: Path) -> None:
    assert killing.kill_commands(tmp_path, 5, whole) == (5, [])


@pytest.mark.slow
def test_workers_killed_again_and_again(tmp_path: Path) -> None:
    plain = bench.run(bench.Study(**killing.STUDY | {"budget": 600}), out=tmp_path / "plain")
    assert killing.kill_many_workers(tmp_path, 5, plain) == (5, [])


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], pytest.param([signal.SIGINT, signal.SIGINT], marks=pytest.mark.slow)]
)
def test_stopped_politely(whole: bench.Run, call, tmp_path: Path, signals: list[int]) -> None:  # type: ignore[no-untyped-def]
    """While it runs, another command on its folder is told who holds it; Ctrl-C twice is as good as once."""
    process = killing.started(tmp_path / "run")
    assert killing.wait_for(process, tmp_path / "run", 1)
    os.kill(process.pid, signal.SIGSTOP)  # or it may be done before the other command has looked
    code, out, err = call("run", *killing.WORDS, "--jobs", 1, "--out", tmp_path / "run")
    os.kill(process.pid, signal.SIGCONT)
    assert (code, out) == (3, "")
    assert err == f"bench: {tmp_path / 'run'} is in use by process {process.pid} on {os.uname().nodename}\n"
    for one in signals:
        os.kill(process.pid, one)
        time.sleep(0.02)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err == "bench: interrupted; what was finished is kept, the same command goes on from there\n"
    assert killing.gone(process.pid)
    assert killing.compared(killing.undisturbed(tmp_path / "run"), whole) == []


# Held by another


def test_another_machines_folder_is_refused_with_a_hint(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Its lock may not be seen here: what says who holds the folder counts."""
    run = bench.run(bench.Study(**TINY), out=tmp_path / "run")
    holder = run.path / ".holder"
    holder.write_text("process 12 on another-machine")
    words = [word for key, value in TINY.items() for word in ("-o", f"{key}={value}")]
    code, out, err = call("run", *words, "--out", run.path)
    assert (code, out) == (3, "")
    hint = f"if nothing runs there any more, delete {holder}"
    assert err == f"bench: {run.path} is in use by process 12 on another-machine; {hint}\n"
    holder.unlink()
    assert bench.run(bench.Study(**TINY), out=run.path).path == run.path
    assert not holder.exists()


@pytest.mark.parametrize("left", ["process 1", f"process 99999999 on {os.uname().nodename}", "", "\0\0"])
def test_a_dead_holders_folder_is_taken_over(tmp_path: Path, left: str) -> None:
    run = bench.run(bench.Study(**TINY), out=tmp_path / "run")
    (run.path / ".holder").write_text(left)
    assert not bench.run(bench.Study(**TINY), out=run.path).errors
    assert not (run.path / ".holder").exists()


# Bombs


@pytest.mark.skipif(sys.platform != "linux", reason="what a process uses is read from /proc")
def test_a_rule_that_eats_all_memory_costs_its_own_cells(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "hoards.py").write_text(HOARDS)
    asked = TINY | {"optimizers": "sgd,./hoards.py:Hoards"}
    words = [word for key, value in asked.items() for word in ("-o", f"{key}={value}")]
    code, _, err = call("run", *words, "--out", "run", "--jobs", 1)
    assert (code, err) == (1, f"bench: 1 chunk failed; its traceback is in {Path('run/errors')}\n")
    run = bench.Run("run")
    outcomes = run.records.groupby("optimizer", observed=True)["outcome"].agg(set).to_dict()
    assert "error" not in outcomes["sgd"]
    assert outcomes["./hoards.py:Hoards"] == {"error"}
    assert run.errors[0].read_text().splitlines()[-1].startswith("MemoryError")
    assert "MemoryError" in (run.path / "report.html").read_text("utf-8")


# What decides nothing


def same(left: bench.Run, right: bench.Run) -> None:
    frames = [run.records.drop(columns="seconds").astype(str) for run in (left, right)]
    keys = ["game", "optimizer", "phase", "trial", "seed", "metric", "cost"]
    pd.testing.assert_frame_equal(*(frame.sort_values(keys, ignore_index=True) for frame in frames))
    assert to_csv(left.table(full=True)) == to_csv(right.table(full=True))


@pytest.mark.parametrize("shift", [pytest.param(86_400.0, marks=pytest.mark.slow), -86_400.0])
def test_a_clock_set_on_or_back(whole: bench.Run, tmp_path: Path, monkeypatch, shift: float) -> None:  # type: ignore[no-untyped-def]
    """By a day, again and again, while a run goes on and between its halves."""
    now, calls = time.time, []

    def jumping() -> float:
        calls.append(1)
        return now() + shift * (len(calls) % 2)

    def stop(status: coordinator.Status) -> None:
        if status.done > status.planned / 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "time", jumping)
    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.Study(**killing.STUDY), out=tmp_path / "run", watch=stop)
    for path in (tmp_path / "run").rglob("*"):
        os.utime(path, (now() + shift, now() + shift))
    same(killing.undisturbed(tmp_path / "run"), whole)


def test_chunks_in_any_order(whole: bench.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, fill = random.Random(1), coordinator.Coordinator._fill

    def shuffled(self) -> None:  # type: ignore[no-untyped-def]
        draw.shuffle(self.queue)
        fill(self)

    monkeypatch.setattr(coordinator.Coordinator, "_fill", shuffled)
    same(killing.undisturbed(tmp_path / "run"), whole)


THREADS = """
import json, sys, torch, bench
study = bench.Study(optimizers="adam,extragrad", games="ring8[width=16,batch_size=16]", seeds="0-2", trials=0,
                    budget=20, evaluations=2)
print(json.dumps(bench.run(study, out=sys.argv[1]).records.drop(columns="seconds").astype(str).to_csv()))
"""


@pytest.mark.slow
def test_threads_decide_nothing(tmp_path: Path) -> None:
    found = []
    for i, threads in enumerate((None, "1", "3")):
        given = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        given |= {"OMP_NUM_THREADS": threads} if threads else {}
        command = [sys.executable, "-c", THREADS, str(tmp_path / str(i))]
        done = subprocess.run(command, env=given, capture_output=True, encoding="utf-8", check=True)
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("odd", ["", "many", "-1", "1e9"])
def test_odd_threads_are_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    """Workers have theirs pinned whatever the environment says, and the environment is left as it was."""
    from bench.execution.watchdog import PINNED, new_context

    for key in PINNED:
        monkeypatch.setenv(key, odd)
    new_context()
    assert {os.environ[key] for key in PINNED} == {odd}


def test_a_moved_run_goes_on(whole: bench.Run, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(whole.path, tmp_path / "elsewhere"))
    for path in list((moved / "records").glob("*.json"))[::3]:
        path.unlink()
    same(killing.undisturbed(moved), whole)


def test_the_summary_counts_what_is_lost() -> None:
    faults = script("faults")
    text = faults.page([("one", 20, []), ("other", 5, ["x at 3", "x at 4"])], 7.0)
    assert "| one | 20 | 20 | 0 |" in text
    assert "| other | 5 | 3 | 2 |" in text
    assert "- lost: x at 4" in text
