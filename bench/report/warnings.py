"""What a reader must know before believing a number: what is missing, what was not tuned, what the seeds can tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.findings import Finding
from bench.registry.description import MetricDescription, RuleDescription
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Trials, Tried

FEW = 5  # seeds below which an interval says little


class RunWarning(NamedTuple):
    """A warning; ``rule`` and ``games`` say whom it concerns, "" and () all."""

    text: str
    rule: str = ""
    games: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return f"{self.rule} on {', '.join(self.games)}: {self.text}" if self.rule else self.text


def unfinished(records: pd.DataFrame, study: Study) -> dict[tuple[str, str], int]:
    """(rule, game) -> how many report seeds are there, of those that lack some."""
    reported = records[records["phase"] == "report"]
    there = reported.groupby(["optimizer", "game"], observed=True)["seed"].nunique()
    pairs = [(rule, game) for game in study.games for rule in study.optimizers]
    return {pair: done for pair in pairs if (done := int(there.get(pair, 0))) < len(study.seeds)}


def finished(records: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, list[RunWarning]]:
    """Records without the rules that lack report seeds on a game, and what is missing, in words."""
    keep, missing, n = np.ones(len(records), dtype=bool), [], len(study.seeds)
    lacking = unfinished(records, study)
    for game in study.games:
        own = {rule: done for (rule, of), done in lacking.items() if of == game}
        keep &= ~(records["optimizer"].isin(list(own)) & (records["game"] == game)).to_numpy()
        if len(own) == len(study.optimizers) > 1 and not any(own.values()):
            missing.append(RunWarning(f"{game} is not finished: no rule has a seed there yet; it is left out."))
            continue
        for rule, done in own.items():
            there_is = f"{done} of {n} seeds are there; it is left out until all are"
            missing.append(RunWarning(f"{rule} on {game} is not finished: {there_is}."))
    return records[keep], missing


def warnings_of(records: pd.DataFrame, study: Study, verdicts: Sequence[Finding], trials_by: Tried) -> list[RunWarning]:
    """The warnings of a study: of its seeds, its tuning, and of each rule."""
    said, frozen = [*_seeds(len(study.seeds), verdicts)], bool(study.hyperparameters)
    if study.trials == 0 and not frozen:
        text = "Nothing was tuned: every rule ran with its declared defaults, which favours some over others."
        said.append(RunWarning(text))
    parts = dict(iter(records.groupby(["optimizer", "game"], observed=True)))
    for rule in study.optimizers:
        where: dict[str, list[str]] = {}
        for game in study.games:
            own, trials = parts.get((rule, game)), trials_by.get((game, rule))
            for problem in _problems(rule, game, own, trials, study, tuned=study.trials > 0 and not frozen):
                where.setdefault(problem, []).append(game)
        said += [RunWarning(problem, rule, tuple(games)) for problem, games in where.items()]
    return said


def concerning(said: Iterable[RunWarning], finding: Finding) -> list[RunWarning]:
    """The warnings about a game's best rule and those that cannot be told apart from it."""
    leading = {finding.best, *(rival.rule for rival in finding.tied)}
    return [caveat for caveat in said if finding.game in caveat.games and caveat.rule in leading]


def _seeds(n: int, verdicts: Sequence[Finding]) -> Iterable[RunWarning]:
    if n < FEW:
        yield RunWarning(f"Few seeds: {n}. Below {FEW} an interval says little; no comparison is safe.")
    compared = [finding for finding in verdicts if finding.rivals]
    if not compared:
        return
    most = max(compared, key=lambda finding: len(finding.rivals))
    rivals = f"{len(most.rivals)} rival{'s' if len(most.rivals) > 1 else ''}"
    if not most.decidable:
        yield RunWarning(
            f"No power: with {n} seed{'s' if n > 1 else ''} and {rivals} the smallest p after Holm's correction is "
            f"{most.smallest:.2g}, so that no test can tell rules apart; at least {most.needed} seeds are needed."
        )
    elif n < most.needed + 2:
        yield RunWarning(
            f"Little power: with {n} seeds and {rivals} the smallest p after Holm's correction is {most.smallest:.2g}; "
            "a rule is told apart only if it loses on nearly every seed. Not told apart does not mean equal."
        )


def _problems(
    rule: str, game: str, own: pd.DataFrame | None, trials: Trials | None, study: Study, tuned: bool
) -> Iterable[str]:
    if own is None:
        return
    failed = len(own.loc[own["outcome"] == "error", ["phase", "trial", "seed"]].drop_duplicates())
    if failed:
        yield f"{failed} replica{'s' if failed > 1 else ''} stopped with an error and count as failed."
    if gets_nowhere(study.primary(game), own):
        yield "it got nowhere: half of its seeds or more ended no better than they began."
    if trials is None:
        if tuned:
            yield "it had nothing to tune; it ran with the values it was given."
        return
    if (trials.medians == study.primary(game).worst).all():
        yield "it is untunable there: every trial failed, so its declared defaults were used."
    yield from _edges(study.rule(rule), trials)


def gets_nowhere(metric: MetricDescription, own: pd.DataFrame) -> bool:
    """Whether, of a rule's report seeds on a game that came through, half or more ended no better than they began.

    By the game's own metric; less than a twentieth better is no better. Where a rule cannot be trained at the cost
    granted, tuning may choose a step size at which it stands still, and that looks like a result.
    """
    own = own[(own["phase"] == "report") & (own["metric"] == metric.name) & (own["outcome"] == "ok")]
    by_seed = own.sort_values("cost", kind="stable").groupby("seed")["value"]
    first, last = metric.sign * by_seed.first(), metric.sign * by_seed.last()
    return bool(len(first)) and bool((last > first - 0.05 * first.abs()).mean() >= 0.5)


def _edges(rule: RuleDescription, trials: Trials) -> Iterable[str]:
    """Of each tuned hyperparameter: whether its range was widened, at what cost, and whether that was enough."""
    for name, chosen, steps in zip(trials.names, trials.chosen, trials.steps.T, strict=False):
        if name not in rule.searched:
            continue
        low, high, _ = rule.searched[name]
        beyond = (steps < low * (1 - 1e-6)) | (steps > high * (1 + 1e-6))
        if beyond.any():
            spent = f"{beyond.sum()} of {len(steps)} trials, cost {trials.costs[beyond].sum():.6g}, went beyond it"
            yield f"the best {name} stood near an edge of its range [{low:g}, {high:g}], which was widened: {spent}."
        if chosen in (steps.min(), steps.max()):
            yield f"the chosen {name} is the outermost that was tried; a better one may lie beyond."
