"""A recorded step, replayed, is the step: over every rule, with a tape in the place of a CUDA graph."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from scripts import script
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.contracts import Oracle, State, UpdateRule
from bench.contracts.introspection import stacked
from bench.execution.cuda_graph import Recording, Step, Stepper
from bench.numerics.kernels.core import VARIABLE
from bench.registry import get_game, get_rule, rules

R, STEPS = 4, 6


@pytest.fixture(autouse=True)
def _torch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: a tape records operations of torch's, and a kernel is none."""
    monkeypatch.setenv(VARIABLE, "torch")


class Tape(TorchDispatchMode):
    """Like a CUDA graph: every operation once more, on the memory that it was recorded on."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, Any, Any, list[Any]]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, tree_leaves(out)))
        return out

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            for func, args, kwargs, given in self.done:
                for held, value in zip(given, tree_leaves(func(*args, **kwargs)), strict=True):
                    if isinstance(held, Tensor) and held is not value:
                        held.copy_(value)


class Tapes:
    """Records on tapes, and keeps them."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []

    def __call__(self, work: Callable[[], Step]) -> tuple[Recording, Step]:
        self.tapes.append(tape := Tape())
        with tape:
            given = work()
        return tape, given


def trained(rule: UpdateRule, step: Stepper, game: str = "ring8[width=8,batch_size=16]") -> tuple[list[Tensor], Oracle]:
    """Everything that a few steps lead through, and the oracle that has counted them."""
    played, seeds = get_game(game), torch.arange(R)
    F, w = Oracle(played, seeds, budget=2 * STEPS * rule.cost), played.init(seeds)
    s: State = rule.init(w)
    seen: list[Tensor] = []
    for _ in range(STEPS):
        w, s = step(rule, F, w, s)
        F.new_batch()
        seen += [w, *tree_leaves(s)]
    return seen, F


def counts(F: Oracle) -> tuple[float, float, int, int]:
    return F.gradients, F.products, F.draws, F.draw


def same(rule: UpdateRule, game: str = "ring8[width=8,batch_size=16]") -> Tapes:
    """Demand that replayed steps are the rule's own, bit for bit and count for count."""
    tapes = Tapes()
    (found, F), (expected, G) = trained(rule, Stepper(tapes), game), trained(rule, Stepper(None), game)
    assert counts(F) == counts(G)
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.nan_to_num(), b.nan_to_num())
    return tapes


@pytest.mark.parametrize("name", rules.names())
def test_replayed_steps_are_the_rules_own(name: str) -> None:
    game = get_game("ring8[width=8,batch_size=16]")
    same(stacked(get_rule(name), [{}] * R, game))


@pytest.mark.parametrize(
    "name", ["sgd", "adam", "ttur", "alternating", "extragrad", "extraadam", "consensus", "sga", "schedule"]
)
def test_usual_rules_are_replayed(name: str) -> None:
    game = get_game("ring8[width=8,batch_size=16]")
    (tape,) = same(stacked(get_rule(name), [{}] * R, game)).tapes
    assert tape.replays == STEPS + 1  # one to compare with the step itself


@pytest.mark.parametrize("game", ["bilinear[dim=3]", "digits", "ring8[loss=wgan-gp]", "ring8[spectral=true,width=8]"])
def test_on_other_games(game: str) -> None:
    same(stacked(get_rule("adam"), [{}] * R, get_game(game)), game)


@dataclass(frozen=True)
class Reading(UpdateRule):
    """Does what its memory says: a replay would do for ever what it said at first."""

    how: str = "item"

    def init(self, w: Tensor) -> State:
        return {"t": torch.zeros_like(w[:, :1])}

    def step(self, F: Oracle, w: Tensor, s: State) -> Step:
        t = s["t"] + 1
        shift = (1.0 if t[0].item() > 2 else -1.0) if self.how == "item" else float(len(t[t > 2]))
        return w - 0.01 * F(w) + shift, {"t": t}


@pytest.mark.parametrize("how", ["item", "truth"])
def test_a_step_that_reads_is_not_replayed(how: str) -> None:
    assert not same(Reading(how)).tapes


@dataclass(frozen=True)
class Growing(UpdateRule):
    """Remembers every field that it has seen."""

    def init(self, w: Tensor) -> State:
        return {"past": w.unsqueeze(1)}

    def step(self, F: Oracle, w: Tensor, s: State) -> Step:
        return w - 0.01 * F(w), {"past": torch.cat([s["past"], w.unsqueeze(1)], dim=1)}


def test_a_memory_that_changes_its_shape_is_not_replayed() -> None:
    (tape,) = same(Growing()).tapes
    assert tape.replays == 2  # the comparison, and the first step


def test_what_a_device_refuses_goes_on_as_it_is_written() -> None:
    def refused(work: Callable[[], Step]) -> tuple[Recording, Step]:
        raise RuntimeError("operation not permitted when stream is capturing")

    rule = stacked(get_rule("adam"), [{}] * R, get_game("ring8[width=8,batch_size=16]"))
    found, expected = (trained(rule, Stepper(record))[0] for record in (refused, None))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_recording_that_gives_something_else_is_thrown_away() -> None:
    class Idle:
        def replay(self) -> None: ...

    def idle(work: Callable[[], Step]) -> tuple[Recording, Step]:
        w, s = work()
        return Idle(), (w + 1, s)

    rule = stacked(get_rule("adam"), [{}] * R, get_game("ring8[width=8,batch_size=16]"))
    found, expected = (trained(rule, Stepper(record))[0] for record in (idle, None))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_another_stack_is_recorded_anew() -> None:
    game, tapes = get_game("ring8[width=8,batch_size=16]"), Tapes()
    step = Stepper(tapes)
    for replicas in (4, 2):
        rule, seeds = stacked(get_rule("adam"), [{}] * replicas, game), torch.arange(replicas)
        w = game.init(seeds)
        own, (mine, _) = (
            step(rule, Oracle(game, seeds), w, rule.init(w)),
            rule.step(Oracle(game, seeds), w, rule.init(w)),
        )
        assert torch.equal(own[0], mine)
    assert len(tapes.tapes) == 2


def test_the_script_that_measures_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    gpu = script("gpu")
    small = ["--game", "ring8[width=8,batch_size=16]", "--replicas", "4", "--rules", "adam"]
    monkeypatch.setattr("sys.argv", ["gpu.py", "--device", "cpu", *small])
    gpu.main()
    *_, row = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\| adam (\| [\d.e+]+ \([\d.e+]+-[\d.e+]+\) ){2}\|", row)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_script_says_that_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu.py"])
    with pytest.raises(SystemExit) as left:
        script("gpu").main()
    assert left.value.code == 2
    assert "this machine has 0 CUDA devices" in capsys.readouterr().err
