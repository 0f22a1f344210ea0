"""Metrics of games on points: distance to the data, modes of a mixture."""

from __future__ import annotations

from torch import Tensor

from bench.contracts import HeldOut, Oracle
from bench.games.harness.images import Images
from bench.games.harness.points import Mixture
from bench.games.harness.user_data import wasserstein
from bench.numerics.distances import ModeStatistics, mode_statistics
from bench.registry import metric


def _modes(game: Mixture, w: Tensor, F: Oracle) -> ModeStatistics:
    return F.cached(w, "modes", lambda: mode_statistics(F.samples(w, game.judged), game.modes.to(w.device), game.sd))


@metric("mode_error", on=Mixture)
def mode_error(game: Mixture, w: Tensor, F: Oracle) -> Tensor:
    """Total variation between where the samples are, in which mode or beyond 3 sd of all, and where perfect ones are.

    0 where every mode has its share; a missing mode adds its share, and so do samples of no mode.
    """
    return _modes(game, w, F).error


@metric("sliced_wasserstein", on=HeldOut, where=lambda game: not isinstance(game, Images))
def sliced_wasserstein_2(game: HeldOut, w: Tensor, F: Oracle) -> Tensor:
    """Sliced Wasserstein-2 distance of samples to real ones that training never sees (Bonneel et al. 2015)."""
    return wasserstein(F.samples(w, game.judged), game.held_out(game.judged), game.units)


@metric("modes", on=Mixture, better="higher", worst=0.0)
def modes(game: Mixture, w: Tensor, F: Oracle) -> Tensor:
    """Modes captured: by at least one sample strictly within 3 sd (VEEGAN, arXiv:1705.07761)."""
    return _modes(game, w, F).captured


@metric("modes_strict", on=Mixture, better="higher", worst=0.0)
def modes_strict(game: Mixture, w: Tensor, F: Oracle) -> Tensor:
    """Modes captured by at least a quarter of their fair share of samples within 3 sd."""
    return _modes(game, w, F).captured_strict


@metric("high_quality", on=Mixture, better="higher", worst=0.0)
def high_quality(game: Mixture, w: Tensor, F: Oracle) -> Tensor:
    """Share of samples strictly within 3 sd of a mode; a perfect sampler has 0.9889."""
    return _modes(game, w, F).high_quality


@metric("mode_kl", on=Mixture, unit="nats")
def mode_kl(game: Mixture, w: Tensor, F: Oracle) -> Tensor:
    """KL(histogram of high-quality samples over modes || uniform); log K where there is none."""
    return _modes(game, w, F).reverse_kl
