"""Small classifiers whose penultimate features judge generated images. Their weights ship with the package.

A Frechet distance on these features plays the part that FID (Heusel et al. 2017, arXiv:1706.08500) plays for large
images; it is called what it is (`fd_digits`), never FID. Weights ship rather than being retrained because the same
recipe gives other weights, and so other scores, wherever threads or kernels differ: files are float16
safetensors, and their SHA-256 is checked before use. The recipe is run by
`python -m bench.games.data.classifiers digits OUT`.

digits: the 1797 handwritten digits of 8x8 pixels that scikit-learn ships (Alpaydin and Kaynak 1998), the first three
quarters of a fixed shuffled order for training: 99.8 % right there, 98.4 % on the quarter held out.
mnist, fashion: the 60,000 images for training (LeCun et al. 1998; Xiao et al. 2017, arXiv:1708.07747): 98.7 % right on
the 10,000 held out, and 89.7 %. With the weights ships the Gaussian of the features of those 60,000: to judge needs
no file of images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from hashlib import sha256
from importlib.resources import files
from math import isqrt
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import nearest
from bench.games.data import loading as data
from bench.numerics.distances import Gaussian, gaussian

MOMENTS = Gaussian._fields  # of the data, where they ship with the weights
Layers = tuple[tuple[Tensor, Tensor], ...]  # weight [out, in] and bias [out] of each layer


@dataclass(frozen=True)
class Recipe:
    """How a classifier comes about, and the SHA-256 of the weights that ship.

    Args:
        data: gives images [M, pixels] in [-1, 1] and labels [M], in an order that is as good as random.
        widths: pixels, hidden features, penultimate features, classes.
        trained: the share of the data, from the first on, that a classifier is trained on.
        batch: images a step.
        damage: at most so many radians, shares of the scale, half widths of shift and deviations of noise.
        moments: whether the Gaussian of the data for training ships with the weights.
    """

    data: Callable[[], tuple[Tensor, Tensor]]
    widths: tuple[int, ...]
    epochs: int
    digest: str
    trained: float = 3 / 4
    batch: int = 64
    damage: tuple[float, float, float, float] = (0.2, 0.1, 0.15, 0.2)
    moments: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Planes, height and width of an image."""
        side = isqrt(self.widths[0])
        return 1, side, side


@dataclass(frozen=True)
class Features:
    """h <- leaky(W h + b) but for the last layer, whose outputs are logits and whose inputs are the features."""

    name: str
    layers: Layers
    shipped: Gaussian | None = None
    """The Gaussian that ships with the weights, where one does."""

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [R, N, pixels] in [-1, 1] -> features float32[R, N, d] and logits float32[R, N, classes].

        Rows are embedded one after another, so that a row's bits do not depend on how many there are.
        """
        pixels = self.layers[0][0].shape[1]
        if images.ndim != 3 or images.shape[2] != pixels:
            raise ValueError(f"images of {self.name}: found shape {tuple(images.shape)}, allowed [R, N, {pixels}]")
        layers = tuple((weight.to(images.device), bias.to(images.device)) for weight, bias in self.layers)
        last = layers[-1][0]
        features, logits = (
            torch.empty(*images.shape[:2], size, device=images.device) for size in (last.shape[1], last.shape[0])
        )
        with torch.no_grad():
            for row, image in enumerate(images):
                copy = image.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
                features[row], logits[row] = _forward(layers, copy)
        return features, logits

    @cached_property
    def reference(self) -> Gaussian:
        """The Gaussian of the features of real data: what ships, else all, those held out in training included."""
        return self.shipped or gaussian(self.embed(RECIPES[self.name].data()[0][None])[0][0])


@cache
def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's images float32[1797, 64] in [-1, 1] and labels int64[1797], in a fixed shuffled order."""
    import numpy as np
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))  # numpy guarantees that this stream never changes
    return torch.tensor(pixels[order] / 8 - 1, dtype=torch.float32), torch.tensor(labels[order], dtype=torch.int64)


def from_files(name: str) -> tuple[Tensor, Tensor]:
    """A set's images float32[M, pixels] in [-1, 1] and labels: those for training, then the others shuffled.

    The files' order will not do for these: the second half of MNIST's is the harder one.
    """
    (images, labels), (others, answers) = data.load(name), data.load(name, train=False)
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(0))
    every = torch.cat([images, others[order]]).flatten(1)
    return every / 127.5 - 1, torch.cat([labels, answers[order]])


RECIPES: dict[str, Recipe] = {
    "digits": Recipe(
        data=digits,
        widths=(64, 128, 64, 10),
        epochs=60,
        digest="4c72230dee2950a58e4230f7cd3f5741df1e8c085233af1eb58b774f6061b063",
    ),
    "mnist": Recipe(
        data=partial(from_files, "mnist"),
        widths=(784, 128, 64, 10),
        epochs=30,
        digest="5df925aa3394b7ebba754ee7b5c3c21220e80792c7b812463b4512fe021f854a",
        trained=6 / 7,
        batch=128,
        damage=(0.15, 0.1, 0.08, 0.2),
        moments=True,
    ),
    "fashion": Recipe(
        data=partial(from_files, "fashion"),
        widths=(784, 128, 64, 10),
        epochs=30,
        digest="6a176194a4d0b7ca25ca5d77523145f1126053376e144a3d31473d0cd2ca2f79",
        trained=6 / 7,
        batch=128,
        damage=(0.05, 0.05, 0.04, 0.2),
        moments=True,
    ),
}


@cache
def load(name: str) -> Features:
    """The shipped classifier of that name."""
    if name not in RECIPES:
        raise ValueError(f"features: found {name!r}; {nearest(name, RECIPES)}")
    return _decode(name, (files("bench.games.data") / "weights" / f"{name}.safetensors").read_bytes())


def train(recipe: Recipe, seed: int = 0) -> Layers:
    """Adam on the cross-entropy of damaged images, rounded to float16 at the end. Deterministic on one thread."""
    images, labels = (part[: round(recipe.trained * len(part))] for part in recipe.data())
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, fan_out in zip(recipe.widths, recipe.widths[1:], strict=False):
        weight = torch.randn(fan_out, fan_in, generator=generator) * (2 / fan_in) ** 0.5
        layers.append((weight.requires_grad_(), torch.zeros(fan_out, requires_grad=True)))
    optimizer = torch.optim.AdamW([part for layer in layers for part in layer], lr=2e-3, weight_decay=1e-4)
    batches = len(images) // recipe.batch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * batches)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)[: batches * recipe.batch]
        for chosen in order.view(batches, recipe.batch):
            logits = _forward(tuple(layers), damage(images[chosen], generator, recipe.damage))[1]
            optimizer.zero_grad()
            functional.cross_entropy(logits, labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return tuple((weight.detach().half().float(), bias.detach().half().float()) for weight, bias in layers)


def damage(
    images: Tensor, generator: torch.Generator, most: tuple[float, float, float, float] = (0.2, 0.1, 0.15, 0.2)
) -> Tensor:
    """Images [N, pixels] turned, scaled, shifted and with noise, a little and each in its own way.

    A generator's images are imperfect: the features must be meaningful on those, too.
    """
    count, side = len(images), isqrt(images.shape[1])
    draw = torch.rand(4, count, generator=generator) * 2 - 1
    turn, growth, shift, sd = most
    angle, scale = turn * draw[0], 1 + growth * draw[1]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    maps = torch.stack([cos, -sin, shift * draw[2], sin, cos, shift * draw[3]], dim=1).view(count, 2, 3)
    grid = functional.affine_grid(maps, [count, 1, side, side], align_corners=False)
    ink = images.view(count, 1, side, side) + 1  # pixels from outside the image are background, which is 0 here
    moved = functional.grid_sample(ink, grid, align_corners=False).view(count, -1) - 1
    noise = torch.randn(images.shape, generator=generator)
    return moved + sd * torch.rand(count, 1, generator=generator) * noise


def accuracy(layers: Layers, recipe: Recipe) -> tuple[float, float]:
    """Share of labels that are right on the data for training, and on the data held out."""
    images, labels = recipe.data()
    right = (_forward(layers, images)[1].argmax(dim=1) == labels).to(torch.float64)
    border = round(recipe.trained * len(right))
    return right[:border].mean().item(), right[border:].mean().item()


def _forward(layers: Layers, images: Tensor) -> tuple[Tensor, Tensor]:
    """[N, pixels] -> features [N, d], logits [N, classes]."""
    features = images
    for weight, bias in layers[:-1]:  # leaky, or some features would be dead and the covariance singular
        features = functional.leaky_relu(functional.linear(features, weight, bias), 0.1)
    return features, functional.linear(features, *layers[-1])


def moments(layers: Layers, recipe: Recipe) -> Gaussian:
    """The Gaussian of the features of the data for training."""
    images = recipe.data()[0]
    return gaussian(_forward(layers, images[: round(recipe.trained * len(images))])[0])


def _encode(layers: Layers, shipped: Gaussian | None = None) -> bytes:
    parts: dict[str, Tensor] = dict(shipped._asdict()) if shipped else {}
    for index, (weight, bias) in enumerate(layers):
        parts |= {f"{index}.weight": weight.half(), f"{index}.bias": bias.half()}
    return safetensors.torch.save({name: part.contiguous() for name, part in parts.items()})


def _decode(name: str, raw: bytes) -> Features:
    """The classifier in `raw`, if its digest is the recorded one for this name."""
    expected, digest = RECIPES[name].digest, sha256(raw).hexdigest()
    if digest != expected:
        raise ValueError(f"weights of {name}: expected SHA-256 {expected}, found {digest} in {len(raw)} bytes")
    parts = safetensors.torch.load(raw)
    shipped = Gaussian(*(parts.pop(part) for part in MOMENTS)) if RECIPES[name].moments else None
    layers = tuple((parts[f"{i}.weight"].float(), parts[f"{i}.bias"].float()) for i in range(len(parts) // 2))
    return Features(name, layers, shipped)


def main(arguments: list[str] | None = None) -> None:
    """Train a classifier anew, write its weights and say what they are."""
    parser = argparse.ArgumentParser(prog="python -m bench.games.data.classifiers", description=main.__doc__)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("out", type=Path, help="the file to write")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = RECIPES[chosen.name]
    layers = train(recipe)
    raw = _encode(layers, moments(layers, recipe) if recipe.moments else None)
    chosen.out.write_bytes(raw)
    trained, held = accuracy(layers, recipe)
    print(f"{chosen.out}: {len(raw)} bytes, sha256 {sha256(raw).hexdigest()}")
    print(f"accuracy {trained:.2%} on the data for training, {held:.2%} on the data held out")


if __name__ == "__main__":
    main()
