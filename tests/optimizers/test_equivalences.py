"""Methods that must coincide: the exact equivalences of the literature, over 200 steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import pytest
import torch
from covering import covering
from torch import Tensor

from bench.contracts import Game, Oracle
from bench.contracts.introspection import stacked
from bench.registry import get_game, get_rule, rules
from optimizers.lookahead import Lookahead

SEEDS = (3, 1, 4)
ANY = ["bilinear[dim=3]", "dirac", "ring8[width=16,batch_size=16]"]
LINEAR = ["bilinear[dim=3]", "bilinear[dim=1]"]


def path(spelled: str, game: Any, steps: int, seen: Any = lambda w, s: w) -> list[Tensor]:
    """What is ``seen`` of w and the memory at every step."""
    rule = stacked(get_rule(spelled), [{}] * len(SEEDS), game)
    F = Oracle(game, SEEDS, budget=steps * rule.cost)
    w = game.init(F.seeds)
    s, found = rule.init(w), []
    for _ in range(steps):
        found.append(seen(w, s))
        w, s = rule.step(F, w, s)
        F.new_batch()
    return [*found, seen(w, s)]


def agree(a: list[Tensor], b: list[Tensor], game: Any) -> None:
    tolerance = 1e-9 if game.dtype == torch.float64 else 2e-3
    for t, (one, other) in enumerate(zip(a, b, strict=True)):
        gap = ((one - other).abs() / other.abs().clamp(min=1)).max().item()
        assert gap < tolerance, f"step {t}: {gap:.2g}"


EVERYWHERE = [
    ("unrolled[k=0,lr=0.1]", "sgd[lr=0.1]"),
    ("consensus[lr=0.1,gamma=0]", "sgd[lr=0.1]"),
    ("smoothing[lr=0.1,gamma=0]", "sgd[lr=0.1]"),
    ("sga[lr=0.1,lam=0]", "sgd[lr=0.1]"),
    ("optimistic[lr=0.1,optimism=0]", "sgd[lr=0.1]"),
    ("ode-gan[lr=0.1,order=1,penalty=false]", "sgd[lr=0.1]"),
    ("ode-gan[lr=0.1,order=2,reg=0]", "ode-gan[lr=0.1,order=2,penalty=false]"),
    ("schedule-free[lr=0.1,beta=0]", "sgd[lr=0.1]"),
    ("anderson[inner=sgd[lr=0.1],depth=1]", "sgd[lr=0.1]"),  # restarted at every step
    ("nesterov[lr=0.1,beta=0]", "sgd[lr=0.1]"),
    ("complex-momentum[lr=0.05,beta=0.6,angle=0]", "momentum[lr=0.05,beta=0.6]"),
    (f"complex-momentum[lr=0.05,beta=0.6,angle={pi}]", "momentum[lr=0.05,beta=-0.6]"),
    ("nupi[lr=0.1,kp=0.5]", "optimistic[lr=0.1,optimism=0.5]"),
    ("sgd[lr=0.1,direction=optimistic]", "optimistic[lr=0.1]"),
    ("ttur[lr_g=0.01,lr_d=0.01,direction=adam]", "adam[lr=0.01]"),
    ("sgd[lr=0.01:0.02,direction=adam]", "ttur[lr_g=0.01,lr_d=0.02,direction=adam]"),
    ("torch[Adam,betas=0.5:0.999,lr=0.01]", "adam[lr=0.01]"),
    ("extragrad[lr=0.01,direction=torch[Adam,betas=0.5:0.9]]", "extraadam[lr=0.01]"),
    ("adamw[lr=0.01,weight_decay=0]", "adam[lr=0.01]"),
    ("double-step-extragrad[lr=0.1,gamma=0.1]", "extragrad[lr=0.1]"),
    ("fbf[lr=0.1]", "extragrad[lr=0.1]"),
    ("momentum-extragrad[lr=0.1,beta=0]", "extragrad[lr=0.1]"),
    ("momentum-extragrad[lr=0.1,gamma=0,beta=0.6]", "momentum[lr=0.1,beta=0.6]"),
    ("alternating-extragrad[lr=0.1,gamma=0]", "alternating[lr=0.1,generator_first=true]"),
    ("schedule[inner=adam[lr=0.01],begin=1]", "adam[lr=0.01]"),
    ("extragrad[lr=0.1,own_memory=true]", "extragrad[lr=0.1]"),  # the plain direction has no memory
    ("optimistic-mirror[lr=0.1,mirror=euclidean]", "past-extragrad[lr=0.1]"),
    ("alex-gda[lr=0.1,gamma=1,delta=1]", "alternating[lr=0.1,generator_first=true]"),
    ("chambolle-pock[lr=0.1,theta=0]", "alternating[lr=0.1,generator_first=true]"),
    ("lookahead[inner=sgd[lr=0.1],k=3,alpha=1]", "sgd[lr=0.1]"),
    ("ema[inner=extragrad[lr=0.1]]", "extragrad[lr=0.1]"),
    ("average[inner=extragrad[lr=0.1]]", "extragrad[lr=0.1]"),
]
ON_BILINEAR_GAMES = [
    ("lcgd[lr=0.3]", "extragrad[lr=0.3]"),
    ("consensus[lr=0.3,gamma=0.3]", "extragrad[lr=0.3]"),
    ("sga[lr=0.3,lam=0.3]", "extragrad[lr=0.3]"),
    ("lola[lr=0.3]", "consensus[lr=0.3,gamma=0.6]"),
    ("cgd[lr=0.3,iterations=6]", "proximal-point[lr=0.3,iterations=6]"),
    ("lead[lr=0.2,beta=0,alpha=0.2]", "optimistic[lr=0.2]"),
    ("follow-the-ridge[lr=0.1]", "sgd[lr=0.1]"),  # the follower's Hessian is 0
]


@pytest.mark.parametrize(("one", "other", "game"), covering(EVERYWHERE, ANY))
def test_the_same_everywhere(one: str, other: str, game: str) -> None:
    found = get_game(game)
    steps = 200 if found.dtype == torch.float64 else 20  # float32 networks amplify a rounding
    agree(path(one, found, steps), path(other, found, steps), found)


@pytest.mark.parametrize("game", LINEAR)
@pytest.mark.parametrize(("one", "other"), ON_BILINEAR_GAMES)
def test_the_same_on_bilinear_games(one: str, other: str, game: str) -> None:
    found = get_game(game)
    agree(path(one, found, 200), path(other, found, 200), found)


@pytest.mark.parametrize("rule", [name for name in rules.names() if not isinstance(get_rule(name), Lookahead)])
def test_lookahead_that_goes_all_the_way_is_its_inner_rule(rule: str) -> None:
    game = get_game("bilinear[dim=3]")
    around, inner = path(f"lookahead[inner={rule},k=1,alpha=1]", game, 30), path(rule, game, 30)
    agree(around, inner, game)


@pytest.mark.parametrize("game", ANY)
def test_the_points_of_extrapolation_from_the_past_are_those_of_optimistic_descent(game: str) -> None:
    found, lr = get_game(game), 0.1
    steps = 200 if found.dtype == torch.float64 else 20
    ahead = path(f"past-extragrad[lr={lr}]", found, steps, seen=lambda w, s: w - lr * s["past"])
    agree(ahead, path(f"optimistic[lr={lr},zero_past=true]", found, steps), found)


def test_alex_gda_without_the_second_extrapolation_is_simultaneous_one_step_apart() -> None:
    """Lee et al. 2024: with gamma = 1, delta = 0, (x_t, y_{t-1}) follow simultaneous descent from (x_1, y_0)."""
    game = get_game("bilinear[dim=3]")
    found = torch.stack(path("alex-gda[lr=0.1,gamma=1,delta=0]", game, 50))
    pairs = torch.cat([found[1:, :, :3], found[:-1, :, 3:]], dim=2)
    rule, F, w = get_rule("sgd[lr=0.1]"), Oracle(game, SEEDS), pairs[0]
    for expected in pairs:
        assert torch.allclose(w, expected, atol=1e-12)
        w, _ = rule.step(F, w, {})


def test_the_hyperbolic_entropy_tends_to_the_euclidean_mirror() -> None:
    game = get_game("dirac")
    gaps = []
    for beta in (1e2, 1e3):
        bent = path(f"optimistic-mirror[lr=0.1,beta={beta}]", game, 100)
        flat = path("past-extragrad[lr=0.1]", game, 100)
        gaps.append((torch.stack(bent) - torch.stack(flat)).abs().max().item())
    assert gaps[1] < gaps[0] / 50 < 1e-4, "of second order in 1/beta"


def test_the_mirror_step_solves_its_own_proximal_problem() -> None:
    """grad psi(w+) = grad psi(w) - lr g for psi'' = beta / sqrt(w^2 + beta^2), by integrating psi'' from w to w+."""
    rule, F = get_rule("optimistic-mirror[lr=0.3,beta=0.7]"), Oracle(get_game("bilinear[dim=2]"), SEEDS)
    w = F.game.init(F.seeds)
    after, s = rule.step(F, w, rule.init(w))
    grid = torch.linspace(0, 1, 20001, dtype=torch.float64).unsqueeze(1).unsqueeze(2)
    between = w + grid * (after - w)
    travelled = torch.trapezoid(0.7 / (between**2 + 0.7**2).sqrt(), grid, dim=0) * (after - w)
    assert torch.allclose(travelled, -0.3 * s["past"], atol=1e-7)


@dataclass(frozen=True)
class Pulled(Game):
    """x y turned around (a, b) = (2, 0.1), with a little damping: F = 0 there."""

    sizes = (1, 1)
    dtype = torch.float64

    def init(self, seeds: Tensor) -> Tensor:
        return torch.ones(len(seeds), 2, dtype=torch.float64)

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        x, y = players[0][:, 0] - 2, players[1][:, 0] - 0.1
        return x * y + x * x / 4, -x * y + y * y / 4


def test_forward_backward_forward_finds_the_regularised_equilibrium() -> None:
    """0 is in F(w) + l1 d||w||_1: here at y = 0, where |F_y| <= l1, and x with F_x = -l1."""
    game = Pulled()
    end = path("fbf[lr=0.3,l1=0.2]", game, 3000)[-1]
    F = Oracle(game, SEEDS)(end)
    assert end[:, 1].abs().max() < 1e-9
    assert torch.allclose(F[:, 0], torch.full_like(F[:, 0], -0.2), atol=1e-9)
    assert F[:, 1].abs().max() <= 0.2


def test_lookahead_with_alpha_0_stays_and_nests() -> None:
    game = get_game("bilinear[dim=3]")
    still = path("lookahead[inner=sgd,k=4,alpha=0]", game, 8)
    assert torch.equal(still[4], still[0])
    assert torch.equal(still[8], still[0])
    once = path("lookahead[inner=sgd,k=2,alpha=0.5]", game, 12)
    twice = path("lookahead[inner=lookahead[inner=sgd,k=2,alpha=0.5],k=6,alpha=1]", game, 12)
    agree(once, twice, game)


def test_going_back_takes_the_slow_copy_inside_along() -> None:
    """Chavdarova et al. 2021, nested: after the outer step back, the inner one starts from there too."""
    game = get_game("bilinear[dim=3]")
    rule, F = get_rule("ema[inner=lookahead[inner=lookahead[inner=sgd,k=2],k=4]]"), Oracle(game, SEEDS)
    w = game.init(F.seeds)
    s = rule.init(w)
    for _ in range(4):
        w, s = rule.step(F, w, s)
    outer, inner = s["inner"], s["inner"]["inner"]
    assert torch.equal(outer["slow"], w)
    assert torch.equal(inner["slow"], w)


def test_what_is_judged() -> None:
    game = get_game("bilinear[dim=3]")
    inner = "alternating[lr=0.2]"
    points = torch.stack(path(inner, game, 40))
    uniform = path(f"average[inner={inner}]", game, 40, seen=lambda w, s: s["average"])[-1]
    assert torch.allclose(uniform, points.mean(0), atol=1e-12)
    weights = torch.tensor([0.9**40, *[0.1 * 0.9 ** (40 - t) for t in range(1, 41)]], dtype=torch.float64)
    exponential = path(f"ema[inner={inner},decay=0.9]", game, 40, seen=lambda w, s: s["average"])[-1]
    assert torch.allclose(exponential, (weights.view(-1, 1, 1) * points).sum(0), atol=1e-12)
    for spelled in (f"average[inner={inner}]", f"ema[inner={inner}]", "lookahead", "schedule-free"):
        rule = get_rule(spelled)
        assert not torch.equal(path(spelled, game, 7, seen=rule.answer)[-1], path(spelled, game, 7)[-1])


@pytest.mark.parametrize("share", [False, True])
def test_extra_steps_of_the_discriminator_meet_their_own_minibatches(share: bool) -> None:
    game = get_game("ring8[width=16,batch_size=16]")
    F = Oracle(game, SEEDS)
    w = game.init(F.seeds)
    rule = get_rule(f"alternating[discriminator_steps=3,fresh={str(not share).lower()}]")
    rule.step(F, w, rule.init(w))
    assert F.draws == (1 if share else 3)
    assert F.cost == rule.cost == 2
