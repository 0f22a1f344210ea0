"""The command as a user calls it: what it prints, what it writes, how it ends."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import filelock
import pandas as pd
import pytest
import torch
from commands import told
from rich.console import Console
from rich.progress import Progress, TextColumn
from typer.main import get_command
from typer.testing import CliRunner

import bench
from bench.execution import progress
from bench.execution.coordinator import Status
from bench.registry import directions, games, metrics, rules
from bench.report.columns import emphasised

RING = "ring8[width=16,batch_size=16]"
STUDY = {"optimizers": "sgd,adam", "games": f"dirac,{RING}", "seeds": "0-2", "trials": "4", "budget": "300"}
COMMAND = ["run", *(word for key, value in STUDY.items() for word in (f"--{key}", value)), "-o", "tuning_seeds=2"]
RAISES = """
from bench import UpdateRule

class Raises(UpdateRule):
    def step(self, F, w, s):
        raise ValueError("no step today")
"""


def popen(*args, cwd, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        **settings,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A whole run, as a user starts it in an empty folder."""
    folder = tmp_path_factory.mktemp("done")
    process = popen(*COMMAND, "--jobs", "1", cwd=folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    (path,) = (folder / "results").iterdir()
    return SimpleNamespace(folder=folder, path=path, out=out, err=err)


# A whole run


def test_a_whole_run(done):
    assert {path.name for path in done.path.iterdir()} >= {"study.json", "records", "table.csv", "report.html"}
    assert list(done.folder.iterdir()) == [done.path.parent]
    assert done.path.name == bench.Study(**STUDY, tuning_seeds=2).name
    found = pd.read_csv(done.path / "table.csv")
    assert list(zip(found["optimizer"], found["game"], strict=True)) == [
        (rule, game) for game in ("dirac", RING) for rule in ("sgd", "adam")
    ]
    assert (found["low"] <= found["iqm"]).all()
    assert (found["iqm"] <= found["high"]).all()
    for text in ("dirac: distance ↓", f"{RING}: mode_error ↓", "sgd", "adam", "3 seeds", "report.html"):
        assert text in done.out
    assert told(done.err) == ""


def test_again_prints_the_table_at_once(done, call, monkeypatch):
    def fail(*_):
        raise AssertionError("it trains")

    monkeypatch.setattr("bench.execution.process_pool.InProcessEngine.advance", fail)
    before = {path: path.stat().st_mtime_ns for path in (done.path / "records").iterdir()}
    csv = (done.path / "table.csv").read_bytes()
    os.chdir(done.folder)
    code, out, _ = call(*COMMAND, "--jobs", "1")
    assert (code, out) == (0, done.out)
    assert {path: path.stat().st_mtime_ns for path in (done.path / "records").iterdir()} == before
    assert (done.path / "table.csv").read_bytes() == csv


def cells(table):
    """The cells of a Markdown table, without what aligns them."""
    return [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if "---" not in line]


def test_formats(done, call):
    code, out, _ = call("table", done.path, "--format", "csv")
    assert (code, out.strip()) == (0, (done.path / "table.csv").read_text().strip())
    code, out, _ = call("table", done.path)
    lines = out.strip().splitlines()
    assert code == 0
    assert len(lines) == 6
    assert len({line.count("|") for line in lines}) == 1
    bold = out.count("**") // 2  # none where two rules are not told apart
    assert bold == emphasised(bench.Run(done.path).table(full=True)).sum()
    assert call("table", done.path, "--game", STUDY["games"], "--game", "dirac")[1] == out
    one = call("table", done.path, "--game", "dirac", "--metric", "distance")
    assert (one[0], one[2]) == (0, "")
    assert cells(one[1]) == [row for row in cells(out) if "ring8" not in row[1]]
    code, other, err = call("table", done.path, "--metric", "averaging_gain,field_norm", "--format", "csv")
    assert (code, err) == (0, "")
    found = pd.read_csv(io.StringIO(other))
    assert list(found.groupby(["game", "metric"], sort=False).size()) == [2, 2, 2, 2]
    assert (found["low"] <= found["iqm"]).all()
    code, out, _ = call("table", done.path, "--format", "latex")
    assert code == 0
    assert re.search(r"\\begin\{tabular\}\{@\{\}.*@\{\}\}\n\\toprule\n", out)
    assert out.count("\\mathbf{") == bold
    assert out.count("\\multicolumn{") == out.count("\\midrule") == 2  # a block a game
    assert out.count("\\\\") == 1 + 2 + 4
    assert "\\emph{ring8[width=16,batch\\_size=16]}: mode error $\\downarrow$" in out


def test_the_report_is_written_anew(done, call):
    before = {name: (done.path / name).read_bytes() for name in ("report.html", "table.csv")}
    for name in before:
        (done.path / name).unlink()
    code, out, _ = call("report", done.path)
    assert (code, out.strip()) == (0, str(done.path / "report.html"))
    assert {name: (done.path / name).read_bytes() for name in before} == before


def test_dry_run_writes_nothing(call, tmp_path):
    code, out, _ = call(*COMMAND, "--dry-run", "--jobs", "2")
    assert code == 0
    assert f"2 optimizers x 2 games, run {bench.Study(**STUDY, tuning_seeds=2).name}" in out
    assert "cells: 68 " in out  # two rules on two games: 4 trials and 3 finalists of 2 seeds, 3 seeds
    assert "cost: 20,400 gradient evaluations" in out
    assert list(tmp_path.iterdir()) == []


def test_flags_win_over_the_file_and_options_over_both(call, tmp_path):
    (tmp_path / "study.toml").write_text('optimizers = "sgd"\ngames = "dirac"\ntrials = 0\nseeds = "0-1"\njobs = 3\n')
    code, out, _ = call("run", "study.toml", "--seeds", "0-3", "--budget", "10", "-o", "budget=20", "--dry-run")
    asked = bench.Study(optimizers="sgd", games="dirac", trials=0, seeds="0-3", budget=20)
    assert code == 0
    assert f"run {asked.name}" in out
    assert "on 3 jobs" in out


def test_a_rule_that_raises_ends_with_1(call, tmp_path):
    (tmp_path / "my.py").write_text(RAISES)
    args = ["run", "--optimizers", "sgd,./my.py:Raises", "--games", "dirac", "--trials", 0, "--budget", 20, "--jobs", 1]
    for _ in range(2):
        code, out, err = call(*args, "--out", "here")
        assert code == 1
        assert "sgd" in out
        assert err.startswith("bench: 1 chunk failed; its traceback is in here")
    (traceback,) = (tmp_path / "here/errors").iterdir()
    assert "no step today" in traceback.read_text()


def test_a_folder_in_use_ends_with_3(done, call):
    with filelock.FileLock(done.path / ".lock"):
        code, out, err = call(*COMMAND, "--out", done.path)
    assert (code, out) == (3, "")
    assert err == f"bench: {done.path} is in use by another process\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C reaches a group of processes in another way there")
@pytest.mark.parametrize("early", [True, False])
def test_ctrl_c(done, call, tmp_path, early):
    """As a terminal sends it: to the command and all its workers; while they start, and while they train."""
    process = popen(*COMMAND, "--jobs", "2", cwd=tmp_path, start_new_session=True)
    looked_for = ".lock" if early else "records/*.json"
    end = time.monotonic() + 60
    while not list(tmp_path.glob(f"results/*/{looked_for}")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(1 if early else 0)  # while the workers' server imports torch
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)  # no chunk is waited for; a disk may be
    assert (process.returncode, out) == (130, ""), err
    assert err == "bench: interrupted; what was finished is kept, the same command goes on from there\n"
    _ends(process.pid)
    if early:
        return
    (path,) = (tmp_path / "results").iterdir()
    kept = {file: file.stat().st_mtime_ns for file in (path / "records").glob("*.json")}
    assert 0 < len(kept) < len(list((done.path / "records").glob("*.json")))
    assert call(*COMMAND, "--jobs", "1")[0] == 0
    assert kept.items() <= {file: file.stat().st_mtime_ns for file in (path / "records").glob("*.json")}.items()
    assert (path / "table.csv").read_bytes() == (done.path / "table.csv").read_bytes()


class Destroyed:
    """Ctrl-C comes while its destructor runs, where Python tells nobody of an exception."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def busy(first):
    """A command that is interrupted by ``first``, and again on its way out."""
    try:
        first()
        for _ in range(1000):
            time.sleep(0.001)
        return 0
    finally:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("first", [partial(signal.raise_signal, signal.SIGINT), Destroyed], ids=["anywhere", "lost"])
def test_the_first_interrupt_is_heard_wherever_it_comes_and_no_other(call, monkeypatch, first):
    monkeypatch.setattr("bench.cli.app", lambda **_: busy(first))
    interrupted = "bench: interrupted; what was finished is kept, the same command goes on from there\n"
    assert call("list") == (130, "", interrupted)


def _ends(group):
    """No process of a group is left, soon."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process is left behind")


# Wrong use

RUN = ["run", "--optimizers", "sgd", "--games", "dirac"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["run"], "optimizers: missing; give at least one"),
        (["run", "--optimizers", "sgdd"], "optimizers: unknown optimizer 'sgdd'; did you mean sgd"),
        ([*RUN, "--games", "dirak"], "games: unknown game 'dirak'; did you mean dirac"),
        (["run", "--optimizers", "adam[bet1=0]"], "'adam' has no 'bet1'; did you mean beta1"),
        (["run", "--optimizers", "sgd[lr=nan]"], "lr is nan; a finite number"),
        (["run", "--optimizers", "./no.py:Rule"], "there is no file './no.py'"),
        ([*RUN, "--seeds", "9-0"], "seeds: found '9-0', which runs backwards"),
        ([*RUN, "--trials", "two"], "trials: found 'two'"),
        ([*RUN, "--budget", "-5"], "budget: found -5; a positive number"),
        ([*RUN, "--jobs", "0"], "jobs: found '0'"),
        ([*RUN, "--device", "gpu"], "device: found 'gpu'; cpu, cuda or cuda:i"),
        ([*RUN, "--device", "cuda"], "device: found 'cuda'; this machine has 0 CUDA devices"),
        ([*RUN, "-o", "tunning_seeds=3"], "unknown key 'tunning_seeds'; did you mean tuning_seeds"),
        ([*RUN, "-o", "evaluations"], "-o evaluations: no value; write -o key=value"),
        ([*RUN, "--seed", "3"], "No such option: --seed"),
        ([*RUN, "--out", "file/run"], "run folder 'file/run' cannot be written"),
        (["run", "no.toml"], "study file 'no.toml': No such file"),
        (["rum"], "No such command 'rum'"),
        (["report", "."], "'.' is no run's folder"),
        (["report", "nowhere"], "'nowhere' is no run's folder"),
        (["table"], "Missing argument"),
        (["table", "{done}", "--format", "xml"], "--format is 'xml'; known: csv, latex, md"),
        (["table", "{done}", "--game", "dirack"], "--game is 'dirack'; did you mean dirac?"),
        (["table", "{done}", "--metric", "distanse"], "--metric is 'distanse'; did you mean distance?"),
        (["list", "sgdd"], "nothing called 'sgdd' to list; did you mean sgd"),
        (["list", "field_nrom"], "did you mean field_norm"),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(call, tmp_path, monkeypatch, done, args, says):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    code, out, err = call(*(arg.format(done=done.path) if arg == "{done}" else arg for arg in args))
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("bench: ")
    assert says in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_mistake_is_a_line(call, tmp_path):
    (tmp_path / "study.toml").write_text('optimizers = "sgdd"\nseeds = "9-0"\nbudget = -1\ndevise = "cpu"\n')
    code, out, err = call("run", "study.toml", "--jobs", "-1")
    assert (code, out) == (2, "")
    keys = {line.removeprefix("bench: ").split(":")[0] for line in err.splitlines()}
    assert keys == {"optimizers", "seeds", "budget", "jobs", "unknown key 'devise'; did you mean device or engine?"}
    assert len(list(tmp_path.iterdir())) == 1


def test_another_study_in_the_folder(done, call):
    before = (done.path / "study.json").read_bytes()
    code, out, err = call(*COMMAND, "--seeds", "0-4", "--out", done.path)
    assert (code, out) == (2, "")
    assert "holds another study (seeds: [0, 1, 2] there, [0, 1, 2, 3, 4] asked for); choose another --out" in err
    assert (done.path / "study.json").read_bytes() == before


# Looking


def test_help_shows_its_texts_whole():
    """The terminal reads square brackets as markup unless they are escaped."""
    groups = get_command(bench.cli.app).commands
    single = {name: command for name, command in groups.items() if not hasattr(command, "commands")}
    nested = {
        f"{name} {key}": command
        for name, group in groups.items()
        for key, command in getattr(group, "commands", {}).items()
    }
    for path, command in (single | nested).items():
        shown = re.sub(r"[\s│]+", "", CliRunner().invoke(bench.cli.app, [*path.split(), "--help"]).output)
        for parameter in command.params:
            told_of_it = re.sub(r"\s+", "", parameter.help or "").replace("\\[", "[")
            assert re.sub("<.*?>", "", told_of_it) in re.sub("<.*?>", "", shown), (path, parameter.name)


def test_help_imports_nothing_heavy(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "bench", "--help"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"torch", "numpy", "pandas", "matplotlib", "optuna", "pydantic", "scipy", "sklearn"}
    assert all(command in shown.stdout for command in ("run", "list", "report", "table"))


@pytest.mark.parametrize(
    ("kind", "registry"),
    [("optimizers", rules), ("directions", directions), ("games", games), ("metrics", metrics)],
)
def test_lists(call, kind, registry):
    code, out, _ = call("list", kind)
    assert code == 0
    assert out.startswith(f"{kind.upper()} ({len(registry.names())})\n")
    assert set(registry.names()) <= set(out.splitlines())
    assert call("list")[1].find(out.strip()) >= 0


def test_list_of_one(call):
    code, out, _ = call("list", "ttur")
    assert code == 0
    for text in ("ttur", "phi+ = phi - lr_d", "arXiv:1706.08500", "lr_g = 0.001   step size, searched in ["):
        assert text in out
    both = call("list", "adam")[1]
    assert "is sgd[direction=adam" in both  # the preset
    assert both.count("Source: Kingma and Ba 2015") == 2  # and the direction
    assert "judged by distance" in call("list", "dirac")[1]
    assert "for any game; lower is better" in call("list", "field_norm")[1]


def test_a_reader_that_leaves(tmp_path):
    process = popen("list", cwd=tmp_path)
    assert process.stdout.readline().startswith("OPTIMIZERS")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


def test_a_terminal_without_arrows(call, monkeypatch):
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", plain)
    monkeypatch.setattr("bench.registry.listing.listing", lambda what, others: f"{what} ↓")
    code, _, err = call("list", "dirac")
    assert (code, err) == (0, "")
    assert plain.buffer.getvalue() == b"dirac ?\n"


# Progress

STATUS = Status(planned=4e6, done=1e6, skipped=5e5, running=["tuning sgd on dirac", "training adam on ring8"])


def test_a_plain_line_now_and_then(monkeypatch, capsys):
    with progress.watching(progress.lines()) as watch:
        watch(STATUS)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "EVERY", 0.0)
        watch(STATUS)
    (line,) = capsys.readouterr().err.splitlines()
    running = "tuning sgd on dirac; training adam on ring8"
    assert line.startswith(f"{running} | 1.50M of 4.00M gradient evaluations | ETA 0:0")


def test_a_bar_on_a_terminal():
    shown = io.StringIO()
    columns = TextColumn("{task.description} {task.percentage:.1f} {task.fields[cost]} {task.fields[eta]}")
    with Progress(columns, console=Console(file=shown, force_terminal=True, width=200)) as bar:
        progress._Bar(bar)(STATUS)
    assert "training adam on ring8 37.5 1.50M of 4.00M gradient evaluations ETA 0:0" in shown.getvalue()


# Plug-ins, the catalogue, data


def test_check_says_a_line_a_law_and_ends_with_1_where_one_is_broken(call, tmp_path):
    code, out, _ = call("check", "sgd", "dirac", "field_norm")
    assert code == 0
    assert out.count("ok") >= 7 + 4 + 2
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        "optimizer sgd", "game dirac", "metric field_norm"
    ]  # fmt: skip
    (tmp_path / "mixing.py").write_text(
        "from bench import UpdateRule\n\n\nclass Mixing(UpdateRule):\n    '''w+'''\n\n"
        "    def step(self, F, w, s):\n        return w - F(w).mean(0, keepdim=True), s\n"
    )
    code, out, _ = call("check", "./mixing.py:Mixing")
    assert code == 1
    (line,) = [line for line in out.splitlines() if "replicas do not touch:" in line]
    assert "BROKEN" in line
    assert "(replica first)" in line
    assert "ok      cost is declared" in out


def test_check_of_what_raises_names_the_line(call, tmp_path):
    (tmp_path / "raising.py").write_text(
        "from bench import UpdateRule\n\n\nclass Raising(UpdateRule):\n    '''w+'''\n\n"
        "    def step(self, F, w, s):\n        return w / s['nothing'], s\n"
    )
    code, out, _ = call("check", "./raising.py:Raising")
    assert code == 1
    assert "KeyError: 'nothing' (" in out
    assert "raising.py:8)" in out


@pytest.mark.parametrize("name", ["sgdd", "./no.py:Rule", "sgd[lr=-1]"])
def test_check_of_nothing_is_one_line(call, name):
    code, out, err = call("check", name)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1


def test_the_catalogue_is_listed_whole(call):
    from bench.registry import directions, rules

    for kind, registry, least in (("optimizers", rules, 30), ("directions", directions, 10)):
        code, out, _ = call("list", kind)
        assert code == 0
        assert len(registry.names()) >= least
        assert out.count("Source: ") == len(registry.names()), "an entry without its source"


def test_all_is_every_rule():
    from bench.registry import games, rules

    study = bench.Study(optimizers="all,sgd[lr=0.3],sgd", games="dirac")
    assert study.optimizers == [*rules.names(), "sgd[lr=0.3]"]
    every = [name for name in games.names() if name != "folder"]  # which is no game without its path
    assert bench.Study(optimizers="sgd", games="all").games == every


def test_data_commands(call, tmp_path, monkeypatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    code, out, _ = call("data", "check")
    assert code == 0
    assert all(name in out for name in ("mnist", "fashion", "cifar10"))
    code, out, err = call("data", "fetch", "mnist")
    assert (code, out) == (2, "")
    assert "give --data FOLDER or set BENCH_DATA" in err
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"short")
    code, out, _ = call("data", "check", "--data", tmp_path)
    assert code == 1
    assert "train-images-idx3-ubyte" in out
