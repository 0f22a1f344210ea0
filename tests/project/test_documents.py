"""The README and the documentation: what they print runs, what they name is there, what they say is measured."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
DOCS = ROOT / ".github" / "docs"
PAGES = [ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
GENERATED = [DOCS / "api.md", DOCS / "cli.md"]
WRITTEN = [page for page in PAGES if page not in GENERATED]
README = PAGES[0].read_text("utf-8")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(bench [^`\n]+)`")

ELSEWHERE = ("data fetch", "doctor --speed", "--engine", "check NAME", "run --from")
"""A server, a machine's speed, schedulers and continued runs have tests of their own."""
BRIEF = ["--budget", "24", "--jobs", "1", "-o", "tuning_seeds=2", "-o", "evaluations=1"]
CODES = {"compare results/RUN results/OTHER": 5}  # two runs of other seeds share nothing


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page, (language, text), and its indented lines as one block each."""
    text = page.read_text("utf-8")
    yield from FENCED.findall(text)
    yield from (
        ("", line) for line in re.findall(r"^    ((?:bench|pip|python) .*)$", FENCED.sub("", text), re.MULTILINE)
    )


def commands(page: Path) -> list[str]:
    """The command lines of a page, without remarks, those that are joined by && apart."""
    lines = [line for language, text in blocks(page) if language in ("", "bash") for line in text.splitlines()]
    return [part.strip() for line in lines for part in re.sub(r"\s+#.*", "", line).split(" && ") if part.strip()]


def of_bench(page: Path) -> list[str]:
    return [line.removeprefix("bench ") for line in commands(page) if line.startswith("bench ")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small runs of other seeds, results/RUN and results/OTHER."""
    import bench

    folder = tmp_path_factory.mktemp("runs")
    for name, seeds in (("RUN", "0-1"), ("OTHER", "2-3")):
        study = bench.Study(
            optimizers="sgd,adam", games="ring8", budget=8, evaluations=4, trials=4, tuning_seeds=2, seeds=seeds
        )
        bench.run(study, out=folder / name).report()
    return folder


@pytest.mark.parametrize(
    "page",
    [PAGES[0], *(pytest.param(page, marks=pytest.mark.slow) for page in WRITTEN[1:])],
    ids=lambda page: page.stem,
)
def test_what_a_page_prints_runs(page: Path, runs: Path, tmp_path: Path, call: Callable) -> None:  # type: ignore[type-arg]
    """As printed, but for a budget that takes a moment: first its Python and TOML, then its commands in their order."""
    for k in range(20):  # the reader's own pictures
        (tmp_path / "photos" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 7), (12 * k, 0, 99)).save(tmp_path / "photos" / "ab"[k % 2] / f"{k}.png")
    names = {"__name__": "printed"}  # of all blocks of a page, as of a notebook's cells
    (tmp_path / "sets").mkdir()  # the reader's own image sets, of which there are none
    for language, text in blocks(page):
        if named := re.match(r"# (\w+\.(?:py|toml))\n", text):
            (tmp_path / named[1]).write_text(text)
        elif language == "python":
            exec(compile(text, page.name, "exec"), names)
    asked = [line for line in of_bench(page) if not any(word in line for word in ELSEWHERE)]
    if any("results/RUN" in line for line in asked):
        shutil.copytree(runs, tmp_path / "results", dirs_exist_ok=True)
    for line in asked:
        words = shlex.split(line.replace("~", str(tmp_path)))
        code, out, said = call(*words, *brief(words))
        assert code == CODES.get(line, 0), f"bench {line}: {out}{said}"
        if words[0] == "tune":
            (found,) = tmp_path.glob("results/*/hyperparameters.toml")
            found.rename(tmp_path / found.name)
        if words[0] == "compare" and line not in CODES and "--history" not in words:
            assert out.startswith("2 identical\n")


def brief(words: list[str]) -> list[str]:
    """What makes a command that trains take a moment; its game is dirac unless it is printed on the page."""
    if words[0] not in ("run", "tune"):
        return []
    own = any(".py:" in word and words[at - 1] == "--games" for at, word in enumerate(words))
    more = [] if own else ["--games", "dirac"]
    if words[0] == "run":
        more += ["--seeds", "0-1"]
    if not {"--trials", "none"} & set(words):
        more += ["--trials", "0" if "all" in words else "4"]
    return [*BRIEF, *more]


def test_this_finds_the_commands() -> None:
    assert sum(len(of_bench(page)) for page in WRITTEN) > 40
    assert all(any(run in line for page in WRITTEN for line in of_bench(page)) for run in ("my_rule.py", "my_gan.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_is_one(page: Path) -> None:
    from typer.main import get_command

    from bench.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    for line in of_bench(page) + [span.removeprefix("bench ") for span in SPAN.findall(page.read_text("utf-8"))]:
        name, *words = line.split()
        assert name in known or name.isupper(), line
        if name.isupper():
            continue
        command = known[name]
        if hasattr(command, "commands"):
            command = command.commands[words[0]]
        options = {"--help"} | {option for parameter in command.params for option in parameter.opts}
        given = {re.sub(r"[=\]].*", "", word) for word in words if re.match(r"--?[a-z]", word)}
        assert given <= options, f"{line}: {given - options}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_pip_is_asked_for_and_every_script_is_there(page: Path) -> None:
    """`.ci/run` installs as the README says; here it is seen that a place and its extras are those of this project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for line in commands(page):
        words = shlex.split(line)
        if words[:2] == ["pip", "install"]:
            wanted = [re.fullmatch(r"\.(?:\[([\w,]+)\])?", word) for word in words[2:] if word != "-e"]
            assert all(wanted), line
            extras = {extra for found in wanted for extra in (found[1] or "").split(",") if extra}  # type: ignore[index]
            assert extras <= set(project["optional-dependencies"]), line
        if words[0] == "python":
            assert (ROOT / words[1]).is_file(), line


def test_every_spelling_is_one() -> None:
    from bench.registry import get_game, get_rule, rules
    from bench.registry.spelling import expand, split

    text = "\n".join(page.read_text("utf-8") for page in WRITTEN)
    quoted = re.findall(r"--optimizers '?([^'\s`]+)'?", text)
    quoted += [one.replace(r"\|", "|") for one in re.findall(r"`([a-z][\w-]*\[[^`]+\])`", text)]
    assert len(quoted) > 20
    labels = set(re.findall(r"\blabel=([\w ]+)", text))  # a run's rule may be named by its label
    for spelled in (one for whole in quoted for part in split(whole) for one in expand(part)):
        skipped = spelled in ("all", "name[key=value,...]", *labels) or any(
            part in spelled for part in (".py:", "=all", "pytorch_")
        )
        if not skipped:
            (get_rule if spelled.partition("[")[0] in rules.names() else get_game)(spelled)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "results" / "README.md"], ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text("utf-8"))):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place) if place else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, link


def test_every_page_can_be_reached_from_the_readme() -> None:
    for page in PAGES[1:]:
        assert f"({page.relative_to(ROOT)})" in README


def test_the_readme_is_short_and_has_its_commands() -> None:
    assert len(README.splitlines()) <= 130
    assert "pip install . && bench run --optimizers sgd,adam,extragrad" in README.splitlines()
    assert "pip install -e '.[test]' && pytest -n auto --dist loadfile" in README.splitlines()


def test_a_rule_takes_twelve_lines() -> None:
    (rule,) = (text for _, text in blocks(PAGES[0]) if text.startswith("# my_rule.py"))
    assert len(rule.splitlines()) - 1 <= 12


def test_the_readmes_terminal_table_has_the_form_of_a_runs(runs: Path) -> None:
    import bench
    from bench.report.terminal import NOTE, blocks_of

    (shown,) = (text.splitlines() for language, text in blocks(PAGES[0]) if language == "text")
    run = bench.Run(runs / "RUN")
    printed = blocks_of(run.table(full=True), run.study, {}).splitlines()
    title, *table, note = shown
    assert title.endswith(" seeds")
    assert len(table) == 7
    assert len(set(map(len, table))) == 1
    assert note == NOTE
    assert shown[2].split() == printed[2].split()


@pytest.mark.parametrize("page", ["README.md", ".github/docs/choosing.md", "results/README.md"])
def test_every_interval_is_of_the_findings(page: str) -> None:
    """A value with its interval stands in findings.md, kinds.md or claims.md as it stands here."""
    pages = [ROOT / "results" / "reference" / f"{name}.md" for name in ("findings", "kinds", "claims")]
    known = " ".join(" ".join(found.read_text("utf-8") for found in pages).split())
    text = " ".join(FENCED.sub("", (ROOT / page).read_text("utf-8")).split())
    stated = re.findall(r"[\d.e-]+(?: %)? \[[\d.e, -]+\]", text)
    assert len(stated) > 5
    assert [value for value in stated if value not in known] == []


def test_the_generated_pages_are_what_the_docstrings_and_the_command_say(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("make", DOCS / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert make.main(["--check"]) == 0, capsys.readouterr().err
    assert {DOCS / name for name in make.PAGES} == set(GENERATED)
