"""Metrics of games that translate pictures: errors to the truth, which training does or does not see."""

from __future__ import annotations

from torch import Tensor

from bench.contracts import Oracle
from bench.contracts.game import FROM, MADE, TRUE
from bench.games.harness.picture_sets import to_grid, to_rows
from bench.games.paired_translation import PairedTranslation
from bench.games.translation import BACK, Translation
from bench.registry import metric


def _error(samples: dict[str, Tensor], made: str, true: str) -> Tensor:
    """Mean absolute difference, [R]."""
    return (samples[made] - samples[true]).abs().double().mean((1, 2))


@metric("translation_error", on=Translation, worst=2.0, best=0.0)
def translation_error(game: Translation, w: Tensor, F: Oracle) -> Tensor:
    """Mean absolute difference of held-out translations, both ways, to the partners that training never sees."""
    samples = F.named_samples(w, game.judged)
    return (_error(samples, MADE, TRUE) + _error(samples, BACK, FROM)) / 2


@metric("cycle_error", on=Translation, worst=2.0, best=0.0)
def cycle_error(game: Translation, w: Tensor, F: Oracle) -> Tensor:
    """Mean absolute difference of a held-out picture to itself, there and back; blind to where it was in between."""
    samples = F.named_samples(w, game.judged)
    there = to_grid(samples[MADE], game.pictures.side).contiguous()
    back = to_rows(game.translated(w[:, : game.sizes[0]], there, 1))
    return (back - samples[FROM]).abs().double().mean((1, 2))


@metric("translation_l1", on=PairedTranslation, worst=2.0, best=0.0)
def translation_l1(game: PairedTranslation, w: Tensor, F: Oracle) -> Tensor:
    """Mean absolute difference of held-out translations to the truth."""
    return _error(F.named_samples(w, game.judged), MADE, TRUE)
