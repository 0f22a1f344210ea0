"""Optimizer classes of torch.optim, or of any package that follows its interface, as directions.

A class is given what it would get in a user's loop: one parameter for each tensor of a network, one optimizer for each
player, and the scheme's own step size as its lr. Its steps are made pure: a new object at every step gets the memory of
the last one back. A trial decides, before anything runs, whether that is the class's own way; if not, it is declined
with the reason. A class that works entry by entry and whose steps are proportional to its lr runs with all replicas
stacked as one parameter [R, n], because that is the same and fast.

The other modules: `torch_memory` reads what an optimizer keeps and gives it back, `torch_layout` holds it as tensors,
`torch_steps` has the two ways of stepping, `torch_trial` and `torch_probes` are the trial, `torch_changes` looks for
what no memory holds.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from bench.contracts import Game
from bench.contracts.game import Parameter
from bench.errors import UserError, nearest
from bench.registry.identity import class_code
from bench.registry.torch_probes import DeclinedError, drawn
from bench.registry.torch_steps import Looped, Make, Stacked, Steps, Tensors, told
from bench.registry.torch_trial import Verdict, proportional_steps, same_stacked, tried

TRIED = (3, 16)  # replicas and entries of the gradients that tell how long steps are
TRIED_STEPS = 12
TRIED_ON_GAME = 3  # steps on a game's own tensors


@dataclass(frozen=True, eq=False)
class Foreign:
    """An optimizer class with its options, after a trial."""

    name: str
    make: Make
    verdict: Verdict
    stacked: Stacked | None
    normalised: bool
    """Steps of the same length whatever the gradient's."""
    rate: float
    """The step size that the class has by default; 0 where it has none."""
    code: str
    """What tells this class from an edited one."""

    def unbound(self, w: Tensor) -> Steps:
        """Steps that know no game: all entries as one vector, for a class that works entry by entry."""
        if self.stacked:
            return self.stacked
        if not self.verdict.elementwise:
            raise UserError(
                f"torch[{self.name}] mixes the entries of a tensor, so it must know the game's tensors: step "
                "bench.contracts.introspection.for_game(rule, game) instead of the rule"
            )
        return self._looped(((Parameter(0, (w.shape[1],)),),))

    def bound(self, game: Game) -> tuple[Steps, bool]:
        """Steps on a game's tensors, and whether they are proportional to their step size."""
        return self._on(game.tensors, sum(game.sizes), game.dtype)

    def _looped(self, tensors: Tensors) -> Looped:
        return looped(self, tensors)

    @lru_cache(maxsize=64)  # noqa: B019  (classes that were tried are kept anyway)
    def _on(self, tensors: Tensors, width: int, dtype: torch.dtype) -> tuple[Steps, bool]:
        by_tensor = self._looped(tensors)
        points = drawn(TRIED_ON_GAME, tensors, width, rows=1)
        with declining(self.name), torch.random.fork_rng(devices=[]):
            if self.stacked and same_stacked(self.stacked, by_tensor, points):
                return self.stacked, True
            by_tensor.layouts_for(dtype, torch.device("cpu"))
            return by_tensor, self.verdict.proportional and proportional_steps(by_tensor, points)


@lru_cache(maxsize=256)
def looped(owner: Foreign, tensors: Tensors) -> Looped:
    """The class stepped on these tensors."""
    return Looped(owner.name, owner.make, tensors, owner.verdict.of_rate, owner.verdict.settles)


@lru_cache(maxsize=1024)
def foreign(name: str, options: tuple[tuple[str, Any], ...]) -> Foreign:
    """The class of that name (in torch.optim, or dotted) with options; UserError where it cannot be run, and why."""
    found = _class(name)
    make, rate = _maker(name, found, dict(options))
    code = class_code(found)
    with declining(name), torch.random.fork_rng(devices=[]):
        verdict = tried(name, make)
        return Foreign(name, make, verdict, verdict.stacked, _normalised(make), rate, code)


def _maker(name: str, optimizer_class: type, options: dict[str, Any]) -> tuple[Make, float]:
    """A function from parameters and a step size to an optimizer for them; the class's own step size."""
    parameters = inspect.signature(optimizer_class).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if "lr" in options:
        raise UserError(f"torch[{name}]: lr is the scheme's; write e.g. sgd[lr=0.1,direction=torch[{name}]]")
    for key in options:
        if key not in parameters and not takes_any:
            raise UserError(f"torch[{name}] has no {key!r}; {nearest(key, set(parameters) - {'params', 'lr'})}")
    if "lr" not in parameters and not takes_any:
        raise UserError(f"torch[{name}] cannot be a direction: it takes no lr, so the scheme's step size has no place")
    default = parameters["lr"].default if "lr" in parameters else None
    rate = float(default) if isinstance(default, (int, float)) else 0.0
    return lambda params, lr: cast("torch.optim.Optimizer", optimizer_class(params, lr=lr, **options)), rate


def _class(name: str) -> type:
    module, _, attribute = name.rpartition(".")
    try:
        home = importlib.import_module(module or "torch.optim")
    except ImportError as error:
        raise UserError(f"torch[{name}]: {module!r} cannot be imported: {error}") from None
    classes: dict[str, type] = {key: candidate for key, candidate in vars(home).items() if _is_optimizer(candidate)}
    if attribute not in classes:
        raise UserError(f"torch[{name}]: no optimizer class; {nearest(attribute, classes)}")
    return classes[attribute]


def _is_optimizer(candidate: Any) -> bool:
    base = torch.optim.Optimizer
    return inspect.isclass(candidate) and issubclass(candidate, base) and candidate is not base


@contextmanager
def declining(name: str) -> Iterator[None]:
    """Turn an exception during the trial into the reason why the class cannot be a direction."""
    try:
        yield
    except UserError:
        raise
    except DeclinedError as error:
        raise UserError(f"torch[{name}] cannot be a direction: {error}") from None
    except Exception as error:
        raise UserError(f"torch[{name}] cannot be a direction, a step from one gradient: {told(error)}") from error


def _normalised(make: Make) -> bool:
    """Whether steps at a step size of 1 are hardly shorter where gradients are."""
    try:
        length = [_moved(make, scale) for scale in (1.0, 1e-4)]
    except Exception:
        return False
    return bool(length[1].norm() > 0.1 * length[0].norm())


def _moved(make: Make, scale: float) -> Tensor:
    """The last of a few steps of one replica from 0, for gradients of that scale."""
    generator = torch.Generator().manual_seed(0)
    point = torch.nn.Parameter(torch.zeros(TRIED[1], dtype=torch.float64))
    optimizer, before = make([point], 1.0), point.detach().clone()
    for _ in range(TRIED_STEPS):
        before = point.detach().clone()
        point.grad = scale * torch.randn(TRIED, generator=generator, dtype=torch.float64)[0]
        optimizer.step()
    return point.detach() - before
