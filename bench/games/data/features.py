"""Features to judge images by, as a user names them: a shipped classifier, or Inception with weights of the user's.

``mnist`` is the classifier that ships (`classifiers`); ``inception:PATH`` is Inception v3 with the weights in that
file, whose Frechet distance is the FID of Heusel et al. 2017 (arXiv:1706.08500) where weights and number of images are
theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from bench.errors import UserError, nearest
from bench.games.data import classifiers as features

Shape = tuple[int, int, int]  # planes, height, width


@dataclass(frozen=True)
class Extractor:
    """What turns images [R, N, planes, H, W] in [-1, 1] into features [R, N, d]; ``digest`` decides what they are."""

    embed: Callable[[Tensor], Tensor]
    digest: str


def extractor(name: str, shape: Shape, who: str) -> Extractor:
    """The features of that name for images of that shape; UserError, naming both shapes, where that is not theirs.

    Args:
        who: what the images are of, for messages.
    """
    kind, colon, path = name.partition(":")
    if kind == "inception" and colon:
        from bench.games.data import inception  # rarely used

        network = inception.load(path)
        return Extractor(network.embed, network.digest)
    if name not in features.RECIPES:
        names = [*features.RECIPES, "inception:PATH"]
        raise UserError(f"{who}: features is {name!r}; {nearest(name, names)}")
    if (wanted := features.RECIPES[name].shape) != shape:
        raise UserError(f"{who}: features {name!r} are of images {_times(wanted)}, not of {_times(shape)}")
    return Extractor(lambda images: features.load(name).embed(images.flatten(2))[0], features.RECIPES[name].digest)


def refusal(name: str, who: str, makes: str) -> str:
    """The error for a game without images that is given features of images."""
    kind = name.partition(":")[0]
    wanted = _times(features.RECIPES[kind].shape) if kind in features.RECIPES else "any size, in 299x299"
    return f"{who}: features {name!r} are of images ({wanted}); it makes {makes}"


def _times(shape: Shape) -> str:
    return "x".join(map(str, shape))
