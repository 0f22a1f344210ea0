"""Writing a run's folder: one process at a time, append-only, each file whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from bench.errors import UserError
from bench.numerics.environment import joined
from bench.numerics.kernels.core import VARIABLE
from bench.storage import states, weights
from bench.storage.archive import archived
from bench.storage.files import fsync_dir, read_regular, remove_stale, write_file
from bench.storage.manifest import LABELS, SCHEMA, SEAL, core_of, seal, sealed
from bench.storage.records import Damaged, without_samples
from bench.storage.run_folder import NAME, RunFolder, files_of
from bench.studies.plan import Chunk
from bench.studies.seeds import continues, groups_of
from bench.studies.study import GROWS

CHANGING: dict[str, Any] = {weights.KEY: weights.USUAL, LABELS: {}}
"""What a run's owner may change of its manifest, and what it is where nothing is said: none of it changes a result."""
PLAN_PAUSE = 20  # the pause between two writes of the plan, as a multiple of the time that one took


class InUse(Exception):  # noqa: N818  a state of the folder rather than an error
    """Another process holds the run's folder."""


class RunWriter:
    """The only writer of a run's folder, from `open` to `close`.

    Args:
        folder: the run's folder; it need not exist yet.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.path = folder, folder.path
        self._lock: filelock.FileLock | None = None
        self._environments: list[dict[str, Any]] = []
        self._planned: list[str] | None = None
        self._next_plan = 0.0

    def open(self, manifest: dict[str, Any]) -> None:
        """Create or continue the run; raises InUse, or UserError for another study's folder or a read-only one."""
        try:
            stored = self._continued(manifest)
            self._make()
            self._acquire()
            remove_stale(self.path)
            remove_stale(self.folder.records_path)
            remove_stale(self.path / weights.FOLDER)
            remove_stale(self.path / states.FOLDER)
            self._environments = [one.get("environment", {}) for one in (stored, manifest) if one is not None]
            if stored is None:
                write_file(self.path / "study.json", sealed(manifest))
            elif stored["study"] != manifest["study"]:
                write_file(self.path / "study.json", sealed(manifest | {"environment": self._environments[0]}))
            elif any(stored.get(key, usual) != manifest.get(key, usual) for key, usual in CHANGING.items()):
                kept = {key: value for key, value in stored.items() if key not in CHANGING}
                changed = {key: manifest[key] for key in CHANGING if key in manifest}
                write_file(self.path / "study.json", sealed(kept | changed))
            self.folder.refresh()
        except OSError as error:
            self.close()
            raise UserError(f"run folder {str(self.path)!r} cannot be written: {error.strerror}") from None

    def _continued(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """The stored manifest, if it is of this study; None if there is none, or a damaged one of a run."""
        if not os.path.lexists(self.path / "study.json"):
            return None
        try:
            stored = self.folder.read_manifest()
        except Damaged:
            if not self.folder.records_path.is_dir():  # not a run of bench
                raise
            return None
        self._check_same(stored, asked)
        return stored

    def _make(self) -> None:
        """Create the folder and its missing parents, flushed to disk."""
        missing = [path for path in (self.folder.records_path, *self.folder.records_path.parents) if not path.exists()]
        self.folder.records_path.mkdir(parents=True, exist_ok=True)
        for path in missing:
            fsync_dir(path.parent)

    def _acquire(self) -> None:
        """Take the lock; InUse if another process holds it, or held it on a machine whose locks may not be visible."""
        if self.lock_path.is_symlink():
            raise UserError(f"{str(self.lock_path)!r} is a link; delete it")
        lock = filelock.FileLock(self.lock_path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InUse(f"{self.path} is in use by {self._holder()}") from None
        if self._holder_host() not in ("", socket.gethostname()):
            lock.release()
            hint = f"if nothing runs there any more, delete {self.path / '.holder'}"
            raise InUse(f"{self.path} is in use by {self._holder()}; {hint}")
        self._lock = lock
        write_file(self.path / ".holder", f"process {os.getpid()} on {socket.gethostname()}".encode())

    @property
    def lock_path(self) -> Path:
        return self.path / ".lock"

    def close(self) -> None:
        """Release the lock."""
        if self._lock is None:
            return
        try:
            self._write_plan()
        finally:
            (self.path / ".holder").unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def _holder(self) -> str:
        try:
            return read_regular(self.path / ".holder")[:200].decode(errors="replace") or "another process"
        except OSError:
            return "another process"

    def _holder_host(self) -> str:
        match = re.fullmatch(r"process \d+ on (\S+)", self._holder())
        return match[1] if match else ""

    def _check_same(self, stored: dict[str, Any], asked: dict[str, Any]) -> None:
        differ = [(part, stored.get(part), asked[part]) for part in ("protocol", "device")]
        old, new = stored["study"], asked["study"]
        keys = [key for key in {**new, **old} if key not in (*GROWS, "seeds", "added_seeds")]
        differ += [(key, old.get(key), new.get(key)) for key in keys]
        there = groups_of(old)
        if not there or not continues(there, groups_of(new)):
            differ += [(key, old.get(key, []), new.get(key, [])) for key in ("seeds", "added_seeds")]
        if changed := [
            f"{key}: {_short(found)} there, {_short(value)} asked for" for key, found, value in differ if found != value
        ]:
            where = f"run folder {str(self.path)!r}"
            raise UserError(f"{where} holds another study ({'; '.join(changed)}); choose another --out")
        before, now = core_of(stored), core_of(asked)
        if before != now:
            remedy = f"set {VARIABLE}={before.partition(',')[0]}, or choose another --out"
            raise UserError(f"run folder {str(self.path)!r} was computed by {before}, now it would be {now}; {remedy}")

    def save(
        self, chunk: Chunk, files: dict[str, bytes], of_replicas: dict[int, bytes] | None = None, state: bytes = b""
    ) -> None:
        """Store a chunk's result; before it the weights of its replicas, seed -> bytes, and its state, if given."""
        self._note_environment()
        weights.write(self.folder, chunk.id, of_replicas or {})
        if state:
            states.store(self.folder, chunk.id, state)
        for suffix, content in files.items():
            write_file(self.folder.records_path / f"{chunk.id}.{suffix}", content, last=False)
        write_file(self.folder.records_path / f"{chunk.id}.json", _stub(chunk.content, files))

    def _note_environment(self) -> None:
        """Say in the manifest that this machine trained a part of the run, where it began on another."""
        both = joined(self._environments)
        if self._environments and both != self._environments[0]:
            write_file(self.path / "study.json", sealed(self.folder.read_manifest() | {"environment": both}))
            self.folder.refresh()
        self._environments = [both]

    def pack(self, samples: bool = True) -> Path:
        """Move the intact records into ``records.zip``; raises as `open` does.

        Failed chunks stay as files, to be tried again. The packed files are deleted once the archive is written.
        Without samples the archive is smaller and a report shows none; all that is measured stays.
        """
        self.open(self.folder.read_manifest())
        try:
            failed = {path.stem for path in (self.path / "errors").glob("*.txt")}
            names = [name for name in self.folder.names() if name not in failed and self.folder.whole(name)]
            files = {file: content for name in names for file, content in self._packed(name, samples)}
            path = self.path / "records.zip"
            write_file(path, archived(files))
            self.folder.refresh()
            for file in reversed(files):  # a chunk's stub first: from then on its files are the archive's
                (self.folder.records_path / file).unlink(missing_ok=True)
            fsync_dir(self.folder.records_path)
            return path
        finally:
            self.close()

    def _packed(self, name: str, samples: bool) -> Iterator[tuple[str, bytes]]:
        """A chunk's files as they are packed, in the order of `files_of`; without samples they have another hash."""
        files = {file: self.folder.content(file) for file in files_of(name)}
        if not samples:
            records, tensors, stub = files
            files[tensors] = without_samples(files[tensors])
            files[stub] = _stub(
                json.loads(files[stub])["chunk"], {"parquet": files[records], "safetensors": files[tensors]}
            )
        yield from files.items()

    def plan(self, chunks: list[str]) -> None:
        """Record which chunks make up the run so far; chunks of an older version of a plug-in are not among them.

        The whole plan is rewritten, so not at every call: writing takes at most a twentieth of the time, and `close`
        writes the last plan.
        """
        self._planned = list(chunks)
        if time.monotonic() >= self._next_plan:
            start = time.monotonic()
            self._write_plan()
            self._next_plan = time.monotonic() + PLAN_PAUSE * (time.monotonic() - start)

    def _write_plan(self) -> None:
        if self._planned is not None:
            planned, self._planned = self._planned, None
            write_file(self.path / "plan.json", json.dumps([*planned, f"{SEAL}:{seal(planned)}"]).encode())

    def forget_errors(self) -> None:
        """Delete the chunks that ended in an error, and their tracebacks, so that they are trained again."""
        errors = self.path / "errors"
        for path in () if errors.is_symlink() else errors.glob("*.txt"):
            if NAME.fullmatch(path.stem):
                (self.folder.records_path / f"{path.stem}.json").unlink(missing_ok=True)
                path.unlink()


def _short(value: object, most: int = 60) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 20]}...{text[-17:]}"


def _stub(chunk: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """The file that says that a chunk is there: what it is, and the hashes of its other files, suffix -> content."""
    hashes = {suffix: hashlib.sha256(content).hexdigest() for suffix, content in files.items()}
    return json.dumps({"schema": SCHEMA, "chunk": chunk, "sha256": hashes}).encode()
