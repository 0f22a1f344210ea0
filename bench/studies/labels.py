"""Labels: what tables and figures call a rule, apart from its spelling, which says what is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from bench.errors import UserError, nearest
from bench.registry.spelling import without_label
from bench.studies.spellings import spellings

LONGEST = 80  # letters of a label


def with_labels_apart(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a study with the labels taken out of its spellings of rules.

    Raises:
        ValueError: a spelling is none, or one rule has two labels.
    """
    try:
        spelled = spellings(settings.get("optimizers"), SimpleNamespace(field_name="optimizers"))
    except (UserError, TypeError):
        return settings  # the field says what is wrong
    if not isinstance(spelled, list) or not all(isinstance(one, str) for one in spelled):
        return settings
    pairs = [without_label(one) for one in spelled]
    if not any(label for _, label in pairs):
        return settings
    labels = dict(settings.get("labels") or {})
    for rule, label in pairs:
        if label and labels.setdefault(rule, label) != label:
            raise ValueError(f"labels: {rule} has two, {labels[rule]!r} and {label!r}")
    return settings | {"optimizers": list(dict.fromkeys(rule for rule, _ in pairs)), "labels": labels}


def check_labels(labels: Mapping[str, str], optimizers: Sequence[str]) -> None:
    """Refuse labels of other rules, and those that two rules have, or that are another's spelling; UserError."""
    for rule, label in labels.items():
        if rule not in optimizers:
            raise UserError(f"found a label of {rule!r}; {nearest(rule, optimizers)}")
        if not label.strip() or not label.isprintable() or len(label) > LONGEST:
            raise UserError(f"the label of {rule} is {label!r}; 1 to {LONGEST} letters on one line are allowed")
    names = [labels.get(rule, rule) for rule in optimizers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two rules would be called {twice[0]!r}; give one another label")


def labels_of(texts: Iterable[str], optimizers: Sequence[str]) -> dict[str, str]:
    """Labels as a command is given them, ``RULE=Ours``; a rule may itself hold a ``=`` within its brackets.

    Raises:
        UserError: a text has no label, or its rule is none of these.
    """
    labels: dict[str, str] = {}
    for text in texts:
        fitting = [rule for rule in optimizers if text.startswith(f"{rule}=")]
        if not fitting:
            rule = text.rpartition("=")[0]
            raise UserError(f"--label is {text!r}; write RULE=Ours; {nearest(rule or text, optimizers)}")
        rule = max(fitting, key=len)
        labels[rule] = text.removeprefix(f"{rule}=").strip()
    return labels
