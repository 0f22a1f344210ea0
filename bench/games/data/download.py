"""Image sets from public mirrors: a file is verified before it stands in its place.

Pooch downloads to a folder of its own, which is removed however that ends. What is moved into place from there is
whole, flushed to disk, and has the MD5 that was recorded, which is that of the unzipped file. Files that are there
already, and whole, are not fetched again.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pooch
import requests

from bench.errors import UserError
from bench.games.data.formats import File, fault_of, image_set
from bench.games.data.loading import places, standing

Progress = Callable[[str, int, int], object]  # a download's name, its bytes so far, and in all (0: not known)

MIRRORS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist",
    "fashion": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "cifar10": "https://www.cs.toronto.edu/~kriz",
}
ARCHIVE, ARCHIVE_MD5, ARCHIVE_SIZE = "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171  # bytes
BLOCK = 1 << 16  # bytes read at once
HEADERS = {"User-Agent": "gan-optimizer-bench", "Accept-Encoding": "identity"}  # a zipped file is to come as it is


def fetch(
    name: str, folder: str | Path, mirror: str | None = None, progress: Progress | None = None, timeout: float = 30
) -> list[Path]:
    """Download a set below a folder; the paths of the files that were not there, whole, before.

    Args:
        mirror: the URL of a folder with the files, in place of the public one's.
        timeout: seconds that a server may be silent.
    """
    whole, root = image_set(name), Path(folder).expanduser()
    base = (mirror or MIRRORS[name]).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise UserError(f"{name}: mirror is {mirror!r}; a URL with http:// or https:// is allowed")
    lacking = _lacking(name, root)
    if not lacking:
        return []
    get = _from_archive if whole.records else _one_by_one
    try:
        with _beside(root) as beside:
            got = get(lacking, Source(base, beside, progress, timeout))
            return [_settle(path, root / whole.folders[0]) for path in got]
    except UserError as error:
        raise UserError(f"{name}: {error}; nothing of it is kept: try again, or another mirror") from None
    except OSError as error:
        raise UserError(f"{name}: {str(root)!r} cannot be written: {error.strerror or error}") from None


def _lacking(name: str, root: Path) -> list[File]:
    """The files that are not whole in the place that is fetched into; none where the set is whole in another."""
    lacking = []
    for place in places(name, root):
        there = standing(place, image_set(name))
        faulty = [file for file in image_set(name).files if file not in there or fault_of(there[file], file)]
        if not faulty:
            return []
        lacking.append(faulty)
    return lacking[0]


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """A folder to download to, on the root's disk. It goes in the end, and so does a root made for it and empty."""
    made = [path for path in (root, *root.parents) if not path.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".fetch-", dir=root) as beside:
            yield Path(beside)
    finally:
        for path in made:
            with suppress(OSError):  # not empty
                path.rmdir()


def _settle(path: Path, place: Path) -> Path:
    """Move a file that was verified into its place."""
    place.mkdir(parents=True, exist_ok=True)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return path.replace(place / path.name)


@dataclass(frozen=True)
class Source:
    """Where one downloads from and to, and who is told."""

    base: str
    beside: Path
    progress: Progress | None
    timeout: float

    def download(self, name: str, limit: int, md5: str | None = None) -> tuple[str, Path]:
        """The URL and the path of a file of up to `limit` bytes; UserError where it is not given, or not whole."""
        url = f"{self.base}/{name}"
        told: Any = _Told(url, name, limit, self.progress)
        answers: list[requests.Response] = []
        hooks = {"response": lambda answer, **_: answers.append(answer)}  # to close one that is given up
        asked: dict[str, Any] = {"timeout": self.timeout, "headers": HEADERS, "hooks": hooks}
        get = pooch.HTTPDownloader(progressbar=told, chunk_size=BLOCK, **asked)
        pooch.get_logger().setLevel("ERROR")
        try:
            return url, Path(pooch.retrieve(url, md5, fname=name, path=self.beside, downloader=get))
        except requests.HTTPError:
            raise UserError(f"{url}: expected a file, found HTTP status {answers[-1].status_code}") from None
        except requests.RequestException as error:
            raise UserError(f"{url}: expected a whole file, found no answer: {' '.join(str(error).split())}") from None
        except ValueError as error:  # another hash
            raise error if isinstance(error, UserError) else UserError(f"{url}: {str(error).split('. ')[0]}") from None
        finally:
            for answer in answers:
                answer.close()


@dataclass
class _Told:
    """What pooch tells of a download, as of a bar: it is handed on, unless there comes more than there can be."""

    url: str
    name: str
    limit: int
    progress: Progress | None
    total: int = 0
    done: int = 0

    def update(self, count: int) -> None:
        self.done += count  # whole blocks: the last one is shorter
        if max(self.done - BLOCK, self.total) > self.limit:
            raise UserError(f"{self.url}: expected up to {self.limit} bytes, found {self.total or 'more'}")
        if self.progress:
            self.progress(self.name, min(self.done, self.total or self.done), self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _one_by_one(files: list[File], source: Source) -> Iterator[Path]:
    """Each file gzipped, verified."""
    for file in files:
        url, path = source.download(f"{file.name}.gz", file.size + (1 << 20))  # zipped, noise grows a little
        yield _verified(url, path, file)


def _from_archive(files: list[File], source: Source) -> list[Path]:
    """The archive's members, all of them verified."""
    url, path = source.download(ARCHIVE, ARCHIVE_SIZE, f"md5:{ARCHIVE_MD5}")
    try:
        members = _unpack(path, {f"{image_set('cifar10').folders[0]}/{file.name}": file for file in files})
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{url}: expected a whole archive, found a damaged one: {error}") from None
    absent = [file.name for file in files if file not in members]
    if absent:
        raise UserError(f"{url}: expected the member {absent[0]}, found none of its name and size")
    return [_verified(url, members[file], file) for file in files]


def _unpack(archive: Path, wanted: dict[str, File]) -> dict[File, Path]:
    """Write the wanted members beside the archive. Its paths are only compared with ours, never followed."""
    members = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            file = wanted.get(member.name)
            content = tar.extractfile(member) if file and member.isreg() and member.size == file.size else None
            if file and content:
                members[file] = archive.with_name(file.name)
                with open(members[file], "wb") as member_file:
                    shutil.copyfileobj(content, member_file)
    return members


def _verified(url: str, path: Path, file: File) -> Path:
    fault = fault_of(path, file)
    if fault:
        raise UserError(f"{url}: {fault.removeprefix(f'{str(path)!r}: ')}")
    return path
