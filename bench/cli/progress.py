"""What the terminal shows while a study runs: a live bar, or one plain line every 30 s where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.execution.coordinator import Status, Watch

EVERY = 30.0  # seconds between plain lines


@contextmanager
def watching() -> Iterator[Watch]:
    """A function to be told the Status; on standard error, so that standard output holds results alone."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),  # a rule's brackets are no style
        BarColumn(),
        TextColumn("{task.fields[cost]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        console=console,
        transient=True,
    )
    with bar:
        yield _Bar(bar)


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self.bar, self.began = bar, time.monotonic()
        self.task = bar.add_task("starting", total=None, cost="", eta="")

    def __call__(self, status: Status) -> None:
        self.bar.update(
            self.task,
            total=status.planned,
            completed=status.done + status.skipped,
            description="\n".join(status.running) or "waiting",
            cost=_cost(status),
            eta=_eta(status, self.began),
        )


class _Lines:
    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def __call__(self, status: Status) -> None:
        time_now = time.monotonic()
        if time_now - self.last >= EVERY:
            self.last = time_now
            line = f"{'; '.join(status.running)} | {_cost(status)} | {_eta(status, self.began)}"
            print(line, file=sys.stderr, flush=True)


def _cost(status: Status) -> str:
    return f"{_short(status.done + status.skipped)} of {_short(status.planned)} gradient evaluations"


def _short(cost: float) -> str:
    return f"{cost / 1e6:.2f}M" if cost >= 1e6 else f"{cost / 1e3:.1f}k" if cost >= 1e3 else f"{cost:.0f}"


def _eta(status: Status, began: float) -> str:
    """Time still to go, by the pace so far."""
    if status.done <= 0:
        return "ETA unknown"
    left = (time.monotonic() - began) * (status.planned - status.done - status.skipped) / status.done
    return f"ETA {int(left) // 60}:{int(left) % 60:02d}" if left < 1e6 else "ETA unknown"
