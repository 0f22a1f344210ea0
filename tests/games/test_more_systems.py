"""BigGAN's parts, a pyramid of GANs, short films, tinted digits: their networks and measures, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.contracts import Oracle
from bench.errors import UserError
from bench.games.networks import networks
from bench.games.tinted_digits import TINTS
from bench.metrics.evaluation import KnownGenerator
from bench.registry import get_game, get_metric

SEEDS = torch.tensor([0, 1])
LARGE = "large-scale[channels=4]"


def test_spectral_norm_is_computed_once_a_minibatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every matrix of both networks, though the discriminator judges twice."""
    calls, real = [], networks.normalised
    monkeypatch.setattr(networks, "normalised", lambda weight, rows: calls.append(0) or real(weight, rows))
    game: Any = get_game(LARGE)
    F = Oracle(game, [0, 1])
    F(game.init(SEEDS), 1)
    matrices = sum(len(layer.matrices) for net in (game.generator, game.discriminator) for layer in net.layers)
    assert len(calls) == matrices


def test_attention_starts_switched_off_and_wakes() -> None:
    game: Any = get_game(LARGE)
    w = game.init(SEEDS)
    gain = next(part for part in game.tensors[0] if part.shape == (1,))
    assert (w[:, gain.columns] == 0).all()
    assert (Oracle(game, [0, 1])(w)[:, gain.columns] != 0).all()


def test_the_class_is_seen_by_both_players() -> None:
    game: Any = get_game(LARGE)
    w = game.init(SEEDS)
    latents = game.judged_latents(SEEDS, 32)
    other = latents.clone()
    other[:, game.latent :] = latents[:, game.latent :].roll(1, 1)
    generator = w[:, : game.sizes[0]]
    assert not torch.allclose(game.generator(generator, latents), game.generator(generator, other))
    batch = dict(game.batch(SEEDS, 0))
    players = tuple(torch.split(w, list(game.sizes), 1))
    before = game.losses(players, batch)[1]
    batch["class"] = batch["class"].roll(1, 1)
    assert not torch.allclose(game.losses(players, batch)[1], before)


def test_orthogonal_regularisation_is_player_0s_alone_and_0_for_orthogonal_rows() -> None:
    plain, weighed = (get_game(f"{LARGE[:-1]},spectral=false,orthogonal={weight}]") for weight in (0, 1))
    w = plain.init(SEEDS)
    players, batch = tuple(torch.split(w, list(plain.sizes), 1)), plain.batch(SEEDS, 0)
    first, second = (game.losses(players, batch) for game in (plain, weighed))
    assert (second[0] > first[0]).all()
    assert torch.equal(first[1], second[1])


def test_truncation_bounds_judged_latents_alone() -> None:
    game: Any = get_game(f"{LARGE[:-1]},truncation=0.5]")
    judged = game.judged_latents(SEEDS, 64)[:, : game.latent]
    assert judged.abs().max() == 0.5
    assert game.batch(SEEDS, 0)["latent"].abs().max() > 0.5


def test_the_levels_of_a_pyramid_do_not_meet_in_training() -> None:
    """The gradient of a level's networks depends on no other level's: the Jacobian is block diagonal."""
    game: Any = get_game("laplacian-pyramid[width=16,batch_size=16]")
    w = game.init(SEEDS)
    field = Oracle(game, [0, 1])(w)
    first = game.networks[0][0].size
    moved = w.clone()
    moved[:, :first] += 0.1
    other = Oracle(game, [0, 1])(moved)
    same = (other == field).all(0)
    border = game.sizes[0]
    judge = game.networks[1][0].size
    assert same[first:border].all()
    assert same[border + judge :].all()
    assert not same[:first].all()
    assert not same[border : border + judge].all()


def test_a_pyramids_losses_are_those_of_its_levels() -> None:
    game: Any = get_game("laplacian-pyramid[width=16,batch_size=16]")
    w, batch = game.init(SEEDS), game.batch(SEEDS, 0)
    players = tuple(torch.split(w, list(game.sizes), 1))
    own = other = torch.zeros(2)
    for level in range(3):
        blurred = [batch[f"blurred {level}"]] if level else []
        generator, judge = (game.networks[player][level] for player in (0, 1))
        made = generator(game.split(0, players[0])[level], torch.cat([batch[f"latent {level}"], *blurred], 1))
        fake = made + blurred[0] if level else made
        real = batch[f"real {level}"]
        parameters = game.split(1, players[1])[level]
        logits = [judge(parameters, torch.cat([*blurred, x], 1)).squeeze(1) for x in (real, fake)]
        own = own + (logits[1] - 1).square().mean(1) / 2
        other = other + ((logits[0] - 1).square().mean(1) + logits[1].square().mean(1)) / 2
    torch.testing.assert_close(game.losses(players, batch), (own, other))


def test_films_go_straight_on_and_all_differ() -> None:
    game: Any = get_game("clips")
    films = game.films.view(64, 6, 8, 8)
    assert len(films.flatten(1).unique(dim=0)) == 64
    assert ((films == 1).sum((2, 3)) == 4).all()
    for film in films:
        steps = {
            tuple(shift) for shift in ((0, 1), (1, 0), (0, -1), (-1, 0))
            if all(torch.equal(film[t + 1], film[t].roll(shift, (0, 1))) for t in range(5))
        }  # fmt: skip
        assert len(steps) == 1


def test_a_sample_is_the_film_that_it_is_near() -> None:
    game: Any = get_game("clips")
    exact = game.perfect(SEEDS, 256)
    assert get_metric("valid_clips")(game, torch.zeros(2, sum(game.sizes)), KnownGenerator(game, [0, 1])).min() == 1
    noisy = exact + 0.05 * torch.randn(exact.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(game.counted(noisy), game.counted(exact))
    assert game.counted(exact.roll(64 * 2, 2)).sum() == 0  # its frames do not follow each other
    assert game.counted(torch.full_like(exact, -1.0)).sum() == 0
    assert game.counted(torch.full_like(exact, float("nan"))).sum() == 0


def test_a_digits_tint_is_its_classs() -> None:
    game: Any = get_game("tinted-digits")
    images = game.images[None]
    from bench.games.data.classifiers import digits

    assert (game.tint_of(images)[0] == digits()[1]).all()
    assert TINTS.amax(1).tolist() == [1.0] * 10
    grey = game.compared_parts({"made": images})[0].images[0]
    torch.testing.assert_close(grey, digits()[0], atol=1e-5, rtol=0)
    F, nothing = KnownGenerator(game, [0, 1]), torch.zeros(2, sum(game.sizes))
    assert get_metric("colour_law")(game, nothing, F).min() > 0.98
    turned = images.view(1, -1, 3, 64).roll(1, 2).flatten(2)
    assert (game.tint_of(turned)[0] == digits()[1]).double().mean() < 0.1


@pytest.mark.parametrize(("spelled", "says"), [
    ("large-scale[orthogonal=-1]", "orthogonal is -1; a number of at least 0 is allowed"),
    ("growing[grown=2]", r"grown is 2; a number in \[0, 1\] is allowed"),
    ("growing[conditional=true]", "conditional and noise are no settings of this game"),
    ("laplacian-pyramid[loss=wgan-gp]", "loss is 'wgan-gp'"),
    ("clips[frames=9]", "frames is 9; from 2 to 8 are allowed"),
])  # fmt: skip
def test_what_is_refused(spelled: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        get_game(spelled)


@pytest.mark.parametrize("name", ["growing", "large-scale", "laplacian-pyramid"])
def test_the_larger_size_plays_on_28_pixels(name: str) -> None:
    game: Any = get_game(f"{name}[size=mnist,batch_size=16]")
    if game.missing:
        pytest.skip(game.missing)
    assert Oracle(game, [0, 1])(game.init(SEEDS)).isfinite().all()
    assert game.generate(game.init(SEEDS), SEEDS, 16).shape == (2, 16, 784)
