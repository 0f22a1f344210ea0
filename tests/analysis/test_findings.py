"""The verdict on a game: who is best, who cannot be told apart, and what it says where nothing can be said."""

from __future__ import annotations

import math

import pandas as pd

from bench.analysis.findings import Finding, findings
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
