"""The kinds of hyperparameter: each has a range, a scale and so a search space.

A rule declares a hyperparameter once, as an annotated field: ``lr: StepSize = 0.1``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Hyperparameter:
    """A kind of hyperparameter: its range, its scale, and so its search space.

    ``low``, ``high`` bound the search, not the value; ``log`` says on which scale it is searched; ``least`` and
    ``most`` bound the value itself. ``step_size`` marks what the default tuning track tunes: its range is multiplied by
    the ``scale`` of the rule's direction, for a normalised step of 1 is far longer than a gradient's.
    """

    kind: str
    low: float
    high: float
    log: bool = False
    least: float = -float("inf")
    most: float = float("inf")
    step_size: bool = False


Value = float | Tensor
"""A number as it is declared; in a stack [R, 1] (every replica its own) or [R, n] (players differ).

Rule code never branches on which.
"""

StepSize = Annotated[Value, Hyperparameter("step size", 1e-3, 10.0, log=True, least=0.0, step_size=True)]
"""The kind of a field that holds a step size: at least 0, searched on a log scale from 0.001 to 10.

Tuning tunes fields of this kind by default. The range is multiplied by the ``scale`` of the rule's direction.
"""
Decay = Annotated[Value, Hyperparameter("decay", 0.0, 0.999, least=0.0, most=1.0)]
Momentum = Annotated[Value, Hyperparameter("momentum", -0.9, 0.9, least=-1.0, most=1.0)]
Coefficient = Annotated[Value, Hyperparameter("coefficient", 1e-3, 10.0, log=True)]
Epsilon = Annotated[Value, Hyperparameter("epsilon", 1e-10, 1e-4, log=True, least=0.0)]
Fraction = Annotated[Value, Hyperparameter("fraction", 0.0, 1.0, least=0.0, most=1.0)]
Count = Annotated[int, Hyperparameter("count", 1, 10, least=0)]


@dataclass(frozen=True)
class Options:
    """The value of a field that takes every key that nothing else knows, to hand it on to code from elsewhere."""

    items: tuple[tuple[str, Any], ...] = ()


def later(default: T) -> T:
    """The default of a setting that a published rule or game got later, with which it is what it was before.

    Its complete spelling, and so the identity of its trainings, names the setting only where it differs from this.
    """
    made: T = field(default=default, metadata={"later": True})
    return made
