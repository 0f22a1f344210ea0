"""What a user asks for: a study, checked whole, all mistakes reported at once."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    field_validator,
    model_serializer,
    model_validator,
)

from bench.contracts.oracle import PLAYERS, PLAYERS_ALLOWED
from bench.errors import UserError
from bench.registry.build import Plugins
from bench.registry.description import (
    Descriptions,
    GameDescription,
    MetricDescription,
    RuleDescription,
    refusals,
)
from bench.registry.objects import given_in
from bench.registry.registries import games, rules
from bench.registry.spelling import parse
from bench.studies.frozen import frozen_values, mistaken
from bench.studies.labels import check_labels, with_labels_apart
from bench.studies.plan import Task
from bench.studies.seeds import MOST_SEED, seed_groups, seeds_of
from bench.studies.spellings import every, judged_by, spellings
from bench.studies.toml import Frozen

DEFAULT_GAMES = ["bilinear", "dirac", "ring8", "digits"]
SMOKE = "smoke"
BUDGETS = {SMOKE: 0.05, "standard": 1.0, "full": 5.0}
"""Share of each game's own budget."""
GROWS = ("trials", "roundings")
"""Settings that may change within one folder: trainings that are already stored are not repeated. Seeds may grow too,
and the folder is named by those that the run began with."""


DESCRIPTIONS = TypeAdapter(Descriptions)


class Study(BaseModel):
    """What to compare: update rules, games and seeds, all tuned with the same budget.

    A study is checked as a whole when it is made, and all mistakes are reported at once.

    Args:
        optimizers: update rules, as spellings, e.g. ``["sgd", "extragrad[direction=adam]"]``, as classes, or as
            objects, whose fields with other values than the class's defaults are given and not tuned. ``all`` means
            every rule, ``sgd[direction=all]`` means sgd with every direction.
        labels: rule -> what tables and figures call it, e.g. ``{"./mine.py:Mine": "Ours"}``; in a spelling it is the
            key ``label``: ``sgd[lr=0.1,label=Ours]``. No part of the study's identity: it changes no result.
        games: games, as spellings, classes or objects, e.g. what ``gan_game`` made; ``all`` means every game. Equal
            ones, ``ring8[budget=1e4]`` and ``ring8[budget=10000]``, are one, labelled by the latter. The study holds
            names: a class without one gets ``my-game`` for ``MyGame``; ``bench.game("ring")(game)`` names an object.
        seeds: report seeds, as a list or as ``"0-19"``; 20 by default.
        trials: how many configurations are tried for each rule on each game; 0 uses the declared defaults.
        tune: ``step`` tunes step sizes, ``full`` tunes every number of a rule, ``none`` tunes nothing.
        tuning_seeds: how many seeds each trial trains on. Report seeds are never among them.
        sampler: the Optuna sampler that proposes trials, e.g. ``TPESampler``; "" is the built-in strategy.
        pruner: which trials stop early: ``paired``, ``none``, or an Optuna pruner, e.g. ``MedianPruner``.
        roundings: how often the report is trained again with every gradient rounded at random, so that a comparison
            with a run on another processor knows what rounding alone does.
        untuned: whether to train every rule with its declared defaults as well and show them beside.
        hyperparameters: frozen values, game -> rule -> hyperparameter -> value. If given, nothing is tuned.
        added_seeds: how many of the last seeds were added to the run, one number for each addition. Each group trains
            apart from the others. `run` writes it; see its ``add_seeds``.
        budget: the cost of one replica in gradient evaluations, or ``smoke``, ``standard``, ``full``: 0.05, 1 and 5
            times each game's own budget, which the key ``budget`` of its spelling sets. It is to allow a step of every
            rule for each evaluation; ``smoke`` makes do with fewer evaluations.
        evaluations: how many times a replica is evaluated after its start.
        storage: where the tuning can be watched with optuna-dashboard while it goes on: ``journal:FILE`` or
            ``sqlite:///FILE``; "" keeps it in memory. No part of the study's identity: it changes no result.
        continues: the budgets that the trainings had before, game -> gradient evaluations, for each run that this one
            continues; see ``Run.further``. They are evaluated where those were, and from there on where this one is.
        features: features that image games are evaluated with besides the built-in ones: ``mnist``,
            ``inception:PATH``.

    Raises:
        ValidationError: pydantic's, with a line for each mistake.

    Example:
        >>> import bench
        >>> study = bench.Study(optimizers="sgd,adam[lr={0.01|0.1}]", games="dirac", seeds="0-4")
        >>> study.optimizers
        ['sgd', 'adam[lr=0.01]', 'adam[lr=0.1]']
        >>> study.seeds
        [0, 1, 2, 3, 4]
        >>> study.cost_of("dirac")
        2000
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    _recorded: Descriptions = PrivateAttr(default_factory=Descriptions)
    _given: list[tuple[Any, str, Any]] = PrivateAttr(default_factory=list)
    _source: Path | None = PrivateAttr(default=None)

    features: str = ""  # before the games, whose spellings it completes
    optimizers: Annotated[list[str], BeforeValidator(spellings), Field(min_length=1)]
    labels: Annotated[dict[str, str], Field(exclude=True, validate_default=True)] = {}  # after the optimizers
    games: Annotated[list[str], BeforeValidator(spellings), Field(min_length=1)] = DEFAULT_GAMES
    seeds: Annotated[list[int], BeforeValidator(seeds_of), Field(min_length=1)] = list(range(20))
    added_seeds: list[Annotated[int, Field(ge=1)]] = []  # after the seeds
    tune: Literal["step", "full", "none"] = "step"  # before the trials: none of them if none
    trials: Annotated[int, Field(ge=0, le=4096, validate_default=True)] = 16
    tuning_seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    budget: float | str = "standard"
    evaluations: Annotated[int, Field(ge=1, le=10_000)] = 20
    sampler: str = ""
    pruner: str = "paired"
    roundings: Annotated[int, Field(ge=0, le=100)] = 0
    untuned: bool = False
    hyperparameters: Annotated[Frozen, BeforeValidator(frozen_values)] = {}
    storage: Annotated[str, Field(exclude=True)] = ""
    continues: list[dict[str, Annotated[float, Field(gt=0)]]] = []

    if TYPE_CHECKING:  # what is given may be more than what is kept

        def __init__(
            self, *, optimizers: str | Sequence[object], games: str | Sequence[object] = ..., **settings: Any
        ) -> None: ...

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: list[int]) -> list[int]:
        bad = [seed for seed in seeds if not 0 <= seed < MOST_SEED]
        if bad:
            raise ValueError(f"found {bad[0]}; whole numbers from 0 to {MOST_SEED - 1} are allowed")
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice; each replica needs its own")
        return seeds

    @model_validator(mode="before")
    @classmethod
    def _take_labels(cls, settings: Any) -> Any:
        """Take the labels out of the spellings: what is trained has none."""
        return with_labels_apart(settings) if isinstance(settings, dict) else settings

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: dict[str, str], info: Any) -> dict[str, str]:
        if "optimizers" in info.data:
            check_labels(labels, info.data["optimizers"])
        return labels

    @field_validator("added_seeds")
    @classmethod
    def _check_added(cls, added: list[int], info: Any) -> list[int]:
        seeds = info.data.get("seeds")
        if seeds and sum(added) >= len(seeds):
            raise ValueError(f"found {sum(added)} of {len(seeds)} seeds; fewer than there are seeds is allowed")
        return added

    @field_validator("trials")
    @classmethod
    def _check_trials(cls, trials: int, info: Any) -> int:
        if info.data.get("tune") == "none":
            return 0
        if 0 < trials < 4:
            raise ValueError(f"found {trials}; at least 4 are needed to find a step size, or 0 for the defaults")
        return trials

    @field_validator("sampler", "pruner")
    @classmethod
    def _check_optuna(cls, spelled: str, info: Any) -> str:
        if info.field_name == "sampler" and spelled:
            from bench.studies.tuning.samplers import named_sampler

            named_sampler(spelled, seed=0)
        if info.field_name == "pruner" and spelled not in ("paired", "none"):
            from bench.studies.tuning.pruners import named_pruner

            named_pruner(spelled)
        return spelled

    @field_validator("hyperparameters")
    @classmethod
    def _check_frozen(cls, frozen: Frozen, info: Any) -> Frozen:
        rules, games = (info.data.get(key) for key in ("optimizers", "games"))
        mistakes = mistaken(frozen, rules, games) if frozen and rules and games else []
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return frozen

    @field_validator("budget", mode="before")
    @classmethod
    def _check_budget(cls, budget: Any) -> float | str:
        if isinstance(budget, str) and budget in BUDGETS:
            return budget
        try:
            number = float(budget)
        except (TypeError, ValueError):
            raise ValueError(f"found {budget!r}; a number or one of {', '.join(BUDGETS)} is allowed") from None
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"found {number:g}; a positive number of gradient evaluations is allowed")
        return number

    @field_validator("optimizers", "games")
    @classmethod
    def _check_names(cls, spelled: list[str], info: Any) -> list[str]:
        from bench.registry import get_game, get_rule

        of_rules = info.field_name == "optimizers"
        get: Callable[[str], object] = get_rule if of_rules else get_game
        spelled = list(dict.fromkeys(one for name in spelled for one in every(name, (rules if of_rules else games))))
        mistakes = []
        for one in spelled:
            try:
                get(one)
            except UserError as error:
                mistakes.append(str(error))
        if not of_rules and not mistakes and (features := info.data.get("features")):
            spelled, mistakes = judged_by(features, spelled)
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return spelled if of_rules else list(dict.fromkeys(str(parse(game)) for game in spelled))

    @model_validator(mode="after")
    def _keep_objects(self) -> Study:
        """Keep what the program gave: another study may give something else under the same names."""
        self._given = given_in([*self.optimizers, *self.games])
        return self

    @model_validator(mode="after")
    def _check_applicable(self) -> Study:
        """Refuse games of more than two players, and a study of which nothing is applicable."""
        for label in self.games:
            played = self.plugins.game(label)
            if not played.missing and played.players not in PLAYERS:
                raise ValueError(f"games: {label} has {played.players} players; {PLAYERS_ALLOWED}")
        if not self.pairs:
            game, reasons = next(iter(self._refused.items()))
            rule, reason = next(iter(reasons.items()))
            raise ValueError(f"optimizers: none can be applied to {game}: {rule}: {reason}")
        return self

    @model_validator(mode="after")
    def _check_evaluations(self) -> Study:
        """Every evaluation has a step of its own; ``smoke``, which only tries things out, has one after every step."""
        wanted = 1 if self.budget == SMOKE else self.evaluations
        costs = {rule: self.plugins.rule(rule).cost for rule in self.optimizers}
        budgets = {game: self._cost(self.plugins.game(game).budget) for game in self.games}
        for rule, game in self.pairs:
            if (least := costs[rule] * wanted) > budgets[game] * (1 + 1e-9):
                enough = f"are needed for {wanted} evaluations, or fewer evaluations" if wanted > 1 else "are needed"
                found = f"budget: found {budgets[game]:g} on {game}; {rule} takes {costs[rule]:g} a step, so at least"
                raise ValueError(f"{found} {least:g} {enough}")
        return self

    @model_validator(mode="after")
    def _check_continued(self) -> Study:
        if self.continues and self.trials:
            raise ValueError("continues: a run that continues another has its hyperparameters; trials must be 0")
        for game in self.games if self.continues else ():
            budgets = [budget_of.get(game, 0.0) for budget_of in self.continues]
            rising = [*budgets, self.cost_of(game)]
            if budgets[0] <= 0 or any(a >= b for a, b in pairwise(rising)):
                spelled = ", ".join(f"{budget:g}" for budget in rising)
                raise ValueError(f"continues: the budgets of {game} are {spelled}; they must rise")
        return self

    @model_serializer(mode="wrap")
    def _without_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The name of a study and its manifest are those that they were before there was a key for continued runs."""
        content: dict[str, Any] = serialize(self)
        return content if self.continues else {key: content[key] for key in content if key != "continues"}

    @property
    def source(self) -> Path | None:
        """The folder of the run that it continues, where that is known; it decides no result."""
        return self._source

    @property
    def name(self) -> str:
        """The run's folder, decided by the study's content; more trials, roundings or seeds continue in the same."""
        settings = self.model_dump(mode="json", exclude={*GROWS, "added_seeds"})
        content = json.dumps(settings | {"seeds": self.seed_groups[0]}, sort_keys=True)
        first = re.sub(r"[^a-z0-9-]+", "-", "-".join(self.optimizers[:3]).lower())[:40].strip("-")
        return f"{first}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def cost_of(self, game: str) -> float:
        """Return the cost of one replica on a game, in gradient evaluations."""
        return self.budget if isinstance(self.budget, float) else self._cost(self.game(game).budget)

    def _cost(self, of_game: float) -> float:
        """The cost of one replica on a game of this budget."""
        if isinstance(self.budget, str):
            return max(1.0, round(of_game * BUDGETS[self.budget]))
        return self.budget

    @classmethod
    def recorded(cls, study: dict[str, Any], descriptions: dict[str, Any]) -> Study:
        """A study from a run's manifest: no plug-in that it names is loaded."""
        restored = cls.model_construct(**study)
        known = DESCRIPTIONS.validate_python(descriptions)
        restored._recorded = replace(known, refused=known.refused or {})
        return restored

    @property
    def _refused(self) -> dict[str, dict[str, str]]:
        """game -> rule -> why it is not applicable there."""
        if self._recorded.refused is not None:
            return self._recorded.refused
        return self._found_refused

    @cached_property
    def _found_refused(self) -> dict[str, dict[str, str]]:
        return refusals(self.optimizers, self.games, self.plugins)

    def refused(self, rule: str, game: str) -> str:
        """Return why a rule is not applicable to a game; "" where it is."""
        return self._refused.get(game, {}).get(rule, "")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(rule, game) of all that is trained: the rules that are applicable, one game after another."""
        return [(rule, game) for game in self.games for rule in self.optimizers if not self.refused(rule, game)]

    @property
    def seed_groups(self) -> list[list[int]]:
        """The report seeds that the run began with, and those of each addition. Groups train apart."""
        return seed_groups(self.seeds, self.added_seeds)

    def of_games(self, games: list[str]) -> Study:
        """The same study of some of its games."""
        return self.model_copy(update={"games": games})

    @cached_property
    def plugins(self) -> Plugins:
        """The objects that its spellings name, each made once."""
        return Plugins(self._given)

    @cached_property
    def _descriptions(self) -> Descriptions:
        """The recorded descriptions, and those that are made since."""
        recorded = self._recorded
        return Descriptions(dict(recorded.games), dict(recorded.metrics), dict(recorded.rules))

    def task(self, rule: str, game: str, device: str) -> Task:
        """One of its rules on one of its games."""
        budgets = tuple(budget_of[game] for budget_of in self.continues)
        return Task(rule, game, self.cost_of(game), self.evaluations, device, budgets, self.plugins)

    def described(self) -> dict[str, Any]:
        """The same, from the plug-ins installed now, in a form that JSON can hold."""
        return Descriptions.of(self.optimizers, self.games, self.plugins).plain()

    def game(self, label: str) -> GameDescription:
        """The description of a game."""
        return self._descriptions.game(label, self.plugins)

    def metric(self, name: str) -> MetricDescription:
        """The description of a metric."""
        return self._descriptions.metric(name)

    def primary(self, game: str) -> MetricDescription:
        """A game's primary metric."""
        return self.metric(self.game(game).score)

    def searched(self, label: str) -> list[str]:
        """The hyperparameters of a rule that this study tunes."""
        ranges = self.rule(label).searched
        return [path for path, (_, _, step_size) in ranges.items() if step_size or self.tune == "full"]

    def rule(self, label: str) -> RuleDescription:
        """The description of a rule."""
        return self._descriptions.rule(label, self.plugins)
