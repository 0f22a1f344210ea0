"""The trial of an optimizer class before anything runs: its own optimizer, or declined with the reason.

The class plays a small GAN's tensors, matrices and biases of two players, at two step sizes, in float64 and float32.
What a user's loop does, with one live object a player, is the truth. The pure way has to end at the same point to 1e-6
of the way that was moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.contracts import State
from bench.contracts.game import Parameter
from bench.registry.torch_memory import Path
from bench.registry.torch_probes import (
    LONG,
    RATES,
    SMALL_GAN,
    SOON,
    WIDTH,
    DeclinedError,
    drawn,
    follows_from_rate,
    goes_on_from_a_copy,
    lost_later,
    memory,
    rests,
    without_other_memory,
)
from bench.registry.torch_steps import GROUP, Kept, Live, Looped, Make, Stacked, Steps, Tensors

STEPS = 30
EXACT, AGREES = 1e-9, 1e-6


@dataclass(frozen=True)
class Verdict:
    """What a trial found of a class that can be used."""

    of_rate: frozenset[Path]
    settles: int
    stacked: Stacked | None
    """The class with all replicas stacked, where that is the same."""
    proportional: bool
    """Whether its steps are its step size times what does not depend on it."""
    elementwise: bool
    keeps_point: bool
    rests: bool
    why_looped: str


def plain_loop(make: Make, points: list[Tensor], rates: tuple[float, ...], tensors: Tensors = SMALL_GAN) -> Tensor:
    """Where live optimizers end, one a player and replica."""
    end = points[0].clone()
    for row, rate in enumerate(rates):
        for player in tensors:
            live = Live(make, player, points[0][row], rate)
            for g in points[1:]:
                live.step(g[row])
            live.put(end[row])
    return end


def pure_way(step: Callable[[Tensor, State, Tensor], tuple[Tensor, State]], s: State, points: list[Tensor]) -> Tensor:
    """Where steps end that keep nothing but their memory."""
    w = points[0]
    for g in points[1:]:
        w, s = step(g, s, w)
    return w


def agree(end: Tensor, right: Tensor, start: Tensor, tolerance: float) -> bool:
    """Whether two ways end at one point, by the way moved."""
    rounding = 8 * torch.finfo(end.dtype).eps * float(right.abs().max()) if end.dtype == torch.float32 else 0.0
    return bool((end - right).abs().max() <= tolerance * (right - start).abs().max() + rounding)


def tried(name: str, make: Make) -> Verdict:
    """Try a class.

    Raises:
        DeclinedError: it cannot be used; any other exception is its own.
    """
    points = drawn(LONG)
    of_rate = follows_from_rate(make, points[0][0])
    if not of_rate:
        raise DeclinedError("it takes no step size: its lr changes nothing, so the scheme's cannot be given")
    without_other_memory(make, points)
    copies = goes_on_from_a_copy(make, points)
    settles, copied, own = memory(make, points)
    looped = Looped(name, make, SMALL_GAN, of_rate, settles)
    loops: dict[torch.dtype, Tensor] = {}
    for dtype in (torch.float64, torch.float32):
        few = [point.to(dtype) for point in points[: STEPS + 1]]
        right = loops[dtype] = plain_loop(make, few, RATES)
        if not bool(right.isfinite().all()):
            raise DeclinedError("its steps are not finite")
        end = pure_way(_at(looped, dtype), looped.init(few[0]), few)
        if not agree(end, right, few[0], AGREES):
            raise DeclinedError(
                "it keeps something elsewhere than in its state, its group or its own attributes: made anew with those "
                "at every step, it goes elsewhere"
            )
    few = points[: STEPS + 1]
    keeps_point = copies or (copied and lost_later(make, points))
    stacked = None if own or copied or keeps_point else _stacked(name, make, points)
    proportional = stacked is not None or proportional_steps(looped, few)
    elementwise = stacked is not None or _elementwise(make, few, loops[torch.float64])
    return Verdict(
        of_rate,
        settles,
        stacked,
        proportional,
        elementwise,
        keeps_point,
        rests(make, points[0][0]),
        _why_looped(own, proportional, elementwise, keeps_point),
    )


def _why_looped(own: str, proportional: bool, elementwise: bool, keeps_point: bool) -> str:
    if not elementwise:
        return "mixes the entries of a parameter"
    if keeps_point:
        return "keeps a copy of the point"
    if not proportional:
        return "takes steps that are not proportional to its step size"
    return f"keeps {own} beside its parameters' memory" if own else "keeps what cannot be stacked"


def _at(steps: Steps, dtype: torch.dtype) -> Callable[[Tensor, State, Tensor], tuple[Tensor, State]]:
    rates = torch.tensor(RATES, dtype=torch.float64).unsqueeze(1)
    rates = rates if dtype == torch.float64 else rates.to(dtype)
    return lambda g, s, w: steps.descend(g, s, w, rates[: len(w)])


def _stacked(name: str, make: Make, points: list[Tensor]) -> Stacked | None:
    """The class with all replicas as one parameter, if that is the same; every law of it was tried for many steps."""
    try:
        stacked = Stacked(name, make, *_kept(make, points), writes=_writes(make, points))
        for rows, steps, dtype in ((2, STEPS, torch.float64), (2, STEPS, torch.float32), (1, LONG, torch.float64)):
            some = [point[:rows].to(dtype) for point in points[: steps + 1]]
            right = plain_loop(make, some, RATES[:rows])
            end = pure_way(_at(stacked, dtype), stacked.init(some[0]), some)
            if not agree(end, right, some[0], EXACT if dtype == torch.float64 else 10 * AGREES):
                return None
    except Exception:
        return None
    return stacked


def _kept(make: Make, points: list[Tensor]) -> tuple[dict[str, Kept], dict[str, Any]]:
    """The state of the class between steps, by key, and the rest of its group; raises where it is not of two kinds."""
    point = torch.nn.Parameter(points[0][0].clone())
    optimizer = make([point], 1.0)
    fresh = dict(optimizer.param_groups[0])
    for g in points[1 : STEPS + 1]:
        point.grad = g[0].clone()
        optimizer.step()
    kept = dict(optimizer.state[point].items())
    rest = {}
    for key, value in optimizer.param_groups[0].items():
        if key != "params" and (key not in fresh or fresh[key] != value):
            kept[GROUP + key] = value
        elif key != "params":
            rest[key] = value
    return {key: _one(key, value, point) for key, value in kept.items() if value is not None}, rest


def _one(key: str, value: Any, point: Tensor) -> Kept:
    if isinstance(value, Tensor) and value.shape == point.shape:
        return Kept(True, value.dtype)
    if isinstance(value, Tensor) and value.ndim == 0:
        return Kept(False, value.dtype)
    if isinstance(value, (bool, int, float)):
        return Kept(False, type(value))
    raise TypeError(key)


def _writes(make: Make, points: list[Tensor]) -> bool:
    """Whether a few steps change the gradients that they are given."""
    point = torch.nn.Parameter(points[0].clone())
    optimizer = make([point], 1.0)
    for g in points[1:SOON]:
        given = point.grad = g.clone()
        optimizer.step()
        if not torch.equal(given, g):
            return True
    return False


def proportional_steps(looped: Looped, points: list[Tensor]) -> bool:
    """Whether its steps at a step size are that many times its steps at 1."""
    rates = torch.tensor(RATES, dtype=torch.float64).unsqueeze(1)[: len(points[0])]

    def scaled(g: Tensor, s: State, w: Tensor) -> tuple[Tensor, State]:
        at_one, s = looped.descend(g, s, w, 1.0)
        return w - rates * (w - at_one), s

    try:
        end = pure_way(scaled, looped.init(points[0]), points)
        right = pure_way(_at(looped, torch.float64), looped.init(points[0]), points)
    except Exception:
        return False
    return agree(end, right, points[0], EXACT)


def same_stacked(stacked: Stacked, looped: Looped, points: list[Tensor]) -> bool:
    """Whether a class goes the same way stacked on a game's own tensors, whose shapes no trial knows."""
    try:
        end = pure_way(_at(stacked, torch.float64), stacked.init(points[0]), points)
    except Exception:
        return False
    return agree(end, plain_loop(stacked.make, points, RATES[:1], looped.tensors), points[0], EXACT)


def _elementwise(make: Make, points: list[Tensor], right: Tensor) -> bool:
    """Whether both players and all layers as one vector go the same way; padding may move."""
    try:
        end = plain_loop(make, points, RATES, ((Parameter(0, (WIDTH,)),),))
    except Exception:
        return False
    inside = torch.cat([torch.arange(WIDTH)[tensor.columns] for player in SMALL_GAN for tensor in player])
    return agree(end[:, inside], right[:, inside], points[0][:, inside], EXACT)
