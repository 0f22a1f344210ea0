"""A rule's step as one graph: recorded once, replayed at every later step.

On a GPU a step of small networks is hundreds of launches, each slower than its kernel; a CUDA graph launches all at
once (PyTorch 1.10, ``torch.cuda.CUDAGraph``). Steps that a replay cannot reproduce are detected first: a step that
reads a number of a tensor (to branch on it), or uses tensors on another device than w, runs without a graph.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from bench.contracts import Batch, Oracle, State, UpdateRule

READS = (
    *("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::masked_select", "aten::_unique2"),
    "aten::_linalg_check_errors",
)
"""Operations whose answer the processor waits for; indices by truth values are others."""
AGREES = 1e-5
"""Relative tolerance between a replay and its step, because sums may be in another order."""

Step = tuple[Tensor, State]


class Recording(Protocol):
    """A recorded graph, with the memory of its inputs and outputs."""

    def replay(self) -> None: ...


Record = Callable[[Callable[[], Step]], tuple[Recording, Step]]
"""Records work, and gives the recording and the tensors in which a replay leaves what the work gives."""


def cuda_graph(work: Callable[[], Step]) -> tuple[Recording, Step]:
    """A CUDA graph of the work, which has run once on a stream of its own before, as capturing demands."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        given = work()
    return graph, given


class Stepper:
    """Steps of a rule, by replay where that is possible: ``step(rule, F, w, s)`` is ``rule.step(F, w, s)``.

    Args:
        record: how steps are recorded; None never does.
    """

    def __init__(self, record: Record | None) -> None:
        self.record = record
        self.recorded: _Recorded | None = None
        self.as_written: UpdateRule | None = None
        """The rule whose steps cannot be replayed."""

    def __call__(self, rule: UpdateRule, F: Oracle, w: Tensor, s: State) -> Step:
        if self.record is None or rule is self.as_written:
            return rule.step(F, w, s)
        if self.recorded is None or self.recorded.rule is not rule:
            self.recorded = _recorded(self.record, rule, F, w, s)
        if self.recorded is None or not self.recorded.fits(w, s):  # the shapes of the state have changed
            self.recorded, self.as_written = None, rule
            return rule.step(F, w, s)
        return self.recorded(F, w, s)


class _Fed(Oracle):
    """A copy of an oracle, whose minibatches and share of the budget have fixed addresses in memory."""

    def __init__(self, F: Oracle, w: Tensor) -> None:
        self.__dict__.update(vars(F))
        self._drawn, self.first = False, F.draw
        self.batches: dict[int, Batch | None] = {}
        self.spent = w.new_tensor(F.share)

    @property
    def share(self) -> Tensor:  # type: ignore[override]
        """As a tensor, for a number would be the same at every replay; it holds what the step starts from."""
        return self.spent + self.cost / self.budget

    def again(self) -> _Fed:
        """At the first minibatch, with nothing counted."""
        other = copy(self)
        other.draw, other._drawn, other.gradients, other.products, other.draws = self.first, False, 0.0, 0.0, 0
        return other

    def batch(self, like: Tensor) -> Batch | None:
        index = self.draw - self.first
        if index not in self.batches:
            drawn = self.game.batch(self.seeds, self.draw)
            self.batches[index] = drawn and {key: value.to(like.device, copy=True) for key, value in drawn.items()}
        self.draws += not self._drawn
        self._drawn = True
        return self.batches[index]

    def feed(self, F: Oracle) -> None:
        """Put another oracle's next minibatches, and its share of the budget, where these are."""
        self.spent.fill_(F.share)
        for index, held in self.batches.items():
            drawn = F.game.batch(F.seeds, F.draw + index)
            for key in held or ():
                held[key].copy_(drawn[key])  # type: ignore[index]


@dataclass(frozen=True)
class _Recorded:
    """A recorded step: inputs and outputs as they lie in memory, and an oracle that has counted it."""

    rule: UpdateRule
    inputs: Step
    recording: Recording
    given: Step
    counted: _Fed

    def fits(self, w: Tensor, s: State) -> bool:
        return _layout((w, s)) == _layout(self.inputs)

    def __call__(self, F: Oracle, w: Tensor, s: State) -> Step:
        for held, value in zip(tree_leaves(self.inputs), tree_leaves((w, s)), strict=True):
            held.copy_(value)
        self.counted.feed(F)
        self.recording.replay()
        F.gradients += self.counted.gradients
        F.products += self.counted.products
        F.draws += self.counted.draws
        F.draw += self.counted.draw - self.counted.first
        F._drawn = False
        w, s = tree_map(torch.clone, self.given)
        return w, s


def _recorded(record: Record, rule: UpdateRule, F: Oracle, w: Tensor, s: State) -> _Recorded | None:
    """A recorded step; None if a replay would not reproduce it, or the device refuses."""
    w, s = inputs = tree_map(torch.clone, (w, s))
    fed = _Fed(F, w)
    expected = rule.step(fed.again(), w, s)  # afterwards the oracle has all minibatches of a step
    with _Watch(w.device) as watch:
        rule.step(counted := fed.again(), w, s)
    if watch.waits:
        return None
    try:
        recording, given = record(lambda: rule.step(fed.again(), w, s))
    except RuntimeError:
        return None
    recording.replay()
    near = all(
        torch.allclose(a, b, AGREES, AGREES * float(b.abs().max()), equal_nan=True)
        for a, b in zip(tree_leaves(given), tree_leaves(expected), strict=True)
    )
    return _Recorded(rule, inputs, recording, given, counted) if near else None


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Detects operations that wait for the device, or run on another device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.waits = device, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = func._schema.name
        chosen = name.startswith("aten::index") and any(tensor.dtype in (torch.bool, torch.uint8) for tensor in tensors)
        brought = "copy" in name  # without a copy, a single number is an argument of the launch
        elsewhere = any(tensor.device != self.device and (tensor.ndim or brought) for tensor in tensors)
        self.waits |= name in READS or chosen or elsewhere
        return func(*args, **(kwargs or {}))


def _layout(step: Step) -> tuple[Any, ...]:
    leaves, tree = tree_flatten(step)
    return tree, *((leaf.shape, leaf.dtype, leaf.device) for leaf in leaves)
