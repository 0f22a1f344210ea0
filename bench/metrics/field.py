"""Metrics of any game: its field, its losses, its Jacobian, how steadily it is played."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.contracts import Game, Oracle, Solvable
from bench.metrics.evaluation import Evaluator
from bench.metrics.stability import averaging_gain as gain
from bench.metrics.stability import field_cosine, relative_generator_gradient
from bench.numerics.spectrum import PRODUCTS, Extremes, extremes, ritz
from bench.registry import get_metric, metric

ROOM = 4e8  # numbers that the basis of a Krylov space may hold, over all replicas: 1.6 GB


def _length(vectors: Tensor) -> Tensor:
    """[R, n] -> [R]."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths


def _another(F: Oracle) -> Evaluator:
    """An oracle on the same minibatch, for another point."""
    return F.anew() if isinstance(F, Evaluator) else Evaluator(F.game, F.seeds, F.draw)


def _of_two(game: Game) -> bool:
    return game.players == 2


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


@metric("discriminator_loss", better="", where=_of_two)
def discriminator_loss(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """L_D on a minibatch that training never sees."""
    return F.losses(w)[1]


@metric("relative_generator_gradient", better="", where=_of_two)
def relative_gradient(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """||grad_theta L_G|| / ||grad_phi L_D||: towards 0 where the generator's gradient vanishes."""
    return relative_generator_gradient(F(w), F.blocks)


@metric("field_cosine", better="")
def cosine_of_fields(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """Cosine between the field here and a step ago: 1 on a straight way, below 0 where steps turn back."""
    before = F.before if isinstance(F, Evaluator) and F.before is not None else w
    field = F(w)
    return field_cosine(_another(F)(before), field)


@metric("averaging_gain", better="", at_end=True)
def averaging_gain(game: Game, w: Tensor, F: Oracle) -> Tensor:
    """By how much the average of all judged iterates beats the last one on the game's own score; above 0 it does."""
    judge = _another(F)
    mean = F.mean if isinstance(F, Evaluator) and F.mean is not None else w
    score = get_metric(game.score)
    return gain(score(game, w, F), score(game, mean, judge), score.better)


def _spectrum(w: Tensor, F: Oracle) -> Extremes:
    """Of the game's Jacobian by Arnoldi; NaN where its vectors would not fit into memory."""
    if w.numel() * PRODUCTS > ROOM:
        nothing = torch.full((len(w),), math.nan, dtype=torch.float64)
        return Extremes(nothing, nothing)
    return extremes(F.cached(w, "ritz", lambda: ritz(F.linear(w)[1], w)))


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
