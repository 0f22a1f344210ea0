"""From a spelling to the object that it names, and back to the complete spelling."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from operator import attrgetter
from typing import Any, get_args

from bench.contracts import Direction, Game, Hyperparameter, Options, UpdateRule, hyperparameters, nested
from bench.contracts.introspection import directions_of, hints
from bench.errors import UserError, nearest
from bench.registry.budget import KEY, given_budget, with_budget, without_budget
from bench.registry.discovery import Registry
from bench.registry.registries import NamedMetric, Preset, directions, games, metrics, rules
from bench.registry.spelling import Argument, Spec, bracketed, parse, read, write

ALONE = "alone"
"""In the metadata of the field that a value without a key is for."""


def get_rule(spec: str | Spec) -> UpdateRule:
    """Return the update rule that a spelling names.

    Args:
        spec: e.g. ``extragrad[lr=0.1,direction=adam]`` or ``./my_rule.py:MyRule``.

    Raises:
        UserError: a name or key is unknown or a value is out of bounds; the message names the nearest known ones.
    """
    update_rule: UpdateRule = _build(rules, spec)
    for reason in filter(None, (each.refuses(update_rule) for each in directions_of(update_rule))):
        raise UserError(f"{spec}: {reason}")
    return update_rule


def get_game(spec: str | Spec) -> Game:
    """Return the game that a spelling names.

    Args:
        spec: e.g. ``bilinear[dim=3]`` or ``./my_gan.py:game``. Every game has the key ``budget``.

    Raises:
        UserError: a name or key is unknown or a value is out of bounds; the message names the nearest known ones.
    """
    spelled, budget = without_budget(parse(spec) if isinstance(spec, str) else spec)
    game_object: Game = _build(games, spelled)
    return game_object if budget is None else with_budget(game_object, budget)


class Plugins:
    """Rules and games by spelling. Each is made when it is first asked for, and only once.

    A study has one, so that all of it talks about the same objects; text crosses process borders only.

    Args:
        given: classes and objects that the program gave to the study: (registry, name, plug-in).
    """

    def __init__(self, given: Sequence[tuple[Registry[Any], str, Any]] = ()) -> None:
        self._given = given
        self._rules: dict[str, UpdateRule] = {}
        self._games: dict[str, Game] = {}

    def register(self) -> None:
        """Register what was given, for another study may have given something else under the same names."""
        for registry, name, plugin in self._given:
            registry.give(name, plugin)

    def rule(self, spelled: str) -> UpdateRule:
        """The update rule that a spelling names; UserError as `get_rule` raises it."""
        if spelled not in self._rules:
            self.register()
            self._rules[spelled] = get_rule(spelled)
        return self._rules[spelled]

    def game(self, spelled: str) -> Game:
        """The game that a spelling names; UserError as `get_game` raises it."""
        if spelled not in self._games:
            self.register()
            self._games[spelled] = get_game(spelled)
        return self._games[spelled]


def get_metric(name: str) -> NamedMetric:
    """Return the metric of that name; call it as ``metric(game, w, oracle) -> [R]``.

    Args:
        name: e.g. ``sliced_wasserstein``.

    Raises:
        UserError: there is no such metric; the message names the nearest known ones.
    """
    return metrics[name]


def _build(registry: Registry[Any], spec: str | Spec) -> Any:
    spelled = parse(spec) if isinstance(spec, str) else spec
    plugin = registry[spelled.name]
    if isinstance(plugin, Preset):
        if plugin.first and "" in spelled.keys:
            named_keys = {key or plugin.first: value for key, value in spelled.keys.items()}
            spelled = Spec(spelled.name, named_keys)
        return _with_keys(_build(registry, parse(plugin.spelling)), spelled, registry)
    if inspect.isclass(plugin):
        return _with_keys(plugin(), spelled, registry)
    if spelled.keys:
        taken = f"no key but {KEY}" if registry is games else "no keys"
        raise UserError(f"{registry.what} {spelled.name!r} is one made thing: it takes {taken}, {spelled} gives some")
    return plugin


def path_of(owner: Any, key: str) -> str | None:
    """The dotted path of a key in a rule, direction or game: its own field, or that of the first nested object."""
    if key in {f.name for f in fields(owner)}:
        return key
    for field in fields(owner):
        value = getattr(owner, field.name)
        if field.name in nested(owner) and (path := path_of(value, key)):
            return f"{field.name}.{path}"
        if isinstance(value, Options):
            return field.name
    return None


def alone(owner: Any) -> str:
    """The field that a value without a key is for: the one that says so, else the first; "" where there is none."""
    own = fields(owner)
    return next((one.name for one in own if ALONE in one.metadata), own[0].name if own else "")


def by_themselves(registry: Registry[Any]) -> list[str]:
    """The names that can be used as they are: a folder of images is none without its path."""
    return [name for name in registry.names() if not _awaits(registry[name])]


def _awaits(plugin: Any) -> bool:
    own = fields(plugin) if is_dataclass(plugin) else ()
    return any(ALONE in one.metadata and one.default == "" for one in own)


def _known_keys(owner: Any) -> set[str]:
    always = {KEY} if isinstance(owner, Game) else set()
    return always | {f.name for f in fields(owner)}.union(*map(_known_keys, nested(owner).values()))


def _with_keys(owner: Any, spelled: Spec, registry: Registry[Any]) -> Any:
    """A copy of a rule or game with the keys set; keys that belong to a nested object are handed on."""
    if not is_dataclass(owner) or isinstance(owner, type):
        return owner
    values: dict[str, Any] = {}
    handed_on: dict[str, dict[str, Any]] = {}
    own_keys = {f.name for f in fields(owner)}
    first = alone(owner)
    given = {key or first: value for key, value in spelled.keys.items()}
    if len(given) < len(spelled.keys):
        raise UserError(f"{spelled}: {first!r} stands twice, once without its name")
    for key in sorted(
        given, key=lambda key: key not in own_keys
    ):  # own keys first: a direction decides what others mean
        if key in own_keys:
            hint = hints(type(owner))[key]
            values[key] = _converted(getattr(owner, key), hint, given[key], f"{spelled.name}: {key}")
            continue
        changed = replace(owner, **values)
        path = path_of(changed, key)
        if path is None:
            raise UserError(f"{registry.what} {spelled.name!r} has no {key!r}; {nearest(key, _known_keys(changed))}")
        handed_on.setdefault(path.split(".")[0], {})[key] = given[key]
    for name, keys in handed_on.items():
        inner = values.get(name, getattr(owner, name))
        if isinstance(inner, Options):
            values[name] = Options((*inner.items, *keys.items()))
        else:
            values[name] = _with_keys(inner, Spec(inner.name, keys), directions)
    if "direction" in values:
        values |= _rescaled(owner, values)
    return replace(owner, **values) if values else owner


def _rescaled(owner: Any, values: dict[str, Any]) -> dict[str, float]:
    """Default step sizes that fit another direction; those that were given stay."""
    ratio = values["direction"].scale / owner.direction.scale
    kinds = hyperparameters(owner)
    step_sizes = [
        path for path, (kind, _) in kinds.items() if kind.step_size and "." not in path and path not in values
    ]
    return {path: kinds[path][1] * ratio for path in step_sizes} if ratio != 1.0 else {}


def _converted(current: Any, hint: Any, value: Any, where: str) -> Any:
    """A spelled value converted to a field's type, within the bounds of its kind."""
    kinds = [kind for kind in get_args(hint)[1:] if isinstance(kind, Hyperparameter)]
    if isinstance(current, (UpdateRule, Direction)):
        if not isinstance(value, Spec):
            raise UserError(f"{where} is {write(value)}; a name is allowed")
        return _build(rules if isinstance(current, UpdateRule) else directions, value)
    if isinstance(current, str):
        return write(value)
    if isinstance(value, Argument):
        value = read(value)
    wrong = isinstance(value, Spec) or isinstance(current, bool) != isinstance(value, bool)
    if isinstance(value, tuple) and tuple[int, int] in get_args(hint) and all(part == int(part) for part in value):
        return tuple(map(int, value))
    if wrong or (isinstance(value, tuple) and not kinds):
        allowed = "true or false" if isinstance(current, bool) else "a number"
        raise UserError(f"{where} is {write(value)}; {allowed} is allowed")
    if isinstance(current, int) and not isinstance(value, int):
        raise UserError(f"{where} is {write(value)}; a whole number is allowed")
    for kind in kinds:
        _check_bounds(kind, value, where)
    return float(value) if isinstance(current, float) and isinstance(value, int) else value


def _check_bounds(kind: Hyperparameter, value: Any, where: str) -> None:
    for part in value if isinstance(value, tuple) else (value,):
        if not kind.least <= part <= kind.most:
            raise UserError(f"{where} is {write(value)}; a {kind.kind} in [{kind.least:g}, {kind.most:g}] is allowed")


def spell(plugin: Any) -> str:
    """The complete spelling of a rule or game, with every field: the text that a cell's identity hashes.

    A setting that came later is left out at its default: the cells that were there before keep their identity.

    An object that is registered ready-made is spelled by its name alone, because it takes no keys but a game's budget.
    """
    given = given_budget(plugin) if isinstance(plugin, Game) else []
    if "name" in getattr(plugin, "__dict__", {}):
        return f"{plugin.name}[{given[0]}]" if given else str(plugin.name)
    parts, name = [], plugin.name
    for field in fields(plugin):
        value = getattr(plugin, field.name)
        if ALONE in field.metadata:  # behind a colon any text is read as it was written
            name = f"{name}:{value}" if value else name
            continue
        if ("later" in field.metadata or value == "") and value == field.default:  # an empty text cannot be spelled
            continue
        if isinstance(value, Options):
            parts += [f"{key}={write(option)}" for key, option in value.items]
        else:
            parts.append(f"{field.name}={spell(value) if is_dataclass(value) else write(value)}")
    parts += given
    return bracketed(str(name), parts)


def free(spelled: str, rule: UpdateRule | None = None) -> dict[str, Hyperparameter]:
    """The numbers of a rule that its spelling leaves open, path -> kind.

    Whole numbers are not among them: they are the same for all replicas of a stack.

    Args:
        spelled: the rule as a user writes it.
        rule: the rule itself, where it is at hand.
    """
    rule = get_rule(spelled) if rule is None else rule
    given = set(_given(parse(spelled), rule))
    kinds = {path: kind for path, (kind, value) in hyperparameters(rule).items() if isinstance(value, float)}
    return {path: kind for path, kind in kinds.items() if path not in given}


def _given(spelled: Spec, rule: UpdateRule, prefix: str = "") -> Iterator[str]:
    """The dotted paths of all that a spelling of a rule sets; a value without a key is the first field's."""
    for key, value in spelled.keys.items():
        path = path_of(rule, key or alone(rule)) or key
        yield prefix + path
        inner = attrgetter(path)(rule)
        if isinstance(value, Spec) and isinstance(inner, UpdateRule):
            yield from _given(value, inner, f"{prefix}{path}.")
