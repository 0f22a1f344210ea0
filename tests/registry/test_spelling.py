"""Spellings: what is written is read back; a mistake is one line that says what, found, allowed, nearest."""

import re
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.errors import UserError
from bench.registry import directions, games, get_game, get_metric, get_rule, metrics, rules
from bench.registry import discovery as plugins
from bench.registry.build import spell
from bench.registry.spelling import Argument, Spec, expand, parse, read, split, write

RULE = '''"""A normalised step."""
from bench import UpdateRule
from bench.contracts import StepSize


class MyRule(UpdateRule):
    """w+ = w - lr F(w) / |F(w)|"""

    lr: StepSize = 0.1

    def step(self, F, w, s):
        g = F(w)
        return w - self.lr * g / g.norm(dim=1, keepdim=True), s
'''

names = st.text("abcdef-1", max_size=6).map("s".__add__)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
pairs = st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2)
keys = st.just("") | st.text("xyz_2", max_size=4).map("k".__add__)


def spellings(values):
    return st.builds(Spec, names, st.dictionaries(keys, values, max_size=3))


nested = st.recursive(numbers | pairs | st.booleans() | names.map(Spec), spellings, max_leaves=8)


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
    (tmp_path / "my_rule.py").write_text(RULE)
    return tmp_path


# What is written is read


@given(spellings(nested))
def test_round_trip(spelled):
    assert parse(str(spelled)) == spelled


@given(st.lists(spellings(nested), max_size=3))
def test_a_list_splits_at_its_own_commas(found):
    assert split(",".join(map(str, found))) == [str(one) for one in found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1e-3", 0.001),
        ("True", True),
        ("1:-2", (1.0, -2.0)),
        ("1:2:3", Spec("1:2:3")),
        ("inception:/a b=c/1e3", Spec("inception", {"": Argument("/a b=c/1e3")})),
        ("./a.py:B", Spec("./a.py:B")),
    ],
)
def test_values(text, value):
    assert read(text) == value
    assert type(read(text)) is type(value)
    assert read(write(value)) == value


def test_nesting():
    spelled = parse(" lookahead[ inner=alternating[direction=adam[beta-1=0.5]] , steps=5] ")
    inner = Spec("alternating", {"direction": Spec("adam", {"beta_1": 0.5})})
    assert spelled == Spec("lookahead", {"inner": inner, "steps": 5})


def test_sweeps():
    assert expand("sgd") == ["sgd"]
    assert expand("{sgd|adam[lr={1|2}]}") == ["sgd", "adam[lr=1]", "adam[lr=2]"]
    assert expand("a[x={1|2},y={b[z=3]|c}]") == [f"a[x={x},y={y}]" for x in (1, 2) for y in ("b[z=3]", "c")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name is missing"),
        ("[lr=1]", "name is missing"),
        ("sgd[lr=1", "not closed"),
        ("sgd[lr=1}", "'}' without"),
        ("sgd[lr={1]", "']' without"),
        ("sgd]", "']' without"),
        ("sgd[lr=1]x", "nothing may follow"),
        ("sgd[lr=]", "'lr' has no value"),
        ("sgd[lr=1,lr=2]", "'lr' stands twice"),
        ("sgd[lr=nan]", "lr is nan; a finite number"),
        ("sgd[lr=1e999]", "lr is 1e999; a finite number"),
        ("sgd[lr={}]", "empty choice"),
        ("sgd[lr={1|}]", "empty choice"),
    ],
)
def test_mistakes(text, says):
    with pytest.raises(UserError, match=re.escape(says)) as error:
        list(map(parse, expand(text)))
    assert "\n" not in str(error.value)


# From a spelling to the thing


@pytest.mark.parametrize("name", rules.names())
def test_every_rule_is_given_back_by_its_complete_spelling(name):
    assert get_rule(spell(get_rule(name))) == get_rule(name)


@pytest.mark.parametrize("name", games.names())
def test_every_game_is_given_back_by_its_complete_spelling(name):
    assert get_game(spell(get_game(name))) == get_game(name)


@given(st.floats(0, 1e6), st.floats(0, 1), st.floats(0, 1), st.booleans(), st.integers(0, 50))
def test_values_survive_bit_for_bit(lr, beta1, other, scaled, k):
    text = f"alternating[lr={write(lr)}:{write(other)},direction=adam[{write(beta1)},scaled_eps={write(scaled)}]"
    rule = get_rule(f"{text},discriminator-steps={k}]")
    assert (rule.lr, rule.direction.beta1, rule.direction.scaled_eps) == ((lr, other), beta1, scaled)
    assert rule.discriminator_steps == k
    assert get_rule(spell(rule)) == rule


def test_presets_take_the_keys_of_their_direction():
    assert get_rule("adam[beta1=0.9,lr=0.1]") == get_rule("sgd[lr=0.1,direction=adam[beta1=0.9]]")
    assert get_rule("extraadam[beta1=0]").direction.beta2 == 0.9
    assert get_rule("extragrad[direction=adam]") == get_rule("extraadam[beta2=0.999]")


def test_a_value_alone_is_the_first_fields():
    assert get_rule("sgd[0.3]").lr == 0.3
    assert get_game("bilinear[3]").dim == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sgdd", "unknown optimizer 'sgdd'; did you mean sgd"),
        ("adam[betta1=0]", "'adam' has no 'betta1'; did you mean beta1"),
        ("sgd[direction=adm]", "unknown direction 'adm'; did you mean adam"),
        ("sgd[direction=adam[bta1=0]]", "'adam' has no 'bta1'; did you mean beta1"),
        ("zzzzzzzz", r"known: .*\badam, .*\bsgd\b"),
        ("sgd[lr=-1]", r"sgd: lr is -1; a step size in \[0, inf\]"),
        ("adam[lr=1:-1]", r"adam: lr is 1:-1; a step size in"),
        ("adam[beta2=1.5]", r"beta2 is 1.5; a decay in \[0, 1\]"),
        ("sgd[lr=fast]", "lr is fast; a number"),
        ("sgd[lr=true]", "lr is true; a number"),
        ("sgd[lr=1:2:3]", "lr is 1:2:3; a number"),
        ("extragrad[fresh=1]", "fresh is 1; true or false"),
        ("alternating[discriminator_steps=1.5]", "is 1.5; a whole number"),
        ("sgd[direction=1]", "direction is 1; a name"),
        ("sgd[0.1,lr=0.2]", "'lr' stands twice"),
    ],
)
def test_wrong_rules(text, says):
    with pytest.raises(UserError, match=says):
        get_rule(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ring", "unknown game 'ring'; did you mean ring8"),
        ("bilinear[dims=2]", "'bilinear' has no 'dims'; did you mean dim"),
        ("bilinear[dim=2.5]", "dim is 2.5; a whole number"),
        ("bilinear[condition=1:2]", "condition is 1:2; a number"),
        ("bilinear[dim=0]", "dim is 0"),
        ("ring8[loss=saturating]", "loss is 'saturating'; did you mean non-saturating"),
    ],
)
def test_wrong_games(text, says):
    with pytest.raises(UserError, match=says):
        get_game(text)


def test_an_unknown_metric_gives_the_nearest():
    with pytest.raises(UserError, match="unknown metric 'field_nrom'; did you mean field_norm"):
        get_metric("field_nrom")


# Plug-ins


def test_a_name_belongs_to_one_place(registries):
    with pytest.raises(UserError, match=r"'sgd' is defined twice: in .*sgd\.py:Simultaneous and in .*test_spelling.py"):
        bench.rule("sgd")(type("Other", (bench.UpdateRule,), {"__module__": __name__}))
    assert get_rule("sgd").step.__module__ == "optimizers.sgd"


def test_a_rule_by_path_runs(folder):
    study = bench.Study(optimizers="./my_rule.py:MyRule,sgd", games="dirac", seeds="0-2", trials=4, budget=20)
    run = bench.run(study, out="run")
    assert set(run.table(full=True)["optimizer"]) == {"./my_rule.py:MyRule", "sgd"}
    assert set(run.records["outcome"]) <= {"ok", "diverged"}
    rule = get_rule("./my_rule.py:MyRule[lr=0.5]")
    assert rule.lr == 0.5
    assert get_rule(spell(rule)) == rule


def test_a_decorated_rule_by_path_is_spelled_by_its_path(folder):
    text = RULE.replace("class", "@rule('mine')\nclass").replace("import UpdateRule", "import UpdateRule, rule")
    (folder / "decorated.py").write_text(text)
    assert spell(get_rule("./decorated.py:MyRule")) == "./decorated.py:MyRule[lr=0.1]"
    assert get_rule("mine") == get_rule("./decorated.py:MyRule")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("./no.py:MyRule", "there is no file './no.py'"),
        ("./my_rule.py:MyRul", "has no 'MyRul'; did you mean MyRule"),
        ("./my_rule.py:StepSize", "is no optimizer"),
        ("./broken.py:MyRule", "plug-in 'broken.py' raised SyntaxError"),
        ("./raises.py:MyRule", "plug-in 'raises.py' raised ZeroDivisionError"),
    ],
)
def test_wrong_paths(folder, text, says):
    (folder / "broken.py").write_text("def")
    (folder / "raises.py").write_text("1 / 0")
    with pytest.raises(UserError, match=says) as error:
        get_rule(text)
    assert "\n" not in str(error.value)


def test_entry_points(folder, monkeypatch):
    """A group may hold decorated and plain rules and directions; each registry takes its own, once."""
    text = RULE + "\n\nfrom bench.registry import direction, rule\n\n"
    text += "@rule('decorated')\nclass Other(MyRule):\n    '''w'''\n\n\n"
    text += "@direction('sign')\nclass Sign(__import__('bench').contracts.Direction):\n"
    text += "    '''d'''\n    def __call__(self, g, s, w):\n        return g.sign(), s\n"
    (folder / "a_plugin_package.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    named = {"plain-rule": "MyRule", "decorated": "Other", "sign": "Sign"}
    found = [EntryPoint(name, f"a_plugin_package:{thing}", "bench.rules") for name, thing in named.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found if group == "bench.rules" else [])
    for registry in (rules, directions):
        monkeypatch.setattr(registry, "loaded", False)
    assert {"plain-rule", "decorated"} <= set(rules.names())
    assert "sign" not in rules.names()
    assert "sign" in directions.names()
    assert not {"plain-rule", "decorated"} & set(directions.names())
    assert spell(get_rule("plain-rule[lr=1]")) == "plain-rule[lr=1]"
    assert spell(get_rule("sgd[direction=sign]")) == "sgd[lr=0.1,direction=sign]"


def test_a_broken_entry_point_is_named(registries, monkeypatch):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("x", "no_such_package:Rule", group)])
    monkeypatch.setattr(rules, "loaded", False)
    with pytest.raises(UserError, match=r"plug-in 'x' \(no_such_package:Rule\) raised ModuleNotFoundError"):
        rules.load()
