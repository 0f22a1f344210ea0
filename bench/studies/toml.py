"""Studies and frozen values as TOML files, read and written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from bench.errors import UserError

Frozen = dict[str, dict[str, dict[str, float | tuple[float, ...]]]]  # game -> rule -> hyperparameter -> value


def to_toml(frozen: Frozen) -> str:
    """Frozen values as a file: a table for each rule on a game, a line a hyperparameter."""
    return tomli_w.dumps(
        {game: {rule: dict(sorted(values.items())) for rule, values in found.items()} for game, found in frozen.items()}
    )


def read_toml(path: Path) -> dict[str, Any]:
    """A study file's keys; raises UserError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"study file {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"study file {str(path)!r} is not TOML: {error}") from None


def study_file(study: dict[str, Any]) -> str:
    """A study as the TOML file that ``bench run`` takes; what is empty is left out."""
    return tomli_w.dumps({key: value for key, value in study.items() if value not in ("", {}, [], None)})
