"""Unrolled GANs: the generator's gradient against autograd through one graph of the whole look-ahead, in float64."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contracts import Game, Oracle
from bench.contracts.introspection import stacked
from bench.errors import UserError
from bench.registry import get_game, get_rule
from bench.registry.build import free, spell

LR, INNER, STEPS = 0.05, 0.03, 3
Look = Callable[[Tensor, dict[str, Any]], tuple[Tensor, dict[str, Any]]]


def plain(g: Tensor, s: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    return g, s


def momentum(g: Tensor, s: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    m = 0.9 * s.get("m", 0) + g
    return m, {"m": m}


def adam(g: Tensor, s: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    t = s.get("t", 0) + 1
    m, v = 0.5 * s.get("m", 0) + 0.5 * g, 0.999 * s.get("v", 0) + 0.001 * g**2
    some = v > 0  # the root has no derivative at 0
    root = torch.where(some, v, torch.ones_like(v)).sqrt() * some
    return m / (1 - 0.5**t) / (root / (1 - 0.999**t) ** 0.5 + 1e-8), {"t": t, "m": m, "v": v}


LOOKS: dict[str, Look] = {"plain": plain, "momentum[beta=0.9]": momentum, "adam": adam}
SMALL = "ring8[width=16,depth=1,batch_size=16,latent=4"
GAMES = ["dirac", "quadratic[dim=3]", f"{SMALL}]", f"{SMALL},loss=wgan]", "dirac[loss=wgan,clip=0.3]"]


def oracle(game: Game) -> Oracle:
    """On a minibatch of float64."""
    F = Oracle(game, [0, 1, 2])
    batch = game.batch(F.seeds, 3)
    F._batch, F._drawn = None if batch is None else {key: value.double() for key, value in batch.items()}, True
    return F


def by_one_graph(game: Game, F: Oracle, w: Tensor, k: int, look: Look, first: bool) -> Tensor:
    """STEPS of plain descent by both players, the generator's through k look-ahead steps in one graph."""
    projected: Callable[[Tensor], Tensor] = getattr(game, "project", lambda w: w)
    border, memory = game.sizes[0], dict[str, Any]()

    def gradient(theta: Tensor, phi: Tensor, player: int, by: Tensor, keep: bool = False) -> Tensor:
        loss = game.losses((theta, phi), F._batch)[player].sum()
        return torch.autograd.grad(loss, by, create_graph=keep)[0]

    def clipped(theta: Tensor, phi: Tensor) -> Tensor:
        return projected(torch.cat([theta, phi], 1))[:, border:]

    for _ in range(STEPS):
        theta, phi = (part.detach().requires_grad_() for part in (w[:, :border], w[:, border:]))
        g = gradient(theta, phi, 1, phi)
        moved, kept = clipped(theta, phi - LR * g).detach(), look(g, memory)[1]
        ahead, seen = (moved.requires_grad_(), kept) if first else (phi, memory)
        for _ in range(k):
            d, seen = look(gradient(theta, ahead, 1, ahead, keep=True), seen)
            ahead = clipped(theta, ahead - INNER * d)
        w = torch.cat([theta - LR * gradient(theta, ahead, 0, theta), moved], 1).detach()
        w, memory = projected(w), kept
    return w


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("spelled", GAMES)
def test_the_generators_gradient_goes_through_every_look_ahead_step(
    spelled: str, look: str, k: int, first: bool
) -> None:
    game = get_game(spelled)
    keys = f"k={k},lr={LR},inner_lr={INNER},discriminator_first={str(first).lower()},look_ahead={look}"
    F, rule = oracle(game), get_rule(f"unrolled[{keys}]")
    start = w = F.project(game.init(F.seeds).double())
    s = rule.init(w)
    for _ in range(STEPS):
        w, s = rule.step(F, w, s)
        w = F.project(w)
    expected = by_one_graph(game, F, start, k, LOOKS[look], first)
    assert not torch.allclose(w, start, atol=1e-4)
    torch.testing.assert_close(w, expected, rtol=1e-9, atol=1e-9)
    assert F.cost == STEPS * rule.cost == STEPS * (1 + 1.5 * k)


def test_a_clipped_entry_of_the_discriminator_tells_the_generator_nothing() -> None:
    game = get_game("dirac[loss=wgan,clip=0.3]")
    F, w = Oracle(game, [0]), torch.tensor([[5.0, 0.29]], dtype=torch.float64)
    slopes = []
    for spelled in ("unrolled[k=1,lr=1]", "unrolled[k=0,lr=1]"):
        ahead = torch.tensor([[5.0, 0.3 if F(w)[0, 1] < 0 else -0.3]]).double()
        after, _ = get_rule(spelled).step(F, w if "k=1" in spelled else ahead, get_rule(spelled).init(w))
        slopes.append(5.0 - after[0, 0])
    assert torch.equal(*slopes)


def run(spelled: str, steps: int = 6, rows: list[dict[str, Any]] | None = None) -> Tensor:
    game = get_game(SMALL + "]")
    F, rule = Oracle(game, range(3)), get_rule(spelled)
    w = game.init(F.seeds)
    rule = stacked(rule, rows or [{}] * 3, game)
    s = rule.init(w)
    for _ in range(steps):
        w, s = rule.step(F, w, s)
        F.new_batch()
    return w


def test_the_look_ahead_takes_lr_unless_it_is_given_one() -> None:
    assert torch.equal(run("unrolled[lr=0.02]"), run("unrolled[lr=0.02,inner_lr=0.02]"))
    assert not torch.equal(run("unrolled[lr=0.02]"), run("unrolled[lr=0.02,inner_lr=0.01]"))
    assert torch.equal(run("unrolled[lr=0.02:0.3]"), run("unrolled[lr=0.02:0.3,inner_lr=0.3]"))


def test_every_replica_has_its_own_inner_lr() -> None:
    rows = [{"inner_lr": value} for value in (0.0, 0.01, 0.5)]
    for look in ("plain", "adam"):
        whole = run(f"unrolled[lr=0.02,look_ahead={look}]", rows=rows)
        for r, row in enumerate(rows):
            same = run(f"unrolled[lr=0.02,look_ahead={look}]", rows=[row] * 3)
            assert torch.equal(whole[r], same[r])


def test_each_player_has_its_own_lr() -> None:
    one, other = (run(f"unrolled[lr={lr},direction=adam,look_ahead=adam]", 1) for lr in ("0.01", "0.01:0.001"))
    border = get_game(SMALL + "]").sizes[0]
    start = get_game(SMALL + "]").init(torch.arange(3))
    moves = [(w - start)[:, border:].abs().max() for w in (one, other)]
    assert float(moves[0] / moves[1]) == pytest.approx(10, rel=1e-3)


def test_adams_first_look_ahead_step_is_the_discriminators_own() -> None:
    game = get_game(SMALL + "]")
    rule, F = get_rule("unrolled[lr=0.02,direction=adam,look_ahead=adam]"), Oracle(game, range(3))
    w = game.init(F.seeds)
    s = rule.init(w)
    for _ in range(3):
        w, s = rule.step(F, w, s)
        F.new_batch()
        assert all(torch.equal(s["discriminator"][key], s["look_ahead"][key]) for key in "mvt")


def test_a_dead_unit_passes_nothing_on() -> None:
    game = get_game("ring8[width=16,depth=1,batch_size=16,latent=4,loss=hinge]")
    F, rule = Oracle(game, range(3)), get_rule("unrolled[lr=0.02,direction=adam,look_ahead=adam]")
    w = game.init(F.seeds)
    w = torch.where(w.abs() > 0.4, w.sign() * 100, w)
    assert (F(w, 1)[:, game.sizes[0] :] == 0).any()
    assert rule.step(F, w, rule.init(w))[0].isfinite().all()


def test_what_was_there_before_is_spelled_and_tuned_as_it_was() -> None:
    old = "unrolled[k=5,lr=0.1,discriminator_first=false,direction=plain]"
    assert spell(get_rule("unrolled")) == old
    assert get_rule(old) == get_rule("unrolled") == get_rule("unrolled[inner_lr=0,look_ahead=plain]")
    given = "unrolled[k=2,inner_lr=0.1,look_ahead=adam]"
    assert spell(get_rule(spell(get_rule(given)))) == spell(get_rule(given))
    assert "inner_lr=0.1,look_ahead=adam[" in spell(get_rule(given))
    assert {path for path, kind in free("unrolled").items() if kind.step_size} == {"lr"}
    assert "inner_lr" in free("unrolled")


def test_a_look_ahead_without_a_derivative_is_refused() -> None:
    with pytest.raises(UserError, match=r"look_ahead is torch; a direction with a derivative is allowed"):
        get_rule("unrolled[look_ahead=torch[Adam]]")


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_what_it_went_back_through_is_given_up(activation: str) -> None:
    """Memory would grow at every step if what autograd goes back by held itself: no collector sees that."""
    game = get_game(f"ring8[width=16,batch_size=16,activation={activation}]")
    F, kept = Oracle(game, [3, 1]), list[weakref.ref[Tensor]]()
    with torch.enable_grad():
        ahead = start = game.init(F.seeds).requires_grad_(True)
        for _ in range(3):
            g = F.tracked(ahead, 1)
            kept.append(weakref.ref(g))
            ahead = ahead - 0.1 * g
        torch.autograd.grad(ahead, start, torch.ones_like(ahead))
    del g, ahead
    gc.collect()
    assert [ref() for ref in kept] == [None] * 3
