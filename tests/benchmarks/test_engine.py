"""The stacked engine against the loops that a user would write, JAX, and the core's own limit: the table of
results/reference/speed.md, row by row.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_engine.py --benchmark-only -s

All sides train the same networks on the same loss, which is checked first; measurements alternate, so that a noisy
neighbour hits all. JAX takes part where it is installed: ``pip install '.[compare]'``.
"""

from __future__ import annotations

from statistics import median
from types import ModuleType
from typing import Any

import pytest
import torch
from scripts import script
from stack import Stack
from workloads import WORKLOADS, Workload


@pytest.fixture(scope="module")
def speed() -> ModuleType:
    return script("speed")


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_engine_against_rivals(benchmark: Any, speed: ModuleType, workload: Workload) -> None:
    if missing := workload.game.missing:
        pytest.skip(missing)
    torch.set_num_threads(1)
    row = speed.measured(workload)
    ratios = {kind: median(values) for kind, values in row["ratios"].items()}
    benchmark.extra_info |= ratios | {"JAX's way": row["how"], "goals missed": speed.short(workload, row)}
    stack = Stack(workload.spelled, workload.rule, workload.replicas)
    benchmark.pedantic(stack.run, (workload.steps,), rounds=3, warmup_rounds=1)
    print(f"\n{workload.title}, R {workload.replicas}: times {speed.told(row)}")
    assert ratios["plain"] > 1
