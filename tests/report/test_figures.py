"""The figures: what is drawn of ordinary and of broken numbers, and how it is written."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.statistics import Band, Interval
from bench.registry import get_metric
from bench.report.figures import pictures
from bench.report.figures import scores as figures
from bench.report.figures import tuning as tuning_figures
from bench.report.figures.panels import Axis, looks
from bench.report.figures.scores import Curve, Scores
from bench.report.figures.strokes import line, walk
from bench.report.figures.svg import shared, svg
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
    assert marks(drawn, LOOK["a"].colour) == [1, 1, 3]  # legend, best of all, the curve from k = 2
    assert marks(drawn, LOOK["b"].colour) == [1, 1, 4]


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
    assert marks(drawn, LOOK["a"].colour) == [1, 2, 3]  # the middle, the failed seeds, the others
    assert marks(drawn, LOOK["b"].colour) == [1, 3]


def marks(svg, colour):
    """How many marks each series of that colour has: several by a marker, a single one as it is."""
    root = ElementTree.fromstring(svg)
    own = {marker.get("id") for marker in root.iter(f"{SVG}marker") if colour in marker[0].get("style", "")}
    shapes = {shape for marker in root.iter(f"{SVG}marker") for shape in marker}
    found = []
    for path in set(root.iter(f"{SVG}path")) - shapes:
        style, points = path.get("style", ""), path.get("d")
        if called := re.search(r"marker:url\(#(\w+)\)", style):
            found += [len(re.findall(r"-?\d+", points)) // 2] if called[1] in own else []
        elif f"fill:{colour}" in style and "opacity" not in style:
            found.append(1)
    return sorted(found)


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


@given(st.lists(st.tuples(*[st.integers(-9999, 9999)] * 2, st.booleans()), min_size=1, max_size=30))
def test_a_path_is_written_as_it_goes(points):
    points[0] = (*points[0][:2], True)
    at, codes = np.array([point[:2] for point in points]), np.array([1 if new else 2 for *_, new in points], np.uint8)
    corners = [(x, y, new) for x, y, new in points]
    moved = [corner for k, corner in enumerate(corners) if corner[2] or corner[:2] != corners[k - 1][:2]]
    drawn = [corner for corner, after in itertools.zip_longest(moved, moved[1:], fillvalue=(0, 0, True))
             if not corner[2] or not after[2]]  # fmt: skip
    assert followed(line(codes, at)) == drawn
    assert [point[:2] for point in followed(walk(at.tolist()))] == [tuple(point) for point in at.tolist()]


def followed(path):
    """The points of a path of moves and relative lines, each with whether it starts a new line."""
    found, x, y = [], 0, 0
    for command, text in re.findall(r"([Mlhv])([^Mlhv]*)", path):
        numbers = [int(number) for number in re.findall(r"-?\d+", text)]
        if command in "hv":
            numbers = [part for number in numbers for part in ((number, 0) if command == "h" else (0, number))]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = (dx, dy) if command == "M" else (x + dx, y + dy)
            found.append((x, y, command == "M"))
    return found


def test_what_figures_of_a_page_say_alike_is_said_once():
    found, axes = {"a": FINE, "b": BROKEN}, (LOWER, HIGHER)
    alone = {axis.name: svg(figures.curves(found, LOOK, axis), axis.name) for axis in axes}
    page = shared(alone)
    styles = dict(re.findall(r"^\.(\w+)\{(.*)\}$", page.style, re.MULTILINE))
    shapes = re.findall(r'<marker id="(\w+)".*?</marker>', page.shapes)
    assert len(shapes) == len(set(shapes)) > 0
    assert len(page.style + page.shapes + "".join(page.figures.values())) < 0.9 * len("".join(alone.values()))
    for title, figure in page.figures.items():
        assert "<marker" not in figure
        again = re.sub(r' class="(s\d+)"', lambda found: f' style="{styles[found[1]]}"', figure)
        drawn = re.sub(r"<title>.*</title>|<marker .*?</marker>", "", alone[title]).replace("<defs></defs>", "")
        assert again.partition("style=")[2] == drawn.partition("style=")[2]
        assert set(re.findall(r"url\(#(m\w+)\)", again)) <= set(shapes)


def test_a_final_value_that_is_no_number_is_a_failure_in_the_figures_too():
    values = [3.0, 2.0, float("nan")]
    records = pd.DataFrame(
        {"optimizer": "sgd", "game": "dirac", "hyperparameters": '{"lr": 0.1}', "seed": 0, "phase": "tune", "trial": 0}
        | {"cost": float(k), "seconds": 0.0, "metric": "distance", "value": value, "outcome": "ok", "ended": 2.0}
        for k, value in enumerate(values)
    )
    tried = trials_of(records, get_metric("distance"))
    assert np.isnan(tried.values).all()
    assert tried.medians.tolist() == [np.inf]
