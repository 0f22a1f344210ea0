"""Numbers and hyperparameters as people read them."""

from __future__ import annotations

import json
import math
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


MOST_SEEDS = 1000
"""What needs more than this to be told apart is level for all practical purposes."""


def about(count: float, what: str = "seeds") -> str:
    """A planned number of seeds or games, rounded up to two digits: about 40 seeds, more than 1,000 seeds."""
    if count > MOST_SEEDS:
        return f"more than {MOST_SEEDS:,} {what}"
    step = 10 ** max(0, len(str(round(count))) - 2)
    return f"about {math.ceil(count / step) * step:,} {what}"


def rounded(hyperparameters: str) -> str:
    """Hyperparameters for people: three digits each; the CSV has them all."""
    return re.sub(r"\d+\.\d+(e-?\d+)?|\d+e-\d+", lambda match: f"{float(match[0]):.3g}", hyperparameters)
