"""Introspection of rules: their hyperparameters and notices; copies of a rule with other values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar, cast, get_args, get_type_hints

import torch
from torch import Tensor

from bench.contracts.game import Game
from bench.contracts.hyperparameter import Hyperparameter
from bench.contracts.oracle import Oracle, Product
from bench.contracts.rule import Direction, UpdateRule, nested

Owner = TypeVar("Owner", bound=UpdateRule | Direction)


def notices(owner: UpdateRule | Direction) -> list[str]:
    """The notices to a user of a rule and of everything nested in it."""
    texts = [owner.notice] if isinstance(owner, Direction) and owner.notice else []
    return texts + [text for inner in nested(owner).values() for text in notices(inner)]


def hints(owner: Any) -> dict[str, Any]:
    """Type hints of a dataclass with their hyperparameter kinds; field name -> annotation."""
    return get_type_hints(owner, include_extras=True)


def hyperparameters(owner: Any, prefix: str = "") -> dict[str, tuple[Hyperparameter, Any]]:
    """Every hyperparameter of a rule, nested ones by dotted path: path -> (kind, value).

    A step size's kind comes with the range that fits the direction it steps along.
    """
    kinds: dict[str, tuple[Hyperparameter, Any]] = {}
    inner = nested(owner)
    scale = getattr(inner.get("direction"), "scale", 1.0)
    for field in fields(owner):
        value = getattr(owner, field.name)
        if field.name in inner:
            kinds |= hyperparameters(value, f"{prefix}{field.name}.")
            continue
        for kind in get_args(hints(type(owner))[field.name])[1:]:
            if isinstance(kind, Hyperparameter):
                kinds[prefix + field.name] = (_scaled(kind, scale), value)
    return kinds


def _scaled(kind: Hyperparameter, scale: float) -> Hyperparameter:
    if not kind.step_size or scale == 1.0:
        return kind
    return Hyperparameter(
        kind.kind, kind.low * scale, kind.high * scale, kind.log, kind.least, kind.most, kind.step_size
    )


def directions_of(owner: UpdateRule | Direction) -> Iterator[Direction]:
    """The directions in a rule, however deep."""
    for inner in nested(owner).values():
        if isinstance(inner, Direction):
            yield inner
        yield from directions_of(inner)


def for_game(owner: Owner, game: Game) -> Owner:
    """The same rule, every direction of it for that game. The training does so; one who steps by hand may have to.

    A direction that works entry by entry needs no game. One that must know the networks' tensors says so.
    """
    changes = {}
    for name, inner in nested(owner).items():
        bound = for_game(inner, game)
        bound = bound.for_game(game) if isinstance(bound, Direction) else bound
        if bound is not inner:
            changes[name] = bound
    return cast("Owner", replace(cast("Any", owner), **changes)) if changes else owner


def stacked(rule: UpdateRule, rows: list[dict[str, Any]], game: Game, device: str = "cpu") -> UpdateRule:
    """The rule for that game with every float hyperparameter as [R, 1], or [R, n] where players differ.

    Always as tensors, also where all replicas agree: a replica's bits then never depend on its neighbours' values.
    """
    values: dict[str, Tensor] = {}
    for path, (_, default) in hyperparameters(rule).items():
        if isinstance(default, int):
            continue
        column = [row.get(path, default) for row in rows]
        if any(isinstance(value, tuple) for value in column):
            wide = [_each_player(value, game) for value in column]
            values[path] = torch.stack(wide).to(device)
        else:
            values[path] = torch.tensor(column, dtype=game.dtype, device=device).unsqueeze(1)
    stacked_rule: UpdateRule = with_values(rule, values)
    return for_game(stacked_rule, game)


class Asked(Oracle):
    """An oracle that notes what a rule asks for besides gradients."""

    def __init__(self, game: Game, seeds: Sequence[int]) -> None:
        super().__init__(game, seeds)
        self.asks_budget = False
        self.products_asked: set[str] = set()
        """``push`` for J v, ``pull`` for J^T u."""

    @property
    def budget(self) -> float:
        """Some budget."""
        self.asks_budget = True
        return 1e6

    @budget.setter
    def budget(self, budget: float) -> None:
        pass

    def linear(self, w: Tensor, player: int | None = None, own: bool = True) -> tuple[Tensor, Product, Product]:
        field, push, pull = super().linear(w, player, own)

        def noted(name: str, product: Product) -> Product:
            def of(v: Tensor) -> Tensor:
                self.products_asked.add(name)
                return product(v)

            return of

        return field, noted("push", push), noted("pull", pull)


def asked(rule: UpdateRule, game: Game) -> Asked:
    """What a rule asks for in its first two steps on a game: the budget or the share of it, Jacobian products."""
    w = game.init(torch.arange(2))
    bound, F = for_game(rule, game), Asked(game, range(2))
    s = bound.init(w)
    for _ in range(2):
        w, s = bound.step(F, w, s)
        F.new_batch()
    return F


def without_product(game: Game, product: str = "pull") -> str:
    """Why a game's Jacobian has no product ``push``, J v, or ``pull``, J^T u, in torch's words; "" where it has."""
    F = Oracle(game, range(2))
    w = game.init(F.seeds)
    try:
        _, push, pull = F.linear(w)
        (push if product == "push" else pull)(w)
    except RuntimeError as error:
        return " ".join(str(error).split())
    return ""


def _each_player(value: float | tuple[float, ...], game: Game) -> Tensor:
    parts = value if isinstance(value, tuple) else (value,) * len(game.sizes)
    return torch.cat(
        [torch.full((size,), part, dtype=game.dtype) for part, size in zip(parts, game.sizes, strict=True)]
    )


def with_values(owner: Any, values: dict[str, Any]) -> Any:
    """A copy of a rule with hyperparameters set by dotted path."""
    changes = {path: value for path, value in values.items() if "." not in path}
    for head in {path.split(".")[0] for path in values if "." in path}:
        inner = {path.split(".", 1)[1]: value for path, value in values.items() if path.startswith(f"{head}.")}
        changes[head] = with_values(getattr(owner, head), inner)
    return replace(owner, **changes) if changes else owner
