"""What the analysis asks of a study: what was compared, and what its games and metrics said of themselves."""

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
        """What a game says of itself."""
        ...

    def metric(self, name: str) -> MetricDescription:
        """What a metric says of itself."""
        ...

    def primary(self, game: str) -> MetricDescription:
        """The metric that a game is judged by."""
        ...
