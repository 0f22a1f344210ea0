"""Every rule that is computed otherwise than its equation reads, against a plain version in the source's own order.

The plain versions work on one replica, with the whole Jacobian, dense solves and literal differentiation, on a
nonlinear game whose players share no loss. They agree over 200 steps. Directions are held against torch.optim's
classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import grad

from bench.contracts import Game, Oracle
from bench.contracts.introspection import stacked
from bench.numerics.randomness import normal
from bench.registry import get_rule

STEPS, SOON, NX, NY = 200, 40, 3, 2  # by the plain test command so many steps
LR = 0.05
Step = Callable[[Tensor, dict[str, Any]], Tensor]


@dataclass(frozen=True)
class Twisted(Game):
    """A smooth general-sum game of 3 + 2 parameters, attracting where it is far out, turning where it is not."""

    sizes = (NX, NY)
    dtype = torch.float64

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (NX + NY,), torch.float64, block=1)

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        x, y = players
        A = torch.tensor([[1.0, -0.4], [0.3, 0.8], [-0.6, 0.5]], dtype=x.dtype)
        turn = torch.tanh(x @ A * y).sum(1)
        curve = torch.tensor([0.3, 0.5, 0.2], dtype=x.dtype)
        first = turn + (curve * x**2).sum(1) / 2 + (x.cos().sum(1) * y.sin().sum(1)) / 5
        second = -1.3 * turn + (0.6 * y**2 + 0.1 * y**4).sum(1) + (x[:, :2] * y).sin().sum(1) / 4
        return first, second


GAME = Twisted()


def losses(w: Tensor) -> tuple[Tensor, Tensor]:
    """Both losses of one replica at w [n]."""
    first, second = GAME.losses((w[None, :NX], w[None, NX:]), None)
    return first[0], second[0]


def field(w: Tensor, keep: bool = False) -> Tensor:
    """F(w) by the definition, with its graph where asked."""
    w = w if w.requires_grad else w.clone().requires_grad_()
    parts = [grad(loss, w, create_graph=True)[0] for loss in losses(w)]
    whole = torch.cat([parts[0][:NX], parts[1][NX:]])
    return whole if keep else whole.detach()


def jacobian(w: Tensor) -> Tensor:
    w = w.clone().requires_grad_()
    F = field(w, keep=True)
    return torch.stack([grad(F[i], w, retain_graph=True)[0] for i in range(len(w))])


def off_diagonal(w: Tensor) -> Tensor:
    H = jacobian(w)
    H[:NX, :NX] = 0
    H[NX:, NX:] = 0
    return H


def penalty(w: Tensor, of: slice, by: slice, factor: float) -> Tensor:
    """factor grad_by ||F_of||^2, zeros elsewhere."""
    w = w.clone().requires_grad_()
    (g,) = grad((field(w, keep=True)[of] ** 2).sum(), w)
    return factor * torch.where(torch.isin(torch.arange(len(w)), torch.arange(len(w))[by]), g, 0.0)


X, Y, ALL = slice(0, NX), slice(NX, NX + NY), slice(0, NX + NY)


def alternating_extragradient(w: Tensor, s: dict[str, Any]) -> Tensor:
    x, y = w[X], w[Y]
    g = field(torch.cat([x, y]))
    x = x - LR * field(torch.cat([x - 1.5 * LR * g[X], y - 1.5 * LR * g[Y]]))[X]
    g = field(torch.cat([x, y]))
    return torch.cat([x, y - LR * field(torch.cat([x - 1.5 * LR * g[X], y - 1.5 * LR * g[Y]]))[Y]])


def extragradient_with_momentum(w: Tensor, s: dict[str, Any]) -> Tensor:
    """By a velocity of the second half-step, as torch.optim.SGD has it: another form of the rule's equation."""
    s["v"] = 0.4 * s.get("v", 0) + field(w - 1.5 * LR * field(w))
    return w - LR * s["v"]


def consensus(w: Tensor, s: dict[str, Any]) -> Tensor:
    return w - LR * (field(w) + penalty(w, ALL, ALL, 0.3 / 2))


def smoothing(w: Tensor, s: dict[str, Any]) -> Tensor:
    return w - LR * (field(w) + penalty(w, X, Y, 0.3 / 2))


def sga(w: Tensor, s: dict[str, Any]) -> Tensor:
    J = jacobian(w)
    return w - LR * (field(w) + 0.7 * ((J - J.T) / 2).T @ field(w))


def sga_aligned(w: Tensor, s: dict[str, Any]) -> Tensor:
    J, F = jacobian(w), field(w)
    A = (J - J.T) / 2
    sign = torch.sign((F @ (J.T @ F)) * ((A.T @ F) @ (J.T @ F)) / len(w) + 0.1)
    return w - LR * (F + sign * A.T @ F)


def cgd(w: Tensor, s: dict[str, Any]) -> Tensor:
    return w - LR * torch.linalg.solve(torch.eye(len(w)).double() + LR * off_diagonal(w), field(w))


def acgd(w: Tensor, s: dict[str, Any]) -> Tensor:
    F = field(w)
    s["t"] = s.get("t", 0) + 1
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * F**2
    E = torch.diag(0.02 * (1 - 0.99 ** s["t"]) ** 0.5 / (s["v"].sqrt() + 1e-5))
    return w - torch.linalg.solve(torch.eye(len(w)).double() + E @ off_diagonal(w), E @ F)


def proximal_point(w: Tensor, s: dict[str, Any]) -> Tensor:
    return w - LR * torch.linalg.solve(torch.eye(len(w)).double() + LR * jacobian(w), field(w))


def lcgd(w: Tensor, s: dict[str, Any]) -> Tensor:
    return w - LR * (field(w) - LR * off_diagonal(w) @ field(w))


def shaping(w: Tensor, detach: bool) -> Tensor:
    """grad_i <grad_j L_i, grad_j L_j>, the second factor as a constant where asked."""
    w = w.clone().requires_grad_()
    (first,), (second,) = (grad(loss, w, create_graph=True) for loss in losses(w))
    of_x = (first[Y] * (second[Y].detach() if detach else second[Y])).sum()
    of_y = (second[X] * (first[X].detach() if detach else first[X])).sum()
    (gx,), (gy,) = grad(of_x, w, retain_graph=True), grad(of_y, w)
    return torch.cat([gx[X], gy[Y]])


def lola(w: Tensor, s: dict[str, Any]) -> Tensor:
    return w - LR * (field(w) - LR * shaping(w, detach=False))


def sos(w: Tensor, s: dict[str, Any]) -> Tensor:
    F = field(w)
    opponents_step = shaping(w, detach=True)  # H_o F
    xi = F - LR * opponents_step
    chi = shaping(w, detach=False) - opponents_step
    along = (-LR * chi) @ xi
    p1 = 1.0 if along >= 0 else min(1.0, float(-0.5 * (xi @ xi) / along))
    p2 = float(F @ F) if F.norm() < 0.1 else 1.0
    return w - LR * (xi - min(p1, p2) * LR * chi)


def lss(w: Tensor, s: dict[str, Any]) -> Tensor:
    J = jacobian(w)
    return w - LR / 2 * (field(w) + J.T @ torch.linalg.solve(J, field(w)))


def follow_the_ridge(w: Tensor, s: dict[str, Any]) -> Tensor:
    F, J = field(w), jacobian(w)  # rows of y are the second derivatives of L_D
    correction = torch.linalg.solve(J[Y, Y], J[Y, X] @ (LR * F[X]))
    return w - LR * F + torch.cat([torch.zeros(NX).double(), correction])


def lead(w: Tensor, s: dict[str, Any]) -> Tensor:
    moved = w - s.get("before", w)
    s["before"] = w
    return w + 0.3 * moved - LR * field(w) - 0.1 * off_diagonal(w) @ moved


def unrolled(w: Tensor, s: dict[str, Any], first: bool = False) -> Tensor:
    y = w[Y] - LR * field(w)[Y]
    x = w[X].clone().requires_grad_()
    inner = (y if first else w[Y]).clone().requires_grad_()
    for _ in range(4):
        inner = inner - LR * grad(losses(torch.cat([x, inner]))[1], inner, create_graph=True)[0]
    (g,) = grad(losses(torch.cat([x, inner]))[0], x)
    return torch.cat([x.detach() - LR * g, y])


def unrolled_first(w: Tensor, s: dict[str, Any]) -> Tensor:
    return unrolled(w, s, first=True)


def heun(w: Tensor, s: dict[str, Any]) -> Tensor:
    g = field(w)
    return w - LR / 2 * (g + field(w - LR * g)) - LR * penalty(w, X, Y, 0.4)


def rk4(w: Tensor, s: dict[str, Any]) -> Tensor:
    a = -field(w)
    b = -field(w + LR / 2 * a)
    c = -field(w + LR / 2 * b)
    d = -field(w + LR * c)
    return w + LR / 6 * (a + 2 * b + 2 * c + d) - LR * penalty(w, X, Y, 0.4)


def anderson(w: Tensor, s: dict[str, Any]) -> Tensor:
    """By the constrained form of the paper: weights that sum to 1 and minimise the mixed residual."""
    s.setdefault("points", []).append(w - LR * field(w))
    s.setdefault("residuals", []).append(LR * field(w))
    G, residuals = np.stack(s["points"][-3:]), np.stack(s["residuals"][-3:])
    weights = np.linalg.lstsq((residuals[:-1] - residuals[-1]).T, -residuals[-1], rcond=None)[0]
    return torch.from_numpy(np.append(weights, 1 - weights.sum()) @ G)


TWINS: dict[str, Step] = {
    f"alternating-extragrad[lr={LR},gamma=1.5]": alternating_extragradient,
    f"momentum-extragrad[lr={LR},gamma=1.5,beta=0.4]": extragradient_with_momentum,
    f"consensus[lr={LR},gamma=0.3]": consensus,
    f"smoothing[lr={LR},gamma=0.3]": smoothing,
    f"sga[lr={LR},lam=0.7]": sga,
    f"sga-aligned[lr={LR}]": sga_aligned,
    f"cgd[lr={LR},iterations=8]": cgd,
    "acgd[lr=0.02,iterations=14]": acgd,
    f"proximal-point[lr={LR},iterations=8]": proximal_point,
    f"lcgd[lr={LR}]": lcgd,
    f"lola[lr={LR}]": lola,
    f"sos[lr={LR}]": sos,
    f"lss[lr={LR},iterations=30]": lss,
    f"follow-the-ridge[lr={LR},iterations=8]": follow_the_ridge,
    f"lead[lr={LR}]": lead,
    f"unrolled[k=4,lr={LR}]": unrolled,
    f"unrolled[k=4,lr={LR},discriminator_first=true]": unrolled_first,
    f"ode-gan[lr={LR},reg=0.4]": heun,
    f"ode-gan[lr={LR},reg=0.4,order=4]": rk4,
    f"anderson[inner=sgd[lr={LR}],depth=2,restart=false,reg=0]": anderson,
}


BRIEF = {
    "anderson": 12,  # its residuals soon are rounding alone
    "lss": 15,  # it is drawn to where J is singular, and its inverse tells nothing
}


@pytest.mark.parametrize("most", [SOON, pytest.param(STEPS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("spelled", TWINS)
def test_equals_its_plain_twin(spelled: str, most: int) -> None:
    seeds = [0, 1, 2]
    rule, F = stacked(get_rule(spelled), [{}] * len(seeds), GAME), Oracle(GAME, seeds)
    w = GAME.init(F.seeds)
    s, plain, memories = rule.init(w), list(w), [{} for _ in seeds]
    steps = min((BRIEF[name] for name in BRIEF if name in spelled), default=most)
    for _ in range(steps):
        w, s = rule.step(F, w, s)
        plain = [TWINS[spelled](row, memory) for row, memory in zip(plain, memories, strict=True)]
    expected = torch.stack(plain).detach()
    assert expected.isfinite().all()
    assert (expected - GAME.init(F.seeds)).norm() > 0.1, "it moved"
    assert torch.allclose(w, expected, rtol=1e-9, atol=1e-9)


# --- directions against torch.optim, each player with an optimizer of its own -----------------------------------------

CLASSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (torch.optim.SGD, {}),
    "momentum[beta=0.7]": (torch.optim.SGD, {"momentum": 0.7}),
    "nesterov[beta=0.7]": (torch.optim.SGD, {"momentum": 0.7, "nesterov": True}),
    "adam[beta1=0.8,beta2=0.95]": (torch.optim.Adam, {"betas": (0.8, 0.95)}),
    "amsgrad[beta1=0.8,beta2=0.95]": (torch.optim.Adam, {"betas": (0.8, 0.95), "amsgrad": True}),
    "adamw[beta1=0.8,beta2=0.95,weight_decay=0.1]": (torch.optim.AdamW, {"betas": (0.8, 0.95), "weight_decay": 0.1}),
    "rmsprop[alpha=0.99]": (torch.optim.RMSprop, {"alpha": 0.99}),
    "adagrad": (torch.optim.Adagrad, {}),
    "torch[Adam,betas=0.8:0.95]": (torch.optim.Adam, {"betas": (0.8, 0.95)}),
    "torch[NAdam]": (torch.optim.NAdam, {}),
    "torch[RAdam]": (torch.optim.RAdam, {}),
    "torch[Rprop]": (torch.optim.Rprop, {}),
    "torch[Adadelta]": (torch.optim.Adadelta, {}),
}


@pytest.mark.parametrize("scheme", ["sgd", "alternating"])
@pytest.mark.parametrize("spelled", CLASSES)
def test_a_direction_equals_torchs_class(spelled: str, scheme: str) -> None:
    cls, options = CLASSES[spelled]
    lr = 1.0 if "Rprop" in spelled else 0.01  # its step size is a start, not a factor
    rule = get_rule(f"{scheme}[lr={lr},direction={spelled}]")
    F = Oracle(GAME, [4, 5])
    w = GAME.init(F.seeds)
    x, y = w[0, X].clone().requires_grad_(), w[0, Y].clone().requires_grad_()
    first, second = cls([x], lr=lr, **options), cls([y], lr=lr, **options)
    s = rule.init(w)
    for _ in range(STEPS):
        w, s = rule.step(F, w, s)
        y.grad = grad(losses(torch.cat([x, y]))[1], y)[0]
        if scheme == "alternating":
            second.step()
        x.grad = grad(losses(torch.cat([x, y]))[0], x)[0]
        if scheme == "sgd":
            second.step()
        first.step()
    assert torch.allclose(w[0], torch.cat([x, y]).detach(), rtol=1e-9, atol=1e-9)
