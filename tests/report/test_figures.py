"""The figures: what is drawn of ordinary and of broken numbers, and how it is written."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bench.analysis.statistics import Band, Interval
from bench.registry import get_metric
from bench.report.figures import pictures
from bench.report.figures import scores as figures
from bench.report.figures import tuning as tuning_figures
from bench.report.figures.outcomes import outcomes
from bench.report.figures.panels import MANY, Axis, emphasised, looks
from bench.report.figures.scores import Curve, Scores
from bench.report.figures.series import draw_together
from bench.report.figures.svg import inline, key, svg
from bench.report.sections.scene import Drawing
from bench.studies.tuning.sensitivity import Effort, Trials, trials_of

SVG = "{http://www.w3.org/2000/svg}"
LOOK = looks(["a", "b", "_c$x$"])
LOWER, HIGHER = Axis("loss", "lower"), Axis("modes", "higher", "count")
COSTS = np.arange(0.0, 50, 10)
FINE = Curve(COSTS, *np.array([[5, 4, 3, 2, 1], [4, 3, 2, 1, 0.5], [6, 5, 4, 3, 2.0]]), np.array([]))
EFFORT = Effort(Band(*np.array([[np.inf, 4, 3, 2], [5, 2, 2, 2], [np.inf, np.inf, 4, 3]])), 8, Interval(1, 1, 1.5))
BROKEN = Curve(COSTS, *np.array([[5, 50, 500, np.inf, np.inf]] * 2 + [[6, 60, *[np.inf] * 3]]), np.array([20.0, 25.0]))


def texts(svg):
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_rule_has_its_own_look():
    found = looks([f"rule {i}" for i in range(40)])
    assert len(set(found.values())) == 40
    assert len({look.colour for look in list(found.values())[:10]}) == 10


@pytest.mark.parametrize("axis", [LOWER, HIGHER])
def test_curves_that_end(axis):
    drawn = svg(figures.curves({"a": FINE, "b": BROKEN}, LOOK, axis), "title")
    assert "diverged" in texts(drawn)
    assert any(f"{axis.better} is better" in text for text in texts(drawn))
    assert not re.search(r"\b(inf|nan)\b", drawn)
    assert "diverged" not in texts(svg(figures.curves({"a": FINE}, LOOK, axis), "title"))


@pytest.mark.parametrize("axis", [LOWER, HIGHER])
def test_expected_best_is_drawn_where_it_is_finite(axis):
    sign = -1 if axis.better == "higher" else 1
    found = {"a": EFFORT, "b": Effort(Band(*np.ones((3, 4))), 8, Interval(1, 1, 1))}
    if sign < 0:
        curve, best = found["a"].curve, found["a"].found
        found["a"] = Effort(Band(-curve.value, -curve.high, -curve.low), 8, Interval(-1, -best.high, -best.low))
    drawn = svg(tuning_figures.expected_best(found, LOOK, axis), "title")
    assert {"1", "2", "4", "all 8"} <= set(texts(drawn))
    assert not re.search(r"\b(inf|nan)\b", drawn)
    assert marks(drawn, LOOK["a"].key) == [1, 1, 1, 3]  # legend, band, best of all, curve from k = 2
    assert marks(drawn, LOOK["b"].key) == [1, 1, 1, 4]


@pytest.mark.parametrize("axis", [LOWER, HIGHER])
def test_many_rules_have_a_panel_each_of_their_trials(axis):
    names = [f"rule {i}" for i in range(MANY + 1)]
    figure = tuning_figures.expected_best(dict.fromkeys(names, EFFORT), looks(names), axis)
    assert [axes.get_title() for axes in figure.axes] == names
    assert {axes.get_ylim() for axes in figure.axes} == {figure.axes[0].get_ylim()}
    assert len(tuning_figures.expected_best(dict.fromkeys(names[:MANY], EFFORT), looks(names), axis).axes) == 1


@pytest.mark.parametrize("axis", [LOWER, HIGHER])
def test_of_many_curves_the_best_are_drawn_strongly(axis):
    names = [f"rule {i}" for i in range(MANY + 1)]
    look = emphasised(looks(names), names[2:4])
    figure = figures.curves({name: BROKEN if i == 3 else FINE for i, name in enumerate(names)}, look, axis)
    drawn = svg(figure, "title")
    assert re.findall(r'class="(r\d+) faint"', drawn) == [f"r{i}" for i in range(MANY + 1) if i not in (2, 3)]
    assert {"rule 2", "rule 3", f"{MANY - 1} others", "diverged"} <= set(texts(drawn))
    assert "rule 4" not in texts(drawn)
    assert not re.search(r"\b(inf|nan)\b", drawn)
    bands = [part for part in figure.axes[-1 if axis.better == "lower" else 0].collections if part.get_gid()]
    assert {part.get_gid() for part in bands} == {"r2", "r3"}, "a band for the strong ones alone"


def test_a_page_leaves_the_legend_of_rules_out():
    """It has one for all figures; a file of its own keeps it, and so does a legend of outcomes."""
    drawing = Drawing("curves", "Loss on g: a curve a rule.", figures.curves({"a": FINE, "b": BROKEN}, LOOK, LOWER))
    root, cut = ElementTree.fromstring(drawing.svg), ElementTree.fromstring(drawing.element)
    assert {"a", "b"} <= set(texts(drawing.svg))
    assert not {"a", "b"} & {"".join(part.itertext()) for part in cut.iter("text")}
    tall, left = (float(one.get("viewBox").split()[3]) for one in (root, cut))
    assert 8 < tall - left < 40, "points of its one row"
    assert drawing.heading == "Loss on g"
    ended = {"a": {"ok": 2, "diverged": 1}, "b": {"ok": 3}}
    bars = Drawing("outcomes", "Ends.", outcomes(ended, dict.fromkeys("ab", Interval(0.5, 0.1, 0.9)), LOOK))
    assert {"ok", "diverged"} <= {
        "".join(part.itertext()) for part in ElementTree.fromstring(bars.element).iter("text")
    }


def test_known_scores_are_named_where_they_are_dotted():
    axis = LOWER._replace(references={"perfect": 0.5, "half": 3.0, "start": 3.01})
    drawn = texts(svg(figures.curves({"a": FINE}, LOOK, axis), "title"))
    assert {"perfect", "half"} <= set(drawn)
    assert "start" not in drawn, "it would stand on another"
    points = Scores(np.array([1.0, 4.0]), 2.5, 1.0, 4.0)
    assert {"perfect", "half"} <= set(texts(svg(figures.final_scores({"a": points}, LOOK, axis), "title")))


def test_scores_span_a_decade_or_not():
    def ticks(values):
        scores = Scores(np.array(values), *np.quantile(values, [0.5, 0.25, 0.75]))
        return texts(svg(figures.final_scores({"a": scores}, LOOK, LOWER), "title"))

    assert {"1", "10"} <= set(ticks([0.9, 2.0, 30.0]))  # logarithmic: decades alone, or with a few between
    assert {"1.0", "1.2", "1.4"} <= set(ticks([0.9, 1.2, 1.8]))
    assert any(text.startswith("−") for text in ticks([-500.0, 1.0, 900.0]))  # a negative one: never logarithmic


@pytest.mark.parametrize("axis", [LOWER, HIGHER])
def test_a_point_a_seed_and_a_cross_a_failure(axis):
    values = np.array([1.0, 2.0, 1.5, np.nan, np.nan])
    found = {"a": Scores(values, 1.5, 1.0, np.inf), "b": Scores(values[:3], 1.0, 1.0, 2.0)}
    drawn = svg(figures.final_scores(found, LOOK, axis), "title")
    assert texts(drawn).count("2 of 5") == 1
    assert marks(drawn, LOOK["a"].key) == [1, 2, 3]  # the middle, the failed seeds, the others
    assert marks(drawn, LOOK["b"].key) == [1, 3]


def marks(svg, key):
    """How many marks, or bands, each series of the rule that is called so has."""
    groups = [group for group in ElementTree.fromstring(svg).iter(f"{SVG}g") if group.get("class") == key]
    return sorted(count for group in groups if (count := len(list(group.iter(f"{SVG}use")))))


def test_names_of_any_kind_are_drawn():
    names = [
        "_under",
        "$a_b$ $",
        "lookahead[inner=alternating[direction=adam,lr=0.1],steps=5,alpha=0.5]",
        "漢字",
        "a\nb",
    ]
    look = looks(names)
    drawn = svg(figures.curves(dict.fromkeys(names, FINE), look, LOWER), "title")
    words = [text.strip() for text in texts(drawn)]
    assert {"_under", "$a_b$ $", "漢字", "a b"} <= set(words)
    assert any(word.startswith("lookahead[inner=") and "…" in word for word in words)
    assert all(look[name].colour in drawn for name in names)
    steps, stood, number = np.array([[0.1, 0.2], [1, 2]]), np.full((2, 1), np.nan), np.arange(2)
    pairs = Trials(("x", "y"), steps, np.ones((2, 1)), np.array([1, np.inf]), (0.1, 0.2), stood, np.ones(2), number)
    assert svg(tuning_figures.step_pairs(dict.fromkeys(names, pairs), look, LOWER), "title")
    single = pairs._replace(names=("x",), steps=steps[:, :1], chosen=(0.1,))
    assert svg(tuning_figures.step_sizes(dict.fromkeys(names, single), look, LOWER), "title")
    assert svg(tuning_figures.expected_best(dict.fromkeys(names, EFFORT), look, LOWER), "title")
    path = np.array([[[1.0, 1.0]], [[np.nan, np.inf]]])
    assert svg(pictures.trajectories(dict.fromkeys(names, path), look, None, None), "title")
    cloud = (np.array([0.0, 1.0]), np.full((2, 3, 2), np.inf))
    assert svg(pictures.clouds(dict.fromkeys(names, cloud), None, look), "title")


def test_a_diverging_path_is_cut_near_its_start():
    away = 1.1 ** np.arange(100)[:, None, None] * np.ones((1, 1, 2))
    assert pictures.square({"a": away}, np.zeros(2))[1] == pytest.approx(1.05 * 1.7)
    near = 0.9 ** np.arange(100)[:, None, None] * np.ones((1, 1, 2))
    assert pictures.square({"a": near}, np.zeros(2))[1] == pytest.approx(1.05)


def test_a_line_is_broken_where_it_is_not_known():
    axes = Figure().subplots()
    broken, nowhere = np.array([1, 2, np.nan, 4, np.inf]), np.full(5, np.nan)
    draw_together(axes, {"a": (COSTS, broken), "b": (COSTS, nowhere), "_c$x$": (COSTS, COSTS)}, LOOK)
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1, 2], [4], COSTS.tolist()]
    assert [line.get_gid() for line in axes.lines] == ["r0", "r0", "r2"]
    assert [line.get_color() for line in axes.lines] == [LOOK[rule].colour for rule in ("a", "a", "_c$x$")]
    draw_together(axes, {"b": (COSTS, nowhere)}, LOOK)
    assert len(axes.lines) == 3


def test_figures_of_one_page_share_no_id_and_say_what_their_files_say():
    axes = (LOWER, HIGHER)
    files = {axis.name: svg(figures.curves({"a": FINE, "b": BROKEN}, LOOK, axis), axis.name) for axis in axes}
    parts = {title: inline(drawn, title) for title, drawn in files.items()}
    page = "".join(parts.values())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 0
    assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)) <= {(name, "") for name in ids} | {
        ("", name) for name in ids
    }
    assert len(page) < 0.75 * len("".join(files.values()))
    for title, part in parts.items():
        assert f'aria-labelledby="{key(title)}"' in part
        root = ElementTree.fromstring(part)
        assert ["".join(text.itertext()) for text in root.iter("text")] == texts(files[title])
        for tag in ("path", "use"):
            assert len(list(root.iter(tag))) == len(list(ElementTree.fromstring(files[title]).iter(f"{SVG}{tag}")))


def test_a_drawing_gives_the_same_bytes_again():
    figure = figures.curves({"a": FINE, "b": BROKEN}, LOOK, LOWER)
    assert svg(figure, "title") == svg(figure, "title")
    assert svg(figure, "title") == svg(figures.curves({"a": FINE, "b": BROKEN}, LOOK, LOWER), "title")


def test_a_final_value_that_is_no_number_is_a_failure_in_the_figures_too():
    values = [3.0, 2.0, float("nan")]
    records = pd.DataFrame(
        {"optimizer": "sgd", "game": "dirac", "hyperparameters": '{"lr": 0.1}', "seed": 0, "phase": "tune", "trial": 0}
        | {"cost": float(k), "seconds": 0.0, "metric": "distance", "value": value, "outcome": "ok", "ended": 2.0}
        for k, value in enumerate(values)
    )
    tried = trials_of(records, get_metric("distance"))
    assert np.isnan(tried.values).all()
    assert tried.means.tolist() == [np.inf]
