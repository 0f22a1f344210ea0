"""Studies and frozen values as TOML files, read and written."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from bench.errors import UserError

Frozen = dict[str, dict[str, dict[str, float | tuple[float, ...]]]]  # game -> rule -> hyperparameter -> value


def to_toml(frozen: Frozen) -> str:
    """Frozen values as a file: a table a game, a line a rule."""
    lines = []
    for game, values_by_rule in frozen.items():
        lines.append(f"[{json.dumps(game)}]")
        for rule, values in values_by_rule.items():
            items = ", ".join(f"{json.dumps(path)} = {json.dumps(value)}" for path, value in sorted(values.items()))
            lines.append(f"{json.dumps(rule)} = {{ {items} }}")
        lines.append("")
    return "\n".join(lines)


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
    lines = [f"{key} = {_toml(value)}" for key, value in study.items() if value not in ("", {}, None)]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value on one line; JSON's strings and numbers are TOML's too."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(k, ensure_ascii=False)} = {_toml(v)}' for k, v in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
