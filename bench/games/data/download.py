"""Image sets from public mirrors: a file is verified before it is moved to its folder.

Downloads go to a temporary folder, which is always removed. A file that is moved from there is complete, flushed to
disk, and has the recorded MD5. Existing intact files are not fetched again.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

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


def fetch(
    name: str, folder: str | Path, mirror: str | None = None, progress: Progress | None = None, timeout: float = 30
) -> list[Path]:
    """Download a set below a folder; returns the paths of the files that were missing or damaged before.

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
    """The missing or damaged files in the folder for downloads; none if another folder has the complete set."""
    lacking = []
    for folder in places(name, root):
        present = standing(folder, image_set(name))
        faulty = [file for file in image_set(name).files if file not in present or fault_of(present[file], file)]
        if not faulty:
            return []
        lacking.append(faulty)
    return lacking[0]


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """A temporary folder for downloads on the root's disk; it is removed, also a root created for it that is empty."""
    created = [path for path in (root, *root.parents) if not path.exists()]
    root.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".fetch-", dir=root) as temporary:
            yield Path(temporary)
    finally:
        for path in created:
            with suppress(OSError):  # not empty
                path.rmdir()


def _settle(path: Path, folder: Path) -> Path:
    """Move a verified file to its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return path.replace(folder / path.name)


@dataclass(frozen=True)
class Source:
    """Where one downloads from and to, and who is told."""

    base: str
    beside: Path
    progress: Progress | None
    timeout: float

    def download(self, name: str, limit: int) -> tuple[str, Path]:
        """The URL and the path of a file of up to `limit` bytes; UserError if it is not available or incomplete."""
        url, path = f"{self.base}/{name}", self.beside / name
        with _answering(url):
            answer = urlopen(Request(url, headers={"User-Agent": "gan-optimizer-bench"}), timeout=self.timeout)
        with answer:
            _write(path, self._blocks(answer, url, name, limit))
        return url, path

    def _blocks(self, answer: Any, url: str, name: str, limit: int) -> Iterator[bytes]:
        length = answer.headers.get("Content-Length") or ""
        total, done = int(length) if length.isdecimal() else 0, 0
        while block := _block(answer, url):
            done += len(block)
            if max(done, total) > limit:
                raise UserError(f"{url}: expected up to {limit} bytes, found {total or 'more'}")
            if self.progress:
                self.progress(name, done, total)
            yield block
        if done < total:
            raise UserError(f"{url}: expected {total} bytes, found {done}")


def _block(answer: IO[bytes], url: str) -> bytes:
    with _answering(url):
        return answer.read(BLOCK)


@contextmanager
def _answering(url: str) -> Iterator[None]:
    """Turn errors of the network into one line. No errors of the disk occur within."""
    try:
        yield
    except HTTPError as error:
        error.close()  # closes the connection
        raise UserError(f"{url}: expected a file, found HTTP status {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())  # the reason may have several lines
        raise UserError(f"{url}: expected a file, found no answer: {reason or type(error).__name__}") from None


def _one_by_one(files: list[File], source: Source) -> Iterator[Path]:
    """Each file gzipped, verified."""
    for file in files:
        url, path = source.download(f"{file.name}.gz", file.size + (1 << 20))  # zipped, noise grows a little
        yield _verified(url, path, file)


def _from_archive(files: list[File], source: Source) -> list[Path]:
    """The archive's members, all of them verified."""
    url, path = source.download(ARCHIVE, ARCHIVE_SIZE)
    with open(path, "rb") as archive:
        digest = hashlib.file_digest(archive, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
    if digest != ARCHIVE_MD5:
        raise UserError(f"{url}: expected MD5 {ARCHIVE_MD5}, found {digest}")
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
                _write(members[file], iter(partial(content.read, BLOCK), b""))
    return members


def _verified(url: str, path: Path, file: File) -> Path:
    fault = fault_of(path, file)
    if fault:
        raise UserError(f"{url}: {fault.removeprefix(f'{str(path)!r}: ')}")
    return path


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    with open(path, "wb") as file:
        file.writelines(blocks)
        file.flush()
        os.fsync(file.fileno())
