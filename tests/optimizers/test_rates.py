"""Growth rates on bilinear games against closed forms, and the best step sizes, found by search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import pi, sqrt

import numpy as np
import pytest
from linear_rules import (
    GAMES,
    XY,
    Derived,
    path,
    radius,
    rate,
    spelled,
)
from scipy.optimize import brentq, minimize_scalar

from bench.checks.laws import trace
from bench.contracts import Game
from bench.registry import get_game, get_rule

S = [0.05, 0.3, 0.49, 0.52, 0.7, 0.95, 1.05, 1.9, 2.2]


def roots(*coefficients: complex) -> float:
    """The largest root of a characteristic polynomial, in absolute value."""
    return float(np.abs(np.roots(coefficients)).max())


def ogda(s: float) -> float:
    return sqrt((1 + sqrt(1 - 4 * s**2)) / 2) if s <= 0.5 else sqrt(1 / 4 + (s + sqrt(4 * s**2 - 1) / 2) ** 2)


def heavy(s: float, beta: float) -> float:
    """(l - 1)^2 (l - beta)^2 + s^2 l^3 = 0."""
    return roots(*(np.poly([1, 1, beta, beta]) + np.array([0, s**2, 0, 0, 0])))


def unrolled(s: float, k: int) -> float:
    """sqrt(1 - 2 k s^2) as long as the eigenvalues are complex; from s = 2/(2k+1) on two real ones part."""
    return sqrt(1 - 2 * k * s**2) if s < 2 / (2 * k + 1) else roots(1, (2 * k + 1) * s**2 - 2, 1 - 2 * k * s**2)


def momentum_ahead(s: float, beta: float, gamma: float) -> float:
    """l^2 - (1 + beta - i s - gamma s^2) l + beta = 0."""
    return roots(1, -(1 + beta - 1j * s - gamma * s**2), beta)


IN_TURN = "alternating[direction=momentum[beta={}]]"
CLOSED: dict[str, Callable[[float], float]] = {
    "sgd": lambda s: sqrt(1 + s**2),
    "alternating": lambda s: 1 if s < 2 else roots(1, s**2 - 2, 1),
    "extragrad": lambda s: sqrt(1 - s**2 + s**4),
    "fbf": lambda s: sqrt(1 - s**2 + s**4),
    "alternating-extragrad": lambda s: 1 - s**2 if s**2 <= 4 / 5 else roots(1, 3 * s**2 - 2, (1 - s**2) ** 2),
    "alternating-extragrad[gamma=0]": lambda s: 1 if s < 2 else roots(1, s**2 - 2, 1),
    **{
        f"momentum-extragrad[beta={beta},gamma={gamma}]": partial(momentum_ahead, beta=beta, gamma=gamma)
        for beta, gamma in ((0.3, 1), (-0.3, 1), (0.2, 1.7))
    },
    "lcgd": lambda s: sqrt(1 - s**2 + s**4),
    "optimistic": ogda,
    "past-extragrad": ogda,
    "cgd[iterations=8]": lambda s: 1 / sqrt(1 + s**2),
    "proximal-point[iterations=8]": lambda s: 1 / sqrt(1 + s**2),
    "lola": lambda s: sqrt((1 - 2 * s**2) ** 2 + s**2),
    "ode-gan[order=2,penalty=false]": lambda s: sqrt(1 + s**4 / 4),
    "rk4": lambda s: sqrt(1 - s**6 / 72 + s**8 / 576),
    "chambolle-pock": lambda s: sqrt(1 - s**2) if s < 1 else roots(1, 2 * s**2 - 2, 1 - s**2),
    "lookahead[inner=sgd,k=4,alpha=0.3]": lambda s: abs(0.7 + 0.3 * (1 + 1j * s) ** 4),
    "lookahead[inner=sgd,k=3,alpha=0.5]": lambda s: abs(0.5 + 0.5 * (1 + 1j * s) ** 3),
    "lead[beta=0.3,alpha=0.2]": lambda s: roots(1, -(1.3 - 1j * (s + 0.2)), 0.3 - 0.2j),
    **{f"unrolled[k={k},discriminator_first=true]": partial(unrolled, k=k) for k in (0, 1, 3)},
    **{IN_TURN.format(beta): partial(heavy, beta=beta) for beta in (-0.9, -0.5, -0.25, -0.1, 0.3)},
}


@pytest.mark.parametrize("rule", CLOSED)
def test_closed_forms(rule: str) -> None:
    for s in S:
        assert rate(rule, s) == pytest.approx(CLOSED[rule](s), abs=1e-8, rel=0), s
    if CLOSED[rule] is ogda:  # at s = 1/2, 1/2 +- i/2 twice each in Jordan blocks: rounding moves them by its root
        assert rate(rule, 0.5) == pytest.approx(ogda(0.5), abs=1e-6)


LIMITS = {
    "extragrad": 1,
    "alternating-extragrad": 1,
    "optimistic": 1 / sqrt(3),
    "past-extragrad": 1 / sqrt(3),
    "rk4": 2 * sqrt(2),
}
LIMITS |= {IN_TURN.format(beta): 2 * (1 + beta) for beta in (-0.9, -0.5, -0.25, -0.1)}


@pytest.mark.parametrize("rule", LIMITS)
def test_stable_up_to_a_limit_and_not_beyond(rule: str) -> None:
    assert all(rate(rule, part * LIMITS[rule]) < 1 for part in (0.1, 0.3, 0.5, 0.7, 0.9, 0.999))
    assert all(rate(rule, part * LIMITS[rule]) > 1 for part in (1.001, 1.1, 1.5, 3))


def test_alternating_stays_bounded_up_to_two_and_diverges_beyond() -> None:
    for s in S:
        end = trace(get_rule(spelled("alternating", s)), XY, (0, 1), steps=400).w.norm(dim=1)
        assert end.max() < 20 if s < 2 else end.min() > 1e100


def test_simultaneous_momentum_diverges_for_every_real_beta() -> None:
    for beta in np.linspace(-0.98, 0.98, 29):
        assert min(rate(f"sgd[direction=momentum[beta={beta:.2f}]]", s) for s in (0.1, 0.5, 1, 2)) > 1


@pytest.mark.parametrize(("s", "known"), [(0.1, 0.954), (0.3, 0.920), (0.5, 0.911)])
def test_complex_momentum_converges_simultaneously(s: float, known: float) -> None:
    grid = [f"[beta={beta},angle={angle}]" for beta in np.linspace(0, 1, 51) for angle in np.linspace(0, pi, 51)]
    rules = [f"sgd[direction=complex-momentum{at}]" for at in grid]
    best = min(rules, key=lambda rule: radius(Derived(XY, s)(rule).step))
    assert rate(best, s) == pytest.approx(known, abs=0.005)  # as on a coarser grid


@pytest.mark.parametrize(("k", "alpha", "s"), [(4, 1 / 5, 1), (3, 1 / 9, sqrt(3))])
def test_lookahead_is_exact_in_one_cycle(k: int, alpha: float, s: float) -> None:
    """1 - alpha + alpha (1 + i s)^k = 0."""
    assert trace(get_rule(f"lookahead[k={k},alpha={alpha},lr={s}]"), XY, steps=k).w.norm(dim=1).max() < 1e-14


@pytest.mark.parametrize("game", ["xy", "bilinear3", "bilinear4"])
def test_bilinear_games(game: str) -> None:
    """Local symplectic surgery does not move; alternating extrapolation contracts at small steps."""
    points = path("lss[iterations=8]", 0.7, GAMES[game])
    assert np.abs(points[-1] - points[0]).max() < 1e-12
    assert max(rate("alex-gda", lr, GAMES[game]) for lr in (0.01, 0.05, 0.1, 0.3)) < 1


def best(rule: str, high: float, game: Game = XY) -> tuple[float, float]:
    """The step size up to ``high`` at which a rule contracts most, and how much it contracts there."""
    options = {"xatol": 1e-9}
    found = minimize_scalar(lambda lr: rate(rule, lr, game), bounds=(0, high), method="bounded", options=options)
    return float(found.x), float(found.fun)


BEST = {
    "extragrad": (1 / sqrt(2), sqrt(3) / 2),
    "optimistic": (1 / 2, 1 / sqrt(2)),
    "alternating-extragrad": (sqrt(4 / 5), 1 / 5),
    "lola": (sqrt(3 / 8), sqrt(7) / 4),
    "rk4": (sqrt(6), 1 / 2),
    "chambolle-pock": (1, 0),
}


@pytest.mark.parametrize("rule", BEST)
def test_best_step_size(rule: str) -> None:
    assert best(rule, 1.3 * BEST[rule][0]) == pytest.approx(BEST[rule], abs=1e-4)


@pytest.mark.parametrize("condition", [1.5, 3, 8])
def test_best_step_size_for_singular_values_from_a_to_b(condition: float) -> None:
    game, a, b = get_game(f"bilinear[dim=3,condition={condition}]"), 1 / condition, 1
    expected = 1 / sqrt(a**2 + b**2), sqrt(1 - (a * b / (a**2 + b**2)) ** 2)
    assert best("extragrad", 1, game) == pytest.approx(expected, abs=1e-4)
    balanced = brentq(lambda lr: ogda(lr * a) - ogda(lr * b), 0.5, 1)  # the slowest falls with lr, the fastest rises
    assert best("optimistic", 1, game) == pytest.approx((balanced, ogda(balanced * a)), abs=1e-4)


def test_two_step_sizes_reach_a_better_rate_than_one() -> None:
    """(kappa^2 - 1)/(kappa^2 + 1) as lr -> 0, at gamma lr = 2/(a^2 + b^2)."""
    game, a, b, lr = get_game("bilinear[dim=3,condition=3]"), 1 / 3, 1, 1e-3
    found = minimize_scalar(lambda gamma: rate(f"double-step-extragrad[gamma={gamma}]", lr, game), bounds=(0, 2 / lr))
    assert (found.x * lr, found.fun) == pytest.approx((2 / (a**2 + b**2), (9 - 1) / (9 + 1)), abs=1e-4)


@pytest.mark.parametrize("condition", [3, 8])
def test_momentum_after_the_half_step_ahead_takes_the_root_of_the_condition(condition: float) -> None:
    """(kappa - 1)/(kappa + 1) as lr -> 0, at gamma lr^2 = 4/(a+b)^2, beta = ((b-a)/(b+a))^2; no other is better."""
    game, a, b, lr = get_game(f"bilinear[dim=3,condition={condition}]"), 1 / condition, 1, 1e-8
    expected = (condition - 1) / (condition + 1)

    def contraction(beta: float, factor: float = 4 / (a + b) ** 2) -> float:
        rule = f"momentum-extragrad[gamma={factor / lr**2},beta={beta}]"
        return radius(Derived(game, lr)(rule).step)

    assert contraction(expected**2) == pytest.approx(expected, abs=1e-3)
    assert contraction(0, 2 / (a**2 + b**2)) == pytest.approx((condition**2 - 1) / (condition**2 + 1), abs=1e-3)
    others = [contraction(beta, c / (a + b) ** 2) for beta in np.linspace(0, 0.95, 20) for c in np.linspace(1, 8, 29)]
    assert min(others) > expected - 1e-3
