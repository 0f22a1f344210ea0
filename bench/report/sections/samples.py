"""Samples of the generator during training: points in the plane or sheets of images, as a film and as a print."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.analysis.statistics import Array
from bench.contracts import Generative
from bench.games.harness.images import Images
from bench.games.harness.points import Mixture
from bench.report.figures import films, pictures
from bench.report.figures.films import Reels
from bench.report.sections.scene import Drawing, Scene

STRIP = 4  # moments of the figure for a paper
FEW_RULES = 5  # for more rules two moments of images are enough


class Samples(NamedTuple):
    """Generated samples, and the real ones: modes [M, 2] of a mixture, or images [N, height, width]."""

    reels: Reels
    real: Array | None
    images: bool


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Samples of the first seed, rule beside rule at the same cost."""
    generated = samples(scene)
    if generated is None:
        return
    caption = f"Samples on {scene.label} through training, first seed"
    failure_notes, look = notes(scene), scene.look
    if generated.images:
        count = STRIP if len(generated.reels) <= FEW_RULES else 2
        # Without the start, which is noise and the same for every rule.
        printed = {
            rule: _moments_at(reel, np.geomspace(1, max(1, len(reel[0]) - 1), count))
            for rule, reel in generated.reels.items()
        }
        film = films.sheets(generated.real, generated.reels, look, failure_notes)
        yield Drawing("samples", f"{caption}.", lambda: pictures.images(generated.real, printed), wide=True, film=film)
        return
    printed = {
        rule: _moments_at(reel, np.linspace(0, len(reel[0]) - 1, STRIP)) for rule, reel in generated.reels.items()
    }
    caption += "; circles are the real modes." if generated.real is not None else "."
    film = films.points(generated.reels, generated.real, look, failure_notes)
    yield Drawing("samples", caption, lambda: pictures.clouds(printed, generated.real, look), wide=True, film=film)


def samples(scene: Scene) -> Samples | None:
    """The samples of each rule during training; None if the game has none that can be drawn."""
    sample_tensors, game = scene.tensors_with("samples"), scene.game
    if not sample_tensors or not isinstance(game, Generative):
        return None
    if isinstance(game, Images):

        def shaped(pixels: Array) -> Array:
            planes = pixels.shape[-1] // math.prod(game.shape)  # a game without its files does not know it
            pixels = pixels[..., : pictures.ACROSS**2, :].reshape(*pixels.shape[:-2], -1, planes, *game.shape)
            return np.moveaxis(pixels, -3, -1) if planes > 1 else pixels[..., 0, :, :]

        reels = {
            rule: (tensors["samples_cost"].numpy(), shaped(tensors["samples"].float().numpy()))
            for rule, tensors in sample_tensors.items()
        }
        real = None if game.missing else shaped(game.held_out(pictures.ACROSS**2).float().numpy())
        return Samples(reels, real, images=True)
    reels = {
        rule: (tensors["samples_cost"].numpy(), tensors["samples"].double().numpy())
        for rule, tensors in sample_tensors.items()
    }
    if any(points.ndim != 3 or points.shape[2] != 2 for _, points in reels.values()):
        return None
    modes = game.modes.double().numpy() if isinstance(game, Mixture) else None
    return Samples(reels, modes, images=False)


def notes(scene: Scene) -> dict[str, str]:
    """rule -> how and when the replica of its first seed failed, if it did."""
    report = scene.records[scene.records["phase"] == "report"]
    first = report[report["seed"] == report["seed"].min()].drop_duplicates("optimizer")
    failed = first[first["outcome"] != "ok"]
    return {
        str(rule): f"{'stopped with an error' if outcome == 'error' else outcome} at cost {ended:g}"
        for rule, outcome, ended in zip(failed["optimizer"], failed["outcome"], failed["ended"], strict=True)
    }


def _moments_at(reel: tuple[Array, Array], positions: Array) -> tuple[Array, Array]:
    """The moments of a rule at these positions, rounded."""
    costs, samples = reel
    indices = np.unique(np.minimum(np.round(positions).astype(int), len(costs) - 1))
    return costs[indices], samples[indices]
