"""A folder of a user's own images as a data set: cropped to squares, resized, its subfolders as labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from bench.errors import UserError, nearest
from bench.games.data.parts import scaled

NAME = "image_folder"
TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")  # modes
NAMED = 5  # unreadable files that a line names


class ImageFolder(Dataset[Any]):
    """The images of a folder; item i is an image [C, size, size] in [-1, 1], with labels (image, label).

    Made by ``image_folder``. ``pixels`` holds the images as bytes, uint8 [N, C, size, size]; ``labels`` is int64 [N],
    or None without subfolders; ``classes`` are the names of the subfolders; ``unreadable`` names the images that could
    not be read.
    """

    def __init__(
        self, path: Path, pixels: Tensor, labels: Tensor | None, classes: tuple[str, ...], unreadable: list[str]
    ) -> None:
        self.path, self.pixels, self.labels, self.classes = path, pixels, labels, classes
        self.unreadable = unreadable

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> Any:
        image = scaled(self.pixels[i])
        return image if self.labels is None else (image, int(self.labels[i]))

    @cached_property
    def samples(self) -> Tensor:
        """All images, float32 [N, C, size, size] in [-1, 1]."""
        return scaled(self.pixels)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should hear once: the images that could not be read."""
        if not self.unreadable:
            return ()
        return (f"{_counted(self.unreadable)} in {str(self.path)!r} could not be read: {_some(self.unreadable)}",)

    @cached_property
    def digest(self) -> str:
        """A hash of the images and their labels."""
        told = sha256(str((tuple(self.pixels.shape), self.classes)).encode())
        told.update(self.pixels.numpy().tobytes())
        if self.labels is not None:
            told.update(self.labels.numpy().tobytes())
        return told.hexdigest()[:16]


def image_folder(path: str | os.PathLike[str], size: int = 32, colour: bool | None = None) -> ImageFolder:
    """Read a folder of images as a data set for ``bench.gan_game``.

    Every image is cropped to its central square and resized. Transparent parts become white. Subfolders are labels, in
    the order of their names; images beside subfolders make all of them unlabelled. Hidden files, and those whose names
    do not end as images' do, are passed over.

    Args:
        path: the folder; images in folders below count too.
        size: height and width of the images, in pixels.
        colour: whether to keep colours; by default they are kept where any image has some.

    Returns:
        A data set with ``samples``, ``labels``, ``classes`` and ``unreadable``.

    Raises:
        UserError: there is no such folder, or no image in it that can be read.

    Example:
        >>> import bench
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> for name, grey in (("dark", 0), ("light", 255)):
        ...     Path("shades", name).mkdir(parents=True)
        ...     Image.new("L", (50, 40), grey).save(f"shades/{name}/one.png")
        >>> images = bench.image_folder("shades", size=16)
        >>> tuple(images.samples.shape), images.labels.tolist(), images.classes
        ((2, 1, 16, 16), [0, 1], ('dark', 'light'))
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UserError(f"{NAME}: size is {size!r}; a positive whole number is allowed")
    if colour not in (None, True, False):
        raise UserError(f"{NAME}: colour is {colour!r}; True, False or None is allowed")
    folder = Path(path).expanduser()
    if fault := fault_of(folder):
        raise UserError(f"{NAME}: {fault}")
    images, owners, unreadable = [], [], []
    for file in files_of(folder):
        told = file.relative_to(folder)
        try:
            images.append(_read(file, size))
        except Exception:  # Pillow raises many kinds on damaged files
            unreadable.append(told.as_posix())
            continue
        owners.append(told.parts[0] if len(told.parts) > 1 else "")
    if not images:
        why = f"{_counted(unreadable)}, {_some(unreadable)}" if unreadable else "no file's name ends as an image's does"
        raise UserError(f"{NAME}: folder {str(folder)!r} has no image that can be read: {why}")
    pixels = torch.from_numpy(np.stack(images)).movedim(-1, 1)
    if colour is None:
        colour = bool((pixels != pixels[:, :1]).any())
    if not colour:
        pixels = _grey(pixels)
    classes = () if "" in owners else tuple(sorted(set(owners)))
    labels = torch.tensor([classes.index(owner) for owner in owners]) if classes else None
    return ImageFolder(folder, pixels.contiguous(), labels, classes, unreadable)


def fault_of(folder: Path) -> str:
    """What keeps a path from being a folder, in a line; "" for nothing."""
    if folder.is_dir():
        return ""
    if folder.exists():
        return f"{str(folder)!r} is a file; a folder of images is allowed"
    beside = [one.name for one in folder.parent.iterdir() if one.is_dir()] if folder.parent.is_dir() else []
    return f"there is no folder {str(folder)!r}" + (f"; {nearest(folder.name, beside)}" if beside else "")


def files_of(folder: Path) -> Iterator[Path]:
    """What is an image by its suffix in a folder and below, in the order of the names, hidden ones left out."""
    suffixes = set(Image.registered_extensions())
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            if entry.suffix.lower() in suffixes:
                yield entry
            continue
        found = []
        for place, below, names in os.walk(entry):
            below[:] = [name for name in below if not name.startswith(".")]
            found += [Path(place, name) for name in names if not name.startswith(".")]
        yield from sorted((one for one in found if one.suffix.lower() in suffixes), key=lambda one: one.as_posix())


def _read(file: Path, size: int) -> np.ndarray[Any, Any]:
    """The central square of an image at that size, uint8 [size, size, 3]."""
    with Image.open(file) as opened:
        opened.draft(None, (2 * size, 2 * size))  # a JPEG is decoded no larger than needed
        image: Image.Image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):  # 16 bits
            image = Image.fromarray((np.asarray(image, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))
        if image.mode in TRANSPARENT or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        fitted = ImageOps.fit(image.convert("RGB"), (size, size), method=Image.Resampling.LANCZOS)
        return np.asarray(fitted)


def _grey(pixels: Tensor) -> Tensor:
    """Of colours their luma (ITU-R 601), uint8 [N, 1, H, W]."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (pixels * weights).sum(1, keepdim=True).round().clamp(0, 255).to(torch.uint8)


def _counted(names: list[str]) -> str:
    return f"{len(names)} file{'s' if len(names) > 1 else ''}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
