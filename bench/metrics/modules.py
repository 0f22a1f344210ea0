"""Metrics of games on a user's data (`bench.gan_game`, `folder`), in the coordinates of their distances."""

from __future__ import annotations

from torch import Tensor

from bench.contracts import Oracle
from bench.games.harness.user_data import COVERED, UserData, UserImages
from bench.numerics.distances import PRDC, prdc
from bench.registry import metric


@metric("fd_pixels", on=UserImages)
def fd_pixels(game: UserImages, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance, debiased, to held-out images on their principal components and the length of the rest."""
    return game.distance(F.samples(w, game.judged))


@metric("data_coverage", on=UserData, better="higher", worst=0.0, where=lambda game: game.covered)
def data_coverage(game: UserData, w: Tensor, F: Oracle) -> Tensor:
    """Share of up to 500 real samples with a generated one nearer than their fifth neighbour (Naeem et al. 2020)."""
    return _near(game, w, F).coverage


@metric("data_precision", on=UserData, better="higher", worst=0.0, where=lambda game: game.covered)
def data_precision(game: UserData, w: Tensor, F: Oracle) -> Tensor:
    """Share of samples near one of up to 500 real ones (Kynkaanniemi et al. 2019, arXiv:1904.06991)."""
    return _near(game, w, F).precision


def _near(game: UserData, w: Tensor, F: Oracle) -> PRDC:
    """Of as many samples as there are real ones to compare with, in the game's own coordinates."""
    real = game.represented(game.held_out(COVERED)).to(w.device)

    def compare() -> PRDC:
        return prdc(real, game.represented(F.samples(w, game.judged)[:, : len(real)]))

    return F.cached(w, "near", compare)
