"""Networks as people write them: unwrapped, normalised, random, conditional, packed, with losses of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as hooked_norm

from bench.checks.game_laws import GAME_LAWS
from bench.checks.laws import replicas_do_not_touch, step_is_pure
from bench.contracts import Oracle
from bench.errors import UserError
from bench.games.harness.gan_game import gan_game, speed
from bench.games.harness.modules import ImageGAN, ModuleGAN
from bench.registry import get_rule

POINTS = torch.randn(300, 2, generator=torch.Generator().manual_seed(5)) + torch.tensor([1.0, -1.0])
IMAGES = torch.rand(120, 3, 32, 32, generator=torch.Generator().manual_seed(6)) * 2 - 1
LABELS = torch.arange(300) % 3


class TutorialGenerator(nn.Module):
    """A DCGAN's generator at 32 x 32, as tutorials write it: one Sequential in a module."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(16, 2 * width, 4, 1, 0, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(True),
            nn.ConvTranspose2d(2 * width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(True),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
            nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


class TutorialDiscriminator(nn.Module):
    """Its discriminator, whose logits are flattened; it may end in a sigmoid."""

    def __init__(self, width: int = 4, norm: Any = None, ends: nn.Module | None = None) -> None:
        super().__init__()
        norm = norm or (lambda layer: layer)
        self.features = nn.Sequential(
            norm(nn.Conv2d(3, width, 4, 2, 1, bias=False)), nn.LeakyReLU(0.2, inplace=True),
            norm(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False)), nn.LeakyReLU(0.2, inplace=True),
        )  # fmt: skip
        self.head = nn.ModuleList([norm(nn.Linear(2 * width * 64, 1)), ends or nn.Identity()])

    def forward(self, x: Tensor) -> Tensor:
        h = self.features(x)
        h = h.view(h.size(0), -1)
        for part in self.head:
            h = part(h)
        return h.view(-1)


def points_generator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))


def points_discriminator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))


def on_points(generator: Any = None, discriminator: Any = None, loss: Any = "hinge", **options: Any) -> ModuleGAN:
    given = {"data": POINTS, "batch_size": 16} | options
    return gan_game(generator or points_generator(), discriminator or points_discriminator(), loss, **given)


def laws_hold(game: ModuleGAN) -> None:
    for law in GAME_LAWS:
        law(game)
    rule = get_rule("alternating[direction=adam]")
    replicas_do_not_touch(rule, game)
    step_is_pure(rule, game)


# --- unwrapping ------------------------------------------------------------------------------------------------------


def test_a_module_around_layers_is_unwrapped() -> None:
    game = gan_game(TutorialGenerator(), TutorialDiscriminator(), "non-saturating", IMAGES, batch_size=16)
    assert [network.why for network in game.networks] == ["", ""]
    assert speed(game).startswith("both batched")
    assert isinstance(game, ImageGAN)
    assert game.shape == (32, 32)
    assert game.planes == 3


class Twice(nn.Module):
    """Calls its parts in an order that is not theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = nn.Linear(16, 16), nn.Linear(2, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.last(self.first(x)))


class Skipping(Twice):
    """Adds what it skipped."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.out(self.last(h) + h)


@pytest.mark.parametrize("module", [Twice, Skipping])
def test_what_does_more_than_call_its_parts_is_not(module: type[nn.Module]) -> None:
    game = on_points(discriminator=module())
    assert game.networks[1].why
    laws_hold(game)


# --- spectral normalisation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [hooked_norm, parametrizations.spectral_norm])
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_spectral_normalisation_is_that_of_torch(norm: Any) -> None:
    """Torch's own, after iterations enough to know the singular value, gives the same logits."""
    torch.manual_seed(3)
    module = TutorialDiscriminator(norm=lambda layer: norm(layer, n_power_iterations=8))
    game = gan_game(TutorialGenerator(), lambda: TutorialDiscriminator(norm=norm), "hinge", IMAGES, batch_size=16)
    network = game.networks[1]
    assert len(network.given.normalised) == 3
    assert network.why == ""
    assert game.sizes[1] == gan_game(TutorialGenerator(), TutorialDiscriminator(), "hinge", IMAGES).sizes[1]
    with torch.no_grad():
        for _ in range(50):
            module.train()(IMAGES[:4])
        expected = module.eval()(IMAGES[:16])
    from bench.games.networks.spectral import without_spectral_norm

    without_spectral_norm(module)
    row = network.row([*module.parameters()])[None]
    found = network(row, IMAGES[:16].movedim(0, -1)[None])[0, 0]
    assert (found - expected).abs().max() <= 0.05 * expected.abs().max()
    laws_hold(game)


def test_spectral_asks_for_all_weights_and_the_given_module_for_its_own() -> None:
    asked = on_points(spectral=True)
    written = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(2, 16)), nn.LeakyReLU(0.2),
        parametrizations.spectral_norm(nn.Linear(16, 1)),
    )  # fmt: skip
    by_hand = on_points(discriminator=written)
    seeds = torch.tensor([0, 1])
    w = asked.init(seeds)
    assert torch.equal(w, by_hand.init(seeds))
    for game in (asked, by_hand):
        assert torch.equal(Oracle(game, seeds)(w), Oracle(asked, seeds)(w))
    assert not torch.equal(Oracle(on_points(), seeds)(w), Oracle(asked, seeds)(w))


# --- random numbers --------------------------------------------------------------------------------------------------


class Gumbel(nn.Module):
    """Ends in a Gumbel-softmax, as generators of tables do."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Linear(4, 2)

    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.gumbel_softmax(self.main(z), tau=0.5)


def dropout() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.5), nn.Linear(16, 1))


@pytest.mark.parametrize("players", [{"discriminator": dropout}, {"generator": Gumbel, "discriminator": dropout}])
@pytest.mark.parametrize("loss", ["hinge", "wgan-gp"])
def test_random_layers_draw_by_the_replicas_seed(players: dict[str, Any], loss: str) -> None:
    game = on_points(**{who: make() for who, make in players.items()}, loss=loss, data=POINTS.sigmoid())
    laws_hold(game)
    seeds = torch.tensor([3, 4])
    F, w = Oracle(game, seeds), game.init(seeds)
    first, again = F(w), F(w)
    assert torch.equal(first, again), "one draw, one mask"
    F.new_batch()
    assert not torch.equal(F(w), first)
    state = torch.get_rng_state()
    game.generate(w, seeds, 32)
    assert torch.equal(torch.get_rng_state(), state)


# --- classes ---------------------------------------------------------------------------------------------------------


class ByEmbedding(nn.Module):
    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.told, self.main = nn.Embedding(3, 5), nn.Linear(fan_in + 5, fan_out)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.main(torch.cat([x, self.told(labels)], 1))


class ByOneHot(nn.Module):
    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.main = nn.Linear(fan_in + 3, fan_out)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.main(torch.cat([x, labels], 1))


@pytest.mark.parametrize(("kind", "way"), [(ByEmbedding, "index"), (ByOneHot, "one-hot")])
def test_conditional_networks_are_told_the_datas_labels(kind: Any, way: str) -> None:
    game = on_points(kind(4, 2), kind(2, 1), data=(POINTS, LABELS), loss="non-saturating")
    assert game.conditional
    assert [network.given.labels for network in game.networks] == [way, way]
    laws_hold(game)
    seeds = torch.tensor([7])
    w, batch = game.init(seeds), game.batch(seeds, 0)
    assert batch is not None
    modules, start = [], 0
    for network, size in zip(game.networks, game.sizes, strict=True):
        module, row = kind(*((4, 2) if not start else (2, 1))), w[0, start : start + size]
        parts = torch.split(row, network.layout)[::2]
        with torch.no_grad():
            for parameter, part in zip(module.parameters(), parts, strict=True):
                parameter.copy_(part.view(parameter.shape))
        modules.append(module)
        start += size
    classes = batch["class"][0].T
    told = classes.argmax(1) if way == "index" else classes
    fake = modules[0](batch["latent"][0].T, told)
    expected = softplus(-modules[1](batch["real"][0].T, told)).mean() + softplus(modules[1](fake, told)).mean()
    assert torch.allclose(game.losses(w.split(list(game.sizes), 1), batch)[1][0], expected, atol=1e-5)
    points = {tuple(point): int(label) for point, label in zip(POINTS.tolist(), LABELS, strict=True)}
    assert all(points[tuple(x)] == int(k) for x, k in zip(batch["real"][0].T.tolist(), classes.argmax(1), strict=True))


def test_labels_that_are_not_there_are_asked_for() -> None:
    with pytest.raises(UserError, match=r"generator takes labels.*the data have none"):
        on_points(ByEmbedding(4, 2), ByEmbedding(2, 1))


# --- packs and losses ------------------------------------------------------------------------------------------------


def test_packs_are_judged_as_one() -> None:
    judge = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    laws_hold(on_points(discriminator=judge, pac=4))

    class Packing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.main(x.view(-1, 8))

    laws_hold(on_points(discriminator=Packing(), pac=4))
    with pytest.raises(UserError, match="gives 4 values for 16 samples; if it judges 4 as one, give pac=4"):
        on_points(discriminator=Packing())


def test_losses_of_ones_own() -> None:
    seeds = torch.tensor([0, 1])
    named = on_points(loss="non-saturating")
    w = named.init(seeds)

    def field(loss: Any) -> Tensor:
        return Oracle(on_points(loss=loss), seeds)(w)

    pair = (
        lambda fake: softplus(-fake).mean(),
        lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
    )
    expected = Oracle(named, seeds)(w)
    assert torch.allclose(field(pair), expected, atol=1e-6)
    assert torch.equal(field(nn.BCEWithLogitsLoss()), expected)
    squares = Oracle(on_points(loss="lsgan"), seeds)(w)
    assert torch.allclose(field(nn.MSELoss()), 2 * squares, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (nn.BCELoss(), "takes probabilities"),
        (nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)), "with pos_weight"),
        (nn.MSELoss(reduction="sum"), "reduction 'sum'"),
        (3.5, "loss is a float; a name"),
        ((lambda fake: fake, lambda real, fake: fake.mean()), "the generator's loss on logits"),
        ((lambda fake: fake.mean(), lambda real, fake: real.mean() * 0), "the discriminator's loss gives 0"),
        ((lambda fake: fake.mean(), lambda real, fake: (fake - 9).log().mean()), "the discriminator's loss gives nan"),
    ],
)
def test_losses_that_are_none(loss: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        on_points(loss=loss)
    assert "\n" not in str(caught.value)


class Sigmoidal(nn.Module):
    """Ends in a sigmoid, in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.main = points_discriminator()

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.main(x))


class Gated(nn.Module):
    """A gate within: its logits are not bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.last = nn.Linear(2, 8), nn.Linear(2, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)) * torch.sigmoid(self.gate(x)))


@pytest.mark.parametrize("loss", ["minimax", "non-saturating", "relativistic", nn.BCEWithLogitsLoss()])
def test_a_sigmoid_is_seen_wherever_it_stands(loss: Any) -> None:
    with pytest.raises(UserError, match="leave the sigmoid out"):
        on_points(discriminator=Sigmoidal(), loss=loss)
    ends = TutorialDiscriminator(ends=nn.Sigmoid())
    with pytest.raises(UserError, match="leave the sigmoid out"):
        gan_game(TutorialGenerator(), ends, loss, IMAGES, batch_size=16)
    on_points(discriminator=Gated(), loss=loss)
    on_points(discriminator=Sigmoidal(), loss="lsgan")


# --- functions that make networks ------------------------------------------------------------------------------------


def test_functions_are_tried_twice() -> None:
    made = points_generator()
    rng = np.random.default_rng(0)

    def by_numpy() -> nn.Module:
        module = points_generator()
        module[0].weight.data = torch.from_numpy(rng.normal(0, 0.02, (16, 4))).float()
        return module

    def the_same() -> nn.Module:
        module = points_generator()
        for parameter in module.parameters():
            parameter.data.fill_(0.1)
        return module

    def unseeded(part: nn.Module) -> None:
        for parameter in part.parameters(recurse=False):
            parameter.data = torch.from_numpy(rng.normal(size=parameter.shape)).float()

    for make, says in (
        (lambda: made, "gives the same module every time"),
        (by_numpy, "starts otherwise with the same seed"),
        (the_same, "starts the same for every seed"),
        (lambda: 3, "a function that gives a int"),
    ):
        with pytest.raises(UserError, match=says):
            on_points(generator=make)
    with pytest.raises(UserError, match="starts otherwise with the same seed"):
        on_points(init=unseeded)


# --- judged by samples -----------------------------------------------------------------------------------------------


def ring() -> Tensor:
    angles = torch.arange(2000) * (2 * torch.pi / 8)
    noise = 0.05 * torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
    return 2 * torch.stack([angles.cos(), angles.sin()], 1) + noise


def test_a_generator_that_moved_to_the_data_beats_one_that_stood_still() -> None:
    """Whatever the gradient's length is: an untrained GAN has a small one."""
    game = gan_game(points_generator(), points_discriminator(), "non-saturating", ring())
    assert game.score == "sliced_wasserstein"
    assert game.learned is not None
    seeds = torch.arange(4)
    rule, F, w = get_rule("alternating[direction=adam,lr=0.003]"), Oracle(game, seeds), game.init(seeds)
    start, s = game.distance(game.generate(w, seeds, 1000)), rule.init(w)
    for _ in range(600):
        w, s = rule.step(F, w, s)
        F.new_batch()
    assert (game.distance(game.generate(w, seeds, 1000)) < 0.7 * start).all()


def test_columns_of_a_table_count_alike() -> None:
    table = torch.randn(500, 5, generator=torch.Generator().manual_seed(2)) * torch.tensor([1e4, 1.0, 1.0, 1.0, 1e-3])
    maker = lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 5))  # noqa: E731
    judge = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
    game = gan_game(maker(), judge, "hinge", table)
    real = game.held_out(50)[None]
    off = [real + 0.5 * table.std(0) * torch.eye(5)[column] for column in range(5)]
    distances = torch.stack([game.distance(samples) for samples in off])
    assert distances.max() < 1.5 * distances.min()
