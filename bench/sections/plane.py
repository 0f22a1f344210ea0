"""Trajectories in the plane, over the field where the game has two parameters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bench.contracts import Game, Planar, Solvable
from bench.figures import pictures
from bench.figures.pictures import Field
from bench.oracle import Oracle
from bench.sections.scene import Drawing, Scene

PATHS = 2  # replicas drawn
GRID = 9  # arrows along a side of a field


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """The first replicas' ways from their starts, rule beside rule."""
    held, game = scene.held("path"), scene.game
    if not held or not isinstance(game, Planar):
        return
    plane = game.plane().to(game.dtype)
    solution = (game.solution().to(plane) @ plane.T).numpy() if isinstance(game, Solvable) else None
    paths = {rule: tensors["path"][:, :PATHS].double().numpy() for rule, tensors in held.items()}
    field = _field(game, plane, *pictures.square(paths, solution)) if sum(game.sizes) == 2 else None
    starts, seen = next(iter(paths.values())).shape[1], "seen along one direction of each player"
    caption = f"Trajectories on {scene.label} from {starts} start{'s' if starts > 1 else ''} (rings), "
    caption += "the same for each rule" + (f", {seen}" if field is None else "; arrows: −F, the way of descent")
    caption += "; + is the solution." if solution is not None else "."
    yield Drawing("trajectories", caption, pictures.trajectories(paths, scene.look, solution, field), wide=True)


def _field(game: Game, plane: Tensor, centre: np.ndarray, reach: float) -> Field:
    """−F of a game of two parameters on a grid in its plane [2, 2]."""
    line = torch.linspace(-reach, reach, GRID, dtype=game.dtype)
    points = torch.cartesian_prod(line, line) + torch.as_tensor(centre, dtype=game.dtype)
    oracle = Oracle(game, torch.zeros(len(points), dtype=torch.int64))
    flow = -oracle(points @ torch.linalg.inv(plane.T)) @ plane.T
    return Field(points.double().numpy(), flow.double().numpy())
