"""Few of many combinations for the plain test command: every value is in one; the rest is slow."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def covering(*axes: Iterable[Any]) -> list[Any]:
    """The product of the axes as parameters, of which the plain test command takes every value at least once.

    The longest axis is gone through once and the others beside it, round and round; what is left of the product is
    marked slow. A tuple among the values stands for several arguments that stay together, so that
    ``covering(product(rules, laws), games)`` tries every law on every rule, and the games in turn.
    """
    lists = [list(axis) for axis in axes]
    places = range(max(map(len, lists)))
    few = {tuple(place % len(values) for values in lists) for place in places}
    return [
        pytest.param(*_flat(chosen), marks=() if where in few else pytest.mark.slow)
        for where, chosen in zip(product(*(range(len(values)) for values in lists)), product(*lists), strict=True)
    ]


def firsts(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Of rows that are no product: each that has a value in a place where no row before had it; the rest is slow."""
    seen: set[tuple[int, Any]] = set()
    found = []
    for row in rows:
        new = set(enumerate(row)) - seen
        seen |= new
        found.append(pytest.param(*row, marks=() if new else pytest.mark.slow))
    return found


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        yield from value if isinstance(value, tuple) else (value,)
