"""Runs of one protocol as one: the union of their rules, games and seeds.

Chunks are copied whole with their hashes, never packed anew; so each row of the merged table is what a single run of
everything would have. What no run has trained is shown as missing. Budget, tuning, evaluations and device must agree,
or rows would not be comparable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.numerics.environment import joined
from bench.storage import weights
from bench.storage.files import read_regular, write_file
from bench.storage.manifest import LABELS
from bench.storage.run_folder import RunFolder, files_of
from bench.storage.writer import RunWriter
from bench.studies.labels import check_labels
from bench.studies.toml import Frozen

UNITED = {"optimizers", "games", "seeds", "added_seeds", "hyperparameters"}
"""What may differ between studies."""


def merge(runs: Sequence[RunFolder], out: Path) -> RunFolder:
    """Write runs as one into a new folder.

    Raises UserError, and writes nothing, where their protocols, devices or settings differ, where they hold different
    results of the same training, where one is damaged, or where ``out`` exists.
    """
    if len(runs) < 2:
        raise UserError("merge: give at least two runs")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{str(out)!r} is there already; choose another --out")
    first = runs[0]
    for other in runs[1:]:
        _check_alike(first, other)
    study = _study(runs)
    owners = _owners(runs)
    _check_conflicts(runs, owners)
    manifest = dict(first.manifest) | {"study": study, "merged": [_origin(run) for run in runs]}
    manifest["environment"] = joined([run.manifest.get("environment", {}) for run in runs])
    manifest["descriptions"] = _descriptions(runs)
    if labels := _labels(runs, study["optimizers"]):
        manifest[LABELS] = labels
    manifest[weights.KEY] = max((weights.asked(run.manifest) for run in runs), key=weights.KEEPS.index)
    writer = RunWriter(RunFolder(out))
    writer.open(manifest)
    try:
        for run in runs:
            _copy_weights(run, [name for name, owner in owners.items() if owner is run], writer.folder)
        for name, owner in owners.items():
            _copy(name, owner, out)
        writer.plan(list(owners))
    finally:
        writer.close()
    return writer.folder


# --- whether they may be one -----------------------------------------------------------------------------------------


def _check_alike(first: RunFolder, other: RunFolder) -> None:
    pair = f"{str(first.path)!r} and {str(other.path)!r}"
    for part in ("protocol", "device"):
        if first.manifest.get(part) != other.manifest.get(part):
            differences = f"{first.manifest.get(part)} and {other.manifest.get(part)}"
            raise UserError(f"{pair} have another {part} ({differences}): they cannot be one")
    one, two = first.manifest["study"], other.manifest["study"]
    keys = [key for key in {**one, **two} if key not in UNITED]
    if differ := [key for key in keys if one.get(key) != two.get(key)]:
        differences = "; ".join(
            f"{key}: {first.manifest['study'].get(key)!r} and {other.manifest['study'].get(key)!r}" for key in differ
        )
        raise UserError(f"{pair} were not made alike ({differences}): their rows are not comparable")
    if bool(one.get("hyperparameters")) != bool(two.get("hyperparameters")):
        raise UserError(f"one of {pair} was tuned, the other was given its values: their rows are not comparable")


def _check_conflicts(runs: Sequence[RunFolder], owners: dict[str, RunFolder]) -> None:
    """A replica is trained once: the same rule, game, phase, trial and seed must not come from two chunks."""
    seen: dict[tuple[Any, ...], str] = {}
    for name, owner in owners.items():
        stub = json.loads(owner.content(f"{name}.json"))["chunk"]
        for row in stub["rows"]:
            key = (stub["optimizer"], stub["label"], stub["phase"], row["trial"], row["seed"])
            if key in seen and owners[seen[key]] is not owner:
                rule, game, phase, _, seed = key
                holders = f"{str(owners[seen[key]].path)!r} and {str(owner.path)!r}"
                what = f"{rule} on {game}, seed {seed} ({phase})"
                raise UserError(
                    f"{holders} hold different trainings of {what}: merge one of them, or merge other seeds"
                )
            seen[key] = name


# --- as one ----------------------------------------------------------------------------------------------------------


def _study(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """The union, as a study that can be run again, with the values that were frozen from a file."""
    study = dict(runs[0].manifest["study"])
    for key in ("optimizers", "games"):
        study[key] = _union(run.manifest["study"][key] for run in runs)
    study["seeds"], study["added_seeds"] = _seeds(runs)
    frozen: dict[str, dict[str, Any]] = {}
    for run in runs:
        given: Frozen = run.manifest["study"].get("hyperparameters") or {}
        for game, values in given.items():
            for rule, value in values.items():
                if frozen.setdefault(game, {}).setdefault(rule, value) != value:
                    raise UserError(
                        f"{str(run.path)!r} has other frozen values of {rule} on {game}: they cannot be one"
                    )
    study["hyperparameters"] = frozen
    return study


def _seeds(runs: Sequence[RunFolder]) -> tuple[list[int], list[int]]:
    """The seeds of all runs, as the groups that they were trained in, so that none is trained again when more follow.

    Where a seed is of two groups, its rules are no common stacks, and the seeds are one group.
    """
    groups = sorted(map(list, {tuple(group) for run in runs for group in run.study.seed_groups}))
    seeds = [seed for group in groups for seed in group]
    if len(set(seeds)) < len(seeds):
        return sorted(set(seeds)), []
    return seeds, [len(group) for group in groups[1:]]


def _descriptions(runs: Sequence[RunFolder]) -> dict[str, Any]:
    """The descriptions of the rules, games and metrics of all runs."""
    kinds = ("games", "metrics", "rules")
    every = [run.manifest.get("descriptions", {}) for run in reversed(runs)]
    refused: dict[str, dict[str, str]] = {}
    for part in every:
        for game, reasons in (part.get("refused") or {}).items():
            refused.setdefault(game, {}).update(reasons)
    return {
        kind: {name: description for part in every for name, description in part.get(kind, {}).items()}
        for kind in kinds
    } | {"refused": refused}


def _labels(runs: Sequence[RunFolder], optimizers: Sequence[str]) -> dict[str, str]:
    """The labels of all runs, an earlier one's first; UserError where two rules would be called the same."""
    labels = {rule: label for run in reversed(runs) for rule, label in run.labels.items()}
    check_labels(labels, optimizers)
    return labels


def _union(lists: Iterable[Iterable[Any]]) -> list[Any]:
    """Each once, in the order of their first appearance."""
    return list(dict.fromkeys(one for part in lists for one in part))


def _owners(runs: Sequence[RunFolder]) -> dict[str, RunFolder]:
    """chunk -> the run that it is taken from; UserError where a chunk is damaged."""
    owners: dict[str, RunFolder] = {}
    for run in runs:
        for name in run.names():
            if not run.whole(name):
                raise UserError(
                    f"chunk {name} in {str(run.path)!r} is damaged; run its study again, and it is done anew"
                )
            owners.setdefault(name, run)
    return owners


def _origin(run: RunFolder) -> dict[str, Any]:
    """The origin of a part; without its path, which means nothing on another machine."""
    kept = {key: run.manifest.get(key) for key in ("study", "environment", "command")}
    return {"name": run.path.resolve().name, **kept, "chunks": len(run.names())}


def _copy_weights(run: RunFolder, names: Sequence[str], out: RunFolder) -> None:
    """Copy the weights that a run has of these chunks."""
    for one in weights.kept(run):
        if one.chunk in names:
            weights.write(out, one.chunk, {one.seed: read_regular(one.path)})


def _copy(name: str, owner: RunFolder, out: Path) -> None:
    """Copy a chunk's files, the one that marks it as stored last; also its traceback, if it failed."""
    for file in files_of(name):
        write_file(out / "records" / file, owner.content(file))
    with suppress(FileNotFoundError):
        traceback = (owner.path / "errors" / f"{name}.txt").read_bytes()
        (out / "errors").mkdir(exist_ok=True)
        write_file(out / "errors" / f"{name}.txt", traceback)
