"""More seeds for a run that is there: which run, and the study that it becomes.

Seeds are added in groups (`bench.studies.seeds`): the study of the grown run has the earlier groups unchanged, so its
plan has the same chunks for them, and what is stored is not trained again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.storage.run_folder import RunFolder
from bench.studies.seeds import MOST_AT_ONCE, MOST_SEED, continues, groups_of
from bench.studies.study import Study

RESULTS = Path("results")
SEEDS = {"seeds", "added_seeds"}


def folder_of(study: Study, out: str | Path | None) -> RunFolder:
    """The folder that a study is run in."""
    return RunFolder(out if out is not None else RESULTS / study.name)


def with_added(study: Study, folder: RunFolder) -> Study:
    """The study with the seeds that were added to its run since, so that the plain command continues all of it."""
    with suppress(UserError):  # no run yet, or damaged: it starts anew
        stored = folder.manifest["study"]
        if continues(study.seed_groups, groups_of(stored)):
            return study.model_copy(update={key: stored.get(key, []) for key in SEEDS})
    return study


def grown(study: Study, count: int, out: str | Path | None) -> tuple[Study, RunFolder]:
    """The study of a finished run with ``count`` further seeds after its highest, and the run's folder.

    Args:
        study: the run's, with any seeds.
        count: how many seeds are added.
        out: the run's folder; None for that of the study, or else the only run in ``results`` that differs in its
            seeds alone.

    Raises:
        UserError: there is no such run, it is another study's or not finished, or there are not so many seeds.
    """
    if not 1 <= count <= MOST_AT_ONCE:
        raise UserError(f"add_seeds: found {count}; a whole number from 1 to {MOST_AT_ONCE} is allowed")
    folder = folder_of(study, out) if out is not None else _found(study, count)
    if not os.path.lexists(folder.path / "study.json"):
        raise UserError(_missing(f"in {str(folder.path)!r}", count))
    stored = folder.manifest["study"]
    if changed := _changed(stored, study):
        raise UserError(f"run folder {str(folder.path)!r} holds another study ({changed}); choose another --out")
    there = study.model_copy(update={key: stored.get(key, []) for key in SEEDS})
    check_finished(there, folder, f"the same command without --seeds +{count} finishes it")
    first = max(there.seeds) + 1
    if first + count > MOST_SEED:
        raise UserError(f"seeds: found +{count} after {first - 1}; whole numbers up to {MOST_SEED - 1} are allowed")
    seeds = [*there.seeds, *range(first, first + count)]
    return there.model_copy(update={"seeds": seeds, "added_seeds": [*there.added_seeds, count]}), folder


def commands(folder: RunFolder, last: str) -> str:
    """The commands that lead to a grown run, as a line for a shell."""
    earlier = folder.manifest.get("command")
    return f"{earlier} && {last}" if earlier else last


def _found(study: Study, count: int) -> RunFolder:
    """The run of a study with any seeds."""
    named = folder_of(study, None)
    if os.path.lexists(named.path / "study.json"):
        return named
    rules = study.name.rpartition("-")[0]
    runs = [RunFolder(path.parent) for path in sorted(RESULTS.glob(f"{rules}-*/study.json"))]
    fitting = []
    for run in runs:
        with suppress(UserError):
            fitting += [run] * (not _changed(run.manifest["study"], study))
    if len(fitting) > 1:
        names = ", ".join(repr(str(run.path)) for run in fitting)
        raise UserError(f"seeds: found +{count}, but several runs of this study: {names}; choose one with --out")
    if not fitting:
        raise UserError(_missing(f"in {str(RESULTS)!r}", count))
    return fitting[0]


def _missing(where: str, count: int) -> str:
    hint = "run it first with the seeds to begin with, or name its folder with --out"
    return f"seeds: found +{count}, but no run of this study {where}; {hint}"


def _changed(stored: dict[str, Any], study: Study) -> str:
    """The settings other than seeds in which a study differs from a run's; more trials would choose other values."""
    asked = study.model_dump(mode="json", exclude=SEEDS)
    differ = [key for key in {**asked, **stored} if key not in SEEDS and stored.get(key) != asked.get(key)]
    return "; ".join(f"{key}: {stored.get(key)!r} there, {asked.get(key)!r} asked for" for key in differ)


def check_finished(study: Study, folder: RunFolder, remedy: str) -> None:
    """Refuse a run that lacks some of its trainings, with the way out."""
    records = folder.records
    trained = records[records["phase"].isin(["report", "untuned", "rounded"])]
    replicas = trained.drop_duplicates(["optimizer", "game", "phase", "trial", "seed"])
    done = replicas.groupby(["optimizer", "game"], observed=True).size()
    planned = len(study.seeds) * (1 + study.untuned + study.roundings)
    for rule, game in study.pairs:
        if (there := int(done.get((rule, game), 0))) < planned:
            raise UserError(
                f"run folder {str(folder.path)!r} is not finished: {there} of {planned} trainings of {rule} on "
                f"{game}; {remedy}"
            )
