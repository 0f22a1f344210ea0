"""Networks as people write them: values and gradients of the field are those of plain torch in float64."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import weight_norm

from bench.contracts import Oracle
from bench.games.harness.gan_game import gan_game
from bench.games.harness.modules import ModuleGAN
from bench.games.networks.stacking import Stacked

SEEDS = torch.tensor([3, 1, 4])
BATCH = 16
Make = Callable[[], nn.Module]
RANDOM = torch.Generator().manual_seed(0)
IMAGES = torch.rand(64, 2, 8, 8, generator=RANDOM) * 2 - 1
SEQUENCES = torch.randn(64, 5, 3, generator=RANDOM)
POINTS = torch.randn(64, 2, generator=RANDOM)


class Attention(nn.Module):
    """Self-attention over the places of an image (Zhang et al. 2019, arXiv:1805.08318)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.gain = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        share = torch.softmax(q.transpose(1, 2) @ k / q.shape[1] ** 0.5, dim=-1)
        return x + self.gain * (v @ share.transpose(1, 2)).view_as(x)


class MinibatchDeviation(nn.Module):
    """A plane with the mean deviation over the minibatch beside the others (Karras et al. 2018, arXiv:1710.10196)."""

    def forward(self, x: Tensor) -> Tensor:
        deviation = (x.var(0, correction=0) + 1e-8).sqrt().mean()
        return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], 1)


class AttentiveGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.attention = nn.Linear(6, 8 * 4 * 4), Attention(8)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.wide, self.shuffle = nn.Conv2d(8, 8, 3, padding=1), nn.PixelShuffle(2)

    def forward(self, z: Tensor) -> Tensor:
        h = self.norm(self.attention(self.first(z).view(-1, 8, 4, 4)))
        return torch.tanh(self.shuffle(self.wide(torch.relu(h))))


class AttentiveDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = weight_norm(nn.Conv2d(2, 6, 3, 2, 1))
        self.attention, self.deviation = Attention(6), MinibatchDeviation()
        self.last = weight_norm(nn.Linear(7 * 4 * 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.attention(functional.leaky_relu(self.first(x), 0.2))
        return self.last(self.deviation(h).flatten(1))


class Recurrent(nn.Module):
    """A recurrent generator of sequences, or a discriminator of them."""

    def __init__(self, kind: type[nn.GRU | nn.LSTM], taken: int, given: int, generates: bool) -> None:
        super().__init__()
        self.cell, self.last = kind(taken, 7, batch_first=True), nn.Linear(7, given)
        self.generates = generates

    def forward(self, x: Tensor) -> Tensor:
        if self.generates:
            return self.last(self.cell(x[:, None].expand(-1, 5, -1))[0])
        return self.last(self.cell(x)[0][:, -1])


class FunctionalGenerator(nn.Module):
    """Functions for activations, in every way in which they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(6, 32), nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)])
        self.norm, self.last = nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 2, 4, 2, 1)
        self.slope = 0.1

    def forward(self, z: Tensor) -> Tensor:
        h = functional.relu(self.parts[0](z), True).view(z.size(0), 2, 4, -1)
        h = functional.leaky_relu(self.parts[1](h), negative_slope=self.slope, inplace=True)
        h = functional.softplus(self.norm(self.parts[2](h)), beta=2.0)
        return self.last(functional.silu(h)).tanh()


class FunctionalDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 4, 2, 1), nn.Conv2d(4, 8, 4, 2, 1)
        self.last = nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.leaky_relu(self.first(x), 0.2)
        h = functional.elu(self.second(h).tanh_(), 0.5)
        return self.last(torch.flatten(h, 1)).squeeze(1)


PAIRS: dict[str, tuple[Make, Make, Tensor]] = {
    "attention": (AttentiveGenerator, AttentiveDiscriminator, IMAGES),
    "GRU": (lambda: Recurrent(nn.GRU, 4, 3, True), lambda: Recurrent(nn.LSTM, 3, 1, False), SEQUENCES),
    "LSTM": (lambda: Recurrent(nn.LSTM, 4, 3, True), lambda: Recurrent(nn.GRU, 3, 1, False), SEQUENCES),
    "functions": (FunctionalGenerator, FunctionalDiscriminator, IMAGES),
}
LATENT = {"GRU": 4, "LSTM": 4}


def game_of(kind: str, loss: str) -> ModuleGAN:
    generator, discriminator, data = PAIRS[kind]
    return gan_game(generator, discriminator, loss, data, batch_size=BATCH, latent=LATENT.get(kind))


def in_double(network: Stacked, row: Tensor) -> nn.Module:
    """The module itself in float64, with one replica's parameters."""
    module = deepcopy(network.given.module).double()
    parts = torch.split(row.double(), network.layout)[::2]
    with torch.no_grad():
        for parameter, part in zip(module.parameters(), parts, strict=True):
            parameter.copy_(part.view(parameter.shape))
    return module


def plain_losses(loss: str, players: list[nn.Module], real: Tensor, z: Tensor, mix: Tensor) -> tuple[Tensor, ...]:
    generator, discriminator = players
    fake = generator(z)
    of_real, of_fake = discriminator(real), discriminator(fake)
    if loss == "non-saturating":
        return softplus(-of_fake).mean(), softplus(-of_real).mean() + softplus(of_fake).mean()
    share = mix.view(-1, *[1] * (real.ndim - 1))
    between = (share * real + (1 - share) * fake.detach()).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    penalty = 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return -of_fake.mean(), of_fake.mean() - of_real.mean() + penalty


@pytest.mark.parametrize("loss", ["non-saturating", "wgan-gp"])
@pytest.mark.parametrize("kind", PAIRS)
def test_values_and_gradients_are_those_of_torch_in_float64(kind: str, loss: str) -> None:
    game = game_of(kind, loss)
    F = Oracle(game, SEEDS)
    w = game.init(SEEDS)
    w = w + 0.1 * torch.randn(w.shape, generator=torch.Generator().manual_seed(1))
    field, values, batch = F(w), F.losses(w), game.batch(SEEDS, 0)
    for r in range(len(SEEDS)):
        rows = w[r].split(list(game.sizes))
        players = [in_double(network, row) for network, row in zip(game.networks, rows, strict=True)]
        z, real = (batch[name][r].movedim(-1, 0).double() for name in ("latent", "real"))
        mix = batch["mix"][r].double() if loss == "wgan-gp" else z[:, 0]
        expected = plain_losses(loss, players, real, z, mix)
        for i, (player, network) in enumerate(zip(players, game.networks, strict=True)):
            value = float(expected[i].detach())
            assert abs(float(values[i][r]) - value) <= 1e-5 * max(1.0, abs(value))
            gradients = torch.autograd.grad(expected[i], list(player.parameters()), retain_graph=True)
            found = torch.split(field[r].split(list(game.sizes))[i], network.layout)[::2]
            largest = max(float(gradient.abs().max()) for gradient in gradients)
            for name, part, gradient in zip(network.shapes, found, gradients, strict=True):
                assert (part.double() - gradient.flatten()).abs().max() <= 1e-5 * largest, name


def test_functions_between_parts_are_batched() -> None:
    assert [network.why for network in game_of("functions", "hinge").networks] == ["", ""]
    assert all(network.why for kind in ("attention", "GRU") for network in game_of(kind, "hinge").networks)


class Chain(nn.Module):
    """Two layers with a function between them."""

    def __init__(self, between: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last, self.between = nn.Linear(2, 8), nn.Linear(8, 1), between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self, self.first(x)))


@pytest.mark.parametrize(
    "between",
    [
        lambda module, h: h * 0.5,
        lambda module, h: torch.relu(h) + h,
        lambda module, h: functional.softmax(h, 1),
        lambda module, h: functional.leaky_relu(h, float(h.detach().mean())),
        lambda module, h: functional.relu(h) if h.mean() > 0 else h,
        lambda module, h: functional.relu(h).sort(1).values,
    ],
    ids=["scale", "skip", "softmax", "slope of the data", "branch", "sort"],
)
def test_what_is_no_activation_is_not(between: Callable[[nn.Module, Tensor], Tensor]) -> None:
    generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    game = gan_game(generator, lambda: Chain(between), "hinge", POINTS, batch_size=16)
    assert game.networks[1].why == "Chain does more than to call its parts in turn"
