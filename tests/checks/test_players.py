"""Players: a game has one or two, every rule moves all of them, and what needs two is not applicable to one."""

from dataclasses import dataclass

import pytest
from test_laws import SPELLED

import bench
from bench.api import merge
from bench.checks.laws import Broken
from bench.checks.player_laws import PLAYER_LAWS, Curved, moves_every_player
from bench.contracts import Oracle, UpdateRule
from bench.registry import get_rule
from bench.report.terminal import summary, terminal


@pytest.mark.parametrize("law", PLAYER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("rule", SPELLED)
def test_rule_obeys(rule, law):
    law(get_rule(rule), Curved())


@dataclass(frozen=True)
class OneSided(UpdateRule):
    """Breaks the law: player 1 never moves."""

    def step(self, F, w, s):
        return w - 0.1 * F(w, 0), s


def test_a_rule_that_forgets_a_player_is_caught():
    with pytest.raises(Broken, match="player 1 of 2 did not move"):
        moves_every_player(OneSided(), Curved())


@pytest.mark.parametrize(
    "spelled", ["alternating", "ema", "lookahead[inner=alternating]", "double-step-extragrad[alternating=true]"]
)
def test_what_needs_two_players_refuses_one(spelled):
    assert get_rule(spelled).refuses(Curved(count=1)) == "it needs two players, and curved has one"
    assert get_rule(spelled).refuses(Curved()) == ""


@pytest.mark.parametrize("spelled", ["adam", "ema[inner=adam]", "double-step-extragrad", "rk4"])
def test_what_moves_all_at_once_does_not(spelled):
    assert get_rule(spelled).refuses(Curved(count=1)) == ""


def test_a_value_for_each_player_needs_two():
    assert "a value for each" in get_rule("adam[lr=0.1:0.2]").refuses(Curved(count=1))


def test_three_players_are_refused():
    with pytest.raises(ValueError, match="curved has 3 players; 1 or 2 are allowed"):
        Oracle(Curved(count=3), [0])
    with pytest.raises(ValueError, match=r"curved\[count=3\] has 3 players; 1 or 2 are allowed"):
        bench.Study(optimizers="sgd", games=[Curved(count=3)])


def test_what_is_not_applicable_is_listed_and_not_trained(tmp_path):
    study = bench.Study(
        optimizers=["sgd", "alternating"], games=[Curved(count=1), "dirac"], trials=4, seeds="0-1", budget=40
    )
    alone = study.games[0]
    assert study.pairs == [("sgd", alone), ("sgd", "dirac"), ("alternating", "dirac")]
    run = bench.run(study, out=tmp_path / "run")
    assert set(zip(run.table()["optimizer"], run.table()["game"], strict=True)) == set(study.pairs)
    for text in (terminal(run), summary(run)):
        assert "not applicable" in text
    assert "finished; protocol" in summary(run)
    assert "not applicable: it needs two players" in run.report().read_text()
    assert set(run.hyperparameters()[alone]) == {"sgd"}
    again = bench.run(study, out=tmp_path / "run", add_seeds=1)  # nothing that cannot be trained is missing
    assert again.scores()["seed"].nunique() == 3


def test_a_study_of_which_nothing_is_applicable_says_so():
    with pytest.raises(ValueError, match="none can be applied to curved"):
        bench.Study(optimizers="alternating", games=[Curved(count=1)])


def test_what_is_not_applicable_stays_so_in_a_merged_run(tmp_path):
    alone = "autoregressive[width=16,batch_size=16,length=8]"
    runs = []
    for name, rules in (("a", ["sgd"]), ("b", ["adam", "alternating"])):
        study = bench.Study(optimizers=rules, games=[alone, "dirac"], trials=0, seeds="0-1", budget=4, evaluations=2)
        runs.append(bench.run(study, out=tmp_path / name))
    merged = merge(runs, tmp_path / "whole")
    assert merged.study.refused("alternating", alone) == "it needs two players, and autoregressive has one"
    assert "finished; protocol" in summary(merged)
