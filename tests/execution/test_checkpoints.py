"""Checkpoints: a training that was killed at any step and gone on is the training that was not, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from bench.execution.checkpoints import Checkpoints, forget
from bench.execution.engine import work
from bench.execution.process_pool import ProcessEngine
from bench.execution.training import execute
from bench.storage.records import Result
from bench.studies.plan import Chunk, Row, Task

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

RING = "ring8[width=16,batch_size=16]"


class Dies(Exception):  # noqa: N818
    """What kills a training here."""


class Killed(Checkpoints):
    """Keeps the state of every step, and dies at one."""

    def __init__(self, folder: Path, chunk: Chunk, at: int) -> None:
        super().__init__(folder, chunk, every=0.0)
        self.at, self.resumed = at, 0

    def resume(self, training: Any) -> int:
        self.resumed = super().resume(training)
        return self.resumed

    def maybe_save(self, training: Any, step: int) -> None:
        super().maybe_save(training, step)
        if step == self.at:
            raise Dies


class Late(Killed):
    """Keeps the state of the step at which it dies, and of no other."""

    def maybe_save(self, training: Any, step: int) -> None:
        if step == self.at:
            super().maybe_save(training, step)


def chunk(rule: str, game: str, budget: float, lrs: list[float], phase: str = "report", **how: Any) -> Chunk:
    rows = [Row(seed, (("lr", lr),), trial=i) for i, lr in enumerate(lrs) for seed in (5, 6)]
    (found,) = Task(rule, game, budget, evaluations=5, device="cpu").chunks(rows, phase, **how)
    return found


def same(left: Result, right: Result) -> None:
    """Everything but the seconds that it took."""
    one, other = (pd.DataFrame(result.records).drop(columns="seconds") for result in (left, right))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert left.tensors.keys() == right.tensors.keys()
    for name, tensor in left.tensors.items():
        assert tensor.dtype == right.tensors[name].dtype
        assert torch.equal(tensor.nan_to_num(), right.tensors[name].nan_to_num()), name
    assert left.errors == right.errors


@pytest.mark.parametrize(
    ("rule", "game", "lrs", "phase"),
    [
        ("lookahead[inner=adam]", RING, [0.01, 0.05], "report"),  # memory in memory
        ("extragrad[direction=torch[RAdam]]", RING, [0.01], "report"),  # memory of another's class
        ("alternating[discriminator_steps=2]", RING, [0.01], "report"),  # several draws
        ("sgd", "bilinear", [0.1, 1e9, 0.2], "report"),  # one of them diverges
        ("cosine-schedule[inner=adam,warm_up=0.2]", RING, [0.01], "report"),  # knows the share that is spent
        ("adam", "dirac", [0.1, 1e9, 0.2, 0.3, 0.4, 0.5, 0.6], "tune"),  # some are let go of, some given up
    ],
)
def test_killed_and_gone_on_is_straight_on(rule: str, game: str, lrs: list[float], phase: str, tmp_path: Path) -> None:
    how: dict[str, Any] = {"pruner": "paired", "reference_curves": ()} if phase == "tune" else {}
    one = chunk(rule, game, 80, lrs, phase, **how)
    straight = execute(one)
    steps = random.Random(rule).sample(range(3, 25), 3)
    for at in sorted(steps):  # killed three times on the way
        checkpointer = Killed(tmp_path / "checkpoints", one, at)
        with pytest.raises(Dies):
            execute(one, checkpointer=checkpointer)
    last = Killed(tmp_path / "checkpoints", one, at=-1)
    result = execute(one, checkpointer=last)
    assert last.resumed == max(steps), "it did not go on from where it was"
    same(result, straight)


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        content[random.Random(how).randrange(len(content))] ^= 16
        path.write_bytes(content)
    else:
        path.unlink()


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("how", ["truncated", "flipped", "gone"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_taken(suffix: str, how: str, tmp_path: Path) -> None:
    one, folder = chunk("sgd", "dirac", 40, [0.1]), tmp_path / "checkpoints"
    with pytest.raises(Dies):
        execute(one, checkpointer=Killed(folder, one, at=20))
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{one.id}.{step:012d}.{kind}" for step in (19, 20) for kind in ("json", "safetensors")
    ]
    for step, resumed in ((20, 19), (19, 0)):
        damage(folder / f"{one.id}.{step:012d}.{suffix}", how)
        checkpointer = Killed(folder, one, at=resumed)
        with pytest.raises(Dies):
            execute(one, checkpointer=checkpointer)
        assert checkpointer.resumed == resumed


def test_what_another_version_or_chunk_left_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, folder = chunk("sgd", "dirac", 40, [0.1]), tmp_path / "checkpoints"
    with pytest.raises(Dies):
        execute(one, checkpointer=Killed(folder, one, at=20))
    other = chunk("sgd", "dirac", 40, [0.2])
    for path in list(folder.iterdir()):
        path.with_name(path.name.replace(one.id, other.id)).write_bytes(path.read_bytes())
    renamed = Killed(folder, other, at=-1)
    same(execute(other, checkpointer=renamed), execute(other))
    assert renamed.resumed == 0
    monkeypatch.setattr(torch, "__version__", "0.0")
    newer = Killed(folder, one, at=-1)
    execute(one, checkpointer=newer)
    assert newer.resumed == 0


def test_a_short_training_and_one_that_cannot_write_keep_nothing(tmp_path: Path) -> None:
    one = chunk("sgd", "dirac", 40, [0.1])
    same(execute(one, checkpointer=Checkpoints(tmp_path / "checkpoints", one)), execute(one))
    assert not (tmp_path / "checkpoints").exists()
    nowhere = tmp_path / "not here" / "checkpoints"
    same(execute(one, checkpointer=Checkpoints(nowhere, one, every=0.0)), execute(one))
    assert not nowhere.parent.exists()


def test_nothing_is_left_of_a_chunk_that_is_done(tmp_path: Path) -> None:
    one, folder = chunk("sgd", "dirac", 40, [0.1]), tmp_path / "checkpoints"
    with pytest.raises(Dies):
        execute(one, checkpointer=Killed(folder, one, at=20))
    (folder / f".{one.id}.000000000020.json.1.tmp").touch()
    (folder / "of-another.json").touch()
    forget(folder, one.id)
    assert [path.name for path in folder.iterdir()] == ["of-another.json"]


def test_a_killed_process_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    one, folder = chunk("adam", "dirac", 6000, [0.1]), tmp_path / "checkpoints"
    with pytest.raises(Dies):
        execute(one, checkpointer=Late(folder, one, at=2000))
    slots = ProcessEngine(1)
    slots.checkpoints = folder
    future = slots.submit(0, one)
    try:
        end = time.monotonic() + 60
        while slots.running(0) == 0 and time.monotonic() < end:
            time.sleep(0.001)
        assert slots.running(0) >= 2 * 2000, "it began anew"
        (process,) = slots.pools[0]._processes.values()  # type: ignore[union-attr]
        os.kill(process.pid or 0, signal.SIGKILL)
        with pytest.raises(slots.worker_errors):
            future.result()
        slots.reap(0)
        again = slots.submit(0, one).result().files
    finally:
        slots.close(kill=True)
    plain = work(one, lambda cost: None).files
    assert again["safetensors"] == plain["safetensors"]
