"""A game's section of the report: from its records and tensors to figures and numbers."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from markupsafe import Markup
from torch import Tensor

from bench import dynamics, figures, pictures, tuning_figures
from bench.contracts import Attainable, Game, Generative, Planar, Solvable
from bench.figures import Axis, Curve, Look, Scores
from bench.gan import Images, Mixture
from bench.oracle import NoNetworks, Oracle, Perfect
from bench.pictures import Field
from bench.registry import NamedMetric, get_game, get_metric
from bench.sensitivity import Effort, effort, trials_of, tuning
from bench.spec import Study
from bench.statistics import bootstrap_rules, interquartile_mean
from bench.table import curves, last_evaluations, scores, study_budget, survivals

PATHS = 2  # replicas drawn in the plane
FRAMES = 4  # moments of training at which samples are drawn
GRIDS = 4  # sheets of images through training for each rule, where there are few rules; else two
FEW_RULES = 5
STAIRS = 121  # places of a survival curve
RESAMPLES = 2000  # of a curve's band
GRID = 9  # arrows along a side of a field

Tensors = list[tuple[dict[str, Any], dict[str, Tensor]]]


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption; a wide one spans the page."""

    caption: str
    svg: Markup
    wide: bool


@dataclass(frozen=True)
class Section:
    """What the report says of one game; ``others`` holds rule -> interquartile mean of each of ``metrics``."""

    label: str
    about: str
    metric: NamedMetric
    drawings: list[Drawing]
    metrics: list[NamedMetric]
    others: dict[str, list[float]]
    ceilings: list[float]
    """What a perfect generator would have in ``metrics``; NaN where that cannot be said."""
    tuned: list[dict[str, Any]]
    """The rows of `bench.sensitivity.tuning`."""

    @property
    def attainable(self) -> bool:
        """Whether there is something to say of a perfect generator."""
        return not all(map(math.isnan, self.ceilings))


class Sections:
    """Makes sections.

    Args:
        whole: long records of the rules that are finished on a game.
        records: all of them: what unfinished rules tried is shown as well.
        tensors: (chunk, tensors) to look at.
        found: the table of `bench.table`.
        look: how each rule is drawn.
        study: what was asked for.
    """

    def __init__(
        self,
        whole: pd.DataFrame,
        records: pd.DataFrame,
        tensors: Tensors,
        found: pd.DataFrame,
        look: dict[str, Look],
        study: dict[str, Any],
    ) -> None:
        self.whole, self.records, self.tensors, self.found, self.look = whole, records, tensors, found, look
        self.study, self.tuned = Study.model_construct(**study), tuning(records, study)

    def of(self, label: str) -> Section:
        """The section of the game spelled ``label``."""
        game = get_game(label)
        metric = get_metric(game.score)
        own = self.whole[self.whole["game"] == label]
        rows = self.found[self.found["game"] == label].set_index("optimizer")
        failed = "failed" if rows["errors"].any() else "diverged"
        order = [str(rule) for rule in rows.index]
        metrics, others = _others(own, order, metric)
        ceiling, *attainable = ceilings(game, [metric, *metrics])
        axis = Axis(metric.name, metric.better, metric.unit, failed, ceiling)
        drawings = [
            *self._score_figures(label, own, rows, metric, axis),
            *self._tuning_figures(label, metric, axis),
            *self._plane_figures(label, game, order),
            *self._sample_figures(label, game, order),
            *self._dynamics_figures(label, game, own, order),
        ]
        about, tuned = first_line(type(game)), self.tuned[self.tuned["game"] == label].to_dict("records")
        return Section(label, about, metric, drawings, metrics, others, attainable, tuned)

    def _score_figures(
        self, label: str, own: pd.DataFrame, rows: pd.DataFrame, metric: NamedMetric, axis: Axis
    ) -> list[Drawing]:
        through, final = _curves(own, metric, list(rows.index)), _finals(own, rows, metric)
        words, mean = axis.words.capitalize(), "interquartile mean over the seeds with its 95 % interval"
        crosses = any(curve.lost.size for curve in through.values())
        lost = f" Crosses: where replicas {axis.failed}; a curve ends where too many did." if crosses else ""
        points = f" Crosses: replicas that {axis.failed}." if crosses else ""
        perfect = " Dotted: a perfect sampler." if math.isfinite(axis.ceiling) else ""
        return [
            _drawing(
                f"{words} on {label} through training: {mean}.{perfect}{lost}",
                figures.curves, through, self.look, axis,
            ),
            _drawing(
                f"Final {axis.words} on {label}: a point a seed; the bar is the {mean}.{perfect}{points}",
                figures.final_scores, final, self.look, axis,
            ),
        ]  # fmt: skip

    def _tuning_figures(self, label: str, metric: NamedMetric, axis: Axis) -> list[Drawing]:
        own = self.records[self.records["game"] == label]
        found = {rule: trials_of(own[own["optimizer"] == rule], metric) for rule in self.look}
        tried = {rule: trials for rule, trials in found.items() if trials is not None}
        one = {rule: trials for rule, trials in tried.items() if len(trials.names) == 1}
        two = {rule: trials for rule, trials in tried.items() if len(trials.names) == 2}
        drawn = []
        ringed = "; the chosen one is ringed."
        if one:
            caption = f"Step sizes tried on {label}: median score over the tuning seeds, a faint point a seed"
            crosses = any(np.isnan(trials.values).any() for trials in one.values())
            caption += f"; crosses: seeds that {axis.failed}" if crosses else ""
            caption += "; open: given up early" if any(trials.given_up.any() for trials in one.values()) else ""
            drawn.append(_drawing(caption + ringed, tuning_figures.step_sizes, one, self.look, axis))
        if two:
            caption = f"Pairs of step sizes tried on {label}: colour is the median score over the tuning seeds"
            caption += f", a cross: most {axis.failed}; an open ring: given up early"
            drawn.append(_drawing(caption + ringed, tuning_figures.step_pairs, two, axis))
        efforts = {rule: effort(trials, metric, self.study) for rule, trials in tried.items()}
        if any(np.isfinite(found.curve.value).any() for found in efforts.values()):
            caption = _best_caption(label, efforts, any(trials.given_up.any() for trials in tried.values()))
            drawn.append(_drawing(caption, tuning_figures.expected_best, efforts, self.look, axis))
        return drawn

    def _held(self, label: str, name: str, order: list[str]) -> dict[str, dict[str, Tensor]]:
        """rule -> the tensors of the chunk with its first seed, where they hold ``name``."""
        mine = [(chunk, held) for chunk, held in self.tensors if chunk["label"] == label and name in held]
        mine.sort(key=lambda pair: pair[0]["rows"][0]["seed"], reverse=True)
        by_rule = {chunk["optimizer"]: held for chunk, held in mine}
        return {rule: by_rule[rule] for rule in order if rule in by_rule}

    def _plane_figures(self, label: str, game: Game, order: list[str]) -> list[Drawing]:
        held = self._held(label, "path", order)
        if not held or not isinstance(game, Planar):
            return []
        plane = game.plane().to(game.dtype)
        solution = (game.solution().to(plane) @ plane.T).numpy() if isinstance(game, Solvable) else None
        paths = {rule: tensors["path"][:, :PATHS].double().numpy() for rule, tensors in held.items()}
        field = _field(game, plane, *pictures.square(paths, solution)) if sum(game.sizes) == 2 else None
        starts = next(iter(paths.values())).shape[1]
        caption = (
            f"Trajectories on {label} from {starts} start{'s' if starts > 1 else ''} (rings), the same for each rule"
        )
        caption += ", seen along one direction of each player" if field is None else "; arrows: −F, the way of descent"
        caption += "; + is the solution." if solution is not None else "."
        return [_drawing(caption, pictures.trajectories, paths, self.look, solution, field, wide=True)]

    def _sample_figures(self, label: str, game: Game, order: list[str]) -> list[Drawing]:
        held = self._held(label, "samples", order)
        if not held or not isinstance(game, Generative):
            return []
        if isinstance(game, Images):
            caption = f"Samples on {label} through training, first seed."
            return [_drawing(caption, pictures.images, *_grids(game, held), wide=True)]
        frames = {}
        for rule, tensors in held.items():
            kept = np.unique(np.linspace(0, len(tensors["samples"]) - 1, FRAMES).round().astype(int))
            frames[rule] = (tensors["samples_cost"].numpy()[kept], tensors["samples"].float().numpy()[kept])
        if any(points.ndim != 3 or points.shape[2] != 2 for _, points in frames.values()):
            return []
        modes = game.modes.numpy() if isinstance(game, Mixture) else None
        circles = "; circles are the real modes" if modes is not None else ""
        caption = f"Samples on {label} through training, first seed{circles}."
        return [_drawing(caption, pictures.clouds, frames, modes, self.look, wide=True)]

    def _dynamics_figures(self, label: str, game: Game, own: pd.DataFrame, order: list[str]) -> list[Drawing]:
        grid = np.linspace(0, study_budget(own), STAIRS)
        drawn = []
        if events := survivals(own, order, game.collapse, grid):
            caption = f"Replicas on {label} that had not yet {' or '.join(events)}, with Wilson's 95 % interval."
            drawn.append(_drawing(caption, dynamics.survivals, events, grid, self.look))
        if held := self._held(label, "angle", order):
            at = next(iter(held.values()))["angle_at"].numpy()
            bands = {rule: bootstrap_rules(parts["angle"].numpy(), resamples=RESAMPLES) for rule, parts in held.items()}
            caption = f"Path-angle on {label}: cosine between the field and the way from start to end of training, "
            caption += "interquartile mean with its 95 % interval. A change of sign at 1 means that the end attracts, "
            caption += "a bump there that the field turns about it (Berard et al. 2020)."
            drawn.append(_drawing(caption, dynamics.path_angles, at, bands, self.look))
        return drawn


def ceilings(game: Game, metrics: list[NamedMetric]) -> list[float]:
    """What a perfect generator would have in these metrics: interquartile means over ten seeds, NaN for no answer."""
    if not isinstance(game, Attainable):
        return [math.nan] * len(metrics)
    judge = Perfect(game, range(10))
    nowhere = torch.full((10, sum(game.sizes)), math.nan, dtype=game.dtype)

    def of(metric: NamedMetric) -> float:
        try:
            value = float(interquartile_mean(metric(game, nowhere, judge).numpy()))
            return value if math.isfinite(value) else math.nan
        except (NoNetworks, ValueError):  # it looks at the networks, or at where they are, which is nowhere
            return math.nan

    return [of(metric) for metric in metrics]


def _grids(
    game: Images, held: dict[str, dict[str, Tensor]]
) -> tuple[np.ndarray | None, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Real images, [N, H, W] or [N, H, W, 3], and every rule's through training: costs [K], images [K, N, ...].

    The start is left out: it is noise, the same for every rule.
    """

    def shaped(pixels: Tensor) -> np.ndarray:
        planes = pixels[..., : pictures.ACROSS**2, :].reshape(*pixels.shape[:-2], -1, game.planes, *game.shape)
        images: np.ndarray = planes.movedim(-3, -1).float().numpy()
        return images if game.planes > 1 else images[..., 0]

    found = {}
    for rule, tensors in held.items():
        count = len(tensors["samples"])
        moments = np.geomspace(1, count - 1, GRIDS if len(held) <= FEW_RULES else 2) if count > 1 else [0]
        kept = np.unique(np.round(moments).astype(int))
        found[rule] = tensors["samples_cost"].numpy()[kept], shaped(tensors["samples"][torch.from_numpy(kept)])
    return None if game.missing else shaped(game.held_out(pictures.ACROSS**2)), found


def first_line(thing: object) -> str:
    """What the docstring says first."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _drawing(caption: str, draw: Any, *content: Any, wide: bool = False) -> Drawing:
    return Drawing(caption, Markup(draw(*content, title=caption)), wide)


def _best_caption(label: str, efforts: dict[str, Effort], given_up: bool) -> str:
    """What a figure of the expected best shows, and which curves it does not show, and why."""
    caption = f"Expected best of k trials on {label}: the best median over the tuning seeds among k of the trials "
    caption += "that spread over the range, with its 95 % bootstrap interval over trials and seeds. On the right the "
    caption += "best of all trials as found, half of which close in, with its interval over the seeds. An interval "
    caption += "that reaches the border goes on beyond it."
    caption += " A trial that was given up early counts as it stood then." if given_up else ""
    missing = []
    for rule, found in efforts.items():
        failures, most = int(np.isinf(found.curve.value).sum()), len(found.curve.value)
        if failures:
            missing.append(f"{rule} {'at any k' if failures == most else f'up to k={failures}'}")
    return caption + (f" Not drawn, for all k may fail: {', '.join(missing)}." if missing else "")


def _curves(own: pd.DataFrame, metric: NamedMetric, order: list[str]) -> dict[str, Curve]:
    """Each rule's curve; from where a replica failed on it counts as the worst."""
    report = own[own["phase"] == "report"]
    ends = report.groupby(["optimizer", "seed"], observed=True)[["outcome", "ended"]].first()
    by_rule, found = curves(own, metric.name), {}
    for rule in order:
        cost, values = by_rule[rule]
        until = ends.loc[rule].sort_index()
        end = until["ended"].where(until["outcome"] != "ok", np.inf).to_numpy()
        counted = np.where(np.isnan(values) | (cost >= end[:, None]), metric.worst, values)
        found[rule] = Curve(cost, *bootstrap_rules(counted.T, resamples=RESAMPLES), end[np.isfinite(end)])
    return found


def _finals(own: pd.DataFrame, rows: pd.DataFrame, metric: NamedMetric) -> dict[str, Scores]:
    """Each rule's final scores, NaN for a failure."""
    report = own[own["phase"] == "report"]
    known = last_evaluations(report, metric, ["optimizer", "seed"])["value"].unstack("seed")
    return {
        str(rule): Scores(known.loc[rule].to_numpy(float), float(row["iqm"]), float(row["low"]), float(row["high"]))
        for rule, row in rows.iterrows()
    }


def _field(game: Game, plane: Tensor, centre: np.ndarray, reach: float) -> Field:
    """−F of a game of two parameters on a grid in its plane [2, 2]."""
    line = torch.linspace(-reach, reach, GRID, dtype=game.dtype)
    points = torch.cartesian_prod(line, line) + torch.as_tensor(centre, dtype=game.dtype)
    oracle = Oracle(game, torch.zeros(len(points), dtype=torch.int64))
    flow = -oracle(points @ torch.linalg.inv(plane.T)) @ plane.T
    return Field(points.double().numpy(), flow.double().numpy())


def _others(
    own: pd.DataFrame, order: list[str], primary: NamedMetric
) -> tuple[list[NamedMetric], dict[str, list[float]]]:
    """Every metric but the primary one, and each rule's interquartile means at the last cost."""
    report = own[own["phase"] == "report"]
    metrics = [get_metric(name) for name in sorted(set(report["metric"].unique()) - {primary.name})]
    seeds = sorted(report["seed"].unique())
    # A replica that stopped with an error has the primary metric alone: it counts as the worst in the others as well.
    wide = [scores(own, metric).reindex(index=order, columns=seeds).fillna(metric.worst) for metric in metrics]
    return metrics, {rule: [float(interquartile_mean(part.loc[rule].to_numpy())) for part in wide] for rule in order}
