"""Warnings for the reader of a report: what is missing, what was not tuned, what the seeds cannot decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.findings import Finding
from bench.registry.description import MetricDescription, RuleDescription
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import Trials, Tried, can_be_trained

FEW = 5  # with fewer seeds an interval says little


class RunWarning(NamedTuple):
    """A warning; ``rule`` and ``games`` are its subject, "" and () for all.

    Warnings of one ``kind`` are the same problem, and can be told together (`bench.report.warning_groups`).
    """

    text: str
    rule: str = ""
    games: tuple[str, ...] = ()
    kind: str = ""

    @property
    def words(self) -> str:
        return f"{self.rule} on {', '.join(self.games)}: {self.text}" if self.rule else self.text


def unfinished(records: pd.DataFrame, study: Study) -> dict[tuple[str, str], int]:
    """(rule, game) -> the number of finished report seeds, for pairs that lack some."""
    reported = records[records["phase"] == "report"]
    seed_counts = reported.groupby(["optimizer", "game"], observed=True)["seed"].nunique()
    return {pair: done for pair in study.pairs if (done := int(seed_counts.get(pair, 0))) < len(study.seeds)}


def finished(records: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, list[RunWarning]]:
    """Records without the pairs of rule and game that lack report seeds, and warnings about these."""
    finished_mask, missing, n = np.ones(len(records), dtype=bool), [], len(study.seeds)
    lacking = unfinished(records, study)
    for game in study.games:
        seeds_done = {rule: done for (rule, name), done in lacking.items() if name == game}
        finished_mask &= ~(records["optimizer"].isin(list(seeds_done)) & (records["game"] == game)).to_numpy()
        if len(seeds_done) == len(study.optimizers) > 1 and not any(seeds_done.values()):
            missing.append(
                RunWarning(f"{game} is not finished: no rule has a seed there yet; it is left out.", kind="unfinished")
            )
            continue
        for rule, done in seeds_done.items():
            progress = f"{done} of {n} seeds are there; it is left out until all are"
            missing.append(RunWarning(f"{rule} on {game} is not finished: {progress}.", kind="unfinished"))
    return records[finished_mask], missing


def warnings_of(records: pd.DataFrame, study: Study, verdicts: Sequence[Finding], trials_by: Tried) -> list[RunWarning]:
    """The warnings of a study: about its seeds, its tuning, and each rule."""
    run_warnings, frozen = [*_seeds(len(study.seeds), verdicts)], bool(study.hyperparameters)
    if study.trials == 0 and not frozen:
        text = "Nothing was tuned: every rule ran with its declared defaults, which favours some over others."
        run_warnings.append(RunWarning(text, kind="untuned"))
    records_by_pair = dict(iter(records.groupby(["optimizer", "game"], observed=True)))
    for rule in study.optimizers:
        games_by_problem: dict[tuple[str, str], list[str]] = {}
        for game in study.games:
            if reason := study.refused(rule, game):
                games_by_problem.setdefault(("not applicable", f"not applicable: {reason}."), []).append(game)
            pair_records, trials = records_by_pair.get((rule, game)), trials_by.get((game, rule))
            for problem in _problems(rule, game, pair_records, trials, study, tuned=study.trials > 0 and not frozen):
                games_by_problem.setdefault(problem, []).append(game)
        run_warnings += [RunWarning(text, rule, tuple(games), kind) for (kind, text), games in games_by_problem.items()]
    return run_warnings


def concerning(run_warnings: Iterable[RunWarning], finding: Finding) -> list[RunWarning]:
    """The warnings about a game's best rule and the rules tied with it."""
    leading = {finding.best, *(rival.rule for rival in finding.tied)}
    return [caveat for caveat in run_warnings if finding.game in caveat.games and caveat.rule in leading]


def _seeds(n: int, verdicts: Sequence[Finding]) -> Iterable[RunWarning]:
    if n < FEW:
        yield RunWarning(f"Few seeds: {n}. Below {FEW} an interval says little; no comparison is safe.", kind="seeds")
    compared = [finding for finding in verdicts if finding.rivals]
    if not compared:
        return
    most = max(compared, key=lambda finding: len(finding.rivals))
    rivals = f"{len(most.rivals)} rival{'s' if len(most.rivals) > 1 else ''}"
    if not most.decidable:
        yield RunWarning(
            f"No power: with {n} seed{'s' if n > 1 else ''} and {rivals} the smallest p after Holm's correction is "
            f"{most.smallest:.2g}, so that no test can tell rules apart; at least {most.needed} seeds are needed.",
            kind="seeds",
        )
    elif n < most.needed + 2:
        yield RunWarning(
            f"Little power: with {n} seeds and {rivals} the smallest p after Holm's correction is {most.smallest:.2g}; "
            "a rule is told apart only if it loses on nearly every seed. Not told apart does not mean equal.",
            kind="seeds",
        )


def _problems(
    rule: str, game: str, pair_records: pd.DataFrame | None, trials: Trials | None, study: Study, tuned: bool
) -> Iterable[tuple[str, str]]:
    """(kind, text) of each problem of a rule on a game."""
    if pair_records is None:
        return
    failed = len(pair_records.loc[pair_records["outcome"] == "error", ["phase", "trial", "seed"]].drop_duplicates())
    if failed:
        yield "error", f"{failed} replica{'s' if failed > 1 else ''} stopped with an error and count as failed."
    if gets_nowhere(study.primary(game), pair_records):
        yield "nowhere", "it got nowhere: half of its seeds or more ended no better than they began."
    if trials is None:
        if tuned:
            yield "given", "it had nothing to tune; it ran with the values it was given."
        return
    if can_be_trained(pair_records, study, game) is False:
        yield (
            "untrained",
            f"it cannot be trained here: {_untrained(trials, study, game)}; its declared defaults were used.",
        )
        return
    yield from _edges(study.rule(rule), trials)


def _untrained(trials: Trials, study: Study, game: str) -> str:
    """In which way no trial of a rule came to anything."""
    score, learned = study.primary(game), study.game(game).learned
    if trials.failed.all() or learned is None:
        return "every trial failed"
    settings = "step sizes" if study.tune == "step" else "settings"
    bound = "at least" if score.better == "higher" else "at most"
    reached = f"{score.name} of {bound} {learned:g}"
    return f"with none of the {len(trials.steps)} {settings} tried did half of its tuning seeds learn ({reached})"


def gets_nowhere(metric: MetricDescription, records: pd.DataFrame) -> bool:
    """Whether half or more of a rule's report seeds on a game ended no better than they began; failures do not count.

    The metric is the game's score; an improvement of less than a twentieth is none. If a rule cannot be trained within
    the budget, tuning may choose a step size so small that nothing moves, which would look like a result.
    """
    records = records[
        (records["phase"] == "report") & (records["metric"] == metric.name) & (records["outcome"] == "ok")
    ]
    by_seed = records.sort_values("cost", kind="stable").groupby("seed")["value"]
    first, last = metric.sign * by_seed.first(), metric.sign * by_seed.last()
    return bool(len(first)) and bool((last > first - 0.05 * first.abs()).mean() >= 0.5)


def _edges(rule: RuleDescription, trials: Trials) -> Iterable[tuple[str, str]]:
    """For each tuned hyperparameter: whether its range was widened, at what cost, and whether that was enough."""
    for name, chosen, steps in zip(trials.names, trials.chosen, trials.steps.T, strict=False):
        if name not in rule.searched:
            continue
        low, high, _ = rule.searched[name]
        beyond = (steps < low * (1 - 1e-6)) | (steps > high * (1 + 1e-6))
        if beyond.any():
            spent = f"{beyond.sum()} of {len(steps)} trials, cost {trials.costs[beyond].sum():.6g}, went beyond it"
            yield (
                "widened",
                f"the best {name} stood near an edge of its range [{low:g}, {high:g}], which was widened: {spent}.",
            )
        if chosen in (steps.min(), steps.max()):
            yield "outermost", f"the chosen {name} is the outermost that was tried; a better one may lie beyond."
