"""The state of trainings at their end, so that a run with a larger budget goes on from there: see `continuation`.

    states/<chunk>   parameters, the rule's memory, counters, what was recorded so far; `bench.execution.checkpoints`

They are kept with all weights alone (``--keep-weights all``): a state is that of a whole stack, several times as large
as its weights. They are no records: a run without them is whole, and what continues it trains from the start instead,
to the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bench.registry.budget import without_budget
from bench.registry.spelling import parse, write
from bench.storage.files import fsync_dir, read_regular, write_file
from bench.storage.run_folder import NAME, RunFolder
from bench.studies.plan import CONTINUES, Chunk

FOLDER = "states"
NAMES = ("label", "game")
"""Fields of a chunk that spell its game: one with another budget has another spelling."""


def store(run: RunFolder, chunk: str, content: bytes) -> None:
    """Write the state of a chunk, flushed."""
    folder = run.path / FOLDER
    if not folder.exists():
        folder.mkdir()
        fsync_dir(run.path)
    write_file(folder / chunk, content)


def drop(run: RunFolder, chunks: Iterable[str]) -> None:
    """Delete the states of these chunks."""
    for chunk in chunks:
        (run.path / FOLDER / chunk).unlink(missing_ok=True)


class States:
    """The states that a run has.

    Args:
        run: the run.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        stored = set(run.names())
        names = [path.name for path in sorted((run.path / FOLDER).glob("*")) if NAME.fullmatch(path.name)]
        chunks = {name: run.chunk(name) for name in names if name in stored}
        self.names = {_but_budgets(chunk): name for name, chunk in chunks.items() if chunk is not None}

    def earlier(self, chunk: Chunk) -> str | None:
        """The name of the chunk that this one continues, if its state is there: the same but for its budget."""
        if not chunk.continues:
            return None
        content = chunk.content | {"budget": chunk.continues[-1], CONTINUES: chunk.continues[:-1]}
        return self.names.get(_but_budgets(json.loads(json.dumps(content))))

    def read(self, name: str) -> bytes:
        """A state's bytes; OSError where it cannot be read."""
        return read_regular(self.run.path / FOLDER / name)


def _but_budgets(chunk: Mapping[str, Any]) -> str:
    """A chunk's content without the budgets in its game's spelling."""
    spelled = {name: unscaled(chunk[name]) for name in NAMES}
    device = chunk["device"].split(":")[0]
    return json.dumps({CONTINUES: []} | dict(chunk) | spelled | {"device": device}, sort_keys=True)


def unscaled(game: str) -> str:
    """A game's spelling without its budget."""
    spelled = without_budget(parse(game))[0]
    return write(spelled)
