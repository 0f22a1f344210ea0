"""A run's folder: append-only, atomic, no pickle.

    study.json                 the manifest: study, protocol, versions, machine
    plan.json                  the chunks that make up the run so far
    records/<chunk>.parquet    long records of a chunk
    records/<chunk>.safetensors  what there is to look at: trajectories, samples
    records/<chunk>.json       the chunk, with the SHA-256 of both, written last: a chunk without it does not exist
    weights/<chunk>.<seed>.safetensors  a replica's final parameters, see `bench.storage.weights`
    states/<chunk>             the state at the end of a training, see `bench.storage.states`
    records.zip                the files of records/ when the run was packed; a file in records/ takes precedence

Every file is written beside its place, flushed to disk and moved there, and the move is flushed too: a crash leaves the
old file or the new one, and what is once saved outlives a loss of power. The manifest and the plan hold their own hash.
Everything else in the folder (tables, report) is derived from these and may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from torch import Tensor

from bench.errors import UserError, nearest
from bench.registry.spelling import without_label
from bench.storage.archive import Archive
from bench.storage.files import read_regular
from bench.storage.manifest import LABELS, SCHEMA, SEAL, seal
from bench.storage.records import SUFFIXES, Damaged, as_frame, records_of, tensors_of
from bench.storage.validation import validate_chunk, validate_manifest
from bench.studies.plan import PROTOCOL, Chunk, Values, chunk_id
from bench.studies.study import Study
from bench.studies.toml import Frozen
from bench.studies.tuning.tuner import Rounds, tune

NAME = re.compile("[0-9a-f]{20}")  # of a chunk


class RunFolder:
    """A run on disk, read-only: its manifest, records, tensors for figures and errors.

    Files are read on first access; only `RunWriter` writes.

    Args:
        path: the folder that ``bench run`` wrote.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.records_path = self.path / "records"
        self.refresh()

    def refresh(self) -> None:
        """Clear the cache: the folder has changed."""
        self._archive = Archive(self.path / "records.zip")
        for cached in ("manifest", "records", "_protocol"):
            self.__dict__.pop(cached, None)

    def read_manifest(self) -> dict[str, Any]:
        """The run's manifest; UserError where there is none that this version can read."""
        path = self.path / "study.json"
        try:
            manifest: dict[str, Any] = json.loads(read_regular(path).decode())
        except OSError as error:
            raise UserError(f"{str(self.path)!r} is no run's folder: {path.name}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise Damaged(f"{str(path)!r} is damaged: it is not JSON") from None
        if isinstance(manifest, dict) and SEAL in manifest and manifest.pop(SEAL) != seal(manifest):
            raise Damaged(f"{str(path)!r} is damaged: its hash is another")
        schema = manifest.get("schema") if isinstance(manifest, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise UserError(f"{str(path)!r} has schema {schema}; up to {SCHEMA} is known here")
        if type(schema) is not int or not isinstance(manifest.get("study"), dict):
            raise Damaged(f"{str(path)!r} is damaged: it is no study's manifest")
        return manifest

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest, validated; UserError if it is missing or invalid."""
        manifest = self.read_manifest()
        if wrong := validate_manifest(manifest):
            raise Damaged(f"{str(self.path / 'study.json')!r} is damaged: {wrong}")
        return manifest

    @cached_property
    def study(self) -> Study:
        """The study as it was requested, with the descriptions of its rules, games and metrics at that time."""
        return Study.recorded(self.manifest["study"], self.manifest.get("descriptions", {}))

    @property
    def labels(self) -> dict[str, str]:
        """rule -> what tables and figures call it, of the rules that have a label."""
        labels: dict[str, str] = self.manifest.get(LABELS, {})
        return dict(labels)

    def rule(self, name: str, option: str = "optimizer") -> str:
        """A rule as the study spells it; it may be named by its spelling, by its label, or by both as in a study.

        Args:
            name: of the rule.
            option: where the name was given.

        Raises:
            UserError: it is none of the run's.
        """
        spelled = {label: rule for rule, label in self.labels.items()} | {rule: rule for rule in self.study.optimizers}
        plain = name
        if name not in spelled:
            with suppress(UserError):
                plain, _ = without_label(name)
        if plain not in spelled:
            raise UserError(f"{option} is {name!r}; {nearest(name, spelled)}")
        return spelled[plain]

    @cached_property
    def records(self) -> pd.DataFrame:
        """Long records: optimizer, game, hyperparameters, seed, phase, cost, seconds, metric, value, outcome, ended.

        A row for each replica, evaluation and metric. ``outcome`` and ``ended``, the cost at which it ended, are of the
        whole replica, and stand in all its rows. One that is not ``ok`` has rows from before it ended alone: the last
        of them is how it then stood, at the start perhaps, and no score. ``scores()`` has one for every replica.
        """
        return self.read_records()

    def has(self, chunk: Chunk) -> bool:
        """Whether the chunk's result is stored and intact."""
        return self.whole(chunk.id)

    def whole(self, name: str) -> bool:
        """Whether the chunk of this name is stored and intact: its hashes are checked."""
        return self._read(name) is not None

    def content(self, file: str) -> bytes:
        """The content of a records file; OSError if it is missing.

        All of a chunk's files are loose where its stub is: the archive may hold it with other tensors.
        """
        stub = self.records_path / f"{file.partition('.')[0]}.json"
        if file in self._archive and not os.path.lexists(stub):
            return self._archive[file]
        try:
            return read_regular(self.records_path / file)
        except FileNotFoundError:
            if file in self._archive:
                return self._archive[file]
            raise

    def chunk(self, name: str) -> dict[str, Any] | None:
        """The content of the chunk of this name, as it was planned; None if it is missing or damaged."""
        stub = self._stub(name)
        return stub["chunk"] if stub else None

    def _stub(self, name: str) -> dict[str, Any] | None:
        """A chunk with the hashes of its files, validated; None if it is missing or damaged."""
        try:
            stub: dict[str, Any] = json.loads(self.content(f"{name}.json").decode())
            named = chunk_id(stub["chunk"], self._protocol) == name
            return stub if 0 < stub["schema"] <= SCHEMA and named and validate_chunk(stub["chunk"]) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _read(self, name: str) -> tuple[dict[str, Any], dict[str, bytes]] | None:
        """A chunk and its files, or None if one is missing or damaged: then the chunk is trained again."""
        stub = self._stub(name)
        if stub is None:
            return None
        try:
            files = {suffix: self.content(f"{name}.{suffix}") for suffix in SUFFIXES}
            whole = all(hashlib.sha256(files[suffix]).hexdigest() == stub["sha256"][suffix] for suffix in SUFFIXES)
        except (OSError, KeyError, TypeError):
            return None
        return (stub["chunk"], files) if whole else None

    @cached_property
    def _protocol(self) -> str:
        """Of the run that is here: one of another version is whole too, though nothing is to be mixed with it."""
        with suppress(UserError):
            return str(self.read_manifest().get("protocol"))
        return PROTOCOL

    def load(self, chunk: Chunk) -> pd.DataFrame:
        """A chunk's long records."""
        return as_frame([self._table(chunk.id, self._read(chunk.id))])

    def names(self) -> list[str]:
        """The names of the run's stored chunks, in a stable order."""
        files = [*(path.name for path in self.records_path.glob("*.json")), *self._archive]
        stems = {stem for stem, _, suffix in (file.partition(".") for file in files) if suffix == "json"}
        stems = {stem for stem in stems if NAME.fullmatch(stem)}
        path = self.path / "plan.json"
        try:
            planned = json.loads(read_regular(path).decode())
            marks = [name for name in planned if name.startswith(f"{SEAL}:")]
            planned = [name for name in planned if name not in marks]
            sealed = not marks or marks == [f"{SEAL}:{seal(planned)}"]
            if not sealed or not all(map(NAME.fullmatch, planned)):  # a damaged seal looks like a name
                raise ValueError
        except FileNotFoundError:
            return sorted(stems)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            raise Damaged(f"{str(path)!r} is damaged; run its study again, and it is written anew") from None
        return sorted(stems & set(planned))

    def digest(self) -> str:
        """A hash of the run's records, from the stored hashes of the chunks."""
        stubs = (self.content(f"{name}.json") for name in self.names())
        return hashlib.sha256(b"".join(stubs)).hexdigest()

    def read_records(self, damaged: list[str] | None = None) -> pd.DataFrame:
        """All records of the run, long: a row for each replica, evaluation and metric.

        A damaged chunk raises UserError; if a list is given, its name is added there and the chunk is left out.
        """
        tables = []
        for name in self.names():
            read = self._read(name)
            if read is None and damaged is not None:
                damaged.append(name)
            else:
                tables.append(self._table(name, read))
        records = as_frame(tables)
        study = self.read_manifest()["study"]
        for column, key in (("optimizer", "optimizers"), ("game", "games")):
            if key in study and (others := set(records[column].unique()) - set(study[key])):
                raise Damaged(f"{str(self.path)!r} is damaged: {', '.join(sorted(others))} is no part of its study")
        return records

    def _table(self, name: str, stored: tuple[dict[str, Any], dict[str, bytes]] | None) -> pa.Table:
        """The records of a stored chunk; raises Damaged for None: a table without the chunk would look complete."""
        if stored is None:
            raise Damaged(f"chunk {name} in {str(self.path)!r} is damaged; run its study again, and it is done anew")
        chunk, files = stored
        with self._ours(name):
            return records_of(chunk, files["parquet"])

    @contextmanager
    def _ours(self, name: str) -> Iterator[None]:
        """Raise Damaged, with the reason, if a chunk's content was not written by this suite."""
        try:
            yield
        except ValueError as error:
            raise Damaged(f"chunk {name} in {str(self.path)!r} is none of bench: {error}") from None

    def tensors(self) -> list[tuple[dict[str, Any], dict[str, Tensor]]]:
        """Tensors for figures: (chunk, {"path": [T, R, 2], "samples": [T, N, ...], ...})."""
        return list(self._tensors())

    def _tensors(self) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
        """Each chunk with tensors for figures: (chunk, tensors)."""
        for name in self.names():
            stored = self._read(name)
            if stored is None:
                continue
            chunk, files = stored
            with self._ours(name):
                tensors = tensors_of(files["safetensors"])
            if tensors:
                yield chunk, tensors

    def hyperparameters(self) -> Frozen:
        """The frozen values, game -> rule -> hyperparameter -> value, of all rules whose tuning is finished."""
        study, frozen = Study(**self.manifest["study"]), Frozen()
        for rule, game in study.pairs:
            task = study.task(rule, game, self.manifest["device"])
            with suppress(UserError):  # tuning is not finished
                frozen.setdefault(game, {})[rule] = self._frozen_values(tune(task, study))
        return frozen

    def _frozen_values(self, tuning: Rounds) -> Values:
        try:
            chunks = next(tuning)
            while True:
                chunks = tuning.send(pd.concat([self.load(chunk) for chunk in chunks], ignore_index=True))
        except StopIteration as end:
            values: Values = end.value
            return values

    @property
    def errors(self) -> list[Path]:
        """Tracebacks of the chunks that failed."""
        paths = (self.path / "errors" / f"{name}.txt" for name in self.names())
        return [path for path in paths if path.is_file() and not path.is_symlink()]

    @property
    def failures(self) -> dict[Path, str]:
        """The last line of each traceback."""
        return {path: path.read_text("utf-8", "replace").strip().rpartition("\n")[2] for path in self.errors}


def files_of(name: str) -> list[str]:
    """A chunk's files; the one that says that it is there is the last."""
    return [f"{name}.{suffix}" for suffix in (*SUFFIXES, "json")]
