"""The identity of a plug-in beyond its spelling: a hash of its source."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from bench.contracts import Direction, Game, UpdateRule, nested


def plugin_code(*plugins: UpdateRule | Direction | Game) -> str:
    """A hash of the source files of plug-ins that are not shipped, nested ones too: an edit makes another cell."""
    digests = []
    for plugin in plugins:
        if isinstance(plugin, (UpdateRule, Direction)):
            digests.append(plugin_code(*nested(plugin).values()))
        module = type(plugin).__module__
        file = getattr(sys.modules.get(module), "__file__", None)
        if ".py:" in plugin.name and module.split(".")[0] in ("bench", "optimizers"):  # made there of parts from here
            digests.append(hashlib.sha256(Path(plugin.name.rpartition(":")[0]).read_bytes()).hexdigest()[:16])
        digests.append(getattr(plugin, "digest", ""))
        if module.split(".")[0] not in ("bench", "optimizers") and file and Path(file).is_file():
            digests.append(hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16])
    return "".join(digests)
