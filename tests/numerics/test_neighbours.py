"""Distances told by inner products and, where these are too near to tell, by differences: the same to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.numerics import neighbours
from bench.numerics.neighbours import Pairs, distances, reach


def cases() -> dict[str, Tensor]:
    """Sets of points [N, d] whose neighbours are hard to tell."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(300, 7, generator=generator, dtype=torch.float64)
    return {
        "apart": points,
        "in the plane": points[:, :2].contiguous(),
        "copies": points[:30].repeat(10, 1),
        "one point": points[:1].repeat(300, 1),
        "nearly copies": points[:30].repeat(10, 1) + 1e-9 * points,
        "far from the origin": points + 1e6,
        "huge": points * 1e200,  # whose squares overflow
        "on a grid": points.round(),  # with equal distances
    }


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("k", [1, 5])
def test_the_reach_has_the_bits_of_all_distances(name: str, k: int) -> None:
    points = cases()[name]
    assert torch.equal(reach(points, k), distances(points, points).topk(k + 1, largest=False).values[:, -1])


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("name", cases())
def test_pairs_within_a_radius_are_those_of_all_distances(name: str, closed: bool) -> None:
    points, others = cases()[name], cases()[name].flip(0)[:200]
    apart, pairs = distances(points, others), Pairs(points, others)
    each, every = distances(points, points).topk(4, largest=False).values[:, -1:], distances(others, others)[:1]
    for radius in (each, every, apart.median(), 0.0, float(apart[3, 4])):
        expected = apart <= radius if closed else apart < radius
        assert torch.equal(pairs.within(radius, closed=closed), expected)


def test_few_distances_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def counting(x: Tensor, y: Tensor) -> Tensor:
        apart = distances(x, y)
        taken.append(apart.numel())
        return apart

    monkeypatch.setattr(neighbours, "distances", counting)
    points = cases()["apart"]
    near = reach(points, 5)
    assert sum(taken) < 2 * len(points)
    Pairs(points, points).within(near[:, None])
    assert sum(taken) < 4 * len(points), "the fifth neighbours themselves, and those of which a point is one"
