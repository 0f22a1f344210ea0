"""The spelling of a rule, a game or a direction: ``name[key=value,key=value]``, nested, with sweeps ``{a|b|c}``.

    spelling := name [ ':' argument ] [ '[' item (',' item)* ']' ]
    item     := key '=' value | value              (a value alone is the first field's)
    value    := number | true | false | number ':' number | spelling | '{' value ('|' value)* '}'

``a:b`` gives the two players a value each. A name may be a path, ``./my_rule.py:MyRule``. What stands after the colon
of any other name is a value alone, taken as it is written: ``folder:my photos/1e3[size=32]``. It may hold brackets that
are closed: where the spelling ends with brackets, these are the keys. So empty ones follow a value that ends with some:
``folder:photos [old][]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from bench.errors import UserError

BRACKETS = {"[": "]", "{": "}", "(": ")"}
LABEL = "label"
"""The key of a spelling that gives its rule a name in tables and figures."""


class Argument(str):
    """What stands after the colon of a name: text as it was written, never read as a number or a spelling."""

    __slots__ = ()


@dataclass(frozen=True)
class Spec:
    """A parsed spelling: a name and the values of its keys; ``""`` keys the value that stands alone."""

    name: str
    keys: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        alone = self.keys.get("")
        name = f"{self.name}:{alone}" if isinstance(alone, Argument) else self.name
        keys = {key: value for key, value in self.keys.items() if not isinstance(value, Argument)}
        return bracketed(name, [f"{k}={write(v)}" if k else write(v) for k, v in keys.items()])


def bracketed(name: str, items: Sequence[str]) -> str:
    """A name with items in brackets behind it; empty ones where it ends with brackets that are none of its keys."""
    return f"{name}[{','.join(items)}]" if items or name.endswith("]") else name


def write(value: object) -> str:
    """A value as it is spelled; numbers by the shortest digits that give them back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0") if abs(value) < 1e16 else repr(value)
    if isinstance(value, tuple):
        return ":".join(write(v) for v in value)
    return str(value)


def split(text: str, separator: str = ",") -> list[str]:
    """The parts of ``text`` between separators that stand outside all brackets, stripped; none for an empty text."""
    parts, start, awaited = [], 0, ""
    for i, letter in enumerate(text):
        awaited = _awaited(awaited, letter, text)
        if letter == separator and not awaited:
            parts.append(text[start:i].strip())
            start = i + 1
    if awaited:
        raise UserError(f"{text!r}: a bracket is not closed")
    if text.strip():
        parts.append(text[start:].strip())
    return parts


def _awaited(awaited: str, letter: str, text: str) -> str:
    """The closing brackets still awaited after a letter, the innermost last."""
    if letter in BRACKETS:
        return awaited + BRACKETS[letter]
    if letter not in BRACKETS.values():
        return awaited
    if not awaited.endswith(letter):
        raise UserError(f"{text!r}: a closing {letter!r} without its opening bracket")
    return awaited[:-1]


def expand(text: str) -> list[str]:
    """The spellings that a text with sweeps stands for: ``adam[lr={0.1|0.01}]`` -> two."""
    start = text.find("{")
    if start < 0:
        return [text]
    end = _matching(text, start)
    choices = split(text[start + 1 : end], "|") or [""]
    if not all(choices):
        raise UserError(f"{text!r}: a sweep has an empty choice; write {{a|b|c}}")
    heads = [text[:start] + inner for choice in choices for inner in expand(choice)]
    return [head + tail for head, tail in product(heads, expand(text[end + 1 :]))]


def _matching(text: str, start: int) -> int:
    awaited = ""
    for i in range(start, len(text)):
        awaited = _awaited(awaited, text[i], text)
        if not awaited:
            return i
    raise UserError(f"{text!r}: a bracket is not closed")


def parse(text: str) -> Spec:
    """Read one spelling (without sweeps); raises UserError where it is none."""
    text = text.strip()
    name, bracket, rest = _brackets(text)
    if not name.strip():
        raise UserError(f"{text!r}: a name is missing; write name[key=value,...]")
    name, keys = _argument(name.strip(), text)
    if not bracket:
        split(text)  # refuses a stray closing bracket
        return Spec(name, keys)
    if _matching(text, len(text) - len(rest) - 1) != len(text) - 1:
        raise UserError(f"{text!r}: nothing may follow the closing bracket")
    for item in split(rest[:-1]):
        key, value = _item(item, text)
        if isinstance(keys.get(key), Argument):
            raise UserError(f"{text!r}: [{rest} is read as the keys of {name}; where it is not, write {text}[]")
        if key in keys:
            raise UserError(f"{text!r}: {repr(key) if key else 'a value without a key'} stands twice")
        keys[key] = value
    return Spec(name, keys)


def _brackets(text: str) -> tuple[str, str, str]:
    """What stands before the brackets that hold the keys, the opening one, and what follows it.

    They are the first ones; behind a colon, where a value may hold others, the last ones where the spelling ends with
    some.
    """
    name, bracket, rest = text.partition("[")
    if not bracket or ":" not in name or _is_file(name.strip()):
        return name, bracket, rest
    split(text)  # refuses what is not closed
    if not text.endswith("]"):
        return text, "", ""
    start, at = 0, text.find("[")
    while at >= 0:
        start, at = at, text.find("[", _matching(text, at) + 1)
    return text[:start], "[", text[start + 1 :]


def _argument(name: str, text: str) -> tuple[str, dict[str, object]]:
    """A name and the keys that stand in it: ``name:argument`` gives the value alone, a file of Python gives none."""
    if _is_file(name):
        return name, {}
    name, colon, argument = name.partition(":")
    if colon and not (name.strip() and argument.strip()):
        raise UserError(
            f"{text!r}: nothing stands {'after' if name.strip() else 'before'} the colon; write name:argument"
        )
    return name.strip(), {"": Argument(argument.strip())} if colon else {}


def _is_file(name: str) -> bool:
    """Whether the colon in a name is that of a file of Python; 1:2:3 is no pair, and is refused as a name."""
    return ".py:" in name or name[:1].isdigit()


def _item(item: str, text: str) -> tuple[str, object]:
    equals, bracket = item.find("="), item.find("[")
    if equals < 0 or 0 <= bracket < equals:
        key, value = "", item
    else:
        key, value = item[:equals].strip().replace("-", "_"), item[equals + 1 :]
    if not value.strip():
        raise UserError(f"{text!r}: {repr(key) if key else 'an item'} has no value")
    try:
        return key, read(value.strip())
    except NotFiniteError as error:
        raise UserError(f"{text!r}: {key or 'a value'} is {error}; a finite number is allowed") from None


def without_label(text: str) -> tuple[str, str]:
    """A spelling without its own ``label=...``, and the label, "" where it has none: ``sgd[lr=1,label=Ours]``.

    The label is what tables and figures call the rule; it is no part of what is trained.
    """
    name, bracket, rest = text.strip().partition("[")
    if not bracket or not rest.endswith("]"):
        return text, ""
    items = split(rest[:-1])
    labels = [item.partition("=")[2].strip() for item in items if item.partition("=")[0].strip() == LABEL]
    if not labels:
        return text, ""
    if len(labels) > 1 or not labels[0]:
        raise UserError(f"{text!r}: {f'{LABEL} stands twice' if len(labels) > 1 else f'{LABEL} has no value'}")
    others = [item for item in items if item.partition("=")[0].strip() != LABEL]
    return (f"{name.strip()}[{','.join(others)}]" if others else name.strip()), labels[0]


def read(text: str) -> object:
    """One value: a number, a truth, a number a player (``a:b``), or a nested spelling."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = _number(text)
    if number is not None:
        return number
    pair = [_number(part) for part in text.split(":")]
    if len(pair) == 2 and all(part is not None for part in pair):
        return tuple(float(part) for part in pair if part is not None)
    return parse(text)


class NotFiniteError(UserError):
    """A number that no hyperparameter may be."""


def _number(text: str) -> float | int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        raise NotFiniteError(text)
    try:
        return int(text)
    except ValueError:
        return number
