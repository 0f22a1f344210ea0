"""A study: what may be asked for, every mistake at once with its key, and a name decided by content."""

import pytest
from pydantic import ValidationError

import bench
from bench.errors import UserError
from bench.registry import build
from bench.studies.request import make_request
from bench.studies.study import DEFAULT_GAMES
from bench.studies.toml import read_toml


def study(**settings):
    return bench.Study(**({"optimizers": "sgd", "games": "dirac"} | settings))


def mistakes(**settings):
    with pytest.raises(UserError) as error:
        make_request({"optimizers": "sgd", "games": "dirac"} | settings)
    return str(error.value).splitlines()


def file_of(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("asked", "found"),
    [("0-3", [0, 1, 2, 3]), ("0-2, 7", [0, 1, 2, 7]), ("5", [5]), (5, [5]), ([1, 2], [1, 2]), (range(3), [0, 1, 2])],
)
def test_seeds(asked, found):
    assert study(seeds=asked).seeds == found


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("9-0", "seeds: found '9-0', which runs backwards; did you mean 0-9?"),
        ("0-4,x", "seeds: found '0-4,x'; whole numbers and ranges are allowed, e.g. 0-9 or 0-4,7"),
        ("-1", "seeds: found '-1'; whole numbers"),
        ([-1], "seeds: found -1; whole numbers from 0 to 4294967295 are allowed"),
        ([2**32], "seeds: found 4294967296; whole numbers from 0"),
        ("0-2,1", "seeds: a seed stands twice"),
        ("0-999999", "seeds: found '0-999999'; at most 100000"),
        ("", "seeds: "),
        ("+0", "seeds: found '+0'; + and a whole number from 1 to 100000 is allowed, e.g. +20"),
        ("+x", "seeds: found '+x'; + and a whole number from 1"),
        ("+-3", "seeds: found '+-3'; + and a whole number from 1"),
        ("+2.5", "seeds: found '+2.5'; + and a whole number from 1"),
        ("+100001", "seeds: found '+100001'; + and a whole number from 1"),
        ("+", "seeds: found '+'; + and a whole number from 1"),
        ([0, "x"], "seeds.1: found 'x'; it must be a valid integer"),
    ],
)
def test_wrong_seeds(asked, says):
    (line,) = mistakes(seeds=asked)
    assert line.startswith(says)


@pytest.mark.parametrize(
    ("budget", "cost"), [("smoke", 100), ("standard", 2000), ("full", 10000), ("250", 250), (250, 250), (1.5, 1.5)]
)
def test_budgets(budget, cost):
    asked = study(budget=budget, evaluations=1, games="dirac,dirac[saturating=false]")
    assert {asked.cost_of(game) for game in asked.games} == {cost}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"budget": 19}, "found 19 on dirac; sgd takes 1 a step, so at least 20 are needed for 20 evaluations"),
        ({"budget": 0.5, "evaluations": 1}, "found 0.5 on dirac; sgd takes 1 a step, so at least 1 are needed"),
        (
            {"games": "dirac[budget=30]", "optimizers": "sgd,extragrad"},
            "found 30 on dirac[budget=30]; extragrad takes 2",
        ),
    ],
)
def test_a_budget_has_a_step_for_each_evaluation(asked, says):
    """The least that is possible is named; with `smoke`, which only tries things out, evaluations are fewer."""
    (line,) = mistakes(**asked)
    assert says in line
    assert study(budget=20).cost_of("dirac") == 20
    assert study(budget="smoke", optimizers="lss", games="dirac").cost_of("dirac") == 100, "4 steps of 23"


@pytest.mark.parametrize("budget", [-1, 0, "-5", "nan", float("inf"), "smoky", [1]])
def test_wrong_budgets(budget):
    (line,) = mistakes(budget=budget)
    assert line.startswith("budget: found ")
    assert "allowed" in line


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("trials", 3, "trials: found 3; at least 4"),
        ("trials", "-1", "trials: found '-1'"),
        ("trials", "many", "trials: found 'many'"),
        ("tuning_seeds", 0, "tuning_seeds: found 0"),
        ("evaluations", "x", "evaluations: found 'x'"),
        ("jobs", "0", "jobs: found '0'; it must be greater than or equal to 1"),
        ("device", "gpu", "device: found 'gpu'; cpu, cuda or cuda:i"),
        ("device", "cuda:", "device: found 'cuda:'; cpu, cuda or cuda:i"),
        ("device", "cuda:99", "device: found 'cuda:99'; this machine has"),
        ("seed", 1, "unknown key 'seed'; did you mean seeds"),
        ("games", [], "games: "),
        ("optimizers", "sgd[lr=nan],adm", "optimizers: 'sgd[lr=nan]': lr is nan; a finite number is allowed; unknown"),
        ("optimizers", ["sgd", 3], "optimizers.1: found 3; it must be a valid string"),
        ("optimizers", "sgd[lr=1", "optimizers: 'sgd[lr=1': a bracket is not closed"),
    ],
)
def test_one_mistake_is_one_line(key, value, says):
    (line,) = mistakes(**{key: value})
    assert line.startswith(says)


def test_all_mistakes_of_a_file_at_once(tmp_path):
    text = """
        optimizers = ["sgdd", {name = "adam", betta1 = 0.5}]
        games = "bilinear,rng8"
        seeds = "9-0"
        trials = 2
        budget = -1.0
        tuning_seds = 3
        jobs = 0
        device = "tpu"
    """
    with pytest.raises(UserError) as error:
        make_request(read_toml(file_of(tmp_path, text)))
    lines = str(error.value).splitlines()
    told = {line.partition(":")[0] for line in lines}
    keys = {"optimizers", "games", "seeds", "trials", "budget", "jobs", "device"}
    assert told == keys | {"unknown key 'tuning_seds'; did you mean tuning_seeds or roundings or untuned?"}
    assert len(lines) == len(told)
    (optimizers,) = [line for line in lines if line.startswith("optimizers")]
    assert "did you mean sgd" in optimizers
    assert "did you mean beta1" in optimizers


def test_tables(tmp_path):
    text = """
        optimizers = ["sgd", {name = "extragrad", lr = [0.1, 1e-3], direction = {name = "adam", beta1 = 0}}]
        games = [{name = "bilinear", dim = 2}]
        seeds = [1, 2]
        jobs = 3
        out = "here"
    """
    order = make_request(read_toml(file_of(tmp_path, text)))
    spelled = "extragrad[lr={0.1|0.001},direction=adam[beta1=0]]"
    assert order.study == study(optimizers=f"sgd,{spelled}", games="bilinear[dim=2]", seeds="1-2")
    assert (order.jobs, order.device, str(order.out)) == (3, "cpu", "here")


@pytest.mark.parametrize(("text", "says"), [("optimizers = ", "is not TOML"), (None, "No such file")])
def test_a_file_that_cannot_be_read(tmp_path, text, says):
    path = tmp_path / "no.toml" if text is None else file_of(tmp_path, text)
    with pytest.raises(UserError, match=says) as error:
        read_toml(path)
    assert "\n" not in str(error.value)


def test_sweeps_and_repetitions():
    assert study(optimizers="sgd[lr={0.1|0.2}], sgd[lr=0.1],adam").optimizers == ["sgd[lr=0.1]", "sgd[lr=0.2]", "adam"]


def test_the_name_is_decided_by_content_alone():
    named = study().name
    assert named.startswith("sgd-")
    assert study(optimizers=["sgd"], games=["dirac"], seeds="0-19").name == named
    for key, value in {"jobs": 3, "device": "cpu", "out": "elsewhere"}.items():
        assert make_request({"optimizers": "sgd", "games": "dirac", key: value}).study.name == named
    others = [study(seeds="0-8"), study(tune="full"), study(budget=29), study(evaluations=3), study(tuning_seeds=1)]
    others += [study(games="bilinear"), study(optimizers="sgd[lr=0.2]"), study(optimizers="sgd,adam")]
    assert len({named, *(other.name for other in others)}) == 1 + len(others)
    assert study(trials=32).name == named  # more trials go on where fewer were
    assert study(seeds="0-39", added_seeds=[15, 5]).name == named  # and more seeds where the first were


def test_a_plain_studys_folder_is_named_as_ever():
    """The name of a folder that an earlier version made: the settings that came since do not take part."""
    assert study(seeds="0-9").name == "sgd-63046384"


def test_groups_of_seeds():
    assert study(seeds="0-4").seed_groups == [[0, 1, 2, 3, 4]]
    assert study(seeds="3,1,0,7,5", added_seeds=[1, 2]).seed_groups == [[3, 1], [0], [7, 5]]


@pytest.mark.parametrize(
    ("added", "says"),
    [
        ([5], "added_seeds: found 5 of 5 seeds; fewer than there are seeds is allowed"),
        ([2, 4], "added_seeds: found 6 of 5 seeds"),
        ([0], "added_seeds.0: found 0; it must be"),
    ],
)
def test_wrong_groups_of_seeds(added, says):
    (line,) = mistakes(seeds="0-4", added_seeds=added)
    assert line.startswith(says)


def test_more_seeds_are_spelled_with_a_plus(tmp_path):
    for settings in ({"seeds": "+20"}, read_toml(file_of(tmp_path, 'seeds = " +20"'))):
        request = make_request({"optimizers": "sgd", "games": "dirac"} | settings)
        assert (request.add_seeds, request.study) == (20, study())
    with pytest.raises(ValidationError, match=r"bench.run\(study, add_seeds=20\) adds seeds to a run"):
        study(seeds="+20")


def test_a_name_is_a_folder_whatever_the_spelling():
    name = study(optimizers="sgd[lr=0.1,direction=adam[beta1=0.5]],ADAM".replace("ADAM", "adam")).name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_frozen_and_defaults():
    asked = bench.Study(optimizers="sgd")
    assert asked.games == DEFAULT_GAMES == ["bilinear", "dirac", "ring8", "digits"]
    assert asked.seeds == list(range(20))
    with pytest.raises(ValidationError):
        asked.trials = 3
    asked.games.append("x")
    assert bench.Study(optimizers="sgd").games == DEFAULT_GAMES  # a default is nobody's to change


def test_a_study_is_resolved_once(tmp_path, monkeypatch):
    """Its names are tried when it is made, and all that runs it shares one object a name; a chunk travels as text."""
    asked, make = [], build._build
    monkeypatch.setattr(build, "_build", lambda registry, spec: asked.append(str(spec)) or make(registry, spec))
    request = make_request({"optimizers": "sgd", "games": "dirac", "trials": 4, "budget": 20, "seeds": "0-1"})
    run = bench.run(request.study, out=tmp_path / "run")
    run.table(full=True)
    assert [asked.count(name) for name in ("sgd", "dirac")] == [2, 2]
