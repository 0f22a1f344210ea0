"""What the analysis needs of a study: what was compared, and the descriptions of its games and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.registry.description import GameDescription, MetricDescription


class ComparedStudy(Protocol):
    """A study as the analysis sees it; `bench.Study` is one."""

    @property
    def optimizers(self) -> Sequence[str]:
        """Update rules as spelled, in the order of tables."""
        ...

    @property
    def games(self) -> Sequence[str]:
        """Games as spelled, in the order of tables."""
        ...

    def game(self, label: str) -> GameDescription:
        """The description of a game."""
        ...

    def metric(self, name: str) -> MetricDescription:
        """The description of a metric."""
        ...

    def primary(self, game: str) -> MetricDescription:
        """A game's primary metric."""
        ...

    def cost_of(self, game: str) -> float:
        """The cost of one replica on a game, in gradient evaluations."""
        ...
