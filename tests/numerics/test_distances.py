"""Distances: values by hand, against other libraries, and the laws that every one of them obeys."""

import math

import pytest
import torch
from torch import Tensor

from bench.numerics import distances
from bench.numerics.distances import (
    class_statistics,
    debiased_frechet,
    directions,
    frechet,
    gaussian,
    kernel_distance,
    mode_statistics,
    prdc,
    sliced_wasserstein,
)
from bench.numerics.neighbours import Pairs

INSIDE = 1 - math.exp(-4.5)  # of a Gaussian in the plane, within 3 sd
RING = torch.tensor([[math.cos(k * math.tau / 8), math.sin(k * math.tau / 8)] for k in range(8)], dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exactly(mean: Tensor, covariance: Tensor, count: int = 500, seed: int = 0) -> Tensor:
    """Samples [count, d] whose mean and (N - 1) covariance are those given, not only in expectation."""
    drawn = normal(count, len(mean), seed=seed)
    drawn = drawn - drawn.mean(dim=0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(drawn.mT.cov()), drawn.mT, upper=False)
    return mean + white.mT @ torch.linalg.cholesky(covariance).mT


def ring(count: int, sd: float, seed: int = 0) -> Tensor:
    which = torch.randint(8, (count,), generator=torch.Generator().manual_seed(seed))
    return RING[which] + sd * normal(count, 2, seed=seed)


# Frechet


def test_frechet_of_diagonal_gaussians_is_the_closed_form():
    a, b, shift = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([4.0, 4.0, 0.25]), torch.tensor([3.0, 0.0, 4.0])
    samples = exactly(shift.double(), b.diag().double())
    reference = gaussian(exactly(torch.zeros(3).double(), a.diag().double(), seed=1))
    assert frechet(samples[None], reference).item() == pytest.approx(25 + 1 + 0 + 2.5**2, rel=1e-10)


def test_frechet_of_gaussians_that_do_not_commute_is_scipys():
    linalg = pytest.importorskip("scipy.linalg", reason="scipy's matrix square root is the oracle")
    x, y = normal(300, 6) @ normal(6, 6, seed=1), normal(200, 6, seed=2) @ normal(6, 6, seed=3) + 1
    c, d = x.mT.cov(), y.mT.cov()
    root = torch.from_numpy(linalg.sqrtm((c @ d).numpy()).real)
    expected = (x.mean(0) - y.mean(0)).square().sum() + (c + d - 2 * root).trace()
    assert frechet(x[None], gaussian(y)).item() == pytest.approx(expected.item(), rel=1e-9)


def test_frechet_of_the_data_itself_is_zero_even_where_the_covariance_is_singular():
    data = torch.cat([normal(100, 3), torch.zeros(100, 2)], dim=1)
    assert frechet(data[None], gaussian(data)).item() == pytest.approx(0, abs=1e-6)


def test_frechet_of_a_collapsed_row_is_shift_and_trace():
    data = exactly(torch.zeros(2).double(), torch.tensor([[2.0, 1], [1, 3]]).double())
    assert frechet(torch.ones(1, 10, 2), gaussian(data)).item() == pytest.approx(2 + 5, rel=1e-9)


def test_root_squares_to_the_covariance():
    reference = gaussian(normal(50, 7))
    torch.testing.assert_close(reference.root @ reference.root, reference.covariance)
    torch.testing.assert_close(reference.covariance, normal(50, 7).mT.cov())


def test_jackknife_is_twice_the_whole_less_the_mean_of_the_halves():
    samples, reference = normal(1, 40, 3), gaussian(normal(90, 3, seed=1) + 0.1)
    halves = frechet(samples[:, :20], reference) + frechet(samples[:, 20:], reference)
    expected = 2 * frechet(samples, reference) - halves / 2
    torch.testing.assert_close(debiased_frechet(samples, reference), expected, rtol=1e-12, atol=0)


def test_jackknife_removes_the_bias():
    reference = gaussian(exactly(torch.zeros(8).double(), torch.eye(8).double()))
    samples = normal(200, 100, 8, seed=1)
    biased, debiased = frechet(samples, reference).mean(), debiased_frechet(samples, reference).mean()
    assert biased > 0.15
    assert abs(debiased) < 0.02


# Kernel distance


def test_kernel_distance_by_hand():
    # 1-D: k(0, 1) = k(0, 2) = 1 among either, and over the pairs between them (1 + 1 + 1 + 27) / 4
    x, y = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0.0], [2.0]])
    assert kernel_distance(x, y).item() == pytest.approx(1 + 1 - 2 * 7.5)


def test_kernel_distance_is_torchmetrics_whatever_the_block(monkeypatch):
    kid = pytest.importorskip("torchmetrics.image.kid", reason="torchmetrics is the oracle")
    x, y = normal(1, 70, 5), 0.5 + normal(70, 5, seed=1)
    expected = kid.poly_mmd(x[0], y, degree=3, gamma=None, coef=1.0).item()
    assert kernel_distance(x, y).item() == pytest.approx(expected, rel=1e-10)
    monkeypatch.setattr(distances, "BLOCK", 16)
    assert kernel_distance(x, y).item() == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_is_unbiased():
    values = kernel_distance(normal(200, 30, 4), normal(2000, 4, seed=1))
    assert values.min() < 0
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(200)


# Sliced Wasserstein


def test_sliced_wasserstein_of_a_shift_in_the_plane():
    # the mean of (v.u)^2 over evenly spread directions u is |v|^2 / 2, whatever v
    data = normal(50, 2)
    for shift in ([3.0, 4.0], [5.0, 0.0], [0.0, 5.0]):
        assert sliced_wasserstein(data[None] + torch.tensor(shift), data).item() == pytest.approx(5 / math.sqrt(2))
    assert sliced_wasserstein(data[None], data).item() == 0


@pytest.mark.parametrize("sizes", [(50, 50), (40, 60), (7, 5)])
def test_sliced_wasserstein_sums_every_step_of_both(sizes):
    """Steps without width are left out of the work and not of the sum, whose order decides the last bits."""
    (count, size), lines = sizes, distances.directions(3, 16)
    x, y = normal(count, 3), normal(size, 3, seed=1)
    steps = torch.cat([torch.arange(1, count + 1) * size, torch.arange(1, size + 1) * count]).sort().values
    shares = steps.diff(prepend=steps.new_zeros(1)).double()[:, None] / (count * size)
    quantiles = [(z @ lines).sort(dim=0).values[(steps - 1) // n] for z, n in ((x, size), (y, count))]
    expected = (shares * (quantiles[0] - quantiles[1]).square()).sum(dim=0).mean().sqrt()
    assert torch.equal(sliced_wasserstein(torch.stack([x, x]), y, 16), expected.expand(2))


def test_sliced_wasserstein_of_unequal_sizes():
    # quantile functions of {0, 1} and {0, 0, 1}: they part by 1 on (1/2, 2/3)
    x, y = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0.0], [1.0], [0.0]])
    assert sliced_wasserstein(x, y).item() == pytest.approx(math.sqrt(1 / 6))
    assert sliced_wasserstein(x.repeat(1, 3, 1), y.repeat(4, 1)).item() == pytest.approx(math.sqrt(1 / 6))


@pytest.mark.parametrize(("count", "size", "dimension"), [(60, 60, 2), (60, 45, 2), (30, 77, 6)])
def test_sliced_wasserstein_is_pots(count, size, dimension):
    ot = pytest.importorskip("ot", reason="POT is the oracle")
    x, y = normal(count, dimension), 2 * normal(size, dimension, seed=1) + 0.3
    lines = directions(dimension, 64)
    expected = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=lines.numpy(), p=2)
    assert sliced_wasserstein(x[None], y).item() == pytest.approx(expected, rel=1e-10)


def test_sliced_wasserstein_takes_data_of_each_row():
    samples, data = normal(3, 20, 2), normal(3, 25, 2, seed=1)
    alone = torch.cat([sliced_wasserstein(samples[r : r + 1], data[r]) for r in range(3)])
    assert torch.equal(sliced_wasserstein(samples, data), alone)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_directions_are_fixed_unit_vectors(dimension):
    lines = directions(dimension, 32)
    torch.testing.assert_close(lines.norm(dim=0), torch.ones(32, dtype=torch.float64))
    assert torch.equal(lines, directions(dimension, 32))
    if dimension > 1:
        assert (lines.mT @ lines).fill_diagonal_(0).abs().max() < 0.999  # no line twice


# Modes


def test_a_perfect_ring():
    found = mode_statistics(ring(200_000, 0.01)[None], RING, 0.01)
    assert found.high_quality.item() == pytest.approx(1 - math.exp(-4.5), abs=0.001)  # 98.89 %
    assert (found.captured.item(), found.captured_strict.item()) == (8, 8)
    assert found.reverse_kl.item() == pytest.approx(0, abs=1e-3)


def test_one_mode_of_eight():
    found = mode_statistics(RING[3].expand(1, 40, 2), RING, 0.01)
    assert [value.item() for value in found] == pytest.approx([1, 1, 1, math.log(8), 7 / 8 * INSIDE + 1 - INSIDE])


def test_modes_by_hand():
    # 80 samples, so a quarter of a fair share is 2.5: 40 at one mode, 3 and 2 at two others, 35 nowhere
    parts = [RING[:1].repeat(40, 1), RING[1:2].repeat(3, 1), RING[2:3].repeat(2, 1), torch.zeros(35, 2).double()]
    found = mode_statistics(torch.cat(parts)[None], RING, 0.1)
    shares = torch.tensor([40, 3, 2]) / 45
    missed = INSIDE - (INSIDE / 8 + 3 / 80 + 2 / 80)  # only the first mode has more than its share
    expected = [3, 2, 45 / 80, math.log(8) + (shares * shares.log()).sum().item(), missed]
    assert [value.item() for value in found] == pytest.approx(expected, rel=1e-6)


def test_a_quarter_of_the_share_itself_is_captured():
    samples = torch.cat([RING[:1].repeat(31, 1), RING[1:2]])  # 32 samples, 8 modes: a quarter of the share is 1
    assert mode_statistics(samples[None], RING, 0.1).captured_strict.item() == 2


def test_three_standard_deviations_are_without():
    samples = torch.tensor([[[1.5, 0.0]], [[1.4999, 0.0]]])
    assert mode_statistics(samples, torch.zeros(1, 2), 0.5).high_quality.tolist() == [0, 1]


def test_nothing_found_is_the_worst():
    found = mode_statistics(torch.full((1, 9, 2), 7.0), RING, 0.01)
    assert [value.item() for value in found] == pytest.approx([0, 0, 0, math.log(8), INSIDE])


# Classes


def test_classes_by_hand():
    labels = torch.tensor([[0] * 50 + [1] * 45 + [2] * 3 + [3] * 2, [0, 1, 2, 3] * 25, [3] * 100])
    found = class_statistics(labels, 4)
    uneven = -sum(share * math.log(share) for share in (0.5, 0.45, 0.03, 0.02))
    assert found.entropy.tolist() == pytest.approx([uneven, math.log(4), 0])
    assert found.total_variation.tolist() == pytest.approx([0.25 + 0.2, 0, 0.75])
    assert found.missing.tolist() == [1, 0, 3]  # a tenth of the share is 2.5 samples


def test_labels_outside_are_no_class():
    found = class_statistics(torch.tensor([[-1, 4, 100]]), 4)
    assert [value.item() for value in found] == [0, 1, 4]


def test_probabilities_vote_for_the_largest():
    answers = normal(3, 50, 4)
    for stacked, labelled in zip(class_statistics(answers, 4), class_statistics(answers.argmax(2), 4), strict=True):
        assert torch.equal(stacked, labelled)


# Precision, recall, density, coverage


def test_prdc_by_hand():
    # balls of the data reach 1, 1 and 9; of the samples 0.75, 0.25 and 0.25
    real, fake = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[[0.5], [-0.25], [-0.5]]])
    found = prdc(real, fake, k=1)
    assert found.precision.item() == 1
    assert found.recall.item() == pytest.approx(2 / 3)  # 0 is 0.5 from the first, 1 is too; 10 is far
    assert found.density.item() == pytest.approx(4 / 3)  # all three lie in the ball of 0, the first also in that of 1
    assert found.coverage.item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("k", [1, 5])
def test_prdc_is_the_packages(k):
    package = pytest.importorskip("prdc", reason="the authors' package is the oracle")
    real, fake = normal(150, 4), 0.7 * normal(120, 4, seed=1) + 0.4
    expected = package.compute_prdc(real.numpy(), fake.numpy(), nearest_k=k)
    assert {key: value.item() for key, value in prdc(real, fake[None], k)._asdict().items()} == pytest.approx(expected)


def test_samples_that_are_one_point_of_the_data_recall_nothing():
    real = 100 * normal(60, 8)
    found = prdc(real, real[:1].expand(1, 60, 8))
    assert (found.precision.item(), found.recall.item()) == (1, 0)
    assert Pairs(real, real.clone()).within(0.0, closed=True).diagonal().all()  # exactly 0 apart: the balls are open


# Laws

DATA = normal(90, 2, seed=9)
MEASURES = {
    "frechet": lambda x: frechet(x, gaussian(DATA)),
    "debiased_frechet": lambda x: debiased_frechet(x, gaussian(DATA)),
    "kernel_distance": lambda x: kernel_distance(x, DATA),
    "sliced_wasserstein": lambda x: sliced_wasserstein(x, DATA),
    "mode_statistics": lambda x: mode_statistics(x, DATA[:10], 0.3),
    "class_statistics": lambda x: class_statistics(x, 2),
    "prdc": lambda x: prdc(DATA, x),
}
WORST = {"mode_statistics": [0, 0, 0, math.log(10), 1], "class_statistics": [0, 1, 2], "prdc": [0, 0, 0, 0]}


def stacked(name: str, samples: Tensor) -> Tensor:
    """[values, R], whether the measure is one tensor or several."""
    result = MEASURES[name](samples)
    return torch.stack(result) if isinstance(result, tuple) else result[None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MEASURES)
def test_a_row_alone_is_the_same_bit_for_bit(name, dtype):
    samples = normal(5, 70, 2).to(dtype)
    together = stacked(name, samples)
    alone = torch.cat([stacked(name, samples[r : r + 1]) for r in range(5)], dim=1)
    assert together.dtype == torch.float64
    assert together.shape[1] == 5
    assert torch.equal(together, alone)
    assert torch.equal(together, stacked(name, samples.mT.contiguous().mT))  # nor does the layout matter


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", MEASURES)
def test_broken_rows_are_the_worst_and_leave_the_others_alone(name, bad):
    samples = normal(5, 70, 2)
    broken = samples.clone()
    broken[1, 3, 0] = bad
    broken[3] = 1.0  # collapsed
    found = stacked(name, broken)
    assert torch.equal(found[:, [0, 2, 4]], stacked(name, samples)[:, [0, 2, 4]])
    assert found[:, 1].tolist() == pytest.approx(WORST.get(name, [math.inf]))
    assert found[:, 3].isfinite().all()


@pytest.mark.parametrize("name", ["frechet", "debiased_frechet", "kernel_distance", "sliced_wasserstein"])
def test_overflow_is_an_infinite_distance(name):
    assert stacked(name, normal(2, 70, 2) * 1e200).tolist() == [[math.inf, math.inf]]


def test_overflow_never_reaches_the_eigenvalues():
    assert frechet(normal(1, 40, 16) * 1e200, gaussian(normal(40, 16, seed=1))).item() == math.inf


@pytest.mark.parametrize("name", MEASURES)
def test_no_rows_give_no_values(name):
    assert stacked(name, normal(0, 70, 2)).shape[1] == 0


@pytest.mark.parametrize("name", MEASURES)
def test_a_wrong_shape_says_what_is_allowed(name):
    with pytest.raises(ValueError, match=r"found shape \(70, 2\), allowed \[R, N >= \d, 2\]"):
        MEASURES[name](normal(70, 2))


def test_a_reference_of_broken_data_is_refused():
    with pytest.raises(ValueError, match="features of the data"):
        gaussian(torch.full((5, 2), math.nan))
