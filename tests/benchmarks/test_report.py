"""What a report takes: 20 rules on 6 games, 10 seeds, 100 evaluations, on one core; how much of it is statistics.

    OMP_NUM_THREADS=1 pytest tests/benchmarks/test_report.py --benchmark-only -s

The records are made up: their numbers mean nothing, their shape is that of a study's (every metric of the game at each
evaluation; 16 trials on 3 seeds, 3 of them again). There are no samples to look at. Seconds are
those of the processor, whatever else the machine does. To be judged against 20 s, of which
2 s for statistics. The size of a report of 10 rules on 5 games, with samples, is to be judged against 2 MB.
"""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import numpy as np
import pandas as pd

import bench
import bench.analysis.statistics
from bench.registry import get_game, rules
from bench.report.page import render

GAMES = ["bilinear", "dirac", "ring8", "digits", "grid25", "quadratic"]
METRICS = {game: ["field_norm", "averaging_gain"] for game in GAMES} | {
    "ring8": ["modes", "modes_strict", "high_quality", "field_norm", "generator_loss", "discriminator_loss"],
    "grid25": ["modes", "modes_strict", "high_quality", "field_norm", "generator_loss", "discriminator_loss"],
    "digits": ["precision", "recall", "density", "coverage", "field_norm", "generator_loss", "discriminator_loss"],
}


def replicas(rule: str, game: str, phase: str, trial: int, seeds: range, steps: dict[str, float]) -> pd.DataFrame:
    """Long records of one rule's replicas with the same hyperparameters: curves that fall, some diverge."""
    rng = np.random.default_rng([hash_of(rule), hash_of(game), trial + 1, seeds[0]])
    primary = get_game(game).score
    names = [primary, *METRICS[game]] if phase == "report" else [primary]
    marks = 101 if phase == "report" else 5
    cost = np.linspace(0, 2000, marks)
    parts = []
    for seed in seeds:
        lost = rng.random() < 0.1
        kept = cost[cost < 1200] if lost else cost
        level = rng.lognormal(0, 0.3) * (1 + hash_of(rule) % 7)
        value = level * np.exp(-kept[:, None] / 700) * rng.lognormal(0, 0.1, (len(kept), len(names)))
        frame = pd.DataFrame({"cost": np.repeat(kept, len(names)), "metric": names * len(kept), "value": value.ravel()})
        parts.append(frame.assign(seed=seed, outcome="diverged" if lost else "ok", ended=1200.0 if lost else 2000.0))
    shared = {"optimizer": rule, "game": game, "hyperparameters": json.dumps(steps), "phase": phase, "trial": trial}
    return pd.concat(parts).assign(seconds=0.3, **shared)


def hash_of(name: str) -> int:
    return sum(map(ord, name))


def study(count: int, games: list[str]) -> bench.Study:
    spelled = [name for name in rules.names() if name != "sgd"] + [f"sgd[lr={lr}]" for lr in (0.1, 0.2, 0.3, 0.4, 0.5)]
    return bench.Study(optimizers=spelled[:count], games=games, seeds="0-9", evaluations=100)


def records(asked: bench.Study) -> pd.DataFrame:
    parts = []
    for game in asked.games:
        for rule in asked.optimizers:
            steps = [{"lr": float(lr)} for lr in np.geomspace(1e-4, 1, 16)]
            parts += [replicas(rule, game, "tune", i, range(10**6, 10**6 + 3), lr) for i, lr in enumerate(steps)]
            parts += [replicas(rule, game, "rerank", i, range(10**7, 10**7 + 3), steps[i]) for i in (6, 7, 8)]
            parts.append(replicas(rule, game, "report", -1, range(10), steps[7]))
    found = pd.concat(parts, ignore_index=True)
    texts = ["optimizer", "game", "hyperparameters", "phase", "metric", "outcome"]
    return found.astype(dict.fromkeys(texts, "category"))


def manifest(asked: bench.Study) -> dict[str, Any]:
    environment = {"bench": "0", "processor": "made up"}
    return {"study": asked.model_dump(mode="json"), "protocol": "0", "device": "cpu", "command": "-"} | {
        "environment": environment
    }


class Clock:
    """Seconds spent in `bench.analysis.statistics`, called from anywhere; calls within calls count once."""

    def __init__(self, monkeypatch: Any) -> None:
        self.seconds, self.depth = 0.0, 0
        import sys

        public = {
            thing for name, thing in vars(bench.analysis.statistics).items() if callable(thing) and name[0].islower()
        }
        mine = {thing for thing in public if getattr(thing, "__module__", "").startswith("bench.analysis.statistics")}
        for module in [part for name, part in sys.modules.items() if name.startswith("bench.")]:
            for name, thing in list(vars(module).items()):
                if callable(thing) and getattr(thing, "__hash__", None) and thing in mine:
                    monkeypatch.setattr(module, name, self.timed(thing))

    def timed(self, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.depth += 1
            start = process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += process_time() - start

        return call


def test_seconds(benchmark: Any, monkeypatch: Any) -> None:
    asked = study(20, GAMES)
    assert len(asked.optimizers) == 20
    long, described = records(asked), manifest(asked)
    clock = Clock(monkeypatch)
    begun = process_time()
    page = benchmark.pedantic(render, (long, described, [], {}), rounds=1)
    seconds = process_time() - begun
    benchmark.extra_info |= {"seconds": seconds, "statistics": clock.seconds, "rows": len(long), "bytes": len(page)}
    print(f"\n{seconds:.1f} s, {clock.seconds:.1f} s of it statistics ({clock.seconds / seconds:.0%}); ", end="")
    print(f"{len(long)} records, a page of {len(page.encode()) / 1e6:.2f} MB")


def test_bytes(benchmark: Any) -> None:
    asked = study(10, GAMES[:5])
    long, described = records(asked), manifest(asked)
    page = benchmark.pedantic(render, (long, described, [], {}), rounds=1)
    benchmark.extra_info["bytes"] = len(page.encode())
    print(f"\n10 rules on 5 games without samples: {len(page.encode()) / 1e6:.2f} MB")
