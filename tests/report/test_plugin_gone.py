"""A run is reported by its folder alone: no code of the plug-ins that it names is run, which may be gone or hostile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

Call = Callable[..., tuple[int, str, str]]
PLUGIN = '''
from dataclasses import dataclass

import torch

from bench import Game, UpdateRule, game, metric, rule


class Down(UpdateRule):
    """w+ = w - lr F(w)

    Source: Nobody 2026."""

    def step(self, F, w, s):
        return w - 0.1 * F(w), s


@game("hill")
class Hill(Game):
    """Two players on a hill, each with one number."""

    sizes = (1, 1)
    dtype = torch.float64
    budget = 20.0
    score = "height"

    def init(self, seeds):
        return torch.ones(len(seeds), 2, dtype=torch.float64) * (1 + seeds[:, None] / 10)

    def losses(self, players, batch):
        x, y = (player.squeeze(1) for player in players)
        return x * x + x * y, y * y - x * y


@metric("height", on=Hill, better="higher", worst=-9.0, unit="m")
def height(game, w, F):
    """How high the players stand, negated distance."""
    return -w.norm(dim=1)
'''
HOSTILE = "import pathlib; pathlib.Path({marker!r}).write_text('it ran'); raise SystemExit(3)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plug-in's file and a finished run of it, made by a process of its own."""
    where = tmp_path_factory.mktemp("plugin")
    (where / "hill.py").write_text(PLUGIN)
    command = [
        "run",
        "--optimizers",
        "./hill.py:Down,sgd",
        "--games",
        "./hill.py:Hill",
        "--trials",
        "4",
        "--seeds",
        "0-2",
    ]
    done = called(where, *command, "--out", "run")
    assert done.returncode == 0, done.stderr
    return where


def called(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in a folder."""
    source = str(Path(bench.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": source}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def before(folder: Path) -> tuple[str, str]:
    """The table and the page while the plug-in is there."""
    table, page = called(folder, "table", "run", "--format", "csv"), called(folder, "report", "run")
    assert table.returncode == page.returncode == 0, table.stderr + page.stderr
    return table.stdout, (folder / "run" / "report.html").read_text()


@pytest.mark.parametrize("state", ["gone", "hostile"])
def test_what_is_told_of_a_run_needs_no_code_of_its_plugins(
    folder: Path, before: tuple[str, str], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """This process has never loaded the plug-in: what made the run were others."""
    source, marker = (folder / "hill.py").read_text(), tmp_path / "marker"
    monkeypatch.chdir(folder)
    try:
        if state == "gone":
            (folder / "hill.py").unlink()
        else:
            (folder / "hill.py").write_text(HOSTILE.format(marker=str(marker)))
        for command in (["report", "run"], ["show", "run"], ["compare", "run", "run"], ["figures", "run"]):
            code, _, err = call(*command)
            assert code == 0, f"{command}: {err}"
        assert call("table", "run", "--format", "csv")[1] == before[0]
        assert (folder / "run" / "report.html").read_text() == before[1]
        assert not marker.exists()
    finally:
        (folder / "hill.py").write_text(source)
    for said in (
        "How high the players stand",
        "higher is better",
        "w+ = w - lr F(w)",
        "Nobody 2026",
        "Two players on a",
    ):
        assert said in before[1]


def test_the_command_alone_needs_none_either(folder: Path, before: tuple[str, str], tmp_path: Path) -> None:
    source, marker = (folder / "hill.py").read_text(), tmp_path / "marker"
    for code in (None, HOSTILE.format(marker=str(marker))):
        try:
            (folder / "hill.py").unlink()
            if code:
                (folder / "hill.py").write_text(code)
            for command in (["report", "run"], ["show", "run"], ["compare", "run", "run"], ["figures", "run"]):
                done = called(folder, *command)
                assert done.returncode == 0, f"{command}: {done.stderr}"
            assert called(folder, "table", "run", "--format", "csv").stdout == before[0]
            assert (folder / "run" / "report.html").read_text() == before[1]
            assert not marker.exists()
        finally:
            (folder / "hill.py").write_text(source)
