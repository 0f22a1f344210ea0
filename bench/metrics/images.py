"""Metrics of games on images, most of them on the features of a small shipped classifier."""

from __future__ import annotations

import math
from functools import cache

from torch import Tensor

from bench.contracts import Oracle
from bench.games.data.classifiers import load
from bench.games.harness.images import (
    PROJECTED,
    CifarImages,
    Classified,
    DigitsImages,
    FashionImages,
    Images,
    MnistImages,
    StackedMnistImages,
    stacked_modes,
)
from bench.numerics.distances import (
    PRDC,
    Gaussian,
    class_statistics,
    debiased_frechet,
    gaussian,
    kernel_distance,
    prdc,
    sliced_wasserstein,
)
from bench.numerics.support import pair_radius, support
from bench.registry import metric

COMPARED = 1000  # real images that samples are compared with one by one


def _embedded(game: Classified, w: Tensor, F: Oracle) -> tuple[Tensor, Tensor]:
    """Features and logits of the samples by the shipped classifier, [R, N, d] and [R, N, classes]."""
    return F.cached(w, "embedded", lambda: load(game.classifier).embed(F.samples(w, game.judged)))


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
    basis, reference = game.principal
    return debiased_frechet(F.samples(w, game.judged) @ basis.to(w), reference)


@metric("fd_features", on=Images, at_end=True, where=lambda game: game.features != "shipped")
def fd_features(game: Images, w: Tensor, F: Oracle) -> Tensor:
    """Frechet distance, debiased, on the features that the game is spelled with: FID's, with Inception's weights."""
    samples = F.samples(w, game.judged)
    images = samples.view(*samples.shape[:2], game.planes, *game.shape)
    return debiased_frechet(game.extractor.embed(images), _reference(game))


@metric("support", on=Images, better="higher", worst=0.0, at_end=True)
def birthday_support(game: Images, w: Tensor, F: Oracle) -> Tensor:
    """How many distinct images the generator makes by the near-duplicates among 1,000, where real ones count as 10,000.

    The birthday paradox (Arora and Zhang 2017, arXiv:1706.08224), on the data's first 64 principal components.
    """
    basis, _ = game.principal
    return support(F.samples(w, game.judged)[:, :COMPARED] @ basis.to(w), _duplicate_radius(game))


def _prdc(game: Classified, w: Tensor, F: Oracle) -> PRDC:
    """Of as many samples as there are real images to compare with."""
    real = _real_features(game)
    return F.cached(w, "prdc", lambda: prdc(real, _embedded(game, w, F)[0][:, : len(real)]))


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
    return sliced_wasserstein(F.samples(w, game.judged)[:, :COMPARED], _real_pixels(game).to(w), projections=64)


@metric("stacked_error", on=StackedMnistImages)
def stacked_error(game: StackedMnistImages, w: Tensor, F: Oracle) -> Tensor:
    """Total variation between the samples' histogram over the 1,000 modes of Stacked MNIST and a uniform one."""
    return F.cached(w, "stacked", lambda: stacked_modes(F.samples(w, game.judged))).error


@metric("stacked_modes", on=StackedMnistImages, better="higher", worst=0.0)
def stacked(game: StackedMnistImages, w: Tensor, F: Oracle) -> Tensor:
    """Of the 1,000 modes of Stacked MNIST those that a sample is of (Metz et al. 2017, arXiv:1611.02163)."""
    return F.cached(w, "stacked", lambda: stacked_modes(F.samples(w, game.judged))).captured


@metric("stacked_kl", on=StackedMnistImages, unit="nats", worst=math.log(1000))
def stacked_kl(game: StackedMnistImages, w: Tensor, F: Oracle) -> Tensor:
    """KL(histogram of the samples over the 1,000 modes || uniform)."""
    return F.cached(w, "stacked", lambda: stacked_modes(F.samples(w, game.judged))).reverse_kl


# Cached statistics of the real images, once a process: games are frozen, and equal games share them.


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
def _reference(game: Images) -> Gaussian:
    """Of the features of real images that the game is spelled with."""
    images = _real(game, PROJECTED)
    return gaussian(game.extractor.embed(images.view(1, -1, game.planes, *game.shape))[0])


@cache
def _duplicate_radius(game: Images) -> float:
    """Within which one in 10,000 pairs of real images lie."""
    return pair_radius(_real(game, COMPARED).double() @ game.principal[0], share=1e-4)
