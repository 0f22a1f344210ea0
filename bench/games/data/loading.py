"""Real image sets: found in a few folders, verified, read into memory.

They are looked for below a folder that is given, then below the one that ``BENCH_DATA`` names, then where Debian's
package installs. A set that stands whole in a later place goes before one of which an earlier place has a part; a
damaged file is an error, never a reason to look elsewhere.
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


@cache  # of what was read whole: an error is raised anew each time
def _load(name: str, train: bool, place: Path) -> tuple[Tensor, Tensor]:
    wanted = SETS[name].train if train else SETS[name].test
    paths = standing(place, SETS[name])
    try:
        parts = [read(paths[file], file) for file in wanted]
    except UserError as error:
        raise UserError(f"{name}: {error}; remove it, then {_remedy(name)}") from None
    if SETS[name].records:
        records = torch.cat(parts)
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].to(torch.int64)
    images, labels = parts
    return images[:, None], labels.to(torch.int64)


def missing(name: str, folder: str | Path | None = None) -> str:
    """Nothing if every file of the set is there, damaged or not; else a line: what was looked for, where, a remedy."""
    whole = image_set(name)
    place, there = find(name, folder)
    lacking = [file.name for file in whole.files if file not in there]
    if not lacking:
        return ""
    if there:
        found = f"expected {len(whole.files)} files in {str(place)!r}, found no {', '.join(lacking)}"
    else:
        where = " or ".join(repr(str(place)) for place in (*_roots(folder), *_packaged(name)))
        unset = "" if os.environ.get(VARIABLE) else f" ({VARIABLE} is not set)"
        wanted = f"{whole.folders[0]}/{whole.files[0].name} and {len(whole.files) - 1} more files"
        found = f"expected {wanted} in {where or 'a folder'}{unset}, found none"
    return f"{name}: {found}; {_remedy(name)}"


def _remedy(name: str) -> str:
    package = "`apt install dataset-fashion-mnist`, " if name in PACKAGED else ""
    return f"get it by `bench data fetch {name} --data FOLDER`, {package}or set {VARIABLE} to a folder that has it"


@dataclass(frozen=True)
class Row:
    """What `check` found of a file, or of a set of which there is none.

    Args:
        name: the set.
        path: where the file is; None where it is not.
        fault: what is wrong in a line, or nothing.
    """

    name: str
    path: Path | None
    fault: str

    @property
    def damaged(self) -> bool:
        """There, and not what it should be."""
        return self.path is not None and bool(self.fault)

    def __str__(self) -> str:
        state = "damaged" if self.damaged else "missing" if self.fault else "ok"
        return f"{self.name:8}{state:9}{self.fault or self.path}"


def check(folder: str | Path | None = None) -> list[Row]:
    """Every file of every set, read and verified; one row for a set of which nothing is there."""
    rows = []
    for name, whole in SETS.items():
        place, there = find(name, folder)
        if not there:
            rows.append(Row(name, None, missing(name, folder).removeprefix(f"{name}: ")))
            continue
        for file in whole.files:
            path = there.get(file)
            rows.append(Row(name, path, fault_of(path, file) if path else f"no {file.name} in {str(place)!r}"))
    return rows


def find(name: str, folder: str | Path | None = None) -> tuple[Path, dict[File, Path]]:
    """The place that has all files of the set, else the first that has any, and the paths of those it has."""
    whole, found = image_set(name), (Path(), dict[File, Path]())
    for place in (*(place for root in _roots(folder) for place in places(name, root)), *_packaged(name)):
        there = standing(place, whole)
        if len(there) == len(whole.files):
            return place, there
        if not found[1]:
            found = place, there
    return found


def places(name: str, root: Path) -> Iterator[Path]:
    """Where a set may stand below a root.

    MNIST and Fashion-MNIST name their files alike: of folders whose names do not tell them apart, those whose labels
    are the other's are left out.
    """
    for below in image_set(name).folders:
        if below not in ("raw", "") or not _is_anothers(name, root / below):
            yield root / below


def _is_anothers(name: str, place: Path) -> bool:
    for file, path in standing(place, SETS[name]).items():
        if len(file.shape) == 1:  # labels: small enough to be looked into
            try:
                return owner(md5(unzipped(path, file.size + 1))) not in ("", name)
            except UserError:  # there is no telling; whoever reads the file will say what is wrong with it
                return False
    return False


def standing(place: Path, whole: ImageSet) -> dict[File, Path]:
    """The set's files that stand in a place: of an idx file and its gzip the latter, which is what is fetched."""
    paths = ((f, place / f"{f.name}{suffix}") for f in whole.files for suffix in ("", ".gz")[: 2 if f.header else 1])
    return {file: path for file, path in paths if os.path.isfile(path)}


def _roots(folder: str | Path | None) -> list[Path]:
    return [Path(root).expanduser() for root in (folder, os.environ.get(VARIABLE)) if root]


def _packaged(name: str) -> list[Path]:
    return [PACKAGED[name]] if name in PACKAGED else []
