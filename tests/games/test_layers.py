"""Stacked layers against torch's own for one network, values and gradients, at float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.games.networks.layers import BatchNorm, Conv2d, ConvTranspose2d, Layer, Linear, Reshape, count

REPLICAS, BATCH = 3, 5
KERNELS = [(1, 1, 0), (2, 2, 0), (3, 1, 1), (3, 2, 1), (4, 2, 1), (4, 1, 0), (5, 2, 2), (5, 3, 1), (2, 3, 0)]
PAIRS: list[tuple[Layer, nn.Module, tuple[int, ...]]] = [
    (Linear(7, 4), nn.Linear(7, 4), (7,)),
    *((Conv2d(2, 3, k, s, p), nn.Conv2d(2, 3, k, s, p), (2, 8, 7)) for k, s, p in KERNELS),
    *((ConvTranspose2d(2, 3, k, s, p), nn.ConvTranspose2d(2, 3, k, s, p), (2, 5, 4)) for k, s, p in KERNELS),
    (BatchNorm(3), nn.BatchNorm1d(3), (3,)),
    (BatchNorm(3), nn.BatchNorm2d(3), (3, 6, 5)),
]
NAMES = [str(module) for _, module, _ in PAIRS]


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def inputs(layer: Layer, shape: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
    """Parameters [R, *shape] and activations [R, *shape, batch], all leaves."""
    parameters = [drawn((REPLICAS, *own), i).requires_grad_() for i, own in enumerate(layer.shapes)]
    return parameters, drawn((REPLICAS, *shape, BATCH), 9).requires_grad_()


def derivatives(out: Tensor, along: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """First derivatives of <out, along>, then those of their squared length: second ones, as penalties need."""
    first = torch.autograd.grad((out * along).sum(), leaves, create_graph=True)
    length = sum(gradient.square().sum() for gradient in first)
    assert isinstance(length, Tensor)
    return [*first, *torch.autograd.grad(length, leaves, allow_unused=True, materialize_grads=True)]


@pytest.mark.parametrize(("layer", "module", "shape"), PAIRS, ids=NAMES)
def test_a_stacked_layer_is_torchs_values_and_gradients(
    layer: Layer, module: nn.Module, shape: tuple[int, ...]
) -> None:
    module = module.double().train()
    parameters, h = inputs(layer, shape)
    out = layer(parameters, h)
    along = drawn(tuple(out.shape), 11)
    found = derivatives(out, along, [h, *parameters])
    for r in range(REPLICAS):
        own = dict(zip(("weight", "bias"), (p[r].detach().requires_grad_() for p in parameters), strict=True))
        x = h[r].detach().movedim(-1, 0).clone().requires_grad_()
        expected: Any = torch.func.functional_call(module, own, (x,))
        torch.testing.assert_close(out[r].movedim(-1, 0), expected, rtol=1e-10, atol=1e-10)
        gradients = derivatives(expected, along[r].movedim(-1, 0), [x, *own.values()])
        for k, (part, gradient) in enumerate(zip(found, gradients, strict=True)):
            of_input = k % (1 + len(own)) == 0
            gradient = gradient.movedim(0, -1) if of_input else gradient
            torch.testing.assert_close(part[r], gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("layer", "module", "shape"), PAIRS, ids=NAMES)
def test_parameters_are_torchs_and_start_as_torchs_do(layer: Layer, module: nn.Module, shape: tuple[int, ...]) -> None:
    assert layer.shapes == tuple(tuple(p.shape) for p in module.parameters())
    assert count(layer) == sum(p.numel() for p in module.parameters())
    torch.manual_seed(0)
    module.reset_parameters()  # type: ignore[operator]
    for (low, high), parameter in zip(layer.start, module.parameters(), strict=True):
        assert low - 1e-6 <= parameter.min()
        assert parameter.max() <= high + 1e-6
        if parameter.numel() > 20:
            assert parameter.max() - parameter.min() > 0.7 * (high - low)


def test_replicas_and_their_statistics_stay_apart() -> None:
    for layer, _, shape in PAIRS:
        parameters, h = inputs(layer, shape)
        sick = h.detach().clone()
        sick[1] = torch.nan
        whole, poisoned = layer(parameters, h), layer(parameters, sick)
        assert torch.equal(whole[[0, 2]], poisoned[[0, 2]])
        assert poisoned[1].isnan().any()


def test_reshape_keeps_the_batch_apart() -> None:
    h = drawn((2, 3, 4, 5, 6), 0)
    assert torch.equal(Reshape((60,))((), h)[1, :, 2], h[1, ..., 2].flatten())
    assert torch.equal(Reshape((3, 4, 5))((), Reshape((60,))((), h)), h)
