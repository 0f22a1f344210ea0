"""Numbers and hyperparameters as people read them."""

from __future__ import annotations

import json
import re

from bench.registry.spelling import write


def values_of(text: str) -> str:
    """Hyperparameters as people read them: ``lr=0.1``."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
    return ", ".join(f"{key}={write(value)}" for key, value in values.items())


def number(value: float, digits: int = 3, plain: bool = False) -> str:
    """A number as people read it: three digits, signs for infinity and for what was not measured.

    A plain one, for a terminal, is spelled as Python spells it but for infinity.
    """
    text = f"{value:.{digits}g}".replace("inf", "∞")
    if plain:
        return text.replace("nan", "-")
    return text.replace("nan", "–").replace("-", "−").replace("e−0", "e−").replace("e+0", "e")


def rounded(hyperparameters: str) -> str:
    """Hyperparameters for people: three digits each; the CSV has them all."""
    return re.sub(r"\d+\.\d+(e-?\d+)?|\d+e-\d+", lambda match: f"{float(match[0]):.3g}", hyperparameters)
