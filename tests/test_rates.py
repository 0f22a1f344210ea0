"""Growth rates against closed forms: the iteration matrix of every rule that is linear where the field is.

On a game with field F(w) = J w such a rule is a linear map of w and its memory. The map is derived here from the
equation in the source; what the rule does is seen from its trajectories alone. They agree entry by entry, w_0 -> w_t,
and the contraction fitted to the trajectories is the spectral radius to 1e-8: on bilinear and on general-sum quadratic
games, at step sizes inside and outside the stable range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from math import cos, factorial, pi, sin, sqrt
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.linalg import inv, matrix_power, norm, pinv
from scipy.optimize import brentq, minimize_scalar
from torch import Tensor

from bench.checks.laws import go_on, trace
from bench.contracts import Game
from bench.numerics.randomness import normal
from bench.registry import get_game, get_rule
from bench.registry.spelling import Spelling, parse, split

Matrix = np.ndarray


@dataclass(frozen=True)
class Quadratic(Game):
    """L_0 = w'M_0 w/2 = x'Px/2 + x'By + y'Ry/2,   L_1 = w'M_1 w/2 = y'Qy/2 + y'Cx + x'Sx/2: general-sum, ||J|| = 1."""

    sizes: tuple[int, int] = (1, 1)
    instance: int = 0
    definite: bool = True

    dtype = torch.float64

    @cached_property
    def forms(self) -> Matrix:
        """M_0, M_1: random, yet C near -B', for the players should be at odds."""
        draw, (m, n) = np.random.default_rng(self.instance), self.sizes
        G = draw.normal(size=(2, m + n, m + n))
        M = G @ G.mT + 0.2 * np.eye(m + n) if self.definite else G + G.mT
        M[1, m:, :m] = draw.normal(size=(n, m)) - M[0, m:, :m]
        M[1, :m, m:] = M[1, m:, :m].T
        return M / norm(np.vstack([M[0, :m], M[1, m:]]), 2)

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (sum(self.sizes),), torch.float64, block=1)

    def losses(self, players: tuple[Tensor, ...], batch: object) -> tuple[Tensor, ...]:
        w = torch.cat(players, dim=1)
        return tuple((w @ M * w).sum(1) / 2 for M in torch.from_numpy(self.forms))


XY = get_game("bilinear[dim=1]")  # sigma = 1: lr is s = lr sigma
GAMES = {
    "xy": XY,
    "bilinear3": get_game("bilinear[dim=3,condition=1.5]"),
    "bilinear4": get_game("bilinear[dim=4,condition=4,instance=7]"),
    **{f"definite{m}{n}": Quadratic((m, n), 10 * m + n) for m, n in ((1, 1), (2, 3), (4, 2))},
    **{f"indefinite{m}{n}": Quadratic((m, n), 10 * m + n, definite=False) for m, n in ((1, 2), (3, 3))},
}
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
    lookahead[inner=sgd,k=4,alpha=0.3], lookahead[inner=sgd[direction=momentum[beta=0.5]],k=3],
    lookahead[inner=optimistic,k=3], lookahead[inner=lookahead[inner=sgd,k=3,alpha=0.4],k=6,alpha=0.7], alex-gda,
    alex-gda[gamma=1.5,delta=0.6], chambolle-pock, chambolle-pock[theta=0.4], consensus[gamma=0.3],
    smoothing[gamma=0.7], sga[lam=0.8], cgd[iterations=8], proximal-point[iterations=8], lcgd, lola,
    lss[iterations=8], follow-the-ridge[iterations=8], follow-the-ridge[damping=0.8,iterations=8], lead,
    lead[beta=-0.2,alpha=0.5], unrolled[k=0], unrolled[k=3], unrolled[k=1,discriminator_first=true],
    unrolled[k=3,discriminator_first=true], ode-gan[order=1,reg=0.2], ode-gan[order=2,reg=0.3],
    ode-gan[order=4,reg=0.3], ode-gan[order=2,penalty=false], ode-gan[order=4,penalty=false]
""")

# --- the maps, derived from the equations ----------------------------------------------------------------------------


class Map(NamedTuple):
    """``step`` maps the state (w, memory) as ``steps`` of the rule do; ``start`` is the first state, of w_0."""

    step: Matrix
    start: Matrix
    steps: int = 1


def momentum(g: Matrix, v: Matrix, beta: float) -> tuple[Matrix, ...]:
    """v+ = beta v + g;   d = v+."""
    return (beta * v + g,) * 2


def nesterov(g: Matrix, v: Matrix, beta: float) -> tuple[Matrix, ...]:
    """v+ = beta v + g;   d = g + beta v+."""
    return g + beta * (beta * v + g), beta * v + g


def complex_momentum(g: Matrix, a: Matrix, b: Matrix, beta: float, angle: float) -> tuple[Matrix, ...]:
    """v+ = beta exp(i angle) v + g, v = a + ib;   d = Re(v+)."""
    real = beta * (cos(angle) * a - sin(angle) * b) + g
    return real, real, beta * (sin(angle) * a + cos(angle) * b)


def nupi(g: Matrix, xi: Matrix, kp: float = 1, ki: float = 1, nu: float = 0) -> tuple[Matrix, ...]:
    """xi+ = nu xi + (1-nu) g;   d = ki g + kp (xi+ - xi)."""
    return ki * g + kp * (1 - nu) * (g - xi), nu * xi + (1 - nu) * g


def optimistic(g: Matrix, past: Matrix, optimism: float = 1) -> tuple[Matrix, ...]:
    """d = g + optimism (g - past);   past+ = g."""
    return g + optimism * (g - past), g


DIRECTIONS: dict[str, tuple[Callable[..., tuple[Matrix, ...]], int]] = {  # with the number of memories
    "plain": (lambda g: (g,), 0), "momentum": (momentum, 1), "nesterov": (nesterov, 1), "nupi": (nupi, 1),
    "complex-momentum": (complex_momentum, 2), "optimistic": (optimistic, 1),
}  # fmt: skip
PLAIN = Spelling("plain")


class Derived:
    """The map of every rule at one step size, where F(w) = J w with J = [[P, B], [C, Q]]; X, Y keep a player's block.

    Letters stand for functions of the state, as matrices: so the equations are written as they are read.
    """

    def __init__(self, game: Game, lr: float) -> None:
        (m, n), self.lr = game.sizes, lr
        if isinstance(game, Quadratic):
            M = game.forms
        else:
            A, zero = game.matrix.numpy(), np.zeros((m, m))  # type: ignore[attr-defined]
            M = np.block([[zero, A], [A.T, zero]]) * np.array([1, -1]).reshape(2, 1, 1)
        self.P, self.B, self.R = M[0, :m, :m], M[0, :m, m:], M[0, m:, m:]
        self.S, self.C, self.Q = M[1, :m, :m], M[1, m:, :m], M[1, m:, m:]
        self.J, self.I = np.vstack([M[0, :m], M[1, m:]]), np.eye(m + n)
        self.X, self.Y = np.diag([1.0] * m + [0.0] * n), np.diag([0.0] * m + [1.0] * n)
        self.H_o = self.X @ self.J @ self.Y + self.Y @ self.J @ self.X
        self.penalty = np.vstack([np.zeros((m, m + n)), self.B.T @ M[0, :m]])  # grad_y ||Px + By||^2 / 2

    def __call__(self, rule: str | Spelling) -> Map:
        """The map of a spelled rule, whose memory is 0 at the start where its method says nothing else."""
        spelled = parse(rule) if isinstance(rule, str) else rule
        keys = {key: value for key, value in spelled.keys.items() if key != "iterations"}  # enough to be exact: n
        found = getattr(self, spelled.name.replace("-", "_"))(**keys)
        return found if isinstance(found, Map) else Map(found, np.eye(len(found), len(self.J)))

    def state(self, parts: int) -> list[Matrix]:
        """w and memories of its size, as functions of the state that they make up."""
        return list(np.eye(parts * len(self.J)).reshape(parts, len(self.J), -1))

    def stepped(self, own: Matrix, direction: Spelling, ahead: bool = False) -> Matrix:
        """w+ = w - lr d(J w), or twice with one memory for extragradient; for the players in ``own`` alone."""
        function, memories = DIRECTIONS[direction.name]
        along = partial(function, **{key: value for key, value in direction.keys.items() if key != "zero_past"})
        w, *memory = self.state(1 + memories)
        d, *new = along(self.J @ w, *memory)
        if ahead:
            d, *new = along(self.J @ (w - self.lr * d), *new)
        return np.vstack([w - self.lr * own @ d, *(old + own @ (v - old) for old, v in zip(memory, new, strict=True))])

    def moved(self, movers: list[Matrix], direction: Spelling) -> Map:
        """Steps of the movers in turn. A past begins as the first gradient that its player meets, or as 0."""
        begins = direction.name in ("optimistic", "nupi") and not direction.keys.get("zero_past")
        step = np.eye(len(self.stepped(self.I, direction)))
        start = now = step[:, : len(self.I)]
        for i, own in enumerate(movers):
            if begins and not any(own is before for before in movers[:i]):
                met = np.vstack([0 * self.I, own @ self.J @ now[: len(self.I)]])
                start, now = start + met, now + met
            half = self.stepped(own, direction)
            step, now = half @ step, half @ now
        return Map(step, start)

    def sgd(self, direction: Spelling = PLAIN) -> Map:
        """w+ = w - lr d(J w)."""
        return self.moved([self.I], direction)

    def optimistic(self, **keys: object) -> Map:
        """w+ = w - lr (g + optimism (g - past))."""
        return self.sgd(Spelling("optimistic", keys))

    def alternating(
        self, discriminator_steps: int = 1, generator_first: bool = False, direction: Spelling = PLAIN
    ) -> Map:
        """y+ = y - lr d(F_y(x, y)), k times;   x+ = x - lr d(F_x(x, y+)); or the generator first."""
        x, y = [self.X], [self.Y] * discriminator_steps
        return self.moved(x + y if generator_first else y + x, direction)

    def extragrad(self, direction: Spelling = PLAIN) -> Matrix:
        """w' = w - lr d(J w);   w+ = w - lr d(J w')."""
        return self.stepped(self.I, direction, ahead=True)

    def past_extragrad(self, mirror: Spelling | None = None) -> Matrix:
        """w' = w - lr g;   g+ = J w';   w+ = w - lr g+: optimistic mirror descent where the mirror map is I."""
        w, g = self.state(2)
        g = self.J @ (w - self.lr * g)
        return np.vstack([w - self.lr * g, g])

    optimistic_mirror = past_extragrad

    def double_step_extragrad(self, gamma: float, alternating: bool = False) -> Matrix:
        """w' = w - gamma J w, w+ = w - lr J w'; or y+ on (x', y), then x+ on (x, y'), y' from y+."""
        w = self.I
        for seen, own in ((self.X, self.Y), (self.Y, self.X)) if alternating else ((self.I, self.I),):
            w = w - self.lr * own @ self.J @ (w - gamma * seen @ self.J @ w)
        return w

    def fbf(self) -> Matrix:
        """w' = w - lr J w;   w+ = w' + lr (J w - J w')."""
        ahead = self.I - self.lr * self.J
        return ahead + self.lr * (self.J - self.J @ ahead)

    def lookahead(self, inner: Spelling, k: int, alpha: float = 0.5) -> Map:
        """k steps of the inner rule;   slow+ = slow + alpha (w - slow);   w+ = slow+, and so is an inner slow copy."""
        step, start, steps = self(inner)
        n, state = len(self.J), np.eye(len(step) + len(self.J))
        (w, memory), slow = np.split(matrix_power(step, k // steps) @ state[: len(step)], [n]), state[len(step) :]
        slow = slow + alpha * (w - slow)
        if inner.name == "lookahead":
            memory = np.vstack([memory[:-n], slow])
        return Map(np.vstack([slow, memory, slow]), np.vstack([start, self.I]), k)

    def alex_gda(self, gamma: float = 2, delta: float = 2) -> Map:
        """d = F_x(x, y'), x' = x - gamma lr d, x+ = x - lr d;   e = F_y(x', y), y'+ = y - delta lr e, y+ = y - lr e."""
        w, seen = self.state(2)
        d = self.lr * self.X @ self.J @ (self.X @ w + self.Y @ seen)
        e = self.lr * self.Y @ self.J @ (w - gamma * d)
        return Map(np.vstack([w - d - e, w - delta * e]), np.vstack([self.I, self.I]))

    def chambolle_pock(self, theta: float = 1) -> Matrix:
        """x+ = x - lr F_x(x, y);   y+ = y - lr F_y(x+ + theta (x+ - x), y)."""
        moved = self.I - self.lr * self.X @ self.J
        return moved - self.lr * self.Y @ self.J @ (moved + theta * (moved - self.I))

    def consensus(self, gamma: float) -> Matrix:
        """w+ = w - lr (J w + gamma J'J w)."""
        return self.I - self.lr * (self.J + gamma * self.J.T @ self.J)

    def smoothing(self, gamma: float) -> Matrix:
        """w+ = w - lr J w, where y also descends gamma ||Px + By||^2 / 2."""
        return self.I - self.lr * (self.J + gamma * self.penalty)

    def sga(self, lam: float) -> Matrix:
        """w+ = w - lr (J w + lam A'J w),   A = (J - J')/2."""
        return self.I - self.lr * (self.J + lam * (self.J - self.J.T).T / 2 @ self.J)

    def cgd(self) -> Matrix:
        """w+ = w - lr (I + lr H_o)^-1 J w."""
        return self.I - self.lr * inv(self.I + self.lr * self.H_o) @ self.J

    def proximal_point(self) -> Matrix:
        """w+ = w - lr J w+."""
        return inv(self.I + self.lr * self.J)

    def lcgd(self) -> Matrix:
        """x+ = x - lr (F_x - lr B F_y);   y+ = y - lr (F_y - lr C F_x)."""
        return self.I - self.lr * (self.J - self.lr * self.H_o @ self.J)

    def lola(self) -> Matrix:
        """x also ascends lr <grad_y L_0, grad_y L_1> = lr (B'x + Ry)'(Qy + Cx);   y, lr (C'y + Sx)'(Px + By)."""
        P, B, C, Q, R, S = self.P, self.B, self.C, self.Q, self.R, self.S
        shaping = np.block([[B @ C + (B @ C).T, B @ Q + (R @ C).T], [C @ P + (S @ B).T, C @ B + (C @ B).T]])
        return self.I - self.lr * (self.J - self.lr * shaping)

    def lss(self) -> Matrix:
        """w+ = w - lr (J w + J'J^-1 J w) / 2."""
        return self.I - self.lr * (self.J + self.J.T) / 2

    def follow_the_ridge(self, damping: float = 0) -> Matrix:
        """x+ = x - lr F_x;   y+ = y - lr F_y + (Q + damping)^-1 C lr F_x."""
        ridge = pinv(self.Q + damping * np.eye(len(self.Q))) @ self.C @ self.J[: len(self.P)]
        return self.I - self.lr * (self.J - np.vstack([0 * self.J[: len(self.P)], ridge]))

    def lead(self, beta: float = 0.3, alpha: float = 0.1) -> Matrix:
        """D+ = beta D - lr J w - alpha H_o D;   w+ = w + D+."""
        w, D = self.state(2)
        D = beta * D - self.lr * self.J @ w - alpha * self.H_o @ D
        return np.vstack([w + D, D])

    def unrolled(self, k: int, discriminator_first: bool = False) -> Matrix:
        """x+ = x - lr d/dx L_0(x, y_k(x)),   y_{i+1} = y_i - lr (Q y_i + C x);   y+ = y - lr F_y."""
        P, B, C, Q, R, lr = self.P, self.B, self.C, self.Q, self.R, self.lr
        x, y = np.split(self.I, [len(P)])
        moved = y - lr * (Q @ y + C @ x)
        seen, by_x = moved if discriminator_first else y, 0 * C
        for _ in range(k):
            seen, by_x = seen - lr * (Q @ seen + C @ x), by_x - lr * (Q @ by_x + C)
        return np.vstack([x - lr * (P @ x + B @ seen + by_x.T @ (B.T @ x + R @ seen)), moved])

    def ode_gan(self, order: int, reg: float = 0, penalty: bool = True) -> Matrix:
        """w+ = exp(-lr J) w up to the order, where y also descends reg ||Px + By||^2."""
        flow = sum(matrix_power(-self.lr * self.J, i) / factorial(i) for i in range(order + 1))
        return flow - self.lr * 2 * reg * self.penalty


# --- what the rules do -----------------------------------------------------------------------------------------------


def spelled(rule: str, lr: float) -> str:
    return f"{rule.removesuffix(']')},lr={lr}]" if rule.endswith("]") else f"{rule}[lr={lr}]"


@cache
def path(rule: str, lr: float, game: Game, moments: int = 8) -> list[Matrix]:
    """w at the start and after each cycle, a column a replica, from the basis vectors and from two of the game's."""
    found, start = get_rule(spelled(rule, lr)), torch.eye(sum(game.sizes), dtype=torch.float64)
    start = torch.cat([start, game.init(torch.tensor([0, 1]))])
    runs = [trace(found, game, tuple(range(len(start))), steps=0, w=start)]
    for _ in range(moments):
        runs.append(go_on(found, runs[-1], steps=found.k if rule.startswith("lookahead") else 1))
    return [at.w.numpy().T for at in runs]


def radius(matrix: Matrix) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def rate(rule: str, lr: float, game: Game = XY, memory: int = 3) -> float:
    """Spectral radius of the map (w_t, w_{t-1}, ...) -> (w_{t+1}, w_t, ...) that fits the rule's trajectories.

    It is fitted in the subspace that they span, so that ``memory`` may be longer than the rule's.
    """
    points = path(rule, lr, game)
    delayed = [np.vstack(points[t - memory + 1 : t + 1][::-1]) for t in range(memory - 1, len(points))]
    before, after = np.hstack(delayed[:-1]), np.hstack(delayed[1:])
    length = norm(before, axis=0)  # each sample counts alike, however far the rule has gone
    u, s, vt = np.linalg.svd(before / length, full_matrices=False)
    rank = int((s > 1e-10 * s[0]).sum())
    return radius(u[:, :rank].T @ (after / length) @ vt[:rank].T / s[:rank])


def assert_same(found: Matrix, expected: Matrix) -> None:
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


@pytest.mark.parametrize("lr", STEP_SIZES)
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("rule", RULES)
def test_contraction_equals_the_spectral_radius(rule: str, game: str, lr: float) -> None:
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


# --- rules whose map changes from step to step, and averages: w_0 -> w_T, or the point that is judged ----------------


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


# --- known results on xy, where sigma = 1 and so lr = s = lr sigma ---------------------------------------------------

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


IN_TURN = "alternating[direction=momentum[beta={}]]"
CLOSED: dict[str, Callable[[float], float]] = {
    "sgd": lambda s: sqrt(1 + s**2),
    "alternating": lambda s: 1 if s < 2 else roots(1, s**2 - 2, 1),
    "extragrad": lambda s: sqrt(1 - s**2 + s**4),
    "fbf": lambda s: sqrt(1 - s**2 + s**4),
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


LIMITS = {"extragrad": 1, "optimistic": 1 / sqrt(3), "past-extragrad": 1 / sqrt(3), "rk4": 2 * sqrt(2)}
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


# --- the best step sizes, found by search as Zhang and Yu 2020 do, against the closed forms --------------------------


def best(rule: str, high: float, game: Game = XY) -> tuple[float, float]:
    """The step size up to ``high`` at which a rule contracts most, and how much it contracts there."""
    options = {"xatol": 1e-9}
    found = minimize_scalar(lambda lr: rate(rule, lr, game), bounds=(0, high), method="bounded", options=options)
    return float(found.x), float(found.fun)


BEST = {
    "extragrad": (1 / sqrt(2), sqrt(3) / 2),
    "optimistic": (1 / 2, 1 / sqrt(2)),
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
