"""Metrics of a user's own GAN (`bench.gan_game`), in the coordinates in which distances of its data mean something."""

from __future__ import annotations

from torch import Tensor

from bench.contracts import Oracle
from bench.games.harness.modules import COVERED, ImageGAN, ModuleGAN
from bench.numerics.distances import PRDC, prdc
from bench.registry import metric


@metric("fd_pixels", on=ImageGAN)
def fd_pixels(game: ImageGAN, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance, debiased, to held-out images on their principal components and the length of the rest."""
    return game.distance(F.samples(w, game.judged))


@metric("data_coverage", on=ModuleGAN, better="higher", worst=0.0, where=lambda game: game.covered)
def data_coverage(game: ModuleGAN, w: Tensor, F: Oracle) -> Tensor:
    """Share of up to 500 real samples with a generated one nearer than their fifth neighbour (Naeem et al. 2020)."""
    return _near(game, w, F).coverage


@metric("data_precision", on=ModuleGAN, better="higher", worst=0.0, where=lambda game: game.covered)
def data_precision(game: ModuleGAN, w: Tensor, F: Oracle) -> Tensor:
    """Share of samples near one of up to 500 real ones (Kynkaanniemi et al. 2019, arXiv:1904.06991)."""
    return _near(game, w, F).precision


def _near(game: ModuleGAN, w: Tensor, F: Oracle) -> PRDC:
    """Of as many samples as there are real ones to compare with, in the game's own coordinates."""
    real = game.represented(game.held_out(COVERED)).to(w.device)

    def compare() -> PRDC:
        return prdc(real, game.represented(F.samples(w, game.judged)[:, : len(real)]))

    return F.cached(w, "near", compare)
