"""The report: one HTML file that opens from disk, made from a run's records alone. Same records, same bytes.

Drawings come from `bench.report.sections`, numbers from `bench.analysis`; the parts of the page, its styles and its
scripts are in ``templates``. A rule is shown on a game once all its seeds are finished; missing ones are listed.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.analysis.findings import LEVEL, findings, winners
from bench.analysis.formatting import about, number, rounded
from bench.analysis.ranking import Standing, orders, ranks, standing
from bench.analysis.table import table, to_csv
from bench.errors import UserError
from bench.numerics.environment import mixed
from bench.report import answer
from bench.report.advice import advice
from bench.report.columns import stopped
from bench.report.figures.panels import Look, leading, looks
from bench.report.figures.ranks import critical_difference
from bench.report.figures.svg import key
from bench.report.gallery import Gallery, add, update_figures
from bench.report.sections import Section, Sections
from bench.report.sections.across import across
from bench.report.sections.scene import Drawing, Tensors
from bench.report.selection import Selection, select
from bench.report.warning_groups import grouped
from bench.report.warnings import RunWarning, concerning, finished, warnings_of
from bench.storage.files import write_file
from bench.studies.study import Study
from bench.studies.toml import study_file
from bench.studies.tuning.sensitivity import Tried, tried, tuning

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

NAMED = 4  # rules that a title has room for


def write_report(run: RunFolder, score_table: pd.DataFrame | None = None) -> Path:
    """Write ``tuning.csv``, ``report.html`` and its figures into the run's folder; returns the page's path.

    ``score_table`` is the run's table, if it has been computed already.
    """
    path, gallery = run.path / "report.html", Gallery()
    trials = tried(run.records, run.study)
    tuning_table = tuning(run.records, run.study, trials)
    write_file(run.path / "tuning.csv", to_csv(tuning_table).encode())
    write_file(path, report_of(run, gallery, (trials, tuning_table), score_table).encode())
    update_figures(run, gallery)
    return path


def report_of(
    run: RunFolder,
    gallery: Gallery | None = None,
    tuned: tuple[Tried, pd.DataFrame] | None = None,
    score_table: pd.DataFrame | None = None,
) -> str:
    """The report of a run as HTML, with its labels; nothing is written. Arguments as those of `render`."""
    errors, view = {path.name: line for path, line in run.failures.items()}, select(run)
    if view.labels:  # what was computed names rules as they are spelled
        tuned = score_table = None
    asked = run.manifest["study"] | ({"labels": view.labels} if view.labels else {})
    return render(
        view.records, view.manifest, view.tensors(), errors, gallery, tuned, score_table, view.look, asked
    )  # fmt: skip


def gallery_of(view: Selection) -> Gallery:
    """All drawings of a report of these rules and games; UserError if nothing is finished."""
    gallery = Gallery()
    render(view.records, view.manifest, view.tensors(), {}, gallery, look=view.look)
    if not gallery:
        raise UserError(f"{str(view.run.path)!r} has nothing to draw: no rule is finished on any game")
    return gallery


def render(
    records: pd.DataFrame,
    manifest: dict[str, Any],
    tensors: Tensors,
    errors: Mapping[str, str],
    gallery: Gallery | None = None,
    tuned: tuple[Tried, pd.DataFrame] | None = None,
    score_table: pd.DataFrame | None = None,
    look: dict[str, Look] | None = None,
    asked: dict[str, Any] | None = None,
) -> str:
    """The report as HTML.

    Args:
        records: long records.
        manifest: the run's manifest.
        tensors: (chunk, tensors) to draw.
        errors: file -> the last line of its traceback.
        gallery: the report's drawings are added to it.
        tuned: the results of `tried` and `tuning` for these records, if they have been computed already.
        score_table: the table of these records, if it has been computed already.
        look: how each rule is drawn; by default each by its place in the study.
        asked: the study as it is run again, if its rules have other names than in the manifest.
    """
    study = Study.recorded(manifest["study"], manifest.get("descriptions", {}))
    finished_records, missing = finished(records, study)
    score_table = table(finished_records, study) if score_table is None or missing else score_table
    look = looks(study.optimizers) if look is None else look
    trials = tried(records, study) if tuned is None else tuned[0]
    tuning_table = tuning(records, study, trials) if tuned is None else tuned[1]
    section_maker = Sections(finished_records, trials, tuning_table, tensors, score_table, look, study)
    sections = [
        section_maker.of(game) for game in study.games if len(score_table) and (score_table["game"] == game).any()
    ]
    verdicts, overall_standing = findings(score_table, finished_records, study), standing(score_table, study)
    run_warnings = warnings_of(records, study, verdicts, trials)
    machines = [RunWarning(f"Mixed machines: {text}.") for text in mixed(manifest.get("environment", {}))]
    all_warnings = [*machines, *run_warnings, *missing]
    by_kind = orders(score_table, finished_records, study) if len(score_table) else []
    order_drawings = answer.drawings(by_kind, look)
    overall = [
        *([] if overall_standing.why else [_diagram(overall_standing, look)]),
        *across(score_table, finished_records, leading(look, list(by_kind[0].ranks)) if by_kind else look, study),
    ]
    if gallery is None:
        gallery = {}
    add(gallery, "all", [*order_drawings, *overall])
    for section in sections:
        add(gallery, section.label, section.drawings)
    return (
        environment()
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
            orders=by_kind,
            order_drawings=order_drawings,
            places=answer.winners(by_kind, verdicts),
            advice=advice(verdicts, score_table, finished_records, study, trials),
            failed=_failed(score_table, study),
            concerning={finding.game: concerning(run_warnings, finding) for finding in verdicts},
            overview=_cells(score_table, study, overall_standing),
            standing=overall_standing,
            overall=overall,
            primary={game: study.primary(game) for game in study.games},
            metrics=_metrics(sections),
            warnings=all_warnings,
            grouped=grouped(all_warnings, score_table, {(file, ""): line for file, line in errors.items()}),
            errors=errors,
            sections=sections,
            budgets={game: study.cost_of(game) for game in study.games},
            study_file=study_file(asked or manifest["study"]),
            equations={rule: study.rule(rule).equations for rule in study.optimizers},
        )
    )


def environment() -> Environment:
    """The templates of pages: names from strangers' runs are escaped, and what is not given is an error."""
    loader = PackageLoader("bench.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "digest": _digest, "ranges": _ranges}
    environment.filters |= {"words": _words, "breakable": _breakable, "rounded": rounded, "key": key, "about": about}
    return environment


def _sources(ending: str) -> list[str]:
    """The styles or scripts of the page, one for each file, in the order of the files' names."""
    folder = files("bench.report").joinpath("templates")
    return [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=str) if file.name.endswith(ending)]


# --- words and numbers -----------------------------------------------------------------------------------------------


def _words(name: str) -> str:
    return name.replace("_", " ")


def _breakable(name: str) -> Markup:
    """A spelling with possible line breaks after brackets and commas."""
    return Markup("<wbr>").join(re.findall(r"[^\[,]*[\[,]|[^\[,]+", name))


def _digest(script: str) -> str:
    """The hash of an inline script, as in a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _ranges(seeds: Iterable[int]) -> str:
    """Whole numbers as ranges: 0-9, 12."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and seed == ranges[-1][1] + 1:
            ranges[-1][1] = seed
        else:
            ranges.append([seed, seed])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


# --- content of the page ---------------------------------------------------------------------------------------------


def _cells(score_table: pd.DataFrame, study: Study, over_all: Standing) -> dict[str, dict[str, dict[str, Any]]]:
    """rule -> game -> the content of its cells; nothing if the rule is not finished on the game. By mean rank."""
    order = sorted(study.optimizers, key=lambda rule: over_all.ranks.get(rule, math.inf))
    cells: dict[str, dict[str, dict[str, Any]]] = {rule: {} for rule in order}
    places = ranks(score_table, study)
    for row in score_table.to_dict("records"):
        rule, game = row["optimizer"], row["game"]
        spent, took = (row["n"] * row[kind] + row[f"tuning_{kind}"] for kind in ("cost", "seconds"))
        extra = {"hyperparameters": rounded(row["hyperparameters"]), "place": places[rule, game]}
        ended = {"stopped": stopped(row["errors"], row["diverged"], row["n"])}
        cells[rule][game] = row | extra | ended | {"spent": spent, "took": took}
    return cells


def _failed(score_table: pd.DataFrame, study: Study) -> dict[str, list[str]]:
    """rule -> the games on which it has no finite score."""
    failed_pairs = {pair for pair, rank in ranks(score_table, study).items() if rank.failed}
    games = {rule: [game for game in study.games if (rule, game) in failed_pairs] for rule in study.optimizers}
    return {rule: failed_games for rule, failed_games in games.items() if failed_games}


def _title(study: Study) -> str:
    """The names of the rules if they are few, else their number."""
    if len(study.optimizers) <= NAMED:
        return ", ".join(study.optimizers)
    return f"{len(study.optimizers)} update rules on {len(study.games)} game{'s' if len(study.games) > 1 else ''}"


def _metrics(sections: list[Section]) -> list[str]:
    """The names of all metrics except the games' primary ones."""
    return sorted({metric.name for section in sections for metric in section.metrics})


def _diagram(overall: Standing, look: dict[str, Look]) -> Drawing:
    figure = critical_difference(overall.ranks, overall.difference, overall.groups, look)
    differ = overall.p <= LEVEL
    caption = f"Mean ranks over {len(overall.games)} games ({', '.join(overall.games)}), 1 is best. Friedman's test: "
    caption += f"chi-squared {overall.statistic:.3g}, p = {overall.p:.2g}: "
    caption += "the rules differ. " if differ else "no difference between the rules is found. "
    caption += (
        f"A bar joins rules that Nemenyi's test at 5 % cannot tell apart, less than {overall.difference:.3g} apart "
    )
    caption += "(Demsar 2006); with few games it sees large differences alone." if differ else "(Demsar 2006)."
    caption += f" {overall.power[:1].upper()}{overall.power[1:]}." if overall.power else ""
    return Drawing("ranks", caption, figure, wide=True)
