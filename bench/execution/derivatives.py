"""Rules with Jacobian products on games that have none are refused before anything is written or trained.

Every shipped game is twice differentiable. One of a user's own need not be: torch has no second derivative of some
fused operations, attention among them.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.contracts import Game, UpdateRule
from bench.contracts.introspection import asked, without_product
from bench.errors import UserError
from bench.registry import get_game
from bench.registry.discovery import origin
from bench.studies.study import Study


def check_products(study: Study) -> None:
    """Refuse a study whose rules need second derivatives that its games do not have; UserError, a line a game."""
    games = {label: study.plugins.game(label) for label in study.games}
    games = {label: game for label, game in games.items() if origin(game) != "here" and not game.missing}
    products = {spelled: _products(study.plugins.rule(spelled)) for spelled in (study.optimizers if games else ())}
    if lines := list(_faults(games, {spelled: asked_for for spelled, asked_for in products.items() if asked_for})):
        raise UserError("\n".join(lines))


def _faults(games: dict[str, Game], products: dict[str, set[str]]) -> Iterator[str]:
    for label, game in games.items() if products else ():
        reasons = {product: _reason(game, product) for product in sorted(set().union(*products.values()))}
        refused = [spelled for spelled, asked_for in products.items() if any(reasons[one] for one in asked_for)]
        if refused:
            need = f"{', '.join(refused)} need{'s' * (len(refused) == 1)}"
            yield f"{label} has no second derivatives, which {need}: {next(filter(None, reasons.values()))}"


def _products(rule: UpdateRule) -> set[str]:
    """The Jacobian products that a rule asks for on a small game; none where it raises, which its training reports."""
    try:
        return asked(rule, get_game("dirac")).products_asked
    except Exception:
        return set()


def _reason(game: Game, product: str) -> str:
    """Why a game has no such product; "" where it has, or fails for a reason that its training reports."""
    try:
        return without_product(game, product)
    except Exception:
        return ""
