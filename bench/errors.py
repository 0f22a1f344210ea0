"""Errors of the user: one clear line with the setting, its value, the allowed values and the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Wrong use, in one line: the setting, its value, the allowed values, the nearest name."""


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error line: the known names nearest to a name, or all of them if none is near."""
    names = list(dict.fromkeys(names))  # adam is a rule and a direction, and is named once
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(sorted(names)) or 'none'}"


def key_path(parts: Iterable[object]) -> str:
    """The keys that lead to a value, in one line whatever they are: hyperparameters.ring8."""
    return ".".join(text if text.isprintable() else repr(text) for text in map(str, parts))


@contextmanager
def needed(by: str, extra: str) -> Iterator[None]:
    """UserError for a package that is imported within and lacks; one of our own that lacks is our mistake."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name or "bench").partition(".")[0]
        if package == "bench":
            raise
        install = f"pip install 'gan-optimizer-bench[{extra}]'"
        raise UserError(f"{by} needs {package}, which is not installed: {install}") from None
