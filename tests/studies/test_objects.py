"""Classes and objects in a study: they are named, train where they can be found, and are refused where they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

import bench
from bench.errors import UserError
from bench.registry import directions, games, get_rule, rules
from bench.registry.identity import plugin_code
from bench.registry.own_code import made_of

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

TINY: dict[str, Any] = {"seeds": "0-1", "trials": 0, "budget": 12, "evaluations": 1}


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registries are left as they were found."""
    for registry in (rules, directions, games):
        registry.load()
        for kept in ("plugins", "locations", "given"):
            monkeypatch.setattr(registry, kept, dict(getattr(registry, kept)))


def ring(width: int = 8, slope: float = 0.2) -> bench.Game:
    angle = torch.linspace(0, 6.283, 64)
    networks = (
        nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2)),
        nn.Sequential(nn.Linear(2, width), nn.LeakyReLU(slope), nn.Linear(width, 1)),
    )
    return bench.gan_game(*networks, "non-saturating", torch.stack([angle.cos(), angle.sin()], dim=1))


def new_rule(share: float = 1.0) -> type[bench.UpdateRule]:
    """A class as a notebook's cell defines it anew at each run."""

    class MyRule(bench.UpdateRule):
        """w+ = w - lr F(w)"""

        lr: bench.StepSize = 0.1

        def step(self, F: bench.Oracle, w: Tensor, s: bench.State) -> tuple[Tensor, bench.State]:
            return w - share * self.lr * F(w), s

    return MyRule


class Saddle(bench.Game):
    """min_x max_y mu x y"""

    mu: float = 1.0
    sizes = (1, 1)

    def init(self, seeds: Tensor) -> Tensor:
        return 1 + torch.stack([seeds, -seeds], dim=1).float() / 10

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        value = self.mu * players[0].squeeze(1) * players[1].squeeze(1)
        return value, -value


def trained(study: bench.Study, out: Path) -> list[float]:
    run = bench.run(study, out=out)
    assert not run.errors, run.errors[0].read_text()
    return list(run.scores()["score"])


def test_objects_classes_and_spellings_mix(tmp_path: Path) -> None:
    game, rule = ring(), new_rule()
    given = [bench.get_rule("sgd[lr=0.3]"), bench.get_rule("extragrad[direction=adam]")]
    study = bench.Study(optimizers=["adam", rule, *given], games=[game, Saddle, "dirac"], **TINY)
    assert study.optimizers == ["adam", "my-rule", "sgd[lr=0.3]", "extragrad[direction=adam]"]
    assert study.games == ["gan_game", "saddle", "dirac"]
    assert study.model_dump()["games"] == study.games
    first = trained(study, tmp_path / "run")
    stored = sorted((tmp_path / "run/records").iterdir())
    again = bench.Study(optimizers=["adam", rule, *given], games=[game, Saddle, "dirac"], **TINY)
    assert trained(again, tmp_path / "run") == first
    assert sorted((tmp_path / "run/records").iterdir()) == stored


def test_a_changed_object_trains_anew(tmp_path: Path) -> None:
    seen = set()
    for share, game in [(1.0, ring()), (0.5, ring()), (0.5, ring(slope=0.9))]:
        seen.add(tuple(trained(bench.Study(optimizers=[new_rule(share)], games=[game], **TINY), tmp_path / "run")))
    assert len(seen) == 3


def test_a_study_keeps_what_it_was_given(tmp_path: Path) -> None:
    """Another study with something else under the same name, as in a notebook, changes nothing."""
    slow, fast = (bench.Study(optimizers=[new_rule(share)], games="dirac", **TINY) for share in (0.1, 1.0))
    first = trained(slow, tmp_path / "slow")
    assert trained(fast, tmp_path / "fast") != first
    assert trained(slow, tmp_path / "slow") == first


@pytest.mark.parametrize("command", ["report", "show", "table"])
def test_a_run_of_objects_is_read_by_its_folder_alone(tmp_path: Path, command: str) -> None:
    trained(bench.Study(optimizers=["adam", new_rule()], games=[ring()], **TINY), tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "-m", "bench", command, "run"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(bench.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_an_object_without_a_text_is_taken_as_it_is(tmp_path: Path) -> None:
    @dataclass(frozen=True, eq=False)
    class Weighted(Saddle):
        """A game that no spelling can say."""

        weights: Tensor = field(default_factory=lambda: torch.ones(1))

        def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
            return tuple(loss * self.weights for loss in super().losses(players, batch))

    games = [Weighted(weights=torch.full((1,), weight)) for weight in (1.0, 2.0)]
    assert made_of(games[0]) != made_of(games[1])
    study = bench.Study(optimizers="sgd", games=[games[0]], **TINY)
    assert study.games == ["weighted"]
    with pytest.raises(ValidationError, match="two different objects are called 'weighted'; give one another name"):
        bench.Study(optimizers="sgd", games=games, **TINY)
    bench.game("heavy")(games[1])
    assert bench.Study(optimizers="sgd", games=games, **TINY).games == ["weighted", "heavy"]
    assert trained(bench.Study(optimizers="sgd", games="heavy", **TINY), tmp_path / "run")


def test_two_objects_of_one_name_are_refused() -> None:
    for given in ({"games": [ring(), ring()]}, {"optimizers": [new_rule(), new_rule()]}):
        with pytest.raises(ValidationError, match=r"two different objects are called '(gan_game|my-rule)'; give one"):
            bench.Study(**({"optimizers": "sgd", "games": "dirac"} | given), **TINY)
    same = ring()
    assert bench.Study(optimizers="sgd", games=[same, same], **TINY).games == ["gan_game"]
    two = [bench.game("first")(ring()), bench.game("second")(ring())]
    assert bench.Study(optimizers="sgd", games=two, **TINY).games == ["first", "second"]


def test_fields_that_are_changed_are_spelled() -> None:
    rule = dataclass(frozen=True)(new_rule())
    study = bench.Study(optimizers=[rule(), rule(lr=0.5)], games=[Saddle, bench.get_game("ring8[width=16]")], **TINY)
    assert study.optimizers == ["my-rule", "my-rule[lr=0.5]"]
    assert study.games == ["saddle", "ring8[width=16]"]
    assert get_rule("my-rule[lr=0.5]") == rule(lr=0.5)
    assert bench.Study(optimizers=rule(lr=0.5), games=Saddle, **TINY).games == ["saddle"]


class Odd(bench.UpdateRule):
    """Its name is one of the suite's."""

    name = "sgd"

    def step(self, F: bench.Oracle, w: Tensor, s: bench.State) -> tuple[Tensor, bench.State]:
        return w, s


class Needs(Saddle):
    """It cannot be made without an argument."""

    data: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.data.sum()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"optimizers": [Odd]},
            "optimizer 'sgd' is there already, from .*sgd.py:Simultaneous; give yours another name",
        ),
        ({"games": [nn.Linear(1, 1)]}, "found a Linear; a spelling, a class or an object of bench.Game is allowed"),
        (
            {"games": [new_rule()]},
            "found the class .*MyRule; a spelling, a class or an object of bench.Game is allowed",
        ),
        ({"games": [Needs]}, r"Needs\(\) raised AttributeError: .* give an object"),
    ],
)
def test_what_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        bench.Study(**({"optimizers": "adam", "games": "dirac"} | given), **TINY)


def test_a_name_for_what_is_no_game_is_refused() -> None:
    with pytest.raises(UserError, match=r"game 'mine' is a Linear; a class or an object of bench\.Game is allowed"):
        bench.game("mine")(nn.Linear(1, 1))


def test_what_no_other_process_finds_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for given in ({"games": [ring()]}, {"optimizers": [new_rule()]}):
        study = bench.Study(**({"optimizers": "sgd", "games": "dirac"} | given), **TINY)
        for settings in ({"jobs": 2}, {"timeout": 60.0}):
            with pytest.raises(UserError, match="no other process finds it: train with jobs=1 and without a timeout"):
                bench.run(study, out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


SCRIPT = """
import bench, sys, torch
from torch import nn
{definitions}
def main():
    study = bench.Study(optimizers=["sgd", Mine], games=[game], seeds="0-1", trials=0, budget=12, evaluations=1)
    run = bench.run(study, out="run", jobs=int(sys.argv[1]))
    assert not run.errors, run.errors[0].read_text()
    print(sorted(path.name for path in (run.path / "records").iterdir()))
"""
DEFINITIONS = """
class Mine(bench.UpdateRule):
    def step(self, F, w, s):
        return w - 0.1 * F(w), s

torch.manual_seed(0)
game = bench.gan_game(
    nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
    nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1)), "hinge", torch.randn(64, 2))
"""
GUARDED = 'if __name__ == "__main__":\n    main()\n'


def script(folder: Path, text: str, jobs: int) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, "script.py", str(jobs)], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(bench.__file__).parents[1])},
    )  # fmt: skip


@pytest.mark.parametrize("where", ["script", "module"])
def test_workers_find_what_a_module_or_a_guarded_script_defines(tmp_path: Path, where: str) -> None:
    (tmp_path / "definitions.py").write_text("import bench, torch\nfrom torch import nn\n" + DEFINITIONS)
    definitions = DEFINITIONS if where == "script" else "from definitions import Mine, game"
    text = SCRIPT.format(definitions=definitions) + (GUARDED if where == "script" else "main()\n")
    done = [script(tmp_path, text, jobs) for jobs in (2, 1)]
    assert [one.returncode for one in done] == [0, 0], done[0].stderr + done[1].stderr
    assert done[0].stdout == done[1].stdout != ""


def test_a_script_without_a_guard_is_refused(tmp_path: Path) -> None:
    done = script(tmp_path, SCRIPT.format(definitions=DEFINITIONS) + "main()\n", 2)
    assert "other processes import: start the training there under if __name__ ==" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_code_without_a_file_counts_with_all_that_it_uses() -> None:
    text = (
        "import bench\nSHARE = {}\ndef inner(x):\n    return {} * x\ndef length(x):\n    return SHARE * inner(x)\n"
        "class Mine(bench.UpdateRule):\n    def step(self, F, w, s):\n        return w - length(F(w)), s\n"
    )
    codes = []
    for share, factor in [(1.0, 2.0), (1.0, 2.0), (1.5, 2.0), (1.0, 2.5)]:
        cell: dict[str, Any] = {"__name__": "a_notebook"}
        exec(text.format(share, factor), cell)
        (spelled,) = bench.Study(optimizers=cell["Mine"], games="dirac", **TINY).optimizers
        codes.append(plugin_code(get_rule(spelled)))
    assert codes[0] == codes[1]
    assert len(set(codes)) == 3
