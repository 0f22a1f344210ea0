"""The laws that every update rule obeys, each a function that raises Broken where it does not hold.

The test suite runs them over the whole registry; a plug-in author runs them on a plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf

import torch
from safetensors.torch import load, save
from torch import Tensor

from bench.contracts import Game, Oracle, Solvable, State, UpdateRule, hyperparameters
from bench.contracts.introspection import for_game, stacked, with_values
from bench.registry import games

STEPS = 6
TRIED_ON = ("bilinear[dim=3]", "dirac", "ring8[width=16,batch_size=16]")
"""The games on which rules are tried."""
SEEDS = (3, 1, 4, 15, 9)


def small(name: str) -> str:
    """A registered game's spelling with the keys that make it small enough to be tried in a moment."""
    game = games[name]
    tried = game.tried if isinstance(game, type) else ""
    return f"{name}[{tried}]" if tried else name


class Broken(AssertionError):  # noqa: N818  (a law is broken, it did not err)
    """A law that does not hold: which, and which replica or entry broke it."""


class Untried(Exception):  # noqa: N818  (an answer, not a mistake)
    """Why a law cannot be tried on a plug-in."""


@dataclass
class Trace:
    """Where a run of a few steps ended, and the oracle that it asked."""

    w: Tensor
    s: State
    F: Oracle
    answer: Tensor


def trace(
    rule: UpdateRule,
    game: Game,
    seeds: tuple[int, ...] = SEEDS,
    steps: int = STEPS,
    w: Tensor | None = None,
    budget: float | None = None,
) -> Trace:
    """Run a rule from the game's start (or from w [R, n]); its budget, unless given, is of these steps and one more."""
    rule, spent = for_game(rule, game), (steps + 1) * rule.cost if steps else inf
    F = Oracle(game, seeds, budget=spent if budget is None else budget)
    w = game.init(F.seeds) if w is None else w
    return go_on(rule, Trace(w, rule.init(w), F, w), steps)


def go_on(rule: UpdateRule, at: Trace, steps: int = STEPS) -> Trace:
    """A few more steps from where a run stands."""
    w, s = at.w, at.s
    for _ in range(steps):
        w, s = rule.step(at.F, w, s)
        at.F.new_batch()
    return Trace(w, s, at.F, rule.answer(w, s))


def leaves(s: State, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a nested state with their dotted names, in order."""
    for key in sorted(s):
        if isinstance(s[key], dict):
            yield from leaves(s[key], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", s[key]


def restored(like: State, flat: dict[str, Tensor], prefix: str = "") -> State:
    """The state with the keys of ``like`` whose leaves these are."""
    return {
        key: restored(value, flat, f"{prefix}{key}.") if isinstance(value, dict) else flat[f"{prefix}{key}"]
        for key, value in like.items()
    }


def check_same(a: Tensor, b: Tensor, law: str) -> None:
    different = ~((a == b) | (a.isnan() & b.isnan()))
    if different.any():
        entry = tuple(different.nonzero()[0].tolist())
        raise Broken(f"{law}: entry {entry} (replica first) is {a[entry].item()!r}, not {b[entry].item()!r}")


def check_close(a: Tensor, b: Tensor, law: str, tolerance: float) -> None:
    gap = (a - b).abs() / b.abs().clamp(min=1)
    gap = torch.where((a == b) | (a.isnan() & b.isnan()), torch.zeros_like(gap), gap)  # both diverged in the same way
    if not gap.amax() <= tolerance:
        entry = tuple((~(gap <= tolerance)).nonzero()[0].tolist())
        difference = f"{gap[entry].item():.3g} relative, {tolerance:g} is allowed"
        raise Broken(f"{law}: entry {entry} (replica first) differs by {difference}")


def replicas_do_not_touch(rule: UpdateRule, game: Game) -> None:
    """One row NaN, the others unchanged; rows alone give the same as stacked, bit for bit from two rows on."""
    rows: list[dict[str, float]] = [{}] * len(SEEDS)
    whole = trace(stacked(rule, rows, game), game)
    start = game.init(torch.tensor(SEEDS))
    start[2] = float("nan")
    poisoned = trace(stacked(rule, rows, game), game, w=start)
    others = [0, 1, 3, 4]
    check_same(poisoned.w[others], whole.w[others], "replicas do not touch (row 2 is NaN)")
    check_same(poisoned.answer[others], whole.answer[others], "replicas do not touch: answer (row 2 is NaN)")
    pair = trace(stacked(rule, rows[1:3], game), game, seeds=SEEDS[1:3])
    check_same(pair.w, whole.w[1:3], "two rows alone are the same as stacked")
    tolerance = 1e-10 if game.dtype == torch.float64 else 1e-4
    alone = trace(stacked(rule, rows[3:4], game), game, seeds=SEEDS[3:4])
    check_close(alone.w, whole.w[3:4], "one row alone is the same as stacked", tolerance)


def step_is_pure(rule: UpdateRule, game: Game) -> None:
    """The same arguments give the same bits, and are left as they were."""
    rule = for_game(rule, game)
    at = trace(rule, game, steps=2)
    before = at.w.clone(), {name: value.clone() for name, value in leaves(at.s)}
    draw = at.F.draw
    first = rule.step(Oracle(game, SEEDS, draw), at.w, at.s)
    again = rule.step(Oracle(game, SEEDS, draw), at.w, at.s)
    check_same(at.w, before[0], "step leaves w as it was")
    for name, value in leaves(at.s):
        check_same(value, before[1][name], f"step leaves state {name} as it was")
    check_same(first[0], again[0], "step is deterministic")
    for (name, a), (_, b) in zip(leaves(first[1]), leaves(again[1]), strict=True):
        check_same(a, b, f"step is deterministic: state {name}")


def shapes_stay(rule: UpdateRule, game: Game) -> None:
    """Shapes, dtypes and keys of w, state and answer stay; every state tensor has leading R."""
    start, rule = game.init(torch.tensor(SEEDS)), for_game(rule, game)
    first = {name: (tuple(value.shape), value.dtype) for name, value in leaves(rule.init(start))}
    end = trace(rule, game)
    last = {name: (tuple(value.shape), value.dtype) for name, value in leaves(end.s)}
    if first != last:
        raise Broken(f"state keeps its keys, shapes and dtypes: began as {first}, ended as {last}")
    for what, value in (("w", end.w), ("answer", end.answer)):
        if value.shape != start.shape or value.dtype != start.dtype:
            raise Broken(
                f"{what} keeps shape and dtype: {tuple(start.shape)} {start.dtype} became {value.shape} {value.dtype}"
            )
    for name, (shape, _) in first.items():
        if not shape or shape[0] != len(SEEDS):
            raise Broken(f"state {name} has shape {shape}; its first axis is the {len(SEEDS)} replicas")


def continues_bit_for_bit(rule: UpdateRule, game: Game) -> None:
    """Save, load, continue equals straight on."""
    rule, budget = for_game(rule, game), 2 * STEPS * rule.cost
    straight = go_on(rule, trace(rule, game, budget=budget))
    half = trace(rule, game, budget=budget)
    kept = {"w": half.w} | {f"s.{k}": v for k, v in leaves(half.s)}
    saved = load(save({k: v.contiguous().clone() for k, v in kept.items()}))  # memories may share a tensor
    state = restored(rule.init(half.w), saved, "s.")
    F = Oracle(game, SEEDS, half.F.draw, budget)
    F.gradients, F.products = half.F.gradients, half.F.products
    again = go_on(rule, Trace(saved["w"], state, F, saved["w"]))
    check_same(again.w, straight.w, "save, load, continue equals straight on")


def cost_is_declared(rule: UpdateRule, game: Game) -> None:
    """The declared cost of a step is what the oracle counts, at every step."""
    rule = for_game(rule, game)
    at = trace(rule, game, steps=0)
    for step in range(STEPS):
        before = at.F.cost
        at = go_on(rule, at, steps=1)
        if abs(at.F.cost - before - rule.cost) > 1e-9:
            raise Broken(f"step {step} declares a cost of {rule.cost:g}, the oracle counted {at.F.cost - before:g}")


def rests_at_equilibrium(rule: UpdateRule, game: Game) -> None:
    """A rule that declares ``rests`` stays where F(w) = 0."""
    if not rule.rests or not isinstance(game, Solvable):
        return
    solution = game.solution().expand(len(SEEDS), -1).clone()
    check_close(trace(rule, game, w=solution).w, solution, "rests at the equilibrium", 1e-12)


def hyperparameters_are_each_replicas_own(rule: UpdateRule, game: Game) -> None:
    """Per-replica hyperparameters equal separate runs, for every float one; so do [R, n] ones equal [R, 1]."""
    for path, (kind, value) in hyperparameters(rule).items():
        if isinstance(value, int):
            continue
        other = min(value * 0.5 + kind.least * 0.5 if kind.least > -1e9 else value * 0.5, kind.high)
        rows = [{path: value}, {path: other}, {path: value}, {path: other}, {path: value}]
        mixed = trace(stacked(rule, rows, game), game, steps=2)
        for each, picked in ((value, [0, 2, 4]), (other, [1, 3])):
            same = trace(stacked(rule, [{path: each}] * len(SEEDS), game), game, steps=2)
            check_same(mixed.w[picked], same.w[picked], f"{path}: a replica's own value equals a run of its own")
            plain = trace(with_values(rule, {path: each}), game, steps=2)
            tolerance = 1e-9 if game.dtype == torch.float64 else 1e-3  # two steps: a float32 GAN soon turns chaotic
            check_close(same.w, plain.w, f"{path}: [R, 1] equals a plain number", tolerance)
        wide = trace(stacked(rule, [{path: (r[path],) * len(game.sizes)} for r in rows], game), game, steps=2)
        check_close(wide.w, mixed.w, f"{path}: [R, n] equals [R, 1]", 1e-9 if game.dtype == torch.float64 else 1e-3)


RULE_LAWS: tuple[Callable[[UpdateRule, Game], None], ...] = (
    replicas_do_not_touch,
    step_is_pure,
    shapes_stay,
    continues_bit_for_bit,
    cost_is_declared,
    rests_at_equilibrium,
    hyperparameters_are_each_replicas_own,
)
