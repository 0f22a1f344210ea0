"""Distances between generated samples and data.

Every function takes R stacked sets of samples and answers with one float64 number a set, [R]. The sets are
judged one after another, each from a copy of its own, so a row's bits never depend on its neighbours; only exact
counts are taken over the whole stack. A row that holds a non-finite sample gets the worst value that there is:
+inf for a distance, zero for a share or a count of what was found.

Sources: Dowson & Landau 1982 (Frechet distance of Gaussians); Heusel et al. 2017, arXiv:1706.08500 (FID);
Chong & Forsyth 2020, arXiv:1911.07023 (its bias in N); Binkowski et al. 2018, arXiv:1801.01401 (KID);
Bonneel et al. 2015 (sliced Wasserstein); Srivastava et al. 2017, arXiv:1705.07761 (VEEGAN) and Lin et al. 2018,
arXiv:1712.04086 (PacGAN) (modes); Kynkaanniemi et al. 2019, arXiv:1904.06991 (precision and recall);
Naeem et al. 2020, arXiv:2002.09797 (density and coverage).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import gammainc
from torch import Tensor

from bench.numerics.neighbours import Pairs, reach

BLOCK = 1024  # rows of a kernel matrix that are in memory at once


class Gaussian(NamedTuple):
    """The Gaussian of the data for the Frechet distance: mean [d], covariance [d, d] and its square root [d, d]."""

    mean: Tensor
    covariance: Tensor
    root: Tensor


class ModeStatistics(NamedTuple):
    """How a mixture's modes are covered, each [R]; see `mode_statistics`."""

    captured: Tensor
    captured_strict: Tensor
    high_quality: Tensor
    reverse_kl: Tensor
    error: Tensor


class ClassStatistics(NamedTuple):
    """How evenly classes are covered, each [R]; see `class_statistics`."""

    entropy: Tensor
    total_variation: Tensor
    missing: Tensor


class PRDC(NamedTuple):
    """Precision, recall, density and coverage, each [R]."""

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


def gaussian(features: Tensor) -> Gaussian:
    """The Gaussian with the mean and the (N - 1) covariance of finite features [M, d], in float64."""
    if features.ndim != 2 or len(features) < 2 or not features.isfinite().all():
        raise ValueError(f"features of the data: found shape {tuple(features.shape)}, allowed finite [M >= 2, d]")
    mean, covariance = _moments(features.to(torch.float64))
    values, vectors = torch.linalg.eigh(covariance)
    return Gaussian(mean, covariance, (vectors * values.clamp(min=0).sqrt()) @ vectors.mT)


def frechet(features: Tensor, reference: Gaussian) -> Tensor:
    """[R, N, d] -> [R]: |m - m0|^2 + tr(C + C0 - 2 (C0^1/2 C C0^1/2)^1/2), the squared distance that FID is.

    It is biased upwards by about 1/N: compare it at equal N only, or take `debiased_frechet`.
    """
    _expect(features, reference.mean.shape[-1], 2)
    reference = Gaussian(*(part.to(features.device) for part in reference))
    return _rows(features, lambda row, _: _frechet(row, reference))


def debiased_frechet(features: Tensor, reference: Gaussian) -> Tensor:
    """[R, N, d] -> [R]: 2 FD_N - mean FD_{N/2} over the two halves, which cancels the bias in 1/N.

    It may fall below zero where samples and data agree. The N samples must be in no particular order.
    """
    _expect(features, reference.mean.shape[-1], 4)
    reference = Gaussian(*(part.to(features.device) for part in reference))
    half = features.shape[1] // 2

    def jackknife(row: Tensor, _: int) -> Tensor:
        halves = _frechet(row[:half], reference) + _frechet(row[half:], reference)
        return 2 * _frechet(row, reference) - halves / 2

    return _rows(features, jackknife)


def kernel_distance(features: Tensor, data: Tensor) -> Tensor:
    """[R, N, d] against [M, d] -> [R]: unbiased squared MMD with the kernel (x.y / d + 1)^3, all samples at once.

    Being unbiased, it may fall below zero.
    """
    _expect(features, data.shape[-1], 2)
    data = data.to(torch.float64)
    among_data = _mean_kernel(data)
    return _rows(features, lambda row, _: _mean_kernel(row) + among_data - 2 * _mean_kernel(row, data))


def sliced_wasserstein(samples: Tensor, data: Tensor, projections: int = 64) -> Tensor:
    """[R, N, d] against [M, d] or [R, M, d] -> [R]: root of the mean of W2^2 over fixed directions.

    On each line W2 is exact for any N and M: both quantile functions are constant between their joint steps.
    """
    _expect(samples, data.shape[-1], 1)
    count, size = samples.shape[1], data.shape[-2]
    levels = [torch.arange(1, count + 1) * size, torch.arange(1, size + 1) * count]  # in units of 1 / (N M)
    steps = torch.cat(levels).sort().values
    shares = steps.diff(prepend=steps.new_zeros(1)).to(torch.float64)[:, None] / (count * size)
    wide = shares[:, 0].nonzero()[:, 0]  # where both step at once, one of the two steps has no width
    steps, shares, wide = (steps[wide] - 1).to(samples.device), shares[wide].to(samples.device), wide.to(samples.device)
    lines = directions(samples.shape[-1], projections).to(samples.device)
    squares = torch.zeros(count + size, projections, dtype=torch.float64, device=samples.device)

    def quantiles(row: Tensor, units: int) -> Tensor:
        return _sorted(row @ lines).index_select(0, steps // units)

    targets = [quantiles(rows.to(torch.float64).contiguous(), count) for rows in (data if data.ndim == 3 else [data])]

    def distance(row: Tensor, index: int) -> Tensor:
        gaps = quantiles(row, size) - targets[index if data.ndim == 3 else 0]
        return squares.index_copy_(0, wide, shares * gaps.square()).sum(dim=0).mean().sqrt()

    return _rows(samples, distance)


def _sorted(columns: Tensor) -> Tensor:
    """Every column of [N, d] in order; numpy sorts by vector instructions where the processor has them."""
    if columns.device.type != "cpu":
        return columns.sort(dim=0).values
    return torch.from_numpy(np.sort(columns.T.numpy(), axis=1)).T


def directions(dimension: int, count: int) -> Tensor:
    """Fixed unit vectors [d, count]: evenly spread over the half circle in the plane, else drawn from seed 0."""
    if dimension == 2:
        angles = (torch.arange(count, dtype=torch.float64) + 0.5) * (math.pi / count)
        return torch.stack((angles.cos(), angles.sin()))
    drawn = torch.randn(dimension, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=0)


def mode_statistics(samples: Tensor, modes: Tensor, sd: float) -> ModeStatistics:
    """[R, N, d] against a mixture's modes [K, d]. A sample strictly within 3 sd of its nearest mode is of high quality.

    captured: modes with at least one such sample; captured_strict: with at least a quarter of their share N / K;
    high_quality: the share of such samples; reverse_kl: KL(their histogram over modes || uniform) in nats, log K
    where there is none; error: the total variation in [0, 1] between the histogram over the modes and "none", and that
    of the mixture, which in the plane has exp(-9 / 2) of its samples beyond 3 sd.
    """
    _expect(samples, modes.shape[-1], 1)
    count, size = samples.shape[1], len(modes)
    points = samples.to(torch.float64)
    nearest = torch.full(samples.shape[:2], size, device=samples.device)
    bound = torch.full(samples.shape[:2], (3 * sd) ** 2, dtype=torch.float64, device=samples.device)
    for index, mode in enumerate(modes.to(torch.float64)):
        square = (points - mode).square().sum(dim=-1)
        closer = square < bound  # never true of NaN
        bound, nearest = torch.where(closer, square, bound), torch.where(closer, index, nearest)
    finite = samples.isfinite().all(dim=-1).all(dim=-1, keepdim=True)
    counts = _counts(torch.where(finite, nearest, size), size)
    assigned = counts.sum(dim=-1)
    shares = counts / assigned.clamp(min=1)[:, None]
    within = float(gammainc(modes.shape[-1] / 2, 9 / 2))
    return ModeStatistics(
        captured=(counts > 0).sum(dim=-1).to(torch.float64),
        captured_strict=(counts * (4 * size) >= count).sum(dim=-1).to(torch.float64),
        high_quality=assigned / count,
        reverse_kl=(math.log(size) - _entropy(shares)).clamp(min=0),
        error=torch.where(finite[:, 0], mode_error(counts / count, within), 1.0),
    )


def mode_error(shares: Tensor, within: float = 1.0) -> Tensor:
    """Total variation [R], in [0, 1], between shares [R, K] of all samples, the rest of which is of no mode, and ideal.

    Ideal is ``within`` spread evenly over the modes and 1 - within of no mode.
    """
    none = 1 - shares.sum(dim=-1)
    return ((shares - within / shares.shape[-1]).abs().sum(dim=-1) + (none - (1 - within)).abs()) / 2


def class_statistics(answers: Tensor, classes: int) -> ClassStatistics:
    """Labels int[R, N], or probabilities or logits [R, N, classes], of which the largest decides.

    entropy of the class histogram in nats (KL to uniform is log(classes) less that); total_variation from uniform;
    missing: classes with less than a tenth of their share N / classes. A label outside [0, classes) is none.
    """
    labels = answers
    if answers.is_floating_point():
        _expect(answers, classes, 1)
        finite = answers.isfinite().all(dim=-1).all(dim=-1, keepdim=True)
        labels = torch.where(finite, answers.argmax(dim=-1), classes)
    elif answers.ndim != 2 or not answers.shape[1]:
        raise ValueError(f"labels: found shape {tuple(answers.shape)}, allowed int[R, N >= 1]")
    count = labels.shape[1]
    counts = _counts(labels, classes)
    shares = counts / count
    none = 1 - counts.sum(dim=-1) / count
    return ClassStatistics(
        entropy=_entropy(shares),
        total_variation=((shares - 1 / classes).abs().sum(dim=-1) + none) / 2,
        missing=(counts * (10 * classes) < count).sum(dim=-1).to(torch.float64),
    )


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """Data [M, d] against samples [R, N, d], by balls that reach each point's k-th neighbour among its own."""
    _expect(fake, real.shape[-1], k + 1)
    if real.ndim != 2 or len(real) <= k:
        raise ValueError(f"real: found shape {tuple(real.shape)}, allowed [M > k = {k}, d]")
    real = real.to(torch.float64)
    among_real = reach(real, k)[:, None]

    def measure(row: Tensor, _: int) -> Tensor:
        pairs = Pairs(real, row)
        inside, near_fake = pairs.within(among_real), pairs.within(reach(row, k)[None])
        parts = (inside.any(dim=0), near_fake.any(dim=1), inside.sum(dim=0), inside.any(dim=1))
        shares = torch.stack([part.to(torch.float64).mean() for part in parts])
        return shares / shares.new_tensor([1, 1, k, 1])

    return PRDC(*_rows(fake, measure, worst=(0.0, 0.0, 0.0, 0.0)).unbind(dim=-1))


def _rows(samples: Tensor, measure: Callable[[Tensor, int], Tensor], worst: object = math.inf) -> Tensor:
    """`measure` of a fresh float64 copy of every row that is finite, `worst` for the others and for an overflow."""
    answer = torch.tensor(worst, dtype=torch.float64, device=samples.device)
    results = answer.expand(len(samples), *answer.shape).clone()
    for index, row in enumerate(samples.detach()):
        if row.isfinite().all():
            value = measure(row.to(torch.float64, copy=True, memory_format=torch.contiguous_format), index)
            results[index] = torch.where(value.isfinite(), value, answer)
    return results


def _expect(samples: Tensor, dimension: int, least: int) -> None:
    """Raise unless `samples` is [R, N >= least, dimension]."""
    if samples.ndim != 3 or samples.shape[1] < least or samples.shape[2] != dimension:
        raise ValueError(f"samples: found shape {tuple(samples.shape)}, allowed [R, N >= {least}, {dimension}]")


def _moments(row: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [d] and (N - 1) covariance [d, d] of [N, d]."""
    mean = row.mean(dim=0)
    centred = row - mean
    return mean, centred.mT @ centred / (len(row) - 1)


def _frechet(row: Tensor, reference: Gaussian) -> Tensor:
    mean, covariance = _moments(row)
    product = reference.root @ covariance @ reference.root
    if not product.isfinite().all():  # the samples' squares overflow, on which eigvalsh would raise
        return product.new_tensor(math.inf)
    overlap: Tensor = torch.linalg.eigvalsh(product).clamp(min=0).sqrt().sum()
    spread = covariance.trace() + reference.covariance.trace() - 2 * overlap
    shift = (mean - reference.mean).square().sum()
    return (shift + spread).clamp(min=0)


def _mean_kernel(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Mean of (x.y / d + 1)^3 over all pairs of rows, or over the pairs of two different rows of x."""
    other = x if y is None else y
    total = x.new_zeros(())
    for start in range(0, len(x), BLOCK):
        products: Tensor = x[start : start + BLOCK] @ other.mT / x.shape[1]
        total = total + (products + 1).pow(3).sum()
    if y is not None:
        return total / (len(x) * len(y))
    alone = (x.square().sum(dim=1) / x.shape[1] + 1).pow(3).sum()
    return (total - alone) / (len(x) * (len(x) - 1))


def _counts(labels: Tensor, size: int) -> Tensor:
    """How often each of [0, size) occurs in the rows of int[R, N]: [R, size], exact in any order."""
    kept = torch.where((labels >= 0) & (labels < size), labels, size).to(torch.int64)
    counts = torch.zeros(len(labels), size + 1, dtype=torch.int64, device=labels.device)
    return counts.scatter_add_(1, kept, torch.ones_like(kept))[:, :size].to(torch.float64)


def _entropy(shares: Tensor) -> Tensor:
    """Nats, [R, K] -> [R]."""
    entropy: Tensor = torch.special.entr(shares).sum(dim=-1)
    return entropy
