"""The top of the report: the order of the rules over the GANs and over the games in closed form, and who wins where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.analysis.findings import Finding
from bench.analysis.ranking import Order
from bench.report.figures.panels import Look
from bench.report.figures.ranks import mean_ranks
from bench.report.sections.scene import Drawing

MOST = 10  # rules that are shown, if no more of them are best somewhere
BEST, LEVEL, WORSE, FAILED = "best", "level", "worse", "failed"


def winners(orders: Sequence[Order], verdicts: Sequence[Finding]) -> dict[str, dict[str, str]]:
    """rule -> game -> `best`, `level` with the best, `worse` or `failed`; of the rules that are best somewhere.

    With them, up to MOST in all, those that are level with the best on most games. Rules are in the order over the
    first kind of games.
    """
    words: dict[str, dict[str, str]] = {rule: {} for rule in orders[0].ranks} if orders else {}
    for finding in verdicts:
        if finding.best in words:
            words[finding.best][finding.game] = BEST
        for rival in finding.rivals:
            told = LEVEL if rival.tied else FAILED if math.isinf(rival.score.value) else WORSE
            if rival.rule in words:
                words[rival.rule][finding.game] = told
    won = {
        rule: (list(by_game.values()).count(BEST), list(by_game.values()).count(LEVEL))
        for rule, by_game in words.items()
    }
    ahead = sorted((rule for rule in words if any(won[rule])), key=lambda rule: (-won[rule][0], -won[rule][1]))
    shown = {*ahead[:MOST], *(rule for rule in ahead if won[rule][0])}
    return {rule: by_game for rule, by_game in words.items() if rule in shown}


def drawings(orders: Sequence[Order], look: Mapping[str, Look]) -> list[Drawing]:
    """A figure for each order: every rule's mean rank with its interval."""
    return [
        Drawing(
            f"order-{'gans' if order.kind == 'GANs' else 'closed-form'}",
            f"Mean ranks {order.where}: 1 is best; the bar is the 95 % bootstrap interval over "
            f"the seeds of each game ({', '.join(order.games)}).",
            mean_ranks(order.ranks, look),
        )
        for order in orders
    ]
