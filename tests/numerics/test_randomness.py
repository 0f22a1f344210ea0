"""(seed, stream, draw) alone decides the numbers."""

from __future__ import annotations

import torch
from scipy import stats

from bench.numerics.randomness import BLOCK, integers, normal, uniform


def test_numbers_do_not_depend_on_their_neighbours() -> None:
    alone = normal(torch.tensor([3]), "x", 5, (7,))
    for seeds in ([3, 4], [9, 3, 3], [3] * 5):
        stacked = normal(torch.tensor(seeds), "x", 5, (7,))
        for r, seed in enumerate(seeds):
            assert torch.equal(stacked[r], alone[0]) == (seed == 3)


def test_seed_stream_and_draw_each_matter() -> None:
    seeds = torch.tensor([0])
    base = normal(seeds, "x", 0, (32,))
    for other in (normal(torch.tensor([1]), "x", 0, (32,)), normal(seeds, "y", 0, (32,))):
        assert not torch.equal(other, base)
    draws = [normal(seeds, "x", draw, (32,)) for draw in (0, 1, BLOCK - 1, BLOCK, 2**40)]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == 5


def test_what_is_handed_out_may_be_changed() -> None:
    seeds = torch.tensor([1, 2])
    first = normal(seeds, "x", 0, (16,))
    kept = first.clone()
    first.zero_()
    assert torch.equal(normal(seeds, "x", 0, (16,)), kept)


def test_laws_of_the_numbers() -> None:
    seeds = torch.arange(50)
    x = torch.stack([normal(seeds, "n", draw, (10, 5)) for draw in range(20)]).flatten().double().numpy()
    assert stats.kstest(x, "norm").pvalue > 1e-3
    u = torch.stack([uniform(seeds, "u", draw, (50,)) for draw in range(20)]).flatten().double().numpy()
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    k = torch.stack([integers(seeds, "k", draw, (50,), 8) for draw in range(20)]).flatten()
    assert k.min() == 0
    assert k.max() == 7
    assert stats.chisquare(torch.bincount(k).numpy()).pvalue > 1e-3
