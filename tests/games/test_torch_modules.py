"""A network of one replica as a torch module gives what the stacked network gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bench
from bench.contracts import Exportable, Generative
from bench.games.harness.gan import GAN
from bench.games.networks.blocks import InstanceNorm, around
from bench.games.networks.layers import (
    ACTIVATIONS,
    MODULES,
    Activation,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Layer,
    Linear,
    Maxout,
    Reshape,
)
from bench.games.networks.modules import NamedReplica, OneReplica, Plus
from bench.games.networks.named import NamedNetwork
from bench.games.networks.networks import Network
from bench.registry import games, get_game
from bench.registry.build import by_themselves

TOLERANCE = 1e-5


def spelled(name: str, keys: str = "") -> str:
    tried = get_game(name).tried
    parts = [part for part in (tried, keys) if part]
    return f"{name}[{','.join(parts)}]" if parts else name


ALONE = by_themselves(games)
NETWORKED = [name for name in ALONE if isinstance(get_game(name), Exportable)]
KINDS: dict[str, Any] = {name: type(get_game(name)) for name in NETWORKED}
OWN = [name for name, kind in KINDS.items() if "harness" not in kind.torch_modules.__module__]
"""Games that say themselves what their networks take."""
SETTINGS = [
    *(spelled(name) for name in NETWORKED if name not in OWN),
    *(spelled(name, "skip=true") for name in NETWORKED if hasattr(get_game(name), "skip")),
    spelled("digits", "conditional=true"),
    spelled("dcgan-mnist", "conditional=true,spectral=true"),
    spelled("ring8", "batch_norm=true,maxout=5,pac=2,spectral=true"),
    spelled("ring8", "activation=silu:elu,depth=1:3,start=orthogonal[1.4]"),
]


def test_every_game_that_generates_by_networks_is_here() -> None:
    closed = {name for name in ALONE if isinstance(get_game(name), Generative)} - set(NETWORKED)
    assert len(NETWORKED) > 8
    assert "autoregressive" in NETWORKED
    assert not {name for name in closed if isinstance(get_game(name), GAN)}, "networks that cannot be taken home"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_games_networks_are_torch_modules_that_agree(name: str) -> None:
    game: Any = get_game(name)
    w, count = game.init(torch.tensor([3, 4])), min(64, game.drawn)
    w = w + 0.05 * torch.randn(w.shape, generator=torch.Generator().manual_seed(0))  # biases are not 0 in the end
    state = torch.get_rng_state()
    generator, discriminator = game.torch_modules(w[1])
    assert torch.equal(torch.get_rng_state(), state), "random numbers of the caller were drawn"
    samples = generator(game.judged_latents(torch.tensor([5]), count)[0].T)
    assert samples.shape == (count, *game.sample_shape())
    expected_samples = game.generate(w[1:], torch.tensor([5]), count)[0]
    torch.testing.assert_close(samples.flatten(1), expected_samples, atol=TOLERANCE, rtol=0)
    entry = torch.rand(1, *judged(game), 8)
    expected = game.discriminator(w[1:, game.sizes[0] :], entry)[0].T
    taken = entry[0].movedim(-1, 0)
    if len(judged(game)) == 1 and not game.told and len(game.sample_shape()) == 3:
        taken = taken.reshape(8, *game.sample_shape())  # a dense discriminator takes images too
    torch.testing.assert_close(discriminator(taken), expected, atol=TOLERANCE, rtol=0)
    modules = [part for whole in (generator, discriminator) for part in whole.modules()]
    own = [part for part in modules if not type(part).__module__.startswith("torch.nn.modules")]
    named = isinstance(game.generator, NamedNetwork)
    assert all(type(part) is (NamedReplica if named else Plus) for part in own), "not plain torch"
    assert torch.equal(samples.flatten(1), expected_samples) or not named


@pytest.mark.parametrize("name", [*map(spelled, OWN), spelled("strings", "network=gru,spectral=true")])
def test_the_networks_of_a_game_that_says_what_they_take_agree(name: str) -> None:
    game: Any = get_game(name)
    w = game.init(torch.tensor([3]))
    generator, *discriminators = game.torch_modules(w[0])
    samples = generator(game.judged_latents(torch.tensor([5]), 8)[0].T)
    expected = game.generate(w, torch.tensor([5]), 8)
    torch.testing.assert_close(samples.flatten(1), expected[0], atol=TOLERANCE, rtol=0)
    assert isinstance(generator, OneReplica) <= torch.equal(samples, expected[0])
    assert len(discriminators) == game.players - 1
    assert all(discriminator(samples).shape[0] == 8 for discriminator in discriminators)


def test_what_the_discriminator_of_strings_says_of_letters_is_what_it_says_of_them_in_training() -> None:
    game: Any = get_game(spelled("strings"))
    w = game.init(torch.tensor([3]))
    letters = game.perfect(torch.tensor([3]), 8)
    expected = game.discriminator(w[:, game.sizes[0] :], game.told_apart(letters))[0].T
    assert torch.equal(game.torch_modules(w[0])[1](letters[0]), expected)


def test_named_layers_keep_their_names_and_bits_wherever_samples_lie() -> None:
    game: Any = get_game(spelled("growing"))
    w = game.init(torch.tensor([3]))
    module = game.torch_modules(w[0])[0]
    assert {"layers.first.0", "layers.conv2.1", "layers.image0.0"} <= module.state_dict().keys()
    latents = torch.randn(6, game.latent)
    assert torch.equal(module(latents), module(latents.T.contiguous().T))
    module(latents).square().mean().backward()
    reached = {name for name, part in module.named_parameters() if part.grad is not None and part.grad.any()}
    assert "layers.conv2.0" in reached
    assert "layers.image0.0" not in reached  # faded out


def judged(game: Any) -> tuple[int, ...]:
    """The shape that the discriminator's network takes, without the batch."""
    channels, *places = game._generated
    return (game.pac * (channels + game.told), *places)


def test_every_activation_has_torchs_module() -> None:
    assert MODULES.keys() == ACTIVATIONS.keys()
    h = torch.linspace(-30, 30, 101)
    for name in ACTIVATIONS:
        torch.testing.assert_close(MODULES[name]()(h), ACTIVATIONS[name](h))


@dataclass(frozen=True)
class Twice(Layer):
    """A layer that torch lacks: h <- a h + h."""

    features: int

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.features,),)

    @property
    def start(self) -> tuple[tuple[float, float], ...]:
        return ((-1.0, 1.0),)

    def __call__(self, parameters: Any, h: Tensor) -> Tensor:
        (scale,) = parameters
        return scale.unsqueeze(2) * h + h


class Residual(Network):
    """A network with a way of its own."""

    def __call__(self, parameters: Tensor, h: Tensor) -> Tensor:
        return h + super().__call__(parameters, h)


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize(
    ("entry", "layers"),
    [
        ((6,), (Linear(6, 8), Twice(8), Activation("tanh"), Linear(8, 6))),
        ((6,), (Linear(6, 12), Maxout(3), BatchNorm(4), Linear(4, 6))),
        (
            (2, 5, 5),
            (Conv2d(2, 4, 3, 2, 1), BatchNorm(4), ConvTranspose2d(4, 3, 3, 2), Reshape((3, 49)), Reshape((147,))),
        ),
        (
            (2, 8, 8),
            (
                *around(Conv2d(2, 3, 3, 1, 1), BatchNorm(3), Conv2d(3, 4, 4, 2, 1), skip=True),
                *around(Activation("relu"), ConvTranspose2d(4, 4, 4, 2, 1), skip=True),
                *around(InstanceNorm(), Conv2d(4, 4, 3, 1, 1), skip=True),
            ),
        ),
    ],
    ids=["a layer that torch lacks", "maxout", "images", "residual connections"],
)
def test_layers(entry: tuple[int, ...], layers: tuple[Layer, ...], spectral: bool) -> None:
    network = Network(layers, spectral=spectral)
    check(network, entry)
    own = [part for part in network.module(torch.zeros(network.size), entry).modules() if type(part) is OneReplica]
    assert len(own) == sum(isinstance(layer, Twice) for layer in layers)


def test_a_network_with_a_way_of_its_own_is_wrapped_whole() -> None:
    network = Residual((Linear(6, 6), Activation("relu")))
    check(network, (6,))
    assert type(network.module(torch.zeros(network.size), (6,))) is OneReplica


def check(network: Network, entry: tuple[int, ...]) -> None:
    parameters = network.init(torch.arange(2), "network") + 0.1
    h = torch.randn(2, *entry, 16, generator=torch.Generator().manual_seed(1))
    expected = network(parameters, h)
    for r in range(2):
        module = network.module(parameters[r], entry)
        out = module(h[r].movedim(-1, 0)).movedim(0, -1)
        torch.testing.assert_close(out, expected[r], atol=TOLERANCE, rtol=0)
        assert sum(part.numel() for part in module.parameters()) > 0
        assert torch.equal(module.eval()(h[r].movedim(-1, 0)).movedim(0, -1), out), "eval() normalises otherwise"


class Own(nn.Module):
    """A module with a branch, so no stack of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow, self.norm = nn.Linear(4, 8), nn.Linear(8, 2), nn.BatchNorm1d(8)

    def forward(self, z: Tensor) -> Tensor:
        h = self.norm(self.wide(z))
        out: Tensor = self.narrow(h + torch.tanh(h))
        return out


@pytest.mark.parametrize("make", [Own, lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))])
def test_a_game_of_ones_own_gives_the_modules_themselves(make: Any) -> None:
    given = make()
    game = bench.gan_game(given, nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)), "wgan", torch.randn(64, 2))
    w = game.init(torch.tensor([3, 4]))
    generator, discriminator = game.torch_modules(w[1])
    assert type(generator) is type(given)
    assert generator is not given
    assert generator.training
    assert [name for name, _ in generator.named_parameters()] == [name for name, _ in given.named_parameters()]
    out = generator(game.judged_latents(torch.tensor([5]), 32)[0].T)
    expected = game.generate(w[1:], torch.tensor([5]), 32)[0]
    torch.testing.assert_close(out, expected, atol=TOLERANCE, rtol=0)
    logits = game.discriminator(w[1:, game.sizes[0] :], expected.T[None])[0].T
    torch.testing.assert_close(discriminator(expected), logits, atol=TOLERANCE, rtol=0)
