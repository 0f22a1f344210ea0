"""The report: one HTML file that opens from disk, made of a run's records alone; the same records give the same bytes.

What is drawn comes from `bench.report.sections`, every number from `bench.analysis`, the page's parts, style and
scripts from ``templates``. A rule counts on a game once all its seeds are there; what is not there yet is named.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.analysis.findings import LEVEL, findings, winners
from bench.analysis.formatting import number, rounded
from bench.analysis.ranking import Standing, ranks, standing
from bench.analysis.table import table, to_csv
from bench.errors import UserError
from bench.report.figures.panels import Look, looks
from bench.report.figures.ranks import critical_difference
from bench.report.figures.svg import key
from bench.report.gallery import Gallery, add, update_figures
from bench.report.sections import Section, Sections
from bench.report.sections.across import across
from bench.report.sections.scene import Drawing, Tensors
from bench.report.warnings import RunWarning, concerning, finished, warnings_of
from bench.storage.files import write_file
from bench.storage.manifest import mixed
from bench.studies.study import Study
from bench.studies.toml import study_file
from bench.studies.tuning.sensitivity import Tried, tried, tuning

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

NAMED = 4  # rules that a title has room for


def write_report(run: RunFolder, found: pd.DataFrame | None = None) -> Path:
    """Write ``tuning.csv``, ``report.html`` and its figures into the run's folder; returns the page's path.

    ``found`` is the run's table, where it is known already.
    """
    errors = {path.name: line for path, line in run.failures.items()}
    path, gallery = run.path / "report.html", Gallery()
    trials = tried(run.records, run.study)
    tuned = tuning(run.records, run.study, trials)
    write_file(run.path / "tuning.csv", to_csv(tuned).encode())
    write_file(path, render(run.records, run.manifest, run.tensors(), errors, gallery, (trials, tuned), found).encode())
    update_figures(run, gallery)
    return path


def gallery_of(run: RunFolder) -> Gallery:
    """All that is drawn for a run's report; UserError where nothing is finished."""
    gallery = Gallery()
    render(run.records, run.manifest, run.tensors(), {}, gallery)
    if not gallery:
        raise UserError(f"{str(run.path)!r} has nothing to draw: no rule is finished on any game")
    return gallery


def render(
    records: pd.DataFrame,
    manifest: dict[str, Any],
    tensors: Tensors,
    errors: Mapping[str, str],
    gallery: Gallery | None = None,
    tuned: tuple[Tried, pd.DataFrame] | None = None,
    found: pd.DataFrame | None = None,
) -> str:
    """The report as HTML: long records, the manifest, (chunk, tensors) to look at, the last line of each traceback.

    What is drawn for it is added to a gallery; ``tuned`` is what tuning tells by the records (`tried`, `tuning`) and
    ``found`` their table, where these are known already.
    """
    study = Study.recorded(manifest["study"], manifest.get("descriptions", {}))
    whole, missing = finished(records, study)
    found = table(whole, study) if found is None or missing else found
    look = looks(study.optimizers)
    trials = tried(records, study) if tuned is None else tuned[0]
    tuning_table = tuning(records, study, trials) if tuned is None else tuned[1]
    shown = Sections(whole, trials, tuning_table, tensors, found, look, study)
    sections = [shown.of(game) for game in study.games if len(found) and (found["game"] == game).any()]
    verdicts, over = findings(found, whole, study), standing(found, study)
    said = warnings_of(records, study, verdicts, trials)
    overall = [*([] if over.why else [_diagram(over, look)]), *across(found, whole, look, study)]
    if gallery is None:
        gallery = {}
    add(gallery, "all", overall)
    for section in sections:
        add(gallery, section.label, section.drawings)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            name=_title(study),
            study=study,
            manifest=manifest,
            look=look,
            style=Markup("\n".join(_sources(".css"))),
            scripts=[Markup(script) for script in _sources(".js")],
            findings=verdicts,
            winners=winners(verdicts),
            failed=_failed(found, study),
            concerning={finding.game: concerning(said, finding) for finding in verdicts},
            overview=_cells(found, study),
            standing=over,
            overall=overall,
            primary={game: study.primary(game) for game in study.games},
            metrics=_metrics(sections),
            warnings=[*(RunWarning(f"Mixed machines: {text}.") for text in mixed(manifest)), *said, *missing],
            errors=errors,
            sections=sections,
            budgets={game: study.cost_of(game) for game in study.games},
            study_file=study_file(manifest["study"]),
            equations={rule: study.rule(rule).equations for rule in study.optimizers},
        )
    )


def _environment() -> Environment:
    loader = PackageLoader("bench.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "digest": _digest, "ranges": _ranges}
    environment.filters |= {"words": _words, "breakable": _breakable, "rounded": rounded, "key": key}
    return environment


def _sources(ending: str) -> list[str]:
    """Styles or scripts of the page, each a file of its own, in the order of their names."""
    room = files("bench.report").joinpath("templates")
    return [part.read_text("utf-8") for part in sorted(room.iterdir(), key=str) if part.name.endswith(ending)]


# --- words and numbers -----------------------------------------------------------------------------------------------


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


# --- what is shown ---------------------------------------------------------------------------------------------------


def _cells(found: pd.DataFrame, study: Study) -> dict[str, dict[str, dict[str, Any]]]:
    """rule -> game -> what its cells show; nothing where the rule is not finished there."""
    cells: dict[str, dict[str, dict[str, Any]]] = {rule: {} for rule in study.optimizers}
    placed = ranks(found, study)
    for row in found.to_dict("records"):
        rule, game = row["optimizer"], row["game"]
        spent, took = (row["n"] * row[kind] + row[f"tuning_{kind}"] for kind in ("cost", "seconds"))
        more = {"hyperparameters": rounded(row["hyperparameters"]), "place": placed[rule, game]}
        cells[rule][game] = row | more | {"spent": spent, "took": took}
    return cells


def _failed(found: pd.DataFrame, study: Study) -> dict[str, list[str]]:
    """rule -> the games on which it has no finite score."""
    lost = {key for key, place in ranks(found, study).items() if place.failed}
    games = {rule: [game for game in study.games if (rule, game) in lost] for rule in study.optimizers}
    return {rule: where for rule, where in games.items() if where}


def _title(study: Study) -> str:
    """The rules' names where they are few, else how many there are."""
    if len(study.optimizers) <= NAMED:
        return ", ".join(study.optimizers)
    return f"{len(study.optimizers)} update rules on {len(study.games)} game{'s' if len(study.games) > 1 else ''}"


def _metrics(sections: list[Section]) -> list[str]:
    """The names of all metrics but the games' primary ones."""
    return sorted({metric.name for section in sections for metric in section.metrics})


def _diagram(over: Standing, look: dict[str, Look]) -> Drawing:
    figure = critical_difference(over.ranks, over.difference, over.groups, look)
    differ = over.p <= LEVEL
    caption = f"Mean ranks over {len(over.games)} games ({', '.join(over.games)}), 1 is best. Friedman's test: "
    caption += f"chi-squared {over.statistic:.3g}, p = {over.p:.2g}: "
    caption += "the rules differ. " if differ else "no difference between the rules is found. "
    caption += f"A bar joins rules that Nemenyi's test at 5 % cannot tell apart, less than {over.difference:.3g} apart "
    caption += "(Demsar 2006); with few games it sees large differences alone." if differ else "(Demsar 2006)."
    return Drawing("ranks", caption, figure, wide=True)
