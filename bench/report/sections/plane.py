"""Trajectories in the plane, over the vector field if the game has two parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.analysis.statistics import Array
from bench.contracts import Game, Oracle, Planar, Solvable
from bench.report.figures import pictures
from bench.report.figures.pictures import Field
from bench.report.sections.scene import Drawing, Scene

PATHS = 2  # replicas drawn
GRID, COARSE = 8, 6  # arrows along a side of a field, in large and in small panels
MANY = 10  # with so many rules panels are small


class Plane(NamedTuple):
    """The paths [T, S, 2] of each rule in the plane of a game, its solution [2] and field if they can be drawn."""

    paths: dict[str, Array]
    solution: Array | None
    field: Field | None


def exhibits(scene: Scene) -> Iterator[Drawing]:
    """The paths of the first replicas from their starts, rule beside rule."""
    game_plane = plane(scene)
    if game_plane is None:
        return
    paths, solution, field = game_plane
    starts, projection = next(iter(paths.values())).shape[1], "seen along one direction of each player"
    caption = f"Trajectories on {scene.label} from {starts} start{'s' if starts > 1 else ''} (rings) to their ends "
    caption += "(dots; crosses at the border where they leave the picture for good), fainter at first, "
    caption += "the same for each rule" + (f", {projection}" if field is None else "; arrows: −F, the way of descent")
    caption += "; + is the solution." if solution is not None else "."
    names = scene.game.plane_names if scene.game is not None else ("x", "y")
    yield Drawing("trajectories", caption, pictures.trajectories(paths, scene.look, solution, field, names), wide=True)


def plane(scene: Scene) -> Plane | None:
    """The paths, the solution and the field of a game; None if it has no plane."""
    path_tensors, game = scene.tensors_with("path"), scene.game
    if not path_tensors or not isinstance(game, Planar):
        return None
    axes = game.plane().to(game.dtype)
    solution = (game.solution().to(axes) @ axes.T).numpy() if isinstance(game, Solvable) else None
    paths = {rule: tensors["path"][:, :PATHS].double().numpy() for rule, tensors in path_tensors.items()}
    field = _field(game, axes, len(path_tensors), *pictures.square(paths, solution)) if sum(game.sizes) == 2 else None
    return Plane(paths, solution, field)


def _field(game: Game, plane: Tensor, panels: int, centre: np.ndarray, reach: float) -> Field:
    """−F of a game of two parameters on a grid in its plane [2, 2]; the grid is coarser for many panels."""
    side = GRID if panels < MANY else COARSE
    line = torch.linspace(-1, 1, side, dtype=game.dtype) * reach * (1 - 1 / side)  # no arrow is cut by the border
    points = torch.cartesian_prod(line, line) + torch.as_tensor(centre, dtype=game.dtype)
    oracle = Oracle(game, torch.zeros(len(points), dtype=torch.int64))
    flow = -oracle(points @ torch.linalg.inv(plane.T)) @ plane.T
    return Field(points.double().numpy(), flow.double().numpy())
