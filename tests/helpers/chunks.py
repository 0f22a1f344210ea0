"""Chunks to be trained in this process, and what their replicas came to."""

from __future__ import annotations

from bench.storage.records import Result
from bench.studies.plan import Chunk, Row, Task


def chunk(rule: str, game: str, budget: float, rows: list[Row], evaluations: int = 10, phase: str = "report") -> Chunk:
    """The only chunk of these rows."""
    (planned,) = Task(rule, game, budget, evaluations, device="cpu").chunks(rows, phase)
    return planned


def rows(*step_sizes: float) -> list[Row]:
    """A seed for each step size."""
    return [Row(seed, (("lr", lr),)) for seed, lr in enumerate(step_sizes)]


def outcomes(result: Result) -> dict[int, tuple[str, float]]:
    """seed -> (outcome, the cost at which it ended)."""
    return {record["seed"]: (record["outcome"], record["ended"]) for record in result.records}
