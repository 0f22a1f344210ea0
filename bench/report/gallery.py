"""The report's figures as files of their own, for papers and talks: SVG and PDF, the same bytes for the same records.

An SVG is what the page shows; a PDF is drawn anew, which takes as long again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError, nearest
from bench.report.figures.svg import pdf
from bench.report.sections.scene import Drawing
from bench.storage.files import whole_folder
from bench.storage.names import filename

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

FOLDER = "figures"


FORMATS: dict[str, Callable[[Drawing], bytes]] = {
    "svg": lambda drawing: drawing.svg.encode(),
    "pdf": lambda drawing: pdf(drawing.figure, drawing.caption),
}
"""What makes a file of a drawing."""

Gallery = dict[str, Drawing]
"""A file's name without its ending -> what is drawn there."""


def add(gallery: Gallery, of: str, drawings: Iterable[Drawing]) -> None:
    """Add drawings of a game, or of what else they are of, each under a name of its own."""
    for drawing in drawings:
        name = f"{filename(of)}-{drawing.name}"
        while name in gallery:
            name += "-2"
        gallery[name] = drawing


def write_figures(gallery: Gallery, to: Path, formats: Sequence[str]) -> Path:
    """Write a folder of figures in place of an earlier one; returns it."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UserError(f"--format is {','.join(formats)!r}; {nearest((*unknown, '')[0], FORMATS)}")
    with whole_folder(to) as folder:
        for name, drawing in gallery.items():
            for ending in formats:
                (folder / f"{name}.{ending}").write_bytes(FORMATS[ending](drawing))
    return to


def update_figures(run: RunFolder, gallery: Gallery) -> None:
    """Write the run's own figures as SVG, and as PDF too where they have been asked for before."""
    to = run.path / FOLDER
    if gallery:
        write_figures(gallery, to, ["svg", *(["pdf"] if any(to.glob("*.pdf")) else [])])
