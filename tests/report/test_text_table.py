"""What a run says on a terminal of any width: names stay whole, rules stand by rank, warnings say what to do."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from silent import silent_games

import bench
from bench.analysis.table import ranked
from bench.report.columns import interval, tuned
from bench.report.terminal import blocks_of, terminal
from bench.report.text_table import Column, console, drawn, fitted, wrapped
from bench.report.warning_groups import MOST, grouped
from bench.report.warnings import RunWarning

LONG = "ema[inner=alternating[direction=adam[beta1=0.5,beta2=0.999]]]"
RULES = [LONG, "sgd", "extragrad[direction=adam]", "optimistic"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    """One with a small GAN on which nothing learns, and a game on which sgd leaves the solution."""
    study = bench.Study(
        optimizers=RULES,
        games="ring8[width=16,batch_size=16],bilinear",
        seeds="0-5",
        trials=4,
        tuning_seeds=2,
        budget=60,
    )
    with silent_games():
        return bench.run(study, out=tmp_path_factory.mktemp("text") / "run")


def column(text: str, game: str, head: str) -> list[str]:
    """The cells of a column of a game's table, each with the lines that it was wrapped into put together."""
    title = re.search(rf"^{re.escape(game)}: \w+ [↓↑]", text, re.MULTILINE)
    assert title
    lines = text[title.start() :].splitlines()
    rows, heads = [], None
    for line in lines[1:]:
        if line.startswith("┃"):
            parts = [part.strip() for part in line.strip("┃").split("┃")]
            heads = parts if heads is None else [f"{a} {b}".strip() for a, b in zip(heads, parts, strict=True)]
        elif line.startswith("│"):
            rows.append([part.strip() for part in line.strip("│").split("│")])
        elif line.startswith("└"):
            break
    assert heads is not None
    at, cells = heads.index(head), []
    for row in rows:
        if row[0]:
            cells.append(row[at])
        else:
            cells[-1] += row[at]
    return cells


@pytest.mark.parametrize("width", [140, 80, 60])
def test_no_name_and_no_step_size_is_cut(run: bench.Run, width: int) -> None:
    text = terminal(run, width)
    for game in run.study.games:
        rows = run.table(full=True).set_index("game").loc[game].set_index("optimizer")
        shown = column(text, game, "optimizer")
        assert sorted(shown) == sorted(RULES)
        steps = column(text, game, "tuned")
        assert [step.replace(" ", "") for step in steps] == [tuned(rows.loc[rule]).replace(" ", "") for rule in shown]
        assert all(re.search(r"lr=\d", step) for step in steps)
    assert "…" not in text
    if width >= 80:
        tables = [line for line in text.splitlines() if line[:1] in "┏┃┡│└"]
        assert max(map(len, tables)) <= width
    if width == 80:
        assert "seconds" not in "".join(line for line in text.splitlines() if line.startswith("┃"))


def test_rules_stand_by_rank(run: bench.Run) -> None:
    text = terminal(run, 140)
    for game in run.study.games:
        rows = run.table(full=True).set_index("game").loc[game].set_index("optimizer")
        order = column(text, game, "optimizer")
        able = [rule for rule in order if not rows.loc[rule, "untrainable"]]
        assert order[: len(able)] == able
        assert rows.loc[able, "iqm"].is_monotonic_increasing
        numbered = [mark for mark in column(text, game, "#") if mark != "–"]
        assert numbered == [str(k) for k in range(1, len(numbered) + 1)]
    assert column(text, "bilinear", "failed") == [
        str(rows.loc[rule, "diverged"] + rows.loc[rule, "errors"]) for rule in column(text, "bilinear", "optimizer")
    ]


def test_higher_is_better_and_errors_are_last() -> None:
    rows = pd.DataFrame(
        [
            ("low", "higher", 0.1, 0, 0, 4, False), ("none", "higher", 0.0, 0, 4, 4, False),
            ("lost", "higher", 0.9, 0, 0, 4, True), ("high", "higher", 0.5, 1, 1, 4, False),
        ],
        columns=["optimizer", "better", "iqm", "diverged", "errors", "n", "untrainable"],
    )  # fmt: skip
    found = ranked(rows)
    assert found["optimizer"].tolist() == ["high", "low", "lost", "none"]
    assert found["failed"].tolist() == [2, 0, 0, 4]


@pytest.mark.parametrize(
    ("errors", "diverged", "shown"), [(4, 0, "error"), (1, 0, "error"), (0, 4, "∞ [∞, ∞]"), (1, 3, "∞ [∞, ∞]")]
)
def test_an_error_is_no_infinity_and_divergence_is(errors: int, diverged: int, shown: str) -> None:
    bound = float("inf")
    row = SimpleNamespace(errors=errors, diverged=diverged, n=4, iqm=bound, low=bound, high=bound)
    assert interval(row) == shown


def test_what_could_not_be_tuned_is_marked(run: bench.Run) -> None:
    ring = run.study.games[0]
    assert run.table(full=True).set_index("game").loc[ring, "untrainable"].all()
    text = terminal(run, 140)
    assert all(step.endswith("(default)") for step in column(text, ring, "tuned"))
    assert text.count("default: no step size that was tried learned, so the rule ran with its own.") == 1
    assert f"{ring}: No answer: no rule learned here at any step size that was tried. Raise --budget.\n" in text


def test_the_answer_says_what_it_costs(run: bench.Run) -> None:
    (answer,) = (line for line in terminal(run, 500).splitlines() if line.startswith("bilinear: Train it with "))
    assert re.search(r"\. A training costs 60 gradient evaluations, [\d.e−]+ s here\.$", answer)


def test_names_are_text(run: bench.Run) -> None:
    """Neither a picture, as of :ring:, nor a style, as of [bold]."""
    table = run.table(full=True)
    game, rule = "./ring.py:Ring: [red]x", "[bold]a:ring:"
    table = table[table["game"] == "bilinear"].assign(game=game, optimizer=[rule, *RULES[1:]])
    text = blocks_of(table, run.study, {}, 140)
    assert f"{game}: distance ↓, 6 seeds\n" in text
    assert rule in column(text, game, "optimizer")


@settings(deadline=None)
@given(st.text("ab[]=,;:/ .", min_size=1, max_size=60), st.integers(4, 30))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_columns_go_in_their_order() -> None:
    columns = [Column("name", ("x" * 20,), wraps=True), *(Column(f"c{k}", ("1" * 10,), goes=k) for k in (3, 1, 2, 0))]
    for width, heads in ((90, 5), (60, 4), (50, 3), (40, 2)):
        shown = fitted(columns, width)
        assert len(shown) == heads
        assert "c0" in [one.head for one in shown]
    assert [one.head for one in fitted(columns, 60)] == ["name", "c3", "c2", "c0"]


def test_what_fits_by_no_means_is_whole() -> None:
    screen: Console = console(20)
    with screen.capture() as captured:
        drawn([Column("name", ("abcdef",), wraps=True), Column("value", ("1234567890 [1, 2]",))], [""], screen)
    assert "1234567890 [1, 2]" in captured.get()


# Warnings


def rows_of(rules: list[str], games: list[str], not_learned: int = 0) -> pd.DataFrame:
    rows = [(game, rule, not_learned, 0, 0, 4) for game in games for rule in rules]
    frame = pd.DataFrame(rows, columns=["game", "optimizer", "not_learned", "diverged", "errors", "n"])
    return frame.astype({"not_learned": "Int64"})


def test_warnings_of_one_kind_are_one_line_with_what_to_do() -> None:
    rules = [f"r{k}" for k in range(10)]
    lost = [RunWarning(f"it cannot be trained here: {rule}", rule, ("ring8",), "untrained") for rule in rules]
    assert grouped(lost, rows_of(rules, ["ring8"], not_learned=4), {}) == [
        "10 of 10 rules on ring8 did not learn: raise --budget."
    ]
    assert grouped([], rows_of(rules, ["ring8"], not_learned=2), {}) == [
        "10 of 10 rules on ring8 did not learn: raise --budget."
    ]
    assert grouped([], rows_of(rules, ["ring8"], not_learned=1), {}) == []
    edges = [RunWarning("outermost", rule, ("a", "b"), "outermost") for rule in rules[:2]]
    assert grouped(edges, rows_of(rules, ["a", "b"]), {}) == [
        "r0 and r1 on a and b chose the outermost step size that was tried: raise --trials."
    ]


def test_a_larger_budget_is_not_advised_where_others_learned_with_this_one() -> None:
    """Simultaneous descent on a bilinear game needs another rule; a game that nobody learns needs a larger budget."""
    rules = ["sgd", "adam", "extragrad"]
    rows = rows_of(rules, ["bilinear", "ring8"], not_learned=4)
    rows.loc[2, "not_learned"] = 0  # extragrad on bilinear
    assert grouped([], rows, {}) == [
        "3 of 3 rules on ring8 did not learn: raise --budget.",
        "sgd and adam on bilinear did not learn, others did: a larger --budget helps only the slow.",
    ]
    rows.loc[2, "diverged"] = 4  # nobody learned it
    assert grouped([], rows, {})[0].startswith("3 of 3 rules on ring8, sgd and adam on bilinear did not learn: raise")


def test_who_got_nowhere_is_not_counted_among_those_who_learned() -> None:
    """On a game that does not say what is learned the table alone cannot tell them apart."""
    rules = ["sgd", "adam"]
    nowhere = [RunWarning(f"{rule} gets nowhere", rule, ("plugin",), "nowhere") for rule in rules]
    rows = rows_of([*rules, "extragrad"], ["plugin"])
    rows["not_learned"] = pd.NA
    assert grouped(nowhere, rows[:2], {}) == ["sgd and adam on plugin did not learn: raise --budget."]
    assert "others did" in grouped(nowhere, rows, {})[0]


def test_an_error_says_its_cause_first() -> None:
    found = grouped(
        [RunWarning("nothing tuned.", kind="untuned"), RunWarning("1 replica", "r0", ("a",), "error")],
        rows_of(["r0"], ["a"]), {("r0", "a"): "ValueError: no"},
    )  # fmt: skip
    assert found[0].startswith("r0 on a stopped with an error: ValueError: no.")
    assert found[1].endswith("Give --trials 16.")


def test_there_are_at_most_five() -> None:
    many = [RunWarning(f"number {k}") for k in range(9)]
    found = grouped(many, rows_of([], []), {})
    assert len(found) == MOST
    assert found[-1] == "And 5 more, in the report."


def test_a_range_that_was_widened_asks_for_nothing() -> None:
    assert grouped([RunWarning("widened", "r0", ("a",), "widened")], rows_of(["r0"], ["a"]), {}) == []


def test_a_run_of_which_nothing_learned_warns_in_few_lines(run: bench.Run) -> None:
    text = terminal(run, 1000)
    told = text[text.index("warnings: ") :].splitlines()
    assert told[0] == f"warnings: {len(told) - 1}"
    assert len(told) - 1 <= MOST
    assert any("4 of 4 rules on ring8[width=16,batch_size=16]" in line and "raise --budget" in line for line in told)
