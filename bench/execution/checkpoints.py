"""Checkpoints of a long training: if its process ends, it resumes bit for bit.

    checkpoints/<chunk>.<step>.safetensors   parameters, the rule's memory, what was recorded so far
    checkpoints/<chunk>.<step>.json          counters and costs, with one SHA-256 over both files, written last

No random state is kept, for there is none: (seed, draw) decides every number, so the counter of draws is enough. The
worker writes these itself, into the run's folder where it can see it; they are no records, and are dropped once the
chunk's are there. The last two are kept, so that one that is damaged, which its hash tells, costs one interval.

A run that keeps all weights keeps the state at the end of each of its report's chunks as well (`bench.storage.states`).
A run that continues it takes this state for a checkpoint of the same chunk with a larger budget.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bench.numerics.kernels.core import core
from bench.numerics.runtime import version
from bench.storage.files import write_file
from bench.studies.plan import Chunk

if TYPE_CHECKING:
    from bench.execution.training import Training

FOLDER = "checkpoints"
SCHEMA = 3
EVERY = 60.0
"""Seconds of training between checkpoints."""
SHARE = 100
"""A checkpoint that takes t seconds is followed by none for this many times t: they cost 1 % at most."""
KEPT = 2


class NotATensor(TypeError):  # noqa: N818  (a plug-in's freedom, not a mistake of its chunk)
    """A rule's state contains an object that a checkpoint cannot store."""


class Checkpoints:
    """The checkpoints of one chunk: a checkpointer for ``bench.execution.training.execute``.

    Args:
        folder: of the checkpoints; created if the run's folder is visible from this machine, else nothing is saved.
        chunk: what trains.
        every: seconds between two checkpoints.
    """

    def __init__(self, folder: Path, chunk: Chunk, every: float = EVERY) -> None:
        self.folder, self.chunk, self.every = folder, chunk, every
        self.due = time.monotonic() + every
        self.made_with = _made_with(chunk)

    def resume(self, training: Training) -> int:
        """Restore the last intact checkpoint in a training that has not begun; returns its step, 0 for none."""
        for path in reversed(_steps(self.folder, self.chunk.id)):
            checkpoint = self._read(path)
            if checkpoint is not None:
                step, state = checkpoint
                training.load_state_dict(state)
                return step
        return 0

    def maybe_save(self, training: Training, step: int) -> None:
        """Save the state if it is due; if it cannot be written, the training goes on without a checkpoint."""
        begun = time.monotonic()
        if begun >= self.due:
            with suppress(OSError, NotATensor):
                self.save(training, step)
            end = time.monotonic()
            self.due = end + max(self.every, SHARE * (end - begun) if self.every else 0.0)

    def save(self, training: Training, step: int) -> None:
        """Write the state before this step, and delete all checkpoints but the last two."""
        self._write(step, *_serialized(training, step))

    def continue_from(self, content: bytes, earlier: str) -> bool:
        """Take the state at the end of the chunk that this one continues for a checkpoint; whether it fits.

        A state that is damaged, or of another version or core, does not: its bits would not be those of this one.
        """
        try:
            stub = json.loads(content[: content.index(b"\n")])
            tensors = content[content.index(b"\n") + 1 :]
            made_with, text = [*self.made_with[:-1], earlier], stub["state"]
            if stub["made_with"] != made_with or stub["sha256"] != _digest(made_with, text, tensors):
                return False
            self._write(int(json.loads(text)["step"]), text, tensors)
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        return True

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint, intact or not."""
        return bool(_steps(self.folder, self.chunk.id))

    def _write(self, step: int, text: str, content: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        beside = self.folder / f"{self.chunk.id}.{step:012d}.json"
        write_file(beside.with_suffix(".safetensors"), content)
        write_file(beside, json.dumps(_sealed(self.made_with, text, content)).encode())
        for path in _steps(self.folder, self.chunk.id)[:-KEPT]:
            _drop(path)

    def _read(self, path: Path) -> tuple[int, dict[str, Any]] | None:
        """The step and the state of a checkpoint; None if it is damaged or of another version."""
        try:
            stub = json.loads(path.read_text("utf-8"))
            content = path.with_suffix(".safetensors").read_bytes()
            if stub["made_with"] != self.made_with or stub["sha256"] != _digest(self.made_with, stub["state"], content):
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        kept = json.loads(stub["state"])
        return int(kept["step"]), _nested(kept["state"], load_tensors(content))


class FinalState:
    """A checkpointer that also holds the state at the end of a training, before it is judged there for the last time.

    Args:
        chunk: what trains.
        checkpoints: the checkpointer that saves on the way; None for none.
    """

    def __init__(self, chunk: Chunk, checkpoints: Checkpoints | None = None) -> None:
        self.chunk, self.checkpoints = chunk, checkpoints
        self.content = b""
        """The state's bytes; none where the training ended before its budget, or holds what cannot be stored."""

    def resume(self, training: Training) -> int:
        return self.checkpoints.resume(training) if self.checkpoints else 0

    def maybe_save(self, training: Training, step: int) -> None:
        if self.checkpoints:
            self.checkpoints.maybe_save(training, step)
        if step == training.steps:
            with suppress(NotATensor):
                text, content = _serialized(training, step)
                stub = _sealed(_made_with(self.chunk), text, content)
                self.content = json.dumps(stub).encode() + b"\n" + content


def forget(folder: Path, name: str) -> None:
    """Delete the checkpoints of the chunk of this name, including incomplete files of a killed worker."""
    for path in (*folder.glob(f"{name}.*"), *folder.glob(f".{name}.*.tmp")):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty
        folder.rmdir()


def _steps(folder: Path, name: str) -> list[Path]:
    """The chunk's checkpoints, the last one last."""
    return sorted(folder.glob(f"{name}.*.json"))


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)  # first, so that the tensors are no longer a checkpoint
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def _made_with(chunk: Chunk) -> list[Any]:
    """What decides the bits of a state: another version or core would go on with others."""
    return [SCHEMA, version(), torch.__version__, core(chunk.device), chunk.id]


def _serialized(training: Training, step: int) -> tuple[str, bytes]:
    """A training's state before a step: JSON with the names of tensors, and the tensors."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps({"step": step, "state": _flat(training.state_dict(), tensors)})
    return text, save_tensors({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()})


def _sealed(made_with: list[Any], text: str, content: bytes) -> dict[str, Any]:
    return {"made_with": made_with, "state": text, "sha256": _digest(made_with, text, content)}


def _digest(made_with: list[Any], text: str, content: bytes) -> str:
    return hashlib.sha256(json.dumps([made_with, text]).encode() + content).hexdigest()


def _flat(part: Any, tensors: dict[str, Tensor]) -> Any:
    """A state with the names of tensors in place of tensors, which are put with the others: what JSON can hold.

    Every part says what it is, so that no name or value of a plug-in's is taken for another.
    """
    if isinstance(part, Tensor):
        name = str(len(tensors))
        tensors[name] = part
        return ["tensor", name]
    if isinstance(part, dict):
        return ["dict", {key: _flat(value, tensors) for key, value in part.items()}]
    if isinstance(part, list):
        return ["list", [_flat(value, tensors) for value in part]]
    if part is None or type(part) in (bool, int, float, str):
        return ["value", part]
    raise NotATensor(f"a {type(part).__name__}")


def _nested(part: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `_flat`."""
    kind, content = part
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _nested(value, tensors) for key, value in content.items()}
    return [_nested(value, tensors) for value in content] if kind == "list" else content
