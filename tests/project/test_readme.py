"""What the README prints, run as printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()


def printed(start: str) -> str:
    """The indented block that begins with a line, without its indentation, up to the first command."""
    block = re.search(rf"^    {re.escape(start)}\n((?:    .*\n|\n)+?)(?=    bench |\S)", README, re.MULTILINE)
    assert block, f"the README has no block that begins with {start!r}"
    return re.sub(r"^    ", "", block[1], flags=re.MULTILINE)


def test_a_rule_in_twelve_lines_runs_as_printed(tmp_path: Path) -> None:
    code = printed("# my_rule.py").strip("\n")
    assert len(code.splitlines()) <= 12
    (tmp_path / "my_rule.py").write_text(code + "\n")
    commands = re.findall(r"^    (bench \w+ .*my_rule\.py:Nudge)", README, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["check", "run"]
    brief = {"check": [], "run": ["--games", "dirac", "--budget", "50", "--seeds", "0-1", "--jobs", "1"]}
    for command in commands:
        arguments = [*command.split()[1:], *brief[command.split()[1]]]
        done = subprocess.run(
            [sys.executable, "-m", "bench", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "my_rule.py:Nudge" in done.stdout


def test_a_gan_of_ones_own_runs_as_printed(tmp_path: Path) -> None:
    (tmp_path / "my_gan.py").write_text(printed("# my_gan.py").strip("\n") + "\n")
    commands = re.findall(r"^    (bench \w+ [^#\n]*my_gan\.py:game[^#\n]*)", README, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["check", "run"]
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *command.split()[1:]],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "my_gan.py:game" in done.stdout


def test_every_game_in_the_readme_is_one() -> None:
    from bench.registry import get_game

    quoted = re.findall(r"`((?:ring8|digits|mnist-small)\[[^`]+\])`", README)
    assert len(quoted) > 2
    for spelled in quoted:
        get_game(spelled)


def test_every_spelling_in_the_readme_is_one() -> None:
    from bench.registry import get_rule
    from bench.registry.spelling import expand, split

    quoted = re.findall(r"--optimizers '?([^'\s]+)'?", README) + re.findall(
        r"`((?:extragrad|lookahead)\[[^`]+\])`", README
    )
    assert len(quoted) > 4
    for spelled in (one for text in quoted for part in split(text) for one in expand(part)):
        if spelled != "all" and ".py:" not in spelled:
            get_rule(spelled)


def test_every_command_and_option_in_the_readme_is_one() -> None:
    from typer.main import get_command

    from bench.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"^    (?:pip install \. && )?bench ([^#\n]+)", README, re.MULTILINE)
    assert len(lines) > 30
    for line in lines:
        name, *words = line.split()
        assert name in known, line
        command = known[name]
        if hasattr(command, "commands"):
            command = command.commands[words[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        given = {re.sub(r"[=\]].*", "", word) for word in words if re.match(r"--?[a-z]", word)}
        assert given <= options, f"{line}: {given - options}"


ELSEWHERE = ("data fetch", "doctor --speed", "my_rule.py")
"""A server, a machine's speed and the printed rule have tests of their own; so have schedulers, in test_engines."""
BRIEF = {"tune": ["--budget", "8", "--games", "dirac", "--jobs", "1", "-o", "tuning_seeds=2"]}
BRIEF["run"] = [*BRIEF["tune"], "--seeds", "0-1"]


def commands(*sections: str) -> list[str]:
    """The commands that sections print, in their order."""
    texts = [README.partition(f"\n## {section}\n")[2].partition("\n## ")[0] for section in sections]
    return [line.strip() for text in texts for line in re.findall(r"^    bench ([^#\n]+)", text, re.MULTILINE)]


def test_every_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call) -> None:  # type: ignore[no-untyped-def]
    """As printed, but for a budget that takes a moment; RUN and OTHER are two runs of other seeds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(printed("# study.toml"))
    begin = "run --optimizers sgd,adam --games ring8 --budget 8 --trials 4 -o tuning_seeds=2 --jobs 1 --out results"
    for name, seeds in (("RUN", "0-1"), ("OTHER", "2-3")):
        code, _, said = call(*f"{begin}/{name} --seeds {seeds}".split())
        assert code == 0, said
    (tmp_path / "sets").mkdir()
    asked = commands("Ask something else", "Tune", "A rule of your own", "Real images")
    asked = [line for line in asked if not any(word in line for word in ELSEWHERE)]
    assert len(asked) > 25
    for line in asked:
        words = shlex.split(line.replace("~", str(tmp_path)))
        fewer = ["--trials", "4"] if "--trials 32" not in line and "--trials 0" not in line else []
        code, _, said = call(*words, *([*BRIEF[words[0]], *fewer] if words[0] in BRIEF else []))
        assert code == (5 if words[0] == "compare" else 0), f"{line}: {said}"
        if words[0] == "tune":
            (found,) = tmp_path.glob("results/*/hyperparameters.toml")
            found.rename(tmp_path / found.name)


def test_the_commands_for_a_ci_as_printed(tmp_path: Path) -> None:
    section = README.partition("## In a CI")[2].partition("\nThe last command")[0]
    commands = re.findall(r"^    (bench [^#\n]+)", section, re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["run", "export", "run", "compare"]
    for command in commands:
        brief = ["--budget", "20", "-o", "games=dirac", "--jobs", "1"] if command.split()[1] == "run" else []
        done = subprocess.run(
            [sys.executable, "-m", *command.split(), *brief], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("2 identical\n")
