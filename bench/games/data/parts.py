"""Parts of a user's or a set's data: a fixed shuffled order, what is held out of it, bytes as numbers."""

from __future__ import annotations

import torch
from torch import Tensor

SHARE, MOST = 10, 2000  # one sample in ten is held out, and no more than that


def shuffled(count: int, seed: int = 0) -> Tensor:
    """The numbers below `count` in a fixed pseudo-random order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def split(count: int, least: int = 1) -> tuple[Tensor, Tensor]:
    """The numbers of the samples that train, and of those that are held out, ``least`` at least."""
    order = shuffled(count)
    held = max(least, min(MOST, count // SHARE))
    return order[held:], order[:held]


def scaled(pixels: Tensor) -> Tensor:
    """Bytes as numbers in [-1, 1], in contiguous memory."""
    return pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)
