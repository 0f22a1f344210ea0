"""Times one tree's engine for ab.py: a workload a line on standard input, seconds a line on standard output.

It uses only what a plug-in author is promised, so that trees years apart can be compared.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter

import torch

import bench


class Work:
    """R replicas of a rule on a game."""

    def __init__(self, rule: str, game: str, replicas: str, steps: str) -> None:
        self.game, self.rule, self.steps = bench.get_game(game), bench.get_rule(rule), int(steps)
        seeds = torch.arange(int(replicas))
        self.F, self.w = bench.Oracle(self.game, seeds), self.game.init(seeds)
        self.s = self.rule.init(self.w)
        self.seconds()

    def seconds(self) -> float:
        start = perf_counter()
        w, s = self.w, self.s
        for _ in range(self.steps):
            w, s = self.rule.step(self.F, w, s)
            self.F.new_batch()
        return perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    print(os.path.dirname(os.path.dirname(bench.__file__)), flush=True)
    known: dict[str, Work] = {}
    for line in sys.stdin:
        spelled = line.rstrip("\n")
        try:
            work = known.get(spelled) or known.setdefault(spelled, Work(*spelled.split("\t")))
            print(work.seconds(), flush=True)
        except Exception as error:
            print(f"{type(error).__name__}: {' '.join(str(error).split())}", flush=True)


if __name__ == "__main__":
    main()
