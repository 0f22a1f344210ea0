"""Whether an order of rules carries over: to other losses and regularisers, to larger pictures.

The parts `losses` and `pictures` of the reference study train some of its rules on other games. A question of
`findings.py`, which prints it, and what `kinds.py` asks of games of other kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from measured import Array, Lines, Measured, correlation, grid, number, percent, plain, resampled_ranks, three
from practice import measured_last, scores_at
from scipy.stats import rankdata

from bench.analysis.scores import curves
from bench.analysis.statistics import interquartile_mean, stratified_bootstrap
from bench.api import Run

PICTURES = "pictures"
PARTS = ("losses", PICTURES)
"""Folders of the study's parts, in its own."""
LOSS = "discriminator_loss"
HEAD = ("first two there", "ends better than the first", "surely ahead of, behind")
UNTRAINED = "Not trained yet."


def drawn_ranks(study: Measured, games: Sequence[str], rules: Sequence[str], seed: int = 0) -> Array:
    """Ranks of rules by mean rank over games [1 + resamples, rules]: of the seeds as they are, then drawn anew."""
    every = list(study.scores)
    scores = {game: study.scores[game].loc[list(rules)].to_numpy(float) for game in games}
    parts = [resampled_ranks(x, seed + every.index(game)) for game, x in scores.items()]
    return np.asarray(rankdata(np.mean(parts, axis=0), axis=1))


def beside(study: Measured, game: str, first: str) -> list[str]:
    """How a rule that is first elsewhere does on a game: the first two there with their scores, how often it ends
    better than the first of them, and of how many rules it is surely ahead and behind."""
    rest = [rule for rule in study.rules if rule != first]
    ahead = [study.better(first, other, [game]) for other in rest]
    means = interquartile_mean(study.scores[game].to_numpy(float))
    best, second = (study.rules[i] for i in np.argsort(means, kind="stable")[:2])
    beaten = sum(one.high < 0.5 for one in ahead), sum(one.low > 0.5 for one in ahead)
    return [
        f"`{best}` {study.shown(best, game)}, `{second}` {study.shown(second, game)}",
        "itself" if best == first else percent(study.better(first, best, [game])),
        f"{beaten[1]} and {beaten[0]} of {len(rest)}",
    ]


def parts(study: Measured, names: Sequence[str] = PARTS) -> Iterator[Measured]:
    """The parts of the study that are there, with a game that is whole."""
    for name in names:
        if (study.run.path / name / "study.json").is_file() and (part := Measured(Run(study.run.path / name))).scores:
            yield part


def other_games(study: Measured) -> Lines:
    """Is the best rule still the best under another loss or regulariser, and on larger pictures?"""
    yield "Some of the rules. First the correlation (Spearman's) of their order with that on the game as it is or, for"
    yield "other pictures, over all GANs above, and how many learn on half of the seeds or more. Then the rule that is"
    yield "first in that other order, the first two here with the interquartile mean of their scores, how often it ends"
    yield "better than the first of them, and of how many of the others it is surely ahead and behind:"
    yield ""
    rows = [row for part in parts(study) for row in _rows(study, part)]
    if not rows:
        yield UNTRAINED
        return
    yield from grid(["game", "correlation", "learn", "first before", *HEAD], rows)


def _rows(study: Measured, part: Measured) -> Iterator[list[str]]:
    failed = part.table[["not_learned", "diverged", "errors"]].fillna(0).sum(axis=1)
    learn = (2 * failed <= part.table["n"]).groupby(part.table["game"].astype(str)).sum()
    for game in part.scores:
        before = [name for name in study.gans if plain(name) == plain(game)] or study.gans
        order = drawn_ranks(study, before, part.rules)
        first = part.rules[int(np.argmin(order[0]))]
        found = correlation(order, drawn_ranks(part, [game], part.rules, seed=len(study.scores)))
        learned = f"{int(learn[game])} of {len(part.rules)}"
        yield [game, number(found), learned, f"`{first}`", *beside(part, game, first)]


def to_the_end(study: Measured) -> Lines:
    """Do trainings on larger pictures get better to their end?"""
    yield "Interquartile means of the scores at half and at three quarters of the budget, and at the end; how many"
    yield "seeds end better than they were at half; and the discriminator's loss at half and at the end, which falls"
    yield "where it gets ahead of its generator. A schedule takes the step size to zero over the second half:"
    yield ""
    rows = [row for part in parts(study, [PICTURES]) for game in part.scores for row in _late(part, game)]
    if not rows:
        yield UNTRAINED
        return
    yield from grid(["game", "rule", "half", "three quarters", "end", "better at the end", "loss, half", "end"], rows)


def _late(part: Measured, game: str) -> Iterator[list[str]]:
    sign = part.run.study.primary(game).sign
    half, later, end = (scores_at(part, game, share) for share in (0.5, 0.75, 1))
    losses = curves(part.records[part.records["game"] == game], LOSS)
    for i in np.argsort(interquartile_mean(part.scores[game].to_numpy(float)), kind="stable"):
        costs, values = losses[part.rules[i]]
        loss_then = (measured_last(costs, values, share * costs[-1]) for share in (0.5, 1))
        yield [
            game,
            f"`{part.rules[i]}`",
            *(three(stratified_bootstrap(sign * scores[i])) for scores in (half, later, end)),
            f"{int((end[i] < half[i]).sum())} of {len(end[i])}",
            *(three(stratified_bootstrap(loss)) for loss in loss_then),
        ]
