"""Every game has the key ``budget``, whichever way it declares its own: in commands, files, sweeps and spellings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import bench
from bench.errors import UserError
from bench.registry import games
from bench.registry.build import spell
from bench.studies.request import make_request
from bench.studies.study import BUDGETS
from bench.studies.toml import read_toml

Call = Callable[..., tuple[int, str, str]]
OWN = """
import torch
from torch import nn

import bench
from bench import Game


class Plain(Game):
    '''min_x max_y x y; the solution is 0.'''

    sizes = (1, 1)
    scale: float = 1.0
    budget = 500.0

    def init(self, seeds):
        return torch.ones(len(seeds), 2)

    def losses(self, players, batch):
        x, y = (player.squeeze(1) for player in players)
        return self.scale * x * y, -self.scale * x * y


class Field(Plain):
    budget: float = 600.0


class Computed(Plain):
    scale: float = 1.0

    @property
    def budget(self):
        return 700.0 * self.scale


made = bench.gan_game(
    nn.Linear(2, 2), nn.Linear(2, 1), "hinge", torch.zeros(32, 2), batch_size=16, budget=800
)
"""
KINDS = {"Plain": 500, "Field": 600, "made": 800}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    return "./own.py:"


@pytest.mark.parametrize("name", games.names())
def test_every_game_has_the_key(name: str) -> None:
    plain, given = bench.get_game(name), bench.get_game(f"{name}[budget=321]")
    assert given.budget == 321 != plain.budget
    assert given.sizes == plain.sizes
    assert "budget" not in spell(plain)  # the cells that were there before keep their identity
    assert spell(given).count("budget=321") == 1
    assert spell(bench.get_game(spell(given))) == spell(given)
    assert bench.get_game(name).budget == plain.budget  # the class is as it was


@pytest.mark.parametrize("name", games.names())
def test_it_is_listed_once_as_a_setting(name: str, call: Call) -> None:
    code, out, _ = call("list", name)
    settings = [line.strip() for line in out.splitlines() if line.strip().startswith("- ")]
    assert code == 0
    assert [line for line in settings if "budget" in line] == [
        f"- budget = {bench.get_game(name).budget:.0f}   gradient evaluations of one replica"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_has_it_however_it_declares_its_own(kind: str, own: str) -> None:
    plain, given = bench.get_game(own + kind), bench.get_game(f"{own}{kind}[budget=40]")
    assert (plain.budget, given.budget) == (KINDS[kind], 40)
    assert bench.get_game(own + kind).budget == KINDS[kind]
    assert spell(given).count("budget=40") == 1
    assert bench.get_game(spell(given)).budget == 40
    with pytest.raises(UserError, match="budget is 0; a positive finite number"):
        bench.get_game(f"{own}{kind}[budget=0]")


@pytest.mark.parametrize("kind", KINDS)
def test_a_plugin_trains_so_long(kind: str, own: str) -> None:
    asked = bench.Study(optimizers="sgd", games=f"{own}{kind}[budget=6]", seeds="0-1", trials=0, evaluations=2)
    run = bench.run(asked, out="run")
    assert run.table(full=True)["cost"].tolist() == [6]
    assert run.study.games == [f"{own}{kind}[budget=6]"]


def test_a_game_that_computes_its_budget_says_so(own: str) -> None:
    assert bench.get_game(f"{own}Computed[scale=2]").budget == 1400
    with pytest.raises(UserError, match="budget is 40, but this game works out its own"):
        bench.get_game(f"{own}Computed[budget=40]")


@pytest.mark.parametrize("value", ["0", "-5", "inf", "nan", "1e999", "true", "long", "1:2", "adam[lr=1]"])
def test_what_is_no_budget_is_one_line(value: str, call: Call) -> None:
    code, out, err = call("run", "--optimizers", "sgd", "--games", f"ring8[budget={value}]")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "budget is " in err
    assert "finite number" in err


def test_a_misspelled_key_is_told_the_right_one() -> None:
    with pytest.raises(UserError, match="'ring8' has no 'budgt'; did you mean budget"):
        bench.get_game("ring8[budgt=5]")


def test_a_made_game_takes_no_other_key(own: str) -> None:
    with pytest.raises(UserError, match="it takes no key but budget"):
        bench.get_game(f"{own}made[scale=5]")


@pytest.mark.parametrize("share", BUDGETS)
def test_a_study_scales_what_the_key_gives(share: str) -> None:
    study = bench.Study(optimizers="sgd", games="ring8[budget=4000],ring8", budget=share)
    assert [study.cost_of(game) for game in study.games] == [4000 * BUDGETS[share], 10_000 * BUDGETS[share]]


def test_a_number_is_for_all_games() -> None:
    study = bench.Study(optimizers="sgd", games="ring8[budget=10000],ring8", budget=70)
    assert [study.cost_of(game) for game in study.games] == [70, 70]


def test_sweeps_files_and_equal_spellings(tmp_path: Path) -> None:
    labels = ["ring8[budget=10000]", "ring8[budget=20000]"]
    assert bench.Study(optimizers="sgd", games="ring8[budget={10000|2e4}]").games == labels
    assert (
        bench.Study(optimizers="sgd", games=["ring8[budget=1e4]", *labels, "ring8[ budget = 10000.0 ]"]).games == labels
    )
    path = tmp_path / "study.toml"
    path.write_text('optimizers = "sgd"\ngames = [{name = "ring8", budget = [1e4, 20000]}, "ring8[budget=10000]"]\n')
    asked = make_request(read_toml(path)).study
    assert asked.games == labels
    assert asked.name == bench.Study(optimizers="sgd", games=",".join(labels)).name
