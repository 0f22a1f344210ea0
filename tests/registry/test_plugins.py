"""Plug-ins: one that raises, exits, crashes or hangs costs its own cells; a package of somebody else's just works."""

import os
import re
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from commands import told
from environments import fresh, install

import bench
from bench.contracts import StepSize
from bench.errors import UserError
from bench.execution import watchdog as life
from bench.execution.process_pool import ProcessEngine
from bench.execution.watchdog import WorkerMonitor
from bench.registry import directions, games, get_rule, metrics, rules
from bench.registry import discovery as plugins
from bench.studies.request import make_request

BAD = """
import ctypes
import os
import re
import sys
import threading
import time

from bench import UpdateRule, metric
from bench.contracts import StepSize


class Raises(UpdateRule):
    def step(self, F, w, s):
        raise ValueError("no step today")


class Exits(UpdateRule):
    def step(self, F, w, s):
        sys.exit("no more steps")


class ExitsAtAnswer(UpdateRule):
    def answer(self, w, s):
        sys.exit(0)

    def step(self, F, w, s):
        return w, s


class Interrupts(UpdateRule):
    def init(self, w):
        raise KeyboardInterrupt

    def step(self, F, w, s):
        return w, s


class Leaves(UpdateRule):
    def step(self, F, w, s):
        os._exit(3)


class Crashes(UpdateRule):
    def step(self, F, w, s):
        ctypes.string_at(0)


class Spins(UpdateRule):
    def step(self, F, w, s):
        while True:
            pass


class Sleeps(UpdateRule):
    def step(self, F, w, s):
        time.sleep(1e6)


class HoldsTheLock(UpdateRule):
    def step(self, F, w, s):
        re.match("(a+)+$", "a" * 60 + "b")  # in C, and no other thread gets its turn


class Lingers(UpdateRule):
    lr: StepSize = 0.1

    def step(self, F, w, s):
        threading.Thread(target=time.sleep, args=(1e6,)).start()
        return w - self.lr * F(w), s
"""
SAYS = {
    "Raises": "ValueError: no step today",
    "Exits": "SystemExit: no more steps",
    "ExitsAtAnswer": "SystemExit: 0",
    "Interrupts": "KeyboardInterrupt",
    "Leaves": "the chunk's process ended 3 times, the last time with exit code 3",
    "Crashes": "the chunk's process was killed 3 times, the last time by SIGSEGV",
    "Spins": "the chunk's process gave no sign of life for 5 s and was ended",
    "Sleeps": "the chunk's process gave no sign of life for 5 s and was ended",
    "HoldsTheLock": "the chunk's process gave no sign of life for 5 s and was ended",
}
TINY = {"games": "dirac", "seeds": "0-1", "trials": 0, "budget": 12, "evaluations": 1}
WORDS = ["--games", "dirac", "--seeds", "0-1", "--trials", "0", "--budget", "12", "-o", "evaluations=1"]

posix = pytest.mark.skipif(os.name == "nt", reason="a process cannot be asked there where it stands")


def command(*args, cwd, python=sys.executable):
    return subprocess.run(
        [python, "-m", "bench", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        timeout=120,
        check=False,
    )


@pytest.fixture
def registries(monkeypatch):
    """The registries, to be left as they were found."""
    for registry in (rules, directions, games, metrics):
        registry.load()
        monkeypatch.setattr(registry, "plugins", dict(registry.plugins))
        monkeypatch.setattr(registry, "locations", dict(registry.locations))


@pytest.fixture
def folder(tmp_path, monkeypatch, registries):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text(BAD)
    return tmp_path


def outcomes(run, optimizer):
    return set(run.records.loc[run.records["optimizer"] == optimizer, "outcome"])


# Each costs its own cells


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A run of all that is bad beside a rule that is good."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "bad.py").write_text(BAD)
    spelled = ",".join(["sgd", *(f"./bad.py:{name}" for name in SAYS)])
    done = command(
        "run", "--optimizers", spelled, *WORDS, "--jobs", "3", "-o", "patience=5", "--out", "run", cwd=folder
    )
    assert told(done.stderr) == f"bench: {len(SAYS)} chunks failed; their tracebacks are in {Path('run/errors')}\n"
    assert done.returncode == 1
    return bench.Run(folder / "run")


def test_the_others_are_as_they_would_be_alone(bad, tmp_path):
    assert outcomes(bad, "sgd") == {"ok"}
    alone = bench.run(bench.Study(optimizers="sgd", **TINY), out=tmp_path / "alone")
    pd.testing.assert_frame_equal(
        *(
            run.records[run.records["optimizer"] == "sgd"][["seed", "cost", "value", "ended"]].reset_index(drop=True)
            for run in (bad, alone)
        ),
        check_exact=True,
    )


@posix
@pytest.mark.parametrize("name", SAYS)
def test_a_bad_rule_is_an_error_with_its_traceback(bad, name):
    records = bad.records[bad.records["optimizer"] == f"./bad.py:{name}"]
    assert list(records["seed"]) == [0, 1]
    assert set(records["outcome"]) == {"error"}
    (text,) = [path.read_text() for path in bad.errors if f"optimizer='./bad.py:{name}'" in path.read_text()]
    assert text.splitlines()[-1] == SAYS[name]
    lines = BAD.splitlines()
    first = lines.index(f"class {name}(UpdateRule):") + 1
    last = next((i for i, line in enumerate(lines) if i > first and line.startswith("class ")), len(lines))
    stood = [int(line) for line in re.findall(r'File "[^"]*bad\.py", line (\d+)', text)]
    assert stood
    assert all(first < line <= last for line in stood)


def test_its_rows_are_in_the_table_and_the_report(bad):
    found = bad.table(full=True).set_index("optimizer")
    assert list(found.index) == ["sgd", *(f"./bad.py:{name}" for name in SAYS)]
    assert found.loc["sgd", "errors"] == 0
    assert set(found["errors"].drop("sgd")) == {2}
    report = (bad.path / "report.html").read_text()
    assert all(text.replace("'", "&#39;") in report for text in SAYS.values())


def test_with_one_job_a_plugin_has_a_process_of_its_own(folder):
    run = bench.run(bench.Study(optimizers="./bad.py:Leaves,sgd", **TINY), out="run", errors="keep")
    assert outcomes(run, "sgd") == {"ok"}
    assert outcomes(run, "./bad.py:Leaves") == {"error"}
    (folder / "direction.py").write_text(
        "import os\nfrom bench.contracts import Direction\n\n"
        "class Leaves(Direction):\n    def __call__(self, g, s, w):\n        os._exit(4)\n"
    )
    nested = "extragrad[direction=./direction.py:Leaves]"
    run = bench.run(bench.Study(optimizers=[nested, "sgd"], **TINY), out="nested", errors="keep")
    assert (outcomes(run, "sgd"), outcomes(run, nested)) == ({"ok"}, {"error"})


def test_a_rule_of_the_program_itself_may_exit_too(folder, monkeypatch):
    """No other process might know it: with one job it trains here."""

    @bench.rule("own")
    class Own(bench.UpdateRule):
        lr: StepSize = 0.1

        def step(self, F, w, s):
            sys.exit("gone")

    monkeypatch.setattr("bench.execution.process_pool.ProcessEngine", None)
    run = bench.run(bench.Study(optimizers="own,sgd", **TINY), out="run", errors="keep")
    assert (outcomes(run, "sgd"), outcomes(run, "own")) == ({"ok"}, {"error"})
    assert run.errors[0].read_text().endswith("SystemExit: gone\n")


@pytest.mark.slow
def test_a_script_without_a_guard_is_not_run_again(folder):
    (folder / "script.py").write_text(
        "import bench\n"
        f"run = bench.run(bench.Study(optimizers='./bad.py:Raises,sgd', **{TINY}), out='run', errors='keep')\n"
        "print(sorted(run.records['outcome'].unique()))\n"
    )
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "['error', 'ok']\n"


def test_threads_that_go_on_do_not_hold_the_run(folder, monkeypatch):
    monkeypatch.setattr("bench.execution.process_pool.GRACE", 0.2)
    run = bench.run(bench.Study(optimizers="./bad.py:Lingers", **TINY), out="run", errors="keep")
    assert outcomes(run, "./bad.py:Lingers") == {"ok"}


def test_a_metric_that_raises_costs_its_own_values(folder):
    (folder / "metrics.py").write_text(
        BAD + "\n\n@metric('shapeless')\ndef shapeless(game, w, F):\n    return w\n"
        "\n\n@metric('exits')\ndef exits(game, w, F):\n    sys.exit('no value')\n"
        "\n\nclass Fine(UpdateRule):\n    def step(self, F, w, s):\n        return w - 0.1 * F(w), s\n"
    )
    run = bench.run(bench.Study(optimizers="./metrics.py:Fine", **TINY), out="run", errors="keep")
    assert set(run.records["outcome"]) == {"ok"}
    values = run.records.groupby("metric", observed=True)["value"]
    lost = values.agg(lambda x: x.isna().all())
    assert set(lost[lost].index) == {"shapeless", "exits"}
    assert values.agg(lambda x: x.notna().all()).sum() == len(lost) - 2
    (path,) = run.errors
    assert "metric 'shapeless' gave shape (2, 2), not (2,)" in path.read_text()
    assert "metric 'exits' has no values" in path.read_text()
    assert "SystemExit: no value\n" in path.read_text()
    assert run.report().exists()


# Patience


def test_patience_decides_nothing_of_the_study(tmp_path):
    asked = {"optimizers": "sgd", **TINY}
    order = make_request(asked | {"patience": "30"})
    assert (make_request(asked).patience, order.patience) == (600, 30)
    assert order.study.name == bench.Study(**asked).name
    for wrong in ("0", "-1", "nan", "long"):
        with pytest.raises(UserError, match="patience: found"):
            make_request(asked | {"patience": wrong})


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A life on a clock that stands still, and what was done to its process."""
    clock, killed = [0.0], []
    fake = SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(life, "time", fake)
    engine = ProcessEngine(1)
    (one,) = engine.monitors
    one.process = SimpleNamespace(pid=None, kill=lambda: killed.append(clock[0]), exitcode=-9)
    yield one, clock, killed
    engine.close()


def looks(one: WorkerMonitor, clock: list[float], seconds: float, each: float, patience: float = 10) -> None:
    for _ in range(round(seconds / each)):
        clock[0] += each
        one.poll(patience)


def test_signs_of_life(watched):
    one, clock, killed = watched
    looks(one, clock, 100, 0.5)
    assert not killed  # it is still being started
    for _ in range(50):
        one.signs.value += 1
        looks(one, clock, 9, 0.5)
    assert not killed
    one.signs.value += 1
    looks(one, clock, 500, 100)
    assert not killed  # it was the coordinator that was away
    looks(one, clock, 7, 0.5)
    assert len(killed) == 1
    looks(one, clock, 60, 0.5)
    assert len(killed) == 1
    assert one.describe(1) == "the chunk's process gave no sign of life for 10 s and was ended"
    one.begin()
    assert not one.hung
    assert one.describe(2) == f"the chunk's process was killed 2 times, the last time by SIGKILL{life.MEMORY}"
    looks(one, clock, 100, 0.5)
    one.signs.value += 1
    for _ in range(40):
        one.poll(patience=10, timeout=15)
        one.signs.value += 1
        clock[0] += 0.5
    assert len(killed) == 2  # lively, but too long; the time before its first sign does not count
    assert one.final
    assert not one.hung
    assert one.describe(1) == "the chunk's process took longer than the timeout of 15 s and was ended"


# What cannot be imported


EXITS = {"exits.py": "import sys\nsys.exit(0)\n", "odd.py": "class Odd(BaseException): pass\nraise Odd('a\\nb')\n"}


@pytest.mark.parametrize(("file", "says"), [("exits.py", "SystemExit: 0"), ("odd.py", "Odd: a b")])
def test_a_file_that_exits_when_imported(folder, file, says):
    (folder / file).write_text(EXITS[file])
    with pytest.raises(UserError, match=f"plug-in '{file}' raised {says}$"):
        get_rule(f"./{file}:Rule")


@pytest.mark.parametrize("registry", [rules, games, metrics])
def test_an_entry_point_that_exits_when_imported(folder, monkeypatch, registry):
    name = f"exiting_{registry.what}"
    (folder / f"{name}.py").write_text(EXITS["exits.py"])
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(registry, "loaded", False)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("x", f"{name}:Thing", group)])
    with pytest.raises(ValueError, match=rf"plug-in 'x' \({name}:Thing\) raised SystemExit: 0"):
        bench.run(bench.Study(optimizers="sgd", **TINY), out="run")
    assert not (folder / "run").exists()


def test_the_command_says_it_in_one_line(folder):
    (folder / "exits.py").write_text(EXITS["exits.py"])
    done = command("run", "--optimizers", "sgd,./exits.py:Rule", *WORDS, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: optimizers: plug-in 'exits.py' raised SystemExit: 0\n"


def test_a_name_that_is_taken_is_refused_to_an_entry_point(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(rules, "loaded", False)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("sgd", "bad:Raises", group)])
    says = r"'sgd' is defined twice: in .*sgd\.py:Simultaneous and in bad:Raises$"
    with pytest.raises(UserError, match=says):
        rules.load()


# A package of somebody else's


PACKAGE = {
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools"]
        build-backend = "setuptools.build_meta"

        [project]
        name = "their-plugins"
        version = "1.0"

        [tool.setuptools]
        py-modules = ["their_plugins"]

        [project.entry-points."bench.rules"]
        their-rule = "their_plugins:TheirRule"

        [project.entry-points."bench.games"]
        their-game = "their_plugins:TheirGame"

        [project.entry-points."bench.metrics"]
        their-metric = "their_plugins:their_metric"
    """,
    "their_plugins.py": '''
        import torch
        from bench import Game, UpdateRule, metric
        from bench.contracts import StepSize


        class TheirRule(UpdateRule):
            """w+ = w - lr F(w) / 2"""

            lr: StepSize = 0.1

            def step(self, F, w, s):
                return w - self.lr / 2 * F(w), s


        class TheirGame(Game):
            """min_x max_y x y + x^2 - y^2; the solution is 0."""

            sizes = (1, 1)
            budget = 50.0
            score = "their-metric"

            def init(self, seeds):
                return 1 + torch.stack([seeds, -seeds], dim=1).float() / 10

            def losses(self, players, batch):
                x, y = (player.squeeze(1) for player in players)
                value = x * y + x**2 - y**2
                return value, -value


        @metric("their-metric", on=TheirGame)
        def their_metric(game, w, F):
            """The larger of |x| and |y|."""
            return w.abs().amax(dim=1)
    ''',
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A fresh environment that sees what is installed here, with a package of plug-ins: its python."""
    folder = tmp_path_factory.mktemp("environment")
    (folder / "package").mkdir()
    for name, text in PACKAGE.items():
        (folder / "package" / name).write_text(textwrap.dedent(text))
    python = fresh(folder / "venv")
    install(python, folder / "package")
    return python


@pytest.mark.slow
def test_a_second_package_in_a_fresh_environment(environment, tmp_path):
    asked = ["--optimizers", "their-rule,sgd", "--games", "their-game,dirac", "--seeds", "0-2", "--trials", "4"]
    done = command(
        "run", *asked, "--budget", "30", "-o", "evaluations=3", "--out", "run", cwd=tmp_path, python=environment
    )
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "run/table.csv")
    expected = [("their-game", "their-metric"), ("dirac", "distance")]
    assert list(table[["game", "metric", "optimizer"]].itertuples(index=False, name=None)) == [
        (*names, rule) for names in expected for rule in ("their-rule", "sgd")
    ]
    assert (table["errors"] == 0).all()
    run = bench.Run(tmp_path / "run")
    own = run.records[run.records["metric"] == "their-metric"]
    assert set(own["game"]) == {"their-game"}
    assert set(own["phase"]) == {"tune", "rerank", "report"}
    assert own["value"].notna().all()
    assert outcomes(run, "their-rule") <= {"ok", "diverged"}
    listed = command("list", "optimizers", cwd=tmp_path, python=environment)
    assert "their-rule" in listed.stdout.splitlines()
