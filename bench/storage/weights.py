"""Trained parameters of report replicas: what a run keeps of its networks.

    weights/<chunk>.<seed>.safetensors   w, float32 [n], of a replica that ended well; the header holds a SHA-256

They are written before the chunk's records, so what is recorded has its weights, and dropped one by one once a rule is
finished on a game: which stay is decided by the records alone, so a crash in between changes nothing. They are no
records: a run without them is whole, and what was dropped is never trained again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from bench.storage.files import fsync_dir, read_regular, write_file
from bench.storage.records import Damaged
from bench.storage.run_folder import RunFolder

FOLDER = "weights"
KEEPS = ("none", "median", "all")
"""Which report replicas' weights stay, from the fewest on; ``median`` keeps the best one as well."""
USUAL = "median"
KEY = "weights"  # of the manifest; left out where it is the usual one
FILE = re.compile(r"([0-9a-f]{20})\.(\d{1,10})\.safetensors")
SEAL = "sha256"


class Kept(NamedTuple):
    """A replica whose weights are there."""

    game: str
    """As spelled in the study, and so the rule."""
    optimizer: str
    seed: int
    chunk: str
    path: Path


def asked(manifest: Mapping[str, Any]) -> str:
    """Which weights a run keeps."""
    return str(manifest.get(KEY, USUAL))


def packed(chunk: str, seed: int, w: Tensor) -> bytes:
    """A replica's parameters as the bytes of its file."""
    content = w.detach().cpu().float().contiguous().clone()
    return save_tensors({"w": content}, metadata={SEAL: _digest(chunk, seed, content)})


def _digest(chunk: str, seed: int, w: Tensor) -> str:
    return hashlib.sha256(json.dumps([chunk, seed]).encode() + w.numpy().tobytes()).hexdigest()


def write(run: RunFolder, chunk: str, files: Mapping[int, bytes]) -> None:
    """Write the weights of a chunk's replicas, seed -> bytes, flushed."""
    folder = run.path / FOLDER
    if files and not folder.exists():
        folder.mkdir()
        fsync_dir(run.path)
    for seed, content in files.items():
        write_file(folder / f"{chunk}.{seed}.safetensors", content, last=False)
    if files:
        fsync_dir(folder)


def drop(run: RunFolder, chunks: Iterable[str], but: Iterable[int]) -> None:
    """Delete the weights of these chunks' replicas, but of some seeds."""
    wanted, kept = set(chunks), set(but)
    for chunk, seed, path in _files(run):
        if chunk in wanted and seed not in kept:
            path.unlink()


def _files(run: RunFolder) -> list[tuple[str, int, Path]]:
    """(chunk, seed, path) of every file of weights."""
    named = ((FILE.fullmatch(path.name), path) for path in sorted((run.path / FOLDER).glob("*.safetensors")))
    return [(name[1], int(name[2]), path) for name, path in named if name is not None]


def kept(run: RunFolder) -> list[Kept]:
    """The replicas of a run's report whose weights are there, seeds rising; those of a chunk that is none are not."""
    found, present = [], _files(run)
    names = set(run.names()) if present else set()
    chunks = {name: run.chunk(name) for name in {name for name, _, _ in present} & names}
    for name, seed, path in present:
        chunk = chunks.get(name)
        if chunk is not None and any(row["seed"] == seed for row in chunk["rows"]):
            found.append(Kept(chunk["label"], chunk["optimizer"], seed, name, path))
    return sorted(found, key=lambda one: (one.game, one.optimizer, one.seed))


def load(one: Kept, size: int) -> Tensor:
    """A replica's parameters, float32 [size]; raises Damaged where its file is not as it was written."""
    try:
        content = read_regular(one.path)
        w = load_tensors(content)["w"]
        with safe_open(one.path, "pt") as file:
            seal = (file.metadata() or {}).get(SEAL)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise Damaged(f"{str(one.path)!r} is damaged: {' '.join(str(error).split())[:100]}") from None
    if w.dtype != torch.float32 or w.shape != (size,) or seal != _digest(one.chunk, one.seed, w):
        raise Damaged(f"{str(one.path)!r} is damaged: it holds no {size} parameters, or its hash is another")
    return w
