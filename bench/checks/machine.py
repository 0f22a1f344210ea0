"""What this machine is to the suite, and how near the engine comes to what one of its cores can do.

The limit is the rate of a large float32 matrix product, the roof of the roofline model (Williams, Waterman and
Patterson 2009, Communications of the ACM 52:65) over all that is made of such products.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import numpy
import torch

from bench.contracts import Game, Oracle
from bench.contracts.introspection import stacked
from bench.games.data.formats import SETS
from bench.games.data.loading import find, missing
from bench.games.harness.points import Points
from bench.games.networks.networks import MLP
from bench.numerics.kernels.core import core
from bench.numerics.randomness import BLOCK
from bench.numerics.runtime import cores, hold_memory, one_thread, processor, version
from bench.registry import get_game, get_rule
from bench.studies.plan import PROTOCOL

SIDE, PRODUCTS = 1024, 4
GAME, RULE = "ring8[width=128,batch_size=128]", "adam"
SIZES = (4, 8, 16, 32, 64)
ROUNDS, PATIENCE = 5, 30.0  # rounds are fewer where they would take more seconds than this
WORDS = 24  # columns of what a line is about

Line = tuple[str, str]


def examine() -> list[Line]:
    """Versions, threads, memory, devices, data: (what, found)."""
    variable = os.environ.get("OMP_NUM_THREADS", "not set")
    return [
        ("bench", f"{version()}, protocol {PROTOCOL}"),
        ("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("torch, numpy", f"{torch.__version__}, {numpy.__version__}"),
        ("processor", processor("cpu")),
        ("core", "; ".join(core().values())),
        ("cores", f"{cores()} of {os.cpu_count()} to be used"),
        ("threads", f"{torch.get_num_threads()} here, 1 a job; OMP_NUM_THREADS {variable}"),
        ("allocator", _allocator()),
        ("device", _device()),
        *((f"data: {name}", missing(name).removeprefix(f"{name}: ") or str(find(name)[0])) for name in SETS),
    ]


def _allocator() -> str:
    name, version = platform.libc_ver()
    preloaded = os.environ.get("LD_PRELOAD", "")
    held = "keeps what is freed" if name == "glibc" and not preloaded else "left as it is"
    return " ".join(filter(None, [name or "unknown", version])) + f", {held}{f', with {preloaded}' * bool(preloaded)}"


def _device() -> str:
    if not torch.cuda.is_available():
        return "cpu; no CUDA device that torch sees"
    return ", ".join(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))


# --- speed -----------------------------------------------------------------------------------------------------------


@dataclass
class Speed:
    """What was measured of one core; medians over rounds.

    Args:
        multiply_adds: of a replica's step.
        product: multiply-adds a second of a large product, one a round.
        steps: replica-steps a second by how many replicas are together, one a round.
    """

    multiply_adds: float
    product: list[float] = field(default_factory=list)
    steps: dict[int, list[float]] = field(default_factory=dict)

    @property
    def roofline(self) -> float:
        """Float operations a second."""
        return 2 * median(self.product)

    @property
    def best(self) -> int:
        """How many replicas together are fastest."""
        return max(self.steps, key=self.rate)

    def rate(self, size: int) -> float:
        return median(self.steps[size])

    def share(self, size: int) -> float:
        """Of the roofline."""
        return median(
            rate * self.multiply_adds / product for rate, product in zip(self.steps[size], self.product, strict=True)
        )


def least(game: Points) -> float:
    """Multiply-adds of both players' gradients for one replica, in the fewest products that give them.

    Both forward, the generator backward, the discriminator backward once for both losses; no layer of the generator and
    of the discriminator on real samples is asked for the derivative by its input.
    """
    assert isinstance(game.generator, MLP)
    assert isinstance(game.discriminator, MLP)
    g, d = ([a * b for a, b in network.shapes] for network in (game.generator, game.discriminator))
    return float(game.batch_size * ((3 * sum(g) - g[0]) + 2 * (3 * sum(d) - d[0]) + d[0]))


@one_thread()
def measure(sizes: tuple[int, ...] = SIZES, spelled: str = GAME, rounds: int = ROUNDS) -> Speed:
    """In turn, on one thread, so that a noisy neighbour hits all."""
    hold_memory()
    return _measured(sizes, get_game(spelled), rounds)


def _measured(sizes: tuple[int, ...], game: Game, rounds: int) -> Speed:
    assert isinstance(game, Points)
    speed, began = Speed(least(game)), perf_counter()
    advance, product = {size: _stack(game, size) for size in sizes}, _product()
    for work in (product, *advance.values()):  # to warm up
        work(1)
    for done in range(rounds):
        if done and (perf_counter() - began) * (done + 1) / done > PATIENCE:
            break
        speed.product.append(PRODUCTS * SIDE**3 / _seconds(product, PRODUCTS))
        for size, work in advance.items():
            speed.steps.setdefault(size, []).append(size * BLOCK / _seconds(work, BLOCK))
    return speed


def _seconds(work: Callable[[int], Any], times: int) -> float:
    start = perf_counter()
    work(times)
    return perf_counter() - start


def _product() -> Callable[[int], None]:
    a, b, out = (torch.rand(SIDE, SIDE) for _ in range(3))

    def multiply(times: int) -> None:
        for _ in range(times):
            torch.mm(a, b, out=out)

    return multiply


def _stack(game: Game, size: int) -> Callable[[int], None]:
    """Advances that many replicas by some steps."""
    rule, seeds = stacked(get_rule(RULE), [{}] * size, game), torch.arange(size)
    F, w = Oracle(game, seeds), game.init(seeds)
    at = [(w, rule.init(w))]

    def advance(steps: int) -> None:
        w, s = at.pop()
        for _ in range(steps):
            w, s = rule.step(F, w, s)
            F.new_batch()
        at.append((w, s))

    return advance


# --- in words --------------------------------------------------------------------------------------------------------


def listing(lines: list[Line]) -> str:
    return "\n".join(f"{what:{WORDS}}{text}" for what, text in lines)


def table(speed: Speed) -> str:
    """The roofline, and the engine beside it."""
    game = GAME.partition("[")[0]
    rows = [
        f"{size:>8}{speed.rate(size):>26,.0f}{speed.share(size):>24.0%}{'   fastest' * (size == speed.best)}"
        for size in speed.steps
    ]
    return "\n".join(
        [
            listing([("one core", f"{speed.roofline / 1e9:.1f} GFLOP/s in a product of two {SIDE} x {SIDE} matrices")]),
            "",
            f"{game}, width 128, batch 128, {RULE}, on one core:",
            f"{'together':>8}{'replica-steps a second':>26}{'share of the product':>24}",
            *rows,
        ]
    )
