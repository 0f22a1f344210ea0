"""The report: one HTML file that opens from disk, made of a run's records alone; the same records give the same bytes.

What is drawn comes from `bench.sections`, every number from `bench.table` and `bench.statistics`. A rule counts on a
game once all its seeds are there; what is not there yet is named.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.contracts import Direction, UpdateRule
from bench.figures.panels import looks
from bench.figures.svg import FONT, font
from bench.findings import findings
from bench.plan import tunable
from bench.registry import Preset, get_game, get_metric, get_rule, rules
from bench.sections import Sections
from bench.sections.scene import Tensors, first_line
from bench.sensitivity import Trials, trials_of
from bench.spec import Study
from bench.spelling import SpecError, parse
from bench.store import write_file
from bench.table import best, rounded, table

if TYPE_CHECKING:
    from bench.runner import Run

FEW = 5  # seeds below which an interval says little


def write_report(run: Run) -> Path:
    """Write ``report.html`` into the run's folder; returns its path."""
    errors = {path.name: path.read_text("utf-8", "replace").strip().rsplit("\n", 1)[-1] for path in run.errors}
    path = run.path / "report.html"
    write_file(path, render(run.records, run.manifest, run.tensors(), errors).encode())
    return path


def render(records: pd.DataFrame, manifest: dict[str, Any], tensors: Tensors, errors: Mapping[str, str]) -> str:
    """The report as HTML: long records, the manifest, (chunk, tensors) to look at, the last line of each traceback."""
    study = manifest["study"]
    asked = Study.model_construct(**study)
    whole, missing = _whole(records, study)
    found = table(whole, study)
    look = looks(study["optimizers"])
    shown = Sections(whole, records, tensors, found, look, study)
    sections = [shown.of(game) for game in study["games"] if len(found) and (found["game"] == game).any()]
    environment = Environment(
        loader=PackageLoader("bench"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "digest": _digest, "ranges": _ranges, "first_line": first_line}
    environment.filters |= {"words": _words, "breakable": _breakable, "rounded": rounded}
    return environment.get_template("report.html.j2").render(
        name=asked.name,
        study=study,
        manifest=manifest,
        look=look,
        family=FONT,
        findings=findings(found, whole),
        overview=_overview(found, study),
        warnings=[*_warnings(records, study), *missing],
        errors=errors,
        sections=sections,
        font=font(drawing.svg for section in sections for drawing in section.drawings if drawing.film is None)
        if sections
        else "",
        budgets={game: asked.cost_of(game) for game in study["games"]},
        equations={rule: _equations(rule) for rule in study["optimizers"]},
    )


# --- words and numbers -----------------------------------------------------------------------------------------------


def number(value: float, digits: int = 3) -> str:
    """A number as people read it: three digits, signs for infinity and for what was not measured."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.{digits}g}".replace("-", "−").replace("e−0", "e−").replace("e+0", "e")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _breakable(name: str) -> Markup:
    """A spelling that may be broken after brackets and commas."""
    return Markup("<wbr>").join(re.findall(r"[^\[,]*[\[,]|[^\[,]+", name))


def _digest(script: str) -> str:
    """What a content security policy calls an inline script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _ranges(seeds: Iterable[int]) -> str:
    """Whole numbers in few words: 0-9, 12."""
    found: list[list[int]] = []
    for seed in sorted(seeds):
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in found)


def _equations(spelled: str) -> list[tuple[str, str, str]]:
    """(name, equation, source) of a rule as spelled, and of what it steps along."""
    try:
        known, made = rules[parse(spelled).name], get_rule(spelled)
    except SpecError:
        return [("", "not known to this installation", "")]
    if isinstance(known, Preset):
        return [("", *_equation(known.doc))]
    inner = [part for part in vars(made).values() if isinstance(part, (UpdateRule, Direction)) and part.name != "plain"]
    named = [("", known), *((part.name, type(part)) for part in inner)]
    return [(name, *_equation(inspect.getdoc(thing) or "")) for name, thing in named]


def _equation(doc: str) -> tuple[str, str]:
    paragraphs = [" ".join(part.split()) for part in doc.split("\n\n")]
    return paragraphs[0], " ".join(part for part in paragraphs if part.startswith("Source:"))


# --- what is there ---------------------------------------------------------------------------------------------------


def _whole(records: pd.DataFrame, study: dict[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """Records without the rules that lack report seeds on a game, and what is missing, in words."""
    reported = records[records["phase"] == "report"]
    there = reported.groupby(["optimizer", "game"], observed=True)["seed"].nunique()
    keep, missing, n = np.ones(len(records), dtype=bool), [], len(study["seeds"])
    for game in study["games"]:
        for rule in study["optimizers"]:
            done = int(there.get((rule, game), 0))
            if done < n:
                keep &= ~((records["optimizer"] == rule) & (records["game"] == game)).to_numpy()
                there_is = f"{done} of {n} seeds are there; it is left out until all are"
                missing.append(f"{rule} on {game} is not finished: {there_is}.")
    return records[keep], missing


def _warnings(records: pd.DataFrame, study: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a number."""
    said = []
    if len(study["seeds"]) < FEW:
        said.append(f"Few seeds: {len(study['seeds'])}. Below {FEW} an interval says little; no comparison is safe.")
    if study["trials"] == 0:
        said.append("Nothing was tuned: every rule ran with its declared defaults, which favours some over others.")
    for rule in study["optimizers"]:
        where: dict[str, list[str]] = {}
        for game in study["games"]:
            own = records[(records["game"] == game) & (records["optimizer"] == rule)]
            for problem in _problems(rule, game, own, tuned=study["trials"] > 0):
                where.setdefault(problem, []).append(game)
        said += [f"{rule} on {', '.join(games)}: {problem}" for problem, games in where.items()]
    return said


def _problems(rule: str, game: str, own: pd.DataFrame, tuned: bool) -> Iterable[str]:
    failed = own[own["outcome"] == "error"].groupby(["phase", "trial", "seed"], observed=True).ngroups
    if failed:
        yield f"{failed} replica{'s' if failed > 1 else ''} stopped with an error and count as failed."
    metric = get_metric(get_game(game).score)
    trials = trials_of(own, metric)
    if trials is None:
        if tuned and len(own):
            yield "it had nothing to tune; it ran with the values it was given."
        return
    if (trials.medians == metric.worst).all():
        yield "it is untunable there: every trial failed, so its declared defaults were used."
    yield from _edges(rule, trials)


def _edges(rule: str, trials: Trials) -> Iterable[str]:
    """Of each tuned hyperparameter: whether its range was widened, at what cost, and whether that was enough."""
    try:
        space = tunable(rule, "full")
    except SpecError:
        return
    for name, chosen, steps in zip(trials.names, trials.chosen, trials.steps.T, strict=False):
        if name not in space:
            continue
        low, high = space[name].low, space[name].high
        beyond = (steps < low * (1 - 1e-6)) | (steps > high * (1 + 1e-6))
        if beyond.any():
            spent = f"{beyond.sum()} of {len(steps)} trials, cost {trials.costs[beyond].sum():.6g}, went beyond it"
            yield f"the best {name} stood near an edge of its range [{low:g}, {high:g}], which was widened: {spent}."
        if chosen in (steps.min(), steps.max()):
            yield f"the chosen {name} is the outermost that was tried; a better one may lie beyond."


def _overview(found: pd.DataFrame, study: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """rule -> game -> what its cell shows; nothing where the rule is not finished there."""
    cells: dict[str, dict[str, dict[str, Any]]] = {rule: {} for rule in study["optimizers"]}
    for row in found.assign(best=best(found)).to_dict("records"):
        cells[row["optimizer"]][row["game"]] = row | {"hyperparameters": rounded(row["hyperparameters"])}
    return cells
