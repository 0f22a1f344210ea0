"""The oracle that metrics ask: minibatches of its own, and nothing computed twice for the same point.

Training never sees the minibatches that a metric sees. Known generators, such as a perfect one, have an oracle too:
what a metric gives on them says what can be attained, and what a value means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from bench.contracts import Attainable, Game, Known, Oracle, Partitioned
from bench.contracts.game import MADE
from bench.contracts.oracle import Product, T
from bench.contracts.rule import Metric
from bench.metrics.stability import running_average
from bench.numerics.randomness import normal

EVALUATION_DRAW = 2**40
"""Draws from here on are for judging: training never sees them."""


class Evaluator(Oracle):
    """An oracle for metrics: draws of its own, and nothing computed twice for the same w."""

    def __init__(self, game: Game, seeds: Tensor | Sequence[int], draw: int = EVALUATION_DRAW) -> None:
        super().__init__(game, seeds, draw)
        self._cache: dict[object, object] = {}
        self._at: Tensor | None = None
        self.before: Tensor | None = None
        """The replicas' parameters one step earlier, [R, n]; None if not given."""
        self.mean: Tensor | None = None
        """The average of all points that were judged so far, [R, n]."""
        self._visits = 0

    def anew(self) -> Evaluator:
        """Another that judges on the same minibatches, and remembers nothing else."""
        another = Evaluator(self.game, self.seeds, self.draw)
        another._batch, another._drawn = self._batch, self._drawn  # drawn once: they are a block of draws for each seed
        return another

    def at(self, w: Tensor, before: Tensor) -> None:
        """Tell which point [R, n] is judged next, and where the replicas were a step ago."""
        self.before = before
        self.mean = running_average(w if self.mean is None else self.mean, w, self._visits)
        self._visits += 1

    def play(self, game: Game) -> None:
        """Judge the same game at another share of its budget from now on."""
        if game is not self.game:
            self.game, self._at, self._drawn = game, None, False

    def state_dict(self) -> dict[str, Any]:
        """The state of the evaluation, so that another evaluator of the same replicas can continue."""
        averages = {"mean": self.mean, "before": self.before}
        defined = {name: value for name, value in averages.items() if value is not None}
        return {"draw": self.draw, "visits": self._visits, **defined}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on with what `state_dict` gave, its tensors on this device."""
        self.draw, self._visits = state["draw"], state["visits"]
        self.mean, self.before = (state[name].to(device) if name in state else None for name in ("mean", "before"))

    def cached(self, w: Tensor, key: object, compute: Callable[[], T]) -> T:
        if self._at is not w:
            self._cache, self._at = {}, w
        if key not in self._cache:
            self._cache[key] = compute()
        return cast("T", self._cache[key])

    def peek(self, key: object) -> object:
        """What was computed under this key at the point that was judged last; None for nothing."""
        return self._cache.get(key)

    def __call__(self, w: Tensor, player: int | None = None) -> Tensor:
        whole = self.cached(w, "field", lambda: super(Evaluator, self).__call__(w))
        return whole if player is None else self.within(player, whole, torch.zeros_like(whole))

    def losses(self, w: Tensor) -> tuple[Tensor, ...]:
        return self.cached(w, "losses", lambda: super(Evaluator, self).losses(w))

    def named_samples(self, w: Tensor, count: int) -> dict[str, Tensor]:
        return self.cached(w, ("samples", count), lambda: super(Evaluator, self).named_samples(w, count))


class NotDefined(TypeError):  # noqa: N818  (it is an answer, not a mistake)
    """A metric asked a perfect generator for what only networks have."""


KNOWN = ("perfect", "noisy", "half", "one")
"""Known generators, the best first: the data; the same with a little noise; half of its kinds, then one kind alone."""


class KnownGenerator(Evaluator):
    """A judge of a known generator: its samples are made of the data, and it has neither losses nor a field.

    Args:
        game: whose data they are; all but ``perfect`` are for games that are `Partitioned` or `Known`.
        seeds: int64 [R].
        which: one of KNOWN.
    """

    def __init__(self, game: Game, seeds: Tensor | Sequence[int], which: str = "perfect") -> None:
        super().__init__(game, seeds)
        self.which = which

    def anew(self) -> Evaluator:
        raise NotDefined(f"a {self.which} generator has no iterates")

    def __call__(self, w: Tensor, player: int | None = None) -> Tensor:
        raise NotDefined(f"a {self.which} generator has no field")

    def losses(self, w: Tensor) -> tuple[Tensor, ...]:
        raise NotDefined(f"a {self.which} generator has no losses")

    def linear(self, w: Tensor, player: int | None = None, own: bool = True) -> tuple[Tensor, Product, Product]:
        raise NotDefined(f"a {self.which} generator has no Jacobian")

    def named_samples(self, w: Tensor, count: int) -> dict[str, Tensor]:
        game = self.game
        if isinstance(game, Known):
            return self.cached(w, ("samples", count), lambda: game.known(self.seeds, count, self.which))
        return self.cached(w, ("samples", count), lambda: {MADE: self._known(count)})

    def _known(self, count: int) -> Tensor:
        game = self.game
        assert isinstance(game, Attainable)
        if self.which == "perfect":
            return game.perfect(self.seeds, count)
        assert isinstance(game, Partitioned)
        if self.which == "noisy":
            samples = game.perfect(self.seeds, count)
            shape = samples.shape[1:]
            return samples + game.blur * normal(self.seeds, "blur", 0, shape, samples.dtype, block=1)
        return game.partial(self.seeds, count, game.kinds // 2 if self.which == "half" else 1)


def reference_scores(
    game: Game, metric: Metric, seeds: Tensor | Sequence[int], names: Sequence[str] = KNOWN
) -> dict[str, Tensor]:
    """What known generators have in a metric, [R] each; what cannot be known is left out."""
    if not isinstance(game, (Partitioned, Known)):
        names = [name for name in names if name == "perfect" and isinstance(game, Attainable)]
    nothing = torch.full((len(seeds), sum(game.sizes)), math.nan, dtype=game.dtype)
    known: dict[str, Tensor] = {}
    for name in names:
        try:
            known[name] = metric(game, nothing, KnownGenerator(game, seeds, name))
        except (NotDefined, ValueError):  # the metric needs the networks, or their parameters
            continue
    return known
