"""A run as text for the terminal: the answer in words, its tables, what to mind."""

from __future__ import annotations

import pandas as pd

from bench.analysis.findings import Finding, findings
from bench.analysis.formatting import number as typeset
from bench.analysis.table import games_of, ranked, table
from bench.numerics.environment import mixed
from bench.report.advice import advice, unanswered
from bench.report.columns import DEFAULT, interval, tuned
from bench.report.selection import select
from bench.report.status import first_errors, state
from bench.report.text_table import Column, console, drawn, paragraphs
from bench.report.warning_groups import grouped
from bench.report.warnings import finished, warnings_of
from bench.storage.manifest import CONTINUED
from bench.storage.run_folder import RunFolder
from bench.studies.study import Study
from bench.studies.tuning.sensitivity import tried

NONE_KEPT = "no traceback was kept"
NOTE = "default: no step size that was tried learned, so the rule ran with its own."


def terminal(run: RunFolder, width: int | None = None) -> str:
    """The end of a run as text: the answer in words, a table for each game, at most five warnings.

    Args:
        run: the run.
        width: characters of a line; the terminal's by default.
    """
    view = select(run)
    records, study, trials = view.records, view.study, tried(view.records, view.study)
    score_table = table(records, study)
    finished_records, missing = finished(records, study)
    verdicts = findings(score_table, finished_records, study)
    answers = advice(verdicts, score_table, finished_records, study, trials)
    lines = [f"{found.game}: {_answer(found, answers, score_table)}" for found in verdicts]
    warnings = grouped([*missing, *warnings_of(records, study, verdicts, trials)], score_table, first_errors(run))
    screen = console(width)
    blocks = [
        paragraphs(lines, screen),
        blocks_of(score_table, study, first_errors(run), screen.width),
        paragraphs(_listed("warnings", warnings), screen),
    ]
    return "\n\n".join(filter(None, (block.rstrip("\n") for block in blocks))) + "\n"


def _answer(finding: Finding, answers: dict[str, str], score_table: pd.DataFrame) -> str:
    """What to train a game with, how sure that is, and what it costs."""
    if not finding.best:
        return unanswered(score_table[score_table["game"] == finding.game])
    cost, seconds = typeset(finding.cost), typeset(finding.seconds)
    return f"{answers[finding.game]} A training costs {cost} gradient evaluations, {seconds} s here."


def summary(run: RunFolder, width: int | None = None) -> str:
    """A run as text for the terminal: its progress, what is missing, what failed, its tables, its warnings."""
    run_state, study = state(run), select(run).study
    finished_records, _ = finished(run_state.records, study)
    trials, score_table = tried(run_state.records, study), table(run_state.records, study)
    verdicts = findings(table(finished_records, study), finished_records, study)
    run_warnings = warnings_of(run_state.records, study, verdicts, trials)
    parts = [
        f"{run.path.name or run.path}: {run_state.word}; protocol {run.manifest['protocol']}, {run.manifest['device']}",
        *([f"continues {run.manifest.get(CONTINUED) or 'another run'}"] if study.continues else []),
        f"cost: {run_state.spent:,.0f} of at most {run_state.planned:,.0f} gradient evaluations, "
        f"{run_state.seconds:,.1f} s of training",
        *_listed("not finished", run_state.missing),
        *_listed("damaged chunks, done anew when the study is run again", run_state.damaged),
        *_listed("failed chunks", [f"{path}: {last}" for path, last in run_state.failed.items()]),
        "",
        blocks_of(score_table, study, first_errors(run), width).rstrip("\n"),
        "",
        *_listed(
            "warnings",
            grouped(run_warnings, score_table, first_errors(run)) + mixed(run.manifest.get("environment", {})),
        ),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _listed(title: str, lines: list[str], most: int = 12) -> list[str]:
    """A title with its first lines; nothing if there are none."""
    remaining = len(lines) - most
    printed = [f"  {line}" for line in lines[:most]] + ([f"  and {remaining} more"] if remaining > 0 else [])
    return [f"{title}: {len(lines)}", *printed] if lines else []


def blocks_of(
    score_table: pd.DataFrame, study: Study, errors: dict[tuple[str, str], str], width: int | None = None
) -> str:
    """A table for each game, its rules by rank.

    Args:
        score_table: of `bench.analysis.table.table`.
        study: what was asked.
        errors: (rule, game) -> the last line of the traceback that ended its trainings.
        width: characters of a line; the terminal's by default.
    """
    screen = console(width)
    with screen.capture() as captured:
        for k, (game, game_rows) in enumerate(games_of(score_table)):
            rows = ranked(game_rows)
            screen.print("\n" * bool(k) + _title(game, rows, study), style="bold", soft_wrap=True)
            drawn(_columns(rows), ["bold" if row.best else "" for row in rows.itertuples()], screen)
            refused = [
                f"{rule}: not applicable: {why}" for rule in study.optimizers if (why := study.refused(rule, str(game)))
            ]
            for note in [*_notes(game, rows, errors), *refused]:
                screen.print(note, soft_wrap=True)
    return captured.get()


def _title(game: str, rows: pd.DataFrame, study: Study) -> str:
    unit = study.metric(rows["metric"].iloc[0]).unit
    arrow = "↑" if rows["better"].iloc[0] == "higher" else "↓"
    seeds = int(rows["n"].iloc[0])
    return f"{game}: {rows['metric'].iloc[0]}{unit and f' ({unit})'} {arrow}, {seeds} seed{'s' if seeds > 1 else ''}"


def _columns(rows: pd.DataFrame) -> list[Column]:
    """The columns of a game's table; of those that go first are the seconds, then what is the same in every row."""
    each = list(rows.itertuples())

    def counted(name: str) -> tuple[str, ...]:
        return tuple("–" if pd.isna(count) else f"{count}" for count in rows[name])

    columns = [
        Column("#", tuple("–" if row.untrainable or row.failed == row.n else str(k) for k, row in enumerate(each, 1))),
        Column("optimizer", tuple(str(row.optimizer) for row in each), wraps=True),
        Column("IQM [95 %]", tuple(interval(row) for row in each)),
        Column("failed", counted("failed")),
        Column("not learned", counted("not_learned")),
    ]
    if rows["collapsed"].notna().any():
        columns.append(Column("collapsed", counted("collapsed"), goes=3 if rows["collapsed"].any() else 2))
    columns.append(Column("cost", tuple(f"{row.cost:,.0f}" for row in each), goes=4))
    columns.append(Column("seconds", tuple(typeset(row.seconds, plain=True) for row in each), goes=1))
    return [*columns, Column("tuned", tuple(tuned(row) for row in each), wraps=True)]


def _notes(game: str, rows: pd.DataFrame, errors: dict[tuple[str, str], str]) -> list[str]:
    """What stands below a table: the cause of every error, and what a marked step size means."""
    notes = [
        f"{row.optimizer}: error in {row.errors} of {row.n}: {errors.get((row.optimizer, game), NONE_KEPT)}"
        for row in rows.itertuples()
        if row.errors
    ]
    return notes + [NOTE] * any(tuned(row).endswith(DEFAULT) for row in rows.itertuples())
