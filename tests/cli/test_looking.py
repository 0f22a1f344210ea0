"""What the command says of itself and of what is there: its version, the keys of ``-o``, the runs of a folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command

import bench
from bench.cli import app
from bench.cli.keys import WRITTEN, option_keys
from bench.errors import nearest
from bench.games.harness.losses import LOSSES
from bench.games.harness.regularisers import REGULARISERS
from bench.studies.request import RunRequest

Call = Callable[..., tuple[int, str, str]]


def test_the_version(call: Call) -> None:
    assert call("--version") == (0, f"{version('gan-optimizer-bench')}\n", "")


@pytest.mark.parametrize("name", ["run", "tune"])
def test_help_names_every_key_that_is_no_option(name: str) -> None:
    """A key of a study or a request is an option, or ``-o`` names it."""
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    options = {parameter.name for parameter in command.params}
    (told,) = (parameter.help for parameter in command.params if parameter.name == "option")
    listed = set(re.findall(r"(?:options: |[,)] )(\w+)(?= \(|,|\.$)", told.replace("inception:PATH", "")))
    of_report = {"seeds", "hyperparameters", "keep_weights"} if name == "tune" else set()
    assert set(RunRequest.model_fields) - options - set(WRITTEN) - of_report <= listed
    assert not listed & options
    if name == "run":
        assert "tuning_seeds (how many seeds each trial trains on)" in told


def test_keys_are_those_of_a_study() -> None:
    assert set(option_keys(())) == set(RunRequest.model_fields) - set(WRITTEN)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    study = bench.Study(
        optimizers="sgd,adam,optimistic,extragrad,ttur", games="dirac", trials=0, seeds="0-2", budget=40
    )
    return bench.run(study, out=tmp_path_factory.mktemp("looking") / "results" / "first")


def cells(line: str) -> list[str]:
    return [part.strip() for part in line.strip("│\n").split("│")]


def test_runs_of_a_folder(done: bench.Run, call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    shutil.copytree(done.path, folder / "second")
    (folder / "no-run").mkdir()
    (folder / "file").write_text("")
    shutil.copytree(done.path, folder / "third")
    stubs = {path: json.loads(path.read_text())["chunk"] for path in (folder / "third" / "records").glob("*.json")}
    for path, chunk in stubs.items():
        if chunk["optimizer"] != "sgd":
            path.unlink()
    call("export", folder / "second", "baseline", "--to", folder / "kept")  # a baseline is no run
    code, out, err = call("runs")
    assert (code, err) == (0, "")
    rows = {row[0]: row for row in map(cells, (line for line in out.splitlines() if line.startswith("│")))}
    assert rows == {
        "second": ["second", "finished", "3", "0", "sgd, adam, optimistic, extragrad, 1 more", "dirac"],
        "third": ["third", "stopped, 20%", "3", "0", "sgd, adam, optimistic, extragrad, 1 more", "dirac"],
    }
    (folder / "second" / "study.json").write_text("{}")
    code, out, _ = call("runs", folder)
    assert code == 0
    assert out.splitlines()[-1] == "'results/second/study.json' is damaged: it is no study's manifest".replace(
        "results", str(folder)
    )


def test_no_runs(call: Call, tmp_path: Path) -> None:
    assert call("runs") == (2, "", "bench: 'results' is no folder; bench run makes one, or name another\n")
    (tmp_path / "results").mkdir()
    assert call("runs") == (0, "no runs in results\n", "")


@pytest.mark.parametrize(("kind", "entries"), [("losses", LOSSES), ("regularisers", REGULARISERS)])
def test_losses_and_regularisers_are_listed(call: Call, kind: str, entries: dict[str, object]) -> None:
    code, out, _ = call("list", kind)
    assert code == 0
    assert out.startswith(f"{kind.upper()} ({len(entries)})\n")
    assert set(entries) <= set(out.splitlines())
    assert out.count("Source: ") == sum(one is not None for one in entries.values())
    key = {"losses": "loss", "regularisers": "regulariser"}[kind]
    for name, one in entries.items():
        assert call("list", name)[1].startswith(f"{name}\n    {getattr(one, 'equation', '')}"[: len(name) + 5])
        assert f"ring8[{key}={name}" in out
        bench.get_game(f"ring8[{key}={name}]")


def test_a_suggestion_names_a_thing_once(call: Call) -> None:
    assert nearest("adm", ["adam", "adam", "sgd"]) == "did you mean adam?"
    assert nearest("x", ["b", "a", "b"]) == "known: a, b"
    assert call("list", "adm")[2].count(" adam ") == 1


def test_a_folder_of_data_that_is_not_there_is_named(call: Call, tmp_path: Path) -> None:
    for command in (["run", "--optimizers", "sgd", "--games", "dirac"], ["data", "check"]):
        code, out, err = call(*command, "--data", "nowhere")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "data: found 'nowhere', and there is no such folder" in err
    assert not list(tmp_path.iterdir())
