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
    """A line for everything in frozen values that a study has no use for or lacks."""
    from bench.registry import get_game, get_rule

    said = [f"{game}: no values for {rule}" for game in games for rule in rules if rule not in frozen.get(game, {})]
    for game, found in frozen.items():
        said += _refused(get_game, game)
        for rule, values in found.items():
            unknown = _refused(get_rule, rule)
            said += [f"{game}: {text}" for text in unknown or _mistaken_values(get_rule(rule), rule, values)]
    return said


def _refused(get: Callable[[str], object], spelled: str) -> list[str]:
    try:
        get(spelled)
    except UserError as error:
        return [str(error)]
    return []


def _mistaken_values(made: Any, rule: str, values: dict[str, float | tuple[float, ...]]) -> Iterable[str]:
    from bench.contracts import hyperparameters

    known = {path: kind for path, (kind, value) in hyperparameters(made).items() if isinstance(value, float)}
    for path, value in values.items():
        if path not in known:
            yield f"{rule} has no {path!r} that can be frozen; {nearest(path, known) if known else 'it has none'}"
            continue
        least, most = known[path].least, known[path].most
        if any(not least <= part <= most for part in (value if isinstance(value, tuple) else (value,))):
            yield f"{path} of {rule} is {value}; a {known[path].kind} in [{least:g}, {most:g}] is allowed"
