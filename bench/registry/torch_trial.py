"""The trial of an optimizer class before anything runs: its own optimizer, or declined with the reason.

The class plays a small GAN's tensors, matrices and biases of two players, at two step sizes, in float64 and float32.
What a user's loop does, with one live object a player, is the truth. The pure way has to end at the same point to 1e-6
of the way that was moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from bench.contracts import State
from bench.contracts.game import Parameter
from bench.registry.torch_changes import bits, changed, deep, taken_down
from bench.registry.torch_memory import Layout, Path, Reading, held
from bench.registry.torch_steps import Kept, Live, Looped, Make, Stacked, Steps, Tensors

SMALL_GAN: Tensors = (
    (Parameter(0, (5, 3)), Parameter(16, (5,)), Parameter(24, (2, 5)), Parameter(36, (2,))),
    (Parameter(40, (4, 2)), Parameter(48, (4,)), Parameter(54, (1, 4)), Parameter(60, (1,))),
)
"""Some columns between them are padding, as in the networks here."""
WIDTH = 64
RATES = (0.01, 0.1)
STEPS, LONG, SOON, CALLS, TURNS = 30, 160, 12, 8, 3
SHIFT_RATE = 1e-6  # so small that a step itself, weight decay too, moves a shifted point by nothing
EXACT, AGREES = 1e-9, 1e-6


class DeclinedError(Exception):
    """Why a class cannot be a direction."""


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


def drawn(steps: int, tensors: Tensors = SMALL_GAN, width: int = WIDTH, rows: int = len(RATES)) -> list[Tensor]:
    """A start and as many gradients, [R, n] in float64; 0 in the padding.

    Some entries keep their sign, some change it at every step, some are small: bounds of a step show only there.
    """
    generator = torch.Generator().manual_seed(0)
    inside = torch.zeros(width, dtype=torch.float64)
    for player in tensors:
        for tensor in player:
            inside[tensor.columns] = 1
    column = torch.arange(width)
    size = torch.where(column % 5 == 3, 1e-3, 1.0) * inside
    points = [torch.randn(rows, width, generator=generator, dtype=torch.float64) * inside]
    for step in range(steps):
        sign = 3.0 * (column % 5 == 0) + 3.0 * (-1) ** step * (column % 5 == 1)
        points.append((torch.randn(rows, width, generator=generator, dtype=torch.float64) + sign) * size)
    return points


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
    of_rate = _follows_from_rate(make, points[0][0])
    if not of_rate:
        raise DeclinedError("it takes no step size: its lr changes nothing, so the scheme's cannot be given")
    _without_other_memory(make, points)
    copies = _points_lost(make, points)
    settles, copied, own = _memory(make, points)
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
    keeps_point = copies or (copied and _lost_later(make, points))
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
        _rests(make, points[0][0]),
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


def _follows_from_rate(make: Make, w: Tensor) -> frozenset[Path]:
    """What of a new object follows from its step size."""
    one, other = (held(Live(make, SMALL_GAN[0], w, rate).optimizer) for rate in RATES)
    return frozenset(path for path in one if path in other and deep(one[path]) != deep(other[path]))


def _without_other_memory(make: Make, points: list[Tensor]) -> None:
    """Decline a class that changes what is no memory."""
    live = Live(make, SMALL_GAN[0], points[0][0], RATES[0])
    before = taken_down(live.optimizer, live.params)
    for g in points[1:SOON]:
        live.step(g[0])
        for what in changed(before, taken_down(live.optimizer, live.params)):
            if not _alternates(_survivors(make, points)):
                raise DeclinedError(
                    f"it draws {what}, which no seed here decides" if what.startswith("the ") else f"it keeps {what}"
                )


def _survivors(make: Make, points: list[Tensor]) -> list[Tensor]:
    """For each of a few calls, how much is left after it, [n], of a shift of the parameters before it."""
    player, w = SMALL_GAN[0], points[0][0]
    generator = torch.Generator().manual_seed(2)
    shifts = [0.5 + torch.rand(tensor.shape, generator=generator, dtype=torch.float64) for tensor in player]
    base, left = Live(make, player, w, SHIFT_RATE), []
    for call in range(1, CALLS + 1):
        base.step(points[call][0])
        live = Live(make, player, w, SHIFT_RATE)
        for k in range(1, call + 1):
            if k == call:
                with torch.no_grad():
                    for param, shift in zip(live.params, shifts, strict=True):
                        param.add_(shift)
            live.step(points[k][0])
        parts = [(a.detach() - b.detach()) / c for a, b, c in zip(live.params, base.params, shifts, strict=True)]
        left.append(torch.cat([part.reshape(-1) for part in parts]).abs())
    return left


def _alternates(left: list[Tensor]) -> bool:
    """Whether calls that keep a shift and calls that go back behind it take turns."""
    kept = [bool(part.max() >= AGREES) for part in left if bool(part.max() < AGREES or part.median() > 0.5)]
    return sum(a != b for a, b in pairwise(kept)) >= TURNS


def _points_lost(make: Make, points: list[Tensor]) -> bool:
    """Whether the class has a copy of the point, from which it goes on; declined where it does at some calls."""
    left = _survivors(make, points)
    if _alternates(left):
        raise DeclinedError(
            "it steps from where it stood some calls ago, as one that extrapolates first does: "
            "a scheme: see `bench list optimizers`, extragrad"
        )
    return any(bool(part.median() < 0.999) for part in left[1:])


def _lost_later(make: Make, points: list[Tensor]) -> bool:
    """Whether a shift of the parameters is partly lost after many calls, as where a slow copy is returned to."""
    ways = [Live(make, SMALL_GAN[0], points[0][0], SHIFT_RATE) for _ in range(2)]
    for call, g in enumerate(points[1:]):
        if call == 1:
            with torch.no_grad():
                for param in ways[1].params:
                    param.add_(1.0)
        for live in ways:
            live.step(g[0])
    return any(
        bool((b.detach() - a.detach()).median() < 0.999) for a, b in zip(*(live.params for live in ways), strict=True)
    )


def _memory(make: Make, points: list[Tensor]) -> tuple[int, bool, str]:
    """Steps until its memory has all its forms; whether it has a copy of a point; what it changes beside its state."""
    settles, copied, own = 1, False, ""
    for player in SMALL_GAN:
        live, layout = Live(make, player, points[0][0], RATES[0]), Layout()
        visited = [{bits(part) for part in live.params if part.numel() > 1}]
        before = _beside_state(live)
        reading = live.read()
        for step, g in enumerate(points[1:], 1):
            live.step(g[0])
            last, reading = reading, live.read()
            if layout.learn(reading):
                settles = max(settles, step)
                if step > LONG - SOON or len(layout.forms) > SOON:
                    raise DeclinedError(f"it keeps {_new_in(reading, last)}, which takes another shape again and again")
            if step <= SOON:
                visited.append({bits(part) for part in live.params if part.numel() > 1})
                tensors = (leaf for leaf in reading.leaves if isinstance(leaf, Tensor))
                copied = copied or any(bits(leaf) in points_then for leaf in tensors for points_then in visited)
                own = own or next((repr(path[-1]) for path in before if before[path] != _beside_state(live)[path]), "")
    return settles, copied, own


def _beside_state(live: Live) -> dict[Path, Any]:
    """What stands on the object, and in its state at no parameter."""
    found: dict[Path, Any] = {path: deep(value) for path, value in held(live.optimizer).items() if path[0] == "own"}
    shared = [(key, value) for key, value in live.optimizer.state.items() if not isinstance(key, Tensor)]
    return found | {("state", "state"): deep(shared)}


def _new_in(reading: Reading, last: Reading) -> str:
    """The part of a memory whose form is another than in the last."""
    path = next((path for path, form in reading.parts.items() if last.parts.get(path) != form), ("", "something"))
    return repr(next(key for key in reversed(path) if isinstance(key, str)))


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
            kept[f"group.{key}"] = value
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
        right = pure_way(lambda g, s, w: looped.descend(g, s, w, rates), looped.init(points[0]), points)
    except Exception:
        return False
    return agree(end, right, points[0], EXACT)


def same_stacked(stacked: Stacked, looped: Looped, points: list[Tensor]) -> bool:
    """Whether a class goes the same way stacked on a game's own tensors, whose shapes no trial knows."""
    rates = torch.tensor(RATES, dtype=torch.float64).unsqueeze(1)[: len(points[0])]
    try:
        end = pure_way(lambda g, s, w: stacked.descend(g, s, w, rates), stacked.init(points[0]), points)
    except Exception:
        return False
    return agree(end, plain_loop(stacked.make, points, RATES[:1], looped.tensors), points[0], EXACT)


def _elementwise(make: Make, points: list[Tensor], right: Tensor) -> bool:
    """Whether both players and all layers as one vector go the same way; padding may move."""
    try:
        end = plain_loop(make, points, RATES, (((Parameter(0, (WIDTH,)),),)))
    except Exception:
        return False
    inside = torch.cat([torch.arange(WIDTH)[tensor.columns] for player in SMALL_GAN for tensor in player])
    return agree(end[:, inside], right[:, inside], points[0][:, inside], EXACT)


def _rests(make: Make, w: Tensor) -> bool:
    """Whether a class stays where all gradients are 0."""
    live, end = Live(make, SMALL_GAN[0], w, RATES[0]), w.clone()
    for _ in range(3):
        live.step(torch.zeros_like(w))
    live.put(end)
    return torch.equal(end, w)
