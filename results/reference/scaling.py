"""How do time and memory grow with replicas and steps?

    python results/reference/scaling.py > results/reference/scaling.md

Writes scaling.svg beside itself. Trainings go through the only training loop, in chunks as a run plans them, on one
thread. What is told is seconds, for growth is what is asked: the slope of their logarithm by that of what grows, 1
where cost is linear. Memory is what the process holds of the machine's, read through one long training.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.execution.training import Training, execute
from bench.numerics.runtime import hold_memory, processor
from bench.report.figures.svg import styled
from bench.studies.plan import Chunk, Task, report_rows

RING, SMALL = "ring8[width=32,batch_size=64]", "bilinear"
REPLICAS = tuple(2**k for k in range(9))
STEPS = (1_000, 3_162, 10_000, 31_623, 100_000)
TOGETHER, BLOCK, ROUNDS, LONG = 4, 64, 3, 20_000
HALF = 0.5  # of a training: memory is compared between here and its end
FIGURE = Path(__file__).with_suffix(".svg")


@dataclass
class Found:
    """Seconds by what grows; megabytes held by step."""

    replicas: dict[int, float] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def chunks(rule: str, game: str, replicas: int, budget: float) -> list[Chunk]:
    return Task(rule, game, budget, evaluations=1, device="cpu").chunks(report_rows(range(replicas), {}), "report")


def by_replicas(sizes: tuple[int, ...]) -> dict[int, float]:
    """Seconds of a step of all replicas on ring8, the least of some rounds in turn."""
    trainings = {
        size: [Training(chunk, lambda cost: None, lambda: None) for chunk in chunks("adam", RING, size, 1e9)]
        for size in sizes
    }
    found = dict.fromkeys(sizes, float("inf"))
    for number in range(ROUNDS + 1):  # the first is to warm up
        for size, parts in trainings.items():
            start = perf_counter()
            for training in parts:
                for _ in range(BLOCK):
                    training.advance()
            if number:
                found[size] = min(found[size], (perf_counter() - start) / BLOCK)
    return found


def by_steps(lengths: tuple[int, ...]) -> dict[int, float]:
    """Seconds of whole trainings on the bilinear game, evaluation and records included."""
    found = {}
    for steps in lengths:
        (chunk,) = chunks("sgd[lr=0.001]", SMALL, TOGETHER, float(steps))
        start = perf_counter()
        execute(chunk)
        found[steps] = perf_counter() - start
    return found


def held() -> float:
    """Megabytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def through_time(rule: str, game: str, steps: int) -> list[tuple[float, float]]:
    """(Step, megabytes) through a training, as often as it reports its progress."""
    (chunk,) = chunks(rule, game, TOGETHER, float(steps))
    found: list[tuple[float, float]] = []
    execute(chunk, lambda cost: found.append((cost / TOGETHER, held())))
    return found


def measured() -> Found:
    found = Found()
    found.memory = {f"adam on {RING}": through_time("adam", RING, LONG // 4)}
    found.memory[f"sgd on {SMALL}"] = through_time("sgd[lr=0.001]", SMALL, LONG)
    found.steps = by_steps(STEPS)
    found.replicas = by_replicas(REPLICAS)
    return found


# --- what it says ----------------------------------------------------------------------------------------------------


def slope(grown: dict[int, float]) -> float:
    """Of the logarithm of seconds by that of what grows, over the larger half: 1 for linear."""
    later = sorted(grown.items())[len(grown) // 2 :]
    x, y = np.log(np.array(later)).T
    return float(np.polyfit(x, y, 1)[0])


def growth(memory: list[tuple[float, float]]) -> float:
    """Megabytes that a training holds before it is judged at its end more than at its half."""
    half = HALF * memory[-1][0]
    return memory[-2][1] - next(megabytes for step, megabytes in memory if step >= half)


@styled()
def drawn(found: Found, path: Path) -> None:
    figure = Figure(figsize=(9.6, 2.9))
    left, middle, right = figure.subplots(1, 3)
    _growing(left, found.replicas, "replicas", "one step of all, ms", 1e3)
    _growing(middle, found.steps, "steps", "a training, s", 1.0)
    left.set_title(f"adam on {RING.partition('[')[0]}, width 32", fontsize=9)
    middle.set_title(f"sgd on {SMALL}", fontsize=9)
    right.set_title("through a training", fontsize=9)
    for name, series in found.memory.items():
        steps, megabytes = np.array(series).T
        right.plot(steps / steps[-1], megabytes, label=name)
    right.set(xlabel="share of the training", ylabel="memory held, MB", ylim=(0, None))
    right.legend(frameon=False, fontsize=7, loc="lower right")
    with matplotlib.rc_context({"svg.hashsalt": "scaling"}), path.open("w", encoding="utf-8") as file:
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")


def _growing(axes: Any, grown: dict[int, float], what: str, label: str, scale: float) -> None:
    x = np.array(sorted(grown))
    y = scale * np.array([grown[int(one)] for one in x])
    axes.loglog(x, y, "o-", label="measured")
    axes.loglog(x, y[-1] * x / x[-1], "--", color="0.5", label="linear")
    axes.set(xlabel=what, ylabel=label)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(frameon=False, fontsize=8)


def lines(found: Found) -> Iterator[str]:
    yield HEAD.format(machine=machine(), figure=FIGURE.name)
    yield "| replicas | ms a step | us a replica-step |\n|---|---|---|"
    for size, seconds in found.replicas.items():
        yield f"| {size} | {1e3 * seconds:.2f} | {1e6 * seconds / size:.0f} |"
    yield f"\nSlope of the larger half: {slope(found.replicas):.2f} (1 is linear).\n"
    yield "| steps | s | us a step |\n|---|---|---|"
    for steps, seconds in found.steps.items():
        yield f"| {steps:,} | {seconds:.2f} | {1e6 * seconds / steps:.0f} |"
    yield f"\nSlope of the larger half: {slope(found.steps):.2f}.\n"
    yield "| training | steps | MB held at half | MB more at the end |\n|---|---|---|---|"
    for name, series in found.memory.items():
        more = growth(series)
        yield f"| {name} | {series[-1][0]:,.0f} | {series[-2][1] - more:.0f} | {more:.1f} |"


HEAD = """\
# How do time and memory grow?

Made in about two minutes by

    python results/reference/scaling.py > results/reference/scaling.md

Machine: {machine}

![Seconds by replicas and by steps, beside linear growth; memory through a training]({figure})

Replicas train in chunks of at most the game's `stack`, as a run packs them: a step of many is that of all chunks. A few
replicas share the overhead of a step, so the first are cheap. Steps are of whole trainings of 4 replicas of a
deterministic game, with evaluation and records. Memory is what the process holds, interpreter and torch included; the
last that is read is from before the judging at the end, whose samples and distances take some for themselves.
"""


def machine() -> str:
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"1 thread of {os.cpu_count()} cores, {processor('cpu')}, {versions}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="How time and memory grow; the page to standard output.")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where the figure is written")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    hold_memory()
    found = measured()
    drawn(found, given.figure)
    print("\n".join(lines(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
