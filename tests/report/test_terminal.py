"""A run that goes on or was killed: every command says what is there and what is missing, and none breaks."""

from __future__ import annotations

import json
import os
import shutil

import filelock
import pytest
from silent import silent_games

import bench
from bench.report.status import state

STUDY = {"games": "dirac,bilinear", "trials": 4, "tuning_seeds": 2, "budget": 60, "evaluations": 4, "seeds": "0-3"}
RULES = ["sgd", "extragrad"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with silent_games():
        return bench.run(bench.Study(optimizers=RULES, **STUDY), out=tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def copy(whole, tmp_path):
    return bench.Run(shutil.copytree(whole.path, tmp_path / "run"))


def chunks(run, **wanted):
    """The names of the chunks of which this is true."""
    stubs = {path.stem: json.loads(path.read_text())["chunk"] for path in run.records_path.glob("*.json")}
    return [name for name, chunk in stubs.items() if wanted.items() <= chunk.items()]


def lose(run, **wanted):
    lost = chunks(run, **wanted)
    assert lost
    for name in lost:
        (run.records_path / f"{name}.json").unlink()


def test_a_finished_run(whole, call):
    code, out, err = call("show", whole.path)
    assert (code, err) == (0, "")
    assert out.startswith("run: finished; protocol ")
    assert "not finished" not in out
    now = state(whole)
    spent = whole.records.groupby(["optimizer", "game", "phase", "trial", "seed"], observed=True)["ended"].first().sum()
    assert (now.spent, now.finished, now.going) == (spent, True, False)
    assert f"cost: {spent:,.0f} of at most {now.planned:,.0f} gradient evaluations" in out
    assert "dirac: distance" in out
    assert "warnings: " in out
    assert "No power: with 4 seeds" in out


def test_what_was_not_done_is_named_by_every_command(copy, whole, call, tmp_path):
    lose(copy, optimizer="extragrad", label="dirac", phase="report")
    lose(copy, optimizer="sgd", label="bilinear", phase="tune")
    lose(copy, optimizer="sgd", label="bilinear", phase="report")
    code, out, _ = call("show", copy.path)
    assert code == 0
    assert out.startswith("run: stopped before its end; ")
    assert "not finished: 2\n  extragrad on dirac: in tuning\n  sgd on bilinear: " in out
    code, out, err = call("table", copy.path, "--format", "csv")
    assert (code, len(out.splitlines())) == (0, 1 + 2)
    assert err.splitlines()[0] == "bench: note: not finished: extragrad on dirac: in tuning"
    code, out, _ = call("report", copy.path)
    assert code == 0
    assert "extragrad on dirac is not finished" in (copy.path / "report.html").read_text("utf-8")
    code, out, _ = call("compare", whole.path, copy.path)
    assert (code, out.count("identical")) == (0, 2)
    assert call("export", copy.path, "optuna")[0] == 0
    assert call("figures", copy.path, "--format", "svg")[0] == 0


def test_nothing_done_yet(copy, call):
    for path in copy.records_path.iterdir():
        path.unlink()
    code, out, _ = call("show", copy.path)
    assert code == 0
    assert "not finished: 4\n  sgd on dirac: not begun\n" in out
    assert "cost: 0 of at most " in out
    for command in (["table", copy.path], ["report", copy.path]):
        assert call(*command)[0] == 0
    for target in ("optuna", "tensorboard", "mlflow", "wandb"):
        code, out, err = call("export", copy.path, target)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
    code, out, err = call("figures", copy.path)
    assert (code, out) == (2, "")
    assert "nothing to draw" in err


def test_a_damaged_chunk_is_named_and_what_is_sound_is_shown(copy, whole, call):
    (name,) = chunks(copy, optimizer="sgd", label="dirac", phase="report")
    file = copy.records_path / f"{name}.parquet"
    file.write_bytes(file.read_bytes()[:100])
    code, out, _ = call("show", copy.path)
    assert code == 0
    assert f"damaged chunks, done anew when the study is run again: 1\n  {name}\n" in out
    assert "not finished: 1\n  sgd on dirac: in tuning\n" in out
    for command in (["table", copy.path], ["report", copy.path], ["compare", whole.path, copy.path]):
        code, out, err = call(*command)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert f"chunk {name} in " in err
        assert "is damaged; run its study again" in err


def test_errors_say_where_their_tracebacks_are(call, tmp_path):
    (tmp_path / "my.py").write_text(
        "from bench import UpdateRule\n\n\nclass Raises(UpdateRule):\n    '''w+'''\n\n"
        "    def step(self, F, w, s):\n        raise ValueError('no [red]step[/red] today')\n"
    )
    bench.run(
        bench.Study(optimizers="sgd,./my.py:Raises", games="dirac", trials=0, budget=20),
        out=tmp_path / "run",
        errors="keep",
    )
    code, out, _ = call("show", "run")
    assert code == 0
    assert "failed chunks: 1\n  run/errors/" in out.replace(os.sep, "/")
    assert ".txt: ValueError: no [red]step[/red] today" in out
    assert out.startswith("run: finished; ")
    assert "./my.py:Raises: error in 20 of 20: ValueError: no [red]step[/red] today\n" in out
    (row,) = (line for line in out.splitlines() if line.startswith("│") and "./my.py:Raises" in line)
    assert [cell.strip() for cell in row.split("│")[1:6]] == ["–", "./my.py:Raises", "error", "20", "0"]
    assert "∞" not in row
    assert "./my.py:Raises on dirac stopped with an error: ValueError: no [red]step[/red] today." in out
    assert "| error " in call("table", "run")[1]
    assert "∞" not in call("table", "run")[1]


def test_a_run_that_goes_on(copy, call):
    (copy.path / ".holder").write_text("process 1")
    assert call("show", copy.path)[1].startswith("run: finished; ")  # its process was killed
    with filelock.FileLock(copy.path / ".lock"):
        assert call("show", copy.path)[1].startswith("run: goes on; ")


def test_compare_as_markdown(whole, copy, call):
    code, out, err = call("compare", whole.path, copy.path, "--format", "md")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "4 identical"
    assert {line.count("|") for line in lines[2:]} == {11}
    assert len(lines) == 2 + 2 + 4
    code, out, err = call("compare", whole.path, copy.path, "--format", "mdd")
    assert (code, out, err) == (2, "", "bench: --format is 'mdd'; did you mean md?\n")
