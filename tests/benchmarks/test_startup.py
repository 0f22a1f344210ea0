"""What the command takes to start: as a ratio to an interpreter that does nothing, in turn.

pytest tests/benchmarks/test_startup.py --benchmark-only -s
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from typing import Any

import pytest
from stack import seconds

ROUNDS = 9
NOTHING = ["-c", "pass"]
STARTS = {"help": (["-m", "bench", "--help"], 20.0), "import": (["-c", "import bench"], 3.0)}
"""What is started, and how many times as long as nothing it may take: what torch is, is far beyond."""


def start(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("what", STARTS)
def test_start_against_an_idle_interpreter(benchmark: Any, what: str) -> None:
    arguments, limit = STARTS[what]
    start(arguments)
    pairs = [(seconds(start, arguments), seconds(start, NOTHING)) for _ in range(ROUNDS)]  # in turn
    ratio = median(own / idle for own, idle in pairs)
    benchmark.pedantic(start, (arguments,), rounds=3)
    benchmark.extra_info |= {"ratio to an idle interpreter": ratio}
    print(f"\n{what}: {ratio:.1f} times an interpreter that does nothing")
    assert ratio < limit
