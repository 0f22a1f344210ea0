"""Layers beyond a chain, against torch's own or their equations for one replica, and networks of any topology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from test_layers import derivatives, drawn, inputs
from torch import Tensor, nn
from torch.func import functional_call

from bench.games.networks import networks
from bench.games.networks.blocks import (
    Attention,
    AvgPool,
    ConditionalNorm,
    InstanceNorm,
    MinibatchDeviation,
    PixelNorm,
    Projection,
    Residual,
    Upsample,
    around,
    residual,
)
from bench.games.networks.layers import Activation, BatchNorm, Conv2d, ConvTranspose2d, Layer, Linear, Reshape
from bench.games.networks.named import Bound, NamedNetwork

REPLICAS, BATCH, IMAGE = 3, 5, (4, 4, 6)


class Heads(nn.Module):
    """Attention as its paper writes it, of one replica."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g, self.v = (nn.Conv2d(4, 2, 1) for _ in range(3))
        self.o, self.gain = nn.Conv2d(2, 4, 1), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        f, g, v = (head(x).flatten(2) for head in (self.f, self.g, self.v))
        share = torch.bmm(f.transpose(1, 2), g).softmax(1)  # [N, j's weight for i]
        return x + self.gain * self.o(torch.bmm(v, share).view(-1, 2, *x.shape[2:]))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1))
        self.skip = nn.Conv2d(4, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.inner(x)


INNER = (Activation("relu"), Conv2d(4, 6, 3, padding=1), Activation("relu"), Conv2d(6, 6, 3, padding=1))
PAIRS: list[tuple[Layer, nn.Module]] = [
    (Attention(4, 2), Heads()),
    (residual(INNER, 4, 6), Block()),
    (InstanceNorm(), nn.InstanceNorm2d(4)),
    (Upsample(2), nn.Upsample(scale_factor=2)),
    (Upsample(3), nn.Upsample(scale_factor=3)),
    (AvgPool(2), nn.AvgPool2d(2)),
]


@pytest.mark.parametrize(("layer", "module"), PAIRS, ids=lambda value: type(value).__name__)
def test_a_block_is_torchs_values_and_gradients(layer: Layer, module: nn.Module) -> None:
    module = module.double()
    parameters, h = inputs(layer, IMAGE)
    out = layer(parameters, h).square()  # scaling is linear: it has no second derivative of its own
    along = drawn(tuple(out.shape), 11)
    found = derivatives(out, along, [h, *parameters])
    for r in range(REPLICAS):
        own = {
            name: part[r].detach().clone().requires_grad_()
            for (name, _), part in zip(_named(module), parameters, strict=True)
        }
        x = h[r].detach().movedim(-1, 0).clone().requires_grad_()
        expected: Any = functional_call(module, own, (x,)).square()
        torch.testing.assert_close(out[r].movedim(-1, 0), expected, rtol=1e-9, atol=1e-9)
        gradients = derivatives(expected, along[r].movedim(-1, 0), [x, *own.values()])
        for k, (part, gradient) in enumerate(zip(found, gradients, strict=True)):
            gradient = gradient.movedim(0, -1) if k % (1 + len(own)) == 0 else gradient
            torch.testing.assert_close(part[r], gradient, rtol=1e-7, atol=1e-7)


def _named(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The module's parameters in the order of the layer's: attention's gain stands last."""
    return sorted(module.named_parameters(), key=lambda item: item[0] == "gain")


@pytest.mark.parametrize(
    ("block", "side"),
    [
        ((Activation("relu"), Conv2d(4, 4, 3, padding=1)), nn.Identity()),
        ((Activation("relu"), Conv2d(4, 7, 3, padding=1)), nn.Conv2d(4, 7, 1)),
        ((Conv2d(4, 7, 3, padding=1), Conv2d(7, 4, 4, stride=2, padding=1)), nn.AvgPool2d(2)),
        ((Conv2d(4, 7, 4, stride=2, padding=1), BatchNorm(7)), nn.Sequential(nn.Conv2d(4, 7, 1), nn.AvgPool2d(2))),
        (
            (BatchNorm(4), Activation("relu"), ConvTranspose2d(4, 2, 4, stride=2, padding=1)),
            nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 2, 1)),
        ),
    ],
    ids=["the same shape", "channels", "half the side", "half the side and channels", "double the side and channels"],
)
def test_what_goes_around_a_block_is_added_to_it(block: tuple[Layer, ...], side: nn.Module) -> None:
    """The convolution of one place and the change of the side may change places: here they stand as in the papers."""
    assert around(*block, skip=False) == block
    (whole,) = around(*block, skip=True)
    parameters, h = inputs(whole, IMAGE)
    plain = networks.Network(block)
    border = len(plain.tensor_shapes)
    out, left = whole(parameters, h), iter(parameters)
    inner = h
    for layer in block:
        inner = layer([next(left) for _ in layer.shapes], inner)
    for r in range(REPLICAS):
        own = dict(zip((name for name, _ in side.named_parameters()), [p[r] for p in parameters[border:]], strict=True))
        around_it: Any = functional_call(side.double(), own, (h[r].movedim(-1, 0),))
        torch.testing.assert_close((out - inner)[r].movedim(-1, 0), around_it, rtol=1e-9, atol=1e-9)


def test_pixel_norm_has_a_mean_square_of_one() -> None:
    h = PixelNorm()([], 3 * drawn((2, 8, 3, 3, 4), 0))
    torch.testing.assert_close(h.square().mean(1), torch.ones(2, 3, 3, 4, dtype=torch.float64))


def test_the_deviation_of_a_minibatch_is_one_more_feature() -> None:
    h = drawn((2, 3, 2, 2, 6), 0)
    out = MinibatchDeviation()([], h)
    assert out.shape == (2, 4, 2, 2, 6)
    expected = h.std(-1, unbiased=False).flatten(1).mean(1)
    torch.testing.assert_close(out[:, 3], expected.view(2, 1, 1, 1).expand(2, 2, 2, 6))
    same = MinibatchDeviation()([], h[..., :1].expand(-1, -1, -1, -1, 6))
    assert (same[:, 3] < 1e-3).all()  # a generator that repeats itself is seen


def test_a_conditional_norm_takes_gain_and_bias_from_what_is_told() -> None:
    layer, h, told = ConditionalNorm(3, 2), drawn((2, 3, 4, 4, 6), 0), drawn((2, 2, 6), 1)
    parameters = [drawn((2, *shape), i) for i, shape in enumerate(layer.shapes)]
    out = layer(parameters, h, told)
    for r in range(2):
        affine = told[r].T @ parameters[0][r].T + parameters[1][r]  # [batch, 6]
        plain = nn.BatchNorm2d(3, affine=False, track_running_stats=False)(h[r].movedim(-1, 0))
        expected = plain * (1 + affine[:, :3, None, None]) + affine[:, 3:, None, None]
        torch.testing.assert_close(out[r].movedim(-1, 0), expected)


def test_a_projection_is_an_inner_product_with_an_embedding() -> None:
    layer, h = Projection(4, 3), drawn((2, 3, 5), 0)
    labels = torch.tensor([0, 3, 1, 1, 2])
    told = nn.functional.one_hot(labels, 4).T.double().expand(2, -1, -1)
    weight = drawn((2, 3, 4), 1)
    out = layer([weight], h, told)
    torch.testing.assert_close(out[:, 0], (weight[:, :, labels] * h).sum(1))


@dataclass(frozen=True)
class Skipping(NamedNetwork):
    """Layers out of order, one of them twice."""

    def forward(self, net: Bound, h: Tensor) -> Tensor:
        h = net("conv", h) + net("skip", h)
        h = net("attention", net("again", net("again", h)))
        return net("out", h.flatten(1, 3))


LAYERS = {
    "out": Linear(4 * 16, 1), "attention": Attention(4, 2), "again": Residual((Conv2d(4, 4, 3, padding=1),)),
    "skip": Conv2d(2, 4, 1), "conv": Conv2d(2, 4, 3, padding=1),
}  # fmt: skip


def test_spectral_norm_is_computed_once_however_often_a_network_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = [], networks.normalised
    monkeypatch.setattr(networks, "normalised", lambda weight, rows: calls.append(0) or real(weight, rows))
    network = Skipping.of(LAYERS, spectral=True)
    judge = network.bind(network.init(torch.tensor([0, 1]), "judge"))
    for seed in range(3):
        judge(drawn((2, 2, 4, 4, 6), seed).float())
    assert len(calls) == 8  # of every matrix, also those of attention and within a block
    for name in ("out", "skip", "conv"):
        weight = judge.parts(name)[0].flatten(2)
        torch.testing.assert_close(torch.linalg.matrix_norm(weight, 2), torch.ones(2), rtol=0.05, atol=0)


def test_rows_alone_are_the_rows_of_a_stack_bit_for_bit() -> None:
    network = Skipping.of(LAYERS, spectral=True)
    w = network.init(torch.arange(6), "rows").requires_grad_()
    h = drawn((6, 2, 4, 4, 16), 0).float()
    out = network(w, h)
    (gradient,) = torch.autograd.grad(out.sum(), w)
    for rows in (slice(0, 2), slice(2, 6)):
        part = w[rows].detach().requires_grad_()
        own = network(part, h[rows])
        assert torch.equal(own, out[rows])
        assert torch.equal(torch.autograd.grad(own.sum(), part)[0], gradient[rows])


def test_equalised_weights_start_normal_and_are_scaled_in_use() -> None:
    network = NamedNetwork.of({"conv": Conv2d(8, 16, 3, padding=1), "out": Linear(16, 4)}, equalised=True)
    w = network.init(torch.arange(20), "start")
    first, second = network.parameters()[0], network.parameters()[2]
    assert w[:, first.columns].std() == pytest.approx(1, rel=0.05)
    net = network.bind(w)
    assert net.parts("conv")[0].std() == pytest.approx((2 / 72) ** 0.5, rel=0.05)
    assert net.parts("out")[0].std() == pytest.approx((2 / 16) ** 0.5, rel=0.1)
    assert (w[:, second.columns].std() - 1).abs() < 0.1


def test_a_named_network_alone_is_a_chain_and_goes_home_as_a_module() -> None:
    layers = {"grid": Reshape((1, 4, 4)), "conv": Conv2d(1, 2, 3), "flat": Reshape((8,)), "out": Linear(8, 3)}
    network = NamedNetwork.of(layers)
    w = network.init(torch.tensor([0, 1]), "net")
    h = drawn((2, 16, 5), 0).float()
    chain = networks.Network(tuple(layers.values()))
    assert torch.equal(network(w, h), chain(w, h))
    module = network.module(w[1], (16,))
    torch.testing.assert_close(module(h[1].T), network(w, h)[1].T)
