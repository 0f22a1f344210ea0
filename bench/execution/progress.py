"""What is shown while a study runs: a live bar in a terminal or notebook, one plain line every 30 s in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import escape
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.execution.coordinator import Status, Watch

EVERY = 30.0  # seconds between plain lines


def lines() -> Watch | None:
    """Plain lines where standard error is no terminal, as in a CI; None where there is room for a bar."""
    return None if Console(stderr=True).is_terminal else _Lines()


@contextmanager
def watching(watch: Watch | None = None, bar: bool = True) -> Iterator[Watch | None]:
    """What is told the Status: the function given, else a bar if one is wanted and a terminal or a notebook is there.

    The bar is on standard error, so that standard output holds results alone.
    """
    console = Console(stderr=True)
    if watch is not None or not bar or not (console.is_terminal or console.is_jupyter):
        yield watch
    elif console.is_jupyter:
        with closing(_Cell()) as cell:
            yield cell
    else:
        with _drawn(console) as progress:
            yield _Bar(progress)


def _drawn(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),  # a rule's brackets are no style
        BarColumn(),
        TextColumn("{task.fields[cost]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        console=console,
        transient=True,
    )


class _Cell:
    """A bar in the output of a notebook's cell; needs IPython alone, where rich would ask for its widgets."""

    def __init__(self) -> None:
        shown: Any = import_module("IPython.display")
        self.html, self.began = shown.HTML, time.monotonic()
        self.handle = shown.display(shown.HTML("starting"), display_id=True)

    def __call__(self, status: Status) -> None:
        done = status.done + status.skipped
        words = escape(f"{'; '.join(status.running) or 'waiting'} | {_cost(status)} | {_eta(status, self.began)}")
        self.handle.update(self.html(f"<progress max='{status.planned:g}' value='{done:g}'></progress> {words}"))

    def close(self) -> None:
        """Leave the output to what follows."""
        self.handle.update(self.html(""))


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
