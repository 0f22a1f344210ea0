"""Which GANs lose modes: the ring and the grid of VEEGAN and PacGAN, small enough for one core.

    OMP_NUM_THREADS=1 python results/reference/modes.py > results/reference/modes.md

Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, table 1, and Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 4.1:
GANs are trained on 8 Gaussians on a ring and on 25 on a grid, and 2,500 samples of each say how many modes it has, how
many samples are near one, and how evenly. The networks have the shape of PacGAN's published code, narrower; every row
trains through the harness, at the same cost. Two samplers that learn nothing frame the table: the data themselves, and
noise spread evenly over the square that holds them.
"""

from __future__ import annotations

import math
import os
import platform
import textwrap
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from bench.execution.training import execute
from bench.games.grid25 import Grid25
from bench.games.harness.points import Mixture
from bench.games.networks.layers import Activation, BatchNorm, Layer, Linear
from bench.games.networks.networks import Network
from bench.games.ring8 import Ring8
from bench.numerics.distances import mode_statistics
from bench.numerics.randomness import uniform
from bench.registry import game
from bench.registry.build import spell
from bench.studies.plan import Task, report_rows

SEEDS = range(10)
COST, MARKS = 7_000, 20
SHOWN = (0, 2, 5, 10, 20)  # of the marks: the start, 10, 25, 50 and 100 % of the cost
BATCH, PIECES, LR, PLAIN_LR = 96, 5, 1e-4, 0.1
MEASURES = {"modes": "modes", "modes_strict": "strict", "high_quality": "high quality, %", "mode_kl": "reverse KL"}
DATA, NOISE = "samples of the data", "noise over the square"
GAN, FAST, PACKED = "GAN", "GAN, ten times the step size", "PacGAN2"
PLAIN, UNROLLED = "GAN, plain descent", "unrolled GAN, plain descent"


class Row(NamedTuple):
    """A way of training: what it is called, the rule, how many samples the discriminator judges as one."""

    name: str
    rule: str
    pack: int = 1


ADAM = f"lr={LR},direction=adam[beta1=0.8]"
ROWS = (
    Row(GAN, f"sgd[{ADAM}]"),
    Row(FAST, f"sgd[lr={10 * LR},direction=adam[beta1=0.8]]"),
    Row(PACKED, f"sgd[{ADAM}]", pack=2),
    Row("GAN, alternating", f"alternating[{ADAM}]"),
    Row("GAN, optimistic", f"optimistic[{ADAM}]"),
    Row("GAN, extragradient", f"extragrad[{ADAM}]"),
    Row(PLAIN, f"sgd[lr={PLAIN_LR}]"),
    Row(UNROLLED, f"unrolled[lr={PLAIN_LR},k=5]"),
)
CLAIMS = (  # what is claimed, the row that would have more modes, and than which
    ("the GAN loses modes: the data have more", DATA, GAN),
    ("packing two samples gains modes (PacGAN)", PACKED, GAN),
    ("unrolling gains modes, under plain descent (unrolled GAN)", UNROLLED, PLAIN),
    ("the published step size has more than ten times it", GAN, FAST),
    ("alternating gains modes", "GAN, alternating", GAN),
    ("optimism gains modes", "GAN, optimistic", GAN),
    ("extragradient gains modes", "GAN, extragradient", GAN),
)
Values = dict[str, Tensor]
"""Measure -> curves [seeds, marks + 1]; of a sampler that does not learn a single mark, [seeds, 1]."""


# --- the published networks, narrower --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pack(Layer):
    """m samples side by side as one: [R, features, m batch] -> [R, m features, batch]."""

    m: int

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return torch.unflatten(h, 2, (self.m, -1)).flatten(1, 2)


@dataclass(frozen=True)
class Maxout(Layer):
    """The largest of every few features (Goodfellow et al. 2013, arXiv:1302.4389)."""

    pieces: int

    def __call__(self, parameters: Sequence[Tensor], h: Tensor) -> Tensor:
        return torch.unflatten(h, 1, (self.pieces, -1)).amax(1)


@dataclass(frozen=True)
class Published(Mixture):
    """A mixture between networks of the shape that PacGAN's code has; ``pack`` samples are judged as one."""

    width: int = 32
    depth: int = 4
    latent: int = 2
    pack: int = 1

    @cached_property
    def generator(self) -> Network:
        layers: list[Layer] = []
        for fan_in in (self.latent, *[self.width] * (self.depth - 1)):
            layers += [Linear(fan_in, self.width), BatchNorm(self.width), Activation("relu")]
        return Network((*layers, Linear(self.width, 2)))

    @cached_property
    def discriminator(self) -> Network:
        width, layers = self.width // 2, list[Layer]([Pack(self.pack)])
        for fan_in in (2 * self.pack, *[width] * (self.depth - 2)):
            layers += [Linear(fan_in, PIECES * width), Maxout(PIECES)]
        return Network((*layers, Linear(width, 1)))


@game("published-ring")
@dataclass(frozen=True)
class PublishedRing(Published, Ring8):
    """`ring8` between the published networks."""


@game("published-grid")
@dataclass(frozen=True)
class PublishedGrid(Published, Grid25):
    """`grid25` between the published networks."""


GAMES: dict[str, Published] = {"ring": PublishedRing(), "grid": PublishedGrid()}


# --- numbers ---------------------------------------------------------------------------------------------------------


def nothing(mixture: Mixture) -> dict[str, float]:
    """What a generator without one good sample has; so has one that diverged."""
    return {"modes": 0.0, "modes_strict": 0.0, "high_quality": 0.0, "mode_kl": math.log(len(mixture.modes))}


def train(where: str, row: Row) -> Values:
    """A row's curves, by the harness: ten seeds as one stack."""
    spelled = spell(replace(GAMES[where], batch_size=BATCH * row.pack, pack=row.pack))
    (chunk,) = Task(row.rule, spelled, COST, MARKS, "cpu").chunks(report_rows(SEEDS, {}), "report")
    records = pd.DataFrame(execute(chunk).records)
    found = {}
    for measure, worst in nothing(GAMES[where]).items():
        curves = records[records.metric == measure].pivot(index="seed", columns="cost", values="value")
        curves = curves.reindex(SEEDS)  # one that diverged has no records from there on
        found[measure] = torch.tensor(curves.fillna(worst).to_numpy())
        found["diverged"] = torch.tensor(curves.isna().to_numpy())
    return found


def judged(mixture: Mixture, samples: Tensor) -> Values:
    """The measures of samples [seeds, N, 2], as a single mark."""
    found = mode_statistics(samples, mixture.modes, mixture.sd)
    return {name: values.unsqueeze(1) for name, values in zip(nothing(mixture), found, strict=True)}


def perfect(mixture: Mixture, seeds: Tensor) -> Values:
    """The ceiling: what as many samples of the data have."""
    return judged(mixture, mixture.data(seeds, "perfect", 0, mixture.judged, 1).transpose(1, 2))


def noise(mixture: Mixture, seeds: Tensor) -> Values:
    """The floor: what as many points have that lie evenly in the smallest square around the modes and their 3 sd."""
    reach = float(mixture.modes.abs().max()) + 3 * mixture.sd
    points = uniform(seeds, "noise", 0, (2, mixture.judged), block=1)
    return judged(mixture, ((2 * points - 1) * reach).transpose(1, 2))


class Mean(NamedTuple):
    """Of one number a seed, its mean and the mean's standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Tensor) -> Mean:
        return cls(float(values.mean()), float(values.std()) / math.sqrt(len(values)))

    def shown(self, digits: int = 1, sign: str = "") -> str:
        return f"{self.value:{sign}.{digits}f} ± {self.error:.{digits}f}"

    def verdict(self, digits: int) -> str:
        """Whether it is above 0 by more than two standard errors, below by as much, or neither."""
        clear = abs(self.value) > 2 * self.error
        return f"{('yes' if self.value > 0 else 'reverse') if clear else 'not clear'}, {self.shown(digits, '+')}"


# --- the page --------------------------------------------------------------------------------------------------------

Found = dict[str, dict[str, Values]]
"""ring or grid -> row -> its values."""


def final(found: Found, where: str, name: str, measure: str) -> Tensor:
    """At the end, a number a seed."""
    return found[where][name][measure][:, -1]


def strict_share(found: Found, where: str, name: str) -> Tensor:
    """Of the modes, those that the strict definition counts, in percent, a number a seed."""
    return 100 * final(found, where, name, "modes_strict") / len(GAMES[where].modes)


def line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def head(columns: Sequence[str]) -> list[str]:
    return [line(columns), f"|{'---|' * len(columns)}"]


def ends(found: Found, where: str) -> list[str]:
    """Every row at the end of its training, mean and standard error over the seeds."""
    lines = head(("", *MEASURES.values()))
    for name in found[where]:
        cells = []
        for measure in MEASURES:
            values = final(found, where, name, measure) * (100 if measure == "high_quality" else 1)
            cells.append(Mean.of(values).shown(2 if measure == "mode_kl" else 1))
        lines.append(line((name, *cells)))
    return lines


def courses(found: Found, where: str) -> list[str]:
    """Modes by the strict definition against cost, and the mark from which half of them are there, on average."""
    lines = head(("", *(f"{COST * mark // MARKS:,}" for mark in SHOWN), "half of them first at"))
    for row in ROWS:
        course = found[where][row.name]["modes_strict"].mean(0)
        half = (course >= len(GAMES[where].modes) / 2).nonzero()
        first = f"{COST * int(half[0]) // MARKS:,}" if len(half) else "never"
        lines.append(line((row.name, *(f"{course[mark]:.1f}" for mark in SHOWN), first)))
    return lines


def claims(found: Found) -> list[str]:
    """Which of two rows has more modes, and has them more evenly; paired by seed."""
    compared = [(where, name) for where in GAMES for name in ("modes", "modes_strict", "mode_kl")]
    lines = head(("", *(f"{where}: {MEASURES[name]}" for where, name in compared)))
    for claim, more, less in CLAIMS:
        cells = []
        for where, name in compared:
            gap = Mean.of(final(found, where, more, name) - final(found, where, less, name))
            even = name == "mode_kl"
            cells.append((Mean(-gap.value, gap.error) if even else gap).verdict(2 if even else 1))
        lines.append(line((claim, *cells)))
    return lines


def findings(found: Found) -> list[str]:
    """What the numbers say, in words."""
    ring, grid = (strict_share(found, where, GAN) for where in GAMES)
    worse = Mean.of(ring - grid)
    says = "worse than the ring" if worse.value > 2 * worse.error else "not clearly worse than the ring"
    shares = f"{float(grid.mean()):.0f} % of its modes by the strict count against {float(ring.mean()):.0f} %"
    lines = [f"- The GAN covers the grid {says}: {shares}, {worse.shown(0, '+')} points of difference."]
    for where in GAMES:
        modes, quality, kl = (final(found, where, NOISE, name).mean() for name in ("modes", "high_quality", "mode_kl"))
        fewer = [row.name for row in ROWS if final(found, where, row.name, "modes").mean() < modes]
        lines.append(
            f"- On the {where} noise has {modes:.1f} modes, a reverse KL of {kl:.2f} and {100 * quality:.1f} % of high "
            f"quality: the papers' count tells little without the quality. {len(fewer)} of the {len(ROWS)} trained "
            "rows have fewer modes than it."
        )
    for where in GAMES:
        best = max(ROWS, key=lambda row: float(final(found, where, row.name, "modes_strict").mean()))
        strict, ceiling = (Mean.of(final(found, where, name, "modes_strict")) for name in (best.name, DATA))
        lines.append(f"- Most modes, strict, on the {where}: {best.name}, {strict.shown()} of {ceiling.value:.1f}.")
    for where in GAMES:
        lost = {row.name: int(found[where][row.name]["diverged"][:, -1].sum()) for row in ROWS}
        told = "; ".join(f"{name}, {count} of {len(SEEDS)}" for name, count in lost.items() if count)
        lines.append(f"- Diverged on the {where}, and counted as without a mode: {told or 'none'}.")
    return [textwrap.fill(text, 120, subsequent_indent="  ") for text in lines]


HEAD = f"""# Which GANs lose modes: the ring and the grid of VEEGAN and PacGAN

Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, and Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 4.1. Made by

    OMP_NUM_THREADS=1 python results/reference/modes.py > results/reference/modes.md

Machine: {os.cpu_count()}-core {platform.machine()} CPU, Python {platform.python_version()}, torch {torch.__version__}

{len(SEEDS)} seeds a row, mean and standard error, after {COST:,} gradient evaluations a seed, the same for every row
(a step of extragradient costs 2, an unrolled one 8.5, so these take fewer steps). Of 2,500 samples, "modes" are those
that are nearest to at least one sample within 3 sd, which is what the papers count; "strict" those that have at least
a quarter of their fair share of such samples; "high quality" is the share of samples within 3 sd of a mode; "reverse
KL" is from their histogram over the modes to the uniform one, in nats (log K where there is none). Adam with step size
{LR:g} and beta1 0.8 for both players at once is the published rule; rows of another step size say so, and plain
descent takes {PLAIN_LR:g}.
"""
CLAIMED = """The first three claims are of papers. Compared by seed at the end, at equal cost, by how many modes the row
has more than the other, and by how much its reverse KL is lower: "yes" where that is more than two standard errors
above 0, "reverse" where it is more than two below."""
NOTES = f"""## What differs from the papers

- The published numbers (table 1 of either paper) are not beside these. The authors' code and project page hold both
  tables as pictures only, and no number is quoted here that was not read at its source. The measures are the papers',
  but for the strict count.
- Setup and measures are read from PacGAN's code (github.com/fjxmlzn/PacGAN, synthetic_data_experiments) and from
  VEEGAN's page (akashgit.github.io/VEEGAN), which averages over five trainings; PacGAN's code has ten.
- Training is {400_000 // COST} times shorter: {COST:,} steps, where PacGAN's code takes 400 epochs of 1,000
  minibatches. Strict counts under Adam still rise when it ends, and on the grid they have hardly begun to (a generator
  that has not moved has one mode there, the middle): the tables say who is ahead early, not who would win, and do not
  contradict what packing gains by the end of the papers' training.
- Networks are narrower: the generator has four layers of 32 with batch normalisation and ReLU (400 in the code), the
  discriminator three maxout layers of 16 with {PIECES} pieces (200 in the code). Depth and latents are as there.
- Weights start as torch's layers do, not normal with sd 0.02, with which so narrow networks learn the grid more slowly.
- Minibatches are {BATCH} (a multiple of 16 is required), not 100, drawn anew, where the code draws 100,000 points once.
- The generator's batch normalisation goes by the batch at hand in judged samples too; the code keeps running averages.
- Layers before batch normalisation have a bias here, which changes nothing, and none in the code.
- Adam's beta2 is 0.999 and eps 1e-8; the code names neither. The loss is the non-saturating one and the players move at
  once, as there (github.com/IshmaelBelghazi/ALI, ali/algorithms.py); only "alternating" takes turns.
- PacGAN2 judges {BATCH} pairs a step, and so sees twice the samples of the others at the same count of gradient
  evaluations, as in the code. PacGAN3 and 4, ALI, VEEGAN and minibatch discrimination are left out.
- Unrolling is under plain descent with that rule's default step size: its five look-ahead steps are plain ones of the
  rule's own step size, and at Adam's {LR:g} would see next to nothing ahead.
- Width and cost were chosen for the time they take, and the code's shape of networks over plain perceptrons because in
  first runs it learned the ring sooner; no step size was tuned, and no choice made by what a claim's verdict would be.
"""


def page(found: Found, seconds: float) -> str:
    """The document, markdown."""
    lines = [HEAD]
    for where, mixture in GAMES.items():
        lines += [f"## {where}: {len(mixture.modes)} modes", "", *ends(found, where), ""]
        lines += ["Strict modes against cost, on average over the seeds:", "", *courses(found, where), ""]
    lines += ["## What is claimed, and whether it holds here", "", CLAIMED, "", *claims(found), ""]
    lines += ["## In words", "", *findings(found), "", NOTES, f"It took {seconds / 60:.0f} minutes of one core."]
    return "\n".join(lines) + "\n"


def measure(where: str) -> dict[str, Values]:
    """Every row of a game, the two samplers first."""
    mixture, seeds = GAMES[where], torch.tensor(SEEDS)
    found = {DATA: perfect(mixture, seeds), NOISE: noise(mixture, seeds)}
    return found | {row.name: train(where, row) for row in ROWS}


def main() -> None:
    torch.set_num_threads(1)
    found = {where: measure(where) for where in GAMES}
    print(page(found, time.process_time()), end="")


if __name__ == "__main__":
    main()
