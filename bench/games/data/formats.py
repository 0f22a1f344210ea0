"""The files of real image sets, and how they are read and verified.

    mnist    28x28 grey, 60,000 + 10,000    MNIST/raw/train-images-idx3-ubyte[.gz], ...     LeCun et al. 1998
    fashion  28x28 grey, 60,000 + 10,000    FashionMNIST/raw/, with the same names          Xiao et al. 2017
    cifar10  32x32 RGB, 50,000 + 10,000     cifar-10-batches-bin/data_batch_1.bin, ...      Krizhevsky 2009

Folders are laid out as torchvision lays them. A file is verified by the MD5 of its unzipped bytes: the gzip around them
differs from one distributor to another. CIFAR-10's page gives the MD5 of its archive alone; those of the files in it
are the ones that arrayfire and dlframework verify theirs by, whose lists agree.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import UserError, nearest


@dataclass(frozen=True)
class File:
    """A file of a set: its bytes are `header`, then uint8[shape].

    Args:
        name: as it is unzipped.
        md5: of the unzipped bytes.
    """

    name: str
    header: bytes
    shape: tuple[int, ...]
    md5: str

    @property
    def size(self) -> int:
        """Bytes, unzipped."""
        return len(self.header) + prod(self.shape)


@dataclass(frozen=True)
class ImageSet:
    """The files of a set, and the folders below a root that may hold them, the one for downloads first."""

    folders: tuple[str, ...]
    train: tuple[File, ...]
    test: tuple[File, ...]
    records: bool = False
    """Whether a file holds images with their labels, and all come in one archive; else each has its own file."""

    @property
    def files(self) -> tuple[File, ...]:
        return self.train + self.test


def idx(part: str, count: int, images: str, labels: str) -> tuple[File, File]:
    """A part's files in the idx format: two zeros, 8 for uint8, the number of sizes, the sizes as big-endian uint32."""

    def file(kind: str, shape: tuple[int, ...], md5: str) -> File:
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        return File(f"{part}-{kind}-idx{len(shape)}-ubyte", header, shape, md5)

    return file("images", (count, 28, 28), images), file("labels", (count,), labels)


def batch(name: str, md5: str) -> File:
    """10,000 records of a label and the red, green and blue planes of 32x32."""
    return File(name, b"", (10_000, 1 + 3 * 32 * 32), md5)


SETS = {
    "mnist": ImageSet(
        folders=("MNIST/raw", "MNIST", "raw", ""),
        train=idx("train", 60_000, "6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
        test=idx("t10k", 10_000, "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    ),
    "fashion": ImageSet(
        folders=("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "raw", ""),
        train=idx("train", 60_000, "f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
        test=idx("t10k", 10_000, "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
    ),
    "cifar10": ImageSet(
        folders=("cifar-10-batches-bin", ""),
        train=(
            batch("data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"),
            batch("data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"),
            batch("data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"),
            batch("data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"),
            batch("data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"),
        ),
        test=(batch("test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"),),
        records=True,
    ),
}


def image_set(name: str) -> ImageSet:
    """The set of that name."""
    if name not in SETS:
        raise UserError(f"image set {name!r} is not known; {nearest(name, SETS)}")
    return SETS[name]


def read(path: Path, file: File) -> Tensor:
    """A file's uint8[shape], gzipped or not; UserError, in one line, if its checksum is not the recorded one."""
    raw = unzipped(path, file.size + 1)  # one byte more than expected, to see whether it ends there
    fault = _fault(raw, file)
    if fault:
        raise UserError(f"{str(path)!r}: {fault}")
    return torch.frombuffer(raw, dtype=torch.uint8, offset=len(file.header)).view(file.shape)


def fault_of(path: Path, file: File) -> str:
    """What is wrong with a file in a line, or nothing."""
    try:
        read(path, file)
    except UserError as error:
        return str(error)
    return ""


def _fault(raw: bytearray, file: File) -> str:
    head = raw[: len(file.header)]
    if len(head) == len(file.header) and head != file.header:  # more informative than the size: another file or format
        return f"expected an idx header {file.header.hex(' ', 4)}, found {head.hex(' ', 4)}"
    if len(raw) != file.size:
        return f"expected {file.size} bytes, found {len(raw) if len(raw) < file.size else 'more'}"
    digest = md5(raw)
    if digest != file.md5:
        owner_name = owner(digest)
        return f"expected MD5 {file.md5}, found {digest}{f', which is a file of {owner_name}' * bool(owner_name)}"
    return ""


def unzipped(path: Path, limit: int) -> bytearray:
    """The first `limit` bytes of a file, unzipped if it is gzipped, whatever its name says."""
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"  # no file of a set begins so
            file.seek(0)
            if not zipped:
                return bytearray(file.read(limit))
            with gzip.GzipFile(fileobj=file) as content:
                return bytearray(content.read(limit))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{str(path)!r}: expected a whole gzip file, found a damaged one: {error}") from None
    except OSError as error:
        raise UserError(f"{str(path)!r}: expected a file to read, found: {error.strerror or error}") from None


def md5(raw: bytes | bytearray) -> str:
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


def owner(digest: str) -> str:
    """The set that has a file of this MD5, or nothing."""
    return next((name for name, whole in SETS.items() for file in whole.files if file.md5 == digest), "")
