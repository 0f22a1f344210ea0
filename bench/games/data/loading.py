"""Real image sets: found in a few folders, verified, read into memory.

The folders are searched in this order: a given folder, the one that ``BENCH_DATA`` names, the one of Debian's package.
A complete set in a later folder is preferred to an incomplete one in an earlier folder. A damaged file is an error and
does not continue the search.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import UserError
from bench.games.data.formats import SETS, File, ImageSet, fault_of, image_set, md5, owner, read, unzipped

VARIABLE = "BENCH_DATA"
PACKAGED = {"fashion": Path("/usr/share/datasets/fashion-mnist")}  # Debian's dataset-fashion-mnist


def load(name: str, train: bool = True, folder: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """Images uint8[N, C, H, W] and labels int64[N] of a set's part, in the files' order.

    They are read once in a process and shared: do not write to them. Raises UserError where a file is missing or
    damaged.
    """
    fault = missing(name, folder)
    if fault:
        raise UserError(fault)
    return _load(name, train, find(name, folder)[0].resolve())


@cache  # of complete sets only: an error is raised again at each call
def _load(name: str, train: bool, folder: Path) -> tuple[Tensor, Tensor]:
    wanted = SETS[name].train if train else SETS[name].test
    paths = standing(folder, SETS[name])
    try:
        parts = [read(paths[file], file) for file in wanted]
    except UserError as error:
        raise UserError(f"{name}: {error}; remove it, then {_remedy(name)}") from None
    if SETS[name].records:
        records = torch.cat(parts)
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].to(torch.int64)
    images, labels = parts
    return images[:, None], labels.to(torch.int64)


def existing_folder(folder: str | Path) -> Path:
    """The folder, with a tilde expanded; UserError where there is none."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"found {str(folder)!r}, and there is no such folder; one of image sets is allowed")
    return path


def missing(name: str, folder: str | Path | None = None) -> str:
    """ "" if every file of the set exists, damaged or not; else a line with the files, the folders and a remedy."""
    whole = image_set(name)
    set_folder, present = find(name, folder)
    lacking = [file.name for file in whole.files if file not in present]
    if not lacking:
        return ""
    if present:
        shortfall = f"expected {len(whole.files)} files in {str(set_folder)!r}, found no {', '.join(lacking)}"
    else:
        where = " or ".join(repr(str(set_folder)) for set_folder in (*_roots(folder), *_packaged(name)))
        unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE} is not set)"
        wanted = f"{whole.folders[0]}/{whole.files[0].name} and {len(whole.files) - 1} more files"
        shortfall = f"expected {wanted} in {where or 'a folder'}{unset}, found none"
    return f"{name}: {shortfall}; {_remedy(name)}"


def _remedy(name: str) -> str:
    package = "`apt install dataset-fashion-mnist`, " if name in PACKAGED else ""
    return f"get it by `bench data fetch {name} --data FOLDER`, {package}or set {VARIABLE} to a folder that has it"


@dataclass(frozen=True)
class Row:
    """The result of `check` for a file, or for a set without any file.

    Args:
        name: the set.
        path: of the file; None if it is missing.
        fault: what is wrong, in a line; "" for nothing.
    """

    name: str
    path: Path | None
    fault: str

    @property
    def damaged(self) -> bool:
        """Whether the file exists and its content is wrong."""
        return self.path is not None and bool(self.fault)

    def __str__(self) -> str:
        state = "damaged" if self.damaged else "missing" if self.fault else "ok"
        return f"{self.name:8}{state:9}{self.fault or self.path}"


def check(folder: str | Path | None = None) -> list[Row]:
    """Every file of every set, read and verified; one row for a set without any file."""
    rows = []
    for name, whole in SETS.items():
        set_folder, present = find(name, folder)
        if not present:
            rows.append(Row(name, None, missing(name, folder).removeprefix(f"{name}: ")))
            continue
        for file in whole.files:
            path = present.get(file)
            rows.append(Row(name, path, fault_of(path, file) if path else f"no {file.name} in {str(set_folder)!r}"))
    return rows


def find(name: str, folder: str | Path | None = None) -> tuple[Path, dict[File, Path]]:
    """The folder with all files of the set, else the first with any, and the paths of its files."""
    whole, first_partial = image_set(name), (Path(), dict[File, Path]())
    for set_folder in (*(set_folder for root in _roots(folder) for set_folder in places(name, root)), *_packaged(name)):
        present = standing(set_folder, whole)
        if len(present) == len(whole.files):
            return set_folder, present
        if not first_partial[1]:
            first_partial = set_folder, present
    return first_partial


def places(name: str, root: Path) -> Iterator[Path]:
    """The folders below a root that may hold a set.

    MNIST and Fashion-MNIST have the same file names. Folders whose name fits both are left out if their labels are
    those of the other set.
    """
    for below in image_set(name).folders:
        if below not in ("raw", "") or not _is_anothers(name, root / below):
            yield root / below


def _is_anothers(name: str, folder: Path) -> bool:
    for file, path in standing(folder, SETS[name]).items():
        if len(file.shape) == 1:  # labels: small enough to be looked into
            try:
                return owner(md5(unzipped(path, file.size + 1))) not in ("", name)
            except UserError:  # unknown; reading the file later reports what is wrong with it
                return False
    return False


def standing(folder: Path, whole: ImageSet) -> dict[File, Path]:
    """The set's files in a folder: of an idx file and its gzip the latter, which is the one that is fetched."""
    paths = ((f, folder / f"{f.name}{suffix}") for f in whole.files for suffix in ("", ".gz")[: 2 if f.header else 1])
    return {file: path for file, path in paths if os.path.isfile(path)}


def _roots(folder: str | Path | None) -> list[Path]:
    return [Path(root).expanduser() for root in (folder, os.environ.get(VARIABLE)) if root]


def _packaged(name: str) -> list[Path]:
    return [PACKAGED[name]] if name in PACKAGED else []
