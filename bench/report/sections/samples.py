"""What the generator gives through training: points in the plane, sheets of images; a film, a strip to print."""

from __future__ import annotations

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
FEW_RULES = 5  # above it two moments of images are enough


class Samples(NamedTuple):
    """What was generated, and what it should be like: modes [M, 2] of a mixture, or real images [N, height, width]."""

    reels: Reels
    real: Array | None
    images: bool


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Samples of the first seed, rule beside rule at the same cost."""
    found = samples(scene)
    if found is None:
        return
    caption = f"Samples on {scene.label} through training, first seed"
    failed, look = notes(scene), scene.look
    if found.images:
        few = STRIP if len(found.reels) <= FEW_RULES else 2
        # The start is left out: it is noise, the same for every rule.
        printed = {
            rule: _of(reel, np.geomspace(1, max(1, len(reel[0]) - 1), few)) for rule, reel in found.reels.items()
        }
        film = films.sheets(found.real, found.reels, look, failed)
        yield Drawing("samples", f"{caption}.", lambda: pictures.images(found.real, printed), wide=True, film=film)
        return
    printed = {rule: _of(reel, np.linspace(0, len(reel[0]) - 1, STRIP)) for rule, reel in found.reels.items()}
    caption += "; circles are the real modes." if found.real is not None else "."
    film = films.points(found.reels, found.real, look, failed)
    yield Drawing("samples", caption, lambda: pictures.clouds(printed, found.real, look), wide=True, film=film)


def samples(scene: Scene) -> Samples | None:
    """Every rule's samples through training; None where the game has none that can be drawn."""
    held, game = scene.held("samples"), scene.game
    if not held or not isinstance(game, Generative):
        return None
    if isinstance(game, Images):

        def shaped(pixels: Array) -> Array:
            pixels = pixels[..., : pictures.ACROSS**2, :].reshape(*pixels.shape[:-2], -1, game.planes, *game.shape)
            return np.moveaxis(pixels, -3, -1) if game.planes > 1 else pixels[..., 0, :, :]

        reels = {rule: (of["samples_cost"].numpy(), shaped(of["samples"].float().numpy())) for rule, of in held.items()}
        real = None if game.missing else shaped(game.held_out(pictures.ACROSS**2).float().numpy())
        return Samples(reels, real, images=True)
    reels = {rule: (of["samples_cost"].numpy(), of["samples"].double().numpy()) for rule, of in held.items()}
    if any(points.ndim != 3 or points.shape[2] != 2 for _, points in reels.values()):
        return None
    modes = game.modes.double().numpy() if isinstance(game, Mixture) else None
    return Samples(reels, modes, images=False)


def notes(scene: Scene) -> dict[str, str]:
    """What became of the first seed's replica, where it failed."""
    report = scene.own[scene.own["phase"] == "report"]
    first = report[report["seed"] == report["seed"].min()].drop_duplicates("optimizer")
    failed = first[first["outcome"] != "ok"]
    return {
        str(rule): f"{'stopped with an error' if outcome == 'error' else outcome} at cost {ended:g}"
        for rule, outcome, ended in zip(failed["optimizer"], failed["outcome"], failed["ended"], strict=True)
    }


def _of(reel: tuple[Array, Array], places: Array) -> tuple[Array, Array]:
    """Some of a rule's moments, by their places."""
    costs, given = reel
    kept = np.unique(np.minimum(np.round(places).astype(int), len(costs) - 1))
    return costs[kept], given[kept]
