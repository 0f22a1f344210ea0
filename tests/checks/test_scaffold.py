"""``bench init``: what it writes is installed, tested and run as its README says; what it refuses leaves nothing."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from commands import told
from environments import fresh, install
from workflow_steps import Runner

from bench.checks.scaffold import start
from bench.registry import get_game

Call = Callable[..., tuple[int, str, str]]
FILES = [".github/workflows/ci.yml", ".gitignore", "README.md", "pyproject.toml", "study.toml", "swift_step.py"]
FILES += ["tests/test_swift_step.py"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start("swift-step", tmp_path_factory.mktemp("init") / "swift-step")


@pytest.fixture(scope="module")
def python(package: Path) -> str:
    """Of a fresh environment with the package."""
    found = fresh(package.parent / "venv")
    install(found, package)
    return found


def in_it(python: str, package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", *arguments], cwd=package, capture_output=True, text=True, check=False, env=os.environ
    )


def test_what_is_written(package: Path) -> None:
    written = {str(path.relative_to(package)): path.read_text() for path in package.rglob("*") if path.is_file()}
    assert sorted(set(written) - {name for name in written if "build" in name or "egg-info" in name}) == sorted(FILES)
    for name in FILES:
        assert not re.search("my.optimizer|MyOptimizer", written[name], re.IGNORECASE), name
    project = tomllib.loads(written["pyproject.toml"])["project"]
    assert project["entry-points"] == {"bench.rules": {"swift-step": "swift_step:SwiftStep"}}
    assert len(written["swift_step.py"].splitlines()) <= 40


def test_its_own_tests_pass(python: str, package: Path) -> None:
    done = in_it(python, package, "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.slow
def test_its_own_tests_can_fail(python: str, package: Path) -> None:
    rule = package / "swift_step.py"
    source = rule.read_text()
    rule.write_text(source.replace("return w - self.lr * F(ahead), s", "return w + self.lr * F(ahead), s"))
    try:
        done = in_it(python, package, "pytest", "-q", "-p", "no:cacheprovider")
    finally:
        rule.write_text(source)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_a_step_is_the_equation" in done.stdout


@pytest.mark.slow
def test_it_is_listed_and_runs(python: str, package: Path, tmp_path: Path) -> None:
    listed = in_it(python, tmp_path, "bench", "list", "optimizers")
    assert "swift-step" in listed.stdout.splitlines()
    asked = ["--optimizers", "swift-step,sgd", "--budget", "smoke", "--games", "dirac", "--seeds", "0-3"]
    done = in_it(python, tmp_path, "bench", "run", *asked, "--trials", "4", "--out", "run")
    assert (done.returncode, told(done.stderr)) == (0, "")
    assert "swift-step" in (tmp_path / "run" / "table.csv").read_text()


@pytest.mark.slow
def test_the_commands_of_its_readme(python: str, package: Path, tmp_path: Path) -> None:
    """Its study, the baseline, and a rule that became worse, as its CI finds it."""
    printed = re.findall(r"^    bench (.+?)(?:\s+#.*)?$", (package / "README.md").read_text(), re.MULTILINE)
    assert [line.split()[0] for line in printed] == [
        "check",
        "check",
        "run",
        "run",
        "run",
        "export",
        "export",
        "compare",
    ]
    study, keep, trend = printed[-4].split(), printed[-3].split(), printed[-1].split()
    done = in_it(python, package, "bench", *study, "-o", "games=bilinear[dim=8]")
    assert done.returncode == 0, done.stderr
    assert in_it(python, package, "bench", *keep).returncode == 0
    against = ["bench", "compare", "baseline", "results/study", "--fail-on", "worse"]
    assert in_it(python, package, *against).returncode == 0
    for name in ("1-first", "2-second"):
        stored = in_it(python, package, "bench", "export", "results/study", "baseline", "--to", f"history/{name}")
        assert stored.returncode == 0, stored.stderr
    assert in_it(python, package, "bench", *trend).returncode == 0
    assert (package / "history" / "trend.svg").is_file()
    shorter = ["-o", "games=bilinear[dim=8]", "-o", "budget=60", "--out", "results/shorter"]
    assert in_it(python, package, "bench", *study, *shorter).returncode == 0
    refused = in_it(python, package, "bench", "compare", "baseline", "results/shorter", "--fail-on", "worse")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "not comparable" in refused.stderr


@pytest.mark.slow
def test_its_ci_runs_as_it_stands(python: str, tmp_path: Path) -> None:
    """From a repository that was just made: the baseline is asked for, then it passes, then a worse rule fails."""
    folder = start("quick-step", tmp_path / "quick-step")
    install(python, folder)
    (folder / "study.toml").write_text(
        (folder / "study.toml").read_text().replace(', "ring8[width=16,batch_size=16]"', "")
    )
    runner = Runner(folder, tmp_path / "scratch", python)
    job = yaml.safe_load((folder / FILES[0]).read_text())["jobs"]["optimizer"]

    def codes() -> dict[str, int]:
        return {name: one.returncode for name, one in runner.run(job, {}).items()}

    assert codes() == {
        "the study": 0, "against the baseline": 2, "tests": 0, "laws and speed": 0, "a baseline to keep": 0
    }  # fmt: skip
    assert "No baseline at baseline: nothing to compare with." in runner.summary.read_text()
    (folder / "results" / "baseline").rename(folder / "baseline")
    assert set(codes().values()) == {0}
    rule = folder / "quick_step.py"
    rule.write_text(
        rule.read_text().replace("return w - self.lr * F(ahead), s", "return w - 0.7 * self.lr * F(ahead), s")
    )
    install(python, folder)
    again = codes()
    assert (again["against the baseline"], again["tests"]) == (4, 1)


def test_its_workflow_is_of_this_package_and_names_the_suite(package: Path, tmp_path: Path) -> None:
    job = yaml.safe_load((package / FILES[0]).read_text())["jobs"]["optimizer"]
    assert (job["env"]["SUITE"], job["env"]["RULES"]) == ("gan-optimizer-bench", "swift-step")
    for key in ("STUDY",):
        assert (package / job["env"][key]).is_file()
    elsewhere = "gan-optimizer-bench @ git+https://example.org/some/one@0123abc"
    other = start("other-step", tmp_path / "other-step", elsewhere)
    assert yaml.safe_load((other / FILES[0]).read_text())["jobs"]["optimizer"]["env"]["SUITE"] == elsewhere


def test_the_study_has_games_without_minibatches(package: Path) -> None:
    import torch

    study = tomllib.loads((package / "study.toml").read_text())
    exact = [get_game(name).batch(torch.tensor([0]), 0) is None for name in study["games"]]
    assert (exact.count(True), exact.count(False)) == (3, 1)


@pytest.mark.parametrize(
    "suite",
    ["../bench", "/home/me/bench", "file:///bench", "gan-optimizer-bench; x\n", "git+https://a/b c", "${{ secrets.A }}",
     "other-package", 'https://a/"b', "https://a/$(b)"],
)  # fmt: skip
def test_a_suite_that_no_ci_could_install_is_one_line(call: Call, tmp_path: Path, suite: str) -> None:
    code, out, err = call("init", "swift-step", "--suite", suite)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("bench: --suite is ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("My-Rule", "name is 'My-Rule'; small letters, digits and single hyphens, a letter first, at most 40"),
        ("my_rule", "name is 'my_rule'; small letters"),
        ("../escape", "name is '../escape'; small letters"),
        ("a--b", "name is 'a--b'; small letters"),
        ("a" * 41, "small letters"),
        ("", "name is ''; small letters"),
        ("adam", "name is 'adam', and there is the optimizer 'adam' already; choose another"),
        ("plain", "and there is the direction 'plain' already"),
        ("json", "name is 'json', and Python has a 'json' already; choose another"),
        ("class", "Python has a 'class' already"),
    ],
)
def test_a_bad_name_is_one_line_and_nothing_is_written(call: Call, tmp_path: Path, name: str, says: str) -> None:
    code, out, err = call("init", name)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert says in err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_as_it_is(call: Call, tmp_path: Path) -> None:
    (tmp_path / "swift-step").mkdir()
    (tmp_path / "swift-step" / "mine.txt").write_text("mine")
    code, out, err = call("init", "swift-step")
    assert (code, out, err) == (2, "", "bench: 'swift-step' is there already; choose another --to\n")
    assert [path.name for path in tmp_path.rglob("*")] == ["swift-step", "mine.txt"]


def test_a_place_that_cannot_be_written_is_one_line(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = call("init", "swift-step", "--to", "file/swift-step")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "cannot be written: " in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_command_says_what_is_next(call: Call, tmp_path: Path) -> None:
    code, out, err = call("init", "swift-step", "--to", "elsewhere", "--suite", "gan-optimizer-bench==0.1.0")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "elsewhere"
    assert (tmp_path / "elsewhere" / "swift_step.py").is_file()


def test_where_it_cannot_be_known_it_is_said_or_asked(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.checks.suite_source.known_source", lambda: "")
    code, _, err = call("init", "swift-step")
    assert (code, len(err.splitlines())) == (0, 1)
    assert "--suite says another" in err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "gan-optimizer-bench==9")
    assert call("init", "other-step")[0] == 0
    assert 'SUITE: "gan-optimizer-bench==9"' in (tmp_path / "other-step" / FILES[0]).read_text()
