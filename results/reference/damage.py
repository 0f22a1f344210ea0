"""What each measure of images sees of damage to real data: families of damage, six levels each, Spearman's rho.

    BENCH_DATA=FOLDER python results/reference/damage.py mnist > results/reference/damage.md

or fashion, or digits, which needs no file. N images that the classifier was not trained on are damaged more and more
and judged against the training data, as a generator's samples are. rho is between the level of damage and the measure,
signed so that 1 is "worse at every level". Damage is counted as seen if rho is at least 1/2 and the measure moves by
more than SEEN times its standard deviation over undamaged draws of N; else the measure is blind to it.

The first level of a family is set where a Frechet distance at N = 5,000 can see it at all. Below that (noise of sd
0.1, one pixel in a hundred flipped, a block of 4x4 pixels erased) both move by less than their own noise, either way.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from scipy.stats import rankdata
from torch import Tensor
from torch.nn import functional

from bench.games.data.classifiers import RECIPES, Features, load
from bench.numerics.distances import class_statistics, debiased_frechet, frechet, gaussian, kernel_distance, prdc

SEEN = 4.0
DRAWS = 5  # undamaged draws, for the measure's own noise
COMPONENTS = 64
NEAR = 2000  # training images that KID, and as many samples too that precision and the like look at: they are slow
HIGHER = {"precision", "recall", "density", "coverage", "entropy"}  # better where higher


class Pool(NamedTuple):
    """Undamaged images [M, pixels] to take samples from, their labels, the training images [T, pixels]."""

    images: Tensor
    labels: Tensor
    training: Tensor


class Family(NamedTuple):
    """Six levels of damage, the first of which is none, and what damages: level -> N images [N, pixels]."""

    levels: tuple[float, ...]
    make: Callable[[float], Tensor]


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pool(name: str) -> Pool:
    """What is held out, and what the classifier was trained on. digits has too few: there it is all images for both."""
    images, labels = RECIPES[name].data()
    border = 0 if name == "digits" else round(RECIPES[name].trained * len(images))
    order = border + torch.randperm(len(images) - border, generator=rng(0))
    return Pool(images[order], labels[order], images[:border] if border else images)


# --- damage ----------------------------------------------------------------------------------------------------------


def moved(images: Tensor, turn: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Each turned by so many radians and shifted by so many half widths, all [N]; paper comes in from outside."""
    side, cos, sin = math.isqrt(images.shape[1]), turn.cos(), turn.sin()
    maps = torch.stack([cos, -sin, across, sin, cos, down], dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(maps, [len(images), 1, side, side], align_corners=False)
    ink = images.view(-1, 1, side, side) + 1
    return functional.grid_sample(ink, grid, align_corners=False).flatten(1) - 1


def blurred(images: Tensor, sd: float) -> Tensor:
    """By a Gaussian of that many pixels."""
    if sd == 0:
        return images
    side, reach = math.isqrt(images.shape[1]), math.ceil(3 * sd)
    edges = torch.arange(-reach - 0.5, reach + 1) / (sd * math.sqrt(2))
    kernel = edges.erf().diff()  # the share of the Gaussian in each pixel
    kernel = kernel / kernel.sum()
    ink = images.view(-1, 1, side, side) + 1
    ink = functional.conv2d(ink, kernel.view(1, 1, 1, -1), padding=(0, reach))
    return functional.conv2d(ink, kernel.view(1, 1, -1, 1), padding=(reach, 0)).flatten(1) - 1


def erased(images: Tensor, share: float) -> Tensor:
    """A square of that share of the side made paper, anywhere."""
    side = math.isqrt(images.shape[1])
    block = round(share * side)
    corner = (torch.rand(2, len(images), 1, generator=rng(9)) * (side - block + 1)).floor()
    rows, columns = ((torch.arange(side) >= at) & (torch.arange(side) < at + block) for at in corner)
    inside = (rows[:, :, None] & columns[:, None, :]).flatten(1)
    return torch.where(inside, -1.0, images)


def composed(pool: Pool, count: int, weights: Tensor) -> Tensor:
    """N images whose classes are weighed against the data's own shares; more of a class than there are repeat."""
    shares = weights * pool.labels.bincount(minlength=len(weights))
    border = (shares.cumsum(0) / shares.sum() * count).round().to(torch.int64)
    parts = []
    for label, number in enumerate(border.diff(prepend=border.new_zeros(1)).tolist()):
        own = (pool.labels == label).nonzero()[:, 0]
        parts.append(own[torch.arange(number) % len(own)])
    return pool.images[torch.cat(parts)[torch.randperm(count, generator=rng(1))]]


def to_every_image(x: Tensor) -> dict[str, Family]:
    """Damage to each of N images [N, pixels], by the same draws at every level."""
    count, pixel = len(x), math.isqrt(x.shape[1]) / 28
    noise, flips = torch.randn(x.shape, generator=rng(2)), torch.rand(x.shape, generator=rng(3)).sub(0.5).sign()
    chance, around = torch.rand(x.shape, generator=rng(4)), torch.rand(count, generator=rng(7)) * math.tau
    other, sign = x[torch.randperm(count, generator=rng(6))], around.sub(math.pi).sign()
    still, across, down = torch.zeros(count), around.cos() / 14, around.sin() / 14
    return {
        "noise, sd": Family((0, 0.2, 0.3, 0.4, 0.6, 0.8), lambda a: x + a * noise),
        "salt and pepper, share of pixels": Family(
            (0, 0.03, 0.06, 0.1, 0.2, 0.4), lambda a: torch.where(chance < a, flips, x)
        ),
        "blur, sd": Family((0, 0.5, 0.75, 1, 1.5, 2.5), lambda a: blurred(x, a * math.sqrt(pixel))),
        "shift, 28ths": Family((0, 1, 2, 3, 4, 6), lambda a: moved(x, still, a * across, a * down)),
        "rotation, degrees": Family((0, 5, 10, 20, 30, 45), lambda a: moved(x, sign * math.radians(a), still, still)),
        "faded, share of contrast lost": Family((0, 0.1, 0.2, 0.4, 0.6, 0.8), lambda a: (x + 1) * (1 - a) - 1),
        "erased block, share of the side": Family((0, 0.2, 0.3, 0.45, 0.6, 0.75), lambda a: erased(x, a)),
        "blend of two, weight": Family((0, 0.1, 0.2, 0.3, 0.4, 0.5), lambda a: x.lerp(other, a)),
    }


def to_the_set(pool: Pool, count: int) -> dict[str, Family]:
    """Damage to which images there are, by the same draws at every level."""
    x, labels = pool.images[:count], pool.labels[:count]
    classes, every = torch.arange(int(pool.labels.max()) + 1), torch.arange(count)
    junk, image = torch.rand(x.shape, generator=rng(8)) * 2 - 1, torch.rand(count, 1, generator=rng(5))
    example = torch.stack([x[(labels == label).nonzero()[0, 0]] for label in classes])
    shares, most = (0, 0.02, 0.05, 0.1, 0.25, 0.5), (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    found = {
        "inverted, share of images": Family(shares, lambda a: torch.where(image < a, -x, x)),
        "junk, share of images": Family(shares, lambda a: torch.where(image < a, junk, x)),
        "classes dropped": Family((0, 1, 2, 4, 6, 8), lambda a: composed(pool, count, (classes >= a).double())),
        "imbalance, share lost from class to class": Family(
            (0, 0.1, 0.2, 0.35, 0.5, 0.7), lambda a: composed(pool, count, (1 - a) ** classes.double())
        ),
        "copies, log2 of times": Family((0, 2, 4, 6, 8, 10), lambda a: x[every % max(1, round(count / 2**a))]),
        "one image a class, share": Family(most, lambda a: torch.where(image < a, example[labels], x)),
    }
    if len(pool.training) > 2 * count:
        learnt = pool.training[:count]
        found["training data by heart, share"] = Family(most, lambda a: torch.where(image < a, learnt, x))
    return found


def families(pool: Pool, count: int) -> dict[str, Family]:
    """All damage to the first N images of the pool."""
    return to_every_image(pool.images[:count]) | to_the_set(pool, count)


# --- measures --------------------------------------------------------------------------------------------------------


class Ruler:
    """Every measure of stacked samples [L, N, pixels], against the training data."""

    def __init__(self, features: Features, training: Tensor) -> None:
        self.features = features
        centred = training.to(torch.float64) - training.to(torch.float64).mean(dim=0)
        self.components = torch.linalg.eigh(centred.mT @ centred).eigenvectors[:, -COMPONENTS:].to(torch.float32)
        self.pixels = gaussian(training @ self.components)
        self.real = features.embed(training[None, :NEAR])[0][0]

    def __call__(self, samples: Tensor) -> dict[str, Tensor]:
        """Each [L], as it is computed: better where lower, but for HIGHER."""
        embedded, logits = self.features.embed(samples)
        near = prdc(self.real, embedded[:, :NEAR])
        classes = class_statistics(logits, logits.shape[-1])
        return {
            "FD": frechet(embedded, self.features.reference),
            "FD debiased": debiased_frechet(embedded, self.features.reference),
            "KID": kernel_distance(embedded, self.real),
            "PCA-64": frechet(samples @ self.components, self.pixels),
            **near._asdict(),
            "entropy": classes.entropy,
            "TV": classes.total_variation,
            "missing": classes.missing,
        }


def spearman(values: Tensor) -> float:
    """Rank correlation of [L] with 1..L, ties sharing their rank; 0 where all are equal."""
    ranks = torch.tensor(rankdata(values.numpy()))
    ranks, steps = ranks - ranks.mean(), torch.arange(len(values)) - (len(values) - 1) / 2
    length = (ranks.square().sum() * steps.square().sum()).sqrt()
    return float((ranks * steps).sum() / length) if length > 0 else 0.0


class Seen(NamedTuple):
    """What a measure says of a family: rho, and how far it moves in standard deviations of its own noise."""

    rho: float
    moves: float

    @property
    def blind(self) -> bool:
        return not (self.rho >= 0.5 and self.moves > SEEN)


def evaluator(ruler: Ruler, pool: Pool, count: int) -> dict[str, dict[str, Seen]]:
    """family -> measure -> what it sees."""
    source = pool.training if len(pool.training) >= count * DRAWS else pool.images
    draws = torch.stack([source[torch.randperm(len(source), generator=rng(k))[:count]] for k in range(DRAWS)])
    noise = {name: float(values.std()) for name, values in ruler(draws).items()}
    table: dict[str, dict[str, Seen]] = {}
    for title, family in families(pool, count).items():
        measured = ruler(torch.stack([family.make(level) for level in family.levels]))
        table[title] = {}
        for name, values in measured.items():
            worse = -values if name in HIGHER else values
            table[title][name] = Seen(spearman(worse), float(worse[-1] - worse[0]) / max(noise[name], 1e-9))
    return table


# --- the table -------------------------------------------------------------------------------------------------------


def cell(seen: Seen) -> str:
    """rho, in brackets where the measure is blind."""
    return f"({seen.rho:.2f})" if seen.blind else "1" if seen.rho > 1 - 1e-9 else f"{seen.rho:.2f}"


def page(name: str, count: int, table: dict[str, dict[str, Seen]], seconds: float) -> str:
    """The document, markdown."""
    measures = list(next(iter(table.values())))
    lines = [
        f"# What each measure sees of damage to {name}",
        "",
        f"Spearman's rho of each measure with six levels of damage to N = {count:,} real images, signed so that 1 is",
        "worse at every level. In brackets: blind, for rho is below 0.5 or the measure gets worse, from none to the",
        f"worst, by at most {SEEN:g} standard deviations of its own noise over {DRAWS} undamaged draws of N. "
        "A negative",
        "number in brackets: the damage is taken for an improvement.",
        "",
        f"| damage | {' | '.join(measures)} |",
        f"|---|{'---|' * len(measures)}",
    ]
    for title, row in table.items():
        lines.append(f"| {title} | {' | '.join(cell(row[measure]) for measure in measures)} |")
    lines += ["", "| measure | rho is 1 in | blind to |", "|---|---|---|"]
    for measure in measures:
        blind = [title.split(",")[0] for title in table if table[title][measure].blind]
        full = sum(table[title][measure].rho > 1 - 1e-9 and not table[title][measure].blind for title in table)
        lines.append(f"| {measure} | {full} of {len(table)} | {', '.join(blind) or 'none of these'} |")
    lines += [
        "",
        f"- FD: Frechet distance on the features of the classifier `{name}`; debiased: as the games' metric is.",
        f"- KID: kernel distance on the same features, against {NEAR:,} training images.",
        f"- PCA-64: Frechet distance of the pixels on the training data's first {COMPONENTS} principal components.",
        f"- precision, recall, density, coverage: on the features, k = 5, {NEAR:,} samples and {NEAR:,} "
        "training images.",
        "- entropy, TV (total variation from uniform), missing: of the classes that the classifier sees.",
        *([LADDERS] if name == "mnist" else []),
        "",
        f"Command: `BENCH_DATA=FOLDER python results/reference/damage.py {name}`. {machine()}; {seconds:.0f} s.",
    ]
    return "\n".join(lines) + "\n"


LADDERS = """\
- Levels: the ladders of noise, salt and pepper, and erased blocks were raised after a first run, whose lowest levels
  (sd 0.05 and 0.1, 1 % of pixels, a block of 15 % of the side) move FD by at most 0.13, less than its noise. With them
  debiased FD and PCA-64 had rho 0.77, 0.94 and 1 (PCA-64: 0.94) in these three families; FD 1, 0.94 and 1."""


def machine() -> str:
    """What it ran on."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":", 1)[1].strip() for line in about.splitlines() if line.startswith("model name")]
    processor = models[0] if models else platform.processor()
    return f"{processor}, {torch.get_num_threads()} of {os.cpu_count()} cores; torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the table of what each measure sees of damage.")
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("-n", type=int, default=0, help="images a level; 5000, and 1000 for digits, where not given")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    began, count = time.perf_counter(), chosen.n or (1000 if chosen.name == "digits" else 5000)
    images = pool(chosen.name)
    table = evaluator(Ruler(load(chosen.name), images.training), images, count)
    print(page(chosen.name, count, table, time.perf_counter() - began), end="")


if __name__ == "__main__":
    main()
