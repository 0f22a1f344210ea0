"""What bench compare needs of the run, in two small files for a repository to hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.storage.baseline import write_baseline

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder


def export(run: RunFolder, to: Path | None = None) -> Path:
    """Write a folder with a manifest and the records of each game's score; an earlier baseline is replaced."""
    return write_baseline(run, run.path / "baseline" if to is None else to)
