"""What the generator gives through training: points in the plane, sheets of images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.contracts import Generative
from bench.figures import pictures
from bench.gan import Images, Mixture
from bench.sections.scene import Drawing, Scene

FRAMES = 4  # moments of training at which samples are drawn
GRIDS = 4  # sheets of images through training for each rule, where there are few rules; else two
FEW_RULES = 5


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Samples of the first seed, a row a rule."""
    held, game = scene.held("samples"), scene.game
    if not held or not isinstance(game, Generative):
        return
    caption = f"Samples on {scene.label} through training, first seed"
    if isinstance(game, Images):
        yield Drawing("samples", f"{caption}.", pictures.images(*_grids(game, held)), wide=True)
        return
    frames = {}
    for rule, tensors in held.items():
        kept = np.unique(np.linspace(0, len(tensors["samples"]) - 1, FRAMES).round().astype(int))
        frames[rule] = (tensors["samples_cost"].numpy()[kept], tensors["samples"].float().numpy()[kept])
    if any(points.ndim != 3 or points.shape[2] != 2 for _, points in frames.values()):
        return
    modes = game.modes.numpy() if isinstance(game, Mixture) else None
    caption += "; circles are the real modes." if modes is not None else "."
    yield Drawing("samples", caption, pictures.clouds(frames, modes, scene.look), wide=True)


def _grids(
    game: Images, held: dict[str, dict[str, Tensor]]
) -> tuple[np.ndarray | None, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Real images, [N, H, W] or [N, H, W, 3], and every rule's through training: costs [K], images [K, N, ...].

    The start is left out: it is noise, the same for every rule.
    """

    def shaped(pixels: Tensor) -> np.ndarray:
        planes = pixels[..., : pictures.ACROSS**2, :].reshape(*pixels.shape[:-2], -1, game.planes, *game.shape)
        images: np.ndarray = planes.movedim(-3, -1).float().numpy()
        return images if game.planes > 1 else images[..., 0]

    found = {}
    for rule, tensors in held.items():
        count = len(tensors["samples"])
        moments = np.geomspace(1, count - 1, GRIDS if len(held) <= FEW_RULES else 2) if count > 1 else [0]
        kept = np.unique(np.round(moments).astype(int))
        found[rule] = tensors["samples_cost"].numpy()[kept], shaped(tensors["samples"][torch.from_numpy(kept)])
    return None if game.missing else shaped(game.held_out(pictures.ACROSS**2)), found
