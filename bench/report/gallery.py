"""The report's figures as files of their own, for papers and talks: SVG and PDF, the same bytes for the same records.

The SVG is the one on the page; a PDF is drawn again, which takes as long as the SVG.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError, nearest
from bench.report.figures.svg import pdf, png
from bench.report.sections.scene import Drawing
from bench.storage.files import whole_folder
from bench.storage.names import filename

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

FOLDER = "figures"
ALL = "all"
"""The subject of the figures over all games."""

KINDS = (
    "scores", "curves", "seconds", "cost-to-target", "profile", "outcomes", "step-sizes", "step-pairs", "expected-best",
    "trajectories", "samples", "spectrum", "survival", "path-angle", "ranks", "order-gans", "order-closed-form",
)  # fmt: skip
"""The figures, by the names of their files: what comes after the game's."""

FORMATS: dict[str, Callable[[Drawing], bytes]] = {
    "svg": lambda drawing: drawing.svg.encode(),
    "pdf": lambda drawing: pdf(drawing.figure, drawing.caption),
    "png": lambda drawing: png(drawing.figure, drawing.caption),
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


def check(formats: Sequence[str], kinds: Sequence[str] = ()) -> None:
    """Refuse unknown formats and figures before anything is drawn; UserError."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UserError(f"--format is {','.join(formats)!r}; {nearest((*unknown, '')[0], FORMATS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"--only has {kind!r}; {nearest(kind, KINDS)}")


def write_figures(gallery: Gallery, to: Path, formats: Sequence[str]) -> Path:
    """Write a folder of figures, which replaces an earlier one; returns it."""
    check(formats)
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
