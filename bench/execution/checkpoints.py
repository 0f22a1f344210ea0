"""A long training's state, kept now and then: it goes on bit for bit where its process ended.

    checkpoints/<chunk>.<step>.safetensors   parameters, the rule's memory, what was recorded so far
    checkpoints/<chunk>.<step>.json          counters and costs, with one SHA-256 over both files, written last

No random state is kept, for there is none: (seed, draw) decides every number, so the counter of draws is enough. The
worker writes these itself, into the run's folder where it can see it; they are no records, and are dropped once the
chunk's are there. The last two are kept, so that one that is damaged, which its hash tells, costs one interval.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bench.contracts import State
from bench.metrics.evaluation import Judge
from bench.numerics.runtime import version
from bench.storage.files import write_file
from bench.studies.plan import Chunk

FOLDER = "checkpoints"
SCHEMA = 1
EVERY = 60.0
"""Seconds of training between checkpoints."""
SHARE = 100
"""A checkpoint that takes t seconds is followed by none for this many times t: they cost 1 % at most."""
KEPT = 2
COUNTERS = ("draw", "gradients", "products", "draws")  # of the oracle: those of the judge decide nothing


class NotATensor(TypeError):  # noqa: N818  (a plug-in's freedom, not a mistake of its chunk)
    """A rule remembers what cannot be kept in a file."""


class Checkpoints:
    """The checkpoints of one chunk: what ``bench.execution.training.execute`` takes as its keeper.

    Args:
        folder: where they are; made where the run's folder can be seen from here, else nothing is kept.
        chunk: what trains.
        every: seconds between two.
    """

    def __init__(self, folder: Path, chunk: Chunk, every: float = EVERY) -> None:
        self.folder, self.chunk, self.every = folder, chunk, every
        self.due = time.monotonic() + every
        self.made_with = [SCHEMA, version(), torch.__version__, chunk.id]  # other kernels would have other bits

    def resume(self, training: Any) -> int:
        """Set a training that has not begun to the last state that is whole; returns its step, 0 for none."""
        for path in reversed(_steps(self.folder, self.chunk.id)):
            found = self._read(path)
            if found is not None:
                _restore(training, *found)
                return int(found[0]["step"])
        return 0

    def look(self, training: Any, step: int) -> None:
        """Keep the state if it is time to; where it cannot be written, the training goes on without."""
        begun = time.monotonic()
        if begun >= self.due:
            with suppress(OSError, NotATensor):
                self.save(training, step)
            now = time.monotonic()
            self.due = now + max(self.every, SHARE * (now - begun) if self.every else 0.0)

    def save(self, training: Any, step: int) -> None:
        """Write the state before this step, and let go of all but the last two."""
        numbers, tensors = _captured(training)
        text = json.dumps({"step": step, **numbers})
        content = save_tensors({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()})
        stub = {"made_with": self.made_with, "state": text, "sha256": _digest(self.made_with, text, content)}
        self.folder.mkdir(exist_ok=True)
        beside = self.folder / f"{self.chunk.id}.{step:012d}.json"
        write_file(beside.with_suffix(".safetensors"), content)
        write_file(beside, json.dumps(stub).encode())
        for path in _steps(self.folder, self.chunk.id)[:-KEPT]:
            _drop(path)

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        try:
            stub = json.loads(path.read_text("utf-8"))
            content = path.with_suffix(".safetensors").read_bytes()
            if stub["made_with"] != self.made_with or stub["sha256"] != _digest(self.made_with, stub["state"], content):
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return json.loads(stub["state"]), load_tensors(content)


def forget(folder: Path, name: str) -> None:
    """Drop the checkpoints of the chunk of this name, what a killed worker left half-written too."""
    for path in (*folder.glob(f"{name}.*"), *folder.glob(f".{name}.*.tmp")):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # there are others
        folder.rmdir()


def _steps(folder: Path, name: str) -> list[Path]:
    """The chunk's checkpoints, the last one last."""
    return sorted(folder.glob(f"{name}.*.json"))


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)  # first: what it stands for is then no checkpoint any more
    path.with_suffix(".safetensors").unlink(missing_ok=True)


def _digest(made_with: list[Any], text: str, content: bytes) -> str:
    return hashlib.sha256(json.dumps([made_with, text]).encode() + content).hexdigest()


def _captured(training: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A training's state as plain numbers and tensors."""
    tensors = {name: getattr(training, name) for name in ("w", "before", "alive", "ended", "given_up", "at")}
    judged = {"mean": training.judge.mean, "before": training.judge.before}
    tensors |= {f"judge {name}": value for name, value in judged.items() if value is not None}
    tensors |= {f"distances {i}": value for i, value in enumerate(training.distances)}
    memory: dict[str, Any] = _skeleton(training.s, tensors)
    evaluated = []
    for i, (cost, seconds, places, values) in enumerate(training.evaluated):
        evaluated.append([cost, seconds, list(places.items()), list(values)])
        tensors |= {f"evaluated {i} {name}": value for name, value in values.items()}
    series = {}
    for name in ("path", "pictures"):
        points = getattr(training, name)
        series[name] = [cost for cost, _ in points]
        if points:
            tensors[name] = torch.stack([value for _, value in points])
    numbers = {
        "memory": memory, "evaluated": evaluated, "series": series, "seconds": training.seconds,
        "errors": training.errors, "oracle": {name: getattr(training.F, name) for name in COUNTERS},
        "judge": [training.judge.draw, training.judge._visits], "distances": len(training.distances),
    }  # fmt: skip
    return numbers, tensors


def _skeleton(state: State, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """A rule's memory with the names of tensors in place of tensors, which are put with the others."""
    found: dict[str, Any] = {}
    for key, part in state.items():
        if isinstance(part, dict):
            found[key] = _skeleton(part, tensors)
        elif not isinstance(part, Tensor):
            raise NotATensor(f"{key} is a {type(part).__name__}")
        else:
            found[key] = f"memory {len(tensors)}"
            tensors[found[key]] = part
    return found


def _restore(training: Any, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Set a training that has not begun to a captured state."""
    device = training.w.device
    training.keep_rows(tensors["at"])
    for name in ("w", "before", "alive"):
        setattr(training, name, tensors[name].to(device))
    training.ended, training.given_up = tensors["ended"], tensors["given_up"]
    training.s = _memory(numbers["memory"], tensors, device)
    for name, value in numbers["oracle"].items():
        setattr(training.F, name, value)
    judge: Judge = training.judge
    judge.draw, judge._visits = numbers["judge"]
    judge.mean, judge.before = (_there(tensors.get(f"judge {name}"), device) for name in ("mean", "before"))
    training.distances = [tensors[f"distances {i}"] for i in range(numbers["distances"])]
    training.evaluated = list(_evaluations(numbers["evaluated"], tensors))
    for name, costs in numbers["series"].items():
        values = tensors[name].to(device if name == "path" else "cpu") if costs else ()
        setattr(training, name, list(zip(costs, values, strict=True)))
    training.seconds, training.errors = numbers["seconds"], numbers["errors"]


def _there(tensor: Tensor | None, device: torch.device) -> Tensor | None:
    return None if tensor is None else tensor.to(device)


def _memory(skeleton: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> State:
    return {
        key: _memory(part, tensors, device) if isinstance(part, dict) else tensors[part].to(device)
        for key, part in skeleton.items()
    }


def _evaluations(
    found: list[Any], tensors: dict[str, Tensor]
) -> Iterator[tuple[float, float, dict[int, int], dict[str, Tensor]]]:
    for i, (cost, seconds, places, names) in enumerate(found):
        yield cost, seconds, dict(places), {name: tensors[f"evaluated {i} {name}"] for name in names}
