"""Step sizes by the share of the budget: against torch's schedulers, and what a training does to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, inf, pi
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import lr_scheduler

from bench.contracts import Game, Oracle, hyperparameters
from bench.contracts.introspection import stacked, with_values
from bench.errors import UserError
from bench.execution.training import Training, execute
from bench.numerics.randomness import normal
from bench.registry import get_game, get_rule
from bench.studies.plan import Row, Task, tunable

STEPS, LR = 40, 0.02
RING = "ring8[width=16,batch_size=16]"
SILENT: Any = (lambda cost: None, lambda: None)


@dataclass(frozen=True)
class SmallGAN(Game):
    """theta = (a, b) makes a + b tanh(z), and psi = (u, v, c) judges x by u tanh(v x + c); in float64."""

    sizes = (2, 3)
    dtype = torch.float64

    def init(self, seeds: Tensor) -> Tensor:
        return normal(seeds, "start", 0, (5,), torch.float64, block=1)

    def batch(self, seeds: Tensor, draw: int) -> dict[str, Tensor]:
        return {key: normal(seeds, key, draw, (16,), torch.float64, block=1) for key in ("z", "real")}

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        theta, psi = players
        fake = theta[:, :1] + theta[:, 1:] * batch["z"].tanh()
        of_real, of_fake = (psi[:, :1] * torch.tanh(psi[:, 1:2] * x + psi[:, 2:]) for x in (2 + batch["real"], fake))
        return softplus(-of_fake).mean(1), (softplus(-of_real) + softplus(of_fake)).mean(1)


GAME = SmallGAN()
Scheduler = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]


def halved(k: int) -> float:
    """CycleGAN's: constant, then linearly to 0 over the second half."""
    return min(1.0, 2 * (1 - k / STEPS))


def warm_cosine(k: int) -> float:
    """Ten steps up, then half a cosine down to a tenth."""
    return min(1.0, (k + 1) / 10) * (0.1 + 0.9 * (1 + cos(pi * max(0, k - 10) / 30)) / 2)


SCHEDULES: dict[str, Scheduler] = {
    "schedule[": lambda o: lr_scheduler.LambdaLR(o, halved),
    "schedule[begin=0,": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS),
    "schedule[begin=0,end=0.3,": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.3, STEPS),
    "cosine-schedule[": lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    "cosine-schedule[end=0.25,": lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, LR / 4),
    "exponential-schedule[": lambda o: lr_scheduler.ExponentialLR(o, 0.01 ** (1 / STEPS)),
    "schedule[shape=constant,warm_up=0.25,": lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 9),
    "cosine-schedule[end=0.1,warm_up=0.25,": lambda o: lr_scheduler.LambdaLR(o, warm_cosine),
}


@pytest.mark.parametrize("scheme", ["sgd", "alternating"])
@pytest.mark.parametrize("direction", ["plain", "adam"])
@pytest.mark.parametrize("spelled", SCHEDULES)
def test_equals_a_plain_loop_with_torchs_scheduler(spelled: str, direction: str, scheme: str) -> None:
    rule = get_rule(f"{spelled}inner={scheme}[lr={LR},direction={direction}]]")
    F = Oracle(GAME, [4, 5], budget=STEPS * rule.cost)
    w = GAME.init(F.seeds)
    rule = stacked(rule, [{}, {}], GAME)
    theta, psi = (w[0, block].clone().requires_grad_() for block in F.blocks)
    players = [
        torch.optim.SGD([p], lr=LR) if direction == "plain" else torch.optim.Adam([p], lr=LR, betas=(0.5, 0.999))
        for p in (theta, psi)
    ]
    schedulers = [SCHEDULES[spelled](player) for player in players]
    s = rule.init(w)
    for step in range(STEPS):
        batch = {key: value[:1] for key, value in GAME.batch(F.seeds, F.draw).items()}
        w, s = rule.step(F, w, s)
        F.new_batch()
        psi.grad = torch.autograd.grad(GAME.losses((theta[None], psi[None]), batch)[1].sum(), psi)[0]
        if scheme == "alternating":
            players[1].step()
        theta.grad = torch.autograd.grad(GAME.losses((theta[None], psi[None]), batch)[0].sum(), theta)[0]
        if scheme == "sgd":
            players[1].step()
        players[0].step()
        for scheduler in schedulers:
            scheduler.step()
        assert (w[0] - torch.cat([theta, psi]).detach()).abs().max() < 1e-12, step
    assert (w[0] - GAME.init(F.seeds)[0]).norm() > 0.05, "it moved"


def scaled(spelled: str, share: float, steps: float = 100.0) -> dict[str, float]:
    """The step sizes of the inner rule at a share of the budget, by path."""
    rule: Any = get_rule(spelled)
    F = Oracle(get_game("dirac"), [0, 1], budget=steps * rule.cost)
    F.gradients = share * F.budget
    now = rule._scheduled(F, torch.zeros(2, 2, dtype=torch.float64))
    found = hyperparameters(now)
    changed = {path: value for path, (_, value) in found.items() if isinstance(value, Tensor)}
    assert set(changed) == {path for path, (kind, _) in found.items() if kind.step_size}
    return {path: value[0].item() for path, value in changed.items()}


def test_every_step_size_of_the_inner_rule_and_nothing_else() -> None:
    assert scaled("schedule[inner=ttur]", 0.75) == pytest.approx({"lr_g": 5e-4, "lr_d": 2e-3})
    assert scaled("schedule[inner=double-step-extragrad]", 0.9) == pytest.approx({"lr": 0.02, "gamma": 0.1})
    assert scaled("schedule[inner=ema[inner=lookahead[inner=adam]]]", 0.75) == pytest.approx({"inner.inner.lr": 5e-4})
    assert scaled("schedule", 0.5) == scaled("schedule", 0.0) == {"lr": pytest.approx(0.1)}
    assert scaled("schedule[begin=1]", 0.99) == {"lr": pytest.approx(0.1)}
    assert scaled("cosine-schedule[warm_up=0.1]", 0.0) == {"lr": pytest.approx(0.01)}, "a tenth, of ten steps"
    assert scaled("cosine-schedule[warm_up=0.1]", 0.1) == {"lr": pytest.approx(0.1)}


def test_schedules_in_schedules_multiply() -> None:
    """And a wrapper around one makes a step of the right size at the right time."""
    game = get_game("bilinear[dim=2]")
    for spelled in (
        "schedule[begin=0,inner=schedule[begin=0,inner=sgd]]",
        "average[inner=schedule[begin=0,inner=sgd]]",
    ):
        rule, F = get_rule(spelled), Oracle(game, [0, 1], budget=4.0)
        w = game.init(F.seeds)
        s = rule.init(w)
        for factor in (1, 3 / 4, 2 / 4, 1 / 4):
            expected = w - 0.1 * (factor**2 if spelled.startswith("schedule") else factor) * Oracle(game, [0, 1])(w)
            w, s = rule.step(F, w, s)
            assert torch.allclose(w, expected, rtol=0, atol=1e-14)


def test_without_a_budget_step_sizes_stay() -> None:
    F = Oracle(get_game("dirac"), [0])
    assert (F.budget, F.share) == (inf, 0)
    rule: Any = get_rule("schedule[warm_up=0.3,inner=lead]")
    assert rule._scheduled(F, torch.zeros(1, 2)) is rule.inner


def test_what_is_no_schedule() -> None:
    with pytest.raises(UserError, match=r"shape is 'cubic'; .*linear"):
        get_rule("schedule[shape=cubic]")
    with pytest.raises(UserError, match="end is 0; an exponential"):
        get_rule("schedule[shape=exponential]")
    with pytest.raises(UserError, match=r"a fraction in \[0, 1\]"):
        get_rule("schedule[begin=1.5]")


def test_its_numbers_are_tuned_like_any() -> None:
    assert set(tunable("schedule")) == {"inner.lr"}
    assert set(tunable("schedule", "full")) == {"inner.lr", "begin", "end", "warm_up"}
    assert set(tunable("schedule[begin=0.3,end=0.1]", "full")) == {"inner.lr", "warm_up"}


# --- in a training ---------------------------------------------------------------------------------------------------


def chunk(rule: str, game: str, rows: list[Row], budget: float = 40, phase: str = "report") -> Any:
    (found,) = Task(rule, game, budget, evaluations=10, device="cpu").chunks(rows, phase)
    return found


def test_a_training_tells_the_share_of_its_budget() -> None:
    training = Training(chunk("alternating[discriminator_steps=3]", "dirac", [Row(0, ())] * 2), *SILENT)
    shares = []
    for _ in range(3):
        shares.append(training.F.share)
        training.advance()
    assert shares == [0, 0.05, 0.1]
    assert training.F.select(torch.tensor([0])).share == training.F.share == pytest.approx(0.15)
    again = Training(training.chunk, *SILENT)
    again.load_state_dict(training.state_dict())
    assert again.F.share == training.F.share


@pytest.mark.parametrize("rule", ["cosine-schedule[inner=adam,warm_up=0.2]", "exponential-schedule[inner=extraadam]"])
def test_a_replicas_bits_do_not_depend_on_packing(rule: str) -> None:
    """Nor on the schedules of the others in its stack."""
    rows = [Row(seed, (("end", end), ("inner.lr", 0.01))) for seed, end in enumerate((0.1, 0.9, 0.5, 0.2, 0.7))]
    together, apart = (execute(chunk(rule, RING, some)) for some in (rows, [rows[1], rows[4]]))
    found, alone = (pd.DataFrame(result.records).drop(columns=["seconds", "row"]) for result in (together, apart))
    found = found[found["seed"].isin([1, 4])].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, alone, check_exact=True)


def test_a_rule_around_it_may_set_its_numbers() -> None:
    rule: Any = with_values(get_rule("schedule"), {"inner.lr": 0.5, "begin": 0.1})
    assert (rule.inner.lr, rule.begin, rule._step_sizes) == (0.5, 0.1, ["lr"])
