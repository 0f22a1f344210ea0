"""Modules beside a plug-in's file: it can import them as a script could, and an edit of any of them trains anew."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import torch

import bench
from bench.errors import UserError
from bench.registry import get_game, get_rule
from bench.registry.identity import plugin_code
from bench.registry.sources import REQUIRED, file_code

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

PLUGIN = """
from bench import StepSize, UpdateRule
from steps import length

class Short(UpdateRule):
    lr: StepSize = 0.1

    def step(self, F, w, s):
        from parts.late import SHARE  # within a function
        return w - length(self.lr) * SHARE * F(w), s
"""
STEPS = "from parts import factor\n\ndef length(lr):\n    return factor.FACTOR * lr\n"
FILES = {"rule.py": PLUGIN, "steps.py": STEPS, "parts/factor.py": "FACTOR = 0.5\n", "parts/late.py": "SHARE = 1.0\n"}
RULE = "./{}/rule.py:Short"
TINY = {"games": "dirac", "seeds": "0-1", "trials": 0, "budget": 12, "evaluations": 1}


def project(folder: Path, **changes: str) -> None:
    """The files of a plug-in in a folder, some of them changed: a name without its end -> (old, new)."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(changes.get(file.stem, text))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path / "mine")
    return tmp_path


def values(folder: str, out: str, jobs: int = 1) -> list[float]:
    """The last scores of the rule in that folder."""
    run = bench.run(bench.Study(optimizers=[RULE.format(folder)], **TINY), out=out, jobs=jobs)
    assert not run.errors, run.errors[0].read_text()
    return list(run.scores()["score"])


def stored(out: str) -> set[str]:
    return {path.name for path in Path(out, "records").iterdir()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_edit_of_any_module_trains_anew_and_nothing_else_does(folder: Path, jobs: int) -> None:
    first, before = values("mine", "run", jobs), stored("run")
    project(folder / "mine")  # written again, with the same text
    assert values("mine", "run", jobs) == first
    assert stored("run") == before
    seen = {tuple(first)}
    for stem, text in [("factor", "FACTOR = 0.6\n"), ("late", "SHARE = 1.5\n"), ("steps", STEPS + "\nX = 1\n")]:
        project(folder / "mine", **{stem: text})
        seen.add(tuple(values("mine", "run", jobs)))
        assert stored("run") > before, f"an edit of {stem}.py was not seen"
        before = stored("run")
    assert len(seen) == 3  # the last edit changes no number
    project(folder / "mine")
    assert values("mine", "run", jobs) == first
    assert stored("run") == before


def test_folders_with_modules_of_one_name_do_not_meet(folder: Path) -> None:
    project(folder / "theirs", factor="FACTOR = 2.0\n")
    both = [get_rule(RULE.format(name)) for name in ("mine", "theirs", "mine")]
    game = get_game("dirac")
    F = bench.Oracle(game, [0, 1])
    w = game.init(F.seeds)
    mine, theirs, again = (w - rule.step(F, w, {})[0] for rule in both)
    assert torch.allclose(theirs, 4 * mine)
    assert torch.equal(again, mine)
    assert not {"steps", "parts", "parts.factor", "rule"} & set(sys.modules)
    assert str(folder / "mine") not in sys.path


def test_the_order_in_which_plugins_are_loaded_decides_nothing(folder: Path) -> None:
    """Random numbers at import start anew in every module, and a hash is not of what happens to be loaded."""
    for name in ("one", "other"):
        project(folder / name, factor="import torch\nFACTOR = torch.rand(()).item()\n")
        text = "import steps\nimport torch\nfrom rule import Short as Base\n\n"
        text += "class Late(Base):\n    drawn = torch.rand(()).item()\n"
        (folder / name / "second.py").write_text(text)
    spelled = ["./one/rule.py:Short", "./one/second.py:Late", "./other/second.py:Late", "./other/rule.py:Short"]
    found = dict(zip(spelled, map(get_rule, spelled), strict=True))
    one, other = (found[f"./{name}/second.py:Late"] for name in ("one", "other"))
    assert one.drawn == other.drawn  # type: ignore[attr-defined]
    for file in ("rule.py:Short", "second.py:Late"):
        assert plugin_code(found[f"./one/{file}"]) == plugin_code(found[f"./other/{file}"])


def test_a_folder_of_data_is_no_module(folder: Path) -> None:
    (folder / "mine" / "json").mkdir()
    (folder / "mine" / "rule.py").write_text("import json\n" + PLUGIN + "\njson.dumps({})\n")
    get_rule(RULE.format("mine"))


def test_what_is_imported_by_other_means_is_found_and_forgotten(folder: Path) -> None:
    text = "import importlib\nassert importlib.import_module('steps').length(1.0) == 0.5\n" + PLUGIN
    project(folder / "mine", rule=text)
    get_rule(RULE.format("mine"))
    assert "steps" not in sys.modules


@pytest.mark.parametrize(
    "asks",
    [
        "import importlib\nlength = importlib.import_module('named').length\n",
        "length = __import__('named').length\n",
        "from importlib import import_module\nlength = import_module('na' + 'med').length\n",
        "import importlib.util as u\nfrom pathlib import Path\n"
        "spec = u.spec_from_file_location('x', Path(__file__).with_name('named.py'))\n"
        "module = u.module_from_spec(spec)\nspec.loader.exec_module(module)\nlength = module.length\n",
        "def length(lr):\n    from named import length\n    return length(lr)\n",
    ],
    ids=["import_module", "__import__", "a name worked out", "by path", "within a function"],
)
def test_what_is_loaded_by_other_means_counts(asks: str, folder: Path) -> None:
    """Whatever a process has loaded so far: by the sources alone."""
    rule = PLUGIN.replace("from steps import length\n", asks)
    codes = set()
    for factor in (0.5, 0.6, 0.5):
        project(folder / "mine", rule=rule)
        (folder / "mine" / "named.py").write_text(f"from parts import factor\ndef length(lr): return {factor} * lr\n")
        before = file_code(folder / "mine" / "rule.py")
        loaded = get_rule(RULE.format("mine"))
        assert plugin_code(loaded) == "".join(before)
        F = bench.Oracle(get_game("dirac"), [0, 1])
        w = F.game.init(F.seeds)
        assert torch.allclose(w - loaded.step(F, w, {})[0], factor * 0.1 * F(w))
        codes.add(tuple(before))
    assert len(codes) == 2
    (folder / "mine" / "parts" / "factor.py").write_text("FACTOR = 0.7\n")
    assert tuple(file_code(folder / "mine" / "rule.py")) not in codes, "nor what that imports"


def test_files_of_an_environment_or_hidden_do_not_count(folder: Path) -> None:
    project(folder / "mine", rule="import importlib\nname = 'steps'\nimportlib.import_module(name)\n" + PLUGIN)
    code = file_code(folder / "mine" / "rule.py")
    assert len(code) == len(FILES)
    for name in (".git/hook.py", "venv/lib/numbers.py", "parts/__pycache__/x.py"):
        (folder / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "mine" / name).write_text("X = 1\n")
    (folder / "mine" / "venv" / "pyvenv.cfg").write_text("")
    assert file_code(folder / "mine" / "rule.py") == code
    (folder / "mine" / "parts" / "more.py").write_text("X = 1\n")
    assert file_code(folder / "mine" / "rule.py") != code


def test_an_error_beside_is_told_in_one_line(folder: Path) -> None:
    project(folder / "mine", steps="1 / 0\n")
    with pytest.raises(UserError, match=r"plug-in 'mine/rule.py' raised ZeroDivisionError: division by zero$"):
        get_rule(RULE.format("mine"))
    project(folder / "mine")
    get_rule(RULE.format("mine"))


def test_modules_elsewhere_that_can_be_edited_count_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder / "library")
    project(folder / "mine", rule="import elsewhere.deep\n" + PLUGIN)
    (folder / "library" / "elsewhere").mkdir(parents=True)
    (folder / "library" / "elsewhere" / "__init__.py").write_text("")
    seen = set()
    for text in ("X = 1\n", "X = 2\n", "X = 1\n"):
        (folder / "library" / "elsewhere" / "deep.py").write_text(text)
        seen.add(tuple(file_code(folder / "mine" / "rule.py")))
    assert len(seen) == 2


def test_an_installed_package_counts_by_its_version(folder: Path) -> None:
    project(folder / "mine", late="import pytest, torch, numpy, json\nSHARE = 1.0\n")
    code = file_code(folder / "mine" / "rule.py")
    assert [part for part in code if "==" in part] == [f"pytest=={version('pytest')}"]
    assert len(code) == len(FILES) + 1


def test_a_file_without_such_imports_counts_as_it_did(folder: Path) -> None:
    (folder / "alone.py").write_text("import torch\nfrom bench import UpdateRule\n")
    assert len(file_code(folder / "alone.py")) == 1


def test_the_packages_that_do_not_count_are_those_that_the_suite_requires() -> None:
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    required = {re.split(r"[<>=\[]", line)[0].lower() for line in settings["project"]["dependencies"]}
    named = {name: packages_distributions().get(name, [name]) for name in REQUIRED}
    assert {found[0].lower().replace("_", "-") for found in named.values()} == required
