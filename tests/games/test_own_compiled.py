"""A user's own GAN between perceptrons has a field in closed form, by kernels too: against autograd's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import bench
from bench.contracts import Oracle
from bench.games.harness.modules import ModuleGAN
from bench.numerics.kernels.core import VARIABLE, blas

SEEDS = torch.arange(5)
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
POINTS = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
PICTURES = torch.rand(400, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Residue(nn.Module):
    """Does more than to call its layers in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class Critic(nn.Module):
    """Calls its layers in turn, the last on what is reshaped."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.slope, self.last = nn.Linear(16, 24), nn.LeakyReLU(0.2), nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.slope(self.first(x.flatten(1))))


def perceptron(entry: int, leave: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(entry, 24), activation, nn.Linear(24, 24), activation, nn.Linear(24, leave))


def judge() -> nn.Sequential:
    return perceptron(2, 1, nn.LeakyReLU(0.2))


def painter() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))


def made(generator: nn.Module, discriminator: nn.Module, data: Tensor, **options: Any) -> ModuleGAN:
    game = bench.gan_game(generator, discriminator, options.pop("loss", "non-saturating"), data, **options)
    assert isinstance(game, ModuleGAN)
    return game


KNOWN = {
    **{
        type(part).__name__: lambda part=part: made(perceptron(8, 2, part), judge(), POINTS)
        for part in (nn.ReLU(), nn.LeakyReLU(0.2), nn.Tanh(), nn.Sigmoid(), nn.ELU(), nn.Identity())
    },
    "wgan-gp": lambda: made(perceptron(8, 2, nn.ReLU()), judge(), POINTS, loss="wgan-gp"),
    "packs": lambda: made(perceptron(8, 2, nn.ReLU()), perceptron(4, 1, nn.ReLU()), POINTS, pac=2),
    "pictures": lambda: made(painter(), Critic(), PICTURES),
    "spectral normalisation": lambda: made(
        perceptron(8, 2, nn.ReLU()), nn.Sequential(spectral_norm(nn.Linear(2, 8)), nn.ReLU(), nn.Linear(8, 1)), POINTS
    ),
    "spectral normalisation of all": lambda: made(perceptron(8, 2, nn.ReLU()), judge(), POINTS, spectral=True),
    "pictures, wgan-gp": lambda: made(painter(), Critic(), PICTURES, loss="wgan-gp"),
}
UNKNOWN = {
    "another slope": lambda: made(perceptron(8, 2, nn.ReLU()), perceptron(2, 1, nn.LeakyReLU(0.1)), POINTS),
    "a residue": lambda: made(nn.Sequential(nn.Linear(8, 2), Residue()), judge(), POINTS),
    "dropout": lambda: made(
        perceptron(8, 2, nn.ReLU()), nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1)), POINTS
    ),
    "no bias": lambda: made(nn.Sequential(nn.Linear(8, 2, bias=False)), judge(), POINTS),
}


@pytest.mark.parametrize("core", ["torch", pytest.param("numba", marks=pytest.mark.skipif(not blas(), reason="none"))])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", KNOWN)
def test_the_closed_form_gives_autograds_field(
    name: str, dtype: torch.dtype, core: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, core)
    torch.manual_seed(0)
    game = KNOWN[name]()
    assert (game._kernel is None) == (core == "torch")
    w, batch = game.init(SEEDS).to(dtype), {key: value.to(dtype) for key, value in game.batch(SEEDS, 0).items()}
    F = Oracle(game, SEEDS)
    F._batch, F._drawn = {key: value.double() for key, value in batch.items()}, True
    for player in (None, 0, 1):
        found = game.field(w, batch, player)
        assert found is not None
        wanted = F._gradients(w.double(), player, cross=False)
        error = (found.double() - wanted).norm(dim=1) / wanted.norm(dim=1)
        assert error.max() <= TOLERANCES[dtype]
        pair = game.field(w[1:3].clone(), {key: value[1:3].clone() for key, value in batch.items()}, player)
        assert pair is not None
        assert torch.equal(pair, found[1:3])


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_no_perceptron_is_autograds(name: str) -> None:
    game = UNKNOWN[name]()
    assert game.field(game.init(SEEDS), game.batch(SEEDS, 0), None) is None


def test_a_game_that_plays_otherwise_is_autograds() -> None:
    class Otherwise(ModuleGAN):
        def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
            return tuple(2 * loss for loss in super().losses(players, batch))

    game = KNOWN["ReLU"]()
    other = Otherwise(networks=game.networks, given=game.given, latent=game.latent)
    assert game._closed is not None
    assert other._closed is None
