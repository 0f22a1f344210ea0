"""Which training methods of the Dirac-GAN converge: Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, figure 3.

    python results/reference/dirac.py > results/reference/dirac.md

Every row is one way of training; it is run from (1, 1) with the step size of the authors' notebook, and the update map
is linearised at the equilibrium (0, 0).
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import Game, Oracle, UpdateRule, get_game, get_rule

LR, STEPS, SHOWN = 0.2, 5_000, 500
CONVERGED, STAYED = 1e-6, 0.05


@dataclass(frozen=True)
class Training:
    """A row: what it is called, the game, whether the paper says that it converges, a rule of its own."""

    name: str
    game: str
    converges: bool
    rule: str = ""


TRAININGS = (
    Training("minimax, unregularised", "dirac", False),
    Training("non-saturating, unregularised", "dirac[loss=non-saturating]", False),
    Training("WGAN", "dirac[loss=wgan]", False),
    Training("WGAN, clipped at 1", "dirac[loss=wgan,clip=1]", False),
    Training("WGAN-GP, target 1", "dirac[loss=wgan,regulariser=gradient-penalty,gamma=0.35]", False),
    Training("instance noise, sd 0.7", "dirac[regulariser=instance-noise,noise=0.7]", True),
    Training("R1, gamma 0.3", "dirac[regulariser=r1,gamma=0.3]", True),
    Training("R1, gamma 1 (critical)", "dirac[regulariser=r1,gamma=1]", True),
    Training("R2, gamma 0.3", "dirac[regulariser=r2,gamma=0.3]", True),
    Training("non-saturating, R1, gamma 0.3", "dirac[loss=non-saturating,regulariser=r1,gamma=0.3]", True),
    Training("consensus optimisation, gamma 1", "dirac", True, f"consensus[lr={LR},gamma=1]"),
)


def step(game: Game, rule: UpdateRule, F: Oracle, w: Tensor, s: dict[str, object]) -> tuple[Tensor, dict[str, object]]:
    """One update, and the projection of a game that has one."""
    w, s = rule.step(F, w, s)
    return (game.project(w) if hasattr(game, "project") else w), s


def distances(game: Game, rule: UpdateRule) -> tuple[float, float]:
    """How far from the equilibrium a run from (1, 1) is after SHOWN and after STEPS steps; two replicas, one shown."""
    F = Oracle(game, [0, 1])
    w = torch.ones(2, 2, dtype=game.dtype)
    s = rule.init(w)
    found = []
    for k in range(1, STEPS + 1):
        w, s = step(game, rule, F, w, s)
        if k in (SHOWN, STEPS):
            found.append(float(w[0].norm()))
    return found[0], found[1]


def spectral_radius(game: Game, rule: UpdateRule) -> float:
    """Largest |eigenvalue| of the update map at the equilibrium, by central differences."""
    h = 1e-5
    w = h * torch.cat([torch.eye(2), -torch.eye(2)]).to(game.dtype)
    moved, _ = step(game, rule, Oracle(game, range(4)), w, rule.init(w))
    return float(torch.linalg.eigvals((moved[:2] - moved[2:]).T / (2 * h)).abs().max())


def eigenvalues(game: Game) -> str:
    """Eigenvalues of J at the equilibrium."""
    at = torch.zeros(2, 2, dtype=game.dtype)
    _, push, _ = Oracle(game, [0, 1]).linear(at)
    values = torch.linalg.eigvals(push(torch.eye(2, dtype=game.dtype)).T)
    first = max(values.tolist(), key=lambda z: (z.real, z.imag))
    other = min(values.tolist(), key=lambda z: (z.real, z.imag))
    if abs(first.imag) > 1e-6:
        return (f"{first.real:.4g} " if abs(first.real) > 1e-9 else "") + f"±{abs(first.imag):.4g}i"
    return f"{first.real:.4g}, {other.real:.4g}"


def verdict(at_shown: float, at_end: float) -> str:
    if not at_end < STAYED:  # also NaN
        return "slowly nearer" if at_end < 0.5 * at_shown else "no"
    return "yes" if at_end < CONVERGED else "slowly nearer"


def row(training: Training) -> tuple[str, bool]:
    """A row of the table, and whether every verdict in it is the paper's."""
    game = get_game(training.game)
    smooth = "gradient-penalty" not in training.game
    cells = [training.name, eigenvalues(game) if smooth else "kink"]
    agree = True
    for rule in (training.rule or f"sgd[lr={LR}]", "" if training.rule else f"alternating[lr={LR}]"):
        if not rule:
            cells += ["", "", ""]
            continue
        made = get_rule(rule)
        shown, end = distances(game, made)
        said = verdict(shown, end)
        agree &= (said == "yes") == training.converges
        radius = f"{spectral_radius(game, made):.4f}" if smooth else "kink"
        cells += [radius, f"{shown:.2g}, {end:.2g}", said]
    return "| " + " | ".join([*cells, "yes" if training.converges else "no", "yes" if agree else "NO"]) + " |", agree


HEAD = f"""# Which training methods of the Dirac-GAN converge

Mescheder, Geiger and Nowozin 2018, arXiv:1801.04406, figure 3. Made in about a minute by

    python results/reference/dirac.py > results/reference/dirac.md

Machine: {os.cpu_count()}-core {platform.machine()} CPU, Python {platform.python_version()}, torch {torch.__version__}

Step size {LR} and start (1, 1), as in the authors' notebook, which draws {SHOWN} steps; {STEPS} steps here. "Radius" is
the largest |eigenvalue| of the update map at the equilibrium: below 1 it converges linearly nearby. "Distance" is how
far from the equilibrium a run is after {SHOWN} and after {STEPS} steps; it converges where the latter is below
{CONVERGED:g}.

"""
COLUMNS = (
    "training", "eigenvalues of J",
    "simultaneous: radius", "distance", "converges", "alternating: radius", "distance", "converges",
    "paper: converges", "agrees",
)  # fmt: skip
NOTES = """
- The non-saturating GAN under alternating descent has radius 1: not linearly convergent, it creeps nearer like
  1/sqrt(steps). It is counted as not convergent.
- On the Dirac-GAN R1 and R2 are one penalty, gamma psi^2 / 2: the slope of psi x is psi everywhere.
- WGAN-GP's penalty has a kink at psi = 0, so there is no J; gamma is half the authors' 0.7, for they halve the square.
- Consensus optimisation is a rule, not a game: its J is the unregularised game's, and it is simultaneous.
- `alternating` moves the discriminator first and projects once a step; the authors' notebook moves the generator first
  and clips after either.
- The authors' instance noise is drawn, a thousand points a step; here it is integrated.
- The paper's verdicts are those of its abstract and of figure 3's caption: instance noise and zero-centred gradient
  penalties converge; unregularised training, WGAN and WGAN-GP do not always. Consensus optimisation converges by
  Mescheder et al. 2017, arXiv:1705.10461.
"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(HEAD, "| ", " | ".join(COLUMNS), " |\n", "|---" * len(COLUMNS), "|", sep="")
    agreed = 0
    for training in TRAININGS:
        line, agrees = row(training)
        agreed += agrees
        print(line, flush=True)
    print(f"\n{agreed} of {len(TRAININGS)} rows have the paper's verdict.\n{NOTES}", end="")
