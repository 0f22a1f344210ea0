"""Pictures with classes for games that are played at two sizes: 8x8 without a file, 28x28 with a folder of data.

A game's setting ``size`` is one of SETS: ``small``, scikit-learn's digits (Alpaydin and Kaynak 1998), or ``mnist``
(LeCun et al. 1998). Pictures are rows of pixels in [-1, 1]. What a game holds out stands in a fixed shuffled order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bench.contracts import Game
from bench.games.data import classifiers
from bench.games.data import loading as data
from bench.games.data.parts import scaled, shuffled

HELD = {"": 450, "mnist": 2000}
"""Pictures that training never sees, by source; the digits' are those that their classifier never saw either."""


@dataclass(frozen=True)
class PictureSet:
    """A set of pictures with classes.

    Args:
        classifier: the shipped classifier that knows them.
        side: their height and width.
        source: the name of the set as `bench data` knows it; "" where no file is needed.
    """

    classifier: str
    side: int
    source: str = ""

    classes = 10

    @property
    def missing(self) -> str:
        """ "" if the pictures are here; else a line that says which files are missing, and a remedy."""
        return data.missing(self.source) if self.source else ""

    def every(self) -> tuple[Tensor, Tensor]:
        """All pictures for training as they are stored, [N, pixels], and their classes [N]: none is held out."""
        if not self.source:
            return classifiers.digits()
        images, labels = data.load(self.source)
        return images.flatten(1), labels

    def training(self) -> tuple[Tensor, Tensor]:
        """As `every`, without those held out."""
        images, labels = self.every()
        return (images, labels) if self.source else (images[: -HELD[""]], labels[: -HELD[""]])

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Pictures that training does not see, float32 [M, pixels] in [-1, 1], and their classes [M]."""
        return _held_out(self)

    def pixels(self, stored: Tensor) -> Tensor:
        """Stored pictures as numbers in [-1, 1]."""
        return scaled(stored) if stored.dtype == torch.uint8 else stored


@cache
def _held_out(pictures: PictureSet) -> tuple[Tensor, Tensor]:
    if not pictures.source:
        images, labels = classifiers.digits()
        return images[-HELD[""] :], labels[-HELD[""] :]
    images, labels = data.load(pictures.source, train=False)
    which = shuffled(len(images))[: HELD[pictures.source]]
    return scaled(images[which].flatten(1)), labels[which]


SETS = {"small": PictureSet("digits", 8), "mnist": PictureSet("mnist", 28, "mnist")}
"""By the setting ``size`` of games."""


class OnPictures(Game):
    """What a game's setting ``size`` decides: its set of pictures, whether that needs files, how large a picture is."""

    size: str

    @property
    def pictures(self) -> PictureSet:
        """The set that it is played on."""
        return SETS[self.size]

    @property
    def missing(self) -> str:
        return self.pictures.missing

    @property
    def reads_files(self) -> bool:  # type: ignore[override]
        return bool(self.pictures.source)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a picture."""
        return self.pictures.side, self.pictures.side


def to_grid(images: Tensor, side: int) -> Tensor:
    """Pictures [R, count, pixels] as activations [R, 1, side, side, count]."""
    return images.transpose(1, 2).reshape(len(images), 1, side, side, -1)


def to_rows(h: Tensor) -> Tensor:
    """Activations [R, ..., count] as pictures [R, count, pixels]."""
    return h.flatten(1, -2).transpose(1, 2)
