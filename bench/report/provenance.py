"""A rule's equation and source, as its docstring gives them."""

from __future__ import annotations

import inspect

from bench.contracts import Direction, UpdateRule
from bench.errors import UserError
from bench.registry import Preset, get_rule, rules
from bench.registry.spelling import parse


def equations(spelled: str) -> list[tuple[str, str, str]]:
    """(name, equation, source) of a rule as spelled, and of what it steps along."""
    try:
        known, made = rules[parse(spelled).name], get_rule(spelled)
    except UserError:
        return [("", "not known to this installation", "")]
    if isinstance(known, Preset):
        return [("", *_equation(known.doc))]
    inner = [part for part in vars(made).values() if isinstance(part, (UpdateRule, Direction)) and part.name != "plain"]
    named = [("", known), *((part.name, type(part)) for part in inner)]
    return [(name, *_equation(inspect.getdoc(thing) or "")) for name, thing in named]


def _equation(doc: str) -> tuple[str, str]:
    paragraphs = [" ".join(part.split()) for part in doc.split("\n\n")]
    return paragraphs[0], " ".join(part for part in paragraphs if part.startswith("Source:"))
