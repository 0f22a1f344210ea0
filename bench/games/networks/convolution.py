"""Patches of an image under a sliding kernel, and the transpose of this operation.

A convolution is a product of its weights with the patches under its taps ("im2col": Chellapilla, Puri and Simard 2006,
"High performance convolutional neural networks for document processing"). Gathering them is linear, scattering is its
transpose, and each is the other's derivative: so derivatives of any order are made of the two and of products, where
autograd of slices would fill an array as large as the image for every tap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Met(NamedTuple):
    """A tap: the outputs, rows and columns, that it reaches the image from, and what it meets there."""

    down: slice
    across: slice
    rows: slice
    columns: slice
    everywhere: bool
    """Whether no output sees beyond the border by this tap."""


@dataclass(frozen=True)
class Sliding:
    """A square kernel that slides over an image of a size (height, width); the others as torch's."""

    kernel: int
    stride: int
    padding: int
    size: tuple[int, int]

    @cached_property
    def out(self) -> tuple[int, int]:
        """Height and width of the output: (H + 2 p - k) // s + 1."""
        height, width = ((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in self.size)
        return height, width

    @cached_property
    def taps(self) -> list[Met]:
        """Row by row."""
        lines = [[self._line(axis, tap - self.padding) for tap in range(self.kernel)] for axis in (0, 1)]
        whole = tuple(slice(0, n) for n in self.out)
        return [
            Met(down, across, rows, columns, (down, across) == whole)
            for down, rows in lines[0]
            for across, columns in lines[1]
        ]

    def _line(self, axis: int, offset: int) -> tuple[slice, slice]:
        """Along an axis: the outputs o with a place o s + offset in the image, and these places."""
        first = max(0, -(offset // self.stride))
        last = min(self.out[axis], (self.size[axis] - 1 - offset) // self.stride + 1)
        if last <= first:
            return slice(0, 0), slice(0, 0)
        start = first * self.stride + offset
        return slice(first, last), slice(start, start + (last - first - 1) * self.stride + 1, self.stride)


sliding = lru_cache(maxsize=64)(Sliding)


def gather(h: Tensor, how: Sliding) -> Tensor:
    """The pixels under every tap, zero beyond the border: [R, C, H, W, batch] -> [R, taps, C, H', W', batch]."""
    return _Gather.apply(h, how)  # type: ignore[no-any-return, no-untyped-call]


def scatter(patches: Tensor, how: Sliding) -> Tensor:
    """`gather`'s transpose, every tap added to its pixels: [R, taps, C, H', W', batch] -> [R, C, H, W, batch]."""
    return _Scatter.apply(patches, how)  # type: ignore[no-any-return, no-untyped-call]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, how: Sliding) -> Tensor:
        ctx.how = how
        patches = h.new_empty(len(h), len(how.taps), h.shape[1], *how.out, h.shape[-1])
        for index, tap in enumerate(how.taps):
            patch = patches[:, index]
            if not tap.everywhere:
                patch.zero_()
            patch[:, :, tap.down, tap.across] = h[:, :, tap.rows, tap.columns]
        return patches

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return scatter(g, ctx.how), None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, patches: Tensor, how: Sliding) -> Tensor:
        ctx.how = how
        h = patches.new_zeros(len(patches), patches.shape[2], *how.size, patches.shape[-1])
        for index, tap in enumerate(how.taps):
            h[:, :, tap.rows, tap.columns] += patches[:, index, :, tap.down, tap.across]
        return h

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return gather(g, ctx.how), None
