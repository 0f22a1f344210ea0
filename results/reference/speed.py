"""How fast is the stacked engine? Against the loop a user would write, a tuned one, JAX, and the core's own limit.

    pip install '.[compare]'
    BENCH_DATA=FOLDER python results/reference/speed.py --keep FILE.json > results/reference/speed.md

All sides train the same networks on the same loss from the same start, which is checked before anything is timed, each
with its own way to random numbers. They run in turn in one process on one thread of one core, so that a noisy neighbour
hits all; what is told is the median over rounds of the ratio within a round. Names of workloads measure those alone;
what stands in FILE.json is not measured again.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib.metadata
import json
import os
import platform
import pstats
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ONE = {max(os.sched_getaffinity(0))} if hasattr(os, "sched_getaffinity") else set()
if ONE and __name__ == "__main__":  # before any library starts threads
    os.sched_setaffinity(0, ONE)
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "benchmarks"))

import torch  # noqa: E402
from loops import loop  # noqa: E402
from stack import Product, Stack, seconds  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from workloads import WORKLOADS, Workload, minibatches  # noqa: E402

from bench.contracts import Oracle  # noqa: E402
from bench.contracts.introspection import stacked  # noqa: E402
from bench.numerics.kernels.core import VARIABLE, core  # noqa: E402
from bench.numerics.runtime import processor  # noqa: E402
from bench.registry import get_rule  # noqa: E402

ROUNDS, SPAN, CHECKED, TOLERANCE = 5, 0.25, 3, 0.005
PROFILED = 64  # steps: random numbers come in blocks of as many
Row = dict[str, Any]


# --- the same training -----------------------------------------------------------------------------------------------


@dataclass
class Start:
    """Two replicas' start, their minibatches, and where the engine takes them."""

    w: torch.Tensor
    batches: list[dict[str, torch.Tensor]]
    reached: torch.Tensor


def engine(workload: Workload) -> Start:
    game, seeds = workload.game, torch.arange(2)
    F, rule = Oracle(game, seeds), stacked(get_rule(workload.checked or workload.rule), [{}] * 2, game)
    w = start = game.init(seeds)
    s = rule.init(w)
    for _ in range(CHECKED):
        w, s = rule.step(F, w, s)
        F.new_batch()
    return Start(start, minibatches(game, seeds, CHECKED), w)


def check(workload: Workload, start: Start, tuned: bool) -> None:
    """Raise unless a loop takes the same steps as the engine."""
    one = loop(workload.game, get_rule(workload.checked or workload.rule), tuned)
    one.start_at(start.w[0])
    for batch in start.batches:
        one.on(batch, 0)
    demand(workload, "a loop", (one.row() - start.reached[0]).norm() / (start.reached[0] - start.w[0]).norm())


def check_jax(workload: Workload, start: Start, way: Any) -> None:
    import jax
    from jax_loop import Replicas, Way

    own = Replicas(workload.game, get_rule(workload.checked or workload.rule), start.w.numpy(), Way(2, way.by), steps=1)
    found = own.after(start.batches)
    with jax.enable_x64(own.wide):
        reached, began = (own.game.params(w.numpy()) for w in (start.reached, start.w))
        gap, moved = (
            sum(float(((a - b) ** 2).sum()) for a, b in zip(*map(jax.tree.leaves, pair), strict=True)) ** 0.5
            for pair in ((found, reached), (reached, began))
        )
    demand(workload, f"JAX by {way.by}", gap / moved)


def demand(workload: Workload, who: str, gap: Any) -> None:
    if not float(gap) < TOLERANCE:
        raise SystemExit(f"{workload.name}: {who} trains otherwise: {float(gap):.2g} of the way off")


# --- how long it takes -----------------------------------------------------------------------------------------------


@dataclass
class Side:
    """Someone who trains: ``run(times)`` makes ``times * steps`` replica-steps."""

    run: Callable[[int], None]
    steps: float
    times: int = 1

    def warm(self) -> None:
        """Choose how many times fill the span of a measurement."""
        self.run(1)
        self.times = max(1, round(SPAN / seconds(self.run, 1)))

    def rate(self) -> float:
        """Replica-steps a second."""
        return self.times * self.steps / seconds(self.run, self.times)


def looped(workload: Workload, tuned: bool) -> Side:
    one = loop(workload.game, get_rule(workload.rule), tuned)

    def run(times: int) -> None:
        for _ in range(times):
            one.step()

    return Side(run, 1)


def fastest(workload: Workload, start: Start) -> tuple[Side | None, str]:
    """JAX in the way in which it is fastest here."""
    try:
        import jax_loop
    except ImportError:
        return None, "not installed"
    tried = []
    w = workload.game.init(torch.arange(workload.replicas)).numpy()
    for way in jax_loop.ways(workload.game, workload.replicas):
        check_jax(workload, start, way)
        one = jax_loop.Replicas(workload.game, get_rule(workload.rule), w, way, workload.steps)
        side = Side(lambda times, one=one: [one.run() for _ in range(times)], workload.replicas * workload.steps)  # type: ignore[misc]
        side.warm()
        tried.append((side.rate(), str(way), side))
    _, how, side = max(tried, key=lambda one: one[0])
    return side, how


def measured(workload: Workload) -> Row:
    """A row of the table."""
    start = engine(workload)
    for tuned in (False, True):
        check(workload, start, tuned)
    stack, product = Stack(workload.spelled, workload.rule, workload.replicas), Product()
    with by_torch():
        plain = Stack(workload.spelled, workload.rule, workload.replicas)

    def run_plain(times: int) -> None:
        with by_torch():
            plain.run(times * workload.steps)

    jax_side, how = fastest(workload, start)
    sides = {
        "stack": Side(lambda times: stack.run(times * workload.steps), workload.replicas * workload.steps),
        "core": Side(run_plain, workload.replicas * workload.steps),
        "plain": looped(workload, tuned=False),
        "tuned": looped(workload, tuned=True),
    } | ({"jax": jax_side} if jax_side else {})
    for side in sides.values():
        side.warm()
    product.rate()
    rounds = []
    for _ in range(ROUNDS):  # in turn
        before = product.rate()
        rates = {name: side.rate() for name, side in sides.items()}
        own = rates.pop("stack")
        found = {name: own / rate for name, rate in rates.items()}
        if workload.multiply_adds:
            found["roofline"] = own * workload.multiply_adds * 2 / (before + product.rate())
        rounds.append(found)
    ratios = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {"ratios": ratios, "packs": stack.packs, "how": how, "finite": stack.finite} | {
        "profile": profile(stack, min(workload.steps, PROFILED))
    }


@contextmanager
def by_torch() -> Iterator[None]:
    """Without kernels."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "torch"
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


class Timing(TorchDispatchMode):
    """Seconds in every operation of torch, by name; torch's profiler makes small ones several times as slow."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = perf_counter()
        out = func(*args, **(kwargs or {}))
        self.spent[func._schema.name] += perf_counter() - start  # type: ignore[assignment]
        return out


PARTS = {
    "field": ("compiled.py", "__call__"),
    "J'u": ("compiled.py", "product"),
    "minibatches": ("oracle.py", "batch"),
    "direction and descent": ("passes.py", "adam_step"),
    "descent": ("passes.py", "descent"),
    "divergence": ("passes.py", "bounded"),
}
"""What a step consists of where kernels compute: name -> file and function, with all that it calls."""


def profile(stack: Stack, steps: int) -> list[tuple[str, float]]:
    """Shares of the engine's time, the largest first: of PARTS, or of torch's operations where no kernel computes."""
    seen = cProfile.Profile()
    seen.runcall(stack.run, steps)
    spent: Counter[str] = Counter()
    for (file, _, function), (_, _, _, cumulative, _) in pstats.Stats(seen).stats.items():  # type: ignore[attr-defined]
        for name, place in PARTS.items():
            if (Path(file).name, function) == place:
                spent[name] += cumulative
    whole = pstats.Stats(seen).total_tt  # type: ignore[attr-defined]
    if not spent["field"]:
        whole = seconds(stack.run, steps)
        with Timing() as timed:
            stack.run(steps)
        spent = Counter({f"`{name}`": time for name, time in timed.spent.items()})
    return [(name, time / whole) for name, time in spent.most_common(6)]


# --- the page --------------------------------------------------------------------------------------------------------


KINDS = ("core", "plain", "tuned", "jax", "roofline")


def cell(values: list[float] | None, goal: float) -> str:
    """The median with the least and the most, the goal, and whether it is missed."""
    if not values:
        return "-"
    middle = median(values)
    shown = f"{number(middle)} ({number(min(values))}-{number(max(values))})"
    return f"{'**' if goal and middle < goal else ''}{shown}{'**' if goal and middle < goal else ''}" + (
        f", goal {goal:g}" if goal else ""
    )


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def goals(workload: Workload) -> dict[str, float]:
    return {"core": 0.0, "plain": workload.plain, "tuned": 0.0, "jax": workload.jax, "roofline": workload.roofline}


def short(workload: Workload, row: Row) -> list[str]:
    """The goals that are missed."""
    reached = {kind: median(values) for kind, values in row["ratios"].items()}
    return [kind for kind, goal in goals(workload).items() if goal and kind in reached and reached[kind] < goal]


def lines(found: dict[str, Row]) -> Iterator[str]:
    yield HEAD.format(machine=machine(), rounds=ROUNDS)
    yield "| workload | R, packed as | torch core | plain loop | tuned loop | JAX | JAX's way | share of the roofline |"
    yield "|---|---|---|---|---|---|---|---|"
    rows = [(workload, found[workload.name]) for workload in WORKLOADS if workload.name in found]
    for workload, row in rows:
        cells = {kind: cell(row["ratios"].get(kind), goal) for kind, goal in goals(workload).items()}
        packs = f"{len(row['packs'])} x {row['packs'][0]}"
        own = [
            workload.title,
            f"{workload.replicas}, {packs}",
            *(cells[kind] for kind in ("core", "plain", "tuned", "jax")),
        ]
        yield f"| {' | '.join([*own, row['how'], cells['roofline']])} |"
    yield ""
    yield NOTES
    yield ""
    missed = [(workload, row, short(workload, row)) for workload, row in rows if short(workload, row)]
    yield f"## What falls short\n\n{WHY}\n" if missed else "Every goal is reached."
    for workload, row, kinds in missed:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in row["profile"])
        yield f"- {workload.title}: {', '.join(SAID[kind] for kind in kinds)}. The engine's time: {shares}."
    if lost := [workload.title for workload, row in rows if not row["finite"]]:
        yield f"\nReplicas left the finite range, and stood still from there, in: {', '.join(lost)}."


SAID = {"plain": "against the plain loop", "jax": "against JAX", "roofline": "against the core's limit"}
WHY = """\
The shares are of the engine's time, each with all that it calls. The field, J v, J'u and the directions are kernels
(`bench/numerics/kernels`); products of matrices are most of the first three. Where the share of the roofline is high,
the rest of a goal is out of reach on this processor: JAX itself may stand nearer to the core's limit here than where
the goal was set, and no engine takes less than the products. In turn, every move makes new parameters and a new memory,
whose other half is copied. Random numbers are torch's own, one at a time for each seed, so that a seed's minibatches
never depend on its neighbours. On bilinear games the limit is the fixed cost of a dozen calls a step, which JAX's
compiled scan does not have."""
HEAD = """\
# How fast is the stacked engine?

Made by

    pip install '.[compare]'
    BENCH_DATA=FOLDER python results/reference/speed.py --keep FILE.json > results/reference/speed.md

Machine: {machine}

Replica-steps a second of the engine, as a ratio to those of others: medians of {rounds} rounds, with the least and the
most; what misses its goal is bold. All run in turn in one process, on one thread of one core."""
NOTES = """\
- Plain loop: two nn.Modules and two of torch.optim's optimisers, a call of the discriminator a loss
  (`tests/benchmarks/loops.py`). Tuned loop: fused kernels, and one call of the discriminator on real and fake samples.
  For the bilinear game the tuned loop takes its gradients by hand.
- JAX: vmap over replicas, jit, lax.scan over as many steps as a measurement takes of the engine, optax, its quickest
  random numbers (`tests/benchmarks/jax_loop.py`); the fastest of packs of all and of 8 replicas, and where there are
  convolutions of one replica after another.
- All sides start from the same parameters and are checked, on the same three minibatches, to reach the same point.
  Each then draws its own minibatches in its own way. The engine is timed with all that training does at a step: random
  numbers, the check for divergence, the clock.
- Roofline: the multiply-adds that a step cannot do without (`tests/benchmarks/workloads.py` says which) a second, as a
  share of those of a product of two 1024 x 1024 float32 matrices by torch, measured before and after in each round.
- Torch core: the engine with `BENCH_CORE=torch`, where eager torch computes everything.
- Replicas of the table are packed as a run packs them, at most the game's `stack` together.
- On a GPU a step is replayed as a CUDA graph; `python results/reference/gpu.py` measures it there. It has not been run
  yet: no GPU was at hand."""


def machine() -> str:
    names = ("jax", "optax")
    there = [f"{name} {importlib.metadata.version(name)}" for name in names if _there(name)]
    versions = ", ".join([f"Python {platform.python_version()}", f"torch {torch.__version__}", *there])
    kernels = ", ".join(f"{name} {value}" for name, value in core().items())
    where = f"{platform.system()} {platform.machine()}"
    return f"1 core of {os.cpu_count()}, {processor('cpu')}, {where}; {versions}; {kernels}"


def _there(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The table of results/reference/speed.md, for some workloads or all.")
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("names", nargs="*", metavar="WORKLOAD", help=", ".join(names))
    parser.add_argument("--keep", type=Path, help="a JSON file of what is measured; what it has is not measured again")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(names):
        parser.error(f"no workload {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    torch.set_num_threads(1)
    found: dict[str, Row] = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else {}
    for workload in WORKLOADS:
        if workload.name in found or (given.names and workload.name not in given.names):
            continue
        if missing := workload.game.missing:
            print(f"{workload.name} is left out: {missing}", file=sys.stderr)
            continue
        found[workload.name] = measured(workload)
        print(f"{workload.name}: " + told(found[workload.name]), file=sys.stderr, flush=True)
        if given.keep:
            given.keep.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(lines(found)))
    return 0


def told(row: Row) -> str:
    return ", ".join(f"{kind} {number(median(row['ratios'][kind]))}" for kind in KINDS if kind in row["ratios"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
