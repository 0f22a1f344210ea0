"""Metrics of games whose discriminator classifies."""

from __future__ import annotations

from torch import Tensor

from bench.contracts import Oracle
from bench.games.semi_supervised import ANSWERS, SemiSupervised
from bench.registry import metric


@metric("label_accuracy", on=SemiSupervised, better="higher", worst=0.0, best=1.0)
def label_accuracy(game: SemiSupervised, w: Tensor, F: Oracle) -> Tensor:
    """Share of held-out pictures whose class player 1 tells."""
    answers = F.named_samples(w, game.judged)[ANSWERS].cpu()
    return (answers == game.held_out_pictures(game.judged)[1]).double().mean(1)
