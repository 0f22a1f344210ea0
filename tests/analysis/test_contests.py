"""Results of several runs ranked together: only what can be, each rule once, decided by what its seeds allow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.analysis.contests import Contest, Entry, Rule, Terms, contests
from bench.analysis.ranking import places
from bench.analysis.statistics import bootstrap_rules, holm, paired_test
from bench.registry.description import MetricDescription

LOWER, HIGHER = MetricDescription("distance"), MetricDescription("share", "higher", -math.inf)
TERMS = Terms("dirac", "", 200.0, ("step", 4, 2, "", "paired"), 4, "cpu", "distance", "lower", math.inf)
NOISE = np.random.default_rng(0).normal(size=40)


def entry(rule: str, scores: Any, seeds: Any = None, run: str = "a", **changes: Any) -> Entry:
    scores = np.asarray(scores, float)
    band = bootstrap_rules(scores[None])
    row = {name: float(part[0]) for name, part in zip(("iqm", "low", "high"), band, strict=True)}
    row |= {"untrainable": changes.pop("untrainable", False)}
    seeds = tuple(range(len(scores))) if seeds is None else tuple(seeds)
    return Entry(run, "dirac", rule, rule, Rule(rule, changes.pop("code", ""), ("lr",)), seeds, scores, row, **changes)


def contest(*entries: Entry, metric: MetricDescription = LOWER) -> Contest:
    (found,) = contests((TERMS, metric, one) for one in entries)
    return found


def placed(found: Contest) -> dict[str, str]:
    return {one.entry.name: one.place.words for one in found.ranked if one.place is not None}


@pytest.mark.parametrize(
    "change",
    [
        {"game": "dirac[gamma=2]"}, {"code": "af"}, {"budget": 100.0}, {"tuning": ("step", 8, 2, "", "paired")},
        {"tuning": ()}, {"tuning": ("given",)}, {"evaluations": 5}, {"device": "cuda"}, {"metric": "other"},
        {"better": "higher"}, {"worst": 0.0},
    ],
)  # fmt: skip
def test_what_was_not_trained_alike_is_not_ranked_together(change: dict[str, Any]) -> None:
    one, other = entry("sgd", NOISE[:8]), entry("adam", NOISE[8:16])
    assert [len(found.ranked) for found in contests([(TERMS, LOWER, one), (TERMS, LOWER, other)])] == [2]
    apart = contests([(TERMS, LOWER, one), (TERMS._replace(**change), LOWER, other)])
    assert [len(found.ranked) for found in apart] == [1, 1]


@pytest.mark.parametrize(("metric", "sign"), [(LOWER, 1), (HIGHER, -1)])
def test_places_are_those_of_one_run(metric: MetricDescription, sign: int) -> None:
    entries = [entry(f"rule{k}", sign * (k / 2 + NOISE[8 * k : 8 * k + 8]), run=f"run{k}") for k in range(4)]
    rows = pd.DataFrame([dict(one.row) for one in entries])
    expected = {one.name: place.words for one, place in zip(entries, places(rows, metric), strict=True)}
    assert placed(contest(*entries, metric=metric)) == expected
    assert len(set(expected.values())) > 2
    first = contest(*entries, metric=metric).first
    assert first is not None
    assert expected[first.entry.name].startswith("1")


def test_the_same_seeds_are_paired_and_others_are_not() -> None:
    """Paired by seed a constant shift is seen, however wide the intervals are; from other seeds it is not."""
    base = 10 * NOISE[:12]
    same = contest(entry("sgd", base), entry("adam", base + 0.5), entry("ttur", base + 0.6))
    assert same.paired
    assert [one.behind for one in same.entries] == [None, True, True]
    tests = [paired_test(base, base + shift) for shift in (0.5, 0.6)]
    assert [one.p for one in same.entries[1:]] == list(holm(tests))
    other = contest(entry("sgd", base), entry("adam", base + 0.5, seeds=range(50, 62)))
    assert not other.paired
    assert [one.behind for one in other.entries] == [None, False]
    assert math.isnan(other.entries[1].p)
    far = contest(entry("sgd", base), entry("adam", base + 500, seeds=range(50, 62)))
    assert far.entries[1].behind


def test_what_is_better_on_most_seeds_is_not_behind() -> None:
    """A mean may put a rule first that loses on nearly every seed."""
    first, other = np.r_[np.full(12, 1.0), np.full(4, -50.0)], np.r_[np.full(12, 0.5), np.full(4, 9.0)]
    found = contest(entry("sgd", first), entry("adam", other))
    assert all(not one.behind for one in found.entries)


def test_a_rule_is_ranked_once_by_the_run_with_the_most_seeds() -> None:
    """However often, and however well, it is handed in: the others' places stay."""
    alone = contest(entry("sgd", NOISE[:8]), entry("adam", NOISE[:8] + 1), entry("ttur", NOISE[:8] + 2))
    many = [entry("ttur", NOISE[:7] - k, seeds=range(7), run=f"b{k}") for k in range(5)]
    again = contest(*(one.entry for one in alone.entries), *many)
    assert placed(again) == placed(alone)
    assert [one.entry.name for one in again.entries] == ["sgd", "adam", *["ttur"] * 6]
    assert [one.entry.run for one in again.entries[3:]] == ["b0", "b1", "b2", "b3", "b4"]
    assert all(one.place is None and not one.level for one in again.entries[3:])
    more = contest(entry("sgd", NOISE[:8]), entry("sgd", NOISE[8:24] + 9, run="b"))
    assert [(one.entry.run, one.place is None) for one in more.entries] == [("b", False), ("a", True)]


def test_a_verified_run_stands_for_its_rule_before_a_longer_one() -> None:
    known = entry("sgd", NOISE[:6], run="z", verified=True)
    found = contest(known, entry("sgd", NOISE[:12] - 9, run="a"), entry("adam", NOISE[:8] + 5))
    assert [(one.entry.run, one.place is None) for one in found.entries] == [("z", False), ("a", True), ("a", False)]


def test_what_was_refuted_has_no_place_and_moves_nobody() -> None:
    alone = contest(entry("sgd", NOISE[:8]), entry("adam", NOISE[:8] + 1))
    lies = (
        entry("ttur", NOISE[:8] - 99, run="b", verified=False),
        entry("sgd", NOISE[:20] + 99, run="b", verified=False),
    )
    found = contest(*(one.entry for one in alone.entries), *lies)
    assert placed(found) == placed(alone)
    assert [(one.entry.name, one.entry.run) for one in found.entries if one.place is None] == [
        ("sgd", "b"),
        ("ttur", "b"),
    ]
    assert contest(*lies).first is None
    assert contest(*lies).ranked == []


@pytest.mark.parametrize(("one", "other", "told"), [(True, False, True), (None, False, False), (None, True, True)])
def test_what_is_known_of_the_very_same_trainings(one: bool | None, other: bool | None, told: bool | None) -> None:
    chunks = frozenset({"c1"})
    pair = [
        entry("sgd", NOISE[:8], run=run, chunks=chunks, verified=known) for run, known in (("a", one), ("b", other))
    ]
    assert [ranked.entry.verified for ranked in contest(*pair).entries] == [told]


def test_another_code_is_another_rule() -> None:
    found = contest(entry("sgd", NOISE[:8]), entry("sgd", NOISE[:8] + 1, run="b", code="af"))
    assert [one.place is None for one in found.entries] == [False, False]


def test_the_very_same_trainings_are_one_row() -> None:
    chunks = frozenset({"c1"})
    one = entry("sgd", NOISE[:8], run="b", chunks=chunks)
    found = contest(
        one, entry("sgd", NOISE[:8], run="a", chunks=chunks), entry("sgd", NOISE[:8], run="c", chunks=chunks)
    )
    assert [(ranked.entry.run, ranked.entry.copies) for ranked in found.entries] == [("a", ("b", "c"))]
    other = contest(one, entry("sgd", np.nextafter(NOISE[:8], 9), run="a", chunks=chunks))
    assert len(other.entries) == 2, "the same training with other numbers is seen"


def test_what_failed_or_cannot_be_trained_leads_nothing() -> None:
    lost = entry("sgd", np.full(8, np.inf))
    found = contest(lost, entry("adam", NOISE[:8] - 9, untrainable=True))
    assert found.first is None
    assert placed(found) == {"sgd": "1.5 (1–2)", "adam": "none: cannot be trained here"}
    led = contest(lost, entry("adam", NOISE[:8]), entry("ttur", NOISE[:8] - 9, untrainable=True))
    assert led.first is not None
    assert led.first.entry.name == "adam"
    assert [one.behind for one in led.entries] == [None, True, True]
