"""Which rule and step size do best on all GANs of the reference study at once, untuned, as lines of a training script.

A question of `findings.py`, which prints it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
from measured import RESAMPLES, Array, Interval, Lines, Measured, grid, number, plain

from bench.analysis.statistics import interquartile_mean
from bench.contracts import UpdateRule
from bench.registry import get_rule
from bench.studies.tuning.sensitivity import Trials
from optimizers.adam import Adam
from optimizers.alternating import Alternating
from optimizers.ema import ExponentialAverage
from optimizers.plain import Plain
from optimizers.rmsprop import RMSprop
from optimizers.sgd import Simultaneous
from optimizers.ttur import TwoTimeScale

SHOWN = 8
"""Defaults in the table, the best first."""
UNTUNED = "No step size was tried on all of them."
CLASSES = {Adam: "Adam(network.parameters(), lr=lr, betas=({beta1}, {beta2}))",
           RMSprop: "RMSprop(network.parameters(), lr=lr, alpha={alpha})",
           Plain: "SGD(network.parameters(), lr=lr)"}  # fmt: skip
"""Directions that a class of torch.optim computes."""


@dataclass(frozen=True)
class Default:
    """A rule at values that were tried on every GAN, and what it leaves."""

    rule: str
    values: Mapping[str, float]
    regret: Interval
    by_game: tuple[float, ...]


def default(study: Measured) -> Lines:
    """Which default does best without any tuning?"""
    yield "Rules at one step size on all GANs: the first trials are the same on every game. Regret is the share of the"
    yield "way from the untrained start to the best trial of any rule there that a default leaves: 0 is the best, 1 the"
    yield "start or worse. It is the mean over the GANs on the tuning seeds; brackets are 95 % over these drawn anew."
    yield ""
    found = sorted(_defaults(study), key=lambda one: (one.regret, one.rule))
    if not found:
        yield UNTUNED
        return
    rows = [
        [f"`{one.rule}`", _told(one), number(one.regret), *(f"{regret:.2f}" for regret in one.by_game)]
        for one in found[:SHOWN]
    ]
    yield from grid(["rule", "at", "regret", *map(plain, study.gans)], rows)
    for one in found:
        if lines := training_script(get_rule(one.rule), one.values):
            yield ""
            yield f"The best of them that torch.optim has is `{one.rule}` at {_told(one)}, regret {number(one.regret)}:"
            yield from ("", "```python", *lines, "```")
            return


def training_script(rule: UpdateRule, values: Mapping[str, float]) -> list[str]:
    """Lines that make a rule's optimizers for `generator` and `discriminator`, and a remark on how to step them;
    empty where torch.optim has no class for it."""
    lines: list[str] = []
    if isinstance(rule, ExponentialAverage):
        values = {name.removeprefix("inner."): value for name, value in values.items()}
        lines = [
            f"average = torch.optim.swa_utils.get_ema_multi_avg_fn({rule.decay})",
            "averaged = torch.optim.swa_utils.AveragedModel(generator, multi_avg_fn=average)  # update after each step",
        ]
        rule = rule.inner
    direction = getattr(rule, "direction", None)
    if type(direction) not in CLASSES or not isinstance(rule, Simultaneous | Alternating | TwoTimeScale):
        return []
    settings = {field.name: getattr(direction, field.name) for field in fields(direction)}
    rates = (values.get("lr_d", values.get("lr")), values.get("lr_g", values.get("lr")))
    pairs = ", ".join(f"({name}, {lr:.3g})" for name, lr in zip(("discriminator", "generator"), rates, strict=True))
    order = "in turn, the discriminator first" if isinstance(rule, Alternating) else "both after both gradients"
    return [
        f"# step {order}",
        "optimizers = [",
        f"    torch.optim.{CLASSES[type(direction)].format(**settings)}",
        f"    for network, lr in ({pairs})",
        "]",
        *lines,
    ]


def _told(one: Default) -> str:
    return ", ".join(f"{name} = {value:.3g}" for name, value in one.values.items())


def _defaults(study: Measured) -> Iterator[Default]:
    """Every rule at every values that were tried on all GANs."""
    starts, bests = {game: study.start(game) for game in study.gans}, _bests(study)
    for rule in study.rules:
        tried = {game: study.tried[game, rule] for game in study.gans if (game, rule) in study.tried}
        if not tried or set(tried) != set(study.gans):
            continue
        places = {game: _by_values(one) for game, one in tried.items()}
        names = next(iter(tried.values())).names
        for values in sorted(set.intersection(*(set(one) for one in places.values()))):
            drawn = []
            for game, one in tried.items():
                metric = study.run.study.primary(game)
                scores = _redrawn(metric.sign * one.scores(metric)[places[game][values]])
                drawn.append(_regret(scores, bests[game], starts[game]))
            value, *rest = np.mean(drawn, axis=0)
            low, high = np.quantile(rest, (0.025, 0.975))
            regret = Interval(float(value), float(low), float(high))
            yield Default(rule, dict(zip(names, values, strict=True)), regret, tuple(float(one[0]) for one in drawn))


def _bests(study: Measured) -> dict[str, float]:
    """game -> the best mean of any trial of any rule, lower is better."""
    found = {}
    for game in study.gans:
        metric = study.run.study.primary(game)
        means = [metric.sign * one.means for (where, _), one in study.tried.items() if where == game]
        if means:
            found[game] = float(np.min(np.concatenate(means)))
    return found


def _by_values(trials: Trials) -> dict[tuple[float, ...], int]:
    """The values of a trial, to five digits -> its place."""
    return {tuple(float(f"{value:.5g}") for value in step): place for place, step in enumerate(trials.steps)}


def _redrawn(scores: Array) -> Array:
    """The interquartile mean of scores [seeds], then those of seeds drawn anew, [1 + RESAMPLES]."""
    drawn = np.random.default_rng(0).integers(len(scores), size=(RESAMPLES, len(scores)))
    return np.concatenate([np.atleast_1d(interquartile_mean(scores)), interquartile_mean(scores[drawn])])


def _regret(scores: Array, best: float, start: float) -> Array:
    """The share of the way from the start to the best that scores leave, in [0, 1]; 1 for what failed."""
    return np.where(np.isfinite(scores), np.clip((scores - best) / (start - best), 0, 1), 1.0)
