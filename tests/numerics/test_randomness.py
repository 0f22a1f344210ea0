"""(seed, stream, draw) alone decides the numbers."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from bench.numerics import randomness
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


def test_a_large_draw_is_kept_through_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, drawn = torch.tensor([1, 2]), []
    kept = randomness._generator
    monkeypatch.setattr(randomness, "_generator", lambda *of: drawn.append(of[1]) or kept(*of))
    first = normal(seeds, "judged here", 0, (16, 100), block=1)
    for draw in range(0, 40 * BLOCK, BLOCK):  # minibatches of a training between two evaluations
        normal(seeds, "real here", draw, (16,))
    assert torch.equal(normal(seeds, "judged here", 0, (16, 100), block=1), first)
    assert drawn.count("judged here") == len(seeds)
    huge = (16, randomness.KEPT // 32 + 1)  # is not held in memory for long
    assert torch.equal(normal(seeds, "huge", 0, huge, block=1), normal(seeds, "huge", 0, huge, block=1))
    assert randomness._standing.cache_info().currsize <= 4


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
