"""Samples of the generator during training: points in the plane or sheets of images, as a film and as a print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from bench.analysis.statistics import Array
from bench.contracts.game import FROM, TRUE
from bench.games.harness.images import Images
from bench.games.harness.points import Mixture
from bench.report.figures import films, pictures
from bench.report.figures.films import Reels
from bench.report.figures.sheets import ACROSS
from bench.report.sections.scene import Drawing, Scene

STRIP = 4  # moments of the figure for a paper
FEW_RULES = 5  # for more rules two moments of images are enough


REAL = 60  # real points that are marked where nobody says where the modes are


class Samples(NamedTuple):
    """Generated samples, and real ones: modes [M, 2] of a mixture or some of the data, or images [N, height, width]."""

    reels: Reels
    real: Array | None
    images: bool
    group: int = 1
    """Images in turn that belong together: what was made beside what it was made from, or a strip of frames."""
    groups: str = ""
    """What a group is, for the caption."""
    alphabet: str = ""
    """Of samples that are lines of text: letters as places in it."""


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """Samples of the first seed, rule beside rule at the same cost."""
    generated = samples(scene)
    if generated is None:
        return
    caption = f"Samples on {scene.label} through training, first seed"
    failure_notes, look = notes(scene), scene.look
    if generated.images or generated.alphabet:
        count = STRIP if len(generated.reels) <= FEW_RULES else 2
        # Without the start, which is noise and the same for every rule.
        printed = {
            rule: _moments_at(reel, np.geomspace(1, max(1, len(reel[0]) - 1), count))
            for rule, reel in generated.reels.items()
        }
        real, alphabet = generated.real, generated.alphabet
        if alphabet:
            film = films.texts(real, generated.reels, look, failure_notes, alphabet)
            yield Drawing(
                "samples", f"{caption}.", lambda: pictures.texts(real, printed, alphabet), wide=True, film=film
            )
            return
        film = films.sheets(real, generated.reels, look, failure_notes, generated.group)
        caption += f"; {generated.groups}." if generated.groups else "."
        group = generated.group
        yield Drawing("samples", caption, lambda: pictures.images(real, printed, group), wide=True, film=film)
        return
    printed = {
        rule: _moments_at(reel, np.linspace(0, len(reel[0]) - 1, STRIP)) for rule, reel in generated.reels.items()
    }
    what = "the real modes" if isinstance(scene.game, Mixture) else "real samples"
    caption += f"; circles are {what}." if generated.real is not None else "."
    film = films.points(generated.reels, generated.real, look, failure_notes)
    yield Drawing("samples", caption, lambda: pictures.clouds(printed, generated.real, look), wide=True, film=film)


def samples(scene: Scene) -> Samples | None:
    """The samples of each rule during training; None if the game has none that can be drawn."""
    sample_tensors, game = scene.tensors_with("samples"), scene.game
    if not sample_tensors:
        return None
    stored = next((tensors["real"].double().numpy() for tensors in sample_tensors.values() if "real" in tensors), None)
    if scene.description.alphabet:
        return Samples(_reels(sample_tensors), stored, False, alphabet=scene.description.alphabet)
    image = scene.description.image or ((game.planes, *game.shape) if isinstance(game, Images) else ())
    if image:
        planes = image[0]

        def shaped(pixels: Array) -> Array:
            pixels = pixels[..., : ACROSS**2, :].reshape(*pixels.shape[:-2], -1, *image)
            most = max(ACROSS, scene.description.frames) ** 2  # a sample may be several images
            pixels = pixels[..., :most, :, :, :]
            return np.moveaxis(pixels, -3, -1) if planes > 1 else pixels[..., 0, :, :]

        reels = {
            rule: (tensors["samples_cost"].numpy(), shaped(_in_groups(tensors)))
            for rule, tensors in sample_tensors.items()
        }
        first = next(iter(sample_tensors.values()))
        if beside := [name for name in (FROM, TRUE) if name in first]:
            group = 1 + len(beside)
            words = "what it was made from, what was made" + ", what it should be" * (TRUE in beside)
            return Samples(reels, None, True, group, f"side by side: {words}")
        frames = scene.description.frames
        if frames > 1:
            return Samples(reels, None if stored is None else shaped(stored), True, frames, "a strip is one sample")
        if stored is None and isinstance(game, Images) and not game.missing:
            stored = game.held_out(ACROSS**2).numpy()
        return Samples(reels, None if stored is None else shaped(stored), images=True)
    clouds = _reels(sample_tensors)
    if any(points.ndim != 3 or points.shape[2] != 2 for _, points in clouds.values()):
        return None
    marked = None if stored is None else stored[:REAL]
    return Samples(clouds, game.modes.double().numpy() if isinstance(game, Mixture) else marked, images=False)


def _reels(sample_tensors: Mapping[str, Mapping[str, Tensor]]) -> Reels:
    """rule -> the costs of its moments, and its samples at them."""
    return {
        rule: (tensors["samples_cost"].numpy(), tensors["samples"].double().numpy())
        for rule, tensors in sample_tensors.items()
    }


def _in_groups(tensors: Mapping[str, Tensor]) -> Array:
    """Samples [K, N, ...] through training, each between what it was made from and what it should be: [K, g N, ...]."""
    made = tensors["samples"].float().numpy()
    count = min(made.shape[1], *(len(tensors[name]) for name in (FROM, TRUE) if name in tensors), made.shape[1])
    before, after = (
        [np.broadcast_to(tensors[name].float().numpy()[:count], made[:, :count].shape)] if name in tensors else []
        for name in (FROM, TRUE)
    )
    parts = [*before, made[:, :count], *after]
    return made if len(parts) == 1 else np.stack(parts, 2).reshape(len(made), -1, *made.shape[2:])


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
