"""Metrics of short films, all of which are known: they are exact."""

from __future__ import annotations

from torch import Tensor

from bench.contracts import Oracle
from bench.games.clips import Clips
from bench.registry import metric


def _shares(game: Clips, w: Tensor, F: Oracle) -> Tensor:
    return F.cached(w, "clips", lambda: game.counted(F.samples(w, game.judged)))


@metric("clip_tv", on=Clips, worst=1.0, best=0.0)
def clip_tv(game: Clips, w: Tensor, F: Oracle) -> Tensor:
    """Total variation between how often each start and velocity came and how often it should, other samples as one."""
    shares = _shares(game, w, F)
    return ((shares - 1 / shares.shape[1]).abs().sum(1) + 1 - shares.sum(1)) / 2


@metric("valid_clips", on=Clips, better="higher", worst=0.0, best=1.0)
def valid_clips(game: Clips, w: Tensor, F: Oracle) -> Tensor:
    """Share of the samples that are a dot that moves straight on."""
    return _shares(game, w, F).sum(1)
