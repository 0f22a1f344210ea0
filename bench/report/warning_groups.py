"""A run's warnings told together: one line for each kind, with what to do about it, the gravest first.

A run of 24 rules on 8 games has hundreds of warnings and a handful of causes. What nobody need act upon, as a range of
step sizes that tuning widened by itself, stands in the report alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from bench.report.warnings import RunWarning

MOST = 5  # lines
NAMED = 2  # rules of a clause, games of a line; more are counted

Pairs = dict[str, list[str]]
"""game -> the rules that have a problem there."""


def grouped(
    run_warnings: Iterable[RunWarning], score_table: pd.DataFrame, errors: Mapping[tuple[str, str], str]
) -> list[str]:
    """At most five lines: ``10 of 10 rules on ring8 did not learn: raise --budget.``

    Args:
        run_warnings: of `bench.report.warnings.warnings_of`, and those of what is not finished.
        score_table: of `bench.analysis.table.table`.
        errors: (rule, game) -> the last line of the traceback that ended its trainings.
    """
    by_kind: dict[str, list[RunWarning]] = {}
    for warning in run_warnings:
        by_kind.setdefault(warning.kind, []).append(warning)
    count = score_table["optimizer"].nunique() if len(score_table) else 0
    lines = []
    if failed := _pairs(by_kind.get("error", [])):
        cause = next(iter(errors.values()), "no traceback was kept")
        lines.append(f"{_who(failed, count)} stopped with an error: {cause}. bench show RUN names the tracebacks.")
    if unfinished := by_kind.get("unfinished"):
        more = f" And {len(unfinished) - 1} more." if len(unfinished) > 1 else ""
        lines.append(f"{unfinished[0].words}{more} The same command goes on.")
    ignorant = _did_not_learn(by_kind, score_table)
    learned = _learned(score_table, without=ignorant)
    if nobody := {game: rules for game, rules in ignorant.items() if game not in learned}:
        lines.append(f"{_who(nobody, count)} did not learn: raise --budget.")
    if some := {game: rules for game, rules in ignorant.items() if game in learned}:
        lines.append(f"{_who(some, count)} did not learn, others did: a larger --budget helps only the slow.")
    if "untuned" in by_kind:
        lines.append(f"{by_kind['untuned'][0].words} Give --trials 16.")
    if "seeds" in by_kind:
        lines.append(f"{by_kind['seeds'][-1].words} Give more --seeds, or --seeds +20 to this run.")
    if outermost := _pairs(by_kind.get("outermost", []), without=ignorant):
        lines.append(f"{_who(outermost, count)} chose the outermost step size that was tried: raise --trials.")
    lines += [warning.words for warning in by_kind.get("", [])]
    if len(lines) > MOST:
        lines[MOST - 1 :] = [f"And {len(lines) - MOST + 1} more, in the report."]
    return lines


def _pairs(warnings: Iterable[RunWarning], without: Pairs | None = None) -> Pairs:
    pairs: Pairs = {}
    for warning in warnings:
        for game in warning.games:
            rules = pairs.setdefault(game, [])
            if warning.rule not in rules and warning.rule not in (without or {}).get(game, []):
                rules.append(warning.rule)
    return {game: rules for game, rules in pairs.items() if rules}


def _did_not_learn(by_kind: Mapping[str, list[RunWarning]], score_table: pd.DataFrame) -> Pairs:
    """Rules that cannot be trained, got nowhere, or of which half of the replicas came through and learned nothing."""
    pairs = _pairs([*by_kind.get("untrained", []), *by_kind.get("nowhere", [])])
    if len(score_table):
        for row in score_table[(score_table["not_learned"] * 2 >= score_table["n"]).fillna(False)].itertuples():
            rules = pairs.setdefault(row.game, [])
            rules += [row.optimizer] * (row.optimizer not in rules)
    return pairs


def _learned(score_table: pd.DataFrame, without: Pairs) -> set[str]:
    """Games that another rule learned: more than half of its replicas neither failed nor learned nothing.

    A game may not say what is learned; then only ``without`` tells which rules got nowhere.
    """
    return {
        row.game
        for row in score_table.fillna({"not_learned": 0}).itertuples()
        if row.optimizer not in without.get(row.game, []) and 2 * (row.not_learned + row.diverged + row.errors) < row.n
    }


def _who(pairs: Pairs, count: int) -> str:
    """``sgd and adam on dirac``, ``10 of 10 rules on ring8``; games where it is the same stand together."""
    games_by_rules: dict[tuple[str, ...], list[str]] = {}
    for game, rules in pairs.items():
        games_by_rules.setdefault(tuple(rules), []).append(game)
    clauses = []
    for alike, games in sorted(games_by_rules.items(), key=lambda item: -len(item[0])):
        who = " and ".join(alike) if len(alike) <= NAMED else f"{len(alike)} of {count} rules"
        where = " and ".join(games) if len(games) <= NAMED else f"{len(games)} games"
        clauses.append(f"{who} on {where}")
    more = len(clauses) - NAMED
    return ", ".join(clauses[:NAMED]) + (
        f" and others on {more} more game{'s' if more > 1 else ''}" if more > 0 else ""
    )
