"""Modules whose ``forward`` is a chain: parts one after another, with activations and reshapes between them.

It is seen by calling the module on samples, or, where functions stand between its parts, in the graph of its operations
(torch.fx, Reed et al. 2022, arXiv:2112.08429).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from inspect import signature
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from bench.games.networks.layers import Shape

NAMES = (
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "softplus", "softsign", "tanh",
)  # fmt: skip
"""Functions of torch that act entry by entry."""
SHAPING = frozenset(("flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view"))
"""Functions that give a tensor another shape."""
ACTIVATIONS: dict[object, Callable[..., Tensor]] = {
    one: getattr(functional, name)
    for name in NAMES
    for home in (functional, torch)
    for suffix in ("", "_")
    if (one := getattr(home, name + suffix, None)) is not None
}
"""What may be called -> the same, not in place."""


class Unlike(Exception):  # noqa: N818  (the module differs from the layers here; that is no error)
    """Why a module is no stack of the usual layers."""


class EntryByEntry(nn.Module):
    """A function of each entry, with its settings, as a module."""

    def __init__(self, function: Callable[..., Tensor], values: tuple[Any, ...], settings: dict[str, Any]) -> None:
        super().__init__()
        self.function, self.values, self.settings = function, values, settings

    def forward(self, x: Tensor) -> Tensor:
        """The function of x."""
        return self.function(x, *self.values, **self.settings)


Step = nn.Module | Shape
"""A part, or the shape that samples are given."""


def steps(module: nn.Module, x: Tensor) -> list[Step]:
    """The steps of a module's ``forward`` on x [batch, ...], each on what the one before gave; Unlike where not so."""
    try:
        return _called(module, x)
    except Unlike as unlike:
        traced = _traced(module, x)
        if traced is None:
            raise unlike from None
        return traced


def _called(module: nn.Module, x: Tensor) -> list[Step]:
    """The parts that are called, at most reshaped between."""
    calls: list[tuple[nn.Module, tuple[Any, ...], Any]] = []
    parts = [part for child in module.children() for part in (child if isinstance(child, nn.ModuleList) else [child])]
    handles = [part.register_forward_hook(lambda part, given, out: calls.append((part, given, out))) for part in parts]
    try:
        with torch.no_grad():
            y = module(x)
    finally:
        for handle in handles:
            handle.remove()
    chain: list[Step] = []
    stands = x
    for part, given, out in [*calls, (None, (y,), None)]:
        taken = given[0] if len(given) == 1 else None
        if taken is not stands:
            if not (isinstance(taken, Tensor) and isinstance(stands, Tensor) and _reshaped(taken, stands)):
                raise Unlike(f"{type(module).__name__} does more than to call its parts in turn")
            chain.append(tuple(taken.shape[1:]) or (1,))
        if part is not None:
            chain.append(part)
            stands = out
    return chain


def _reshaped(taken: Tensor, given: Tensor) -> bool:
    """Whether one tensor is another in a different shape, the first dimension kept."""
    same = taken.data_ptr() == given.data_ptr() and taken.numel() == given.numel() and len(taken) == len(given)
    return same and taken.is_contiguous() and given.is_contiguous()


class _Parts(fx.Tracer):
    """Parts stand as they are in the graph, whatever they do themselves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


class _Values(fx.Interpreter):
    """Executes a graph and keeps what each node gave."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.of: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.of[n] = super().run_node(n)
        return self.of[n]


def _traced(module: nn.Module, x: Tensor) -> list[Step] | None:
    """The steps in the graph of a module's operations; None where it has none, or one that is no such chain."""
    try:
        graph = _Parts().trace(module)
        values = _Values(fx.GraphModule(module, graph))
        with torch.no_grad():
            values.run(x)
    except Exception:  # a forward that branches on values, for example, has no graph
        return None
    chain: list[Step] = []
    last: fx.Node | None = None
    for node in graph.nodes:
        given = [one for one in node.all_input_nodes if isinstance(values.of[one], Tensor)]
        if node.op == "placeholder":
            if last is not None:
                return None
        elif not isinstance(values.of[node], Tensor):  # a size
            continue
        elif given != [last]:
            return None
        elif node.op != "output":
            step = _step(module, node, values.of[node], len(x))
            if step is None:
                return None
            chain.append(step)
        last = node
    return chain


def _step(module: nn.Module, node: fx.Node, y: Tensor, count: int) -> Step | None:
    """A node of a graph as a step that gives y; None if it is none."""
    if node.op == "call_module":
        return module.get_submodule(str(node.target)) if len(node.args) == 1 and not node.kwargs else None
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if name in SHAPING and node.op in ("call_method", "call_function"):
        return tuple(y.shape[1:]) or (1,) if len(y) == count and y.is_contiguous() else None
    if node.op == "call_method":
        function = ACTIVATIONS.get(getattr(functional, name.removesuffix("_"), None))
    else:
        function = ACTIVATIONS.get(node.target) if node.op == "call_function" else None
    return None if function is None else _entry_by_entry(function, node)


def _entry_by_entry(function: Callable[..., Tensor], node: fx.Node) -> EntryByEntry | None:
    """A function with the settings that a node calls it with, not in place; None where one is no constant."""
    values, settings = tuple(node.args[1:]), dict(node.kwargs)
    with suppress(ValueError, TypeError):  # what is not written in Python has no signature, and no ``inplace``
        settings = dict(signature(function).bind(*node.args, **node.kwargs).arguments)
        values = ()
    settings = {key: value for key, value in settings.items() if key not in ("input", "inplace")}
    if not all(isinstance(value, (int, float, str)) for value in (*values, *settings.values())):
        return None
    return EntryByEntry(function, values, settings)
