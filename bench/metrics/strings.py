"""Metrics of games on strings of a language whose strings and probabilities are all known: they are exact."""

from __future__ import annotations

from torch import Tensor

from bench.contracts import Oracle
from bench.games.harness.strings import StringGame
from bench.registry import metric


def _shares(game: StringGame, w: Tensor, F: Oracle) -> Tensor:
    """How often each string of the language came, [R, S]; what is missing to 1 are strings that are none."""
    return F.cached(w, "strings", lambda: game.known_language.counted(F.samples(w, game.judged)))


@metric("string_tv", on=StringGame, worst=1.0, best=0.0)
def string_tv(game: StringGame, w: Tensor, F: Oracle) -> Tensor:
    """Total variation between the samples' strings and the language's, those that are none of it as one more."""
    shares = _shares(game, w, F)
    return ((shares - game.known_language.shares).abs().sum(1) + 1 - shares.sum(1)) / 2


@metric("valid", on=StringGame, better="higher", worst=0.0, best=1.0)
def valid(game: StringGame, w: Tensor, F: Oracle) -> Tensor:
    """Share of the samples that are strings of the language; one string repeated has all of it."""
    return _shares(game, w, F).sum(1)


@metric("strings_found", on=StringGame, better="higher", worst=0.0)
def strings_found(game: StringGame, w: Tensor, F: Oracle) -> Tensor:
    """Different strings of the language among the samples."""
    return (_shares(game, w, F) > 0).double().sum(1)
