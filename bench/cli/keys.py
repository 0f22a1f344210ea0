"""The keys that ``-o key=value`` sets, for ``--help``: read from the source, for a study takes seconds to import."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection
from pathlib import Path

STUDIES = Path(__file__).parents[1] / "studies"
SOURCES = {"study.py": "Study", "request.py": "RunRequest"}
"""A file with a class whose fields are keys."""
WRITTEN = ("add_seeds", "added_seeds", "continues", "source_run")
"""What --seeds +20 and --from set."""
ENTRY = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def option_keys(flags: Collection[str]) -> dict[str, str]:
    """Key -> what it means, "" where that is not said; of the keys that are none of the flags."""
    keys: dict[str, str] = {}
    for file, name in SOURCES.items():
        tree = ast.parse((STUDIES / file).read_text("utf-8"))
        (owner,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
        meanings = dict(ENTRY.findall(inspect.cleandoc(ast.get_docstring(owner) or "")))
        for node in owner.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                keys[node.target.id] = " ".join(meanings.get(node.target.id, "").split())
    return {key: text for key, text in keys.items() if key[0] != "_" and key not in (*flags, *WRITTEN)}


def option_help(flags: Collection[str], example: str) -> str:
    """The help of ``-o``: an example, and every key that is none of the flags with the first clause of its meaning."""
    told = []
    for key, text in option_keys(flags).items():
        clause = re.split(r"; |\. |, e\.g\.", text)[0].rstrip(".")
        told.append(f"{key} ({clause})" if clause else key)
    text = f"Any key=value, e.g. {example}. Keys besides the options: {', '.join(told)}."
    return text.replace("``", "").replace("[", r"\[")
