"""What the page says of tuning is in the records, and what a failure leaves is saved."""

import copy
import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from pages import Page, rendered
from scipy.stats import trim_mean
from silent import silent_games

import bench
from bench.analysis.formatting import number
from bench.analysis.table import to_csv
from bench.registry import get_metric
from bench.studies.tuning.sensitivity import Trials, tuning
from bench.studies.tuning.tuner import replicas


@pytest.fixture(scope="module")
def run(reported):
    return reported


@pytest.fixture(scope="module")
def html(reported_html):
    return reported_html


TUNED = bench.Study(
    optimizers="adam,sgd[lr=0.1],ttur", games="dirac", seeds="0-1", trials=8, tuning_seeds=3, budget=100, evaluations=4
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run of a rule with one step size to tune, of one with nothing, of one with two; some trials are given up."""
    with silent_games():
        return bench.run(TUNED, out=tmp_path_factory.mktemp("tuned") / "run")


@pytest.fixture(scope="module")
def spoilt(tuned):
    """Its records with one trial of Adam's bad on two of its three seeds, one on one: resamples disagree on both."""
    records = tuned.records.copy()
    mine = (records["optimizer"] == "adam") & (records["phase"] == "tune")
    first, last = (records["seed"] == end for end in records.loc[mine, "seed"].agg(["min", "max"]))
    records.loc[mine & ((records["trial"] == 2) & ~first | (records["trial"] == 7) & last), "value"] *= 10
    return records


def told(html, game):
    """The table of tuning: rule -> its cells as people read them."""
    table = html[html.index(f'aria-label="Tuning on {game}"') :]
    rows = re.findall(r'<th scope="row" data-value="([^"]+)">(.*?)</tr>', table[: table.index("</table>")], re.DOTALL)
    return {rule: re.findall(r"<td[^>]*>([^<]*)</td>", row) for rule, row in rows}


def ends_of(records, rule, phase):
    """trial -> seed -> (last value, outcome, cost) on the Dirac-GAN, from the records row by row."""
    found = {}
    own = records[(records["optimizer"] == rule) & (records["phase"] == phase) & (records["metric"] == "distance")]
    for row in own.sort_values(["cost", "seed"]).itertuples():
        found.setdefault(row.trial, {})[row.seed] = (row.value, row.outcome, row.ended)
    return found


def counted(ends):
    """What each trial counts as on each seed, lower is better: failures inf, the ones given up as they then were."""
    beaten = [trial for trial, seeds in ends.items() if "interrupted" in {outcome for _, outcome, _ in seeds.values()}]
    failed = {"diverged", "error"}
    found = {t: [np.inf if o in failed else v for v, o, _ in seeds.values()] for t, seeds in sorted(ends.items())}
    winner = min((trial for trial in found if trial not in beaten), key=lambda trial: np.mean(found[trial]))
    for trial in beaten:
        found[trial] = [max(pair) for pair in zip(found[trial], found[winner], strict=True)]
    return found, beaten


def resampled(scores):
    """trial -> its mean, for every draw of as many seeds as there are."""
    n = len(next(iter(scores.values())))
    for seeds in itertools.product(range(n), repeat=n):
        yield {trial: np.mean([values[s] for s in seeds]) for trial, values in scores.items()}


def changes(scores, chosen):
    """In what share of the draws of seeds another trial has the better interquartile mean."""
    seeds = np.array(list(itertools.product(range(len(scores[chosen])), repeat=len(scores[chosen]))))
    means = {trial: trim_mean(np.array(values)[seeds], 0.25, axis=1) for trial, values in scores.items()}
    return np.mean(np.min(list(means.values()), axis=0) < means[chosen])


def width(steps, means):
    """Decades between neighbours that both are within twice the best."""
    order = sorted(steps, key=steps.get)
    good = {trial for trial in order if np.isfinite(means[trial]) and means[trial] <= 2 * min(means.values())}
    pairs = [(a, b) for a, b in itertools.pairwise(order) if {a, b} <= good]
    return sum(np.log10(steps[b] / steps[a]) for a, b in pairs)


def row_by_hand(records, rule):
    """A rule's row on the Dirac-GAN, worked out of the records alone."""
    tune, rerank = ends_of(records, rule, "tune"), ends_of(records, rule, "rerank")
    own = records[records["optimizer"] == rule]
    values = {
        n: json.loads(text)
        for n, text in own[own["phase"] == "tune"].groupby("trial")["hyperparameters"].first().items()
    }
    frozen = json.loads(own.loc[own["phase"] == "report", "hyperparameters"].iloc[0])
    scores, beaten = counted(tune)
    again = {t: [v if o == "ok" else np.inf for v, o, _ in seeds.values()] for t, seeds in rerank.items()}
    first = {t: [v if o == "ok" else np.inf for v, o, _ in seeds.values()] for t, seeds in tune.items()}
    both = {t: first[t] + again[t] for t in again}
    firm = any(np.isfinite(trim_mean(values, 0.25)) for values in both.values())
    means = {trial: np.mean(values) for trial, values in scores.items()}
    (chosen,) = [trial for trial in again if values[trial] == frozen]
    spent = sum(cost for ends in (tune, rerank) for seeds in ends.values() for _, _, cost in seeds.values())
    row = {
        "trials": len(tune),
        "failed": sum(np.isinf(mean) for trial, mean in means.items() if trial not in beaten),
        "given_up": len(beaten),
        "choice_changes": changes(both if firm else scores, chosen),
        "granted": (8 * 3 + 3 * 3) * 100,
        "spent": spent,
        "saved": 1 - spent / ((8 * 3 + 3 * 3) * 100),
        "best_of_all": min(means.values()),
    }
    if len(frozen) == 1:
        steps = {trial: next(iter(value.values())) for trial, value in values.items()}
        widths = [width(steps, found) for found in resampled(scores)]
        row |= {"good_band": width(steps, means), "good_band_low": min(widths), "good_band_high": max(widths)}
    for k in (1, 2, 4):  # of trials 0 to 3, which spread
        drawn = [min(means[trial] for trial in chosen) for chosen in itertools.combinations(range(4), k)]
        row[f"best_of_{k}"] = np.mean(drawn)
    return row, frozen


@pytest.mark.parametrize("rule", ["adam", "ttur"])
def test_what_tuning_tells_is_in_the_records(tuned, spoilt, rule):
    found = tuning(spoilt, tuned.study).set_index("optimizer")
    assert list(found.index) == ["adam", "ttur"]  # the other one had nothing to tune
    expected, frozen = row_by_hand(spoilt, rule)
    row = found.loc[rule]
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    shown = dict(part.split("=") for part in row["hyperparameters"].split(", "))
    assert {name: float(value) for name, value in shown.items()} == frozen
    assert row["granted"] == replicas(TUNED, rule) * 100
    assert row["given_up"] > 0
    assert np.isnan(row["good_band"]) == (rule == "ttur")
    assert rule == "ttur" or row["good_band_low"] <= row["good_band"] < row["good_band_high"]
    for name in ("best_of_1", "best_of_2", "best_of_4", "best_of_all"):
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert "best_of_8" not in found


@pytest.mark.parametrize("rule", ["adam", "ttur"])
def test_the_table_of_tuning_shows_it(tuned, spoilt, rule):
    html = rendered(tuned, spoilt)
    cells = told(html, "dirac")
    assert list(cells) == ["adam", "ttur"]
    expected, frozen = row_by_hand(spoilt, rule)
    chosen, band, changes, *counts, spent, saved = cells[rule]
    values = {name: float(value) for name, value in (part.split("=") for part in chosen.split(", "))}
    assert values == pytest.approx(frozen, rel=5e-3)
    ends = [number(expected[name]) for name in ("good_band", "good_band_low", "good_band_high") if rule == "adam"]
    assert band == (f"{ends[0]} [{ends[1]}, {ends[2]}]" if ends else "–")
    assert changes == f"{number(100 * expected['choice_changes'])} %"
    assert counts == [str(expected["failed"]), str(expected["given_up"])]
    assert (spent, saved) == (number(expected["spent"], 6), f"{number(100 * expected['saved'])} %")
    text = Page(html).text
    assert "granted a cost of 3300 gradient evaluations" in text
    assert "Expected best of k trials on dirac" in text
    assert "sgd[lr=0.1] on dirac: it had nothing to tune" in text


def test_the_same_records_give_the_same_csv(tuned):
    first = to_csv(tuning(tuned.records, tuned.study))
    assert first == to_csv(tuning(bench.Run(tuned.path).records.sample(frac=1, random_state=0), tuned.study))
    assert first.startswith("game,optimizer,metric,better,hyperparameters,trials,failed,given_up,good_band,")


def test_what_a_failure_leaves_is_saved(tuned):
    records, study = tuned.records.astype({"outcome": str}), tuned.study
    before = tuning(records, study).set_index("optimizer").loc["adam"]
    own = (records["optimizer"] == "adam") & (records["phase"] == "tune") & (records["outcome"] == "ok")
    one = own & (records["trial"] == records[own]["trial"].iloc[0]) & (records["seed"] == records[own]["seed"].iloc[0])
    records.loc[one, ["outcome", "ended"]] = ["diverged", 7.0]  # between two evaluations
    after = tuning(records, study).set_index("optimizer").loc["adam"]
    assert after["spent"] == before["spent"] - 100 + 7
    assert after["saved"] == pytest.approx(before["saved"] + 93 / after["granted"])


def test_where_every_trial_fails_nothing_is_chosen(tuned):
    records = tuned.records.astype({"outcome": str})
    records.loc[records["phase"].isin(["tune", "rerank"]) & (records["optimizer"] == "adam"), "outcome"] = "diverged"
    row = tuning(records, tuned.study).set_index("optimizer").loc["adam"]
    assert row[["failed", "given_up", "good_band", "good_band_high"]].tolist() == [8, 0, 0, 0]
    assert np.isnan(row["choice_changes"])
    assert set(row[[name for name in row.index if name.startswith("best_of")]]) == {np.inf}
    html = rendered(tuned, records)
    assert told(html, "dirac")["adam"][2] == "–"
    assert "Not drawn, for all k may fail: adam at any k" in Page(html).text
    alone = rendered(tuned, records[records["optimizer"] == "adam"])
    assert "Expected best" not in Page(alone).text  # there is nothing to draw
    assert list(told(alone, "dirac")) == ["adam"]


def test_where_all_finalists_fail_again_the_first_seeds_of_the_others_decide(tuned):
    records = tuned.records.astype({"outcome": str})
    records.loc[records["phase"] == "rerank", "outcome"] = "diverged"
    own = records["optimizer"] == "adam"
    finalists = set(records.loc[own & (records["phase"] == "rerank"), "trial"])
    pruned = set(records.loc[own & (records["outcome"] == "interrupted"), "trial"])
    scores, _ = counted(ends_of(records, "adam", "tune"))
    scores = {trial: found for trial, found in scores.items() if trial not in finalists | pruned}
    winner = min(scores, key=lambda trial: np.mean(scores[trial]))
    of_winner = own & (records["phase"] == "tune") & (records["trial"] == winner)
    records = records.astype({"hyperparameters": str})
    frozen = records.loc[of_winner, "hyperparameters"].iloc[0]
    records.loc[own & (records["phase"] == "report"), "hyperparameters"] = frozen
    row = tuning(records, tuned.study).set_index("optimizer").loc["adam"]
    assert row["choice_changes"] == pytest.approx(changes(scores, winner))


def test_a_single_tuning_seed_says_nothing_of_others(tuned):
    records, study = tuned.records, tuned.study.model_copy(update={"tuning_seeds": 1})
    first = records[records["phase"].isin(["tune", "rerank"])].groupby("phase", observed=True)["seed"].min()
    kept = (records["phase"] == "report") | records["seed"].isin(first)
    row = tuning(records[kept], study).set_index("optimizer").loc["adam"]
    assert np.isfinite(row["good_band"])
    assert np.isnan(row[["good_band_low", "good_band_high", "choice_changes"]].astype(float)).all()


def test_values_that_have_no_decades_or_stand_twice(tuned):
    own = (tuned.records["optimizer"] == "adam") & (tuned.records["phase"] == "tune")

    def band(text, without=()):
        records = tuned.records.astype({"hyperparameters": str})
        records.loc[own & (records["trial"] == 0), "hyperparameters"] = text
        kept = records[~(own & records["trial"].isin(without))]
        return tuning(kept, tuned.study).set_index("optimizer").loc["adam", "good_band"]

    assert np.isnan(band('{"lr": 0.0}'))  # no step size, but a momentum, say
    other = tuned.records.loc[own & (tuned.records["trial"] == 1), "hyperparameters"].iloc[0]
    assert band(other) == band(other, without=[1])  # of two alike the first counts


def test_trials_that_a_sampler_proposed_are_not_drawn_at_random(tuned):
    found = tuning(tuned.records, tuned.study.model_copy(update={"sampler": "TPESampler"}))
    assert [name for name in found if name.startswith("best_of")] == [
        "best_of_all",
        "best_of_all_low",
        "best_of_all_high",
    ]
    manifest = copy.deepcopy(tuned.manifest)
    manifest["study"]["sampler"] = "TPESampler"
    html = rendered(tuned, manifest=manifest)
    assert "Expected best" not in html
    assert list(told(html, "dirac")) == ["adam", "ttur"]


def test_what_a_trial_counts_as_that_was_given_up():
    """As it stood, but never as better than the best that went on; where replicas failed before, as the worst there."""
    values = np.array([[1.0, 2, 3], [np.nan, 5, 5], *[[np.nan] * 3] * 3])
    stood = np.array([[np.nan] * 3, [np.nan] * 3, [0.5, 9, 4], [np.nan, 7, 0.1], [np.nan] * 3])
    means = np.array([2, np.inf, np.inf, np.inf, np.inf])
    trials = Trials(("lr",), np.ones((5, 1)), values, means, (), stood, np.ones(5), np.arange(5))
    assert trials.pruned.tolist() == [False, False, True, True, False]
    assert trials.failed.tolist() == [False, True, False, False, True]
    inf = np.inf
    lower = [[1, 2, 3], [inf, 5, 5], [1, 9, 4], [inf, 7, 3], [inf] * 3]
    assert trials.scores(get_metric("distance")).tolist() == lower
    mirrored = trials._replace(values=-values, stood=-stood, means=-means)
    higher = get_metric("modes")
    found = mirrored.scores(dataclasses.replace(higher, worst=-inf))
    assert found.tolist() == (-np.array(lower)).tolist()
