"""Optimizer classes as users write them, one of every kind that makes it hard to step them as pure functions."""

from __future__ import annotations

import itertools
import random
from typing import Any

import torch
from torch import Tensor

CALLS = []


class Own(torch.optim.Optimizer):
    """One step a parameter, by `move`."""

    def __init__(self, params: Any, lr: float = 0.1, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.begin()
        for group in self.param_groups:
            for p in group["params"]:
                self.move(p, p.grad, self.state[p], group)

    def begin(self) -> None: ...

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g, alpha=group["lr"])


# --- kept on the object ----------------------------------------------------------------------------------------------


class Counting(Own):
    """A warm-up by a counter on itself."""

    t = 0

    def begin(self) -> None:
        self.t += 1

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g, alpha=group["lr"] * min(1.0, self.t / 20))


class Rarely(Counting):
    """What it counts acts after 1,000 steps only."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g, alpha=group["lr"] * (0.1 if self.t > 1000 else 1.0))


class Warm(torch.optim.Adam):
    """It sets the step size in its group."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.base, self.t = lr, 0

    def step(self, closure: Any = None) -> None:
        self.t += 1
        self.param_groups[0]["lr"] = self.base * min(1.0, self.t / 20)
        super().step()


class Buffers(Own):
    """A momentum in a dict by parameter, and one past gradient in a list, on itself."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        self.buffers: dict[Tensor, Tensor] = {}
        self.past: list[Any] = [None]

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        m = self.buffers.setdefault(p, torch.zeros_like(p))
        m.mul_(0.9).add_(g)
        self.past[0] = g.norm().item()
        p.sub_(m, alpha=group["lr"] / (1 + self.past[0]))


class Shared(Own):
    """A count in its state, at no parameter."""

    def begin(self) -> None:
        self.state["k"] = self.state.get("k", torch.tensor([0], dtype=torch.int64)) + 1

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g, alpha=group["lr"] / float(self.state["k"]) ** 0.5)


class Holder:
    def __init__(self) -> None:
        self.count = 0


class Held(Own):
    """A counter in an object that it holds."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        self.holder = Holder()

    def begin(self) -> None:
        self.holder.count += 1

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g, alpha=group["lr"] * (0.5 if self.holder.count > 1000 else 1.0))


class Iterating(Own):
    """A counter in an iterator."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        self.numbers = itertools.count(1)

    def begin(self) -> None:
        self.t = next(self.numbers)


class OnClass(Own):
    """A counter on its class."""

    count = 0

    def begin(self) -> None:
        type(self).count += 1


class InModule(Own):
    """A list in its module."""

    def begin(self) -> None:
        CALLS.append(1)


class Growing(Own):
    """All gradients, in a list that grows."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        s.setdefault("past", []).append(g.clone())
        p.sub_(sum(s["past"]), alpha=group["lr"])


class Noisy(Own):
    """Random numbers of torch."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g + 0.01 * torch.randn_like(g), alpha=group["lr"])


class Dice(Own):
    """Random numbers of Python."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g, alpha=group["lr"] * random.random())


# --- schemes ---------------------------------------------------------------------------------------------------------


class TwoPhaseOnItself(Own):
    """Extrapolates on odd calls; the kept point and the phase are on itself."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        self.kept: list[Tensor] = []

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        group = self.param_groups[0]
        if self.kept:
            for p, kept in zip(group["params"], self.kept, strict=True):
                p.copy_(kept - group["lr"] * p.grad)
            self.kept = []
            return
        self.kept = [p.clone() for p in group["params"]]
        for p in group["params"]:
            p.sub_(p.grad, alpha=group["lr"])


class TwoPhaseInGroup(Own):
    """The same with the phase in its group and the point in its state."""

    def begin(self) -> None:
        self.param_groups[0]["phase"] = 1 - self.param_groups[0].get("phase", 0)

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        if group["phase"]:
            s["kept"] = p.clone()
        p.copy_(s["kept"] - group["lr"] * g)


class TwoPhaseInState(Own):
    """The same with the phase in its state."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        s["t"] = s.get("t", 0) + 1
        if s["t"] % 2:
            s["kept"] = p.clone()
        p.copy_(s["kept"] - group["lr"] * g)


# --- memory of other shapes and types --------------------------------------------------------------------------------


class OneEntry(Own):
    """A memory of shape (1,)."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        m = s.setdefault("m", torch.zeros(1, dtype=p.dtype))
        m.add_(torch.ones(1, dtype=p.dtype))
        p.add_(g / m, alpha=-group["lr"])


class Norms(Own):
    """A 0-dimensional memory of the parameter's type."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        v = s.setdefault("v", torch.zeros((), dtype=p.dtype))
        v.lerp_(g.norm(), 0.1)
        p.sub_(g / (v + 1e-8), alpha=group["lr"])


class Factored(Own):
    """Row and column means for matrices, one number an entry for vectors."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        if p.ndim < 2:
            v = s.setdefault("v", torch.zeros_like(p)).lerp_(g**2, 0.1)
        else:
            row = s.setdefault("row", torch.zeros_like(p[:, :1])).lerp_((g**2).mean(1, keepdim=True), 0.1)
            column = s.setdefault("column", torch.zeros_like(p[:1])).lerp_((g**2).mean(0, keepdim=True), 0.1)
            v = row * column / row.mean()
        p.sub_(g / (v.sqrt() + 1e-8), alpha=group["lr"])


class WideOnly(Own):
    """By the norm for matrices of 16 rows alone: no small network tells."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        by = g.norm() if p.ndim == 2 and len(p) == 16 else 1.0
        p.sub_(g / by, alpha=group["lr"])


class Bounded(Own):
    """A step size for each entry, in [1e-3, 0.5] whatever the lr, as Rprop's."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        size = s.setdefault("size", torch.full_like(p, group["lr"]))
        size.mul_(torch.where(g * s.setdefault("last", torch.zeros_like(p)) > 0, 1.2, 0.7)).clamp_(1e-3, 0.5)
        s["last"] = g.clone()
        p.sub_(size * g.sign())


class Trust(Own):
    """LAMB's ratio of norms for each tensor."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        m = s.setdefault("m", torch.zeros_like(p)).lerp_(g, 0.1)
        p.sub_(m * (p.norm() / (m.norm() + 1e-12)).clamp(max=10), alpha=group["lr"])


class Power(Own):
    """The step size in a power."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        s["t"] = s.get("t", 0) + 1
        p.sub_(g, alpha=group["lr"] / (1 + group["lr"] * s["t"]) ** 0.75)


class Slow(Own):
    """A slow copy of the point, to which it returns halfway at every third step."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        slow = s.setdefault("slow", p.clone())
        s["t"] = s.get("t", 0) + 1
        p.sub_(g, alpha=group["lr"])
        if s["t"] % group.get("k", 3) == 0:
            slow.lerp_(p, 0.5)
            p.copy_(slow)


class Averaged(Own):
    """Schedule-free: it goes on from a copy that the gradient moves, not from the point that it is given."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        z, x = s.setdefault("z", p.clone()), s.setdefault("x", p.clone())
        s["t"] = s.get("t", 0) + 1
        z.sub_(g, alpha=group["lr"])
        x.lerp_(z, 1 / s["t"])
        p.copy_(0.1 * z + 0.9 * x)


# --- what plain torch refuses ----------------------------------------------------------------------------------------


class Hessian(Own):
    """A Hutchinson diagonal: it needs create_graph."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        params = [p for p in self.param_groups[0]["params"] if p.requires_grad]
        with torch.enable_grad():
            products = torch.autograd.grad([p.grad for p in params], params, [p.grad.sign() for p in params])
        for p, product in zip(params, products, strict=True):
            p.sub_(p.grad / (product.abs() + 1e-8), alpha=self.param_groups[0]["lr"])


class InPlace(Own):
    """It changes a leaf in place without no_grad."""

    def step(self, closure: Any = None) -> None:
        for p in self.param_groups[0]["params"]:
            p.add_(p.grad, alpha=-self.param_groups[0]["lr"])


class Exploding(Own):
    """Steps that are not finite."""

    def move(self, p: Tensor, g: Tensor, s: dict[str, Any], group: dict[str, Any]) -> None:
        p.sub_(g / 0.0, alpha=group["lr"])


class NoRate(torch.optim.SGD):
    """No lr at all."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.1)


class Deaf(Own):
    """It takes any option and uses no lr."""

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, 0.1)
