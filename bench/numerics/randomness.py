"""Random numbers as a function of (seed, stream, draw) alone, for every stack.

Each seed has its own CPU generator for every stream and block of draws. Blocks are drawn whole and stacked, which is
the cheapest way to make the numbers depend on (seed, draw) alone: rules and step sizes that share a seed get the same
starts and minibatches (common random numbers), and a replica's data do not depend on its neighbours.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from math import prod

import torch
from torch import Tensor

BLOCK = 64  # draws taken at once
KEPT = 2**22  # numbers of a large draw that stands alone, up to which it is kept: judged samples use it again
Shape = tuple[int, ...]
GRAIN = 16  # torch's vectorised normal kernel changes its path below 16 numbers: draw multiples of it


def _generator(seed: int, stream: str, block: int) -> torch.Generator:
    digest = blake2b(f"{seed}/{stream}/{block}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


@lru_cache(maxsize=24)
def _drawn(
    seeds: tuple[int, ...], stream: str, block: int, shape: tuple[int, int], law: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """One block for each distinct seed, [draws, distinct, numbers], and each row's index in it, [R]."""
    distinct = {seed: i for i, seed in enumerate(dict.fromkeys(seeds))}
    stacked = torch.empty(shape[0], len(distinct), shape[1], dtype=dtype)
    for seed, i in distinct.items():
        generator, numbers = _generator(seed, stream, block), torch.empty(shape, dtype=dtype)
        stacked[:, i] = getattr(numbers, f"{law}_")(generator=generator)
    return stacked, torch.tensor([distinct[seed] for seed in seeds])


_standing = lru_cache(maxsize=4)(_drawn.__wrapped__)  # apart from the minibatches, which would soon push it out


def _rows(
    seeds: Tensor, stream: str, draw: int, shape: tuple[int, ...], law: str, dtype: torch.dtype, block: int
) -> Tensor:
    count = prod(shape)
    padded = -(-count // GRAIN) * GRAIN
    alone = block == 1 and len(seeds) * padded <= KEPT
    stacked, indices = (_standing if alone else _drawn)(
        tuple(seeds.tolist()), stream, draw // block, (block, padded), law, dtype
    )
    samples = stacked[draw % block].index_select(0, indices)  # a copy: what is drawn stays as it was
    return (samples if count == padded else samples[:, :count]).view(len(indices), *shape)


def normal(
    seeds: Tensor, stream: str, draw: int, shape: Shape, dtype: torch.dtype = torch.float32, block: int = BLOCK
) -> Tensor:
    """Standard normal numbers: seeds int64[R] -> [R, *shape]. ``block=1`` for a large draw that stands alone."""
    return _rows(seeds, stream, draw, shape, "normal", dtype, block)


def uniform(
    seeds: Tensor, stream: str, draw: int, shape: Shape, dtype: torch.dtype = torch.float32, block: int = BLOCK
) -> Tensor:
    """Uniform numbers in [0, 1): seeds int64[R] -> [R, *shape]."""
    return _rows(seeds, stream, draw, shape, "uniform", dtype, block)


def integers(seeds: Tensor, stream: str, draw: int, shape: Shape, below: int, block: int = BLOCK) -> Tensor:
    """Whole numbers in {0, ..., below - 1}, equally likely to 2^-24: seeds int64[R] -> int64[R, *shape]."""
    return (uniform(seeds, stream, draw, shape, block=block) * below).long().clamp_(max=below - 1)


def whole_numbers(seeds: Tensor, stream: str, draw: int) -> list[int]:
    """A number of 48 bits a replica, decided by (seed, stream, draw)."""
    high, low = (uniform(seeds, stream, draw, (2,)).double() * 2**24).long().unbind(1)
    return (high * 2**24 + low).tolist()
