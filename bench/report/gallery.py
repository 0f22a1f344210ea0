"""The report's figures as files of their own, for papers and talks: SVG and PDF, the same bytes for the same records.

The SVG is the one on the page; a PDF is drawn again, which takes as long as the SVG.
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
"""Format -> a drawing as the bytes of a file."""

Gallery = dict[str, Drawing]
"""A file's name without its ending -> its drawing."""


def add(gallery: Gallery, subject: str, drawings: Iterable[Drawing]) -> None:
    """Add the drawings of a subject (a game, or ``all``), each under a unique name."""
    for drawing in drawings:
        name = f"{filename(subject)}-{drawing.name}"
        while name in gallery:
            name += "-2"
        gallery[name] = drawing


def write_figures(gallery: Gallery, to: Path, formats: Sequence[str]) -> Path:
    """Write a folder of figures, which replaces an earlier one; returns it."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UserError(f"--format is {','.join(formats)!r}; {nearest((*unknown, '')[0], FORMATS)}")
    with whole_folder(to) as folder:
        for name, drawing in gallery.items():
            for ending in formats:
                (folder / f"{name}.{ending}").write_bytes(FORMATS[ending](drawing))
    return to


def update_figures(run: RunFolder, gallery: Gallery) -> None:
    """Write the figures into the run's folder: as SVG, and also as PDF if it already holds PDFs."""
    to = run.path / FOLDER
    if gallery:
        write_figures(gallery, to, ["svg", *(["pdf"] if any(to.glob("*.pdf")) else [])])
