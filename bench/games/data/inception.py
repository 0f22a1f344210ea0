"""Inception v3 as a feature extractor, for those who have a file of its weights: nothing is downloaded.

The network of Szegedy et al. 2016 (arXiv:1512.00567), up to the 2048 averages before its last layer. A Frechet
distance on these is FID (Heusel et al. 2017, arXiv:1706.08500) where the weights are those that FID is defined by, as
M. Seitzer's pytorch-fid ported them (`pt_inception-2015-12-05-6726825d.pth`). Parameters are named as in torchvision's
`inception_v3`; AuxLogits and what else there is are ignored.

The two published networks differ, and the number of classes of `fc` tells which one a file is for:
1008: FID's. Average pools leave the padding out, and the pool of the last block (Mixed_7c) is a maximum.
1000: torchvision's. Average pools count the padding as zeros, in the last block as well.

Images are resized as in pytorch-fid, bilinearly to 299x299 without antialiasing, but are not rounded to bytes first.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import file_digest
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import UserError

SIDE, WIDTH = 299, 2048  # of the images that go in, of the features that come out
BATCH = 32  # images at once
EPSILON = 0.001  # of the batch normalisations
FID, TORCHVISION = 1008, 1000  # classes of fc


@dataclass(frozen=True)
class Conv:
    """relu(batch norm(convolution)); it keeps height and width, but for those with a stride and the `valid` ones."""

    name: str
    channels: int
    height: int = 1
    width: int = 1
    stride: int = 1
    valid: bool = field(default=False, kw_only=True)

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padding = (0, 0) if self.valid or self.stride > 1 else (self.height // 2, self.width // 2)
        return functional.conv2d(x, weight, bias, self.stride, padding).relu_()


@dataclass(frozen=True)
class Split:
    """Branches on the same input, whose outputs are concatenated; names inside begin with the prefix."""

    prefix: str
    branches: tuple[tuple[Step, ...], ...]


Pool = Callable[[Tensor], Tensor]
Step = Conv | Split | Pool
Layers = Mapping[str, tuple[Tensor, Tensor]]  # weight and bias of each convolution, batch normalisation included


@dataclass(frozen=True, eq=False)
class Inception:
    """The network up to its features; `digest` is the SHA-256 of the file, `classes` the size of its last layer."""

    layers: Layers
    classes: int
    digest: str

    def embed(self, images: Tensor) -> Tensor:
        """Images [R, N, planes, H, W] in [-1, 1], grey or of three colours -> features float32[R, N, 2048].

        Rows are embedded one after another, in batches of their own, so that a row's bits do not depend on the others.
        A row with a sample that is not finite has no features: they are NaN.
        """
        if images.ndim != 5 or images.shape[2] not in (1, 3):
            raise ValueError(f"images: found shape {tuple(images.shape)}, allowed [R, N, 1 or 3, H, W]")
        device = images.device
        layers = {name: (weight.to(device), bias.to(device)) for name, (weight, bias) in self.layers.items()}
        features = torch.full((*images.shape[:2], WIDTH), torch.nan, dtype=torch.float32, device=device)
        with torch.no_grad():
            for row, image in enumerate(images):
                copy = image.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
                if copy.isfinite().all():
                    batches = torch.split(copy, BATCH)
                    features[row] = torch.cat([_forward(batch, layers, self.classes) for batch in batches])
        return features


def load(path: str | Path) -> Inception:
    """The network with the weights of a file; a file is read once, unless it changes. UserError where it is no such."""
    file = Path(os.path.expanduser(path))
    try:
        with file.open("rb"):
            status = file.stat()
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        raise _refusal(path, f"cannot be opened ({getattr(error, 'strerror', error)})") from None
    return _load(file.absolute(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)  # a run uses one network, which takes 90 MB
def _load(path: Path, mtime: int, size: int) -> Inception:
    """The network in a file; the time of its last change and its size are the cache key."""
    state = _read(path)
    layers = {name: _folded(path, state, name, shape) for name, shape in _shapes(architecture(FID), 3)}
    classes = len(_parameter(path, state, "fc.weight", (TORCHVISION, WIDTH), (FID, WIDTH)))
    with path.open("rb") as file:
        return Inception(layers, classes, file_digest(file, "sha256").hexdigest())


def _refusal(path: str | Path, fault: str) -> UserError:
    return UserError(f"features: {path} {fault}; allowed is a state dict of Inception v3")


def _read(path: Path) -> Mapping[str, object]:
    """The state dict in a file; torch refuses content that could run code."""
    try:
        if path.suffix == ".safetensors":
            return {**safetensors.torch.load_file(path)}
        with warnings.catch_warnings(action="ignore"):  # an archive of TorchScript warns before it is refused
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        raise _refusal(path, f"cannot be read as weights ({type(error).__name__})") from None
    if not isinstance(state, dict):
        raise _refusal(path, f"holds a {type(state).__name__}")
    return state


def _parameter(path: Path, state: Mapping[str, object], name: str, *shapes: tuple[int, ...]) -> Tensor:
    """A parameter of one of these shapes, in float64."""
    if name not in state:
        raise _refusal(path, f"lacks parameter {name!r}")
    parameter = state[name]
    if not (isinstance(parameter, Tensor) and parameter.is_floating_point() and parameter.shape in shapes):
        kind = (
            f"{parameter.dtype}{list(parameter.shape)}" if isinstance(parameter, Tensor) else type(parameter).__name__
        )
        shape_texts = " or ".join(str(list(shape)) for shape in shapes)
        raise _refusal(path, f"has {kind.removeprefix('torch.')} as {name!r}, where float{shape_texts} is known")
    return parameter.to(torch.float64)


def _folded(path: Path, state: Mapping[str, object], name: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Weight and bias that a convolution without bias and its batch normalisation in evaluation amount to."""
    weight = _parameter(path, state, f"{name}.conv.weight", shape)
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (_parameter(path, state, f"{name}.bn.{part}", shape[:1]) for part in parts)
    scale = gamma / (variance + EPSILON).sqrt()
    folded = (weight * scale[:, None, None, None]).float(), (beta - mean * scale).float()
    if not all(part.isfinite().all() for part in folded):
        raise _refusal(path, f"has numbers in {name!r} that are not finite")
    return folded


def _forward(images: Tensor, layers: Layers, classes: int) -> Tensor:
    """[N, 1 or 3, H, W] -> [N, 2048]."""
    colour = images.expand(-1, 3, -1, -1).contiguous()
    inputs = functional.interpolate(colour, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return _run(inputs, architecture(classes), layers).mean(dim=(2, 3))


def _run(x: Tensor, steps: tuple[Step, ...], layers: Layers, prefix: str = "") -> Tensor:
    for step in steps:
        if isinstance(step, Conv):
            x = step(x, *layers[prefix + step.name])
        elif isinstance(step, Split):
            x = torch.cat([_run(x, branch, layers, prefix + step.prefix) for branch in step.branches], dim=1)
        else:
            x = step(x)
    return x


def _shapes(
    steps: tuple[Step, ...], planes: int, prefix: str = ""
) -> Generator[tuple[str, tuple[int, ...]], None, int]:
    """Name and shape of each convolution on so many planes; gives back how many come out."""
    for step in steps:
        if isinstance(step, Conv):
            yield prefix + step.name, (step.channels, planes, step.height, step.width)
            planes = step.channels
        elif isinstance(step, Split):
            widths = []
            for branch in step.branches:
                widths.append((yield from _shapes(branch, planes, prefix + step.prefix)))
            planes = sum(widths)
    return planes


def architecture(classes: int) -> tuple[Step, ...]:
    """The published network with so many classes, but for its last layer."""
    average: Pool = partial(
        functional.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=classes == TORCHVISION
    )
    largest: Pool = partial(functional.max_pool2d, kernel_size=3, stride=1, padding=1)
    return (
        Conv("Conv2d_1a_3x3", 32, 3, 3, stride=2),
        Conv("Conv2d_2a_3x3", 32, 3, 3, valid=True),
        Conv("Conv2d_2b_3x3", 64, 3, 3),
        _halve,
        Conv("Conv2d_3b_1x1", 80),
        Conv("Conv2d_4a_3x3", 192, 3, 3, valid=True),
        _halve,
        _a("Mixed_5b.", average, 32),
        _a("Mixed_5c.", average, 64),
        _a("Mixed_5d.", average, 64),
        _b("Mixed_6a."),
        _c("Mixed_6b.", average, 128),
        _c("Mixed_6c.", average, 160),
        _c("Mixed_6d.", average, 160),
        _c("Mixed_6e.", average, 192),
        _d("Mixed_7a."),
        _e("Mixed_7b.", average),
        _e("Mixed_7c.", largest if classes == FID else average),
    )


def _halve(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, kernel_size=3, stride=2)


def _chain(name: str, *layers: tuple[int, ...]) -> tuple[Step, ...]:
    """Convolutions one after another, numbered from 1: channels, height, width, stride."""
    return tuple(Conv(f"{name}_{i}", *layer) for i, layer in enumerate(layers, start=1))


def _a(prefix: str, pool: Pool, pooled: int) -> Split:
    single = _chain("branch5x5", (48,), (64, 5, 5))
    double = _chain("branch3x3dbl", (64,), (96, 3, 3), (96, 3, 3))
    return Split(prefix, ((Conv("branch1x1", 64),), single, double, (pool, Conv("branch_pool", pooled))))


def _b(prefix: str) -> Split:
    double = _chain("branch3x3dbl", (64,), (96, 3, 3), (96, 3, 3, 2))
    return Split(prefix, ((Conv("branch3x3", 384, 3, 3, 2),), double, (_halve,)))


def _c(prefix: str, pool: Pool, inner: int) -> Split:
    single = _chain("branch7x7", (inner,), (inner, 1, 7), (192, 7, 1))
    double = _chain("branch7x7dbl", (inner,), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7))
    return Split(prefix, ((Conv("branch1x1", 192),), single, double, (pool, Conv("branch_pool", 192))))


def _d(prefix: str) -> Split:
    single = _chain("branch3x3", (192,), (320, 3, 3, 2))
    triple = _chain("branch7x7x3", (192,), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2))
    return Split(prefix, (single, triple, (_halve,)))


def _e(prefix: str, pool: Pool) -> Split:
    def fork(name: str) -> Split:
        return Split(name, ((Conv("a", 384, 1, 3),), (Conv("b", 384, 3, 1),)))

    single = (*_chain("branch3x3", (384,)), fork("branch3x3_2"))
    double = (*_chain("branch3x3dbl", (448,), (384, 3, 3)), fork("branch3x3dbl_3"))
    return Split(prefix, ((Conv("branch1x1", 320),), single, double, (pool, Conv("branch_pool", 192))))
