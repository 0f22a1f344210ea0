"""Every rule that is linear where the field is, against its iteration matrix.

On a game with field F(w) = J w such a rule is a linear map of w and its memory. The map is derived here from the
equation in the source; what the rule does is seen from its trajectories alone. They agree entry by entry, w_0 -> w_t,
and the contraction fitted to the trajectories is the spectral radius to 1e-8: on bilinear and on general-sum quadratic
games, at step sizes inside and outside the stable range.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from covering import covering
from linear_rules import (
    GAMES,
    Derived,
    Matrix,
    path,
    radius,
    rate,
    spelled,
)
from numpy.linalg import matrix_power

from bench.checks.laws import trace
from bench.registry import get_rule
from bench.registry.spelling import split

STEP_SIZES = [0.05, 0.3, 0.7, 1.05, 2.2]
RULES = split("""
    sgd, alternating, alternating[generator_first=true], alternating[discriminator_steps=2,generator_first=true],
    alternating[discriminator_steps=3], sgd[direction=momentum[beta=0.7]], sgd[direction=momentum[beta=-0.4]],
    alternating[direction=momentum[beta=-0.5],generator_first=true], alternating[direction=momentum[beta=-0.3]],
    alternating[direction=momentum[beta=0.6],discriminator_steps=2], sgd[direction=nesterov[beta=0.6]],
    sgd[direction=complex-momentum[beta=0.8,angle=0.4]], alternating[direction=complex-momentum[beta=0.6,angle=1.7]],
    sgd[direction=nupi], alternating[direction=nupi[ki=0.8,nu=0.2]],
    sgd[direction=nupi[kp=0.7,nu=0.3,zero_past=true]], sgd[direction=nupi[kp=0.7,ki=1.2,nu=0.6]], extragrad,
    extragrad[direction=momentum[beta=0.4]], past-extragrad, optimistic-mirror[mirror=euclidean], optimistic,
    optimistic[optimism=0.6,zero_past=true], sgd[direction=optimistic[optimism=1.3]],
    alternating[direction=optimistic[optimism=0.8]], alternating[direction=optimistic,generator_first=true],
    double-step-extragrad[gamma=0.9], double-step-extragrad[gamma=0.9,alternating=true], fbf,
    alternating-extragrad, alternating-extragrad[gamma=1.6], momentum-extragrad, momentum-extragrad[gamma=2,beta=-0.4],
    lookahead[inner=sgd,k=4,alpha=0.3], lookahead[inner=sgd[direction=momentum[beta=0.5]],k=3],
    lookahead[inner=optimistic,k=3], lookahead[inner=lookahead[inner=sgd,k=3,alpha=0.4],k=6,alpha=0.7], alex-gda,
    alex-gda[gamma=1.5,delta=0.6], chambolle-pock, chambolle-pock[theta=0.4], consensus[gamma=0.3],
    smoothing[gamma=0.7], sga[lam=0.8], cgd[iterations=8], proximal-point[iterations=8], lcgd, lola,
    lss[iterations=8], follow-the-ridge[iterations=8], follow-the-ridge[damping=0.8,iterations=8], lead,
    lead[beta=-0.2,alpha=0.5], unrolled[k=0], unrolled[k=3], unrolled[k=1,discriminator_first=true],
    unrolled[k=3,discriminator_first=true], ode-gan[order=1,reg=0.2], ode-gan[order=2,reg=0.3],
    ode-gan[order=4,reg=0.3], ode-gan[order=2,penalty=false], ode-gan[order=4,penalty=false]
""")


def assert_same(found: Matrix, expected: Matrix) -> None:
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


@pytest.mark.parametrize(("rule", "lr", "game"), covering(product(RULES, STEP_SIZES), GAMES))
def test_contraction_equals_the_spectral_radius(rule: str, lr: float, game: str) -> None:
    step, start, _ = Derived(GAMES[game], lr)(rule)
    points = path(rule, lr, GAMES[game])
    for t, w in enumerate(points):
        assert_same(w, (matrix_power(step, t) @ start)[: len(w)] @ points[0])
    assert rate(rule, lr, GAMES[game]) == pytest.approx(radius(step), abs=1e-8, rel=0)


@pytest.mark.parametrize("rule", RULES)
def test_the_long_run_is_the_derived_map(rule: str) -> None:
    step, start, _ = Derived(GAMES["definite23"], 0.3)(rule)
    points = path(rule, 0.3, GAMES["definite23"], moments=60)
    assert_same(points[-1], (matrix_power(step, 60) @ start)[:5] @ points[0])


@pytest.mark.parametrize("rule", RULES)
def test_the_step_sizes_lie_inside_and_outside_the_stable_range(rule: str) -> None:
    radii = [radius(Derived(game, lr)(rule).step) for game in GAMES.values() for lr in STEP_SIZES]
    assert min(radii) < 0.999
    assert max(radii) > 1.001


def anchored(J: Matrix, lr: float, steps: int, first: int = 2, fraction: float = 0) -> Matrix:
    """w' = w + b (w_0 - w) - a J w;   w+ = w + b (w_0 - w) - h J w',   b = 1/(k+first).

    EAG: a = h, which is lr, or h+ = h (1 - q^2 / ((k+1) (k+3) (1 - q^2))), q = h fraction/lr. FEG: a = (1-b) h.
    """
    w, h = np.eye(len(J)), lr
    for k in range(steps):
        b, q = 1 / (k + first), h * fraction / lr
        drawn = w + b * (np.eye(len(J)) - w)
        w = drawn - h * J @ (drawn - (h if first == 2 else (1 - b) * h) * J @ w)
        h = h * (1 - q**2 / ((k + 1) * (k + 3) * (1 - q**2)))
    return w


def schedule_free(J: Matrix, lr: float, steps: int, beta: float, judged: bool = False) -> Matrix:
    """z+ = z - lr J w;   x = the mean of z_1..z_t, which is judged;   w+ = (1-beta) z+ + beta x."""
    w, z = np.eye(len(J)), [np.eye(len(J))]
    for _ in range(steps):
        z.append(z[-1] - lr * J @ w)
        x = sum(z[1:]) / len(z[1:])
        w = (1 - beta) * z[-1] + beta * x
    return x if judged else w


def averaged(J: Matrix, lr: float, steps: int, decay: float | None = None) -> Matrix:
    """(w_0 + ... + w_t) / (t+1);   or decay^t w_0 + (1-decay) (w_t + decay w_{t-1} + ... + decay^(t-1) w_1)."""
    weights = [1 / (steps + 1)] * (steps + 1)
    if decay is not None:
        weights = [decay**steps] + [(1 - decay) * decay ** (steps - t) for t in range(1, steps + 1)]
    return sum(weight * matrix_power(np.eye(len(J)) - lr * J, t) for t, weight in enumerate(weights))


PRODUCTS: dict[str, Callable[[Matrix, float, int], Matrix]] = {
    "eag-c": anchored,
    "eag-v[fraction=0.5]": partial(anchored, fraction=0.5),
    "eag-v[fraction=0.7]": partial(anchored, fraction=0.7),
    "feg": partial(anchored, first=1),
    "schedule-free[beta=0.9]": partial(schedule_free, beta=0.9),
    "schedule-free[beta=0.6]": partial(schedule_free, beta=0.6, judged=True),
    "average[inner=sgd]": averaged,
    "ema[inner=sgd,decay=0.8]": partial(averaged, decay=0.8),
}


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("rule", PRODUCTS)
def test_the_product_of_the_steps(rule: str, game: str) -> None:
    start = torch.eye(sum(GAMES[game].sizes), dtype=torch.float64)
    judged = rule not in ("eag-c", "feg", "schedule-free[beta=0.9]")  # elsewhere w itself is judged
    for lr in STEP_SIZES:
        for steps in (1, 2, 5, 10):
            end = trace(get_rule(spelled(rule, lr)), GAMES[game], tuple(range(len(start))), steps, w=start)
            found = end.answer if judged else end.w
            assert_same(found.numpy().T, PRODUCTS[rule](Derived(GAMES[game], lr).J, lr, steps))
