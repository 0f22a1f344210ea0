"""The stacked engine against the loop that a user would write: replica-steps a second, as a ratio in one process.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_engine.py --benchmark-only

Both sides train the same networks on the same batch size; measurements alternate, so that a noisy neighbour hits both.
"""

from __future__ import annotations

import itertools
from statistics import median
from time import perf_counter
from typing import Any

import pytest
import torch
from torch import nn

from bench.execute import hold_memory, stacked
from bench.oracle import Oracle
from bench.registry import get_game, get_rule

R = 32
ROUNDS = 7


class Loop:
    """Two nn.Modules, two torch.optim.Adam, one seed: simultaneous steps on the non-saturating loss."""

    def __init__(self, game: Any, seed: int) -> None:
        torch.manual_seed(seed)
        self.game = game
        widths = [game.width] * game.depth
        self.G = self._mlp([game.latent, *widths, 2], nn.ReLU)
        self.D = self._mlp([2, *widths, 1], lambda: nn.LeakyReLU(0.2))
        self.opt_G = torch.optim.Adam(self.G.parameters(), lr=1e-3, betas=(0.5, 0.999))
        self.opt_D = torch.optim.Adam(self.D.parameters(), lr=1e-3, betas=(0.5, 0.999))
        self.bce = nn.BCEWithLogitsLoss()
        self.modes = game.modes

    @staticmethod
    def _mlp(widths: list[int], activation: Any) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Linear(a, b)] + ([activation()] if i < len(widths) - 2 else [])
        return nn.Sequential(*layers)

    def step(self) -> None:
        batch = self.game.batch_size
        real = self.modes[torch.randint(8, (batch,))] + 0.01 * torch.randn(batch, 2)
        fake = self.G(torch.randn(batch, self.game.latent))
        ones, zeros = torch.ones(batch, 1), torch.zeros(batch, 1)
        loss_D = self.bce(self.D(real), ones) + self.bce(self.D(fake.detach()), zeros)
        loss_G = self.bce(self.D(fake), ones)
        self.opt_G.zero_grad()
        loss_G.backward()
        self.opt_D.zero_grad()
        loss_D.backward()
        self.opt_D.step()
        self.opt_G.step()


class Stack:
    """R replicas of `adam` on the game, as the engine trains them."""

    def __init__(self, game: Any) -> None:
        self.rule = stacked(get_rule("adam"), [{}] * R, game)
        seeds = torch.arange(R)
        self.w, self.F = game.init(seeds), Oracle(game, seeds)
        self.s = self.rule.init(self.w)

    def step(self) -> None:
        self.w, self.s = self.rule.step(self.F, self.w, self.s)
        self.F.new_batch()


def seconds(step: Any, steps: int) -> float:
    start = perf_counter()
    for _ in range(steps):
        step()
    return perf_counter() - start


@pytest.mark.parametrize(("width", "batch"), [(32, 64), (64, 64), (128, 128)])
def test_stacked_adam_against_the_plain_loop(benchmark: Any, width: int, batch: int) -> None:
    torch.set_num_threads(1)
    hold_memory()
    game = get_game(f"ring8[width={width},batch_size={batch}]")
    loop, stack = Loop(game, 0), Stack(game)
    seconds(loop.step, 30), seconds(stack.step, 30)
    ratios, rates = [], []
    for _ in range(ROUNDS):  # interleaved
        alone, together = seconds(loop.step, 100), seconds(stack.step, 64)
        rates.append(64 * R / together)
        ratios.append(rates[-1] / (100 / alone))
    benchmark.pedantic(lambda: seconds(stack.step, 16), rounds=5)
    benchmark.extra_info |= {"ratio to the plain loop": median(ratios), "replica-steps a second": median(rates)}
    print(f"\nring8 width {width} batch {batch} R {R}: {median(ratios):.1f} times the plain loop")
    assert median(ratios) > 1
