"""Image sets of the real formats with three images a part, and the one line that refuses others."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.errors import UserError
from bench.games.data.formats import SETS, File, ImageSet, idx

Contents = dict[str, bytes]
COUNT = 3  # images a file


def noise(size: int, seed: int) -> bytes:
    return bytes(torch.randint(256, (size,), generator=torch.Generator().manual_seed(seed)).tolist())


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx_contents(seed: int) -> Contents:
    contents = {}
    for i, part in enumerate(("train", "t10k")):
        contents[f"{part}-images-idx3-ubyte"] = struct.pack(">4i", 0x803, COUNT, 28, 28) + noise(
            COUNT * 784, seed + 2 * i
        )
        contents[f"{part}-labels-idx1-ubyte"] = struct.pack(">2i", 0x801, COUNT) + noise(COUNT, seed + 2 * i + 1)
    return contents


def cifar_contents() -> Contents:
    """In every file labels 0, 1, 2, and images whose red is 1, green 2, blue 3, but for the first pixel of each."""
    contents = {}
    for i, name in enumerate([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]):
        planes = b"".join(bytes([10 * i + plane]) + bytes([plane]) * 1023 for plane in (1, 2, 3))
        contents[name] = b"".join(bytes([label]) + planes for label in range(COUNT))
    return contents


CONTENTS: dict[str, Contents] = {"mnist": idx_contents(0), "fashion": idx_contents(10), "cifar10": cifar_contents()}


def fake(name: str) -> ImageSet:
    contents = CONTENTS[name]
    if name == "cifar10":
        batches = tuple(File(file, b"", (COUNT, 3073), md5(content)) for file, content in contents.items())
        return ImageSet(SETS[name].folders, batches[:5], batches[5:], records=True)
    sums = [md5(content) for content in contents.values()]
    return ImageSet(SETS[name].folders, idx("train", COUNT, *sums[:2]), idx("t10k", COUNT, *sums[2:]))


def lay(place: Path, name: str, zipped: bool = False) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for file, content in CONTENTS[name].items():
        if zipped:
            (place / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (place / file).write_bytes(content)
    return place


def refusal(run: Callable[[], object]) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(UserError) as caught:
        run()
    line = str(caught.value)
    assert "\n" not in line
    return line
