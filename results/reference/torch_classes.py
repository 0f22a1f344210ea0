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
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

import bench
from bench.contracts import Game, UpdateRule
from bench.contracts.introspection import notices, stacked
from bench.errors import UserError
from bench.games.harness.gan import GAN
from bench.games.networks.networks import Network

GAME = "ring8[width=16,batch_size=16]"
LIBRARIES = ("torch.optim", "pytorch_optimizer")
STEPS = 24
RATES = (0.01, 0.003)
SEEDS = (3, 8)
ALLOWED = {torch.float64: 1e-6, torch.float32: 1e-4}
"""Of the way that the plain loop moved; in float32 beside the rounding of w itself in every step."""
STACKED = "all replicas stacked"
SCHEMES = ("sgd", "alternating")
ROWS = [(lr, seed) for lr in RATES for seed in SEEDS]


class Found(NamedTuple):
    """One class: what was found, and of an accepted one how it runs and how far it goes astray."""

    name: str
    verdict: str
    gap: float
    single: float
    """The gap in float32."""
    text: str


class Double(Game):
    """A GAN in float64."""

    dtype = torch.float64

    def __init__(self, game: GAN) -> None:
        self.game, self.sizes = game, game.sizes  # type: ignore[misc]
        self.generator, self.discriminator = game.generator, game.discriminator

    @property
    def tensors(self) -> Any:
        return self.game.tensors

    def init(self, seeds: Tensor) -> Tensor:
        return self.game.init(seeds).double()

    def batch(self, seeds: Tensor, draw: int) -> Any:
        drawn = self.game.batch(seeds, draw)
        return {k: v.double() if v.is_floating_point() else v for k, v in drawn.items()}

    def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
        return self.game.losses(players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Any) -> Tensor:
        return self.game.own_loss(player, players, batch)


class Player:
    """A player's tensors as they lie in w, and its own optimizer."""

    def __init__(self, cls: type, network: Network, first: int, w: Tensor, lr: float) -> None:
        self.places: list[tuple[slice, tuple[int, ...]]] = []
        column = first
        for layer in network.layers:
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


def plain(cls: type, scheme: str, game: Any) -> tuple[Tensor, Tensor]:
    """Where plain loops end, and how far they moved, [R, n]. In turn the discriminator moves first."""
    F = bench.Oracle(game, [seed for _, seed in ROWS])
    w = game.init(F.seeds)
    start = w.clone()
    networks = game.generator, game.discriminator
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


def ours(rule: UpdateRule, game: Any) -> Tensor:
    """Where the suite ends, both step sizes and seeds stacked as in a training, [R, n]."""
    trained = stacked(rule, [{"lr": lr} for lr, _ in ROWS], game)
    F = bench.Oracle(game, [seed for _, seed in ROWS])
    w = game.init(F.seeds)
    s = trained.init(w)
    for _ in range(STEPS):
        w, s = trained.step(F, w, s)
        F.new_batch()
    return w


def judged(library: str, name: str, cls: type) -> Found:
    """A class against its plain loop."""
    spelled = name if library == "torch.optim" else f"{library}.{name}"
    gaps = {torch.float64: 0.0, torch.float32: 0.0}
    game = bench.get_game(GAME)
    assert isinstance(game, GAN)
    for scheme, played in ((scheme, played) for scheme in SCHEMES for played in (game, Double(game))):
        try:
            rule = bench.get_rule(f"{scheme}[direction=torch[{spelled}]]")
            ends = ours(rule, played)
        except UserError as error:
            text = str(error).partition("cannot be a direction")[2].removeprefix(", a step from one gradient")
            return Found(name, "declined", 0.0, 0.0, text.removeprefix(":").strip() or str(error))
        try:
            right, way = plain(cls, scheme, played)
        except Exception as error:
            return Found(name, "wrong", 0.0, 0.0, f"a plain loop raises {type(error).__name__}: {error}")
        lost = ends.isfinite().logical_not() & right.isfinite().logical_not()  # the plain loop diverges as well
        away = torch.where(lost, 0.0, ends - right).abs().amax(dim=1)
        if played is game:
            rounding = right.abs().amax(dim=1) * torch.finfo(torch.float32).eps / 2
            away = (away - STEPS * rounding).clamp(min=0)
        share = away / torch.where(lost, 0.0, way).abs().amax(dim=1).clamp(min=1e-30)
        gaps[played.dtype] = max(gaps[played.dtype], float(share.nan_to_num(float("inf")).max()))
    right_ones = all(gap <= ALLOWED[dtype] for dtype, gap in gaps.items())
    notice = "; ".join(text.partition("] ")[2] for text in notices(rule)) or STACKED
    return Found(name, "equal" if right_ones else "wrong", gaps[torch.float64], gaps[torch.float32], notice)


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
        "one parameter for each tensor. The gap is at most 1e-6 of the way moved in float64, 1e-4 in float32 beside",
        "the rounding of the parameters. Declined: refused before anything runs, with the reason. Wrong: accepted, but",
        "another optimizer, or one with which the loop raises. Where a reason names the class, the",
        "training stopped with it at a step: the trial before had not seen it.",
        "",
        "| package | classes | equal | of these stacked | declined | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for library, each in found.items():
        count = {verdict: sum(one.verdict == verdict for one in each) for verdict in ("equal", "declined", "wrong")}
        fast = sum(one.text == STACKED for one in each)
        lines.append(
            f"| {library} | {len(each)} | {count['equal']} | {fast} | {count['declined']} | {count['wrong']} |"
        )
    packages = ", ".join(f"{name} {version(name)}" for name in (each.partition(".")[0] for each in found))
    lines += [
        "",
        f"The GAN is `{GAME}`, three layers a network: {STEPS} steps of",
        f"{' and '.join(SCHEMES)} at step sizes of {' and '.join(map(str, RATES))}, {len(SEEDS)} seeds each, stacked.",
        f"{packages}, Python {platform.python_version()}, {platform.machine()}, {torch.get_num_threads()} thread.",
        f"By `python results/reference/torch_classes.py`, in {seconds:.0f} s.",
    ]
    for library, each in found.items():
        lines += [
            "",
            f"## {library}",
            "",
            "| class | verdict | gap / way | in float32 | how it runs, or why it is declined |",
            "|---|---|---|---|---|",
        ]
        for one in each:
            gaps = " | " if one.verdict == "declined" else f"{one.gap:.0e} | {one.single:.0e}"
            lines.append(
                f"| {one.name} | {one.verdict} | {gaps} | {one.text.replace('|', '/').replace(chr(10), ' ')} |"
            )
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
                print(*found[library][-1][:4], file=sys.stderr, flush=True)
    print(page(found, time.perf_counter() - start), end="")
    return int(any(one.verdict == "wrong" for each in found.values() for one in each))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
