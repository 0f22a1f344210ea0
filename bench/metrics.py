"""What is measured of a replica: each metric is a function (game, w [R, n], oracle) -> [R] on all replicas at once.

A metric is decorated with the class of game it is for, which way is better, and the worst value, which a failed replica
counts as. It is judged on an oracle and samples of its own, that training never sees.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.contracts import Game, Solvable
from bench.distances import ModeStatistics, class_statistics, debiased_frechet, mode_statistics, sliced_wasserstein
from bench.features import load
from bench.gan import GAN, Images, Mixture
from bench.oracle import Oracle
from bench.registry import metric


def _length(vectors: Tensor) -> Tensor:
    """[R, n] -> [R]."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths


# --- any game --------------------------------------------------------------------------------------------------------


@metric("field_norm")
def field_norm(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """||F(w)||: the length of all players' gradients; 0 at an equilibrium."""
    return _length(F(w))


@metric("generator_grad_norm", better="")
def generator_grad_norm(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """||grad_theta L_G||: vanishes where the discriminator has won (Arjovsky and Bottou 2017, arXiv:1701.04862)."""
    return _length(F(w)[:, F.blocks[0]])


@metric("generator_loss", better="")
def generator_loss(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """L_G on a minibatch that training never sees."""
    return F.losses(w)[0]


@metric("discriminator_loss", better="")
def discriminator_loss(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """L_D on a minibatch that training never sees."""
    return F.losses(w)[1]


@metric("distance", on=Solvable)
def distance(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """||w - w*||: the distance to the solution."""
    assert isinstance(game, Solvable)
    return _length(w - game.solution().to(w))


# --- mixtures in the plane -------------------------------------------------------------------------------------------


def _samples(game: GAN, w: Tensor, F: Oracle) -> Tensor:
    return F.samples(w, game.judged)


def _modes(game: Mixture, w: Tensor, F: Oracle) -> ModeStatistics:
    return F.once(w, "modes", lambda: mode_statistics(_samples(game, w, F), game.modes.to(w.device), game.sd))


@metric("sliced_wasserstein", on=Mixture)
def sliced_wasserstein_2(game: Mixture, w: Tensor, F: Oracle) -> Tensor:
    """Sliced Wasserstein-2 distance of 2,500 samples to 2,500 points of the mixture (Bonneel et al. 2015)."""
    data = game.data(torch.tensor([0]), "judged", 0, game.judged, 1)[0].T
    return sliced_wasserstein(_samples(game, w, F), data.to(w), projections=16)


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


# --- images ----------------------------------------------------------------------------------------------------------


def _embedded(game: Images, w: Tensor, F: Oracle) -> tuple[Tensor, Tensor]:
    """Features and logits of the samples by the shipped classifier, [R, N, d] and [R, N, classes]."""
    return F.once(w, "embedded", lambda: load(game.classifier).embed(_samples(game, w, F)))


@metric("fd_digits", on=Images)
def fd_digits(game: Images, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance on features of a small classifier, debiased; a proxy of FID, never to be called FID."""
    return debiased_frechet(_embedded(game, w, F)[0], load(game.classifier).reference)


@metric("class_entropy", on=Images, better="higher", worst=0.0, unit="nats")
def class_entropy(game: Images, w: Tensor, F: Oracle) -> Tensor:
    """Entropy of the classes that the classifier sees in the samples; log 10 = 2.303 where all are equally frequent."""
    logits = _embedded(game, w, F)[1]
    return class_statistics(logits, logits.shape[-1]).entropy


@metric("classes_missing", on=Images, worst=math.inf)
def classes_missing(game: Images, w: Tensor, F: Oracle) -> Tensor:
    """Classes with less than a tenth of their fair share of the samples."""
    logits = _embedded(game, w, F)[1]
    return class_statistics(logits, logits.shape[-1]).missing
