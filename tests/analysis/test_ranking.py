"""Ranks on a game and over games, who may hold which place, and the critical-difference diagram."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.findings import Finding, Rival, winners
from bench.analysis.ranking import Standing, _groups, ranks, standing
from bench.analysis.statistics import Interval, friedman_nemenyi, games_needed
from bench.analysis.table import best
from bench.report.figures.panels import lines, looks
from bench.report.figures.ranks import critical_difference as drawn
from bench.report.figures.svg import svg
from bench.report.warnings import RunWarning, concerning, gets_nowhere, warnings_of
from bench.studies.study import Study

SVG = "{http://www.w3.org/2000/svg}"
LONG = "lookahead[inner=alternating[direction=adam,lr=0.1],steps=5,a]"


def table(scores, metric="distance", games=None, spread=0.0):
    """A table of scores [games, rules], each with an interval as wide as twice the spread."""
    rows = [
        {"game": f"g{g}", "optimizer": f"r{r}", "metric": metric, "iqm": x, "low": x - spread, "high": x + spread}
        for g, row in enumerate(scores)
        for r, x in enumerate(row)
    ]
    return pd.DataFrame(rows).assign(untrainable=False)


def names(count):
    return [f"r{i}" for i in range(count)]


def study(count):
    return Study.model_construct(optimizers=names(count), games=[])


STUDY = study(0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.floats(0, 2), st.booleans())
def test_a_rank_lies_within_the_places_that_it_may_hold(scores, spread, higher):
    found = ranks(table([scores], "modes" if higher else "distance", spread=spread), STUDY)
    held = [found[rule, "g0"].rank for rule in names(len(scores))]
    assert sum(held) == len(scores) * (len(scores) + 1) / 2
    assert all(place.first <= place.rank <= place.last for place in found.values())
    signed = [-x if higher else x for x in scores]
    assert np.array_equal(np.sign(np.subtract.outer(held, held)), np.sign(np.subtract.outer(signed, signed)))


@pytest.mark.parametrize(("spread", "expected"), [(0.4, ["1", "2", "3"]), (0.6, ["1 (1–2)", "2 (1–3)", "3 (2–3)"])])
def test_places_are_shared_where_intervals_overlap(spread, expected):
    """The heat is by the rules that are surely ahead, not by the rank: what cannot be told apart looks alike."""
    found = ranks(table([[1, 2, 3]], spread=spread), STUDY)
    assert [found[rule, "g0"].words for rule in names(3)] == expected
    assert [found[rule, "g0"].heat for rule in names(3)] == ([1, 0.5, 0] if spread == 0.4 else [1, 1, 0.5])


def test_failures_share_the_last_places():
    found = ranks(table([[math.inf, 2, math.inf, 1]]), STUDY)
    assert [(p.rank, p.first, p.last, p.failed) for p in found.values()] == [
        (3.5, 3, 4, True), (2, 2, 2, False), (3.5, 3, 4, True), (1, 1, 1, False)
    ]  # fmt: skip


@pytest.mark.parametrize(("rules", "games"), [(3, 5), (8, 4), (20, 6)])
def test_groups_are_nemenyis(rules, games):
    scores = np.random.default_rng(rules).normal(size=(games, rules)) * rules / 4 + np.arange(rules)
    found, tested = standing(table(scores), study(rules)), friedman_nemenyi(scores)
    assert found.why == ""
    assert found.p == tested.p
    assert list(found.ranks.values()) == sorted(tested.ranks)
    joined = {frozenset((a, b)) for low, high in found.groups for a in range(low, high + 1) for b in range(low, a)}
    order = np.argsort(tested.ranks, kind="stable")
    alike = {frozenset((a, b)) for a in range(rules) for b in range(a) if tested.nemenyi[order[a], order[b]] > 0.05}
    assert joined == alike


@given(st.lists(st.floats(1, 20), min_size=1, max_size=20).map(sorted), st.floats(0, 20))
def test_a_group_is_as_long_as_can_be_and_in_no_other(ranks, difference):
    found = _groups(ranks, difference)
    for i, (low, high) in enumerate(found):
        assert ranks[high] - ranks[low] <= difference
        assert high + 1 == len(ranks) or ranks[high + 1] - ranks[low] > difference
        assert all(low < other[0] and high < other[1] for other in found[i + 1 :])


def test_directions_and_failures_count_over_games():
    lower, higher = table([[1, 2, 3]]), table([[9, 5, 0]], "modes").assign(game="h")
    lost = table([[1, math.inf, math.inf]]).assign(game="i")
    found = standing(pd.concat([lower, higher, lost]), study(3))
    assert found.games == ["g0", "h", "i"]
    assert found.ranks == pytest.approx({"r0": 1, "r1": 6.5 / 3, "r2": 8.5 / 3})


def test_where_the_rules_do_not_differ_one_bar_joins_all():
    scores = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4], [4, 3, 2, 1]])
    assert standing(table(scores), study(4)).groups == ((0, 3),)


def test_how_many_games_would_tell_the_first_apart():
    """From the rule at the far end of its bar, in words; nothing where no bar joins it to another."""
    scores = np.array([[1, 2, 3, 4], [2, 1, 3, 4], [1, 2, 4, 3], [1, 3, 2, 4]])
    found = standing(table(scores), study(4))
    assert found.groups[0] == (0, 2)
    needed = games_needed(found.ranks["r2"] - found.ranks["r0"], 4)
    assert 4 < needed < 20
    words = f"about {needed:g} games would tell r0 and r2 apart, if their ranks stay as they are; more seeds would not"
    assert found.power == words
    apart = Standing(["g"], {"a": 1.0, "b": 2.0, "c": 3.0}, difference=0.5)
    assert apart.power == ""
    assert apart._replace(groups=((1, 2),)).power == ""
    even = Standing(["g"], {"a": 2.0, "b": 2.0, "c": 2.0}, difference=0.5, groups=((0, 2),))
    assert even.power.startswith("more than 1,000 games")


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([[1, 2]] * 9, "at least 3 rules, there are 2"),
        ([[1, 2, 3]], "at least 2 games, there are 1"),
        ([[1, 1, 1]] * 5, "in every game all rules tie"),
        ([[1, 2, 3]] * 2, "2.34 apart to differ, and 2 is the most that they can be; at least 3 games"),
    ],
)
def test_why_no_diagram_can_be_given(scores, words):
    assert words in standing(table(scores), study(len(scores[0]))).why


def test_a_game_on_which_a_rule_is_not_finished_is_left_out():
    found = table([[1, 2, 3]] * 4)
    part = found[~((found["game"] == "g1") & (found["optimizer"] == "r2"))]
    assert standing(part, study(3)).games == ["g0", "g2", "g3"]
    assert "no game yet" in standing(found, study(4)).why
    assert "no game yet" in standing(found[:0], study(3)).why


@pytest.mark.parametrize("count", [3, 8, 20])
def test_the_diagram_names_every_rule_once(count):
    ranks = {f"{LONG if i % 3 == 0 else ''}{i}": 1.0 + 0.9 * i for i in range(count)}
    groups = ((0, count // 2), (1, count - 1))
    text = svg(drawn(ranks, 2.5, groups, looks(list(ranks))), "title")
    words = ["".join(part.itertext()) for part in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert "critical difference 2.5" in words
    for name, rank in ranks.items():
        shown = (f"{lines(name, 99)}  {rank:.3g}", f"{rank:.3g}  {lines(name, 99)}")
        assert sum(word in shown for word in words) == 1
    assert all(look.colour in text for look in looks(list(ranks)).values())


# --- warnings --------------------------------------------------------------------------------------------------------


def verdict(seeds, rivals, game="g0", best="r0"):
    beside = [Rival(f"r{i + 1}", Interval(1, 1, 1), 1.0, Interval(0.5, 0, 1)) for i in range(rivals)]
    return Finding(game, STUDY.metric("distance"), best, Interval(0, 0, 0), 1.0, 1.0, 0.0, seeds, beside, [])


@pytest.mark.parametrize(("seeds", "rivals", "needed"), [(5, 1, 6), (6, 1, 6), (8, 7, 9), (9, 7, 9), (10, 29, 11)])
def test_power_is_what_holm_leaves(seeds, rivals, needed):
    found = verdict(seeds, rivals)
    assert found.needed == needed
    assert found.decidable == (seeds >= needed) == (rivals * 2 ** (1 - seeds) <= 0.05)
    asked = Study.model_construct(optimizers=[], games=[], seeds=list(range(seeds)), trials=4)
    records = pd.DataFrame({"optimizer": [], "game": []})
    said = " ".join(caveat.words for caveat in warnings_of(records, asked, [found], {}))
    assert ("No power" in said) == (seeds < needed)
    assert ("Little power" in said) == (needed <= seeds < needed + 2)


def test_a_verdict_shows_the_warnings_of_those_who_lead():
    found = verdict(10, 1)
    said = [
        RunWarning("mine", "r0", ("g0", "g1")),
        RunWarning("tied", "r1", ("g0",)),
        RunWarning("other", "r2", ("g0",)),
    ]
    said += [RunWarning("elsewhere", "r0", ("g1",)), RunWarning("all")]
    assert [caveat.text for caveat in concerning(said, found)] == ["mine", "tied"]
    assert said[0].words == "r0 on g0, g1: mine"


def test_who_won_where_begins_with_who_won_most():
    found = winners([verdict(9, 1, "a", "x"), verdict(9, 1, "b", "y"), verdict(9, 1, "c", "y"), verdict(9, 0, "d", "")])
    assert {rule: [finding.game for finding in won] for rule, won in found.items()} == {"y": ["b", "c"], "x": ["a"]}
    assert list(found) == ["y", "x"]


@pytest.mark.parametrize(
    ("scores", "nowhere"),
    [
        ([(1.0, 0.99), (1.0, 2.0), (1.0, 0.1)], True),
        ([(1.0, 0.99), (1.0, 0.1), (1.0, 0.1)], False),
        ([(1.0, 0.94), (2.0, 1.8)], False),
        ([(-1.0, -1.0)], True),
        ([], False),
    ],
)
def test_a_rule_gets_nowhere_if_half_of_its_seeds_end_no_better_than_they_began(scores, nowhere):
    rows = [
        {"seed": seed, "cost": cost, "value": value, "outcome": "ok", "phase": "report", "metric": "distance"}
        for seed, pair in enumerate(scores)
        for cost, value in zip((0.0, 100.0), pair, strict=True)
    ]
    diverged = [row | {"seed": 90 + row["seed"], "value": 9.0, "outcome": "diverged"} for row in rows]
    tuned = [row | {"phase": "tune", "value": 1.0} for row in rows]
    other = [row | {"metric": "field_norm", "value": 1.0} for row in rows]
    columns = ["seed", "cost", "value", "outcome", "phase", "metric"]
    records = pd.DataFrame([*tuned, *other, *diverged, *rows][::-1], columns=columns)
    assert gets_nowhere(STUDY.metric("distance"), records) == nowhere


def test_what_cannot_be_trained_has_no_rank_and_stands_last():
    given = table([[0.3, 0.1, 0.2]], spread=0.01)
    given.loc[1, "untrainable"] = True
    placed = ranks(given, study(3))
    assert [placed[name, "g0"].rank for name in names(3)] == [2, 3, 1]
    assert placed["r1", "g0"].words == "none: cannot be trained here"
    assert best(given, study(3)).tolist() == [False, False, True]
