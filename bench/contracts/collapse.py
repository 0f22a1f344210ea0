"""Collapse, as a game declares it: a metric beyond a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Collapse:
    """What a game calls collapse: a metric beyond a threshold. Exactly one of `below` and `above` is finite.

    Args:
        metric: its name.
        below: collapsed where the metric is strictly below it.
        above: collapsed where the metric is strictly above it.
    """

    metric: str
    below: float = -math.inf
    above: float = math.inf

    def __post_init__(self) -> None:
        if math.isfinite(self.below) == math.isfinite(self.above):
            raise ValueError(f"collapse: found below {self.below}, above {self.above}; allowed: exactly one is finite")

    def beyond(self, values: ArrayLike) -> NDArray[np.bool_]:
        """Whether values [...] are beyond the threshold; NaN, being no number, is."""
        x = np.asarray(values, dtype=np.float64)
        return np.asarray((x < self.below) | (x > self.above) | np.isnan(x))


def of_modes(modes: int) -> Collapse:
    """For mixtures: fewer than half of the modes have a quarter of their share of the samples within 3 sd."""
    return Collapse("modes_strict", below=modes / 2)


def of_classes(classes: int) -> Collapse:
    """For images with classes: at least half of the classes have less than a tenth of their share of the samples.

    It needs some 10 samples a class: with N samples of K classes, exp(-N / K) of them are missing by chance alone.
    """
    return Collapse("classes_missing", above=math.ceil(classes / 2) - 0.5)
