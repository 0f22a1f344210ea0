"""What the command says of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from workloads import gradient

from bench.checks import machine as doctor
from bench.registry import get_game


def test_multiply_adds_are_those_of_the_table_of_speed() -> None:
    for spelled in (doctor.GAME, "ring8[width=16,batch_size=32,depth=3]"):
        game: Any = get_game(spelled)
        assert doctor.least(game) == gradient(game)


def test_what_is_fastest_and_its_share() -> None:
    """Rates of 8, of 10 in the better of two; shares by the round's own product."""
    speed = doctor.Speed(100.0, [1000.0, 4000.0, 2000.0], {4: [5.0, 8.0, 10.0], 8: [9.0, 12.0, 10.0]})
    assert (speed.best, speed.rate(8), speed.roofline) == (8, 10.0, 4000.0)
    assert speed.share(4) == pytest.approx(0.5)
    rows = doctor.table(speed).splitlines()
    assert rows[-1].split() == ["8", "10", "50%", "fastest"]
    assert rows[-2].split() == ["4", "8", "50%"]


def test_a_core_and_the_engine_on_it_are_measured() -> None:
    threads = torch.get_num_threads()
    speed = doctor.measure((2, 4), "ring8[width=16,batch_size=16]", rounds=2)
    assert torch.get_num_threads() == threads
    assert list(speed.steps) == [2, 4]
    assert 1 <= len(speed.product) == len(speed.steps[2]) <= 2
    assert 0 < speed.share(4) < 1
    assert speed.roofline > 1e8


def test_rounds_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", 0.0)
    assert len(doctor.measure((2,), "ring8[width=16,batch_size=16]", rounds=5).product) == 1


def test_the_command_says_what_there_is(call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    said = {line[: doctor.WORDS].strip(): line[doctor.WORDS :] for line in out.splitlines()}
    assert said["torch, numpy"].startswith(torch.__version__)
    assert "found none" in said["data: mnist"]
    assert {"bench", "python", "processor", "cores", "threads", "allocator", "device"} < set(said)


def test_the_command_measures_when_asked(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = doctor.Speed(100.0, [1e9], {4: [5.0]})
    monkeypatch.setattr(doctor, "measure", lambda: made)
    code, out, _ = call("doctor", "--speed")
    assert code == 0
    assert doctor.table(made) in out
