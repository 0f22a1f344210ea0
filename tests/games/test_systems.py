"""Translation, paired translation, few labels, an auxiliary classifier: each against ordinary torch on one replica."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, l1_loss, softplus

import bench
from bench.contracts import Oracle
from bench.errors import UserError
from bench.games.harness.picture_sets import SETS
from bench.metrics.evaluation import Evaluator, KnownGenerator
from bench.registry import get_game, get_metric

ROW, SEEDS = 1, (3, 5, 8)


def drawn(spelled: str) -> tuple[Any, tuple[Tensor, ...], dict[str, Tensor]]:
    """A game in double precision at its start: players and a minibatch."""
    game: Any = get_game(spelled)
    w = game.init(torch.tensor(SEEDS)).double()
    batch = {name: value.double() for name, value in game.batch(torch.tensor(SEEDS), 0).items()}
    return game, tuple(torch.split(w, list(game.sizes), 1)), batch


def one(game: Any, players: tuple[Tensor, ...], player: int, index: int, *entry: int) -> nn.Module:
    """A network of one replica as torch's own modules."""
    module: nn.Module = game.networks[player][index].module(
        game.split(player, players[player])[index][ROW].float(), entry
    )
    return module.double()


def samples_first(h: Tensor) -> Tensor:
    return h[ROW].movedim(-1, 0)


def test_cycle_gans_losses_are_the_papers() -> None:
    game, players, batch = drawn("translation[channels=4,batch_size=16,identity=0.5,norm=true]")
    g, f = (one(game, players, 0, i, 1, 8, 8) for i in (0, 1))
    d_b, d_a = (one(game, players, 1, i, 1, 8, 8) for i in (0, 1))
    a, b = samples_first(batch["a"]), samples_first(batch["b"])
    fake_b, fake_a = g(a), f(b)
    own = ((d_b(fake_b) - 1) ** 2).mean() / 2 + ((d_a(fake_a) - 1) ** 2).mean() / 2
    own = own + 10 * (l1_loss(f(fake_b), a) + l1_loss(g(fake_a), b)) + 5 * (l1_loss(g(b), b) + l1_loss(f(a), a))
    other: Any = 0.0
    for judge, real, fake in ((d_b, b, fake_b), (d_a, a, fake_a)):
        other = other + ((judge(real) - 1) ** 2).mean() / 2 + (judge(fake) ** 2).mean() / 2
    found = game.losses(players, batch)
    torch.testing.assert_close(found[0][ROW], own, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[1][ROW], other, rtol=1e-9, atol=1e-9)


def test_the_two_domains_share_no_picture_and_their_partner_is_hidden() -> None:
    game: Any = get_game("translation")
    images = SETS["small"].training()[0]
    half = len(images) // 2
    a = game.batch(torch.tensor([0]), 0)["a"][0].flatten(0, 2).T
    b = -game.batch(torch.tensor([0]), 0)["b"][0].flatten(0, 2).T
    for pictures, own in ((a, images[:half]), (b, images[half:])):
        assert (torch.cdist(pictures, own).min(1).values < 1e-4).all()
    held = game.held_out_pictures(450)[0]
    assert len(held) == 450
    assert len(images) + len(held) == 1797


def test_pix2pixs_losses_are_the_papers() -> None:
    game, players, batch = drawn("paired-translation[channels=4,batch_size=16,l1=100]")
    first, last = one(game, players, 0, 0, 1, 8, 8), one(game, players, 0, 1, 4, 8, 8)
    judge = one(game, players, 1, 0, 2, 8, 8)
    real, coarse, keep = (samples_first(batch[name]) for name in ("real", "coarse", "keep"))
    torch.testing.assert_close(coarse, nn.Upsample(scale_factor=2)(nn.AvgPool2d(2)(real)))
    fake = last(first(coarse) * keep)
    logits = judge(torch.cat([coarse, fake], 1)), judge(torch.cat([coarse, real], 1))
    ones = torch.ones_like(logits[0])
    own = binary_cross_entropy_with_logits(logits[0], ones) + 100 * l1_loss(fake, real)
    other = binary_cross_entropy_with_logits(logits[1], ones) + binary_cross_entropy_with_logits(logits[0], 0 * ones)
    found = game.losses(players, batch)
    torch.testing.assert_close(found[0][ROW], own, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[1][ROW], other / 2, rtol=1e-9, atol=1e-9)


def test_dropout_is_the_generators_noise() -> None:
    keep = get_game("paired-translation[batch_size=32]").batch(torch.tensor([0, 1]), 0)["keep"]  # type: ignore[index]
    assert set(keep.unique().tolist()) == {0.0, 2.0}
    assert keep.mean() == pytest.approx(1, abs=0.05)
    assert not torch.equal(keep[0], keep[1])


@pytest.mark.parametrize("objective", ["usual", "matching"])
def test_the_losses_with_few_labels_are_the_papers(objective: str) -> None:
    game, players, batch = drawn(f"semi-supervised[width=16,batch_size=16,objective={objective}]")
    generator = one(game, players, 0, 0, 16)
    weights = [part[ROW] for part in game.networks[1][0].weights(players[1])]

    def judge(x: Tensor, side: str) -> tuple[Tensor, Tensor]:
        for place in (0, 1):
            x = nn.functional.leaky_relu(x @ weights[2 * place].T + weights[2 * place + 1], 0.2)
            x = x + samples_first(batch[f"{side} inner"])[:, 16 * place : 16 * place + 16]
        return x, x @ weights[4].T + weights[5]

    seen, real = judge(samples_first(batch["real"]), "real")
    made, fake = judge(generator(samples_first(batch["latent"])) + samples_first(batch["fake"]), "fake")
    labelled = judge(samples_first(batch["labelled"]), "labelled")[1]
    zero = torch.zeros(16, 1, dtype=torch.float64)  # the class "generated", whose logit is 0
    none = torch.full((16,), 10)
    p_fake = cross_entropy(torch.cat([fake, zero], 1), none)
    p_real = -torch.cat([real, zero], 1).softmax(1)[:, :10].sum(1).log().mean()
    other = cross_entropy(labelled, samples_first(batch["told"])) + p_real + p_fake
    own = -torch.cat([fake, zero], 1).softmax(1)[:, :10].sum(1).log().mean()
    if objective == "matching":
        own = ((seen.mean(0) - made.mean(0)) ** 2).mean()
    found = game.losses(players, batch)
    torch.testing.assert_close(found[0][ROW], own, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found[1][ROW], other, rtol=1e-8, atol=1e-8)


def test_the_line_of_the_labels_alone_is_below_all_and_above_chance() -> None:
    game = get_game("semi-supervised[width=16,batch_size=16]")
    (value,) = game.baselines().values()
    assert 0.3 < value < 0.9
    images, labels = game.labelled  # type: ignore[attr-defined]
    assert labels.tolist() == list(range(10))
    assert images.shape == (10, 64)


def test_ac_gans_losses_are_the_papers() -> None:
    game, players, batch = drawn("auxiliary-classifier[width=16,batch_size=16,class_weight=0.5]")
    generator = game.generator.module(players[0][ROW].float(), (26,)).double()
    judge = game.discriminator.module(players[1][ROW].float(), (64,)).double()
    told = samples_first(batch["class"])
    real = judge(samples_first(batch["real"]))
    fake = judge(generator(torch.cat([samples_first(batch["latent"]), told], 1)))
    real_class, fake_class = cross_entropy(real[:, 1:], told), cross_entropy(fake[:, 1:], told)
    own = softplus(-fake[:, 0]).mean() + 0.5 * fake_class
    other = softplus(-real[:, 0]).mean() + softplus(fake[:, 0]).mean() + 0.5 * (real_class + fake_class)
    found = game.losses(players, batch)
    torch.testing.assert_close(found[0][ROW], own, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found[1][ROW], other, rtol=1e-9, atol=1e-9)


def test_a_distance_cannot_see_what_told_class_sees() -> None:
    """Perfect images of the wrong classes: a Frechet distance of 0, no class obeyed."""
    game: Any = get_game("auxiliary-classifier")
    nothing, F = torch.zeros(2, sum(game.sizes)), KnownGenerator(game, [0, 1])
    turned = F.named_samples(nothing, game.judged)["made"].roll(1, 1)
    F._cache[("samples", game.judged)] = {"made": turned}
    assert get_metric("frechet")(game, nothing, F).abs().max() < 3
    assert get_metric("told_class")(game, nothing, F).max() < 0.02


def test_every_conditional_game_is_asked_for_its_class() -> None:
    told = get_metric("told_class")
    assert told.judges(get_game("digits[conditional=true]"))
    assert not told.judges(get_game("digits"))
    game = get_game("digits[conditional=true,width=16]")
    F = Evaluator(game, [0, 1])
    assert told(game, game.init(F.seeds), F).max() < 0.3


@pytest.mark.parametrize(("spelled", "rule", "steps", "least"), [
    ("translation[channels=4]", "alternating[direction=adam,lr=0.01]", 30, 0.3),
    ("paired-translation[channels=4]", "alternating[direction=adam,lr=0.01]", 40, 0.3),
    ("semi-supervised[width=32]", "alternating[direction=adam,lr=0.003]", 60, 3.0),
    ("auxiliary-classifier[width=32]", "alternating[direction=adam,lr=0.004]", 80, 2.0),
])  # fmt: skip
def test_a_few_steps_better_the_score(spelled: str, rule: str, steps: int, least: float) -> None:
    game, update = get_game(spelled), bench.get_rule(rule)
    F = Oracle(game, [0, 1])
    w = game.init(F.seeds)
    metric, s, before = get_metric(game.score), update.init(w), None
    before = metric(game, w, Evaluator(game, F.seeds)).mean()
    for _ in range(steps):
        w, s = update.step(F, w, s)
        F.new_batch()
    after = metric(game, w, Evaluator(game, F.seeds)).mean()
    assert after > least * before if metric.better == "higher" else after < (1 - least) * before


@pytest.mark.parametrize(("spelled", "says"), [
    ("translation[style=turned]", "style is 'turned'; known: moved, negative"),
    ("translation[cycle=-1]", "cycle is -1; a number of at least 0 is allowed"),
    ("translation[size=big]", "size is 'big'; known: mnist, small"),
    ("translation[loss=wgan]", "loss is 'wgan'"),
    ("paired-translation[drop=1]", r"drop is 1; a number in \[0, 0.99\] is allowed"),
    ("paired-translation[batch_size=20]", "batch_size is 20; a multiple of 16 is allowed"),
    ("semi-supervised[labels=60]", "labels is 60; at most 50 a class are allowed"),
    ("semi-supervised[objective=other]", "objective is 'other'; known: matching, usual"),
    ("auxiliary-classifier[conditional=false]", "conditional is false; true is allowed"),
    ("auxiliary-classifier[class_weight=-1]", "class_weight is -1; a number of at least 0 is allowed"),
])  # fmt: skip
def test_what_is_refused(spelled: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        get_game(spelled)


SIZED = ["translation", "paired-translation", "semi-supervised", "auxiliary-classifier"]


@pytest.mark.parametrize("name", SIZED)
def test_the_larger_size_says_which_files_it_needs(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    game = get_game(f"{name}[size=mnist]")
    assert "MNIST" in game.missing
    assert sum(game.sizes) >= sum(get_game(name).sizes)


@pytest.mark.parametrize("name", SIZED)
def test_the_larger_size_plays_on_28_pixels(name: str) -> None:
    game: Any = get_game(f"{name}[size=mnist,batch_size=16]")
    if game.missing:
        pytest.skip(game.missing)
    F = Evaluator(game, [0, 1])
    w = game.init(F.seeds)
    assert F(w).isfinite().all()
    assert game.generate(w, F.seeds, 16).shape == (2, 16, 784)
