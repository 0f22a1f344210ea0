"""When a replica has diverged though all its numbers are finite: it moves away for good, or its samples have left.

Two judgements, each where a game makes it possible. Where the solution is known and an escape radius declared, a
training watches how far its replicas are from it. Where the data's place is known, it looks at the samples that are
generated at an evaluation anyway. The radius itself is the training's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

EVALUATIONS = 10
"""After the start: where there are fewer, a bounded orbit may be farther at each by chance (1 in 24 at four)."""
GROWTH = 1.1
"""A replica that departs is at least so many times as far at the end as at the start."""
FAR = 100.0
"""A sample that is farther from the data's centre than this many times their own farthest has left."""


class Departure:
    """Whether replicas move away from a known solution for good: a vanishing step size only hides that.

    A replica has departed if it was farther at every evaluation than at the one before, at ten of them at least; if it
    is 10 % farther at the end than at the start; and if the nearest point of its last stretch, from one evaluation to
    the next, is as far as the farthest of its first one. The last asks what evaluations cannot see: an orbit that is
    evaluated once a turn, a little later each time, seems to depart, yet goes through all its distances in a stretch.

    Args:
        distance: [R], of the stack's rows at the start.
    """

    def __init__(self, distance: Tensor) -> None:
        self.nearest = self.farthest = distance  # of the stack's rows, from the last evaluation on, over all steps
        self.evaluated: list[Tensor] = []  # of the chunk's rows
        self.stretches: list[Tensor] = []  # nearest and farthest, [2, rows], between two evaluations

    def step(self, distance: Tensor) -> None:
        """Note how far the stack's rows are after a step, [R]."""
        self.nearest = torch.minimum(self.nearest, distance)
        self.farthest = torch.maximum(self.farthest, distance)

    def evaluate(self, distance: Tensor, at: Tensor, rows: int) -> None:
        """Note how far the stack's rows are at an evaluation, [R]; ``at`` says which of the chunk's they are."""
        noted = distance.new_full((3, rows), float("nan"), dtype=torch.float64, device="cpu")
        noted[:, at] = torch.stack([distance, self.nearest, self.farthest]).double().cpu()
        if self.evaluated:
            self.stretches.append(noted[1:])
        self.evaluated.append(noted[0])
        self.nearest = self.farthest = distance

    def keep_rows(self, kept: Tensor) -> None:
        """Continue with some of the stack's rows, int64[R']."""
        rows = kept.to(self.nearest.device)
        self.nearest, self.farthest = self.nearest[rows], self.farthest[rows]

    def departed(self, rows: int) -> Tensor:
        """[rows]: which rows of the chunk have departed."""
        if len(self.evaluated) <= EVALUATIONS:
            return torch.zeros(rows, dtype=torch.bool)
        farther = (torch.stack(self.evaluated).diff(dim=0) > 0).all(dim=0)
        grown = self.evaluated[-1] >= GROWTH * self.evaluated[0]
        return farther & grown & (self.stretches[-1][0] >= self.stretches[0][1])

    def state_dict(self) -> dict[str, Any]:
        """All that was noted, as lists of tensors."""
        return {
            "since": torch.stack([self.nearest, self.farthest]),
            "evaluated": list(self.evaluated),
            "stretches": list(self.stretches),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.nearest, self.farthest = state["since"].to(self.nearest.device)
        self.evaluated, self.stretches = list(state["evaluated"]), list(state["stretches"])


def have_left(samples: Tensor, centre: Tensor, reach: float) -> Tensor:
    """[R]: whether a replica's samples [R, N, features] have left the data, or are no numbers.

    Distances are those of the coordinate that is farthest off, so that they do not depend on the order of a sum.

    Args:
        samples: of the generator.
        centre: of the data, [features].
        reach: how far the data are from it at most, in any coordinate.
    """
    farthest = (samples - centre.to(samples)).abs().flatten(1).amax(dim=1)  # of NaN it is NaN
    return ~(farthest <= FAR * reach)
