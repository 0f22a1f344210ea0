"""Recording of a training: metrics at every evaluation, sample pictures and paths, spectra at the end.

A recorder reads the parameters of the replicas and never changes them. A training reports how each replica ended, and
the recorder makes the chunk's records.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contracts import Game, Generative, HeldOut, Known, Located, Named, Oracle, Planar
from bench.contracts.game import FROM, MADE, TRUE
from bench.execution.divergence import have_left
from bench.metrics.evaluation import Evaluator
from bench.metrics.stability import PATH, path_angle
from bench.numerics.spectrum import RitzValues, ritz
from bench.registry import NamedMetric, metrics
from bench.registry.discovery import origin
from bench.storage.records import Result
from bench.studies.plan import Chunk

FRAMES = 25  # sample pictures a training: enough for a film
FILM = 2**19  # bytes that they may take together: images are many numbers
POINTS = 600  # points of a trajectory in the plane
DRAWN = 3  # replicas whose trajectory is kept
PICTURED = 512  # samples kept a picture
SHEETS = {8: PICTURED, 1024: 36, 2**62: 16}  # of a sample with at most so many coordinates; beyond 8 it is an image
LIGHT = 20_000  # parameters up to which the spectrum at the start costs little beside the training

Series = list[tuple[float, Tensor]]
"""What was seen at which cost."""


class Recorder:
    """The records of one chunk's training while it goes on.

    Args:
        chunk: what trains.
        game: its game.
        seeds: int64[R], of the stack's rows.
        start: where they start, [R, n].
        beat: called before each metric, which may be slow.
    """

    def __init__(self, chunk: Chunk, game: Game, seeds: Tensor, start: Tensor, beat: Callable[[], None]) -> None:
        self.chunk, self.game, self.seeds, self.start, self.beat = chunk, game, seeds, start, beat
        self.reporting = chunk.phase == "report"
        self.evaluator = Evaluator(game, seeds)
        self.plane = game.plane().to(start) if self.reporting and isinstance(game, Planar) else None
        self.filming = self.reporting and isinstance(game, Generative)
        self.evaluated: list[tuple[float, float, dict[int, int], dict[str, Tensor]]] = []
        self.pictures: Series = []
        self.path: Series = []
        self.errors: dict[str, str] = {}

    def keep_rows(self, seeds: Tensor) -> None:
        """Continue with some of the stack's rows; these are their seeds."""
        self.seeds, self.evaluator = seeds, Evaluator(self.game, seeds)

    # --- on the way --------------------------------------------------------------------------------------------------

    def metrics(self, end: bool) -> list[NamedMetric]:
        """The metrics of this game; tuning and trainings with rounded gradients need the primary metric alone.

        They need the game's tie-break too, tuning at the end of its trials.
        """
        if self.chunk.phase in ("tune", "rounded"):
            ties = [self.game.tie_break] if self.game.tie_break and (end or self.chunk.phase == "rounded") else []
            return [metrics[name] for name in (self.game.score, *ties)]
        game_metrics = (metrics[name] for name in metrics.names() if metrics[name].judges(self.game))
        return [metric for metric in game_metrics if end or not metric.at_end or metric.name == self.game.score]

    def evaluate(
        self, answer: Tensor, before: Tensor, cost: float, seconds: float, indices: dict[int, int], end: bool
    ) -> None:
        """Judge the replicas.

        Args:
            answer: the points that are judged, [R, n].
            before: the replicas' parameters one step earlier, [R, n].
            cost: of a replica so far, in gradient evaluations.
            seconds: that its training took so far.
            indices: row of the chunk -> row of the stack, for the active replicas.
            end: whether it is the last evaluation.
        """
        self.evaluator.at(answer, before)
        self.evaluator.play(self._game_at(cost))
        values = {metric.name: self._value(metric, answer) for metric in self.metrics(end)}
        self.evaluated.append((cost, seconds, indices, values))

    def _value(self, metric: NamedMetric, answer: Tensor) -> Tensor:
        """[R]; NaN if the metric raises, unless it is the game's primary metric."""
        self.beat()
        try:
            value: Tensor = metric(self.evaluator.game, answer, self.evaluator).detach().double().cpu()
            if value.shape != (len(answer),):
                raise ValueError(f"metric {metric.name!r} gave shape {tuple(value.shape)}, not ({len(answer)},)")
            return value
        except KeyboardInterrupt:
            raise
        except BaseException:
            if metric.name == self.game.score:
                raise
            self.errors.setdefault(metric.name, f"metric {metric.name!r} has no values\n{traceback.format_exc()}")
            return torch.full((len(answer),), float("nan"), dtype=torch.float64)

    def gone(self, answer: Tensor, cost: float) -> Tensor | None:
        """[R]: which replicas' samples, at the points that are judged, have left the data; None where none can."""
        if not (isinstance(self.game, Generative) and isinstance(self.game, Located)):
            return None
        centre, reach = self.game.location()
        if not isfinite(reach):
            return None
        self.beat()
        self.evaluator.play(self._game_at(cost))
        return have_left(self.evaluator.samples(answer, _judged(self.game)), centre, reach)

    def scores(self) -> list[NDArray[np.float64]]:
        """The primary metric of every row of the chunk at each evaluation after the start, lower the better.

        inf where a row was not in the game.
        """
        return [self._scores(indices, values) for _, _, indices, values in self.evaluated[1:]]

    def _scores(self, indices: dict[int, int], values: dict[str, Tensor]) -> NDArray[np.float64]:
        metric, values_of = metrics[self.game.score], values[self.game.score]
        scores = np.full(len(self.chunk.rows), np.inf)
        for row, index in indices.items():
            if row < len(scores):
                value = float(values_of[index])
                scores[row] = np.inf if value != value else metric.sign * value
        return scores

    def picture(self, cost: float, answer: Tensor) -> None:
        """Record samples of the first replica at its answer, of [R, n]."""
        count = _judged(self.game)
        pair = slice(2)  # one replica is shown; two give the bits that the whole stack gives
        samples = Oracle(self._game_at(cost), self.seeds[pair]).samples(answer[pair], count)
        self.pictures.append((cost, samples[0, : pictured(samples.shape[2])].half().cpu()))

    def _game_at(self, cost: float) -> Game:
        """The game as it is judged once so much is spent."""
        return self.game.at(cost / self.chunk.budget)

    def trace(self, cost: float, answer: Tensor) -> None:
        """Record the positions of the answers [R, n] in the game's plane."""
        assert self.plane is not None
        self.path.append((cost, answer @ self.plane.T))

    # --- at the end --------------------------------------------------------------------------------------------------

    def result(self, ends: Sequence[tuple[str, float]], answer: Tensor) -> Result:
        """The chunk's records; ``ends`` says how every row ended and at what cost, ``answer`` is judged, [R, n]."""
        records = []
        for r, (row, (outcome, ended)) in enumerate(zip(self.chunk.rows, ends, strict=True)):
            shared = {"row": r, "seed": row.seed, "trial": row.trial, "outcome": outcome, "ended": ended}
            records += [shared | measured for measured in self._measured(r)]
        return Result(records, self._tensors(answer), self.errors)

    def _measured(self, r: int) -> Iterator[dict[str, Any]]:
        """The measurements of one replica, until it was frozen."""
        for cost, seconds, indices, values in self.evaluated:
            for name, value in values.items() if r in indices else ():
                yield {"cost": cost, "seconds": seconds, "metric": name, "value": float(value[indices[r]])}

    def _tensors(self, answer: Tensor) -> dict[str, Tensor]:
        tensors = {}
        for name, series in (("path", self.path), ("samples", _thinned(self.pictures))):
            if series:
                tensors[f"{name}_cost"] = torch.tensor([cost for cost, _ in series], dtype=torch.float64)
                tensors[name] = torch.stack([value for _, value in series])
        if self.pictures:
            tensors |= self._beside(answer)
        if self.filming:
            angles = path_angle(Evaluator(self.game, self.seeds), self.start, answer)
            tensors |= {
                "angle": angles[:, : len(self.chunk.rows)].contiguous(),
                "angle_at": torch.tensor(PATH, dtype=torch.float64),
            }
        if self.reporting:
            tensors |= self._spectra()
        if "path" in tensors:
            tensors["path"] = tensors["path"][:, : min(DRAWN, len(self.chunk.rows))].float().cpu().contiguous()
        return tensors

    def _beside(self, answer: Tensor) -> dict[str, Tensor]:
        """What pictures are drawn beside: real samples, or what they were made from and should be. [N, ...] each."""
        if isinstance(self.game, Named):
            pair = slice(2)
            named = Oracle(self.game, self.seeds[pair]).named_samples(answer[pair], _judged(self.game))
            found = {name: named[name][0] for name in (FROM, TRUE) if name in named}
            if found:
                return {name: _sheet_of(value) for name, value in found.items()}
        if isinstance(self.game, Known):
            return {"real": _sheet_of(self.game.known(self.seeds[:1], PICTURED, "perfect")[MADE][0])}
        if isinstance(self.game, HeldOut) and origin(self.game) != "here":
            return {"real": _sheet_of(self.game.held_out(PICTURED))}  # a report runs no plug-in: it has no other way
        return {}

    def _spectra(self) -> dict[str, Tensor]:
        """Eigenvalues of the game's Jacobian: at the end, as metrics found them, and at the start where it is light.

        Each float64[DRAWN, m, 3]: real part, imaginary part, residual (0 for an eigenvalue that is exact).
        """
        at_end = self.evaluator.peek("ritz")
        if not isinstance(at_end, RitzValues):
            return {}
        spectra = {"spectrum_end": at_end}
        if self.start.shape[1] <= LIGHT:
            first = slice(DRAWN + 1)  # two or more replicas give the bits that the whole stack gives
            evaluator = Evaluator(self.game, self.seeds[first])
            spectra["spectrum_start"] = ritz(evaluator.linear(self.start[first])[1], self.start[first])
        count = min(DRAWN, len(self.chunk.rows))
        return {name: ritz_values.numbers()[:count].contiguous() for name, ritz_values in spectra.items()}

    # --- kept and taken up again -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that was recorded so far, as nested dicts and lists of tensors, numbers and texts."""
        return {
            "judge": self.evaluator.state_dict(),
            "evaluated": [[cost, seconds, list(map(list, indices.items())), values]
                          for cost, seconds, indices, values in self.evaluated],
            "path": _packed(self.path),
            "pictures": _packed(self.pictures),
            "errors": dict(self.errors),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave; the rows are already those of the stack."""
        device = self.start.device
        self.evaluator.load_state_dict(state["judge"], device)
        self.evaluated = [
            (cost, seconds, dict(indices), dict(values)) for cost, seconds, indices, values in state["evaluated"]
        ]
        self.path = _unpacked(state["path"], device)
        self.pictures = _unpacked(state["pictures"], torch.device("cpu"))
        self.errors = dict(state["errors"])


def _judged(game: Game) -> int:
    """Samples that are drawn of a replica."""
    return int(getattr(game, "judged", PICTURED))


def _sheet_of(samples: Tensor) -> Tensor:
    """Of samples [N, coordinates] as many as a picture keeps."""
    return samples[: pictured(samples.shape[1])].half().cpu().contiguous()


def _packed(series: Series) -> dict[str, Any]:
    values = {"values": torch.stack([value for _, value in series])} if series else {}
    return {"costs": [cost for cost, _ in series], **values}


def _unpacked(packed: dict[str, Any], device: torch.device) -> Series:
    values = packed["values"].to(device) if packed["costs"] else ()
    return list(zip(packed["costs"], values, strict=True))


def pictured(coordinates: int) -> int:
    """How many samples of so many coordinates are kept in a picture."""
    return next(count for most, count in SHEETS.items() if coordinates <= most)


def _thinned(film: Series) -> Series:
    """Pictures evenly spaced through a training, with the first and the last, in at most FILM bytes."""
    most = max(2, FILM // film[0][1].nbytes) if film else 0
    if len(film) <= most:
        return film
    return [film[round(index)] for index in np.linspace(0, len(film) - 1, most)]
