"""Optimizer classes from elsewhere as directions: what stacks, what runs one by one, what is declined and why."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.checks.laws import RULE_LAWS
from bench.contracts import Oracle
from bench.contracts.introspection import for_game, notices
from bench.errors import UserError
from bench.registry import get_game, get_rule
from bench.registry.build import spell

SHIPPED = [
    name
    for name, found in inspect.getmembers(torch.optim, inspect.isclass)
    if issubclass(found, torch.optim.Optimizer) and found is not torch.optim.Optimizer
]
DECLINED = {"LBFGS": "closure", "Muon": "2D parameters", "SparseAdam": "dense gradients"}
ONE_BY_ONE = {"ASGD", "Adafactor", "Rprop"}

PACKAGE = '''
import torch


class Clipped(torch.optim.Optimizer):
    """A step clipped by the norm of the whole parameter; it counts in its group and keeps a last gradient."""

    def __init__(self, params, lr=0.1, most=1.0):
        super().__init__(params, {"lr": lr, "most": most})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            group["step"] = group.get("step", 0) + 1
            for p in group["params"]:
                last = self.state[p].setdefault("last", torch.zeros_like(p))
                g = p.grad + 0.5 * last
                p.add_(g * min(1.0, group["most"] / max(1e-12, float(g.norm()))), alpha=-group["lr"] / group["step"])
                last.copy_(p.grad)


class Listed(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        for p in self.param_groups[0]["params"]:
            self.state[p].setdefault("past", []).append(p.grad)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_package_of_optimizers.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_class_of_torch_optim_is_a_direction_or_says_why_not(name: str) -> None:
    if name in DECLINED:
        with pytest.raises(UserError, match=rf"torch\[{name}\] cannot be a direction.*{DECLINED[name]}") as error:
            get_rule(f"torch[{name}]")
        assert "\n" not in str(error.value)
        return
    rule = get_rule(f"torch[{name}]")
    assert bool(rule.direction.notice) == (name in ONE_BY_ONE)
    assert get_rule(spell(rule)) == rule
    for law in RULE_LAWS:
        law(rule, get_game("bilinear[dim=3]"))


def test_a_class_of_another_package(package: None) -> None:
    rule = get_rule("extragrad[direction=torch[a_package_of_optimizers.Clipped,most=0.5],lr=0.3]")
    assert "one replica at a time" in rule.direction.notice
    for law in RULE_LAWS:
        law(rule, get_game("bilinear[dim=3]"))
    with pytest.raises(UserError, match="keeps 'past', which takes another shape again and again"):
        get_rule("torch[a_package_of_optimizers.Listed]")


def test_what_a_class_keeps_in_its_group_is_kept(package: None) -> None:
    """The step counts in the group: its length falls as 1/t, so forgetting would show."""
    game = get_game("dirac")
    F = Oracle(game, [1, 2])
    w = game.init(F.seeds)
    import a_package_of_optimizers

    rule = for_game(get_rule("torch[a_package_of_optimizers.Clipped,lr=0.5]"), game)
    players = [w[0, :1].clone().requires_grad_(), w[0, 1:].clone().requires_grad_()]
    alone = [a_package_of_optimizers.Clipped([player], lr=0.5) for player in players]
    s = rule.init(w)
    for _ in range(50):
        g = Oracle(game, [1])(torch.cat(players).detach()[None])[0]
        for player, part, optimizer in zip(players, (g[:1], g[1:]), alone, strict=True):
            player.grad = part
            optimizer.step()
        w, s = rule.step(F, w, s)
    assert torch.allclose(w[0], torch.cat(players).detach(), atol=1e-12)


@pytest.mark.parametrize("name", ["AdaBelief", "Lion"])
def test_a_published_package(name: str) -> None:
    """Its classes follow the papers as the directions here do: the same steps, but for where AdaBelief adds eps."""
    pytest.importorskip("pytorch_optimizer", reason="the package pytorch-optimizer is not installed")
    game = get_game("bilinear[dim=3]")
    theirs = get_rule(f"torch[pytorch_optimizer.{name},betas=0.5:0.9,weight_decay=0,lr=0.01]")
    ours = get_rule(f"{name.lower()}[beta1=0.5,beta2=0.9,lr=0.01]")
    F = Oracle(game, [1, 2])
    w = v = game.init(F.seeds)
    s, t = theirs.init(w), ours.init(v)
    for _ in range(20):
        (w, s), (v, t) = theirs.step(F, w, s), ours.step(F, v, t)
    assert torch.allclose(w, v, atol=1e-6)
    assert not torch.allclose(w, game.init(F.seeds), atol=0.01)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("torch[Adm]", r"torch\[Adm\]: no optimizer class; did you mean Adam"),
        ("torch[no_such_package.Adam]", "'no_such_package' cannot be imported"),
        ("torch[Adam,beta1=0.5]", "has no 'beta1'; did you mean betas"),
        ("torch[Adam,betas=0.5]", "cannot be a direction.*TypeError"),
        ("sgd[direction=torch[SGD,lr=0.1]]", "lr is the scheme's"),
        ("torch[Optimizer]", "no optimizer class"),
    ],
)
def test_mistakes(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        get_rule(text)
    assert "\n" not in str(error.value)


def test_the_command_says_that_replicas_are_not_stacked(call: Callable[..., tuple[int, str, str]]) -> None:
    assert notices(get_rule("lookahead[inner=extragrad[direction=torch[Adafactor]]]")) == [
        "torch[Adafactor] mixes the entries of a parameter: it runs one replica at a time"
    ]
    arguments = "run --optimizers torch[Adafactor],sgd --games dirac --budget 20 --seeds 0-1 --trials 0 --jobs 1"
    code, _, err = call(*arguments.split())
    assert code == 0
    assert "note: torch[Adafactor] mixes the entries" in err


def test_step_sizes_fit_the_class() -> None:
    """A class whose steps do not shrink with the gradient is searched where Adam is, another where plain descent is."""
    assert get_rule("torch[Adam]").lr == get_rule("adam").lr
    assert get_rule("torch[SGD]").lr == get_rule("sgd").lr
    assert get_rule("torch[SGD,momentum=0.9,lr=0.3]").lr == 0.3
