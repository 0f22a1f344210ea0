"""A trained replica of a run, to take home: its networks as torch modules, and what they generate.

The game is made anew from its spelling, because its networks are code: a plug-in given by path is imported then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor, nn

from bench.analysis.representatives import median, ordered, representatives
from bench.contracts import Exportable, Game
from bench.errors import UserError, nearest
from bench.registry.build import spell
from bench.registry.identity import plugin_code
from bench.storage import weights
from bench.storage.run_folder import RunFolder
from bench.storage.weights import Kept

PLAYERS = ("generator", "discriminator")


class NoNetworks(UserError):  # noqa: N818  (a fact about the game rather than an error)
    """The game has no networks that can be taken home."""


@dataclass(frozen=True)
class Trained:
    """A replica at the end of its training.

    Args:
        label: its game as the study spells it.
        optimizer: its rule as the study spells it.
        seed: its own.
        game: the game itself.
        w: its parameters, float32 [n].
    """

    label: str
    optimizer: str
    seed: int
    game: Exportable
    w: Tensor

    @cached_property
    def modules(self) -> tuple[nn.Module, ...]:
        """Its players as torch modules."""
        return self.game.torch_modules(self.w)

    def samples(self, count: int, draw: int = 0) -> Tensor:
        """Samples [count, ...] as judging draws them, of latents that ``draw`` alone decides."""
        with torch.no_grad():
            drawn = self.game.generate(self.w.unsqueeze(0), torch.tensor([draw]), count)
        return drawn[0].reshape(count, *self.game.sample_shape())


def trained(
    run: RunFolder,
    optimizer: str | None = None,
    game: str | Game | None = None,
    seed: int | None = None,
    best: bool = False,
    everything: Sequence[Kept] | None = None,
) -> Trained:
    """A replica of the report whose weights the run kept.

    Args:
        run: the run.
        optimizer: one of its rules, by spelling or label; None where it has but one.
        game: one of its games, or the game itself where its spelling no longer leads to it; None where it has but one.
        seed: of the replica; None for that of the median score, or else the nearest to it in rank that was kept.
        best: the replica of the best score.
        everything: all weights of the run, where they are known already.

    Raises:
        UserError: a name or a seed is none of the run's, the replica failed, or its weights were not kept.
    """
    if best and seed is not None:
        raise UserError(f"seed is {seed} and best is true; one of the two is allowed")
    study = run.study
    rule = _only("optimizer", optimizer and run.rule(optimizer), study.optimizers)
    label = _spelled(run, game) if isinstance(game, Game) else _only("game", game, study.games)
    records = run.records
    of_both = records[(records["game"] == label) & (records["optimizer"] == rule)]
    order, where = ordered(of_both, study.primary(label)), f"{rule} on {label}"
    if not order:
        raise UserError(f"{where}: nothing of the report is trained yet")
    everything = weights.kept(run) if everything is None else everything
    kept = {one.seed: one for one in everything if (one.game, one.optimizer) == (label, rule)}
    if not kept and not isinstance(study.plugins.game(label), Exportable):
        raise NoNetworks(f"{label} has no networks that can be taken home")
    wanted = _wanted(where, order, list(kept), seed, best)
    if wanted not in kept:
        raise UserError(_dropped(run, where, wanted, list(kept)))
    played = game if isinstance(game, Game) else _made(run, kept[wanted])
    assert isinstance(played, Exportable)  # nothing was kept of others
    return Trained(label, rule, wanted, played, weights.load(kept[wanted], sum(played.sizes)))


def _only(what: str, given: str | None, known: Sequence[str]) -> str:
    if given is None and len(known) == 1:
        return known[0]
    if given is None:
        raise UserError(f"{what} is not given, and the run has several: {', '.join(known)}")
    if given not in known:
        raise UserError(f"{what} is {given!r}; {nearest(given, known)}")
    return given


def _spelled(run: RunFolder, game: Game) -> str:
    """How the study spells a game that is given itself."""
    chunks = (run.chunk(one.chunk) for one in weights.kept(run))
    labels = {chunk["game"]: chunk["label"] for chunk in chunks if chunk is not None}
    if spell(game) not in labels:
        raise UserError(f"game is {spell(game)}; the run has weights of: {', '.join(labels) or 'none'}")
    return str(labels[spell(game)])


def _wanted(where: str, order: dict[int, bool], kept: list[int], seed: int | None, best: bool) -> int:
    """The seed that is asked for; UserError where that replica failed, with the way out."""
    ways = "ask for another by seed, or for the best one"
    if not any(order.values()):
        raise UserError(f"{where}: every replica failed, so there is nothing to take home")
    if seed is not None:
        if seed not in order:
            raise UserError(f"seed is {seed}; {where} has {', '.join(map(str, sorted(order)))}")
        if not order[seed]:
            raise UserError(f"{where}: the replica of seed {seed} failed; {ways}")
        return seed
    if best:
        return next(iter(order))
    middle = median(order)
    if not order[middle]:
        raise UserError(f"{where}: the replica of the median score, seed {middle}, failed; {ways}")
    ranks = {one: rank for rank, one in enumerate(order)}
    return min([one for one in kept if one in ranks] or [middle], key=lambda one: abs(ranks[one] - ranks[middle]))


def _dropped(run: RunFolder, where: str, seed: int, kept: list[int]) -> str:
    if kept:
        there = f"those of seed {', '.join(map(str, kept))} were"
        return (
            f"{where}: the weights of seed {seed} were not kept, {there}; --keep-weights all, in a new --out, keeps all"
        )
    none = weights.asked(run.manifest) == "none"
    why = "was run with --keep-weights none" if none else "was trained before weights were kept"
    return f"{where}: {str(run.path)!r} {why}; a run in a new --out keeps them"


def _made(run: RunFolder, one: Kept) -> Game:
    """The game that a replica was trained on; UserError where its code has changed since."""
    chunk = run.chunk(one.chunk)
    game = run.study.plugins.game(one.game)
    if chunk is None or not chunk["code"].endswith(plugin_code(game)) or chunk["game"] != spell(game):
        raise UserError(
            f"{one.game} has changed since it was trained on; from Python, game= takes the game itself where its "
            "networks are the same"
        )
    return game


def dropped(run: RunFolder) -> int:
    """How many replicas that ended well lack the weights that the run is to keep."""
    present = {(one.game, one.optimizer, one.seed) for one in weights.kept(run)}
    study, records, missing = run.study, run.records, 0
    for label, rule in finished(records):
        if not isinstance(study.plugins.game(label), Exportable):
            continue
        of_both = records[(records["game"] == label) & (records["optimizer"] == rule)]
        orders = [ordered(of_both, study.primary(label), group) for group in study.seed_groups]
        keeps_all = weights.asked(run.manifest) == "all"
        for order in orders:
            wanted = {seed for seed, well in order.items() if well} if keeps_all else representatives(order)
            missing += sum((label, rule, seed) not in present for seed in wanted)
    return missing


def finished(records: pd.DataFrame) -> list[tuple[str, str]]:
    """(game, rule) of every pair that has a report."""
    pairs = records.loc[records["phase"] == "report", ["game", "optimizer"]].drop_duplicates()
    return [(str(game), str(rule)) for game, rule in pairs.itertuples(index=False)]
