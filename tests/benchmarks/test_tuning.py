"""What tuning takes beyond training: as a ratio to as many replicas in one stack, in one process.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_tuning.py --benchmark-only

Both sides train on ring8 and alternate, so that a noisy neighbour hits both. Tuning is all of it: its rounds, what is
asked of Optuna, the re-ranking of the finalists.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from bench.execution.training import execute
from bench.studies.plan import TUNING_SEED, Chunk, Row, Task
from bench.studies.study import Study
from bench.studies.tuning import tuner
from bench.studies.tuning.tuner import MARKS, tune

TRIALS, SEEDS, BUDGET, ROUNDS = 16, 3, 600.0, 5


def records(chunk: Chunk) -> pd.DataFrame:
    found = pd.DataFrame(execute(chunk).records)
    return found.assign(hyperparameters="", phase=chunk.phase)


def tuned(optimizer: str, pruner: str) -> None:
    """All of a tuning, without the store."""
    study = Study(optimizers=optimizer, games="ring8", trials=TRIALS, tuning_seeds=SEEDS, pruner=pruner)
    tuning = tune(Task(optimizer, "ring8", BUDGET, 1, "cpu"), study)
    try:
        chunks = next(tuning)
        while True:
            chunks = tuning.send(pd.concat([records(chunk) for chunk in chunks], ignore_index=True))
    except StopIteration:
        return


def stacked(optimizer: str) -> None:
    """As many replicas as the trials have, over the same step sizes, in one stack."""
    steps = np.geomspace(1e-5, 1e-1, TRIALS)
    paths = ("lr_g", "lr_d") if optimizer == "ttur" else ("lr",)
    rows = [
        Row(TUNING_SEED + k, tuple((path, float(lr)) for path in paths), number)
        for number, lr in enumerate(steps)
        for k in range(SEEDS)
    ]
    (chunk,) = Task(optimizer, "ring8", BUDGET, 1, "cpu").chunks(rows, "tune", MARKS)
    records(chunk)


def seconds(work: Any, *arguments: Any) -> float:
    start = perf_counter()
    work(*arguments)
    return perf_counter() - start


@pytest.mark.parametrize("pruner", ["none", "paired"])
@pytest.mark.parametrize("optimizer", ["adam", "ttur"])
def test_tuning_against_one_stack(benchmark: Any, optimizer: str, pruner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    asked: list[float] = []

    def timed(method: Any) -> Any:
        def measured(*arguments: Any) -> Any:
            start = perf_counter()
            try:
                return method(*arguments)
            finally:
                asked.append(perf_counter() - start)

        return measured

    for name in ("__init__", "ask", "tell", "end"):
        monkeypatch.setattr(tuner._Tuning, name, timed(getattr(tuner._Tuning, name)))
    pairs = []

    def alternate() -> None:
        one = seconds(stacked, optimizer)
        asked.clear()
        whole = seconds(tuned, optimizer, pruner)
        pairs.append((whole / one, sum(asked) / whole))

    alternate()
    pairs.clear()
    benchmark.pedantic(alternate, rounds=ROUNDS)
    ratio, share = (median(column) for column in zip(*pairs, strict=True))
    benchmark.extra_info |= {"tuning / one stack of 48": round(ratio, 3), "asked of Optuna": round(share, 4)}
    print(f"\n{optimizer}, pruner {pruner}: tuning takes {ratio:.2f} of one stack of 48; Optuna {share:.1%} of it")
