"""Modules of this package as Python of torch's operations alone, which gives the bits that they give.

torch.export records what a module does, on samples whose number is left open; torch.fx writes its graph as a function
(Reed et al. 2022, arXiv:2112.08429).
"""

from __future__ import annotations

import re
from textwrap import indent
from types import ModuleType
from typing import cast

import torch
from torch import nn
from torch.fx import Node
from torch.fx.graph import CodeGen, Graph

from bench.games.networks.modules import Recorded

SEVERAL = 4  # samples to record on
CHECKS = ("_guards_fn", torch.ops.aten._assert_tensor_metadata.default)
"""Operations of a graph that only check what it is given, and on which device."""


def source(module: Recorded, name: str) -> tuple[str, set[str]]:
    """The text of a class of that name, with the module's parameters, empty; and the lines that import what it uses."""
    code = graph(module).python_code("self")
    lines = ["def __init__(self):", "    super().__init__()"]
    lines += [f"    self.{child} = {_holder(part)}" for child, part in module.named_children()]
    text = indent("\n".join([*lines, "", code.src.strip()]), "    ")
    taken = ", ".join(["N", *map(str, module.entry)])
    what = f'    """Of samples [{taken}]: operations as torch.export recorded them."""'
    used = {_import(one, value) for one, value in code.globals.items() if re.search(rf"(?<![.\w]){one}\b", text)}
    return f"class {name}(nn.Module):\n{what}\n\n{text}", used


def graph(module: Recorded) -> Graph:
    """What a module does to samples, however many, as a graph of torch's operations; raises where it cannot be one."""
    samples = torch.zeros(SEVERAL, *module.entry, dtype=module.dtype)
    many = torch.export.Dim("many", min=2)
    recorded = torch.export.export(module, (samples,), dynamic_shapes={"samples": {0: many}}, strict=False)
    made: Graph = recorded.module().graph
    for node in [node for node in made.nodes if node.target in CHECKS]:
        made.erase_node(node)
    known = {name for name, _ in module.named_parameters()}
    if others := {node.target for node in made.nodes if node.op == "get_attr"} - known:
        raise ValueError(f"its operations use {others} beside its parameters")
    out = made.output_node()
    out.args = cast("tuple[Node]", out.args[0])  # one tensor, as the module gives it
    made.eliminate_dead_code()
    made.set_codegen(CodeGen())
    return made


def _import(name: str, value: object) -> str:
    if isinstance(value, ModuleType):
        return f"import {name}" if name == value.__name__ else f"import {value.__name__} as {name}"
    return f"from torch import {name}"  # a device, or a number that is none


def _holder(part: nn.Module) -> str:
    """The Python that makes a list of empty parameters, or such lists by name."""
    if isinstance(part, nn.ParameterList):
        rows = [f"torch.empty({', '.join(map(str, own.shape))})" for own in part]
        return f"nn.ParameterList([{', '.join(rows)}])"
    rows = [f"{name!r}: {_holder(own)},\n" for name, own in part.named_children()]
    return "nn.ModuleDict({\n" + indent("".join(rows), "        ") + "    })"
