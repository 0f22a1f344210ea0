"""Where does the wall time of the default command go, and what do the kernels and a second worker save?

    python results/reference/wall.py [--rounds 1] > results/reference/wall.md

The README's command is run whole, in a fresh process and folder: with the kernels, on torch alone, and with the kernels
and one worker; each round runs the three in turn. Then the finished run is continued. The share of training is what
its records say of their steps' seconds, over the wall time of the workers; the rest is starting Python, evaluation,
planning, storage and the report. Imports are timed apart, by a process that imports what a run does and ends.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from bench import Run
from bench.numerics.runtime import processor

COMMAND = ("--optimizers", "sgd,adam,extragrad")
IMPORTS = "import bench.cli.training, bench.execution.engine, bench.report.page, bench.report.figures, optuna"
CASES = {"kernels, 2 workers": ("", "2"), "torch, 2 workers": ("torch", "2"), "kernels, 1 worker": ("", "1")}


def timed(arguments: list[str], core: str = "") -> float:
    """Seconds of a Python process."""
    start = perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"BENCH_CORE": core} if core else {})
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    return perf_counter() - start


def trained(folder: Path) -> float:
    """Seconds that the steps of a run took, of all its workers together."""
    records = Run(folder).records
    replica = ["game", "optimizer", "phase", "trial", "seed"]
    return float(records.groupby(replica, observed=True)["seconds"].max().sum())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--budget", help="as bench run takes it: a small one, to see that it works")
    given = parser.parse_args()
    more = ["--budget", given.budget] if given.budget else []
    walls: dict[str, list[float]] = {name: [] for name in CASES}
    shares: dict[str, list[float]] = {name: [] for name in CASES}
    again = []
    for _ in range(given.rounds):
        for name, (core, jobs) in CASES.items():
            with tempfile.TemporaryDirectory() as folder:
                run = ["-m", "bench", "run", *COMMAND, *more, "--jobs", jobs, "--out", f"{folder}/run"]
                walls[name].append(timed(run, core))
                shares[name].append(trained(Path(folder) / "run") / (int(jobs) * walls[name][-1]))
                if name == next(iter(CASES)):
                    again += [timed(run, core) for _ in range(5)]
    imports = float(np.median([timed(["-c", IMPORTS]) for _ in range(5)]))
    first, *_ = CASES
    print(f"# Wall time of the default command\n\n{(__doc__ or '').partition('wall.md')[2].strip()}\n")
    print(
        f"Machine: 2 cores, {processor('cpu')}, Python {platform.python_version()}, torch {torch.__version__}. "
        f"Rounds: {given.rounds}.\n"
    )
    print("| | wall [s] | x kernels, 2 workers | share of training |\n|---|---|---|---|")
    for name in CASES:
        wall, base = np.median(walls[name]), np.median(walls[first])
        print(f"| {name} | {wall:.1f} | {wall / base:.2f} | {np.median(shares[name]):.0%} |")
    print(
        f"\nA finished run is continued in {np.median(again):.1f} s, median of {len(again)}; {imports:.1f} s of them "
        "are imports."
    )


if __name__ == "__main__":
    main()
