"""What metrics of pictures need of a game: the parts of its samples that a classifier knows, and their classes."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from bench.numerics.distances import Gaussian


class Part(NamedTuple):
    """Pictures among a game's samples.

    Args:
        images: [R, count, pixels] in [-1, 1], as the classifier knows them.
        classifier: the shipped classifier.
        told: the class that each should be of, int64 [count]; None where nothing was told.
        reference: the Gaussian of the features of real pictures; None for that of the classifier's data.
    """

    images: Tensor
    classifier: str
    told: Tensor | None = None
    reference: Gaussian | None = None


@runtime_checkable
class Compared(Protocol):
    """A game whose samples a shipped classifier can judge, in one part or several: both ways of a translation."""

    judged: int
    """Samples that are compared."""

    def compared_parts(self, samples: dict[str, Tensor]) -> list[Part]:
        """The parts of named samples [R, count, ...]."""
        ...
