"""The rules and games of a study as a user writes them, read into spellings."""

from __future__ import annotations

import re
from typing import Any

from bench.errors import UserError
from bench.registry import directions, games, get_game, rules
from bench.registry.build import by_themselves
from bench.registry.discovery import Registry
from bench.registry.objects import spelled as spelled_objects
from bench.registry.spelling import Spec, expand, parse, split

EVERY_DIRECTION = re.compile(r"(?<=[\[,])\s*direction\s*=\s*all\s*(?=[\],])")
PLAIN = (str, int, float, list, tuple, dict, type(None))
"""What a file may hold; anything else is a class or an object of a program."""


def spellings(value: Any, info: Any) -> Any:
    """``"sgd,adam[lr=0.1]"`` or a list of spellings, tables ``{name=..., key=...}``, objects -> a list of spellings."""
    if isinstance(value, str):
        value = split(str(value))
    if not isinstance(value, PLAIN):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return value
    objects = [item for item in value if not isinstance(item, PLAIN)]
    texts = iter(spelled_objects(rules if info.field_name == "optimizers" else games, objects))
    items: list[Any] = [item if isinstance(item, PLAIN) else next(texts) for item in value]
    spelled = [_from_table(item) if isinstance(item, dict) else item for item in items]
    if not all(isinstance(item, str) for item in spelled):
        return value
    return list(dict.fromkeys(one for item in spelled for part in split(item) for one in expand(part)))


def _from_table(value: Any) -> str:
    """A value of a study file as it is spelled: a table is a rule, a list is a sweep."""
    if isinstance(value, list):
        return f"{{{'|'.join(map(_from_table, value))}}}"
    if not isinstance(value, dict):
        return str(value)
    keys = ",".join(f"{key}={_from_table(part)}" for key, part in value.items() if key != "name")
    name = str(value.get("name", ""))
    return f"{name}[{keys}]" if keys else name


def every(spelled: str, registry: Registry[Any]) -> list[str]:
    """``all`` is every name of a kind, ``sgd[direction=all]`` the rule with every direction."""
    if spelled == "all":
        return by_themselves(registry)
    if not EVERY_DIRECTION.search(spelled):
        return [spelled]
    return [EVERY_DIRECTION.sub(f"direction={name}", spelled) for name in directions.names()]


def judged_by(features: str, spelled: list[str]) -> tuple[list[str], list[str]]:
    """Games with these features written in, and a line for each that has no use for them."""
    from bench.games.data.features import refusal
    from bench.games.harness.images import Images
    from bench.games.harness.points import Points

    games, mistakes = [], []
    for spelling in spelled:
        game, parsed = get_game(spelling), parse(spelling)
        if isinstance(game, Images):
            games.append(str(Spec(parsed.name, {"features": parse(features), **parsed.keys})))
            try:
                get_game(games[-1])
            except UserError as error:
                mistakes.append(str(error))
        else:
            makes = f"points of {game.coordinates} coordinates" if isinstance(game, Points) else "none"
            mistakes.append(refusal(features, spelling, makes))
    return games, mistakes
