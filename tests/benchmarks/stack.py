"""The engine's side of a comparison: replicas as a run trains them, packed as its plan packs them."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch

from bench.execution.training import Training
from bench.numerics.runtime import hold_memory
from bench.studies.plan import Task, report_rows


class Stack:
    """R replicas of a rule on a game: chunks as they are planned, each advanced as it is in training."""

    def __init__(self, game: str, rule: str, replicas: int, device: str = "cpu") -> None:
        hold_memory()
        task = Task(rule, game, budget=1e9, evaluations=1, device=device)
        chunks = task.chunks(report_rows(range(replicas), {}), "report")
        self.trainings = [Training(chunk, _unheard, _silent) for chunk in chunks]
        self.replicas = replicas

    @property
    def packs(self) -> list[int]:
        return [len(training.rows) for training in self.trainings]

    @property
    def finite(self) -> bool:
        return all(bool(torch.isfinite(training.w).all()) for training in self.trainings)

    def run(self, steps: int) -> None:
        for training in self.trainings:
            for _ in range(steps):
                training.advance()


def _unheard(cost: float) -> None: ...


def _silent() -> None: ...


def seconds(work: Any, *arguments: Any) -> float:
    start = perf_counter()
    work(*arguments)
    return perf_counter() - start


SIDE = 1024


class Product:
    """A product of two matrices of 1024 x 1024 float32 numbers: the most that a core does in a second."""

    def __init__(self) -> None:
        self.a, self.b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
        self.out = torch.empty(SIDE, SIDE)

    def run(self, times: int = 1) -> None:
        for _ in range(times):
            torch.mm(self.a, self.b, out=self.out)

    def rate(self, times: int = 4) -> float:
        """Multiply-adds a second."""
        return times * SIDE**3 / seconds(self.run, times)
