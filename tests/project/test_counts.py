"""A step takes what the committed file says, operation by operation: a slowdown that noise would hide shows here."""

from __future__ import annotations

from typing import Any

import counts
import pytest
import torch
from stack import Stack
from torch import Tensor

from bench.numerics.kernels.core import blas

KNOWN = counts.committed()
REMEDY = "if that is meant: python tests/benchmarks/counts.py --write"

same_torch = pytest.mark.skipif(
    KNOWN["torch"] != counts.version(), reason=f"counted with torch {KNOWN['torch']}, this is {counts.version()}"
)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


cores = pytest.mark.parametrize(
    "core",
    ["torch", pytest.param("numba", marks=pytest.mark.skipif(not blas(), reason="there are no kernels here"))],
)


@pytest.mark.slow
@same_torch
@cores
def test_every_rule_takes_what_it_took(core: str) -> None:
    assert not counts.differences(counts.every_rule(core), KNOWN[f"{core}: rules"]), REMEDY


@same_torch
@cores
def test_every_game_takes_what_it_took(core: str) -> None:
    assert not counts.differences(counts.every_game(core), KNOWN[f"{core}: games"]), REMEDY


class Planted:
    """A rule that does something for nothing at every step."""

    def __init__(self, rule: Any, waste: Any) -> None:
        self.rule, self.waste = rule, waste

    def step(self, F: Any, w: Tensor, s: Any) -> Any:
        self.waste(F, w)
        return self.rule.step(F, w, s)


WASTES = {
    "nothing": (lambda F, w: None, set()),
    "a view": (lambda F, w: w[:, :1], {"operations"}),
    "a copy": (lambda F, w: w.clone(), {"operations", "bytes"}),
    "a gradient": (lambda F, w: F(w), {"gradients", "operations", "bytes"}),
}


@pytest.mark.parametrize("waste", WASTES)
def test_a_planted_slowdown_is_found(waste: str) -> None:
    """Whatever the version of torch: against the same rule counted without."""
    stack, known = Stack(counts.RING, "extraadam", counts.REPLICAS), counts.of_rule("extraadam")
    (training,) = stack.trainings
    what, seen = WASTES[waste]
    training.rule = Planted(training.rule, what)  # type: ignore[assignment]
    said = counts.differences({"extraadam": counts.counted(stack)}, {"extraadam": known})
    assert {line.split()[1] for line in said} == seen


def test_a_rule_that_comes_or_goes_is_said() -> None:
    one = dict.fromkeys(counts.KINDS, 1.0)
    assert counts.differences({"new": one}, {"old": one}) == [
        "new: counted for the first time",
        "old: not counted any more",
    ]


def test_bytes_are_those_of_new_storages() -> None:
    with counts.Counting() as counting:
        a = torch.zeros(8)
        a[:4].add_(1)
        a + a
    assert (counting.operations, counting.bytes) == (4, 64)
