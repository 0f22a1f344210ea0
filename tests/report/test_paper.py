"""Figures and tables for a paper: labels, a column's width, a highlighted rule, LaTeX that compiles."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

import bench
from bench.analysis.statistics import Band
from bench.errors import UserError
from bench.registry.spelling import without_label
from bench.report.columns import COLUMNS, Style, emphasised
from bench.report.figures.dynamics import path_angles
from bench.report.figures.formats import Format, current, format_of, formatted
from bench.report.figures.panels import FAINT, highlighted, looks
from bench.report.figures.pictures import clouds, trajectories
from bench.report.figures.ranks import critical_difference
from bench.report.figures.series import text_width
from bench.report.figures.spectra import spectra
from bench.report.gallery import KINDS
from bench.report.latex import latex
from bench.report.paper import figures_of
from bench.report.selection import select
from bench.report.terminal import terminal

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

MINE = "extragrad[direction=adam]"
STUDY = {"games": "dirac,ring8[width=16,batch_size=16]", "trials": 4, "seeds": "0-2", "evaluations": 4, "budget": 60}
DOTS = 300


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of three rules of which one has a label with letters that mean something to LaTeX and HTML."""
    study = bench.Study(optimizers=f"sgd,{MINE[:-1]},label=Ours & <b>],ttur", tuning_seeds=2, **STUDY)
    run = bench.run(study, out=tmp_path_factory.mktemp("paper") / "run")
    run.report()
    return run


# Labels


def test_a_label_is_no_part_of_what_is_trained(run):
    plain = bench.Study(optimizers=f"sgd,{MINE},ttur", tuning_seeds=2, **STUDY)
    assert run.study.optimizers == plain.optimizers
    assert run.labels == {MINE: "Ours & <b>"}
    labelled = bench.Study(optimizers=plain.optimizers, labels={MINE: "Another"}, tuning_seeds=2, **STUDY)
    assert labelled.name == plain.name
    again = bench.run(labelled, out=run.path)  # which only tells the folder the new label
    assert again.labels == {MINE: "Another"}
    assert again.records.equals(run.records)
    assert bench.run(plain, out=run.path).labels == {MINE: "Another"}, "a label was lost"
    bench.run(bench.Study(optimizers=plain.optimizers, labels=run.labels, tuning_seeds=2, **STUDY), out=run.path)
    assert bench.Run(run.path).labels == run.labels


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sgd", ("sgd", "")),
        ("sgd[label=Ours]", ("sgd", "Ours")),
        ("sgd[lr=0.1, label = Our (two) steps ,direction=adam]", ("sgd[lr=0.1,direction=adam]", "Our (two) steps")),
        ("ema[inner=sgd[lr=1],label=E]", ("ema[inner=sgd[lr=1]]", "E")),
        ("folder:my=label[size=32]", ("folder:my=label[size=32]", "")),
    ],
)
def test_labels_in_spellings(text, parts):
    assert without_label(text) == parts


@pytest.mark.parametrize(
    ("rules", "labels", "says"),
    [
        ("sgd[label=]", {}, "label has no value"),
        ("sgd[label=A,label=B]", {}, "label stands twice"),
        ("sgd[label=A],sgd[label=B]", {}, "sgd has two, 'A' and 'B'"),
        ("sgd[label=adam],adam", {}, "two rules would be called 'adam'"),
        ("sgd[lr={1|2},label=A]", {}, "two rules would be called 'A'"),
        ("sgd", {"adam": "A"}, "found a label of 'adam'"),
        ("sgd", {"sgd": "two\nlines"}, "on one line"),
    ],
)
def test_labels_that_would_confuse(rules, labels, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        bench.Study(optimizers=rules, games="dirac", labels=labels)


def test_a_label_stands_in_every_table_and_figure(run, call, tmp_path):
    assert "Ours & <b>" in set(run.table()["optimizer"])
    page = (run.path / "report.html").read_text("utf-8")
    assert "Ours &amp; &lt;b&gt;" in page
    body = page[: page.index("<code", page.index("extragrad[direction=adam]") - 400)] if MINE in page else page
    assert MINE not in re.sub(r"<(script|style)[^>]*>.*?</\1>", "", body, flags=re.DOTALL)
    for path in (run.path / "figures").glob("*.svg"):
        assert MINE not in path.read_text("utf-8").replace("<wbr>", ""), path.name
    assert any("Ours &amp; &lt;b&gt;" in path.read_text("utf-8") for path in (run.path / "figures").glob("*.svg"))
    for form in ("md", "latex"):
        assert "Ours" in call("table", run.path, "--format", form)[1]
    whole = pd.read_csv(io.StringIO(call("table", run.path, "--format", "csv")[1]))
    assert MINE in set(whole["optimizer"])  # for programs
    renamed = call("table", run.path, "--label", f"{MINE}=Better", "--columns", "score")[1]
    assert "Better" in renamed
    assert "Ours" not in renamed


def test_a_rule_may_be_named_by_its_label_wherever_a_run_is_asked_for_it(run, call, tmp_path):
    for name in ("Ours & <b>", MINE, f"{MINE[:-1]},label=Ours & <b>]"):
        assert run.rule(name) == MINE
    with pytest.raises(UserError, match="optimizer is 'Our & <b>'; did you mean Ours & <b>"):
        run.rule("Our & <b>")
    films = [run.animate("dirac", [name], tmp_path / f"{k}.png").path for k, name in enumerate(["Ours & <b>", MINE])]
    assert films[0].read_bytes() == films[1].read_bytes()
    game = run.study.games[1]
    states = [run.state_dict(name, game) for name in ("Ours & <b>", MINE)]
    assert states[0].keys() == states[1].keys()
    assert all((states[0][key] == states[1][key]).all() for key in states[0])
    longer = run.further(budget=120, optimizers=["Ours & <b>", "sgd"])
    assert (longer.optimizers, longer.labels) == ([MINE, "sgd"], run.labels)


def test_the_terminals_tables_show_labels(run, call):
    for text in (call("show", run.path)[1], terminal(run, 160)):
        assert "Ours & <b>" in text
        assert MINE not in text
    assert "Ours & <b>" in call("runs", run.path.parent)[1]


def test_merged_runs_keep_their_labels(run, tmp_path):
    other = bench.Study(optimizers="adam[label=A dam]", tuning_seeds=2, **STUDY)
    second = bench.run(other, out=tmp_path / "second")
    assert bench.api.merge([run, second], tmp_path / "both").labels == run.labels | second.labels
    third = bench.run(
        bench.Study(optimizers="adam", labels={"adam": "Ours & <b>"}, tuning_seeds=2, **STUDY), out=tmp_path / "third"
    )
    with pytest.raises(UserError, match="two rules would be called 'Ours & <b>'"):
        bench.api.merge([run, third], tmp_path / "none")
    assert not (tmp_path / "none").exists()


# Figures


def test_every_figure_has_a_name_that_can_be_chosen(run):
    kinds = {drawing.name for drawing in figures_of(select(run)).values()}
    assert kinds <= set(KINDS)
    assert {"scores", "curves", "outcomes", "step-sizes", "step-pairs", "trajectories", "samples"} <= kinds


MANY_RULES = [
    f"{scheme}[direction={name}]"
    for scheme in ("alternating", "extragrad", "sgd")
    for name in ("adam", "momentum", "rmsprop", "plain")
] + ["negative-momentum", "ema[inner=alternating[direction=adam]]"]


def words_of(figure):
    """Where the words of a drawn figure stand but for those at its ticks, in pixels; its width."""
    FigureCanvasAgg(figure).draw()
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    ticks = {label for axis in axes for which in ("major", "minor") for label in axis.get_ticklabels(which=which)}
    ticks |= {label for axis in axes for tick in axis.get_major_ticks() for label in (tick.label1, tick.label2)}
    words = (text for text in figure.findobj(Text) if text not in ticks)
    shown = [text for text in words if text.get_text().strip() and text.get_visible()]
    return [text.get_window_extent() for text in shown], figure.bbox.width


@pytest.mark.parametrize("kind", ["spectra", "trajectories", "clouds", "ranks", "path-angle"])
def test_names_of_many_rules_fit_into_a_column(kind):
    look, points = looks(MANY_RULES), np.linspace(0, 1.3, 5)
    with formatted(format_of("3.25in")):
        if kind == "spectra":
            figure = spectra(dict.fromkeys(MANY_RULES, np.array([1 + 1j, 1 - 1j])), np.array([0.5 + 0j]), look, {})
        elif kind == "trajectories":
            path = np.random.default_rng(0).normal(size=(6, 2, 2))
            figure = trajectories(dict.fromkeys(MANY_RULES, path), look, np.zeros(2), None)
        elif kind == "clouds":
            frame = np.array([0.0, 10, 20, 30]), np.random.default_rng(0).normal(size=(4, 20, 2))
            figure = clouds(dict.fromkeys(MANY_RULES, frame), None, look)
        elif kind == "ranks":
            figure = critical_difference({rule: 1.0 + k for k, rule in enumerate(MANY_RULES)}, 4.0, [(0, 5)], look)
            assert figure.axes[0].get_position().width > 0.4  # the line of ranks has room
        else:
            band = Band(*np.zeros((3, 5)))
            figure = path_angles(points, dict.fromkeys(MANY_RULES[:3], band), look)
        boxes, width = words_of(figure)
    assert len(boxes) > 1
    assert not [box for box in boxes if box.x0 < -2 or box.x1 > width + 2]
    for one, other in combinations([box.shrunk(0.98, 0.9) for box in boxes], 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize("width", ["3.25in", "9cm"])
def test_every_figure_has_the_width_that_was_asked_for(run, call, tmp_path, width):
    to = tmp_path / "paper"
    code, out, err = call("figures", run.path, "--width", width, "--font", "serif", "--format", "png,svg", "--to", to)
    assert (code, out, err) == (0, f"{to}\n", "")
    inches = format_of(width).panel
    pictures = list(to.glob("*.png"))
    assert len(pictures) == len(list(to.glob("*.svg"))) >= 20
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width == pytest.approx(inches * DOTS, abs=1), path.name
            inked = np.asarray(picture.convert("L")) < 250
        assert inked.any(axis=0).nonzero()[0][[0, -1]] == pytest.approx([0, inches * DOTS], abs=0.2 * inches * DOTS)
        assert not inked[:, :2].all(axis=0).any(), f"{path.name} is cut on the left"
    for path in to.glob("*.svg"):
        text = path.read_text("utf-8")
        points = float(re.search(r'width="([\d.]+)pt"', text)[1])
        assert points / 72 == pytest.approx(inches, abs=0.01)
        assert "DejaVu Sans'" not in text
        assert "STIXGeneral" in text
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ?(?:[a-z0-9 ]* )?([\d.]+)px", text)]
        assert min(sizes) >= 5, f"{path.name} has letters that no reader can read"


def test_chosen_figures_lie_beside_the_report_s(run, call):
    before = {path.name: path.read_bytes() for path in (run.path / "figures").iterdir()}
    code, out, _ = call("figures", run.path, "--only", "scores,curves", "--game", "dirac", "--format", "pdf")
    assert (code, out) == (0, f"{run.path / 'paper'}\n")
    assert {path.name for path in (run.path / "paper").glob("*.pdf")} == {"dirac-scores.pdf", "dirac-curves.pdf"}
    assert {path.name: path.read_bytes() for path in (run.path / "figures").iterdir()} == before


def test_a_highlighted_rule_is_the_only_one_with_a_colour(run):
    figure = run.figure("dirac", "curves", highlight=["Ours & <b>"])
    own = select(run).look["Ours & <b>"].colour
    colours = {str(line.get_color()) for axes in figure.axes for line in axes.lines}
    assert own in colours
    assert FAINT in colours
    others = {select(run).look[name].colour for name in ("sgd", "ttur")}
    assert not colours & others
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Ours & <b>", "2 others"]
    bands = [part for axes in figure.axes for part in axes.collections]
    assert len(bands) == 1, "a band of a rule that is not highlighted"


def test_looks_stay_those_of_the_run(run):
    whole, some = select(run).look, select(run, optimizers=["ttur"]).look
    assert whole["ttur"] == some["ttur"]
    faint = highlighted(looks(["a", "b"]), ["b"])
    assert (faint["a"].strong, faint["b"]) == (False, looks(["a", "b"])["b"])


def test_a_format_is_of_its_block_alone():
    before = text_width("width")
    with formatted(format_of("3.25in", "serif")):
        assert current().letters < 1
        assert text_width("width") < before
    assert current() == Format()
    assert text_width("width") == before


@pytest.mark.parametrize(
    ("length", "inches"), [("5.08cm", 2), ("50.8mm", 2), ("144.54pt", 2), ("3.25in", 3.25), (" 2 in ", 2)]
)
def test_lengths(length, inches):
    assert format_of(length).panel == pytest.approx(inches)


@pytest.mark.parametrize("length", ["1in", "41in", "3", "in", "-3in", "3 feet", "1e1in", "nanin"])
def test_lengths_that_are_none(length):
    with pytest.raises(UserError, match="--width is"):
        format_of(length)


def test_python_gives_the_same_figures(run):
    figure = run.figure("dirac", "scores", width="3.25in", font="serif")
    assert figure.get_figwidth() == 3.25
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert current() == Format()
    with pytest.raises(UserError, match="did you mean scores"):
        run.figure("dirac", "score")
    with pytest.raises(UserError, match="did you mean dirac"):
        run.figure("dirak")


# The table in LaTeX


def rows(**columns):
    """A score table of one game, of as many rows as the columns have."""
    count = len(next(iter(columns.values())))
    usual = {"game": "a_game", "metric": "m_e", "better": "lower", "n": 6, "diverged": 0, "errors": 0, "cost": 300.0}
    usual |= {"not_learned": None, "collapsed": None, "seconds": 1.0, "hyperparameters": "lr=1e-05", "best": False}
    usual |= {"untrainable": False}
    usual |= {"optimizer": [f"rule{k}" for k in range(count)], "iqm": 1.0, "low": 0.5, "high": 2.0}
    return pd.DataFrame({name: columns.get(name, value) for name, value in usual.items()}, index=range(count))


@pytest.mark.parametrize(
    ("best", "bold"),
    [
        ([True, False, False, False], [True, False, False, False]),
        ([True, True, False, False], [False] * 4),  # half of them is no news
        ([True, True, False, False, False], [True, True, False, False, False]),
        ([True, True], [False, False]),
        ([True, False], [True, False]),
        ([True], [False]),
    ],
)
def test_bold_says_something(best, bold):
    table = rows(best=best)
    assert emphasised(table).tolist() == bold
    assert latex(table).count("\\mathbf") == sum(bold)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((1.8e-3, 8.89e-4, 4.89e-3), "1.8\\ [0.889, 4.89] \\cdot 10^{-3}"),
        ((1.5, 0.8, np.inf), "1.5\\ [0.8, \\infty]"),
        ((np.inf, 3.0, np.inf), "\\infty\\ [3, \\infty]"),
        ((2.5e7, 1e7, 3e7), "2.5\\ [1, 3] \\cdot 10^{7}"),
        ((0.0, 0.0, 1e-9), "0\\ [0, 1] \\cdot 10^{-9}"),
        ((-4e-4, -5e-4, -1e-4), "-4\\ [-5, -1] \\cdot 10^{-4}"),
    ],
)
def test_powers_of_ten(values, text):
    iqm, low, high = ([value] for value in values)
    assert f"${text}$" in latex(rows(iqm=iqm, low=low, high=high))
    assert "lr=$1 \\cdot 10^{-5}$" in latex(rows(iqm=iqm), Style(columns=("tuned",)))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX is installed")
@pytest.mark.parametrize("columns", ["", ",".join(COLUMNS), "score"])
def test_it_compiles_and_fits(run, call, tmp_path, columns):
    args = ["--columns", columns] if columns else []
    code, table, err = call("table", run.path, "--format", "latex", "--ref", "tab:ours", *args)
    assert (code, err) == (0, "")
    head = "\\documentclass[twocolumn]{article}\\usepackage{array,booktabs}\\begin{document}Table~\\ref{tab:ours}.\n"
    (tmp_path / "paper.tex").write_text(f"{head}{table}\\end{{document}}\n")
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
    assert "undefined" not in done.stdout
    over = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
    assert max(over, default=0) < 4, done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--columns", "scor"], "--columns has 'scor'; did you mean score"),
        (["--columns", "score", "--format", "csv"], "--columns: a csv has all of them"),
        (["--optimizers", "adam"], "--optimizers is 'adam'; "),
        (["--label", "sgd=ttur"], "two rules would be called 'ttur'"),
    ],
)
def test_wrong_use_of_the_table(run, call, args, says):
    code, out, err = call("table", run.path, *args)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert says in err
