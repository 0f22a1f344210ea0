"""Does the harness train `mnist-small` as an ordinary PyTorch loop does? Two implementations, ten seeds each.

    BENCH_DATA=FOLDER python results/reference/loop.py > results/reference/loop.md

The loop is what one writes for a GAN (Goodfellow et al. 2014, arXiv:1406.2661, with the non-saturating loss) and Adam
(Kingma and Ba 2015, arXiv:1412.6980) in torch.optim: two nn.Modules, torch's own start and random numbers, shuffled
epochs, one seed after another. It takes from the harness neither layers nor losses, update rule, start or minibatches;
both are judged by the same metric. That its step is the harness's, number by number, is tested in
tests/reference/test_loop.py.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from bench import get_game, get_metric
from bench.analysis.statistics import Interval, probability_of_improvement, stratified_bootstrap
from bench.execution.training import execute
from bench.games.mnist_small import MnistSmall
from bench.games.networks.networks import Network
from bench.metrics.evaluation import Evaluator
from bench.numerics.randomness import GRAIN
from bench.numerics.runtime import hold_memory
from bench.studies.plan import Task, report_rows

GAME, SEEDS, METRICS = "mnist-small", 10, ("fd_mnist", "classes_missing")
LR, BETAS, EPS = 0.001, (0.5, 0.999), 1e-8


class Loop:
    """A GAN as one writes it: two nn.Modules as torch starts them, an Adam for each, the non-saturating loss."""

    def __init__(self, game: MnistSmall, betas: tuple[float, float] = BETAS) -> None:
        latent, width = game.latent, game.width
        self.G = nn.Sequential(nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, 784), nn.Tanh())
        self.D = nn.Sequential(
            *(nn.Linear(784, width), nn.LeakyReLU(0.2)),
            *(nn.Linear(width, width), nn.LeakyReLU(0.2)),
            nn.Linear(width, 1),
        )
        self.opt_G = torch.optim.Adam(self.G.parameters(), lr=LR, betas=betas, eps=EPS)
        self.opt_D = torch.optim.Adam(self.D.parameters(), lr=LR, betas=betas, eps=EPS)

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return self._bce(self.D(real), 1.0) + self._bce(self.D(fake.detach()), 0.0)

    def generator_loss(self, fake: Tensor) -> Tensor:
        return self._bce(self.D(fake), 1.0)

    @staticmethod
    def _bce(logits: Tensor, label: float) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))

    def simultaneous(self, real: Tensor, latent: Tensor) -> None:
        """A step, both gradients from the same point: real [batch, 784], latent [batch, latent]."""
        fake = self.G(latent)
        loss_G, loss_D = self.generator_loss(fake), self.discriminator_loss(real, fake)
        self.opt_G.zero_grad()
        loss_G.backward()
        self.opt_D.zero_grad()  # not sooner: the generator's backward has left its gradients in D
        loss_D.backward()
        self.opt_D.step()
        self.opt_G.step()

    def alternating(self, real: Tensor, latent: Tensor) -> None:
        """A step, the generator's gradient after the discriminator's move, on the same samples."""
        fake = self.G(latent)
        self.opt_D.zero_grad()
        self.discriminator_loss(real, fake).backward()
        self.opt_D.step()
        self.opt_G.zero_grad()
        self.generator_loss(fake).backward()
        self.opt_G.step()

    def row(self) -> Tensor:
        """All parameters as the harness lays out a replica's, [n]."""
        parts = [part.detach().flatten() for net in (self.G, self.D) for part in net.parameters()]
        return torch.cat([nn.functional.pad(part, (0, -len(part) % GRAIN)) for part in parts])

    def start_at(self, game: MnistSmall, row: Tensor) -> None:
        """Take a replica's parameters [n] for its own."""
        players = torch.split(row, list(game.sizes))
        for net, network, player in zip((self.G, self.D), (game.generator, game.discriminator), players, strict=True):
            _unpack(net, network, player)


def _unpack(net: nn.Module, network: Network, player: Tensor) -> None:
    with torch.no_grad():
        for own, given in zip(net.parameters(), torch.split(player, network.layout)[::2], strict=True):
            own.copy_(given.view_as(own))


# --- training --------------------------------------------------------------------------------------------------------


class Trained(NamedTuple):
    """What training gave: metric -> a value a seed, and the seconds of all seeds without the judging."""

    values: dict[str, list[float]]
    seconds: float


def minibatches(count: int, size: int) -> Iterator[Tensor]:
    """Numbers of images, [size] each: epoch after epoch, every one shuffled, the incomplete minibatch dropped."""
    while True:
        yield from torch.randperm(count)[: count // size * size].view(-1, size)


def trained(game: MnistSmall, seed: int, order: str, betas: tuple[float, float]) -> tuple[Tensor, float]:
    """One seed's parameters [n] after as many steps as the game's budget, and the seconds that it took."""
    torch.manual_seed(seed)
    loop, images = Loop(game, betas), game.images.flatten(1)
    step = loop.simultaneous if order == "simultaneous" else loop.alternating
    began = perf_counter()
    for chosen in islice(minibatches(len(images), game.batch_size), int(game.budget)):
        step(images[chosen] / 127.5 - 1, torch.randn(game.batch_size, game.latent))
    return loop.row(), perf_counter() - began


def by_loop(game: MnistSmall, order: str, betas: tuple[float, float] = BETAS) -> Trained:
    """By the ordinary loop, one seed after another."""
    rows, seconds = zip(*(trained(game, seed, order, betas) for seed in range(SEEDS)), strict=True)
    w, evaluator = torch.stack(rows), Evaluator(game, range(SEEDS))
    return Trained({name: get_metric(name)(game, w, evaluator).tolist() for name in METRICS}, sum(seconds))


def by_harness(game: MnistSmall, rule: str) -> Trained:
    """By the harness, all seeds as one stack."""
    task = Task(rule, GAME, game.budget, evaluations=1, device="cpu")
    (chunk,) = task.chunks(report_rows(range(SEEDS), {}), "report")
    last = [record for record in execute(chunk).records if record["cost"] == game.budget]
    values = {name: [get_metric(name).worst] * SEEDS for name in METRICS}  # of whoever diverged
    for record in last:
        if record["metric"] in METRICS and record["outcome"] == "ok":
            values[record["metric"]][record["seed"]] = record["value"]
    return Trained(values, max(record["seconds"] for record in last) * SEEDS)


# --- the page --------------------------------------------------------------------------------------------------------


def written(interval: Interval, digits: int) -> str:
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def overlap(a: Interval, b: Interval) -> bool:
    return a.low <= b.high and b.low <= a.high


def line(title: str, found: Trained) -> str:
    """What a way of training gave."""
    scores, missing = (found.values[name] for name in METRICS)
    cells = [
        title,
        written(stratified_bootstrap(scores), 2),
        f"{min(scores):.2f} to {max(scores):.2f}",
        written(stratified_bootstrap(missing), 1),
        f"{found.seconds:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def comparison(title: str, loop: Trained, harness: Trained) -> str:
    """The loop against the harness."""
    cells = [title]
    for name in METRICS:
        a, b = loop.values[name], harness.values[name]
        cells.append("yes" if overlap(stratified_bootstrap(a), stratified_bootstrap(b)) else "NO")
        cells.append(written(probability_of_improvement(a, b), 2))
    return f"| {' | '.join([*cells, f'{loop.seconds / harness.seconds:.1f}'])} |"


def page(budget: float, ways: dict[str, Trained]) -> str:
    """The document, markdown; `ways` are the five that main trains, by name."""
    lines = [
        HEAD.format(budget=budget, machine=machine()),
        "| trained by | fd_mnist | least and most | classes missing | seconds |",
        "|---|---|---|---|---|",
        *(line(title, found) for title, found in ways.items()),
        "",
        "| loop against harness | fd_mnist: intervals overlap | P(loop better) | missing: intervals overlap "
        "| P(loop better) | seconds, loop / harness |",
        "|---|---|---|---|---|---|",
        comparison("simultaneous", ways[LOOP], ways[HARNESS]),
        comparison("alternating", ways[LOOP_IN_TURN], ways[HARNESS_IN_TURN]),
        comparison("control: loop alternating, harness simultaneous", ways[LOOP_IN_TURN], ways[HARNESS]),
        comparison("control: loop with beta1 0.9, harness with 0.5", ways[CONTROL], ways[HARNESS]),
        "",
        NOTES,
    ]
    return "\n".join(lines)


def machine() -> str:
    cpu = f"{os.cpu_count()}-core {platform.machine()} CPU, {torch.get_num_threads()} thread"
    return f"{cpu}, Python {platform.python_version()}, torch {torch.__version__}"


LOOP, LOOP_IN_TURN, CONTROL = "loop, simultaneous", "loop, alternating", "control: loop, simultaneous, beta1 0.9"
RULE, RULE_IN_TURN = f"adam[lr={LR}]", f"alternating[lr={LR},direction=adam]"
HARNESS, HARNESS_IN_TURN = f"harness, `{RULE}`", f"harness, `{RULE_IN_TURN}`"
HEAD = f"""\
# Does the harness train `{GAME}` as an ordinary PyTorch loop does?

Made in about ten minutes by

    BENCH_DATA=FOLDER python results/reference/loop.py > results/reference/loop.md

Machine: {{machine}}

The loop is two nn.Modules, two torch.optim.Adam, shuffled epochs and one seed after another; all that it has of the
harness is the images. Both train {SEEDS} seeds for {{budget:g}} steps of Adam. Step size {LR} and betas {BETAS} were
given beforehand, not tuned. Both are judged at the end by the same metrics, lower is better: interquartile means over
the seeds with 95 % bootstrap intervals, and the least and the most of a seed.
"""
NOTES = f"""\
- P(loop better): that a run of the loop is better than one of the harness, ties half, with its 95 % interval.
- The seeds of the two are independent: each trains from its own starts, on its own latents and order of images. The
  harness draws every minibatch anew from all images, the loop goes through them in epochs; torch's start and the
  harness's are one distribution.
- The controls differ in the order of the players' steps alone, or in beta1 alone, {BETAS[0]} against torch's default.
  They show what differences {SEEDS} seeds tell. The first, which compares rows that are there anyway, was added after a
  first run.
- Seconds are of training all {SEEDS} seeds, without the judging: one run, not a benchmark. Speed is measured in
  `tests/benchmarks/test_engine.py`.
- That a step of the loop is a step of the harness, from the same start and on the same minibatches, is a test:
  `tests/reference/test_loop.py`.
"""


def main() -> int:
    game = cast(MnistSmall, get_game(GAME))
    if game.missing:
        print(game.missing, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    hold_memory()  # for both sides alike: the harness does so, and the allocator is the process's
    ways = {
        LOOP: by_loop(game, "simultaneous"),
        HARNESS: by_harness(game, RULE),
        LOOP_IN_TURN: by_loop(game, "alternating"),
        HARNESS_IN_TURN: by_harness(game, RULE_IN_TURN),
        CONTROL: by_loop(game, "simultaneous", (0.9, BETAS[1])),
    }
    print(page(game.budget, ways), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
