"""The verdict on a game: who is best, who cannot be told apart, and what it says where nothing can be said."""

from __future__ import annotations

import math

import pandas as pd
from silent import silent_games

from bench.analysis.findings import Finding, findings, next_level, seeds_in_words
from bench.analysis.formatting import about
from bench.analysis.statistics import seeds_needed
from bench.analysis.table import table
from bench.studies.study import Study


def records(**curves: list[float]) -> pd.DataFrame:
    """Final distances on dirac by rule, inf for a replica that diverged."""
    return pd.DataFrame(
        {"optimizer": rule, "game": "dirac", "hyperparameters": "{}", "seed": seed, "phase": "report", "trial": -1}
        | {"metric": "distance", "seconds": 0.1, "outcome": "ok" if math.isfinite(value) else "diverged"}
        | {"cost": cost, "value": 1.0 if cost == 0 or math.isinf(value) else value}
        | {"ended": 10.0 if math.isfinite(value) else 5.0}
        for rule, values in curves.items()
        for seed, value in enumerate(values)
        for cost in (0.0, 5.0, 10.0)
        if cost <= 5 or math.isfinite(value)
    )


def verdict(**curves: list[float]) -> Finding:
    long = records(**curves)
    study = Study.model_construct(optimizers=list(curves), games=["dirac"])
    with silent_games():
        (found,) = findings(table(long, study), long, study)
    return found


NEAR = [0.10 + 0.01 * k for k in range(10)]


def test_a_clear_winner_and_what_it_is_better_by() -> None:
    found = verdict(far=[3 * x for x in NEAR], near=NEAR)
    assert (found.best, found.tied, [rival.rule for rival in found.worse]) == ("near", [], ["far"])
    (rival,) = found.worse
    assert rival.p == 2 / 2**10
    assert found.behind(rival) == "3 times its score"
    assert (rival.improvement.low, rival.improvement.value) <= (1.0, 1.0)


def test_who_swaps_places_from_seed_to_seed_is_not_told_apart() -> None:
    swapped = [x + (0.001 if k % 2 else -0.001) for k, x in enumerate(NEAR)]
    found = verdict(one=NEAR, other=swapped, bad=[math.inf] * 10)
    assert {found.best, *(rival.rule for rival in found.tied)} == {"one", "other"}
    assert [rival.rule for rival in found.worse] == ["bad"]
    assert found.behind(found.worse[0]) == "most replicas failed"


def test_p_values_of_a_game_are_corrected_together() -> None:
    alone = verdict(near=NEAR, far=[x + 0.5 for x in NEAR]).rivals[0].p
    among = verdict(near=NEAR, far=[x + 0.5 for x in NEAR], further=[x + 1 for x in NEAR], last=[x + 2 for x in NEAR])
    assert [rival.p for rival in among.rivals] == [3 * alone] * 3


def test_where_nothing_can_be_said() -> None:
    assert verdict(one=[math.inf] * 4, other=[math.inf] * 4).best == ""
    lonely = verdict(one=NEAR)
    assert (lonely.best, lonely.rivals) == ("one", [])
    few = verdict(one=[0.1] * 3, other=[0.2] * 3)
    assert not few.decidable
    assert few.tied
    assert verdict(one=NEAR, other=NEAR).rivals[0].p == 1


def test_failures_are_counted_the_worst_first() -> None:
    found = verdict(some=[math.inf, *NEAR[1:]], none=NEAR, all=[math.inf] * 10)
    assert [(failure.rule, failure.words) for failure in found.failures] == [
        ("all", "10 of 10 diverged"),
        ("some", "1 of 10 diverged"),
    ]


def test_what_is_nearly_equal_is_said_to_be() -> None:
    found = verdict(one=NEAR, other=[x * 1.004 for x in NEAR])
    assert found.behind(found.rivals[0]) == "equal to two digits"


# How many seeds would do it


def leaning(share: float, seeds: int = 20) -> list[float]:
    """Scores beside those of `EVEN`, most of them a little worse."""
    signs = [1 if k < share * seeds else -1 for k in range(seeds)]
    return [x + sign * 0.001 * (1 + k % 7) for k, (x, sign) in enumerate(zip(EVEN, signs, strict=True))]


EVEN = [0.1 + 0.01 * k for k in range(20)]


def test_the_verdict_says_how_many_seeds_would_tell_a_tied_rule_apart() -> None:
    found = verdict(best=EVEN, near=leaning(0.7), far=[x + 1 for x in EVEN])
    (near,) = found.tied
    assert near.seeds == seeds_needed(EVEN, leaning(0.7)) > found.seeds
    assert [rival.seeds for rival in found.worse] == [0]
    assert found.power == f"{about(near.seeds)} would tell best and near apart"


def test_the_smallest_p_is_that_of_all_seeds_for_one_rule_and_no_more_than_one() -> None:
    assert verdict(best=EVEN[:5], one=leaning(0.7)[:5], other=leaning(0.75)[:5]).smallest == 2 * 2.0**-4
    assert verdict(best=[0.1], one=[0.2], other=[0.3], last=[0.4]).smallest == 1


def test_the_level_is_that_of_holms_next_step() -> None:
    """One of three is told apart; the other two share the level."""
    found = verdict(best=EVEN, one=leaning(0.7), other=leaning(0.75), far=[x + 1 for x in EVEN])
    assert {rival.rule: rival.seeds for rival in found.tied} == {
        "one": seeds_needed(EVEN, leaning(0.7), 0.05 / 2), "other": seeds_needed(EVEN, leaning(0.75), 0.05 / 2)
    }  # fmt: skip
    assert next_level([0.01, 0.2, 0.3]) == 0.05 / 2
    assert next_level([0.01]) == 0.05


def test_what_takes_more_than_a_thousand_seeds_is_level() -> None:
    assert verdict(one=EVEN, other=EVEN).power == (
        "more than 1,000 seeds would be needed for other: level with one for all practical purposes"
    )
    assert verdict(one=EVEN, other=[x + 1 for x in EVEN]).power == ""


def test_the_words_name_the_nearest_first_and_count_the_rest() -> None:
    seeds = {"a": 1001.0, "b": 333.0, "c": 40.0, "d": 99.0, "e": math.inf}
    assert seeds_in_words("x", seeds, most=2) == (
        "about 40 seeds would tell x and c apart; about 99 seeds x and d (1 more rule takes more); "
        "more than 1,000 seeds would be needed for a, e: level with x for all practical purposes"
    )
    assert seeds_in_words("x", {}) == ""
    assert [about(count) for count in (9, 40, 101, 991, 1000)] == [
        f"about {words} seeds" for words in ("9", "40", "110", "1,000", "1,000")
    ]
