"""Samples of a trained generator as a file: a picture to look at, or the numbers."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from bench.errors import UserError, nearest
from bench.games.harness.images import Images
from bench.report.figures.sheets import sheet
from bench.report.figures.svg import styled
from bench.report.trained import Trained
from bench.storage.files import write_file
from bench.studies.seeds import MOST_SEED

SIDE = 512  # pixels that the longer side of a sheet of small images has at least
MOST = 1_000_000  # samples


def write_samples(one: Trained, to: Path, count: int = 64, draw: int = 0) -> Path:
    """Write samples of a replica's generator; returns the path.

    Args:
        one: the replica.
        to: the file: ``.png`` is a sheet of images or a scatter of points, ``.npy`` the array [count, ...].
        count: how many samples.
        draw: decides the latents, which are the same for every replica and every run.

    Raises:
        UserError: the suffix, the folder or a number is none, or there is no picture of such samples.
    """
    check(to, count, draw)
    write_file(to, KINDS[to.suffix.lower()](one, one.samples(count, draw)))
    return to


def check(to: Path, count: int, draw: int) -> None:
    """Refuse what cannot be written before anything is loaded; UserError."""
    if to.suffix.lower() not in KINDS:
        raise UserError(f"--out is {str(to)!r}; its suffix: {nearest(to.suffix.lower() or to.name, KINDS)}")
    if not to.parent.is_dir() or to.is_dir():
        raise UserError(f"--out is {str(to)!r}; a file in a folder that is there is allowed")
    if not 1 <= count <= MOST:
        raise UserError(f"--count is {count}; a whole number from 1 to {MOST} is allowed")
    if not 0 <= draw < MOST_SEED:
        raise UserError(f"--draw is {draw}; a whole number from 0 to {MOST_SEED - 1} is allowed")


def _npy(_: Trained, samples: Tensor) -> bytes:
    sink = io.BytesIO()
    np.save(sink, samples.numpy(), allow_pickle=False)
    return sink.getvalue()


def _png(one: Trained, samples: Tensor) -> bytes:
    shape = tuple(samples.shape[1:])
    if len(shape) == 3 and shape[0] in (1, 3):
        return _images(samples if isinstance(one.game, Images) else _spread(samples))
    if shape == (2,):
        return _points(one, samples)
    raise UserError(
        f"--out: no picture shows samples of shape {shape}; images of 1 or 3 planes and points of 2 coordinates have "
        "one, .npy takes all"
    )


def _spread(samples: Tensor) -> Tensor:
    """Scaled to [-1, 1], for nobody says which range a user's images have."""
    low, high = samples.min(), samples.max()
    return 2 * (samples - low) / (high - low).clamp(min=1e-12) - 1


def _images(samples: Tensor) -> bytes:
    """A sheet of images in [-1, 1], white lines between them, enlarged by a whole number."""
    pictures = samples.movedim(1, -1).numpy().astype(float)
    across = math.ceil(math.sqrt(len(pictures)))
    page = sheet(pictures[..., 0] if pictures.shape[-1] == 1 else pictures, across, line=1.0)
    rows = -(-len(pictures) // across) * (samples.shape[2] + 1) + 1
    picture = Image.fromarray(np.round(255 * (page[:rows] + 1) / 2).astype(np.uint8))
    scale = max(1, SIDE // max(picture.size))
    sink = io.BytesIO()
    picture.resize((scale * picture.width, scale * picture.height), Image.Resampling.NEAREST).save(sink, "png")
    return sink.getvalue()


@styled()
def _points(one: Trained, samples: Tensor) -> bytes:
    figure = Figure(figsize=(4, 4), layout="compressed")
    axes = figure.subplots()
    across, up = samples.numpy().T
    axes.scatter(across, up, s=6, linewidths=0, alpha=0.6)
    axes.set(aspect="equal")
    axes.set_title(f"{one.optimizer} on {one.label}, seed {one.seed}", fontsize="small", wrap=True)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


KINDS: dict[str, Callable[[Trained, Tensor], bytes]] = {".png": _png, ".npy": _npy}
