"""A larger budget for a run that is there: the study that trains its report replicas further.

It has the run's seeds and the values that the run tuned, so nothing is tuned again, and its trainings are those of an
uninterrupted run of the larger budget, bit for bit. They are evaluated where the run evaluated, and from its end on
where the larger budget does. States that the run kept (`bench.storage.states`) save the part that is done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from bench.contracts.introspection import asked
from bench.errors import UserError, nearest
from bench.registry.identity import plugin_code
from bench.registry.spelling import split
from bench.storage.growth import check_finished
from bench.storage.run_folder import RunFolder
from bench.storage.states import States, unscaled
from bench.studies.plan import PROTOCOL, Values, report_rows
from bench.studies.request import RunRequest
from bench.studies.study import Study

KEY = "from"
"""The setting that names the run."""


def further(
    run: RunFolder,
    budget: float | str | None = None,
    optimizers: Any = None,
    games: Any = None,
) -> Study:
    """The study that trains a finished run's report replicas to a larger budget.

    Args:
        run: the finished run.
        budget: of a replica, as a study's; None for that of the run, where the games' own are larger.
        optimizers: some of its rules; None for all.
        games: some of its games, with any budget of their own; None for all.

    Raises:
        UserError: the run is not finished or of another protocol, a name is none of its, a rule or game has changed
            since, the budget is no larger, or a rule's steps depend on it.
    """
    where, there = f"run folder {str(run.path)!r}", run.study
    if (protocol := run.manifest["protocol"]) != PROTOCOL:
        raise UserError(f"{where} is of protocol {protocol}; only one of {PROTOCOL} can be continued here")
    wanted = Study(
        optimizers=there.optimizers if optimizers is None else _spelled(run, optimizers),
        games=there.games if games is None else games,
        budget=there.budget if budget is None else budget,
        trials=0,
        evaluations=there.evaluations,
    )
    for rule in wanted.optimizers:
        _check_known("optimizers", rule, there.optimizers)
    earlier = {game: _earlier(game, there.games) for game in wanted.games}
    costs = {game: there.cost_of(label) for game, label in earlier.items()}
    for game, cost in costs.items():
        if wanted.cost_of(game) <= cost:
            raise UserError(
                f"budget: found {wanted.cost_of(game):g} on {game}; more than {cost:g} is allowed, to which "
                f"{where} has trained it"
            )
    chosen = there.model_copy(update={"optimizers": wanted.optimizers, "games": list(earlier.values())})
    check_finished(chosen, run, "the same command again finishes it")
    frozen = _frozen(run)
    _check_unchanged(run, wanted, earlier)
    before = [{game: budget_of[label] for game, label in earlier.items()} for budget_of in there.continues]
    labels = {rule: label for rule, label in run.labels.items() if rule in wanted.optimizers} | wanted.labels
    kept = {"seeds", "added_seeds", "evaluations", "roundings", "untuned"}
    study = wanted.model_copy(
        update={key: getattr(there, key) for key in kept}
        | {"hyperparameters": {game: {rule: frozen[label, rule] for rule in wanted.optimizers}
                               for game, label in earlier.items()}}
        | {"continues": [*before, costs], "labels": labels}
    )  # fmt: skip
    study._source = run.path
    return study


def kept_replicas(study: Study, device: str) -> dict[tuple[str, str], int]:
    """How many replicas of a continued run's report, for each (rule, game), go on from a state that was kept."""
    assert study.source is not None
    states, kept = States(RunFolder(study.source)), {}
    for rule, game in product(study.optimizers, study.games):
        values: Values = dict(study.hyperparameters[game][rule])
        task = study.task(rule, game, device)
        chunks = [chunk for seeds in study.seed_groups for chunk in task.chunks(report_rows(seeds, values), "report")]
        kept[rule, game] = sum(len(chunk.rows) for chunk in chunks if states.earlier(chunk) is not None)
    return kept


def _spelled(run: RunFolder, optimizers: Any) -> Any:
    """Rules of a study with each label of the run's replaced by what it stands for; what is no text stays."""
    by_label = {label: rule for rule, label in run.labels.items()}
    names = split(optimizers) if isinstance(optimizers, str) else optimizers
    if not isinstance(names, (list, tuple)):
        return names
    return [by_label.get(name, name) if isinstance(name, str) else name for name in names]


def _check_known(key: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UserError(f"{key}: {name} is none of the run's; {nearest(name, known)}")


def _earlier(game: str, labels: Sequence[str]) -> str:
    """The run's game that is the same but for its budget."""
    if game in labels:
        return game
    same = [label for label in labels if unscaled(label) == unscaled(game)]
    if len(same) != 1:
        _check_known("games", game, labels)
    return same[0]


def _frozen(run: RunFolder) -> dict[tuple[str, str], Values]:
    """(game, rule) -> the values that its report was trained with."""
    report = run.records[run.records["phase"] == "report"]
    pairs = report[["game", "optimizer", "hyperparameters"]].drop_duplicates().itertuples(index=False)
    read = {(str(game), str(rule)): json.loads(values) for game, rule, values in pairs}
    return {
        pair: {path: tuple(value) if isinstance(value, list) else value for path, value in values.items()}
        for pair, values in read.items()
    }


def _check_unchanged(run: RunFolder, study: Study, earlier: dict[str, str]) -> None:
    """Refuse rules and games that are no longer what was trained, and rules whose steps depend on the budget."""
    chunks = [chunk for name in run.names() if (chunk := run.chunk(name)) is not None and chunk["phase"] == "report"]
    trained = {(chunk["label"], chunk["optimizer"]): chunk for chunk in chunks}
    for game, label in earlier.items():
        for spelled in study.optimizers:
            rule, played = study.plugins.rule(spelled), study.plugins.game(game)
            if plugin_code(rule, played) != trained[label, spelled]["code"]:
                raise UserError(
                    f"{spelled} or {game} has changed since {str(run.path)!r} was trained: what was tuned and trained "
                    "is another; run its study again"
                )
            if asked(rule, played).asks_budget:
                raise UserError(
                    f"{spelled}: its steps depend on the share of the budget that is spent, so a training to a larger "
                    "one is another from its start; run it anew with that budget"
                )


def continued(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a command that continues a run, complete; UserError where one is given that the run decides."""
    allowed = {"budget", "optimizers", "games", *set(RunRequest.model_fields) - set(Study.model_fields) - {"add_seeds"}}
    if refused := [key for key in settings if key not in {KEY, *allowed}]:
        raise UserError(
            f"{refused[0]}: decided by the run that --{KEY} names; budget, optimizers and games may be given, and how "
            "to train"
        )
    path = Path(settings[KEY])
    study = further(RunFolder(path), *(settings.get(key) for key in ("budget", "optimizers", "games")))
    execution = {key: value for key, value in settings.items() if key not in (KEY, "budget", "optimizers", "games")}
    return study.model_dump() | execution | {"source_run": path}
