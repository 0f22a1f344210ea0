"""The runs of a folder, a line each: how far each is, and what it compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.errors import UserError
from bench.report.selection import select
from bench.report.status import State, state
from bench.report.text_table import Column, console, drawn
from bench.storage.baseline import holds
from bench.storage.run_folder import RunFolder

HEADS = ("run", "state", "seeds", "failed", "optimizers", "games")


def run_folders(folder: Path) -> list[Path]:
    """The runs right below a folder, the one that was begun last at the end."""
    found = [path.parent for path in folder.glob("*/study.json") if not holds(path.parent)]
    return sorted(found, key=lambda path: ((path / "study.json").stat().st_mtime_ns, path.name))


def runs(folders: list[Path], open_run: Callable[[Path], RunFolder], width: int | None = None) -> str:
    """A table of runs as text, and a line for each that cannot be read.

    Args:
        folders: of the runs.
        open_run: what opens one; UserError where it is damaged.
        width: characters of a line; the terminal's by default.
    """
    rows, unreadable = [], []
    for path in folders:
        try:
            run = open_run(path)
            run_state, study = state(run), select(run).study
        except UserError as error:
            unreadable.append(str(error))
            continue
        names = [str(len(study.seeds)), str(len(run_state.failed)), _named(study.optimizers), _named(study.games)]
        rows.append((path.name, _progress(run_state), *names))
    screen = console(width)
    with screen.capture() as captured:
        if rows:
            wraps, goes = {"run", "optimizers", "games"}, {"failed": 1, "seeds": 2}
            columns = [
                Column(head, cells, wraps=head in wraps, goes=goes.get(head, 0))
                for head, cells in zip(HEADS, zip(*rows, strict=True), strict=True)
            ]
            drawn(columns, [""] * len(rows), screen)
    return captured.get() + "".join(f"{line}\n" for line in unreadable)


def _named(names: list[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def _progress(run_state: State) -> str:
    """The state of a run; of one that is not finished, with the share of its cost that is spent."""
    if run_state.finished and not run_state.going:
        return run_state.word
    word = "damaged" if run_state.damaged and not run_state.going else "goes on" if run_state.going else "stopped"
    return f"{word}, {run_state.spent / run_state.planned:.0%}"
