"""The laws that every game and every metric obeys, each a function that raises Broken where it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch

from bench.checks.laws import SEEDS, Broken, Untried, check_close, check_same
from bench.contracts import Game, Generative, Oracle, Partitioned, Solvable
from bench.metrics.evaluation import KNOWN, Evaluator, reference_scores
from bench.registry import NamedMetric, get_metric


def game_is_decided_by_its_seeds(game: Game) -> None:
    """A replica's start and minibatches depend on its seed and the draw alone, not on its neighbours."""
    seeds = torch.tensor(SEEDS)
    some = [4, 1, 1]
    check_same(game.init(seeds[some]), game.init(seeds)[some], "the start is decided by the seed")
    for draw in (0, 1, 100, 2**40):
        whole, part = game.batch(seeds, draw), game.batch(seeds[some], draw)
        if (whole is None) != (part is None):
            raise Broken("a game has minibatches for all seeds or for none")
        for key in whole or {}:
            assert whole is not None
            assert part is not None
            check_same(part[key], whole[key][some], f"minibatch {key} at draw {draw} is decided by (seed, draw)")


def losses_are_each_replicas_own(game: Game) -> None:
    """One loss [R] a player, finite at the start; a NaN row leaves the others' losses and gradients as they were."""
    F, poisoned = Oracle(game, SEEDS), Oracle(game, SEEDS)
    w = game.init(F.seeds)
    if w.shape != (len(SEEDS), sum(game.sizes)) or w.dtype != game.dtype:
        raise Broken(
            f"init gives {tuple(w.shape)} {w.dtype}; ({len(SEEDS)}, {sum(game.sizes)}) {game.dtype} is promised"
        )
    losses = F.losses(w)
    if len(losses) != len(game.sizes) or any(loss.shape != (len(SEEDS),) for loss in losses):
        raise Broken(
            f"losses give shapes {[tuple(loss.shape) for loss in losses]}; one [{len(SEEDS)}] a player is promised"
        )
    if not all(loss.isfinite().all() for loss in losses):
        raise Broken("the losses are finite at the start")
    sick = w.clone()
    sick[2] = float("nan")
    others = [0, 1, 3, 4]
    check_same(poisoned(sick)[others], F(w)[others], "a NaN row leaves the other gradients as they were")


def generates_by_seed(game: Game) -> None:
    """Samples are [R, count, ...], the same at every call, each replica's own."""
    if not isinstance(game, Generative):
        return
    seeds = torch.tensor(SEEDS)
    w = game.init(seeds)
    samples = game.generate(w, seeds, 32)
    if samples.shape[:2] != (len(SEEDS), 32):
        raise Broken(f"generate gives {tuple(samples.shape)}; ({len(SEEDS)}, 32, ...) is promised")
    check_same(game.generate(w, seeds, 32), samples, "generate is deterministic")
    check_same(game.generate(w[:2], seeds[:2], 32), samples[:2], "generate leaves replicas apart")


def rests_at_its_solution(game: Game) -> None:
    """F = 0 at the solution of a game that declares one."""
    if isinstance(game, Solvable):
        w = game.solution().expand(len(SEEDS), -1)
        check_close(Oracle(game, SEEDS)(w), torch.zeros_like(w), "F is 0 at the solution", 1e-12)


def score_orders_known_generators(game: Game) -> None:
    """The score of perfect samples < of noisy ones < of half of the data's kinds < of one kind, and of the start.

    Medians over seeds, so that standing still never beats having learned half. What the game calls ``learned`` parts
    those from the last two. One kind alone and an untrained start are both far off: which is worse, no law says.
    """
    if not isinstance(game, Generative):
        return
    if not isinstance(game, Partitioned):
        raise Untried("the game does not say of which kinds its data are (bench.contracts.Partitioned)")
    metric, start = get_metric(game.score), Evaluator(game, SEEDS)
    scores = reference_scores(game, metric, SEEDS) | {"start": metric(game, game.init(start.seeds), start)}
    values = {name: float(of.median()) for name, of in scores.items()}
    told = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
    for better, worse in (*pairwise(KNOWN), ("half", "start")):
        if not metric.sign * values[better] < metric.sign * values[worse]:
            if worse == "start" and game.learned is None:  # as of data that are one Gaussian
                raise Untried(
                    f"it starts nearer to its data than half of them are, so nothing is called learned: {told}"
                )
            raise Broken(f"{game.score} does not tell {better} from {worse}: {told}")
    if game.learned is not None:
        learned = {name for name, value in values.items() if metric.sign * value <= metric.sign * game.learned}
        if learned != {"perfect", "noisy", "half"}:
            raise Broken(f"learned is {game.learned:g}; a value between half and the others is promised: {told}")


GAME_LAWS: tuple[Callable[[Game], None], ...] = (
    game_is_decided_by_its_seeds,
    losses_are_each_replicas_own,
    generates_by_seed,
    rests_at_its_solution,
)
SCORE_LAWS: tuple[Callable[[Game], None], ...] = (score_orders_known_generators,)
"""Laws of a game's measures, which need its true data."""


def one_value_a_replica(metric: NamedMetric, game: Game) -> None:
    """[R] numbers, finite at the start of a game."""
    F = Evaluator(game, SEEDS)
    value = metric(game, game.init(F.seeds), F)
    if value.shape != (len(SEEDS),):
        raise Broken(f"gives shape {tuple(value.shape)}; ({len(SEEDS)},) is promised")
    if not value.isfinite().all():
        raise Broken(f"gives {value.tolist()} at the start; finite numbers are promised")


def judged_alone(metric: NamedMetric, game: Game) -> None:
    """The same value again, and with a NaN row beside it."""
    w = game.init(torch.tensor(SEEDS))
    value = metric(game, w, Evaluator(game, SEEDS))
    check_same(metric(game, w.clone(), Evaluator(game, SEEDS)), value, "judged again, the same value")
    sick = w.clone()
    sick[2] = float("nan")
    others = [0, 1, 3, 4]
    check_same(
        metric(game, sick, Evaluator(game, SEEDS))[others],
        value[others],
        "a NaN row leaves the other values as they were",
    )


METRIC_LAWS: tuple[Callable[[NamedMetric, Game], None], ...] = (one_value_a_replica, judged_alone)
