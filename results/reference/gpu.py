"""How fast is the stacked engine on a GPU, beside the loop that a user would write there?

    python results/reference/gpu.py > results/reference/gpu.md

All sides run in turn in one process on one device; what is told is the median over rounds of the ratio within a round.
The goal is 50 times the plain loop, for 256 replicas of ring8 at width 128.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "benchmarks"))

import torch
from loops import loop
from stack import Stack, seconds

from bench.execution.cuda_graph import Stepper
from bench.numerics.runtime import processor
from bench.registry import get_game, get_rule

ROUNDS, STEPS, GOAL = 5, 64, 50


def engine(game: str, rule: str, replicas: int, device: str, replayed: bool) -> Callable[[int], None]:
    """Steps of a stack, by replay or as the rule is written."""
    stack = Stack(game, rule, replicas, device)
    if not replayed:
        for training in stack.trainings:
            training.step = Stepper(None)
    return stack.run


def plain(game: str, rule: str, device: str) -> Callable[[int], None]:
    """Steps of the loop, all of it on the device."""
    with torch.device(device):
        one = loop(get_game(game), get_rule(rule))

    def run(steps: int) -> None:
        with torch.device(device):
            for _ in range(steps):
                one.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--game", default="ring8[width=128,batch_size=128]")
    parser.add_argument("--replicas", type=int, default=256)
    parser.add_argument("--rules", nargs="+", default=["adam", "extraadam"])
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("device: found 'cuda'; this machine has 0 CUDA devices")

    def timed(run: Callable[[int], None]) -> float:
        def work() -> None:
            run(STEPS)
            if given.device.startswith("cuda"):
                torch.cuda.synchronize()

        return seconds(work)

    print(f"# How fast is the stacked engine on {given.device}?\n\nMade by\n\n    python results/reference/gpu.py\n")
    print(f"Device: {processor(given.device)}; torch {torch.__version__}.\n")
    print(f"{given.game}, R = {given.replicas}: replica-steps a second as a ratio to the plain loop's on the same")
    print(f"device; medians of {ROUNDS} rounds, with the least and the most. The goal is {GOAL}.\n")
    print("| rule | by replay | as written |\n|---|---|---|")
    for rule in given.rules:
        own = (given.game, rule, given.replicas, given.device)
        sides = {
            "by replay": engine(*own, replayed=True),
            "as written": engine(*own, replayed=False),
            "loop": plain(given.game, rule, given.device),
        }
        for run in sides.values():
            timed(run)
        rounds = [{name: timed(run) for name, run in sides.items()} for _ in range(ROUNDS)]
        cells = []
        for name in ("by replay", "as written"):
            ratios = [given.replicas * spent["loop"] / spent[name] for spent in rounds]
            cells.append(f"{median(ratios):.3g} ({min(ratios):.3g}-{max(ratios):.3g})")
        print(f"| {rule} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
