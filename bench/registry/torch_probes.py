"""What an optimizer class does, found by how it behaves: what it keeps, and whether it goes on from where it is put.

Everything here is tried with live objects as in a user's loop.
"""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor

from bench.contracts.game import Parameter
from bench.registry.torch_changes import bits, changed, deep, taken_down
from bench.registry.torch_layout import Layout
from bench.registry.torch_memory import Path, Reading, held
from bench.registry.torch_steps import Live, Make, Tensors, walks

SMALL_GAN: Tensors = (
    (Parameter(0, (5, 3)), Parameter(16, (5,)), Parameter(24, (2, 5)), Parameter(36, (2,))),
    (Parameter(40, (4, 2)), Parameter(48, (4,)), Parameter(54, (1, 4)), Parameter(60, (1,))),
)
"""Some columns between them are padding, as in the networks here."""
WIDTH = 64
RATES = (0.01, 0.1)
LONG, FORMS, SOON, CALLS, TURNS = 160, 24, 12, 8, 3
SHIFT_RATE = 1e-6  # so small that a step itself, weight decay too, moves a shifted point by nothing
LOST = 1e-6


class DeclinedError(Exception):
    """Why a class cannot be a direction."""


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


def follows_from_rate(make: Make, w: Tensor) -> frozenset[Path]:
    """What of a new object follows from its step size."""
    one, other = (held(Live(make, SMALL_GAN[0], w, rate).optimizer) for rate in RATES)
    return frozenset(path for path in one if path in other and deep(one[path]) != deep(other[path]))


def without_other_memory(make: Make, points: list[Tensor]) -> None:
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
    kept = [bool(part.max() >= LOST) for part in left if bool(part.max() < LOST or part.median() > 0.5)]
    return sum(a != b for a, b in pairwise(kept)) >= TURNS


def goes_on_from_a_copy(make: Make, points: list[Tensor]) -> bool:
    """Whether the class has a copy of the point, from which it goes on; declined where it does at some calls."""
    left = _survivors(make, points)
    if _alternates(left):
        raise DeclinedError(
            "it steps from where it stood some calls ago, as one that extrapolates first does: "
            "a scheme: see `bench list optimizers`, extragrad"
        )
    return any(bool(part.median() < 0.999) for part in left[1:])


def lost_later(make: Make, points: list[Tensor]) -> bool:
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


def memory(make: Make, points: list[Tensor]) -> tuple[int, bool, str]:
    """Steps until its memory has all its forms; whether it has a copy of a point; what it changes beside its state."""
    settles, copied, own = 1, False, ""
    gradients = [g[0] for g in points[1:]]
    ways = [gradients, *(walk[:FORMS] for walk in walks(gradients)[1:])]
    for player, walk in product(SMALL_GAN, ways):
        live, layout = Live(make, player, points[0][0], RATES[0]), Layout()
        visited = [{bits(part) for part in live.params if part.numel() > 1}]
        before = _beside_state(live)
        reading = live.read()
        for step, g in enumerate(walk, 1):
            live.step(g)
            last, reading = reading, live.read()
            if layout.learn(reading):
                settles = max(settles, step)
                if step > LONG - SOON or len(layout.forms) > SOON:
                    raise DeclinedError(f"it keeps {_new_in(reading, last)}, which takes another shape again and again")
            if step <= SOON and walk is gradients:
                visited.append({bits(part) for part in live.params if part.numel() > 1})
                tensors = (leaf for leaf in reading.leaves if isinstance(leaf, Tensor))
                copied = copied or any(bits(leaf) in points_then for leaf in tensors for points_then in visited)
                now = _beside_state(live)
                own = own or next((repr(path[-1]) for path in now if before.get(path) != now[path]), "")
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


def rests(make: Make, w: Tensor) -> bool:
    """Whether a class stays where all gradients are 0."""
    live, end = Live(make, SMALL_GAN[0], w, RATES[0]), w.clone()
    for _ in range(3):
        live.step(torch.zeros_like(w))
    live.put(end)
    return torch.equal(end, w)
