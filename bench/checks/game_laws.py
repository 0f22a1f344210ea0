"""The laws that every game and every metric obeys, each a function that raises Broken where it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch

from bench.checks.laws import SEEDS, Broken, Untried, check_close, check_same
from bench.contracts import Game, Generative, Known, Named, Oracle, Partitioned, Solvable
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


def batches_keep_their_shapes(game: Game) -> None:
    """Minibatches have the same names, shapes and types at every draw: a recorded step is fed one after another."""
    seeds, first = torch.tensor(SEEDS[:2]), None
    for draw in (0, 1, 1000, 10**6):
        batch = game.batch(seeds, draw)
        kinds = {name: (tuple(value.shape), value.dtype) for name, value in (batch or {}).items()}
        first = kinds if first is None else first
        if kinds != first:
            raise Broken(f"the minibatch at draw {draw} is {kinds}, that at draw 0 {first}")


def own_loss_is_the_players_loss(game: Game) -> None:
    """What ``own_loss`` gives of a player is that of ``losses``, in value and in its gradient by that player."""
    F = Oracle(game, SEEDS)
    w = game.init(F.seeds)
    batch = F.batch(w)
    for player, block in enumerate(F.blocks):
        found = []
        for alone in (False, True):
            players = tuple(w[:, b].detach().requires_grad_(b == block) for b in F.blocks)
            loss = game.own_loss(player, players, batch) if alone else game.losses(players, batch)[player]
            gradient = torch.autograd.grad(loss.sum(), players[player], allow_unused=True, materialize_grads=True)[0]
            found.append((loss.detach(), gradient))
        tolerance = 1e-10 if game.dtype == torch.float64 else 1e-5
        for what, whole, own in zip(("value", "gradient"), *found, strict=True):
            check_close(own, whole, f"own_loss of player {player} is that of losses: {what}", tolerance)


def rows_alone_are_rows_of_a_stack(game: Game) -> None:
    """A stack of two gives the start, losses and field that the same replicas have in a larger one, bit for bit."""
    pair, whole = Oracle(game, SEEDS[1:3]), Oracle(game, SEEDS)
    w = game.init(whole.seeds)
    check_same(game.init(pair.seeds), w[1:3], "two rows alone start as in a stack")
    for player, (own, stacked) in enumerate(zip(pair.losses(w[1:3]), whole.losses(w), strict=True)):
        check_same(own, stacked[1:3], f"two rows alone have the loss that they have in a stack: player {player}")
    check_same(pair(w[1:3]), whole(w)[1:3], "two rows alone have the field that they have in a stack")


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
    if not isinstance(game, Named):
        return
    named, pair = game.named_samples(w, seeds, 32), game.named_samples(w[:2], seeds[:2], 32)
    check_same(named["made"], samples, "generate gives what the named samples call made")
    for name, value in named.items():
        if value.shape[:2] != (len(SEEDS), 32):
            raise Broken(f"named_samples gives {name!r} as {tuple(value.shape)}; ({len(SEEDS)}, 32, ...) is promised")
        check_same(pair[name], value[:2], f"named_samples leaves replicas apart: {name}")


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
    if not isinstance(game, (Partitioned, Known)):
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
    batches_keep_their_shapes,
    own_loss_is_the_players_loss,
    rows_alone_are_rows_of_a_stack,
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
