"""Tables and lists for the terminal and for papers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.contracts import Game, Options, UpdateRule, hyperparameters, nested
from bench.registry import NamedMetric, Preset, directions, games, get_rule, metrics, rules
from bench.runner import Run
from bench.spelling import SpecError, nearest, write
from bench.table import best, games_of, rounded, to_csv


def number(value: float) -> str:
    """A score as people read it: three digits, an infinity as what it is."""
    return f"{value:.3g}".replace("inf", "∞").replace("nan", "-")


def interval(row: Any) -> str:
    """``value [low, high]``."""
    return f"{number(row.iqm)} [{number(row.low)}, {number(row.high)}]"


def terminal(run: Run) -> str:
    """The comparison as a terminal shows it, a block a game."""
    found = run.table()
    marked = best(found)
    console = Console(width=None if Console().is_terminal else 140)
    with console.capture() as captured:
        _draw(console, found, marked)
    return captured.get()


def _draw(console: Console, found: pd.DataFrame, marked: pd.Series) -> None:
    for game, part in games_of(found):
        arrow = "↑" if part["better"].iloc[0] == "higher" else "↓"
        title = f"{escape(game)}: {part['metric'].iloc[0]} {arrow}"
        shown = Table(title=title, title_justify="left", title_style="bold")
        collapse = bool(part["collapsed"].notna().any())
        columns = ["optimizer", "interquartile mean [95 %]", "diverged", *["collapsed"] * collapse, "cost", "seconds"]
        for column in [*columns, "tuned"]:
            shown.add_column(column, justify="left" if column in ("optimizer", "tuned") else "right")
        for row in part.itertuples():
            style = "bold" if marked[row.Index] else ""
            shown.add_row(
                escape(row.optimizer), interval(row), f"{row.diverged} of {row.n}",
                *[f"{row.collapsed} of {row.n}"] * collapse, f"{row.cost:,.0f}",
                f"{row.seconds:.2g}", rounded(row.hyperparameters), style=style,
            )  # fmt: skip
        console.print(shown)


def compared(found: pd.DataFrame) -> str:
    """What `bench.compare` found, as a terminal shows it."""
    console = Console(width=None if Console().is_terminal else 140)
    shown = Table()
    columns = ["game", "optimizer", "first", "second", "second better [95 %]", "failed", "p", "verdict"]
    for column in columns:
        shown.add_column(column, justify="left" if column in ("game", "optimizer", "verdict") else "right")
    for row in found.itertuples():
        share = f"{row.better_share:.0%} [{row.low:.0%}, {row.high:.0%}]"
        failed = f"{row.failed_first} -> {row.failed_second} of {row.seeds}"
        names = [escape(str(row.game)), escape(str(row.optimizer))]
        style = {"worse": "bold red", "better": "bold green"}.get(str(row.verdict), "")
        cells = [number(row.first), number(row.second), share, failed, f"{row.p:.2g}", str(row.verdict)]
        shown.add_row(*names, *cells, style=style)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


# --- tables for papers -----------------------------------------------------------------------------------------------

HEADER = ["game", "optimizer", "metric", "IQM [95 %]", "diverged", "cost", "hyperparameters"]


def _rows(found: pd.DataFrame, bold: Callable[[str], str], plain: Callable[[str], str]) -> list[list[str]]:
    """The table's cells as text; ``plain`` escapes what stands for something else in the format."""
    rows = []
    for row, marked in zip(found.itertuples(), best(found), strict=True):
        names = [plain(str(name)) for name in (row.game, row.optimizer, row.metric)]
        score = bold(interval(row)) if marked else interval(row)
        rows.append(
            [*names, score, f"{row.diverged} of {row.n}", f"{row.cost:g}", plain(rounded(str(row.hyperparameters)))]
        )
    return rows


def markdown(found: pd.DataFrame) -> str:
    """The table for a README; best in bold, ties within the interval too."""
    rows = _rows(found, lambda text: f"**{text}**", lambda text: text.replace("|", "\\|").replace("<", "&lt;"))
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(found: pd.DataFrame) -> str:
    """The table for a paper (booktabs); best in bold, ties within the interval too."""
    rows = _rows(found, lambda text: f"\\textbf{{{text}}}", _tex)
    body = "".join(f"{' & '.join(line)} \\\\\n" for line in rows).replace("∞", "$\\infty$")
    head = " & ".join(_tex(name) for name in HEADER)
    return f"\\begin{{tabular}}{{lllrrrl}}\n\\toprule\n{head} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"


def _tex(text: str) -> str:
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


FORMATS: dict[str, Callable[[pd.DataFrame], str]] = {"md": markdown, "csv": to_csv, "latex": latex}


# --- lists -----------------------------------------------------------------------------------------------------------


def listing(what: str) -> str:
    """What there is of a kind (optimizers, directions, games, metrics; all where none is named), or of one name."""
    kinds: dict[str, Callable[[str], str]] = {
        "optimizers": _optimizer, "directions": _direction, "games": _game, "metrics": _metric,
    }  # fmt: skip
    registries = {"optimizers": rules, "directions": directions, "games": games, "metrics": metrics}
    if what in kinds or not what:
        asked = [what] if what else list(kinds)
        return "\n".join(
            f"{kind.upper()} ({len(registries[kind].names())})\n\n"  # type: ignore[attr-defined]
            + "\n".join(kinds[kind](name) for name in registries[kind].names())  # type: ignore[attr-defined]
            for kind in asked
        )
    found = [kinds[kind](what) for kind, registry in registries.items() if what in registry.names()]  # type: ignore[attr-defined]
    if not found:
        known = [*kinds, *(name for registry in registries.values() for name in registry.names())]  # type: ignore[attr-defined]
        raise SpecError(f"there is nothing called {what!r} to list; {nearest(what, known)}")
    return "\n".join(found)


def _entry(name: str, doc: str, fields: list[str]) -> str:
    text = inspect.cleandoc(doc or "").splitlines()
    lines = [name] + [f"    {line}" if line else "" for line in text]
    return "\n".join(lines + [f"    - {field}" for field in fields]) + "\n"


def _fields(thing: Any) -> list[str]:
    """Hyperparameters with their kind and range, nested ones too; then the settings."""
    kinds = hyperparameters(thing)
    found = [
        f"{path} = {write(value)}   {kind.kind}, searched in [{kind.low:g}, {kind.high:g}]{' (log)' * kind.log}"
        for path, (kind, value) in kinds.items()
    ]
    inside = nested(thing)
    for field in fields(thing):
        if field.name in inside:
            found.append(f"{field.name} = {inside[field.name].name}")
        elif field.name not in kinds and not isinstance(value := getattr(thing, field.name), Options):
            found.append(f"{field.name} = {write(value)}")
    return found


def _optimizer(name: str) -> str:
    thing = rules[name]
    rule: UpdateRule = get_rule(name)
    doc = thing.doc if isinstance(thing, Preset) else inspect.getdoc(type(rule)) or ""
    alias = [f"is {thing.spelling}"] if isinstance(thing, Preset) else []
    return _entry(name, doc, [*alias, f"cost {rule.cost:g} gradient evaluations a step", *_fields(rule)])


def _direction(name: str) -> str:
    thing = directions[name]
    return _entry(name, inspect.getdoc(thing) or "", _fields(thing()))


def _game(name: str) -> str:
    game: Game = games[name]()
    sizes = " + ".join(str(size) for size in game.sizes)
    dtype = str(game.dtype).removeprefix("torch.")
    facts = f"players {sizes} parameters, {dtype}, budget {game.budget:g}, judged by {game.score}"
    settings = [f"{key} = {write(value)}" for key, value in vars(game).items() if key in game.__dataclass_fields__]  # type: ignore[attr-defined]
    return _entry(name, inspect.getdoc(type(game)) or "", [facts, *settings])


def _metric(name: str) -> str:
    metric: NamedMetric = metrics[name]
    on = "any game" if metric.on is Game else f"{metric.on.__name__} games"
    better = f"; {metric.better} is better" if metric.better else ""
    fact = f"for {on}{better} {metric.unit}".rstrip()
    return _entry(name, inspect.getdoc(metric.function) or "", [fact])
