"""The GAN harness: regularisers, clipping, normalisation, noise, classes, against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.checks.game_laws import GAME_LAWS
from bench.checks.laws import cost_is_declared, replicas_do_not_touch, step_is_pure
from bench.contracts import Oracle
from bench.errors import UserError
from bench.execution.training import execute
from bench.games.harness.gan import GAN
from bench.games.harness.losses import LOSSES
from bench.games.harness.regularisers import REGULARISERS
from bench.games.networks.networks import MLP
from bench.registry import get_game, get_rule
from bench.studies.plan import Row, Task

TINY = "ring8[width=16,batch_size=16,latent=4,"
VARIANTS = [
    *(f"{TINY}loss={name}]" for name in LOSSES),
    *(f"{TINY}regulariser={name}]" for name in REGULARISERS),
    f"{TINY}spectral=true]",
    f"{TINY}noise=0.1,loss=wgan-gp]",
    "digits[width=16,batch_size=16,conditional=true]",
]


@pytest.mark.parametrize("spelled", VARIANTS)
def test_every_variant_obeys_the_laws(spelled: str) -> None:
    game = get_game(spelled)
    for law in GAME_LAWS:
        law(game)
    for rule in ("alternating[lr=0.01]", "consensus[lr=0.01]"):
        for law in (replicas_do_not_touch, cost_is_declared, step_is_pure):
            law(get_rule(rule), game)


@pytest.mark.parametrize("spelled", VARIANTS)
def test_one_players_loss_alone_is_that_of_both(spelled: str) -> None:
    game = get_game(spelled)
    F = Oracle(game, [1, 2])
    w = game.init(F.seeds)
    whole = F(w)
    assert torch.allclose(F(w, 0) + F(w, 1), whole, atol=1e-6)


def critic(game: GAN, w: Tensor, r: int, points: Tensor) -> Tensor:
    """D of one replica at points [N, 2]: [N]."""
    return game.discriminator(w[r : r + 1, game.sizes[0] :], points.T[None])[0, 0]


@pytest.mark.parametrize("name", ["r1", "r2", "gradient-penalty"])
def test_regularisers_by_their_definition(name: str) -> None:
    game, plain = get_game(f"{TINY}regulariser={name},gamma=3]"), get_game(f"{TINY}regulariser=none]")
    F = Oracle(game, [1, 2])
    w = game.init(F.seeds)
    players = tuple(w[:, block] for block in F.blocks)
    batch = F.batch(w)
    added = game.losses(players, batch)[1] - plain.losses(players, batch)[1]
    for r in range(2):
        real, fake = batch["real"][r].T, game.generator(players[0][r : r + 1], batch["latent"][r : r + 1])[0].T
        mix = batch["mix"][r][:, None] if name == "gradient-penalty" else None
        points = {"r1": real, "r2": fake}.get(name)
        if points is None:
            points = mix * real + (1 - mix) * fake
        points = points.detach().requires_grad_()
        slopes = torch.autograd.grad(critic(game, w, r, points).sum(), points)[0].norm(dim=1)
        expected = 3 * ((slopes - 1) ** 2).mean() if name == "gradient-penalty" else 3 * (slopes**2).mean() / 2
        assert torch.allclose(added[r], expected, atol=1e-5)


def test_wgan_gp_is_wgan_with_its_penalty_and_no_clipping() -> None:
    game = get_game(f"{TINY}loss=wgan-gp]")
    other = get_game(f"{TINY}loss=wgan,regulariser=gradient-penalty,gamma=10]")
    w = game.init(torch.tensor([1, 2]))
    inside = other.project(w)  # gradients are taken there
    assert torch.equal(Oracle(game, [1, 2])(inside), Oracle(other, [1, 2])(inside))
    assert torch.equal(game.project(w), w)
    assert not torch.equal(other.project(w), w)


def test_clipping_bounds_the_discriminator_alone_through_training() -> None:
    game = get_game(f"{TINY}loss=wgan]")
    w = game.init(torch.tensor([1, 2]))
    border = game.sizes[0]
    assert torch.equal(game.project(w)[:, :border], w[:, :border])
    assert game.project(w)[:, border:].abs().max() <= 0.01
    rows = [Row(0, (("lr", 0.05),)), Row(1, (("lr", 0.05),))]
    (chunk,) = Task("sgd", f"{TINY}loss=wgan]", 30, evaluations=3, device="cpu").chunks(rows, "report")
    norms = [r["value"] for r in execute(chunk).records if r["metric"] == "discriminator_loss" and r["cost"] > 0]
    assert norms
    assert max(map(abs, norms)) < 0.1, "a clipped critic of three layers hardly tells anything apart"


def test_spectral_normalisation_gives_every_layer_norm_1() -> None:
    net = MLP((5, 7, 6, 1), "none", spectral=True)
    parameters = net.init(torch.tensor([1, 2, 3]), "net").double()
    x, y = torch.randn(2, 3, 5, 4000, dtype=torch.float64)
    slope = (net(parameters, x) - net(parameters, y)).norm(dim=1) / (x - y).norm(dim=1)
    for r in range(3):
        weights = [part[r].view(*shape) for part, shape in zip(
            torch.split(parameters, net.layout, dim=1)[::4], [(7, 5), (6, 7), (1, 6)], strict=True
        )]  # fmt: skip
        product = torch.eye(5).double()
        for weight in weights:
            product = weight / torch.linalg.matrix_norm(weight, 2) @ product
        assert slope[r].max() <= torch.linalg.matrix_norm(product, 2) * 1.1  # a few power iterations are nearly exact
        assert slope[r].max() <= 1.1


def test_instance_noise_is_added_to_both_sides() -> None:
    game, plain = get_game(f"{TINY}noise=0.5]"), get_game(f"{TINY[:-1]}]")
    batch, without = game.batch(torch.tensor([1, 2]), 0), plain.batch(torch.tensor([1, 2]), 0)
    assert torch.equal(batch["real"], without["real"])
    assert 0.3 < batch["real noise"].std() < 0.7
    assert not torch.equal(batch["real noise"], batch["fake noise"])


def test_a_conditional_game_tells_the_class() -> None:
    game = get_game("digits[width=16,batch_size=16,conditional=true]")
    seeds = torch.tensor([1, 2])
    w, batch = game.init(seeds), game.batch(seeds, 0)
    assert batch["class"].shape == (2, 10, 16)
    assert torch.equal(batch["class"].argmax(1), game.labels(seeds, 0))
    samples = game.generate(w, seeds, 20)
    assert samples.shape == (2, 20, 64)
    assert get_game("digits[width=16]").sizes[0] < game.sizes[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ring8[loss=wgna]", "loss is 'wgna'; did you mean wgan"),
        ("ring8[regulariser=r3]", "regulariser is 'r3'; did you mean r"),
        ("ring8[noise=-1]", "noise is -1; a deviation of at least 0"),
        ("ring8[conditional=true]", "its data have no classes"),
        ("ring8[batch_size=10]", "a multiple of 16"),
    ],
)
def test_mistakes(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        get_game(text)
