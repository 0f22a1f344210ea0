"""What the store and the coordinator survive: faults tried, survived and lost, each followed by the same command again.

    python results/reference/faults.py > results/reference/faults.md

What counts as survived, the page says. The tests try the same, kills a few times each.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
HELPERS = HERE.parents[2] / "tests" / "helpers"
sys.path[:0] = [str(HELPERS), str(HERE.parents[2])]

import killing  # noqa: E402

import bench  # noqa: E402

KILLS = 20
WORDS = {
    "crash": "the process ends at a file-system operation, at each in turn",
    "torn": "a write is half done when the process ends, each in turn",
    "power": "power is lost at an operation, each in turn: what was not flushed is gone",
    "full": "the disk is full from an operation on, at every 8th",
}

Row = tuple[str, int, list[str]]


def tour(folder: Path) -> list[Row]:
    """The faults of a disk, in a process of their own."""
    done = subprocess.run(
        [sys.executable, str(HELPERS / "crashing.py"), str(folder), "8"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    return [(WORDS[kind], found[kind]["tried"], found[kind]["lost"]) for kind in WORDS]


def kills(folder: Path, count: int) -> list[Row]:
    """kill -9 of the command, in as many folders as it takes, and of workers."""
    plain = bench.run(bench.Study(**killing.STUDY | {"budget": 600}), out=folder / "plain")
    return [
        (
            "kill -9 of the command with two workers, at a random moment",
            *killing.kill_commands(folder, count, killing.undisturbed(folder / "whole")),
        ),
        ("kill -9 of a worker in the midst of a chunk", *killing.kill_many_workers(folder, count, plain)),
    ]


def page(rows: list[Row], seconds: float) -> str:
    """The summary as Markdown."""
    lines = ["# Faults tried, survived, lost", "", "| fault | tried | survived | lost |", "|---|---|---|---|"]
    lines += [f"| {what} | {tried} | {tried - len(lost)} | {len(lost)} |" for what, tried, lost in rows]
    lines += ["", *(f"- lost: {text}" for _, _, lost in rows for text in lost)]
    lines += [
        "A fault is survived where the same command, given again, ends as an undisturbed run does, byte for byte:",
        "faults of the disk in table, report and figures, kills in the table, with every record there once. Nor is a",
        "temporary file left or, after 3 s, a process. After a loss of power every chunk that was finished is there,",
        "but for the one just being saved. Trainings and drawings are done once for all faults of the disk.",
        "Damage to any stored file, hostile names and folders from strangers are tried in",
        "`tests/storage/test_faults_files.py` and `tests/storage/test_security.py`, held folders, clocks, signals and",
        "memory in `tests/execution/test_faults_processes.py`.",
        "",
        f"Command: `python results/reference/faults.py`. {platform.system()} {platform.machine()}; {seconds:.0f} s.",
    ]
    return "\n".join(lines)


def main(count: int) -> None:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        disk, killed = Path(name) / "disk", Path(name) / "killed"
        disk.mkdir()
        rows = tour(disk) + kills(killed, count)
    print(page(rows, time.perf_counter() - start))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else KILLS)
