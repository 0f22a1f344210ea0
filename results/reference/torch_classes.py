"""Every optimizer class of torch.optim and pytorch_optimizer as `torch[Class]`: equal to a plain loop, declined, wrong.

    python results/reference/torch_classes.py > results/reference/torch_classes.md

The plain loop is written here anew and shares nothing with the machinery but the game's gradients: a GAN of three
layers a network, parameters as torch.nn.Parameter, one optimizer of torch for each player. Both players at once and in
turn, at two step sizes. One class alone: python results/reference/torch_classes.py Adam pytorch_optimizer.Lamb
"""

from __future__ import annotations

import importlib
import inspect
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

import bench
from bench.contracts.introspection import notices, stacked
from bench.errors import UserError

GAME = "ring8[width=16,batch_size=16]"
LIBRARIES = ("torch.optim", "pytorch_optimizer")
STEPS = 24
RATES = (0.01, 0.003)
SEEDS = (3, 8)
ALLOWED = 1e-4  # of the way that the plain loop moved: the game is in float32
SCHEMES = ("sgd", "alternating")
ROWS = [(lr, seed) for lr in RATES for seed in SEEDS]


class Found(NamedTuple):
    """One class: what was found, and of an accepted one how it runs and how far it goes astray."""

    name: str
    verdict: str
    gap: float
    text: str


class Player:
    """A player's tensors as they lie in w, and its own optimizer."""

    def __init__(self, cls: type, network: object, first: int, w: Tensor, lr: float) -> None:
        self.places: list[tuple[slice, tuple[int, ...]]] = []
        column = first
        for layer in network.layers:  # type: ignore[attr-defined]
            for shape in layer.shapes:
                size = torch.Size(shape).numel()
                self.places.append((slice(column, column + size), shape))
                column += size + -size % 16
        self.parameters = [torch.nn.Parameter(w[place].reshape(shape).clone()) for place, shape in self.places]
        self.optimizer = cls(self.parameters, lr=lr)

    def step(self, g: Tensor, w: Tensor) -> None:
        """A step along g [n], written into w [n]."""
        for parameter, (place, shape) in zip(self.parameters, self.places, strict=True):
            parameter.grad = g[place].reshape(shape).clone()
        self.optimizer.step()
        self.optimizer.zero_grad()
        for parameter, (place, _) in zip(self.parameters, self.places, strict=True):
            w[place] = parameter.detach().flatten()


def plain(cls: type, scheme: str, game: object) -> tuple[Tensor, Tensor]:
    """Where plain loops end, and how far they moved, [R, n]. In turn the discriminator moves first."""
    F = bench.Oracle(game, [seed for _, seed in ROWS])  # type: ignore[arg-type]
    w = game.init(F.seeds)  # type: ignore[attr-defined]
    start = w.clone()
    networks = game.generator, game.discriminator  # type: ignore[attr-defined]
    replicas = [
        [Player(cls, network, F.blocks[i].start, w[row], lr) for i, network in enumerate(networks)]
        for row, (lr, _) in enumerate(ROWS)
    ]
    for _ in range(STEPS):
        for movers in ((0, 1),) if scheme == "sgd" else ((1,), (0,)):
            g = F(w, movers[0] if len(movers) == 1 else None)
            for row, players in enumerate(replicas):
                for i in movers:
                    players[i].step(g[row], w[row])
        F.new_batch()
    return w, w - start


def ours(rule: object, game: object) -> Tensor:
    """Where the suite ends, both step sizes and seeds stacked as in a training, [R, n]."""
    trained = stacked(rule, [{"lr": lr} for lr, _ in ROWS], game)  # type: ignore[arg-type]
    F = bench.Oracle(game, [seed for _, seed in ROWS])  # type: ignore[arg-type]
    w = game.init(F.seeds)  # type: ignore[attr-defined]
    s = trained.init(w)
    for _ in range(STEPS):
        w, s = trained.step(F, w, s)
        F.new_batch()
    return w


def judged(library: str, name: str, cls: type) -> Found:
    spelled = name if library == "torch.optim" else f"{library}.{name}"
    game, gap, notice = bench.get_game(GAME), 0.0, ""
    for scheme in SCHEMES:
        try:
            rule = bench.get_rule(f"{scheme}[direction=torch[{spelled}]]")
            ends = ours(rule, game)
        except UserError as error:
            text = str(error).partition("cannot be a direction")[2].removeprefix(", a step from one gradient")
            return Found(name, "declined", 0.0, text.removeprefix(":").strip() or str(error))
        notice = "; ".join(text.partition("] ")[2] for text in notices(rule)) or "all replicas stacked"
        try:
            right, way = plain(cls, scheme, game)
        except Exception as error:
            return Found(name, "wrong", float("inf"), f"a plain loop raises {type(error).__name__}: {error}")
        away = (ends - right).abs().amax(dim=1) / way.abs().amax(dim=1).clamp(min=1e-30)
        gap = max(gap, float(away.max()))
    return Found(name, "equal" if gap <= ALLOWED else "wrong", gap, notice)


def classes(library: str) -> Iterator[tuple[str, type]]:
    """A library's optimizer classes by name, where it is installed."""
    try:
        home = importlib.import_module(library)
    except ImportError:
        return
    base = torch.optim.Optimizer
    for name, found in sorted(vars(home).items()):
        if inspect.isclass(found) and issubclass(found, base) and found is not base:
            yield name, found


def page(found: dict[str, list[Found]], seconds: float) -> str:
    """The table as Markdown."""
    lines = [
        "# Optimizer classes of other packages as `torch[Class]`",
        "",
        "Equal: the suite's training ends where a plain PyTorch loop ends, which has one optimizer for each player and",
        f"one parameter for each tensor. The gap is at most {ALLOWED:g} of the way moved. Declined: refused before",
        "anything runs, with the reason. Wrong: accepted, but another optimizer, or one with which the loop raises.",
        "",
        "| package | classes | equal | of these stacked | declined | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for library, each in found.items():
        count = {verdict: sum(one.verdict == verdict for one in each) for verdict in ("equal", "declined", "wrong")}
        fast = sum(one.text == "all replicas stacked" for one in each)
        lines.append(
            f"| {library} | {len(each)} | {count['equal']} | {fast} | {count['declined']} | {count['wrong']} |"
        )
    packages = ", ".join(f"{name} {version(name)}" for name in (each.partition(".")[0] for each in found))
    lines += [
        "",
        f"The GAN is `{GAME}`, three layers a network, in float32: {STEPS} steps of",
        f"{' and '.join(SCHEMES)} at step sizes of {' and '.join(map(str, RATES))}, {len(SEEDS)} seeds each, all stacked.",
        f"{packages}, Python {platform.python_version()}, {platform.machine()}, {torch.get_num_threads()} thread.",
        f"By `python results/reference/torch_classes.py`, in {seconds:.0f} s.",
    ]
    for library, each in found.items():
        lines += [
            "",
            f"## {library}",
            "",
            "| class | verdict | gap / way | how it runs, or why it is declined |",
            "|---|---|---|---|",
        ]
        for one in each:
            gap = "" if one.verdict == "declined" else f"{one.gap:.0e}"
            lines.append(f"| {one.name} | {one.verdict} | {gap} | {one.text.replace('|', '/').replace(chr(10), ' ')} |")
    return "\n".join(lines) + "\n"


def main(wanted: list[str]) -> int:
    """Print the page; the exit code is 1 where a class is wrong."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start, found = time.perf_counter(), dict[str, list[Found]]()
    for library in LIBRARIES:
        for name, cls in classes(library):
            spelled = name if library == "torch.optim" else f"{library}.{name}"
            if not wanted or spelled in wanted:
                found.setdefault(library, []).append(judged(library, name, cls))
                print(*found[library][-1][:3], file=sys.stderr, flush=True)
    print(page(found, time.perf_counter() - start), end="")
    return int(any(one.verdict == "wrong" for each in found.values() for one in each))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
