"""A game that changes as its budget is spent: it grows, what sleeps does not move, a rule's memory begins anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import bench
from bench.checks.game_laws import GAME_LAWS
from bench.contracts import Game, Oracle, State, StepSize, UpdateRule
from bench.execution.training import Training, execute
from bench.games.growing import Growing
from bench.metrics.evaluation import Evaluator
from bench.registry import get_game, get_rule
from bench.studies.plan import Task, report_rows

SMALL = "growing[channels=4,batch_size=16]"


def chunk(rule: str, game: str, budget: float, **settings: Any) -> Any:
    task = Task(rule, game, budget, 4, "cpu")
    return task.chunks(report_rows(range(2), {}), "report", **settings)[0]


def test_scales_fade_in_one_after_another() -> None:
    game: Any = get_game("growing[grown=0.4]")
    shares = {share: game.at(share).shares for share in (0, 0.1, 0.15, 0.2, 0.3, 0.35, 0.4, 1)}
    expected = {
        0: (0, 0),
        0.1: (0, 0),
        0.15: (0.5, 0),
        0.2: (1, 0),
        0.3: (1, 0),
        0.35: (1, 0.5),
        0.4: (1, 1),
        1: (1, 1),
    }
    for share, own in expected.items():
        assert shares[share] == pytest.approx(own, abs=1e-9), share
    assert [game.restarts(share) for share in (0, 0.05, 0.101, 0.25, 0.301, 1)] == [0, 0, 1, 1, 2, 2]
    assert get_game("growing[restart=false]").restarts(1) == 0
    assert game.shares == (1, 1)  # a game by itself is as it is judged at the end
    assert get_game("growing[grown=0]").at(0.0).shares == (1, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("share", [0.0, 0.15, 0.35])
@pytest.mark.parametrize("law", GAME_LAWS, ids=lambda law: law.__name__)
def test_it_obeys_the_laws_on_the_way(share: float, law: Any) -> None:
    law(get_game(SMALL).at(share))


def asleep(game: Game, w: Tensor) -> dict[str, bool]:
    """Whether the layers that make finer scales have no gradient."""
    field = Oracle(game, [0, 1])(w)
    generator: Any = game.generator  # type: ignore[attr-defined]
    names = [name for name, layer in zip(generator.names, generator.layers, strict=True) for _ in layer.shapes]
    moves: dict[str, bool] = {}
    for name, parameter in zip(names, game.tensors[0], strict=True):
        moves[name] = moves.get(name, False) or bool(field[:, parameter.columns].any())
    return {name: not moving for name, moving in moves.items()}


def test_what_sleeps_has_no_gradient_and_what_wakes_has() -> None:
    game = get_game(SMALL)
    w = game.init(torch.tensor([0, 1]))
    assert asleep(game.at(0), w) == {
        "first": False, "conv0": False, "conv1": True, "conv2": True, "image0": False, "image1": True, "image2": True,
    }  # fmt: skip
    assert not asleep(game.at(0.15), w)["conv1"]
    assert asleep(game.at(0.15), w)["conv2"]
    assert [name for name, sleeps in asleep(game, w).items() if sleeps] == ["image0", "image1"]


def test_samples_on_the_way_are_of_what_has_grown() -> None:
    """A coarse image has equal blocks of four by four pixels."""
    game: Any = get_game(SMALL)
    w, seeds = game.init(torch.tensor([0, 1])), torch.tensor([0, 1])
    image = game.at(0.05).generate(w, seeds, 16).view(2, 16, 8, 8)
    assert torch.equal(image, image[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3))
    assert not torch.equal(game.generate(w, seeds, 16).view(2, 16, 8, 8), image)


def test_an_oracle_with_a_budget_knows_how_far_it_is() -> None:
    game = get_game(SMALL)
    w = game.init(torch.tensor([0, 1]))
    F = Oracle(game, [0, 1], budget=10)
    assert torch.equal(F(w), Oracle(game.at(0), [0, 1])(w))
    F.gradients = 3.5
    F.new_batch()
    assert torch.equal(F(w), Oracle(game.at(0.35), [0, 1], draw=1)(w))
    F(w)  # within a step the minibatch and the game stay, however much is spent
    assert torch.equal(F(w), Oracle(game.at(0.35), [0, 1], draw=1)(w))


@dataclass(frozen=True)
class Counting(UpdateRule):
    """Descends, and counts its steps since its memory began."""

    lr: StepSize = 0.01
    name = "counting"

    def init(self, w: Tensor) -> State:
        return {"t": torch.zeros_like(w[:, :1])}

    def step(self, F: Oracle, w: Tensor, s: State) -> tuple[Tensor, State]:
        return w - self.lr * F(w), {"t": s["t"] + 1}


@pytest.mark.parametrize(("restart", "expected"), [("true", 15), ("false", 21)])
def test_a_rules_memory_begins_anew_where_networks_grow(
    restart: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 20 steps of 20 the last growth was at the 7th: 0.3 of the budget is 6, the first step beyond it."""
    training = Training(chunk("sgd", f"{SMALL[:-1]},restart={restart}]", 20.0), lambda cost: None, lambda: None)
    training.rule = Counting()
    training.s = training.rule.init(training.w)
    counts = []
    for _ in range(20):
        training.advance()
        counts.append(int(training.s["t"][0]))
    resets = [step for step, count in enumerate(counts) if count == 1]
    assert resets == ([0, 3, 7] if restart == "true" else [0])
    assert training.state_dict()["restarted"] == (2 if restart == "true" else 0)


def test_a_training_that_goes_on_from_the_middle_restarts_no_oftener() -> None:
    whole = Training(chunk("adam", SMALL, 20.0), lambda cost: None, lambda: None)
    half = Training(chunk("adam", SMALL, 20.0), lambda cost: None, lambda: None)
    for _ in range(9):
        whole.advance()
        half.advance()
    again = Training(chunk("adam", SMALL, 20.0), lambda cost: None, lambda: None)
    again.load_state_dict(half.state_dict())
    for _ in range(6):
        whole.advance()
        again.advance()
    assert torch.equal(whole.w, again.w)


def test_a_growing_training_is_recorded_with_what_has_grown() -> None:
    result = execute(chunk("adam[lr=0.01]", SMALL, 20.0))
    frames = result.tensors["samples"].float().view(-1, 36, 8, 8)
    cost = result.tensors["samples_cost"]
    coarse = frames[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3)
    equal = [torch.equal(frame, other) for frame, other in zip(frames, coarse, strict=True)]
    assert all(same == (spent <= 2) for same, spent in zip(equal, cost.tolist(), strict=True))


def test_an_evaluator_judges_anew_where_the_game_has_changed() -> None:
    game = get_game(SMALL)
    F = Evaluator(game.at(0), [0, 1])
    w = game.init(F.seeds)
    first = F.samples(w, 16)
    F.play(game.at(1))
    assert not torch.equal(F.samples(w, 16), first)
    assert torch.equal(F.samples(w, 16), game.generate(w, F.seeds, 16))


def test_games_that_do_not_change_are_themselves() -> None:
    game = get_game("ring8")
    assert game.at(0.3) is game
    assert isinstance(get_game(SMALL).at(0.3), Growing)
    assert get_rule("adam") == bench.get_rule("adam")
