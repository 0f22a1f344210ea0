"""Where networks start: as torch's layers do, or with normal or orthogonal weights and biases at 0.

Spelled ``torch``, ``normal[0.02]`` with the standard deviation (Radford et al. 2015, arXiv:1511.06434), or
``orthogonal[1.4]`` with the gain (Saxe, McClelland and Ganguli 2014, arXiv:1312.6120).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.contracts.game import Parameter
from bench.errors import UserError, nearest
from bench.registry.spelling import Spec, parse


class Start(NamedTuple):
    """Of weight matrices; both 0 for torch's own start."""

    sd: float = 0.0
    """Of normal weights."""
    gain: float = 0.0
    """Of orthogonal matrices: their singular values."""


TORCH = Start()
USUAL = {"torch": TORCH, "normal": Start(sd=0.02), "orthogonal": Start(gain=1.0)}


def start_of(spelled: str, where: str) -> Start:
    """The start that a spelling names; ``where`` begins an error's line."""
    asked = parse(spelled)
    if asked.name not in USUAL:
        raise UserError(f"{where} is {asked.name!r}; {nearest(asked.name, USUAL)}")
    usual = USUAL[asked.name]
    if not asked.keys:
        return usual
    value = asked.keys.get("")
    if not any(usual) or len(asked.keys) > 1 or not _positive(value):
        allowed = f"{asked.name}[a positive number]" if any(usual) else f"{asked.name} alone"
        raise UserError(f"{where} is {Spec(asked.name, asked.keys)}; {allowed} is allowed")
    return Start(*(float(value) if part else 0.0 for part in usual))  # type: ignore[arg-type]


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def orthogonal(drawn: Tensor, parameters: Iterable[Parameter], gain: float) -> Tensor:
    """Standard normal numbers [R, size] made the parameters' start: matrices of orthogonal rows or columns, zeros else.

    Q of the decomposition Q R with a positive diagonal of R, which is uniform among the orthogonal matrices (Mezzadri
    2007, arXiv:math-ph/0609050).
    """
    start = torch.zeros_like(drawn)
    for parameter in parameters:
        if len(parameter.shape) > 1:
            matrix = drawn[:, parameter.columns].view(len(drawn), parameter.shape[0], -1).double()
            wide = matrix.shape[1] < matrix.shape[2]
            q, r = torch.linalg.qr(matrix.transpose(1, 2) if wide else matrix)
            q = gain * q * r.diagonal(dim1=1, dim2=2).sign().unsqueeze(1)
            start[:, parameter.columns] = (q.transpose(1, 2) if wide else q).flatten(1).to(drawn)
    return start
