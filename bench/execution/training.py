"""The only training loop: a chunk in, records out.

All replicas of a chunk advance together. A replica whose parameters leave the finite range is frozen at its last state
and reported as diverged at that cost; the others go on, unchanged bit for bit. Where the solution is known and the game
declares an escape radius, the test is stricter: a replica that leaves this radius has diverged, and one that departs
for good counts as diverged at the end. Where the place of the data is known, so has a replica whose samples are far
beyond it at an evaluation. `bench.execution.divergence` says what is far, and what departing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import isfinite
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.contracts import Constrained, Exportable, Oracle, Solvable, State
from bench.contracts.introspection import stacked
from bench.errors import UserError
from bench.execution.cuda_graph import Stepper, cuda_graph
from bench.execution.divergence import Departure
from bench.execution.recorder import FRAMES, POINTS, Recorder
from bench.execution.rounding import RoundingOracle, rounded
from bench.numerics.passes import bounded
from bench.numerics.runtime import flushed_denormals, hold_memory
from bench.registry import get_game, get_rule
from bench.registry.identity import plugin_code
from bench.storage.records import Result
from bench.studies.plan import Chunk, Row
from bench.studies.tuning.pruning import waits

LIMIT = 1e6
"""A parameter beyond it has left the range in which a game means anything."""
PULSES = 50  # reports of progress a chunk
BEAT = 0.1  # seconds between heartbeats; one at every step would be slow
COUNTERS = ("draw", "gradients", "products", "draws")
"""Of the oracle: what it counted so far. Those of the judge decide nothing."""

Progress = Callable[[float], None]
Beat = Callable[[], None]


class Checkpointer(Protocol):
    """Saves a training's state while it runs, and restores it in a new process."""

    def resume(self, training: Training) -> int:
        """Set a training that has not begun to the saved state; returns its step, 0 if none was saved."""
        ...

    def maybe_save(self, training: Training, step: int) -> None:
        """Called before each step and evaluation: save the state if it is due."""
        ...


def execute(
    chunk: Chunk,
    progress: Progress = lambda cost: None,
    beat: Beat = lambda: None,
    checkpointer: Checkpointer | None = None,
) -> Result:
    """Train a chunk to its budget.

    Args:
        chunk: what to train.
        progress: called from time to time with the cost so far, over all replicas.
        beat: the heartbeat, called before each metric and step that may be slow.
        checkpointer: saves the state from time to time, so that a training whose process dies resumes bit for bit.
    """
    hold_memory()
    with flushed_denormals():
        return Training(chunk, progress, beat).run(checkpointer)


class Training:
    """One chunk's training: the parameters of its replicas and the state of their rule. Its `recorder` records it.

    Args:
        chunk: what to train.
        progress: called from time to time with the cost so far, over all replicas.
        beat: the heartbeat, called before slow work.
    """

    def __init__(self, chunk: Chunk, progress: Progress, beat: Beat) -> None:
        self.chunk, self.progress, self.beat = chunk, progress, beat
        self.game, base = get_game(chunk.game), get_rule(chunk.rule)
        if plugin_code(base, self.game) != chunk.code:
            raise UserError(f"{chunk.rule} or {chunk.game} came out otherwise here than where it was planned: seed it")
        # Batched products of small matrices take two at a time; a single one takes another kernel, with other bits. So
        # an odd stack gets a copy of its first row, whose results are dropped.
        self.rows: tuple[Row, ...] = chunk.rows + chunk.rows[: len(chunk.rows) % 2]
        self.base = base
        self.rule = stacked(base, [dict(row.values) for row in self.rows], self.game, chunk.device)
        self.at = torch.arange(len(self.rows))  # which rows of the chunk are in the stack
        self.pruned = torch.zeros(len(self.rows), dtype=torch.bool)
        seeds = torch.tensor([row.seed for row in self.rows])
        self.w = self.game.init(seeds).to(chunk.device)
        self.F = Oracle(self.game, seeds, budget=chunk.budget)
        if chunk.phase == "rounded":
            self.F = RoundingOracle(self.game, seeds, [row.trial for row in self.rows], chunk.budget)
            self.w = rounded(self.w, self.F.keys, "rounded start")
        self.s: State = self.rule.init(self.w)
        self.restarted = 0
        recorded = self.w.is_cuda and chunk.phase != "rounded" and not self.game.changes
        self.step = Stepper(cuda_graph if recorded else None)
        self.recorder = Recorder(chunk, self.game, seeds, self.w, beat)
        self.ends = [int(budget / base.cost + 1e-9) for budget in (*chunk.continues, chunk.budget)]
        self.steps = self.ends[-1]  # never above the budget
        self.alive = torch.ones(len(seeds), dtype=torch.bool, device=chunk.device)
        self.ended = torch.full((len(seeds),), float("nan"), dtype=torch.float64)
        self.solution = self.game.solution().to(self.w) if isinstance(self.game, Solvable) else None
        escapes = self.solution is not None and isfinite(self.game.escape)
        self.departure = Departure(self._distance(self.w)) if escapes else None
        self.project = self.game.project if isinstance(self.game, Constrained) else None
        self.seconds = 0.0
        self.before = self.w
        self.due = 0.0

    def run(self, checkpointer: Checkpointer | None = None) -> Result:
        """Train to the budget, from the last checkpoint."""
        evaluations = self._marks(lambda end: _evenly(end, self.chunk.evaluations))
        frames = self._marks(lambda end: _evenly(end, FRAMES - 1))
        points = self._marks(lambda end: range(0, end + 1, max(1, end // POINTS)))
        pulse = max(1, self.steps // PULSES)
        for step in range(checkpointer.resume(self) if checkpointer else 0, self.steps + 1):
            if checkpointer:
                checkpointer.maybe_save(self, step)
            if step in evaluations:
                self._evaluate(step)
                if self.chunk.phase == "tune" and 0 < step < self.steps:
                    self._give_up(step)
                    self._shrink()
            if self.recorder.filming and step in frames:
                self.recorder.picture(self.F.cost, self._answer())
            if self.recorder.plane is not None and step in points:
                self.recorder.trace(self.F.cost, self._answer())
            if step % pulse == 0:
                self.progress(self.F.cost * len(self.chunk.rows))
            if step == self.steps or not self.alive.any():
                break
            self.advance()
        return self._result()

    def _marks(self, steps_to: Callable[[int], Iterable[int]]) -> set[int]:
        """The steps at which something is done, from those that a training to a given end has.

        A training that goes on has those that it had, and from its earlier end on those of the later one.
        """
        begun = [-1, *self.ends]
        return {step for start, end in pairwise(begun) for step in steps_to(end) if start < step <= end}

    def advance(self) -> None:
        """One step of the rule, timed; then the replicas that left the finite range are frozen."""
        start = perf_counter()
        if start >= self.due:
            self.beat()
            self.due = start + BEAT
        self.before = self.w
        if (restarts := self.game.restarts(self.F.share)) != self.restarted:
            self.restarted, self.s = restarts, self.rule.init(self.w)
        w, self.s = self.step(self.rule, self.F, self.w, self.s)
        if self.project is not None:
            w = self.project(w)
        self.F.new_batch()
        within = self._within(w)
        if not (within.all() and self.alive.all()):
            self._freeze(~within)
            w = torch.where(self.alive.unsqueeze(1), w, self.w)
        self.w = w
        self.seconds += (perf_counter() - start) / len(self.rows)

    def _within(self, w: Tensor) -> Tensor:
        """[R]: whether a replica is within the game's range; false for NaN."""
        if self.departure is not None:
            distance = self._distance(w)
            self.departure.step(distance)
            if self.game.escape <= LIMIT:  # the nearer bound
                return distance <= self.game.escape
        return bounded(w, LIMIT)

    def _freeze(self, out: Tensor) -> None:
        """The replicas that are out, [R], have diverged here."""
        self.ended[self.at[(self.alive & out).cpu()]] = self.F.cost
        self.alive = self.alive & ~out

    def _distance(self, w: Tensor) -> Tensor:
        """[R]: how far the replicas are from the solution."""
        assert self.solution is not None
        distances: Tensor = torch.linalg.vector_norm(w - self.solution, dim=1)
        return distances

    def _answer(self) -> Tensor:
        return self.rule.answer(self.w, self.s)

    def _evaluate(self, step: int) -> None:
        if self.w.is_cuda:
            torch.cuda.synchronize()
        answer, end = self._answer(), step == self.steps or not self.alive.any()
        gone = self.recorder.gone(answer, self.F.cost) if step else None  # where a generator begins is not its doing
        if gone is not None:
            self._freeze(gone)
        indices = {int(row): index for index, row in enumerate(self.at) if self.alive[index]}
        self.recorder.evaluate(answer, self.before, self.F.cost, self.seconds, indices, bool(end))
        if self.departure is not None:
            self.departure.evaluate(self._distance(self.w), self.at, len(self.ended))

    def _give_up(self, step: int) -> None:
        """Freeze the trials that are clearly beaten by others of the chunk."""
        if self.chunk.pruner == "none" or waits(step, self.steps):
            return
        from bench.studies.tuning.pruners import beaten_trials  # imports Optuna

        trials = list(dict.fromkeys(row.trial for row in self.chunk.rows))
        beaten = beaten_trials(self.chunk, self.recorder.scores())
        trial_index = torch.tensor([trials.index(row.trial) for row in self.chunk.rows])
        frozen = torch.from_numpy(beaten)[trial_index] & self.ended[: len(trial_index)].isnan()
        self.pruned[: len(trial_index)] |= frozen
        self.ended[: len(trial_index)][frozen] = self.F.cost
        self.alive = self.alive & self.ended[self.at].isnan().to(self.alive.device)

    def _shrink(self) -> None:
        """Drop the frozen replicas; an even number of rows stays, because an odd row would have other bits."""
        alive = self.alive.nonzero().squeeze(1).cpu()
        if len(alive) == len(self.rows) or not len(alive):
            return
        out = (~self.alive).nonzero().squeeze(1).cpu()
        kept = torch.cat([alive, out[: len(alive) % 2]])
        if len(kept) == len(self.rows):
            return
        self.keep_rows(kept)
        device_rows = kept.to(self.w.device)
        self.w, self.before, self.alive = self.w[device_rows], self.before[device_rows], self.alive[device_rows]
        self.s = _rows_of(self.s, device_rows)

    def keep_rows(self, kept: Tensor) -> None:
        """Continue with some of the stack's rows, int64[R']; the caller sets their parameters and state."""
        self.rows, self.at = tuple(self.rows[int(index)] for index in kept), self.at[kept]
        self.rule = stacked(self.base, [dict(row.values) for row in self.rows], self.game, self.chunk.device)
        self.F = self.F.select(kept)
        if self.departure is not None:
            self.departure.keep_rows(kept)
        self.recorder.keep_rows(self.F.seeds)

    def _result(self) -> Result:
        if self.departure is not None:
            self.ended[self.departure.departed(len(self.ended)) & self.ended.isnan()] = self.F.cost
        ends = []
        for r in range(len(self.chunk.rows)):
            outcome = "ok" if self.ended[r].isnan() else "interrupted" if self.pruned[r] else "diverged"
            ends.append((outcome, self.F.cost if outcome == "ok" else float(self.ended[r])))
        answer = self._answer()
        result = self.recorder.result(ends, answer)
        if self.chunk.phase == "report" and isinstance(self.game, Exportable):  # its stack never shrinks
            ended = zip(self.chunk.rows, ends, answer, strict=False)
            result.weights = {row.seed: w for row, (outcome, _), w in ended if outcome == "ok"}
        return result

    def state_dict(self) -> dict[str, Any]:
        """The training's state, as nested dicts and lists of tensors, numbers and texts.

        No random state is part of it, for there is none: (seed, draw) decides every number.
        """
        stack = {"w": self.w, "before": self.before, "alive": self.alive, "at": self.at}
        ends = {"ended": self.ended, "given_up": self.pruned, "seconds": self.seconds}
        counted = {name: getattr(self.F, name) for name in COUNTERS}
        parts = {"oracle": counted, "recorder": self.recorder.state_dict()}
        parts |= {"departure": self.departure.state_dict()} if self.departure is not None else {}
        return {**stack, **ends, "memory": self.s, "restarted": self.restarted, **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave in a training that has not begun: it continues bit for bit."""
        device = self.w.device
        self.keep_rows(state["at"])
        self.w, self.before, self.alive = (state[name].to(device) for name in ("w", "before", "alive"))
        self.ended, self.pruned, self.seconds = state["ended"], state["given_up"], state["seconds"]
        self.s, self.restarted = _on(device, state["memory"]), state.get("restarted", 0)
        for name, value in state["oracle"].items():
            setattr(self.F, name, value)
        self.recorder.load_state_dict(state["recorder"])
        if self.departure is not None:
            self.departure.load_state_dict(state["departure"])


def _evenly(end: int, count: int) -> set[int]:
    """Steps from 0 to the end, ``count`` of them after the start."""
    return {round(end * k / count) for k in range(count + 1)}


def _rows_of(state: State, rows: Tensor) -> State:
    """A rule's state for some of the replicas."""
    return {key: _rows_of(part, rows) if isinstance(part, dict) else part[rows] for key, part in state.items()}


def _on(device: torch.device, state: State) -> State:
    """A rule's state on a device."""
    return {key: _on(device, part) if isinstance(part, dict) else part.to(device) for key, part in state.items()}
