"""The support of samples: of things that are equally frequent, of pairs, of the data."""

from __future__ import annotations

import math

import pytest
import torch

from bench.numerics.support import pair_radius, support

NAN, INF = math.nan, math.inf


def test_the_support_of_equally_frequent_things_is_their_number() -> None:
    generator = torch.Generator().manual_seed(0)
    for number in (1, 10, 400):
        things = 10.0 * torch.arange(number)[:, None].expand(number, 2)
        drawn = things[torch.randint(number, (2, 2000), generator=generator)]
        near = drawn + 0.01 * torch.rand(drawn.shape, generator=generator)
        assert support(near, 0.1).tolist() == pytest.approx([number] * 2, rel=0.1)


def test_the_support_counts_pairs() -> None:
    samples = torch.tensor([[[0.0], [0], [5], [6]], [[0], [1], [2], [3]], [[0], [0], [0], [0]], [[NAN], [0], [0], [0]]])
    assert support(samples, 0.5).tolist() == [6, 6, 1, 0]  # no pair says: at least 6
    assert support(samples, 1.0).tolist() == [3, 2, 1, 0]
    assert torch.equal(support(samples[:2], 1.0), support(samples, 1.0)[:2])
    with pytest.raises(ValueError, match="N >= 2"):
        support(samples[:, :1], 1.0)


def test_the_datas_own_support_is_the_unit() -> None:
    data = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    radius = pair_radius(data, share=1e-3)
    assert support(data[None], radius).item() == pytest.approx(1000, rel=0.03)
    copies = data[torch.arange(400) % 20]
    assert support(copies[None], radius).item() < 25
    with pytest.raises(ValueError, match="allowed finite"):
        pair_radius(data[:1])
