"""Image games: sizes without data, the laws with them, networks against nn.Sequential, the proxies of FID in order."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from bench.checks.game_laws import GAME_LAWS
from bench.checks.laws import replicas_do_not_touch
from bench.contracts import Game, Oracle
from bench.errors import UserError
from bench.games.data import loading as data
from bench.games.data.classifiers import RECIPES, load
from bench.games.harness.gan import GAN, SAMPLES
from bench.games.harness.images import CifarImages, Classified, FileImages, Images, stacked_modes
from bench.games.networks.networks import Network
from bench.numerics.distances import debiased_frechet
from bench.numerics.randomness import normal
from bench.registry import games, get_game, get_rule
from bench.registry.build import by_themselves

# Players' numbers by hand from the layers of each game, blocks padded to multiples of 16.
SIZES = {
    "digits": (16 * 64 + 64 + 64 * 64 + 64 + 64 * 64 + 64, 64 * 64 + 64 + 64 * 64 + 64 + 64 + 16),
    "mnist": (
        100 * 128 + 128 + 128 * 128 + 128 + 128 * 784 + 784,
        9 * 64 + 64 + 64 * 9 * 64 + 64 + 3136 * 128 + 128 + 128 + 16,
    ),
    "mnist-small": (32 * 128 + 128 + 128 * 784 + 784, 784 * 128 + 128 + 128 * 128 + 128 + 128 + 16),
    "dcgan-mnist": (
        100 * 6272 + 6272 + 256 + 128 * 64 * 16 + 64 + 128 + 64 * 16 + 16,
        16 * 64 + 64 + 64 * 128 * 16 + 128 + 256 + 6272 + 16,
    ),
    "dcgan-cifar10": (
        100 * 4096 + 4096 + 512 + 256 * 128 * 16 + 128 + 256 + 128 * 64 * 16 + 64 + 128 + 64 * 3 * 16 + 16,
        3 * 64 * 16 + 64 + 64 * 128 * 16 + 128 + 256 + 128 * 256 * 16 + 256 + 512 + 4096 + 16,
    ),
}
SIZES |= {name.replace("mnist", "fashion"): sizes for name, sizes in SIZES.items() if "mnist" in name}
TINY = [
    "mnist[batch_size=16,latent=4]",
    "mnist-small[batch_size=16,latent=4,width=16]",
    "mnist-small[batch_size=16,latent=4,width=16,conditional=true]",
    "fashion-small[batch_size=16,latent=4,width=16,loss=wgan-gp]",
    "dcgan-mnist[batch_size=16,latent=4,channels=16]",
    "dcgan-fashion[batch_size=16,latent=4,channels=16,conditional=true]",
    "dcgan-cifar10[batch_size=16,latent=4,channels=8]",
    "sngan-cifar10[batch_size=16,latent=4,channels=4]",
    "stacked-mnist[batch_size=16,latent=4,channels=16]",
]


def image_game(spelled: str) -> Images:
    return cast("Images", get_game(spelled))


def with_data(spelled: str) -> FileImages:
    """The game, if its images are there."""
    game = cast("FileImages", get_game(spelled))
    if game.missing:
        pytest.skip(game.missing)
    return game


@pytest.fixture
def nothing(monkeypatch: Any, tmp_path: Any) -> None:
    """No image set anywhere."""
    monkeypatch.setenv(data.VARIABLE, str(tmp_path))
    monkeypatch.setattr(data, "PACKAGED", {})


ALL = [name for name in games.names() if isinstance(get_game(name), Images)]
UNBOUNDED = ("growing",)  # its generator ends without tanh, as published
IN_COLOUR = ("stacked-mnist", "tinted-digits")  # whose classes are not those of the grey pictures


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("name", ALL)
def test_without_data_a_game_has_its_sizes_and_generates(name: str) -> None:
    game = image_game(name)
    if name in SIZES:
        assert game.sizes == SIZES[name]
    seeds = torch.tensor([1])
    w = game.init(seeds)
    assert w.shape == (1, sum(game.sizes))
    samples = game.generate(w, seeds, 16)
    assert samples.shape == (1, 16, game.planes * math.prod(game.shape))
    assert samples.abs().max() <= 1 or name in UNBOUNDED
    assert isinstance(game, Classified) == bool(game.classifier and name not in IN_COLOUR)


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize("name", [name for name in ALL if get_game(name).reads_files and name != "folder"])
def test_without_data_a_minibatch_says_what_is_missing_and_a_remedy(name: str) -> None:
    game = cast("FileImages", get_game(name))
    assert "bench data fetch" in game.missing
    with pytest.raises(UserError, match=f"{game.source}: expected .*bench data fetch {game.source}"):
        game.batch(torch.tensor([1]), 0)


@pytest.mark.parametrize("spelled", TINY)
def test_games_obey_the_laws(spelled: str, monkeypatch: Any) -> None:
    game = cast("FileImages", get_game(spelled))
    if game.missing:  # the laws hold on any images
        drawn = torch.Generator().manual_seed(0)
        shape = (100, 3 if game.source == "cifar10" else 1, *game.shape)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=drawn)
        monkeypatch.setattr(data, "load", lambda name: (images, torch.arange(100) % 10))
    for law in GAME_LAWS:
        law(game)
    replicas_do_not_touch(get_rule("alternating[lr=0.01]"), game)


@pytest.mark.parametrize("name", ["mnist", "mnist-small", "dcgan-fashion"])
def test_a_minibatch_is_of_images_for_training_with_their_labels(name: str) -> None:
    game = with_data(f"{name}[conditional=true]")
    seeds = torch.tensor([5, 6])
    batch = game.batch(seeds, 3)
    real = batch["real"].flatten(1, -2)
    assert (real.shape, real.dtype) == ((2, 784, game.batch_size), torch.float32)
    assert (real.min(), real.max()) == (-1, 1)
    images, labels = data.load(game.source)
    every = images.flatten(1)
    for r, b in ((0, 0), (1, 7), (1, game.batch_size - 1)):
        pixels = ((real[r, :, b] + 1) * 127.5).round().to(torch.uint8)
        (place,) = (every == pixels).all(dim=1).nonzero()[:, 0][:1].tolist()
        assert labels[place] == batch["class"][r, :, b].argmax()


def test_stacked_mnist_stacks_three_different_digits() -> None:
    game = with_data("stacked-mnist")
    real = game.real(torch.tensor([5, 6]), 0)
    assert real.shape == (2, 3, 28, 28, game.batch_size)
    every = data.load("mnist")[0].flatten(1)
    for plane in range(3):
        pixels = ((real[1, plane, ..., 4] + 1) * 127.5).round().to(torch.uint8).flatten()
        assert (every == pixels).all(dim=1).any()
    assert not torch.equal(real[:, 0], real[:, 1])


@pytest.mark.parametrize("name", ["digits", "mnist", "stacked-mnist"])
def test_images_to_compare_with_are_real_and_always_the_same(name: str) -> None:
    game = image_game(name) if name == "digits" else with_data(name)
    held = game.held_out(500)
    assert held.shape == (500, game.planes * math.prod(game.shape))
    assert (held.min(), held.max()) == (-1, 1)
    assert torch.equal(held, game.held_out(500))
    if name == "stacked-mnist":
        found = stacked_modes(held[None])
        assert found.captured > 300  # of 500 draws from 1,000 modes, 394 are different


# --- networks --------------------------------------------------------------------------------------------------------


def filled(module: nn.Sequential, net: Network, parameters: Tensor) -> nn.Sequential:
    """The module with one replica's parameters, [size]; both have them in the same order."""
    own = list(module.parameters())
    with torch.no_grad():
        for parameter, part in zip(own, torch.split(parameters, net.layout)[::2], strict=True):
            parameter.copy_(part.view_as(parameter))
    return module


def leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


WRITTEN = {
    "mnist": (
        lambda: nn.Sequential(
            *(nn.Linear(100, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 784), nn.Tanh()),
            nn.Unflatten(1, (1, 28, 28)),
        ),
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 64, 3, 2, 1), leaky(), nn.Conv2d(64, 64, 3, 2, 1), leaky(), nn.Flatten()),
            *(nn.Linear(64 * 7 * 7, 128), leaky(), nn.Linear(128, 1)),
        ),
    ),
    "dcgan-mnist[channels=16]": (
        lambda: nn.Sequential(
            *(nn.Linear(100, 32 * 49), nn.Unflatten(1, (32, 7, 7)), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Tanh()),
        ),
        lambda: nn.Sequential(
            *(nn.Conv2d(1, 16, 4, 2, 1), leaky()),
            *(nn.Conv2d(16, 32, 4, 2, 1), nn.BatchNorm2d(32), leaky(), nn.Flatten(), nn.Linear(32 * 49, 1)),
        ),
    ),
    "sngan-cifar10[channels=4,spectral=false]": (
        lambda: nn.Sequential(
            *(nn.Linear(128, 32 * 16), nn.Unflatten(1, (32, 4, 4)), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3, 1, 1), nn.Tanh()),
        ),
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 4, 3, 1, 1), leaky(), nn.Conv2d(4, 4, 4, 2, 1), leaky()),
            *(nn.Conv2d(4, 8, 3, 1, 1), leaky(), nn.Conv2d(8, 8, 4, 2, 1), leaky()),
            *(nn.Conv2d(8, 16, 3, 1, 1), leaky(), nn.Conv2d(16, 16, 4, 2, 1), leaky()),
            *(nn.Conv2d(16, 32, 3, 1, 1), leaky(), nn.Flatten(), nn.Linear(32 * 16, 1)),
        ),
    ),
}


@pytest.mark.parametrize("spelled", WRITTEN)
def test_networks_are_those_one_would_write_for_one_replica(spelled: str) -> None:
    game: GAN = image_game(spelled)
    seeds = torch.tensor([1, 2])
    w = game.init(seeds)
    players = w[:, : game.sizes[0]], w[:, game.sizes[0] :]
    latent = torch.randn(2, game.latent, 16, generator=torch.Generator().manual_seed(0))
    images = game.generator(players[0], latent)
    logits = game.discriminator(players[1], images)
    for r in range(2):
        G, D = (
            filled(make(), net, own[r])
            for make, net, own in zip(WRITTEN[spelled], (game.generator, game.discriminator), players, strict=True)
        )
        expected = G(latent[r].T)
        torch.testing.assert_close(images[r].movedim(-1, 0), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(logits[r].T, D(expected), rtol=1e-5, atol=1e-5)


def test_dcgan_starts_as_published() -> None:
    game = image_game("dcgan-mnist")
    parts = torch.split(game.generator.init(torch.tensor([1]), "generator"), game.generator.layout, dim=1)[::2]
    weight, bias, scale, shift, kernel = parts[:5]
    assert weight.std() == pytest.approx(0.02, rel=0.02)
    assert kernel.std() == pytest.approx(0.02, rel=0.02)
    assert scale.mean() == pytest.approx(1, abs=0.01)
    assert scale.std() == pytest.approx(0.02, rel=0.2)
    assert not bias.any()
    assert not shift.any()


def test_sngan_is_spectrally_normalised_and_has_the_hinge() -> None:
    game = image_game("sngan-cifar10[channels=4]")
    assert (game.loss, game.spectral, game.discriminator.spectral, game.generator.spectral) == (
        "hinge", True, True, False,
    )  # fmt: skip
    w = game.init(torch.tensor([1]))[:, game.sizes[0] :]
    x = torch.randn(1, 3, 32, 32, 16)
    torch.testing.assert_close(game.discriminator(3 * w, x), game.discriminator(w, x))  # all biases start at 0


def test_samples_are_normalised_by_the_batch_that_they_are_drawn_in() -> None:
    game = image_game("dcgan-mnist[batch_size=16,latent=4,channels=16]")
    seeds = torch.tensor([1, 2])
    w = game.init(seeds)
    many, generator = game.generate(w, seeds, 48), w[:, : game.sizes[0]]
    latent = normal(seeds, SAMPLES, 0, (4, 48), block=1)
    torch.testing.assert_close(many[:, 16:32].mT, game.generator(generator, latent[..., 16:32]).flatten(1, -2))
    others = latent[..., :16] * torch.cat([torch.ones(1), torch.full((15,), 3.0)])
    alike = game.generator(generator, others).flatten(1, -2)[..., 0]
    assert not torch.allclose(many[:, 0], alike)  # the same latent among others


# --- judging ---------------------------------------------------------------------------------------------------------


def blurred(images: Tensor) -> Tensor:
    ink = nn.functional.avg_pool2d(images.view(-1, 1, 28, 28) + 1, 5, stride=1, padding=2)
    return ink.view(-1, 784) - 1


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_proxies_order_real_blurred_and_noise(name: str) -> None:
    game, evaluator = with_data(name), load(name)
    real = game.held_out(5000)
    noise = torch.rand(5000, 784, generator=torch.Generator().manual_seed(1)) * 2 - 1
    collapsed = real[:10].repeat(500, 1)
    features, _ = evaluator.embed(torch.stack([real, blurred(real), noise, collapsed]))
    values = debiased_frechet(features, evaluator.reference).tolist()
    assert values[0] < values[1] / 10 < values[2] / 10
    assert values[0] < values[3] / 10


def test_held_out_images_are_in_no_order_of_difficulty() -> None:
    game, evaluator = with_data("mnist"), load("mnist")
    (images, labels), held = data.load("mnist", train=False), game.held_out(10_000)
    assert not torch.equal(held, images.flatten(1) / 127.5 - 1)
    assert torch.equal(held.sum(dim=1).sort().values, (images.flatten(1) / 127.5 - 1).sum(dim=1).sort().values)
    halves = debiased_frechet(evaluator.embed(held.view(2, 5000, 784))[0], evaluator.reference)
    in_order = debiased_frechet(
        evaluator.embed((images.flatten(1) / 127.5 - 1).view(2, 5000, 784))[0], evaluator.reference
    )
    assert (halves[0] - halves[1]).abs() < (in_order[0] - in_order[1]).abs() / 3
    assert len(labels) == 10_000


def test_stacked_modes_of_real_digits_of_a_few_and_of_none() -> None:
    with_data("mnist")
    images, labels = data.load("mnist", train=False)
    clean = images.flatten(1) / 127.5 - 1
    right = load("mnist").embed(clean[None])[1][0].argmax(dim=1) == labels
    ten = torch.stack([clean[(labels == digit) & right][0] for digit in range(10)])
    modes = torch.arange(1000)
    whole = ten[torch.stack([modes // 100, modes // 10 % 10, modes % 10], dim=1)].flatten(1)
    one = whole[123:124].expand(1000, -1)
    half = torch.cat([whole[:500], whole[:500]])
    broken = whole.clone()
    broken[0, 0] = torch.nan
    found = stacked_modes(torch.stack([whole, one, half, broken]))
    assert found.captured.tolist() == [1000, 1, 500, 0]
    expected = [0, math.log(1000), math.log(2), math.log(1000)]
    assert found.reverse_kl.tolist() == pytest.approx(expected, abs=1e-9)


def test_what_each_class_of_games_is_judged_by() -> None:
    for name in set(ALL) & set(by_themselves(games)):
        game: Game = image_game(name)
        assert isinstance(game, Images)
        assert game.score in (
            "fd_digits",
            "fd_mnist",
            "fd_fashion",
            "stacked_error",
            "pixel_wasserstein",
            "frechet",
            "told_class",
        )
        assert not game.classifier or game.classifier in RECIPES
        assert isinstance(game, CifarImages) == (not game.classifier)


def test_a_step_of_a_rule_changes_both_players() -> None:
    game = with_data("mnist-small[batch_size=16,width=16]")
    F = Oracle(game, [1, 2])
    w = game.init(F.seeds)
    field = F(w)
    for block in F.blocks:
        assert (field[:, block].abs().amax(dim=1) > 0).all()
