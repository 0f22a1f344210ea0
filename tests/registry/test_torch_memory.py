"""The law of optimizer classes from elsewhere: each equals a plain loop on a GAN, or is declined with its reason."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path

import own_optimizers
import pytest
import torch
from double_gan import Double
from torch import Tensor

from bench.checks.laws import RULE_LAWS, leaves
from bench.contracts import Game, Oracle
from bench.contracts.introspection import for_game, notices, stacked
from bench.errors import UserError
from bench.execution.training import _rows_of
from bench.registry import get_game, get_rule
from bench.registry.build import spell
from bench.registry.identity import plugin_code

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

RING = "ring8[width=16,batch_size=16]"
RATES, SEEDS, STEPS = (0.01, 0.1), (3, 8), 12
SHIPPED = [
    name
    for name, found in inspect.getmembers(torch.optim, inspect.isclass)
    if issubclass(found, torch.optim.Optimizer) and found is not torch.optim.Optimizer
]
ON_ITSELF = "it keeps {} on itself"
DECLINED = {
    "LBFGS": "closure",
    "Muon": "2D parameters",
    "SparseAdam": "dense gradients",
    "Held": "it keeps 'holder' on itself",
    "Iterating": "it keeps 'numbers' on itself",
    "OnClass": "it keeps 'count' on its class",
    "InModule": "it keeps 'CALLS' in its module",
    "Growing": "it keeps 'past', which takes another shape",
    "Noisy": "the random numbers of torch",
    "Dice": "the random numbers of Python",
    "TwoPhaseOnItself": r"a scheme: see `bench list optimizers`, extragrad",
    "TwoPhaseInGroup": r"a scheme: see `bench list optimizers`, extragrad",
    "TwoPhaseInState": r"a scheme: see `bench list optimizers`, extragrad",
    "Hessian": "does not require grad",
    "InPlace": "a leaf Variable that requires grad",
    "Exploding": "its steps are not finite",
    "NoRate": "it takes no lr",
    "Deaf": "its lr changes nothing",
}
OWN = [
    name
    for name, found in inspect.getmembers(own_optimizers, inspect.isclass)
    if issubclass(found, torch.optim.Optimizer) and name != "Own"
]
STACKED = {"Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD"}
NOT_PROPORTIONAL = ("Rprop", "ASGD", "own_optimizers.Bounded", "own_optimizers.Power")


def plain_loop(cls: type, game: Game, scheme: str, start: Tensor) -> Tensor:
    """Where a user's loop ends from w [R, n]: nn.Parameters, one optimizer a player, the discriminator's turn first."""
    F, w = Oracle(game, SEEDS), start.clone()
    loops = []
    for row, lr in enumerate(RATES):
        for tensors in game.tensors:
            params = [torch.nn.Parameter(w[row, t.columns].reshape(t.shape).clone()) for t in tensors]
            loops.append((row, tensors, params, cls(params, lr=lr)))
    for _ in range(STEPS):
        for turn in ((0, 1),) if scheme == "sgd" else ((1,), (0,)):
            g = F(w, None if len(turn) == 2 else turn[0])
            for (row, tensors, params, optimizer), player in zip(loops, (0, 1) * len(RATES), strict=True):
                if player not in turn:
                    continue
                for p, t in zip(params, tensors, strict=True):
                    p.grad = g[row, t.columns].reshape(t.shape).clone()
                optimizer.step()
                for p, t in zip(params, tensors, strict=True):
                    w[row, t.columns] = p.detach().flatten()
        F.new_batch()
    return w


def trained(spelled: str, game: Game) -> tuple[Tensor, Tensor]:
    """Where the suite starts and ends, at the two step sizes."""
    rule, F = stacked(get_rule(spelled), [{"lr": lr} for lr in RATES], game), Oracle(game, SEEDS)
    w = start = game.init(F.seeds)
    s = rule.init(w)
    for _ in range(STEPS):
        w, s = rule.step(F, w, s)
        F.new_batch()
    return start, w


@pytest.mark.parametrize("name", SHIPPED + [f"own_optimizers.{name}" for name in OWN])
def test_a_class_equals_a_plain_loop_or_is_declined(name: str) -> None:
    module, _, short = name.rpartition(".")
    if short in DECLINED:
        with pytest.raises(UserError, match=rf"torch\[{name}\] cannot be a direction.*{DECLINED[short]}") as error:
            get_rule(f"torch[{name}]")
        assert "\n" not in str(error.value)
        return
    cls, game = getattr(own_optimizers if module else torch.optim, short), get_game(RING)
    for scheme, tried in product(("sgd", "alternating"), (game, Double(RING))):
        start, end = trained(f"{scheme}[direction=torch[{name}]]", tried)
        right = plain_loop(cls, tried, scheme, start)
        way = (right - start).abs().max()
        assert way > 0
        assert (end - right).abs().max() <= (1e-6 if tried.dtype == torch.float64 else 1e-4) * way, scheme
    assert bool(notices(get_rule(f"torch[{name}]"))) == (short not in STACKED | {"WideOnly"})


@pytest.mark.parametrize("name", ["Counting", "Factored", "Trust", "Buffers", "Shared", "Slow", "OneEntry"])
def test_laws(name: str) -> None:
    for law in RULE_LAWS:
        law(get_rule(f"torch[own_optimizers.{name},lr=0.01]"), get_game("bilinear[dim=3]"))


def test_laws_on_a_gan() -> None:
    for law in RULE_LAWS:
        law(get_rule("torch[own_optimizers.Factored,lr=0.01]"), get_game(RING))


def test_a_memory_goes_on_bit_for_bit_in_other_rows() -> None:
    """As where a training drops rows or resumes: the memory alone, cloned, with a rule made anew."""
    game, spelled = get_game(RING), "torch[own_optimizers.Factored]"
    seeds, rates = (1, 2, 3, 4), [{"lr": lr} for lr in (0.1, 0.02, 0.03, 0.004)]
    rule, F = stacked(get_rule(spelled), rates, game), Oracle(game, seeds)
    w = game.init(F.seeds)
    s = rule.init(w)
    for _ in range(5):
        w, s = rule.step(F, w, s)
    rows = torch.tensor([3, 1])
    part = stacked(get_rule(spelled), [rates[row] for row in rows], game)
    v, t = w[rows].clone(), _rows_of(s, rows)
    for _ in range(5):
        w, s = rule.step(F, w, s)
        v, t = part.step(F.select(rows), v, t)
    assert torch.allclose(w[rows], v, rtol=1e-6, atol=1e-7)  # gradients of two rows beside those of four
    assert dict(leaves(t)).keys() == dict(leaves(s)).keys()
    for (_, a), (_, b) in zip(leaves(t), leaves(s), strict=True):
        assert (a.dtype, a.shape[1:]) == (b.dtype, b.shape[1:])


def test_shape_and_dtype_come_back() -> None:
    game = get_game(RING)
    memory = for_game(get_rule("torch[own_optimizers.Norms]"), game).init(game.init(torch.tensor([0])))
    assert {value.dtype for name, value in leaves(memory) if "tensors" in name} == {torch.float32}


@pytest.mark.parametrize("name", NOT_PROPORTIONAL)
@pytest.mark.parametrize("scheme", ["optimistic", "eag-c", "fbf", "schedule-free", "lookahead[inner=optimistic"])
def test_a_scheme_that_asks_for_a_step_alone_takes_only_proportional_classes(scheme: str, name: str) -> None:
    spelled = f"{scheme}[direction=torch[{name}]]" + "]" * ("[" in scheme)
    with pytest.raises(UserError, match=r"not proportional to its step size.*sgd, alternating, extragrad"):
        get_rule(spelled)
    get_rule(spelled.replace(name, "Adam"))
    get_rule(spelled.replace(name, "own_optimizers.Trust"))


@pytest.mark.parametrize("name", ["Slow", "Averaged"])
def test_a_class_that_goes_on_from_its_own_copy_is_for_schemes_that_go_on(name: str) -> None:
    for scheme in ("sgd", "alternating", "ttur", "ema[inner=sgd"):
        get_rule(f"{scheme}[direction=torch[own_optimizers.{name}]]" + "]" * ("[" in scheme))
    for scheme in ("extragrad", "past-extragrad", "lookahead[inner=sgd"):
        with pytest.raises(UserError, match="keeps a copy of the point"):
            get_rule(f"{scheme}[direction=torch[own_optimizers.{name}]]" + "]" * ("[" in scheme))


def test_a_long_slow_copy_is_seen() -> None:
    rule = get_rule("torch[own_optimizers.Slow,k=100]")
    assert "keeps a copy of the point" in rule.direction.notice


def test_a_class_that_mixes_entries_must_know_the_game() -> None:
    game, rule = get_game("bilinear[dim=3]"), get_rule("torch[own_optimizers.Trust,lr=0.1]")
    F = Oracle(game, [1, 2])
    w = game.init(F.seeds)
    with pytest.raises(UserError, match=r"for_game\(rule, game\)"):
        rule.init(w)
    bound = for_game(rule, game)
    assert bound == rule
    assert spell(bound) == spell(rule)
    bound.step(F, w, bound.init(w))
    assert "no layers, so each player is one vector" in notices(bound)[0]
    assert "no layers" not in notices(for_game(rule, get_game(RING)))[0]


def test_elementwise_classes_need_no_game() -> None:
    game = get_game("bilinear[dim=3]")
    F = Oracle(game, [1, 2])
    w = game.init(F.seeds)
    each = torch.tensor([[0.1], [0.3]], dtype=w.dtype)
    for name in ("Adam", "own_optimizers.Bounded"):
        direction = get_rule(f"torch[{name}]").direction
        s = direction.init(w)
        together, _ = direction.descend(F(w), s, w, each)
        for row in range(2):
            one, _ = direction.descend(F(w), s, w, float(each[row]))
            assert torch.allclose(together[row], one[row], atol=1e-12)
        assert torch.equal(direction.descend(F(w), s, w, each.expand_as(w))[0], together)


def test_what_no_small_network_tells_is_tried_on_the_games_own_tensors() -> None:
    """WideOnly is plain descent on the trial's small matrices."""
    rule = get_rule("torch[own_optimizers.WideOnly]")
    assert not notices(rule)
    assert notices(for_game(rule, get_game(RING)))
    assert not notices(for_game(rule, get_game("dirac")))


def test_a_class_with_a_step_size_of_its_own_gets_one_from_the_scheme() -> None:
    game = get_game("dirac")
    rule = for_game(get_rule("double-step-extragrad[direction=torch[own_optimizers.Warm],lr=0.01,gamma=0.1]"), game)
    F = Oracle(game, [1, 2])
    w = game.init(F.seeds)
    with pytest.raises(UserError, match="changes its own 'lr'"):
        rule.step(F, w, rule.init(w))


def test_an_edited_class_is_another(tmp_path: Path) -> None:
    """The class's file is part of a cell's identity, and what it imports from beside it; torch's own is not."""
    (tmp_path / "beside.py").write_text("FACTOR = 1.0\ndef scaled(g):\n    return FACTOR * g\n")
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom beside import scaled\n\nclass Mine(torch.optim.SGD):\n    def step(self, closure=None):\n"
        "        for p in self.param_groups[0]['params']:\n            p.grad = scaled(p.grad)\n"
        "        super().step()\n"
    )
    code = (
        "from bench.registry import get_rule; from bench.registry.identity import plugin_code; print(plugin_code({}))"
    )
    rule = "get_rule('extragrad[direction=torch[mine.Mine]]')"

    def now() -> str:
        path = f"{tmp_path}:{Path(__file__).parents[2]}"
        done = subprocess.run(
            [sys.executable, "-B", "-c", code.format(rule)], capture_output=True, text=True, check=True,
            env={"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        return done.stdout

    first = now()
    assert now() == first != "\n"
    (tmp_path / "beside.py").write_text("FACTOR = 0.5\ndef scaled(g):\n    return FACTOR * g\n")
    second = now()
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "\n# edited\n")
    assert len({first, second, now()}) == 3
    assert plugin_code(get_rule("extragrad[direction=torch[RMSprop]]")) == ""


def test_an_installed_package_counts_by_its_version() -> None:
    pytest.importorskip("pytorch_optimizer", reason="the package pytorch-optimizer is not installed")
    assert f"=={version('pytorch_optimizer')}" in plugin_code(get_rule("torch[pytorch_optimizer.Lamb]"))
