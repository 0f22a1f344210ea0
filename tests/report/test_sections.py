"""What is drawn of a game and of a study: costs to target, outcomes, seconds; colours that all eyes tell apart."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import targets
from bench.analysis.learning import learning
from bench.analysis.outcomes import outcomes as counted
from bench.analysis.scores import curves
from bench.analysis.statistics import Band, Interval, interquartile_mean, seeds_needed
from bench.analysis.table import table
from bench.registry import get_game
from bench.report.figures import outcomes, scores, series, tuning
from bench.report.figures import targets as target_figures
from bench.report.figures.panels import COLOURS, Axis, Range, looks
from bench.report.figures.scores import Curve, Scores
from bench.report.figures.svg import svg
from bench.report.sections import outcomes as outcome_section
from bench.report.sections import scores as score_section
from bench.report.sections import targets as target_section
from bench.report.sections.across import across
from bench.report.sections.scene import Scene
from bench.studies.study import Study

INF = math.inf
COSTS = (0.0, 25.0, 50.0, 75.0, 100.0)
FAR = ["a", "b", "c"]


def records(ways, game="dirac", metric="distance"):
    """Long records: (rule, seed) -> (values at COSTS, outcome); what is not measured is not there."""
    rows = [
        {"optimizer": rule, "game": game, "seed": seed, "phase": "report", "trial": 0, "cost": cost, "value": value}
        | {"outcome": outcome, "ended": COSTS[len(values) - 1], "metric": metric, "seconds": cost * (1 + ord(rule[0]))}
        | {"hyperparameters": "{}"}
        for (rule, seed), (values, outcome) in ways.items()
        for cost, value in zip(COSTS, values, strict=False)
    ]
    return pd.DataFrame(rows)


def ways(seeds=3, **ends):
    """Rules that go from 1 straight to an end; each seed a little further."""
    return {
        (rule, seed): (np.linspace(1, end - 0.01 * seed, 5).tolist(), "ok")
        for rule, end in ends.items()
        for seed in range(seeds)
    }


def scene(own, game="dirac"):
    rules = list(dict.fromkeys(own["optimizer"]))
    study = Study.model_construct(optimizers=rules, games=[game], seeds=sorted(set(own["seed"])))
    rows = table(own, study).set_index("optimizer")
    metric = study.primary(game)
    axis = Axis(metric.name, metric.better, metric.unit)
    look = looks(rules)
    return Scene(game, study.game(game), get_game(game), metric, axis, own, own, rows, [], look, look, study)


def drawn(section, own, game="dirac"):
    return {drawing.name: drawing for drawing in section.exhibits(scene(own, game))}


# --- targets ---------------------------------------------------------------------------------------------------------


def reached(own):
    shown = scene(own)
    return targets.reached(shown.records, shown.rows, shown.metric)


def test_targets_lie_on_the_way_from_start_to_best():
    way, log = targets.targets(1.0, 0.5)
    assert way == pytest.approx([0.75, 0.7, 0.65, 0.6, 0.55, 0.5])
    assert not log
    way, log = targets.targets(100.0, 1e-2)
    assert way == pytest.approx(10 ** np.array([0, -0.4, -0.8, -1.2, -1.6, -2]))
    assert log
    for nothing in (0.0, 1e-60):
        solved, log = targets.targets(2.0, nothing)
        assert solved[-1] == pytest.approx(2e-6)
        assert log
    assert targets.targets(0.0, 8.0)[0] == pytest.approx([4, 4.8, 5.6, 6.4, 7.2, 8])
    assert targets.targets(-4.0, -2.0)[0][-1] == -2


@settings(deadline=None, derandomize=True, database=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_targets_go_one_way_and_end_at_the_best_or_where_it_is_solved(start, best):
    way, _ = targets.targets(start, best)
    steps = np.diff(way) * np.sign(best - start)
    assert (steps >= -1e-9 * (1 + abs(start) + abs(best))).all()
    assert way[-1] in (best, start * targets.SOLVED)
    low, high = sorted((start, best))
    assert ((way >= low - 1e-9 * abs(low)) & (way <= high + 1e-9 * abs(high))).all()


def test_a_replica_meets_a_target_at_its_first_evaluation_there_and_a_failed_one_meets_none():
    given = ways(a=0.5, b=0.8) | {
        ("c", 0): ([1, 0.3, 2, 2, 2], "ok"),
        ("c", 1): ([1, 0.3, 2], "diverged"),
        ("c", 2): ([1, 0.9, 0.5, 0.55, 0.6], "error"),
    }
    found = reached(records(given))
    best = float(interquartile_mean([0.5, 0.49, 0.48]))
    assert found.start == 1
    assert found.targets == pytest.approx(1 + (best - 1) * np.array(targets.SHARES))
    for rule in "ab":
        for seed in range(3):
            values = np.array(given[rule, seed][0])
            expected = [next((c for c, v in zip(COSTS, values, strict=True) if v <= t), INF) for t in found.targets]
            assert found.costs[rule][seed].tolist() == expected
    assert found.costs["c"].tolist() == [[25.0] * 6, [INF] * 6, [INF] * 6]


def test_where_no_rule_improves_there_is_no_target():
    assert reached(records(ways(a=1.5, b=2.0))) is None
    all_failed = records({("a", seed): ([1, 3], "diverged") for seed in range(3)})
    assert reached(all_failed) is None
    assert drawn(target_section, all_failed) == {}
    said = drawn(score_section, all_failed)["curves"].caption
    assert "no rule ended better than it started" in said
    assert "no rule ended better" not in drawn(score_section, records(ways(a=0.5)))["curves"].caption


def test_figures_of_targets_show_every_seed():
    own = records(ways(seeds=4, a=0.5, b=0.9) | {("c", seed): ([1, 0.2], "diverged") for seed in range(4)})
    shown = drawn(target_section, own)
    assert list(shown) == ["cost-to-target", "profile"]
    words = shown["cost-to-target"].svg
    assert words.count(">4 of 4<") == 2  # b is never there, c failed
    assert ">never<" in words
    (axes,) = [axes for axes in shown["cost-to-target"].figure.axes if "evaluations" in axes.get_xlabel()]
    assert axes.get_xlim() == (0, 1.02 * COSTS[-1])  # the whole budget, so that who started there is seen
    goal = f"{reached(own).targets[targets.NEARLY]:.3g}"
    assert f"cost to reach {goal}" in words
    assert goal in shown["cost-to-target"].caption
    assert not re.search(r"\b(inf|nan)\b", words + shown["profile"].svg)


# --- outcomes --------------------------------------------------------------------------------------------------------


def test_every_replica_ends_in_one_way():
    given = ways(seeds=5, a=0.5) | ways(seeds=5, b=0.9)
    given[("b", 0)] = ([1, 2], "diverged")
    given[("b", 1)] = ([1], "error")
    own = records(given)
    assert counted(own, ["a", "b"], {}) == {"a": {"ok": 5}, "b": {"ok": 3, "diverged": 1, "error": 1}}
    assert counted(own, ["a"], {}) == {"a": {"ok": 5}}


def test_collapsed_are_those_that_would_have_been_ok():
    game = "ring8[width=16,batch_size=16]"
    given = {("a", seed): ([0, 8, 8, 8, 8], "ok") for seed in range(2)}
    given |= {("a", 2): ([0, 8, 1, 1, 1], "ok"), ("a", 3): ([0, 8, 1, 1, 1], "diverged")}
    errors = {way: ([1 - modes / 8 for modes in curve], end) for way, (curve, end) in given.items()}
    errors |= {("a", 1): ([1.0] * 5, "ok")}
    own = pd.concat([records(errors, game, "mode_error"), records(given, game, "modes_strict")], ignore_index=True)
    study = Study(optimizers="sgd", games=game, trials=0)
    learnt = learning(own, study.game(game), study.primary(game), 100.0)
    assert learnt["a"].learned is not None
    assert learnt["a"].learned.tolist() == [True, False, True, True]
    found = counted(own, ["a"], learnt)
    assert found == {"a": {"ok": 1, "not learned": 1, "collapsed": 1, "diverged": 1}}
    shown = drawn(outcome_section, own, game)["outcomes"]
    assert {">1<", ">ok<", ">not learned<", ">collapsed<", ">diverged<"} <= set(re.findall(r">[^<>]+<", shown.svg))
    assert ">error<" not in shown.svg


def test_bars_hold_the_counts_and_the_interval():
    figure = outcomes.outcomes(
        {"a": {"ok": 6, "diverged": 4}, "b": {"error": 10}}, dict.fromkeys("ab", Interval(0.5, 0.2, 0.7)), looks("ab")
    )
    (axes,) = figure.axes
    assert [bar.get_x() for bar in axes.patches] == pytest.approx([0, 0.6, 0])
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0.4, 1])
    assert [tuple(line.get_xdata()) for line in axes.lines] == [(0.2, 0.7)] * 2


# --- seconds ---------------------------------------------------------------------------------------------------------


def test_curves_against_seconds_are_the_records_seconds():
    given = ways(seeds=5, a=0.5, b=0.9)
    given[("b", 0)] = ([1, 2, 3], "diverged")
    own = records(given)
    figure = drawn(score_section, own)["seconds"].figure
    label = "training seconds of a replica"
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel() == label]
    ways_shown = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == len(COSTS)]
    assert [way[-1] for way in ways_shown] == [100.0 * (1 + ord(rule)) for rule in "ab"]
    (strip,) = [axes for axes in figure.axes if axes.get_xlabel() != label]
    crosses = np.concatenate([line.get_xdata() for line in strip.lines])
    assert crosses == pytest.approx([50.0 * (1 + ord("b"))])  # where it stood when it diverged


@pytest.mark.parametrize("column", ["value", "seconds"])
def test_curves_are_what_pandas_pivots(column):
    given = ways(a=0.5, b=0.9)
    given[("b", 1)] = ([1, 2], "diverged")
    given[("b", 2)] = ([1, math.nan], "ok")
    own = records(given).sample(frac=1, random_state=0)
    found = curves(own, "distance", column)
    for rule in "ab":
        wide = own[own["optimizer"] == rule].pivot_table(index="seed", columns="cost", values=column, dropna=False)
        np.testing.assert_array_equal(found[rule][0], wide.columns)
        np.testing.assert_array_equal(found[rule][1], wide.to_numpy())


def test_the_area_of_a_table_is_the_mean_score_over_training():
    given = ways(seeds=4, a=0.5, b=0.9)
    for seed in range(3):
        given[("b", seed)] = ([1, 0.1, 0.1], "diverged")
    found = table(records(given), Study.model_construct(optimizers=["a", "b"], games=["dirac"])).set_index("optimizer")[
        "auc"
    ]
    expected = interquartile_mean([np.trapezoid(given["a", seed][0], COSTS) / 100 for seed in range(4)])
    assert found["a"] == pytest.approx(float(expected))
    assert found["b"] == INF


# --- a whole study ---------------------------------------------------------------------------------------------------


def test_across_counts_games_seeds_and_targets():
    own = pd.concat([records(ways(a=0.5, b=0.7)), records(ways(a=0.8, b=0.4), "bilinear")], ignore_index=True)
    study = Study.model_construct(optimizers=["a", "b"], games=["dirac", "bilinear"], seeds=[0, 1, 2])
    found = table(own, study)
    (drawing,) = across(found, own, looks(["a", "b"]), study)
    assert "over 2 games" in drawing.caption
    (axes,) = drawing.figure.axes
    ends = [line.get_ydata()[-1] for line in axes.lines if len(line.get_xdata()) > 1]
    shown = {game: scene(own[own["game"] == game], game) for game in study.games}
    met = {game: targets.reached(one.records, one.rows, one.metric) for game, one in shown.items()}
    for rule, end in zip("ab", ends, strict=True):
        expected = np.mean([np.isfinite(one.costs[rule]) for one in met.values()])
        assert end == pytest.approx(expected, abs=series.APART)
    assert across(found[found["game"] == "dirac"], own, looks(["a", "b"]), study) == []
    assert across(found.iloc[:0], own, looks(["a", "b"]), study) == []


def test_the_profile_says_how_many_seeds_would_tell_rules_apart():
    """Beside one that is slower on every seed, on two of them, on none."""

    def lines(**quick):
        return {
            (rule, seed): ([1, 0.4, 0.3, 0.2, 0.1] if seed in seeds else [1, 0.9, 0.8, 0.7, 0.1], "ok")
            for rule, seeds in quick.items() for seed in range(12)
        }  # fmt: skip

    def said(**quick):
        own = pd.concat([records(lines(**quick)), records(lines(**quick), "bilinear")], ignore_index=True)
        study = Study.model_construct(optimizers=list(quick), games=["dirac", "bilinear"], seeds=list(range(12)))
        (drawing,) = across(table(own, study), own, looks(list(quick)), study)
        return drawing.caption

    all_seeds = set(range(12))
    assert said(a=all_seeds, b=set()).endswith("By the area under its profile a is ahead of all.")
    two_of_twelve = seeds_needed([1] * 2 + [0] * 10, [0] * 12)
    words = f"if rules differ as on these seeds: about {two_of_twelve:g} seeds would tell a and b apart."
    assert said(a=all_seeds, b=all_seeds - {3, 5}).endswith(words)
    assert "more than 1,000 seeds would be needed for b" in said(a=all_seeds, b=all_seeds)


def test_across_says_who_is_left_out():
    whole = pd.concat([records(ways(a=0.5, b=0.7)), records(ways(a=0.8), "bilinear")], ignore_index=True)
    still = records({("a", seed): ([1, 1, 1, 1, 1], "ok") for seed in range(3)}, "quadratic")
    own = pd.concat([whole, still], ignore_index=True)
    study = Study.model_construct(optimizers=["a", "b"], games=["dirac", "bilinear", "quadratic"], seeds=[0, 1, 2])
    (drawing,) = across(table(own, study), own, looks(["a", "b"]), study)
    assert "Without quadratic" in drawing.caption
    assert "not finished on all of them: b" in drawing.caption


# --- looks -----------------------------------------------------------------------------------------------------------

# How the three kinds of colour blindness see linear RGB, at full strength: Machado et al. 2009, IEEE TVCG 15:1291
SEEN = [
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
]
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(colour, eyes):
    """CIELAB of a colour #rrggbb as some eyes see it."""
    rgb = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x = XYZ @ np.clip(np.array(eyes) @ linear, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(one, other):
    """How far two colours are from each other for the eyes that see least of it; 2.3 is just noticeable."""
    return min(np.linalg.norm(lab(one, eyes) - lab(other, eyes)) for eyes in SEEN)


def test_the_twenty_colours_are_apart_for_all_eyes():
    assert len(set(COLOURS)) == 20
    assert min(apart(*pair) for pair in itertools.combinations(COLOURS, 2)) > 10
    assert min(apart(a, b) for a, b in zip(COLOURS, [*COLOURS[1:], COLOURS[0]], strict=True)) > 14


@pytest.mark.parametrize("count", [1, 2, 10, 20, 30, 60])
def test_looks_are_pairwise_distinct(count):
    found = list(looks([f"rule {i}" for i in range(count)]).values())
    assert len(set(found)) == count
    for one, other in itertools.combinations(found[:40], 2):
        if one.colour == other.colour:
            assert one.dash != other.dash
            assert one.marker != other.marker
    assert all(one.colour != other.colour for one, other in itertools.pairwise(found))


def test_a_rule_keeps_its_look_whoever_comes_after():
    names = [f"rule {i}" for i in range(30)]
    assert looks(names[:12]).items() <= looks(names).items()


# --- figures ---------------------------------------------------------------------------------------------------------

LOWER = Axis("loss", "lower")
LONG = [f"lookahead[inner=alternating[direction=adam,lr=0.{i}],steps=5,alpha=0.5]" for i in range(20)]
STAIR = Band(np.array([0, 0, 0.5, 1.0]), np.array([0, 0, 0.3, 0.9]), np.array([0.2, 0.2, 0.7, 1.0]))
GRID = np.array([0.0, 10, 20, 30])


@pytest.mark.parametrize("count", [1, 2, 20])
def test_no_two_labels_overlap(count):
    names = LONG[:count]
    look, three = looks(LONG), np.array([1.0, 2.0, math.nan])
    bars = {name: {"ok": 3, "diverged": 4, "collapsed": 1, "error": 2} for name in names}
    figures = [
        outcomes.outcomes(bars, dict.fromkeys(names, Interval(0.3, 0.1, 0.6)), look),
        scores.final_scores(dict.fromkeys(names, Scores(three, 1.5, 1.0, INF)), look, LOWER),
        target_figures.profiles(dict.fromkeys(names, STAIR), GRID, look, "cost", "share"),
        scores.curves(dict.fromkeys(names, Curve(GRID, *(np.array([[3.0, 2, 1, 1]] * 3)), np.array([]))), look, LOWER),
    ]
    for figure in figures:
        for box, other in itertools.combinations(boxes(figure), 2):
            assert not (box.shrunk(0.98, 0.9).overlaps(other)), figure


def boxes(figure):
    """Where the figure's words stand once it is drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    svg(figure, "title")  # puts everything in its place
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    words = {text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()}
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        words -= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}  # these are not drawn
    found = [text.get_window_extent(canvas.get_renderer()) for text in words]
    width, height = canvas.get_width_height()
    assert all(min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height for box in found)
    return found


def test_a_stair_has_a_corner_only_where_something_changes():
    many = np.linspace(0, 30, 301)
    fine = Band(*(np.repeat([0.0, 0.5, 1.0], [100, 100, 101]) for _ in range(3)))
    lean = svg(target_figures.profiles({"a": fine}, many, looks(["a"]), "cost", "share"), "title")
    few = Band(*(np.array([0.0, 0.5, 1.0, 1.0]) for _ in range(3)))
    same = svg(target_figures.profiles({"a": few}, np.array([0, 10.0, 20, 30]), looks(["a"]), "cost", "share"), "title")
    assert lean == same


def test_an_axis_ends_sixteen_decades_from_one_and_says_what_it_cuts():
    deep = Range.of([1e-160, 1e-3, 2.0])
    assert deep.log
    assert 1e-18 < deep.low < 1e-16
    assert deep.cuts([1e-160])
    assert not deep.cuts([1e-3, INF, math.nan])
    assert Range.of([1e-160, 1e-150]).low < 1e-160  # all of it is deep
    assert 1e16 < Range.of([1e-3, 1e200]).high < 1e18
    own = records({("a", seed): ([1, 1e-20, 1e-40, 1e-60, 1e-80], "ok") for seed in range(3)})
    assert "drawn at its border" in drawn(score_section, own)["curves"].caption
    assert "border" not in drawn(score_section, records(ways(a=0.5)))["curves"].caption


def triangles(axes):
    """Where triangles are drawn at the borders of the axes: (marker, x, y)."""
    marked = [
        line for line in axes.lines if line.get_marker() in ("v", "^", "<", ">") and line.get_linestyle() == "None"
    ]
    return [(line.get_marker(), x, y) for line in marked for x, y in line.get_xydata()]


def test_scores_beyond_the_axis_stand_at_its_border():
    found = {"a": Scores(np.array([0.0, 1e-60]), 1.0, 1.0, 1.0), "b": Scores(np.array([1.0, 2.0]), 1.5, 1.0, 2.0)}
    (axes,) = scores.final_scores(found, looks(["a", "b"]), LOWER).axes
    low, _ = axes.get_xlim()
    assert {(marker, x) for marker, x, _ in triangles(axes)} == {("<", low)}
    assert len(triangles(axes)) == 2


@pytest.mark.parametrize("wild", [1e6, -1e6])
def test_one_wild_seed_does_not_set_a_scale(wild):
    tame = np.random.default_rng(0).normal(5.0, 1.0, 59)
    alone, together = Range.of(tame), Range.of(tame, [wild])
    assert not together.log
    assert alone.low <= together.low < together.high <= alone.high
    assert together.cuts([wild])
    assert not together.cuts(tame)
    seeds = np.append(tame[:19], wild)
    both = {"a": Scores(seeds, 5.0, 4.5, 5.5), "b": Scores(tame[19:39], 5.0, 4.5, 5.5)}
    (axes,) = scores.final_scores(both, looks(["a", "b"]), LOWER).axes
    assert np.ptp(axes.get_xlim()) < 10
    ((marker, x, y),) = triangles(axes)
    assert (marker, x) == ((">", axes.get_xlim()[1]) if wild > 0 else ("<", axes.get_xlim()[0]))
    assert round(y) == 0  # in the row of its rule
    assert sum(len(points.get_offsets()) for points in axes.collections) == 39  # all others are points


def test_on_a_logarithmic_axis_one_wild_seed_does_not_set_the_scale_either():
    tame = 10 ** np.random.default_rng(0).uniform(-3, 0, 59)
    limits = Range.of(tame, [1e12])
    assert limits.log
    assert limits.high < 2
    assert limits.beyond([1e12, 1e-9, 0.1, INF, math.nan]).tolist() == [1, -1, 0, 0, 0]


def test_what_sets_a_scale_is_a_part_of_the_values_and_what_is_asked_for():
    values = [*range(1, 21), *range(100, 105)]  # a fifth of the values is no outlier
    assert not Range.of(values).cuts(values)
    assert not Range.of([1.0] * 20 + [5.0]).cuts([5.0])  # equal values have no width
    assert not Range.of([1, 2, 3, 1000]).cuts([1000])  # of so few none is far from the others
    assert Range.of(range(20), [1000]).cuts([1000])
    assert not Range.of(range(20), [1000], keep=[1000]).cuts([1000])


def test_a_caption_says_what_is_beyond_an_axis():
    many = ways(seeds=20, a=0.5, b=0.6)
    assert "border" not in drawn(score_section, records(many))["scores"].caption
    many["a", 3] = ([1, 1, 1, 1, 1e9], "ok")
    found = drawn(score_section, records(many))["scores"]
    assert "beyond the axis is drawn at its border, a point as a triangle" in found.caption
    assert [marker for marker, *_ in triangles(found.figure.axes[0])] == [">"]


def test_a_curve_that_leaves_the_axis_has_a_triangle_where_it_does():
    grid = np.arange(30.0)
    tame = np.linspace(1.0, 0.5, 30)
    wild = tame.copy()
    wild[[10, 11, 20]] = 1e9, 1e8, 1e9
    given = {name: Curve(grid, *[values] * 3, np.array([])) for name, values in {"a": tame, "b": wild}.items()}
    given |= {f"c{i}": Curve(grid, *[tame + 0.01 * i] * 3, np.array([])) for i in range(5)}
    (axes,) = scores.curves(given, looks(list(given)), LOWER).axes
    assert axes.get_ylim()[1] < 2
    assert [(marker, x) for marker, x, _ in triangles(axes)] == [("^", 10.0), ("^", 20.0)]


def test_bars_of_step_sizes_go_from_the_best_seed_to_the_worst():
    values = np.array([[1.0, 3, 2], [math.nan, 5, 4], [math.nan] * 3])
    x, y = tuning._bars(np.array([0.1, 1.0, 10.0]), values)
    np.testing.assert_array_equal(x, [0.1, 0.1, 0.1, 1, 1, 1])
    np.testing.assert_array_equal(y, [1, 3, math.nan, 4, 5, math.nan])
