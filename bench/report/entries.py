"""The entries of a run for a leaderboard: what it trained, under which terms, read from its folder alone.

No plug-in is loaded: what a run's rules, games and metrics are is in its manifest, and what of their code decides the
results is in the names of its chunks. Of a game that ships nothing else is to be known. Another, or one with data of
its own, is the same in two runs where its code is; that is seen from the chunks of a rule that ships, whose code is the
game's alone. In a run without such a rule it is taken for a game of this run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.analysis.contests import Entry, Rule, Terms
from bench.analysis.scores import scores
from bench.analysis.table import table
from bench.registry.description import MetricDescription, rule_ships, shipped_class
from bench.report.warnings import finished
from bench.storage.records import Damaged
from bench.storage.verified import Verification, read_verification
from bench.studies.study import Study

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

GIVEN = ("given",)
"""How hyperparameters were found that a file or a spelling gave: not by this run."""


@dataclass(frozen=True)
class Entered:
    """A run that is on a leaderboard.

    Args:
        run: its folder.
        name: what it is called there.
    """

    run: RunFolder
    name: str

    @cached_property
    def study(self) -> Study:
        """What it compares; Damaged where its manifest does not say what a rule, game or metric is."""
        study, described = self.run.study, self.run.manifest.get("descriptions") or {}
        spelled = {"rules": study.optimizers, "games": study.games}
        for kind, names in spelled.items():
            for name in names:
                if name not in (described.get(kind) or {}):  # else its plug-in would be loaded
                    raise Damaged(f"{str(self.run.path)!r} is damaged: it does not say what {name!r} is")
        for game in study.games:
            if study.game(game).score not in (described.get("metrics") or {}):
                raise Damaged(f"{str(self.run.path)!r} is damaged: it does not say what {study.game(game).score!r} is")
        return study

    @property
    def protocol(self) -> str:
        """The version of the protocol that it was trained by."""
        return str(self.run.manifest["protocol"])

    @cached_property
    def verification(self) -> Verification | None:
        """What ``bench verify`` found of it; None where nobody has asked."""
        return read_verification(self.run.path, self.protocol, self.run.digest)

    @cached_property
    def code(self) -> dict[str, str]:
        """rule -> the code of its own that its results depend on, of the rules that have some."""
        found = {entry.name: entry.rule.code for _, _, entry in self.entries}
        return {name: code for name, code in found.items() if code}

    @cached_property
    def unfinished(self) -> list[str]:
        """What lacks report seeds and is left out, a line each."""
        return [warning.words for warning in finished(self.run.records, self.study)[1]]

    @cached_property
    def entries(self) -> list[tuple[Terms, MetricDescription, Entry]]:
        """What is finished of it, with the terms that it was trained on."""
        return list(self._entries())

    def _entries(self) -> Iterator[tuple[Terms, MetricDescription, Entry]]:
        study, trained, told = self.study, self._chunks(), self.verification
        records, _ = finished(self.run.records, study)
        for row in table(records, study).to_dict("records"):
            name, game = str(row["optimizer"]), str(row["game"])
            chunks, metric = trained[name, game], study.primary(game)
            own = records[(records["game"] == game) & (records["optimizer"] == name)]
            by_seed = scores(own, metric).loc[name].sort_index()
            rule, played, whole, budget, device = self._of_all(chunks, name, game)
            self._check(own, name, game, budget)
            game_code = self._game_code(trained, game)
            code = whole.removesuffix(game_code or "")  # a rule's code stands before its game's
            tuned = tuple(sorted(study.searched(name))) if study.trials else ()
            terms = Terms(
                played, f"of {self.name}" if game_code is None else game_code, budget, self._tuning(),
                int(study.evaluations), device, metric.name, metric.better, metric.worst,
            )  # fmt: skip
            yield terms, metric, Entry(
                self.name, game, name, self.run.labels.get(name, name), Rule(rule, code, tuned),
                tuple(int(seed) for seed in by_seed.index), by_seed.to_numpy(float), row,
                frozenset(chunk["name"] for chunk in chunks), verified=None if told is None else told.verdict,
            )  # fmt: skip

    def _chunks(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """(rule, game) -> the chunks of its report."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for name in self.run.names():
            chunk = self.run.chunk(name)
            if chunk is not None and chunk["phase"] == "report":
                found.setdefault((chunk["optimizer"], chunk["label"]), []).append(chunk | {"name": name})
        return found

    def _of_all(self, chunks: list[dict[str, Any]], name: str, game: str) -> tuple[str, str, str, float, str]:
        """What the chunks of a rule on a game have in common; Damaged where they are of different trainings."""
        kinds = {
            (one["rule"], one["game"], one["code"], one["budget"], one["device"].split(":")[0]) for one in chunks
        }  # fmt: skip
        if len(kinds) != 1 or not all(isinstance(kind[3], (int, float)) for kind in kinds):
            raise Damaged(f"{str(self.run.path)!r} is damaged: {name} on {game} is of different trainings")
        rule, played, code, budget, device = kinds.pop()
        return rule, played, code, float(budget), device

    def _check(self, own: pd.DataFrame, name: str, game: str, budget: float) -> None:
        """Refuse a rule that had more trials or another budget than the study says."""
        wrong = f"{str(self.run.path)!r} is damaged: {name} on {game} had"
        tried, granted = own.loc[own["phase"] == "tune", "trial"].nunique(), self._granted(game)
        if tried > self.study.trials:
            raise Damaged(f"{wrong} {tried} trials, its study says {self.study.trials}")
        if budget != granted:
            raise Damaged(f"{wrong} {budget:g} gradient evaluations, its study says {granted:g}")

    def _granted(self, game: str) -> float:
        """The budget of a replica by the study."""
        try:
            return float(self.study.cost_of(game))
        except (KeyError, TypeError, ValueError):
            raise Damaged(f"{str(self.run.path)!r} is damaged: its budget is {self.study.budget!r:.60}") from None

    def _tuning(self) -> tuple[Any, ...]:
        study = self.study
        if study.hyperparameters or study.continues:
            return GIVEN
        if not study.trials:
            return ()
        return (study.tune, study.trials, study.tuning_seeds, study.sampler, study.pruner)

    def _game_code(self, trained: dict[tuple[str, str], list[dict[str, Any]]], game: str) -> str | None:
        """The code of a game's own, "" where it has none; None where no chunk tells it from a rule's."""
        shipped = shipped_class(game)
        if shipped is not None and not hasattr(shipped, "digest"):  # it has no data of its own
            return ""
        codes = {
            chunk["code"]
            for (_, label), chunks in trained.items()
            for chunk in chunks
            if label == game and rule_ships(chunk["rule"])
        }
        return codes.pop() if len(codes) == 1 else None
