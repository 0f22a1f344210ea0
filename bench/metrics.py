"""What is measured of a replica: each metric is a function (game, w [R, n], oracle) -> [R] on all replicas at once.

A metric is decorated with the class of game it is for, which way is better, and the worst value, which a failed replica
counts as. It is judged on an oracle and samples of its own, that training never sees.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from bench.contracts import Game, Solvable
from bench.distances import (
    PRDC,
    Gaussian,
    ModeStatistics,
    class_statistics,
    debiased_frechet,
    gaussian,
    kernel_distance,
    mode_statistics,
    prdc,
    sliced_wasserstein,
)
from bench.features import load
from bench.gan import GAN, Images, Mixture, Points
from bench.images import (
    CifarImages,
    Classified,
    DigitsImages,
    FashionImages,
    MnistImages,
    StackedMnistImages,
    stacked_modes,
)
from bench.oracle import Judge, Oracle
from bench.registry import get_metric, metric
from bench.spectrum import PRODUCTS, Extremes, extremes, ritz
from bench.stability import averaging_gain as gain
from bench.stability import field_cosine, relative_generator_gradient

COMPARED = 1000  # real images that samples are compared with one by one
PROJECTED = 5000  # real images whose principal directions are taken
COMPONENTS = 64
ROOM = 4e8  # numbers that the basis of a Krylov space may hold, over all replicas: 1.6 GB


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


@metric("relative_generator_gradient", better="")
def relative_gradient(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """||grad_theta L_G|| / ||grad_phi L_D||: towards 0 where the generator's gradient vanishes."""
    return relative_generator_gradient(F(w), F.blocks)


@metric("field_cosine", better="")
def cosine_of_fields(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """Cosine between the field here and a step ago: 1 on a straight way, below 0 where steps turn back."""
    before = F.before if isinstance(F, Judge) and F.before is not None else w
    field = F(w)
    return field_cosine(Judge(F.game, F.seeds, F.draw)(before), field)


@metric("averaging_gain", better="", at_end=True)
def averaging_gain(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """By how much the average of all judged iterates beats the last one on the game's own score; above 0 it does."""
    mean = F.mean if isinstance(F, Judge) and F.mean is not None else w
    score = get_metric(game.score)
    return gain(score(game, w, F), score(game, mean, Judge(F.game, F.seeds, F.draw)), score.better)


def _spectrum(w: Tensor, F: Oracle) -> Extremes:
    """Of the game's Jacobian by Arnoldi; NaN where its vectors would not fit into memory."""
    if w.numel() * PRODUCTS > ROOM:
        nothing = torch.full((len(w),), math.nan, dtype=torch.float64)
        return Extremes(nothing, nothing)
    return F.once(w, "spectrum", lambda: extremes(ritz(F.linear(w)[1], w)))


@metric("jacobian_min_real", better="", at_end=True)
def jacobian_min_real(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """Least real part of the game Jacobian's eigenvalues (Arnoldi): below 0 the point repels the flow."""
    return _spectrum(w, F).min_real


@metric("jacobian_max_imag", better="", at_end=True)
def jacobian_max_imag(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """Largest imaginary part of the game Jacobian's eigenvalues (Arnoldi): how fast the game turns there."""
    return _spectrum(w, F).max_imag


@metric("distance", on=Solvable)
def distance(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """||w - w*||: the distance to the solution."""
    assert isinstance(game, Solvable)
    return _length(w - game.solution().to(w))


# --- points ----------------------------------------------------------------------------------------------------------


def _samples(game: GAN, w: Tensor, F: Oracle) -> Tensor:
    return F.samples(w, game.judged)


def _modes(game: Mixture, w: Tensor, F: Oracle) -> ModeStatistics:
    return F.once(w, "modes", lambda: mode_statistics(_samples(game, w, F), game.modes.to(w.device), game.sd))


@metric("sliced_wasserstein", on=Points)
def sliced_wasserstein_2(game: Points, w: Tensor, F: Oracle) -> Tensor:
    """Sliced Wasserstein-2 distance of 2,500 samples to 2,500 points of the data (Bonneel et al. 2015)."""
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


def _embedded(game: Classified, w: Tensor, F: Oracle) -> tuple[Tensor, Tensor]:
    """Features and logits of the samples by the shipped classifier, [R, N, d] and [R, N, classes]."""
    return F.once(w, "embedded", lambda: load(game.classifier).embed(_samples(game, w, F)))


def _frechet_proxy(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance on features of a small classifier, debiased; a proxy of FID, never to be called FID."""
    return debiased_frechet(_embedded(game, w, F)[0], load(game.classifier).reference)


@metric("fd_digits", on=DigitsImages)
def fd_digits(game: DigitsImages, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance on features of a small classifier, debiased; a proxy of FID, never to be called FID."""
    return _frechet_proxy(game, w, F)


@metric("fd_mnist", on=MnistImages)
def fd_mnist(game: MnistImages, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance on features of a small classifier of MNIST, debiased; a proxy of FID, never to be called FID."""
    return _frechet_proxy(game, w, F)


@metric("fd_fashion", on=FashionImages)
def fd_fashion(game: FashionImages, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance on features of a small classifier of Fashion-MNIST, debiased; a proxy of FID, never FID."""
    return _frechet_proxy(game, w, F)


@metric("class_entropy", on=Classified, better="higher", worst=0.0, unit="nats")
def class_entropy(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Entropy of the classes that the classifier sees in the samples; log 10 = 2.303 where all are equally frequent."""
    logits = _embedded(game, w, F)[1]
    return class_statistics(logits, logits.shape[-1]).entropy


@metric("class_tv", on=Classified, worst=1.0)
def class_tv(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Total variation between the samples' classes and equally frequent ones."""
    logits = _embedded(game, w, F)[1]
    return class_statistics(logits, logits.shape[-1]).total_variation


@metric("classes_missing", on=Classified, worst=math.inf)
def classes_missing(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Classes with less than a tenth of their fair share of the samples."""
    logits = _embedded(game, w, F)[1]
    return class_statistics(logits, logits.shape[-1]).missing


@metric("kid", on=Classified, at_end=True)
def kid(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Kernel distance on the classifier's features, unbiased (Binkowski et al. 2018, arXiv:1801.01401)."""
    return kernel_distance(_embedded(game, w, F)[0], _real_features(game))


@metric("pca_frechet", on=Images, at_end=True)
def pca_frechet(game: Images, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance of the pixels on the data's first 64 principal components, debiased: no classifier in it."""
    basis, reference = _principal(game)
    return debiased_frechet(_samples(game, w, F) @ basis.to(w), reference)


def _prdc(game: Classified, w: Tensor, F: Oracle) -> PRDC:
    """Of as many samples as there are real images to compare with."""
    real = _real_features(game)
    return F.once(w, "prdc", lambda: prdc(real, _embedded(game, w, F)[0][:, : len(real)]))


@metric("precision", on=Classified, better="higher", worst=0.0, at_end=True)
def precision(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Share of samples near a real image (Kynkaanniemi et al. 2019, arXiv:1904.06991)."""
    return _prdc(game, w, F).precision


@metric("recall", on=Classified, better="higher", worst=0.0, at_end=True)
def recall(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Share of real images near a sample (Kynkaanniemi et al. 2019, arXiv:1904.06991)."""
    return _prdc(game, w, F).recall


@metric("density", on=Classified, better="higher", worst=0.0, at_end=True)
def density(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """How densely real images stand around samples; 1 where they agree (Naeem et al. 2020, arXiv:2002.09797)."""
    return _prdc(game, w, F).density


@metric("coverage", on=Classified, better="higher", worst=0.0, at_end=True)
def coverage(game: Classified, w: Tensor, F: Oracle) -> Tensor:
    """Share of real images that have a sample nearer than their fifth neighbour (Naeem et al. 2020)."""
    return _prdc(game, w, F).coverage


@metric("pixel_wasserstein", on=CifarImages)
def pixel_wasserstein(game: CifarImages, w: Tensor, F: Oracle) -> Tensor:
    """Sliced Wasserstein-2 distance of the pixels of 1,000 samples to 1,000 real images (Bonneel et al. 2015)."""
    return sliced_wasserstein(_samples(game, w, F)[:, :COMPARED], _real_pixels(game).to(w), projections=64)


@metric("stacked_modes", on=StackedMnistImages, better="higher", worst=0.0)
def stacked(game: StackedMnistImages, w: Tensor, F: Oracle) -> Tensor:
    """Of the 1,000 modes of Stacked MNIST those that a sample is of (Metz et al. 2017, arXiv:1611.02163)."""
    return F.once(w, "stacked", lambda: stacked_modes(_samples(game, w, F))).captured


@metric("stacked_kl", on=StackedMnistImages, unit="nats", worst=math.log(1000))
def stacked_kl(game: StackedMnistImages, w: Tensor, F: Oracle) -> Tensor:
    """KL(histogram of the samples over the 1,000 modes || uniform)."""
    return F.once(w, "stacked", lambda: stacked_modes(_samples(game, w, F))).reverse_kl


# Of the real images, once a process: games are frozen, and equal ones share what is found.


def _real_pixels(game: Images) -> Tensor:
    """Real images that training need not see, [COMPARED, pixels]."""
    return _real(game, COMPARED)


@cache
def _real(game: Images, count: int) -> Tensor:
    return game.held_out(count)


@cache
def _real_features(game: Classified) -> Tensor:
    return load(game.classifier).embed(_real_pixels(game)[None])[0][0]


@cache
def _principal(game: Images) -> tuple[Tensor, Gaussian]:
    """The first principal directions of real pixels, [pixels, <= 64], and the Gaussian of the data on them."""
    pixels = _real(game, PROJECTED).double()
    _, _, directions = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    basis = directions[:COMPONENTS].T.contiguous()
    return basis, gaussian(pixels @ basis)
