"""The field in closed form is what autograd finds: in float64, for every loss, network and player."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bench.contracts import Explicit, Oracle
from bench.games.harness.gan import DISCRIMINATOR, GAN, GENERATOR
from bench.games.harness.images import DigitsImages
from bench.games.harness.losses import LOSSES
from bench.games.harness.regularisers import REGULARISERS
from bench.games.networks.backward import SLOPES, closed
from bench.games.networks.layers import ACTIVATIONS, Activation, BatchNorm, Conv2d, Linear, Reshape
from bench.games.networks.networks import MLP, Network
from bench.games.ring8 import Ring8
from bench.registry import games, get_game

R = 4
CLOSED = [name for name, loss in LOSSES.items() if loss.slopes is not None]


def oracle(game: GAN) -> tuple[Oracle, Tensor]:
    """An oracle on a minibatch of float64, and where the players start."""
    seeds = torch.arange(R)
    F, batch = Oracle(game, seeds), game.batch(seeds, 3)
    F._batch, F._drawn = {key: value.double() for key, value in batch.items()}, True
    return F, game.init(seeds).double()


@pytest.mark.parametrize("player", [None, GENERATOR, DISCRIMINATOR])
@pytest.mark.parametrize(
    "keys", ["", "noise=0.1", "depth=3,width=48", "depth=1,batch_size=16,latent=5", "spectral=true"]
)
@pytest.mark.parametrize("loss", CLOSED)
def test_it_is_what_autograd_finds(loss: str, keys: str, player: int | None) -> None:
    game = get_game(f"ring8[loss={loss},regulariser=none{',' * bool(keys)}{keys}]")
    F, w = oracle(game)
    found = game.field(w, F.batch(w), player)
    torch.testing.assert_close(found, F._gradients(w, player, cross=False), rtol=1e-12, atol=1e-15)


@dataclass(frozen=True)
class Bent(Ring8):
    """Ring8 with other activations."""

    name = "bent"
    between: str = "relu"
    output: str = "none"

    @property
    def generator(self) -> Network:
        return MLP((self.latent, self.width, 2), self.between, self.output)

    @property
    def discriminator(self) -> Network:
        return MLP((2, self.width, self.width, 1), self.between, self.output)


@pytest.mark.parametrize("output", ["none", "tanh"])
@pytest.mark.parametrize("between", SLOPES)
def test_every_activation_that_it_knows(between: str, output: str) -> None:
    game = Bent(between=between, output=output)
    F, w = oracle(game)
    found = game.field(w, F.batch(w), None)
    torch.testing.assert_close(found, F._gradients(w, None, cross=False), rtol=1e-12, atol=1e-15)
    assert SLOPES.keys() <= ACTIVATIONS.keys()


@dataclass(frozen=True)
class Doubled(Ring8):
    """Ring8 with a loss of its own."""

    name = "doubled"

    def losses(self, players: tuple[Tensor, ...], batch: object) -> tuple[Tensor, ...]:
        return tuple(2 * loss for loss in super().losses(players, batch))  # type: ignore[arg-type]


def test_a_game_with_a_loss_of_its_own_is_left_to_autograd() -> None:
    (mine, w), (plain, _) = oracle(Doubled()), oracle(Ring8())
    assert mine.game.field(w, mine.batch(w), None) is None  # type: ignore[attr-defined]
    torch.testing.assert_close(mine(w), 2 * plain(w), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("player", [None, GENERATOR, DISCRIMINATOR])
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("regulariser", [name for name in REGULARISERS if name != "none"])
def test_penalties_on_slopes(regulariser: str, noise: float, player: int | None) -> None:
    game = get_game(f"ring8[regulariser={regulariser},gamma=3,noise={noise}]")
    F, w = oracle(game)
    found = game.field(w, F.batch(w), player)
    torch.testing.assert_close(found, F._gradients(w, player, cross=False), rtol=1e-11, atol=1e-14)


@dataclass(frozen=True)
class Convolved(DigitsImages):
    """Digits against convolutions: overlapping and not, with a border and without."""

    name = "convolved"

    @property
    def generator(self) -> Network:
        return Network((*MLP((self.latent + self.told, 12, 64), "relu", "tanh").layers, Reshape((1, 8, 8))))

    @property
    def discriminator(self) -> Network:
        leaky, first = Activation("leaky-relu"), Conv2d(1 + self.told, 12, 3, stride=2, padding=1)
        rest = (Conv2d(12, 6, 2), leaky, Conv2d(6, 4, 3, padding=1), leaky, Reshape((36,)), Linear(36, 1))
        return Network((first, leaky, *rest), spectral=self.spectral)

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        return super().real(seeds, draw).unflatten(1, (1, 8, 8))


@pytest.mark.parametrize("player", [None, GENERATOR, DISCRIMINATOR])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("regulariser", REGULARISERS)
@pytest.mark.parametrize("spectral", [False, True])
def test_convolutions(regulariser: str, conditional: bool, player: int | None, spectral: bool) -> None:
    settings = {"regulariser": regulariser, "conditional": conditional, "spectral": spectral}
    game = Convolved(**settings, gamma=3.0, noise=0.1, batch_size=16)
    F, w = oracle(game)
    found = game.field(w, F.batch(w), player)
    torch.testing.assert_close(found, F._gradients(w, player, cross=False), rtol=1e-11, atol=1e-14)


def test_a_penalty_on_a_bent_network_is_left_to_autograd() -> None:
    game = Bent(between="tanh", regulariser="r1")
    F, w = oracle(game)
    assert game.field(w, F.batch(w), None) is None


@pytest.mark.parametrize("keys", ["maxout=2", "loss=relativistic"])
def test_what_it_does_not_know_is_left_to_autograd(keys: str) -> None:
    game = get_game(f"ring8[{keys}]")
    F, w = oracle(game)
    assert game.field(w, F.batch(w), None) is None
    assert F(w).shape == w.shape


@pytest.mark.parametrize("player", [None, 0, 1])
@pytest.mark.parametrize("name", [name for name in games.names() if isinstance(games[name](), Explicit)])
def test_every_game_that_knows_its_field(name: str, player: int | None) -> None:
    game = get_game(f"{name}[{games[name].tried}]" if games[name].tried else name)
    seeds = torch.arange(R)
    F, w = Oracle(game, seeds), game.init(seeds)
    if game.missing or (found := game.field(w, F.batch(w), player)) is None:  # type: ignore[attr-defined]
        pytest.skip(game.missing or "autograd's, as it stands")
    close = {"rtol": 1e-12, "atol": 1e-12} if w.dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(found, F._gradients(w, player, cross=False), **close)


def test_it_counts_as_autograd_does() -> None:
    F, w = oracle(Ring8())
    F(w), F(w, GENERATOR), F(w, DISCRIMINATOR)
    assert F.cost == 2


def test_what_is_closed() -> None:
    assert closed(Convolved().discriminator)
    assert not closed(Convolved(spectral=True).discriminator)
    assert not closed(Network((Linear(2, 3), BatchNorm(3))))
    assert not closed(Network((Linear(2, 3), Activation("tanh"), Activation("tanh"))))
    assert not closed(Network((Activation("tanh"), Linear(2, 3))))
    assert closed(MLP((2, 3, 1)))
    assert not closed(MLP((2, 3, 1), spectral=True))
    assert not closed(MLP((2, 3, 1), "silu"))
    assert not closed(Network())
