"""The only training loop: a chunk in, records out.

All replicas of a chunk advance together. A replica whose parameters leave the finite range is frozen where it last was
and reported as diverged at that cost; the others go on, untouched bit for bit. Where the solution is known and the game
says how far off is lost, the test is stricter: who escapes that radius has diverged, and so has, at the end, who was
farther from the solution at every evaluation than at the one before, however slowly: a vanishing step size only hides
divergence.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from math import isfinite
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contracts import Constrained, Generative, Oracle, Planar, Solvable, State
from bench.contracts.introspection import stacked
from bench.errors import SpecError
from bench.execution.cuda_graph import Stepper, cuda_graph
from bench.metrics.evaluation import Judge
from bench.metrics.stability import PATH, path_angle
from bench.numerics.runtime import hold_memory
from bench.numerics.spectrum import Ritz, ritz
from bench.registry import NamedMetric, get_game, get_rule, metrics
from bench.registry.identity import plugin_code
from bench.storage.records import Result
from bench.studies.plan import Chunk, Row
from bench.studies.tuning.pruning import PATIENCE, given_up

LIMIT = 1e6
"""A parameter beyond it has left the range in which a game means anything."""
FRAMES = 25  # sample pictures a training: enough for a film
FILM = 2**17  # bytes that they may take together: images are many numbers
POINTS = 600  # points of a trajectory in the plane
DRAWN = 3  # replicas whose trajectory is kept
PULSES = 50  # reports of progress a chunk
BEAT = 0.1  # seconds between signs of life; at every step they would be felt
PICTURED = 512  # samples kept a picture
SHEET = 64  # where a sample has more coordinates than POINT: an image
POINT = 8
LIGHT = 20_000  # parameters up to which the spectrum at the start costs little beside the training


Progress = Callable[[float], None]
Beat = Callable[[], None]


class Keeper(Protocol):
    """Keeps a training's state while it goes on, and gives it back to one that begins anew."""

    def resume(self, training: Any) -> int:
        """Set a training that has not begun to the state that was kept; returns its step, 0 where nothing was."""
        ...

    def look(self, training: Any, step: int) -> None:
        """Called before a step is taken or judged: keep the state now and then."""
        ...


def execute(
    chunk: Chunk,
    progress: Progress = lambda cost: None,
    beat: Beat = lambda: None,
    keeper: Keeper | None = None,
) -> Result:
    """Train a chunk to its budget.

    Args:
        chunk: what to train.
        progress: told the cost so far, over all replicas, now and then.
        beat: called as a sign of life, before a metric and a step: before each that is slow.
        keeper: keeps the state now and then, so that a training whose process dies goes on from there, bit for bit.
    """
    hold_memory()
    return _Training(chunk, progress, beat).run(keeper)


def _rows_of(state: State, rows: Tensor) -> State:
    """A rule's memory of some of the replicas."""
    return {key: _rows_of(part, rows) if isinstance(part, dict) else part[rows] for key, part in state.items()}


def _thinned(film: list[tuple[float, Tensor]]) -> list[tuple[float, Tensor]]:
    """Pictures evenly through a training, the first and the last among them, that take FILM bytes at most."""
    most = max(2, FILM // film[0][1].nbytes) if film else 0
    if len(film) <= most:
        return film
    return [film[round(place)] for place in np.linspace(0, len(film) - 1, most)]


class _Training:
    """One chunk's training: its state, its records."""

    def __init__(self, chunk: Chunk, progress: Progress, beat: Beat) -> None:
        self.chunk, self.progress, self.beat = chunk, progress, beat
        self.game, base = get_game(chunk.game), get_rule(chunk.rule)
        if plugin_code(base, self.game) != chunk.code:
            raise SpecError(f"{chunk.rule} or {chunk.game} came out otherwise here than where it was planned: seed it")
        # Batched products of small matrices take two at a time, and the odd one out takes another kernel, with other
        # bits: pack a twin beside it and drop what it did.
        self.rows: tuple[Row, ...] = chunk.rows + chunk.rows[: len(chunk.rows) % 2]
        self.base = base
        self.rule = stacked(base, [dict(row.values) for row in self.rows], self.game, chunk.device)
        self.at = torch.arange(len(self.rows))  # which rows of the chunk are in the stack
        self.given_up = torch.zeros(len(self.rows), dtype=torch.bool)
        seeds = torch.tensor([row.seed for row in self.rows])
        self.w = self.start = self.game.init(seeds).to(chunk.device)
        self.s: State = self.rule.init(self.w)
        self.step = Stepper(cuda_graph if self.w.is_cuda else None)
        self.F, self.judge = Oracle(self.game, seeds), Judge(self.game, seeds)
        self.steps = int(chunk.budget / base.cost + 1e-9)  # never above the budget
        self.alive = torch.ones(len(seeds), dtype=torch.bool, device=chunk.device)
        self.ended = torch.full((len(seeds),), float("nan"), dtype=torch.float64)
        self.solution = self.game.solution().to(self.w) if isinstance(self.game, Solvable) else None
        self.project = self.game.project if isinstance(self.game, Constrained) else None
        self.seconds = 0.0
        self.evaluated: list[tuple[float, float, dict[int, int], dict[str, Tensor]]] = []
        self.distances: list[Tensor] = []
        self.pictures: list[tuple[float, Tensor]] = []
        self.path: list[tuple[float, Tensor]] = []
        self.errors: dict[str, str] = {}
        self.before = self.w
        self.due = 0.0

    def run(self, keeper: Keeper | None = None) -> Result:
        marks = {round(self.steps * k / self.chunk.marks) for k in range(self.chunk.marks + 1)}
        frames = {round(self.steps * k / (FRAMES - 1)) for k in range(FRAMES)}
        reporting = self.chunk.phase == "report"
        plane = self.game.plane().to(self.w) if reporting and isinstance(self.game, Planar) else None
        stride, pulse = max(1, self.steps // POINTS), max(1, self.steps // PULSES)
        for step in range(keeper.resume(self) if keeper else 0, self.steps + 1):
            if keeper:
                keeper.look(self, step)
            if step in marks:
                self._evaluate(end=step == self.steps or not self.alive.any())
                if self.chunk.phase == "tune" and 0 < step < self.steps:
                    self._give_up(step)
                    self._shrink()
            if reporting and step in frames and isinstance(self.game, Generative):
                self._picture()
            if plane is not None and step % stride == 0:
                self.path.append((self.F.cost, self._answer() @ plane.T))
            if step % pulse == 0:
                self.progress(self.F.cost * len(self.chunk.rows))
            if step == self.steps or not self.alive.any():
                break
            self._advance()
        return self._result()

    def _advance(self) -> None:
        """One step of the rule, timed; then whoever left the finite range is frozen."""
        start = perf_counter()
        if start >= self.due:
            self.beat()
            self.due = start + BEAT
        self.before = self.w
        w, self.s = self.step(self.rule, self.F, self.w, self.s)
        if self.project is not None:
            w = self.project(w)
        self.F.new_batch()
        within = self._within(w)
        if not (within.all() and self.alive.all()):
            self.ended[self.at[(self.alive & ~within).cpu()]] = self.F.cost
            self.alive = self.alive & within
            w = torch.where(self.alive.unsqueeze(1), w, self.w)
        self.w = w
        self.seconds += (perf_counter() - start) / len(self.rows)

    def _within(self, w: Tensor) -> Tensor:
        """[R]: still in the range in which the game means something; false for NaN."""
        if self.solution is not None and self.game.escape <= LIMIT:  # the nearer bound
            return self._distance(w) <= self.game.escape
        return w.abs().amax(dim=1) <= LIMIT

    def _distance(self, w: Tensor) -> Tensor:
        """[R]: how far the replicas are from the solution."""
        assert self.solution is not None
        distances: Tensor = torch.linalg.vector_norm(w - self.solution, dim=1)
        return distances

    def _answer(self) -> Tensor:
        return self.rule.answer(self.w, self.s)

    def _metrics(self, end: bool) -> list[NamedMetric]:
        """The metrics that are for this game; tuning needs the primary one alone."""
        if self.chunk.phase == "tune":
            return [metrics[self.game.score]]
        own = (metrics[name] for name in metrics.names() if metrics[name].judges(self.game))
        return [metric for metric in own if end or not metric.at_end]

    def _evaluate(self, end: bool) -> None:
        if self.w.is_cuda:
            torch.cuda.synchronize()
        w = self._answer()
        self.judge.visit(w, self.before)
        values = {metric.name: self._value(metric, w) for metric in self._metrics(end)}
        if self.solution is not None:
            distances = torch.full_like(self.ended, float("nan"))
            distances[self.at] = self._distance(w).cpu()
            self.distances.append(distances)
        places = {int(row): place for place, row in enumerate(self.at) if self.alive[place]}
        self.evaluated.append((self.F.cost, self.seconds, places, values))

    def _give_up(self, step: int) -> None:
        """Freeze the trials that are clearly beaten by others of the chunk."""
        trials = list(dict.fromkeys(row.trial for row in self.chunk.rows))
        if step < PATIENCE * self.steps or len(self.chunk.rows) % len(trials):
            return
        curves = np.stack([self._scores(places, values) for _, _, places, values in self.evaluated[1:]])
        own = curves.reshape(len(curves), len(trials), -1)
        rivals = np.array(self.chunk.rivals)[: len(own)].reshape(len(own), -1, own.shape[2])
        beaten = given_up(self.chunk.pruner, np.concatenate([own, rivals], axis=1))[: len(trials)]
        lost = torch.tensor([trials.index(row.trial) for row in self.chunk.rows])
        frozen = torch.from_numpy(beaten)[lost] & self.ended[: len(lost)].isnan()
        self.given_up[: len(lost)] |= frozen
        self.ended[: len(lost)][frozen] = self.F.cost
        self.alive = self.alive & self.ended[self.at].isnan().to(self.alive.device)

    def _scores(self, places: dict[int, int], values: dict[str, Tensor]) -> NDArray[np.float64]:
        """The primary metric of every row of the chunk, lower the better; inf where it was not in the game."""
        metric, values_of = metrics[self.game.score], values[self.game.score]
        found = np.full(len(self.chunk.rows), np.inf)
        for row, place in places.items():
            if row < len(found):
                value = float(values_of[place])
                found[row] = np.inf if value != value else metric.sign * value
        return found

    def _shrink(self) -> None:
        """Let go of who is out of the game; an even number stays, for the odd one out would have other bits."""
        alive = self.alive.nonzero().squeeze(1).cpu()
        if len(alive) == len(self.rows) or not len(alive):
            return
        out = (~self.alive).nonzero().squeeze(1).cpu()
        kept = torch.cat([alive, out[: len(alive) % 2]])
        if len(kept) == len(self.rows):
            return
        self.keep_rows(kept)
        here = kept.to(self.w.device)
        self.w, self.before, self.alive = self.w[here], self.before[here], self.alive[here]
        self.s = _rows_of(self.s, here)

    def keep_rows(self, kept: Tensor) -> None:
        """Go on with some of the stack's rows, int64[R']; their parameters and memory are the caller's to set."""
        self.rows, self.at = tuple(self.rows[int(place)] for place in kept), self.at[kept]
        self.rule = stacked(self.base, [dict(row.values) for row in self.rows], self.game, self.chunk.device)
        self.F, self.judge = self.F.of_rows(kept), Judge(self.game, self.F.seeds[kept])

    def _value(self, metric: NamedMetric, w: Tensor) -> Tensor:
        """[R]; NaN where the metric raises, unless it is the one that the game is judged by."""
        self.beat()
        try:
            value: Tensor = metric(self.game, w, self.judge).detach().double().cpu()
            if value.shape != (len(self.rows),):
                raise ValueError(f"metric {metric.name!r} gave shape {tuple(value.shape)}, not ({len(self.rows)},)")
            return value
        except KeyboardInterrupt:
            raise
        except BaseException:
            if metric.name == self.game.score:
                raise
            self.errors.setdefault(metric.name, f"metric {metric.name!r} has no values\n{traceback.format_exc()}")
            return torch.full((len(self.rows),), float("nan"), dtype=torch.float64)

    def _picture(self) -> None:
        count = getattr(self.game, "judged", PICTURED)
        pair = slice(2)  # one replica is shown; two give the bits that the whole stack gives
        samples = Oracle(self.game, self.F.seeds[pair]).samples(self._answer()[pair], count)
        kept = PICTURED if samples.shape[2] <= POINT else SHEET
        self.pictures.append((self.F.cost, samples[0, :kept].half().cpu()))

    def _departed(self) -> Tensor:
        """[R]: at every evaluation farther from the solution than at the one before."""
        if len(self.distances) < 3 or not isfinite(self.game.escape):
            return torch.zeros_like(self.given_up)
        return (torch.stack(self.distances).diff(dim=0) > 0).all(dim=0)

    def _result(self) -> Result:
        departed = self._departed() & self.ended.isnan()
        self.ended[departed] = self.F.cost
        records = []
        for r, row in enumerate(self.chunk.rows):
            outcome = "ok" if self.ended[r].isnan() else "interrupted" if self.given_up[r] else "diverged"
            ended = self.F.cost if outcome == "ok" else float(self.ended[r])
            shared = {"row": r, "seed": row.seed, "trial": row.trial, "outcome": outcome, "ended": ended}
            records += [shared | measured for measured in self._measured(r)]
        return Result(records, self._tensors(), self.errors)

    def _measured(self, r: int) -> Iterator[dict[str, Any]]:
        """What was measured of one replica, for as long as it was in the game."""
        for cost, seconds, places, values in self.evaluated:
            for name, value in values.items() if r in places else ():
                yield {"cost": cost, "seconds": seconds, "metric": name, "value": float(value[places[r]])}

    def _tensors(self) -> dict[str, Tensor]:
        found = {}
        for name, series in (("path", self.path), ("samples", _thinned(self.pictures))):
            if series:
                found[f"{name}_cost"] = torch.tensor([cost for cost, _ in series], dtype=torch.float64)
                found[name] = torch.stack([value for _, value in series])
        if self.chunk.phase == "report" and isinstance(self.game, Generative):
            angles = path_angle(Judge(self.game, self.F.seeds), self.start, self._answer())
            found |= {
                "angle": angles[:, : len(self.chunk.rows)].contiguous(),
                "angle_at": torch.tensor(PATH, dtype=torch.float64),
            }
        if self.chunk.phase == "report":
            found |= self._spectra()
        if "path" in found:
            found["path"] = found["path"][:, : min(DRAWN, len(self.chunk.rows))].float().cpu().contiguous()
        return found

    def _spectra(self) -> dict[str, Tensor]:
        """Eigenvalues of the game's Jacobian: at the end, as metrics found them, and at the start where it is light.

        Each float64[DRAWN, m, 3]: real part, imaginary part, residual (0 for an eigenvalue that is exact).
        """
        at_end = self.judge.known("ritz")
        if not isinstance(at_end, Ritz):
            return {}
        found = {"spectrum_end": at_end}
        if self.start.shape[1] <= LIGHT:
            first = slice(DRAWN + 1)  # two or more replicas give the bits that the whole stack gives
            judge = Judge(self.game, self.F.seeds[first])
            found["spectrum_start"] = ritz(judge.linear(self.start[first])[1], self.start[first])
        count = min(DRAWN, len(self.chunk.rows))
        return {name: of.numbers()[:count].contiguous() for name, of in found.items()}
