"""A GAN on the images of a folder: what a user has, cropped to squares and made one size."""

from __future__ import annotations

from dataclasses import field, fields
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import UserError, nearest
from bench.games.data.image_folder import ImageFolder, fault_of, files_of, image_folder
from bench.games.data.parts import scaled, split
from bench.games.dcgan import DCGAN
from bench.games.harness.user_data import POOL, UserImages
from bench.registry import game
from bench.registry.build import ALONE

COLOURS = {"auto": None, "grey": False, "rgb": True}
LEAST = 10  # images with which anything can be said
SMALLEST = 8  # of a side: below it no convolution is left


@game("folder")
class Folder(UserImages, DCGAN):
    """DCGAN on the images of a folder of yours: ``folder:PATH``, or ``folder:PATH[size=64,channels=32]``.

    Every image is cropped to its central square and resized to ``size``. One in ten, at most 2,000, is held out to
    compare samples with. ``colour`` is auto (colours where any image has some), grey or rgb. Subfolders are classes,
    which ``conditional`` tells both players. The networks are those of ``dcgan-mnist`` (Radford et al. 2015,
    arXiv:1511.06434) with fewer channels, for a laptop.
    """

    batch_size: int = 64
    channels: int = 16
    path: str = field(default="", metadata={ALONE: True})
    size: int = 32
    colour: str = "auto"

    score = "fd_pixels"
    classifier = ""

    def __post_init__(self) -> None:
        if self.colour not in COLOURS:
            raise UserError(f"{self.name}: colour is {self.colour!r}; {nearest(self.colour, COLOURS)}")
        if self.size < SMALLEST or self.size % 2**self._halvings:
            raise UserError(
                f"{self.name}: size is {self.size}; one that can be halved down to 7 or less is allowed, "
                "such as 16, 28, 32, 48 or 64"
            )
        if (self.conditional or self.features != "shipped") and self.missing:
            raise UserError(self.missing)
        super().__post_init__()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and self._all == other._all

    def __hash__(self) -> int:
        return hash(self._all)

    @property
    def _all(self) -> tuple[object, ...]:
        """The settings and the images: statistics of a folder that has changed since are another game's."""
        return (*(getattr(self, one.name) for one in fields(self)), self.digest)

    @property
    def _halvings(self) -> int:
        count = 0
        while self.size >> count > 7:
            count += 1
        return count

    @property
    def source(self) -> str:
        return self.path

    @cached_property
    def pictures(self) -> ImageFolder:
        """The images of the folder; UserError where there are none, or too few."""
        if not self.path:
            raise UserError(f"{self.name}: give it a folder: {self.name}:PATH")
        found = _read(self.path, self.size, COLOURS[self.colour])
        if len(found) < LEAST:
            raise UserError(f"{self.name}: {self.path!r} holds {len(found)} images; at least {LEAST} are needed")
        return found

    @cached_property
    def missing(self) -> str:
        """ "" if the folder's images can be read; else a line that says what is missing."""
        if self.path and (fault := fault_of(Path(self.path).expanduser())):
            return f"{self.name}: {fault}"
        try:
            _ = self.pictures
        except UserError as error:
            return str(error)
        return ""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should hear once: the files that could not be read."""
        return () if self.missing else self.pictures.notices

    @property
    def digest(self) -> str:
        """The images, and the weights of ``features``."""
        return ("" if self.missing else self.pictures.digest) + super().digest

    @cached_property
    def planes(self) -> int:  # type: ignore[override]
        """As ``colour`` says, or the files; 3 where there are none."""
        if self.colour != "auto":
            return 3 if self.colour == "rgb" else 1
        return 3 if self.missing else self.pictures.pixels.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        return self.size, self.size

    @cached_property
    def classes(self) -> int:  # type: ignore[override]
        """As many as there are subfolders with images."""
        return 0 if self.missing else len(self.pictures.classes)

    @cached_property
    def _split(self) -> tuple[Tensor, Tensor]:
        """The numbers of the images that train and of those that are held out."""
        return split(len(self.pictures), least=2)  # a Gaussian needs two

    @cached_property
    def images(self) -> Tensor:
        """The images for training, uint8 [N, planes, size, size]; UserError where there are none."""
        return self.pictures.pixels[self._split[0]]

    def held_out(self, count: int) -> Tensor:
        """Images that training does not see, [<= count, pixels]: a tenth of all."""
        return scaled(self.pictures.pixels[self._split[1][:count]].flatten(1))

    def labels(self, seeds: Tensor, draw: int) -> Tensor:
        labels = self.pictures.labels
        assert labels is not None  # refused before, where there are no classes
        return labels[self._split[0]][self._which(seeds, draw)]

    def labelled(self) -> tuple[Tensor, Tensor]:
        labels = self.pictures.labels
        found = torch.zeros(len(self.images), dtype=torch.int64) if labels is None else labels[self._split[0]]
        return self.images.flatten(1), found

    def training_samples(self) -> tuple[Tensor, Tensor | None]:
        labels = self.pictures.labels
        classes = None if labels is None else labels[self._split[0][:POOL]]
        return scaled(self.images[:POOL].flatten(1)), classes


def _read(path: str, size: int, colour: bool | None) -> ImageFolder:
    """The folder's images, read once in a process unless one of the files has changed since."""
    folder = Path(path).expanduser()
    stamps = []
    for file in files_of(folder) if folder.is_dir() else ():
        if file.is_file():  # a link to nothing is told of as unreadable
            seen = file.stat()
            stamps.append((file.as_posix(), seen.st_mtime_ns, seen.st_size))
    return _read_at(path, size, colour, str(folder.resolve()), tuple(stamps))


@lru_cache(maxsize=4)
def _read_at(path: str, size: int, colour: bool | None, _place: str, _stamps: tuple[object, ...]) -> ImageFolder:
    return image_folder(path, size, colour)
