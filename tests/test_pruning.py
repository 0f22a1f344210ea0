"""Giving up: who is clearly beaten, and that a stack that shrinks changes nobody's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from bench.execute import execute
from bench.plan import TUNING_SEED, Contest, Row
from bench.pruning import KEPT, given_up, paired

RNG = np.random.default_rng(0)


def test_the_best_are_never_given_up() -> None:
    for trials in range(1, 12):
        scores = RNG.normal(size=(trials, 3)) + RNG.normal(size=(trials, 1)) * 3
        out = paired(scores)
        best = np.argsort(np.median(scores, axis=1))[: min(KEPT, trials)]
        assert not out[scores.argmin(axis=0)].any(), "the best on a seed is beaten on every seed"
        if trials <= KEPT:
            assert not out.any()
        assert out.sum() <= trials - min(KEPT, trials)
        assert not (out[best].all() and trials > KEPT)


def test_only_order_counts_and_a_failure_is_the_worst() -> None:
    scores = RNG.normal(size=(9, 3)) + 2 * np.arange(9)[:, None]
    scores[8] = np.inf
    scores[7] = np.inf
    assert paired(scores).tolist() == paired(np.exp(scores)).tolist()
    order = RNG.permutation(9)
    assert paired(scores[order]).tolist() == paired(scores)[order].tolist()
    assert paired(scores)[7:].all()
    assert not paired(np.full((5, 2), np.inf)).any()


def test_nobody_is_given_up_for_one_bad_seed() -> None:
    scores = np.tile(np.arange(8.0)[:, None], (1, 3))
    scores[7, 1] = -1
    assert paired(scores).tolist() == [False] * 4 + [True] * 3 + [False]


def test_optunas_pruners_by_name() -> None:
    curves = np.stack([np.tile(np.arange(10.0)[:, None], (1, 3))] * 3)
    assert given_up("MedianPruner[n_startup_trials=2,n_warmup_steps=0]", curves).tolist() == [False] * 5 + [True] * 5
    assert not given_up("none", curves).any()


def rows(steps: list[float]) -> list[Row]:
    return [Row(TUNING_SEED + seed, (("lr", step),), number) for number, step in enumerate(steps) for seed in range(3)]


STEPS = [1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 1.0, 300.0]


@pytest.mark.parametrize(
    ("rule", "game"),
    [
        ("adam", "ring8[width=16,batch_size=16]"),
        ("extraadam", "ring8[width=16,batch_size=16]"),
        ("lookahead[inner=adam]", "ring8[width=16,batch_size=16]"),
        ("consensus", "ring8[width=16,batch_size=16]"),
        ("anderson", "bilinear[dim=3]"),
        ("sgd", "dirac"),
        ("adam", "digits[width=16,batch_size=16]"),
    ],
)
def test_a_stack_that_shrinks_changes_nobodys_numbers(rule: str, game: str) -> None:
    found = {}
    for pruner in ("none", "paired"):
        (chunk,) = Contest(rule, game, 60.0, 1, "cpu").chunks(rows(STEPS), "tune", 5, pruner)
        timeless = [{k: v for k, v in record.items() if k != "seconds"} for record in execute(chunk).records]
        found[pruner] = {(r["row"], r["cost"]): r for r in timeless}
    (whole,) = Contest(rule, game, 60.0, 5, "cpu").chunks(rows(STEPS), "report")  # where no stack ever shrinks
    names = {r["metric"] for r in found["none"].values()}
    straight = {
        (r["row"], r["cost"]): {k: v for k, v in r.items() if k != "seconds"}
        for r in execute(whole).records
        if r["metric"] in names
    }
    assert straight == found["none"]
    for key, record in found["paired"].items():
        if record["outcome"] == "interrupted":
            assert key[1] <= record["ended"] < 60
            record = record | {name: found["none"][key][name] for name in ("outcome", "ended")}
        assert record == found["none"][key]
    if rule == "adam" and game.startswith("ring8"):
        assert "interrupted" in {r["outcome"] for r in found["paired"].values()}


def test_rivals_of_rounds_before_count() -> None:
    rivals = tuple(tuple((-1e9,) * 3 for _ in range(4)) for _ in range(5))
    contest = Contest("adam", "ring8[width=16,batch_size=16]", 60.0, 1, "cpu")
    (alone,) = contest.chunks(rows([1e-3, 2e-3]), "tune", 5, "paired")
    (beaten,) = contest.chunks(rows([1e-3, 2e-3]), "tune", 5, "paired", rivals)
    assert {r["outcome"] for r in execute(alone).records} == {"ok"}
    records = execute(beaten).records
    assert {r["outcome"] for r in records} == {"interrupted"}
    assert {r["ended"] for r in records} == {24.0}
