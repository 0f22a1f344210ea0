"""Frozen hyperparameters: read from a file, checked against a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.errors import UserError, nearest
from bench.studies.toml import Frozen, read_toml


def frozen_values(value: Any) -> Any:
    """A file of frozen values, as ``bench tune`` writes it, or the values themselves."""
    return read_toml(Path(value)) if isinstance(value, (str, Path)) else value


def mistaken(frozen: Frozen, rules: list[str], games: list[str]) -> list[str]:
    """A line for each frozen value that is unknown, out of bounds or missing for a study's rules and games."""
    from bench.registry import get_game, get_rule

    lacking = [(game, rule) for game in games for rule in rules if rule not in frozen.get(game, {})]
    mistakes = [f"{game}: no values for {rule}" for game, rule in lacking if not get_rule(rule).refuses(get_game(game))]
    for game, values_by_rule in frozen.items():
        mistakes += _refused(get_game, game)
        for rule, values in values_by_rule.items():
            unknown = _refused(get_rule, rule)
            mistakes += [f"{game}: {text}" for text in unknown or _mistaken_values(get_rule(rule), rule, values)]
    return mistakes


def _refused(get: Callable[[str], object], spelled: str) -> list[str]:
    try:
        get(spelled)
    except UserError as error:
        return [str(error)]
    return []


def _mistaken_values(update_rule: Any, rule: str, values: dict[str, float | tuple[float, ...]]) -> Iterable[str]:
    from bench.contracts import hyperparameters

    kinds = {path: kind for path, (kind, value) in hyperparameters(update_rule).items() if isinstance(value, float)}
    for path, value in values.items():
        if path not in kinds:
            yield f"{rule} has no {path!r} that can be frozen; {nearest(path, kinds) if kinds else 'it has none'}"
            continue
        least, most = kinds[path].least, kinds[path].most
        if any(not least <= part <= most for part in (value if isinstance(value, tuple) else (value,))):
            yield f"{path} of {rule} is {value}; a {kinds[path].kind} in [{least:g}, {most:g}] is allowed"
