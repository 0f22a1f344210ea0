"""kill -9 at random moments, of a command and of its workers: what the tests do a few times, the summary more often."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.analysis.table import to_csv
from bench.execution import coordinator

STUDY = {
    "optimizers": "sgd,adam,extragrad", "games": "dirac,bilinear", "seeds": "0-2", "trials": 4, "tuning_seeds": 2,
    "budget": 60, "evaluations": 3,
}  # fmt: skip
WORDS = [word for key, value in STUDY.items() for word in ("-o", f"{key}={value}")]
SOON = 3.0  # seconds in which all of a command that was killed must be gone


def started(out: Path, *more: str) -> subprocess.Popen[str]:
    """The command as a user starts it, in a group of processes of its own."""
    command = [sys.executable, "-m", "bench", "run", *WORDS, "--jobs", "2", "--out", str(out), *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, encoding="utf-8", start_new_session=True)


def stubs(out: Path) -> int:
    return len(list((out / "records").glob("*.json")))


def wait_for(process: subprocess.Popen[str], out: Path, more: int) -> bool:
    """Whether so many more chunks came before the command ended."""
    before = stubs(out)
    while stubs(out) < before + more:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True


def gone(group: int) -> bool:
    """Whether no process of a group is left, soon."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def undisturbed(out: Path) -> bench.Run:
    return bench.run(bench.Study(**STUDY), out=out)


def compared(run: bench.Run, whole: bench.Run) -> list[str]:
    """What is not as it would have been."""
    keys = ["optimizer", "game", "phase", "trial", "seed", "metric", "cost"]
    lost = []
    if to_csv(run.table(full=True)) != to_csv(whole.table(full=True)):
        lost.append("the table is another")
    if run.records.duplicated(keys).any() or len(run.records) != len(whole.records):
        lost.append("a cell is lost or there twice")
    if run.errors:
        lost.append("a chunk is an error")
    return lost + [f"left: {path.name}" for path in run.path.rglob("*.tmp")]


def kill_command(out: Path, count: int, seed: int = 0) -> tuple[int, list[str]]:
    """Kill the command after a few more chunks, start it again, and so on: (times, what was left behind)."""
    draw, left = random.Random(seed), []
    for done in range(count):
        process = started(out)
        alive = wait_for(process, out, draw.randint(0, 2))
        time.sleep(draw.random() * 0.2)
        if not alive or process.poll() is not None:
            process.communicate()
            return done, left
        process.kill()
        process.communicate(timeout=30)  # reads to the end before it asks how the command ended: nobody else may write
        if not gone(process.pid):
            left.append(f"kill {done}: a process lives on")
    return count, left


def kill_workers(out: Path, count: int, patch: pytest.MonkeyPatch, seed: int = 0) -> tuple[int, bench.Run]:
    """Kill workers in the midst of chunks, none of them twice at the same one: (times, the run)."""
    draw, killed, coordinators = random.Random(seed), [], []
    begin: Any = coordinator.Coordinator.__init__

    def made(self: Any, *args: Any) -> None:
        begin(self, *args)
        coordinators.append(self)

    def watch(_: Any) -> None:
        (one,) = coordinators
        for slot, _, chunk in one.busy.values():
            pool = one.engine.pools[slot]
            if len(killed) >= count or one.attempts.get(chunk.id) or pool is None or draw.random() < 0.3:
                continue
            if one.engine.running(slot) > 0 and (chunk.id not in killed):
                for process in pool._processes.values():
                    os.kill(process.pid, signal.SIGKILL)
                killed.append(chunk.id)

    patch.setattr(coordinator.Coordinator, "__init__", made)
    run = bench.run(bench.Study(**STUDY | {"budget": 600}), out=out, jobs=2, watch=watch)
    patch.undo()
    return len(killed), run


def kill_commands(folder: Path, count: int, whole: bench.Run) -> tuple[int, list[str]]:
    """Kill the command so many times, in as many folders as that takes: (times, what was lost)."""
    times, lost = 0, list[str]()
    for attempt in range(count):
        if times < count:
            out = folder / f"run{attempt}"
            done, left = kill_command(out, count - times, seed=attempt)
            lost += left + compared(undisturbed(out), whole)
            times += done
    return times, lost


def kill_many_workers(folder: Path, count: int, plain: bench.Run) -> tuple[int, list[str]]:
    """Kill so many workers, in as many folders as that takes: (times, what was lost)."""
    times, lost = 0, list[str]()
    for attempt in range(count):
        if times < count:
            with pytest.MonkeyPatch.context() as patch:
                done, run = kill_workers(folder / f"workers{attempt}", count - times, patch, seed=attempt)
            lost += compared(run, plain)
            times += done
    return times, lost
