"""Rules on games with a linear field: trajectories, and the contraction fitted to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from math import cos, factorial, sin
from typing import NamedTuple

import numpy as np
import torch
from numpy.linalg import inv, matrix_power, norm, pinv
from torch import Tensor

from bench.checks.laws import go_on, trace
from bench.contracts import Game
from bench.numerics.randomness import normal
from bench.registry import get_game, get_rule
from bench.registry.spelling import Spec, parse

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
PLAIN = Spec("plain")


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

    def __call__(self, rule: str | Spec) -> Map:
        """The map of a spelled rule, whose memory is 0 at the start where its method says nothing else."""
        spelled = parse(rule) if isinstance(rule, str) else rule
        keys = {key: value for key, value in spelled.keys.items() if key != "iterations"}  # enough to be exact: n
        found = getattr(self, spelled.name.replace("-", "_"))(**keys)
        return found if isinstance(found, Map) else Map(found, np.eye(len(found), len(self.J)))

    def state(self, parts: int) -> list[Matrix]:
        """w and memories of its size, as functions of the state that they make up."""
        return list(np.eye(parts * len(self.J)).reshape(parts, len(self.J), -1))

    def stepped(self, own: Matrix, direction: Spec, ahead: bool = False) -> Matrix:
        """w+ = w - lr d(J w), or twice with one memory for extragradient; for the players in ``own`` alone."""
        function, memories = DIRECTIONS[direction.name]
        along = partial(function, **{key: value for key, value in direction.keys.items() if key != "zero_past"})
        w, *memory = self.state(1 + memories)
        d, *new = along(self.J @ w, *memory)
        if ahead:
            d, *new = along(self.J @ (w - self.lr * d), *new)
        return np.vstack([w - self.lr * own @ d, *(old + own @ (v - old) for old, v in zip(memory, new, strict=True))])

    def moved(self, movers: list[Matrix], direction: Spec) -> Map:
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

    def sgd(self, direction: Spec = PLAIN) -> Map:
        """w+ = w - lr d(J w)."""
        return self.moved([self.I], direction)

    def optimistic(self, **keys: object) -> Map:
        """w+ = w - lr (g + optimism (g - past))."""
        return self.sgd(Spec("optimistic", keys))

    def alternating(self, discriminator_steps: int = 1, generator_first: bool = False, direction: Spec = PLAIN) -> Map:
        """y+ = y - lr d(F_y(x, y)), k times;   x+ = x - lr d(F_x(x, y+)); or the generator first."""
        x, y = [self.X], [self.Y] * discriminator_steps
        return self.moved(x + y if generator_first else y + x, direction)

    def extragrad(self, direction: Spec = PLAIN) -> Matrix:
        """w' = w - lr d(J w);   w+ = w - lr d(J w')."""
        return self.stepped(self.I, direction, ahead=True)

    def past_extragrad(self, mirror: Spec | None = None) -> Matrix:
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

    def alternating_extragrad(self, gamma: float = 1) -> Matrix:
        """x+ = x - lr F_x(w - gamma lr F(w));   then y+ likewise, from (x+, y)."""
        w = self.I
        for own in (self.X, self.Y):
            w = w - self.lr * own @ self.J @ (w - gamma * self.lr * self.J @ w)
        return w

    def momentum_extragrad(self, gamma: float = 1, beta: float = 0.3) -> Matrix:
        """w+ = w - lr J (w - gamma lr J w) + beta (w - w_before), for the state (w, w - w_before)."""
        w, moved = self.state(2)
        moved = beta * moved - self.lr * self.J @ (w - gamma * self.lr * self.J @ w)
        return np.vstack([w + moved, moved])

    def fbf(self) -> Matrix:
        """w' = w - lr J w;   w+ = w' + lr (J w - J w')."""
        ahead = self.I - self.lr * self.J
        return ahead + self.lr * (self.J - self.J @ ahead)

    def lookahead(self, inner: Spec, k: int, alpha: float = 0.5) -> Map:
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
