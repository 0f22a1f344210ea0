"""The spectrum of a game's Jacobian J at a point, by products J v alone: Arnoldi's method, all replicas at once.

Arnoldi 1951; modified Gram-Schmidt, twice over (Giraud, Langou and Rozloznik 2005: twice is enough). The Ritz values
are the eigenvalues of the Hessenberg matrix H = Q'JQ on the Krylov space of a fixed start vector; the outermost
eigenvalues, which are those that decide stability, are found first (Saad 2011, chapter 6).

For descent on F, an equilibrium attracts where all eigenvalues have a positive real part; imaginary parts turn the
iterates around it and bound the step size (Mescheder et al. 2017, arXiv:1705.10461; Gidel et al. 2019,
arXiv:1807.04740; Berard et al. 2020, arXiv:1906.04848, who look at the same spectrum).

Which games it is for: m products cost 2 m gradient evaluations and the basis m R n numbers of memory, so up to some
10^5 parameters at m = 32 (64 replicas of 10^5 parameters: 0.8 GB). With m = n (up to some hundred parameters) the
answer is the whole spectrum, exact to rounding. Between the two the extremes are estimates from inside: Ritz values of
a normal J lie in the convex hull of its eigenvalues, so `min_real` can be too high and `max_imag` too low; those of a
J far from normal may also lie outside. `residuals` say how far a value may be trusted. A smallest real part that is
small beside |J| converges last: that one should be read with its residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.numerics.krylov import dot

PRODUCTS = 32
"""Products that are taken where nothing else is said."""


class RitzValues(NamedTuple):
    """Ritz values theta complex[R, m] and how far they are from eigenvalues: ||J y - theta y||, ||y|| = 1, [R, m]."""

    values: Tensor
    residuals: Tensor

    def numbers(self) -> Tensor:
        """Real parts, imaginary parts and residuals, float64[R, m, 3]."""
        return torch.stack([self.values.real, self.values.imag, self.residuals], dim=2).to("cpu", torch.float64)


class Extremes(NamedTuple):
    """The smallest real part and the largest absolute imaginary part, each [R]; -inf and inf for a failed replica."""

    min_real: Tensor
    max_imag: Tensor


def ritz(push: Callable[[Tensor], Tensor], like: Tensor, products: int = PRODUCTS, seed: int = 0) -> RitzValues:
    """Ritz values of push(v) = J v, [R, n] -> [R, n], by min(products, n) products; `like` is w [R, n].

    Where the Krylov space is exhausted (J maps it into itself, so its Ritz values are eigenvalues) the basis goes on
    with a fresh vector orthogonal to it: with n products every eigenvalue is there, as often as it should be. A row
    that meets a non-finite number gets NaN throughout; the others are what they are without it.
    """
    steps = min(products, like.shape[1])
    hessenberg = torch.zeros(len(like), steps + 1, steps, dtype=torch.float64, device=like.device)
    basis = [_unit(_drawn(like, seed))]
    for j in range(steps):
        image = push(basis[j])
        length = dot(image, image).sqrt()
        image, parts = _orthogonal(image, basis)
        hessenberg[:, : j + 1, j] = parts
        rest = dot(image, image).sqrt()
        goes_on = rest > 100 * torch.finfo(like.dtype).eps * length
        sound = length.isfinite()  # an overflow would look like an exhausted space
        hessenberg[:, j + 1, j] = torch.where(sound, torch.where(goes_on, rest, 0), math.nan)[:, 0]
        if j + 1 < steps:
            basis.append(torch.where(goes_on, _unit(image), _fresh(goes_on, like, basis, seed + j + 1)))
    return _eigenvalues(hessenberg)


def extremes(ritz_values: RitzValues) -> Extremes:
    """The stability of Ritz values complex[R, m]: min real part, max |imaginary part|, each float64[R]."""
    real, imaginary = ritz_values.values.real, ritz_values.values.imag.abs()
    failed = ritz_values.values.isnan().any(dim=1)
    return Extremes(
        torch.where(failed, -math.inf, real.nan_to_num(nan=0.0).amin(dim=1)),
        torch.where(failed, math.inf, imaginary.nan_to_num(nan=0.0).amax(dim=1)),
    )


def _drawn(like: Tensor, seed: int) -> Tensor:
    """One normal vector [n] for all rows: [R, n]."""
    vector = torch.randn(like.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return vector.to(like).expand_as(like)


def _unit(vectors: Tensor) -> Tensor:
    """Rows of length 1, or of 0 where there is nothing to scale."""
    length = dot(vectors, vectors).sqrt()
    return vectors / torch.where(length == 0, 1, length)


def _orthogonal(vectors: Tensor, basis: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The part of vectors [R, n] orthogonal to the basis, and the coefficients [R, len(basis)] of the rest."""
    parts = [vectors.new_zeros(len(vectors), 1) for _ in basis]
    for _ in range(2):
        for index, direction in enumerate(basis):
            part = dot(direction, vectors)
            vectors = vectors - part * direction
            parts[index] = parts[index] + part
    return vectors, torch.cat(parts, dim=1).to(torch.float64)


def _fresh(goes_on: Tensor, like: Tensor, basis: list[Tensor], seed: int) -> Tensor:
    """A unit vector orthogonal to the basis, for the rows that need one."""
    return basis[0] if bool(goes_on.all()) else _unit(_orthogonal(_drawn(like, seed), basis)[0])


def _eigenvalues(hessenberg: Tensor) -> RitzValues:
    """Of float64[R, m + 1, m]; rows that are not finite are left out, because LAPACK raises on them."""
    sound = hessenberg.isfinite().all(dim=2).all(dim=1, keepdim=True)
    clean = torch.where(sound[..., None], hessenberg, 0).cpu()
    values, vectors = torch.linalg.eig(clean[:, :-1])
    residuals = clean[:, -1, -1:].abs() * vectors[:, -1].abs()
    return RitzValues(*(torch.where(sound, part.to(hessenberg.device), math.nan) for part in (values, residuals)))
