"""Metrics of pictures by what they need rather than by data set: parts of samples that a shipped classifier knows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.contracts import Oracle
from bench.games.data.classifiers import load
from bench.games.harness.compared import Compared, Part
from bench.games.harness.images import DigitsImages, FashionImages, MnistImages
from bench.games.tinted_digits import TintedDigits
from bench.numerics.distances import debiased_frechet
from bench.registry import metric

Embedded = list[tuple[Part, Tensor, Tensor]]
"""Each part with its features [R, count, d] and logits [R, count, classes]."""


def _embedded(game: Compared, w: Tensor, F: Oracle) -> Embedded:
    def embed() -> Embedded:
        parts = game.compared_parts(F.named_samples(w, game.judged))
        return [(part, *load(part.classifier).embed(part.images)) for part in parts]

    return F.cached(w, "parts", embed)


def _has_no_other(game: Any) -> bool:
    """Older games have the same under a name of their data set's, which stands in the records that there are."""
    return not isinstance(game, (DigitsImages, MnistImages, FashionImages))


def _tells(game: Any) -> bool:
    return bool(getattr(game, "tells", True))


@metric("frechet", on=Compared, best=0.0, where=_has_no_other)
def frechet(game: Compared, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance on features of a small classifier, debiased, of the worst part; a proxy of FID, never FID."""
    distances = [
        debiased_frechet(features, part.reference or load(part.classifier).reference)
        for part, features, _ in _embedded(game, w, F)
    ]
    return torch.stack(distances).amax(0)


@metric("told_class", on=Compared, better="higher", worst=0.0, best=1.0, where=_tells)
def told_class(game: Compared, w: Tensor, F: Oracle) -> Tensor:
    """Share of the samples that the classifier gives the class they were told; of real images it gives about 0.98."""
    shares = [
        (logits.argmax(2).cpu() == part.told).double().mean(1)
        for part, _, logits in _embedded(game, w, F)
        if part.told is not None
    ]
    return torch.stack(shares).mean(0)


@metric("colour_law", on=TintedDigits, better="higher", worst=0.0, best=1.0)
def colour_law(game: TintedDigits, w: Tensor, F: Oracle) -> Tensor:
    """Share of the samples in the tint of the class that the classifier sees; by chance about a tenth."""
    ((_, _, logits),) = _embedded(game, w, F)
    return (logits.argmax(2) == game.tint_of(F.samples(w, game.judged))).double().mean(1)
