"""What a rule takes beyond its gradient evaluations: its seconds for one of them beside those of ``sgd``.

Both are measured in turn in one process on one thread, so that a noisy neighbour hits both: a ratio, no rate.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

import torch

from bench.contracts import Oracle
from bench.contracts.introspection import stacked
from bench.numerics.runtime import hold_memory, one_thread
from bench.registry import get_game, get_rule, rules
from bench.registry.spelling import parse

GAME, PLAIN = "ring8", "sgd"
REPLICAS = 32
ROUNDS = 7
COST = 24  # gradient evaluations a measurement


class Stepping:
    """Replicas of a rule on the game, stepped without being judged."""

    def __init__(self, spelled: str) -> None:
        game = get_game(GAME)
        self.rule, seeds = stacked(get_rule(spelled), [{}] * REPLICAS, game), torch.arange(REPLICAS)
        self.w, self.F = game.init(seeds), Oracle(game, seeds)
        self.s = self.rule.init(self.w)
        self.steps = max(1, round(COST / self.rule.cost))

    def seconds(self) -> float:
        """Of one unit of counted cost."""
        start, before = perf_counter(), self.F.cost
        for _ in range(self.steps):
            self.w, self.s = self.rule.step(self.F, self.w, self.s)
            self.F.new_batch()
        return (perf_counter() - start) / (self.F.cost - before)


@one_thread()
def overhead(spelled: str, rounds: int = ROUNDS) -> float:
    """How many times as long as ``sgd`` a rule takes for a unit of cost."""
    hold_memory()
    plain, stepping = Stepping(PLAIN), Stepping(spelled)
    plain.seconds(), stepping.seconds()  # to warm up
    return median(stepping.seconds() / plain.seconds() for _ in range(rounds))


def pace(spelled: str) -> str:
    """The overhead in words; for what is no rule, that there is none."""
    name = parse(spelled).name
    if ".py:" not in name and name not in rules.names():
        return f"{spelled} is no optimizer: nothing to measure"
    counted = get_rule(spelled).cost
    return (
        f"{spelled} takes {overhead(spelled):.2f} times as long as {PLAIN} for a gradient evaluation "
        f"({GAME}, {REPLICAS} replicas, median of {ROUNDS}); a step is {counted:g} of them"
    )
