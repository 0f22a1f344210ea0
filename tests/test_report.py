"""The report: its numbers are the records', it stands alone, it is inert, and it says what is missing."""

import base64
import copy
import dataclasses
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import HOSTILE, RING, STUDY, Page, hostile_page, rendered
from scipy.stats import trim_mean, wilcoxon

import bench
from bench.analysis.formatting import number
from bench.analysis.outcomes import survivals
from bench.analysis.ranking import places, standing
from bench.analysis.statistics import Band, Interval
from bench.analysis.table import best, to_csv
from bench.contracts import Collapse
from bench.registry import get_metric
from bench.report.figures import pictures
from bench.report.figures import scores as figures
from bench.report.figures import tuning as tuning_figures
from bench.report.figures.panels import Axis, looks
from bench.report.figures.scores import Curve, Scores
from bench.report.figures.strokes import line, walk
from bench.report.figures.svg import shared, svg
from bench.studies.order import make_order
from bench.studies.toml import read_toml, study_file
from bench.studies.tuning.sensitivity import Effort, Trials, trials_of, tuning
from bench.studies.tuning.tuner import replicas

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run(reported):
    return reported


@pytest.fixture(scope="module")
def html(reported_html):
    return reported_html


@pytest.fixture(scope="module")
def hostile(reported):
    return hostile_page(reported)


def last_values(records, rule, game, metric):
    """What a replica had at the end, from the records as they are."""
    own = records[(records["phase"] == "report") & (records["metric"] == metric)]
    own = own[(own["optimizer"] == rule) & (own["game"] == game)]
    ends = own.loc[own.groupby("seed")["cost"].idxmax()]
    return np.where(ends["outcome"] == "ok", ends["value"], get_metric(metric).worst), ends


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_overview_shows_the_records_numbers(run, html):
    cells = Page(html).cells
    assert set(cells) == {(rule, game) for rule in STUDY.optimizers for game in STUDY.games}
    for (rule, game), (attributes, text) in cells.items():
        values, ends = last_values(run.records, rule, game, {"dirac": "distance"}.get(game, "sliced_wasserstein"))
        mean = trim_mean(values, 0.25)
        assert float(attributes["data-value"]) == pytest.approx(mean, rel=1e-12)
        shown = re.match(r"(\S+) \[(\S+), (\S+)\] rank ", text)
        assert shown[1] == number(mean)
        low, high = (float(end.replace("−", "-").replace("∞", "inf")) for end in shown.groups()[1:])
        assert min(values) * 0.99 <= low <= high * 1.01 <= max(values) * 1.03
        assert f"diverged {(ends['outcome'] == 'diverged').sum()} of 3 " in text


def test_the_overview_shows_the_tables_intervals_rates_and_ranks(run, html):
    cells, found = Page(html).cells, run.table()
    placed, over = places(found), standing(found, STUDY.optimizers)
    shown = Page(html).table("Overview table")
    for row in found.to_dict("records"):
        rule, game = row["optimizer"], row["game"]
        score = " ".join([number(row["iqm"]), f"[{number(row['low'])}, {number(row['high'])}]"])
        words = f"{score} rank {placed[rule, game].words} {share('diverged', row)}"
        words += f" {share('collapsed', row)}" if pd.notna(row["collapsed"]) else ""
        assert cells[rule, game][1] == words
        assert shown[rule]["mean rank"] == ({"data-value": str(over.ranks[rule])}, number(over.ranks[rule]))


def share(what, row):
    return f"{what} {row[what]} of {row['n']} ({100 * row[f'{what}_low']:.0f}–{100 * row[f'{what}_high']:.0f} %)"


def test_costs_are_summed_over_the_records(run, html):
    shown = Page(html).table("Cost table")
    for rule in STUDY.optimizers:
        totals = []
        for game in STUDY.games:
            own = run.records[(run.records["optimizer"] == rule) & (run.records["game"] == game)]
            spent, seconds = [], []
            for phases in (["report"], ["tune", "rerank"]):
                ends = own[own["phase"].isin(phases)].groupby(["phase", "trial", "seed"], observed=True)
                spent.append(ends["ended"].first().sum())
                seconds.append(ends["seconds"].max().sum())
            totals.append(sum(spent))
            attributes, text = shown[rule][game]
            assert float(attributes["data-value"]) == pytest.approx(totals[-1])
            costs, took = (" + ".join(map(form, parts)) for form, parts in ((six, spent), (number, seconds)))
            assert text.startswith(f"{costs} {took} s lr")
        assert float(shown[rule]["in all cost, seconds"][0]["data-value"]) == pytest.approx(sum(totals))


def six(value):
    return number(value, 6)


def test_the_verdicts_comparisons_are_of_the_records_scores(run, html):
    page, found = Page(html), run.table().set_index(["game", "optimizer"])
    compared = [name for name in page.tables if name.startswith("Comparisons on ")]
    assert compared
    for name in compared:
        game = name.removeprefix("Comparisons on ")
        metric = get_metric(found.loc[game, "metric"].iloc[0])
        assert metric.better == "lower"
        (rule,) = page.table(name)
        best = next(other for other in STUDY.optimizers if other != rule)
        own, other = (last_values(run.records, which, game, metric.name)[0] for which in (best, rule))
        assert trim_mean(own, 0.25) <= trim_mean(other, 0.25)
        cells = [text for _, text in page.table(name)[rule].values()]
        row = found.loc[game, rule]
        assert cells[1] == f"{number(row['iqm'])} [{number(row['low'])}, {number(row['high'])}]"
        assert float(cells[3]) == pytest.approx(wilcoxon(own, other).pvalue, rel=1e-2)
        won = np.mean([(x < y) + (x == y) / 2 for x in own for y in other])
        assert cells[4].startswith(f"{number(100 * won)} % [")
        assert cells[5] == "not told apart"
        assert f"{best} is best: {metric.name.replace('_', ' ')} {number(trim_mean(own, 0.25))} [" in page.text


def test_the_study_file_runs_the_same_study(html, tmp_path):
    assert study_file(STUDY.model_dump(mode="json")).strip() in "\n".join(Page(html).words)
    for study in (
        STUDY,
        bench.Study(optimizers="sgd", games="dirac", budget=12.5, tune="full", untuned=True, sampler="TPESampler"),
        bench.Study(optimizers="sgd", games=RING, hyperparameters={RING: {"sgd": {"lr": 1e-05}}}, pruner="none"),
    ):
        (tmp_path / "study.toml").write_text(study_file(study.model_dump(mode="json")), "utf-8")
        assert make_order(read_toml(tmp_path / "study.toml")).study == study


def test_the_chosen_hyperparameters_are_those_that_ran(run, html):
    text = Page(html).table("Cost table")["sgd"][RING][1]
    report = run.records[(run.records["phase"] == "report") & (run.records["game"] == RING)]
    frozen = report.loc[report["optimizer"] == "sgd", "hyperparameters"].unique()
    assert len(frozen) == 1
    step = float(re.search(r"[\d.e-]+(?=})", frozen[0])[0])
    assert float(re.search(r"lr=(\S+)", text)[1]) == pytest.approx(step, rel=5e-3)


def test_the_other_metrics_are_the_records_numbers(run, html):
    shown = others(html, RING)
    assert list(shown) == STUDY.optimizers
    for rule, found in shown.items():
        assert "high_quality" in found
        assert "sliced_wasserstein" not in found
        expected = {name: trim_mean(last_values(run.records, rule, RING, name)[0], 0.25) for name in found}
        assert found == pytest.approx(expected, rel=1e-12)


def test_a_perfect_samplers_scores_stand_below_and_only_where_samples_are_judged(html):
    table = html[html.index(f'aria-label="Other metrics on {RING}"') :]
    names = [name.replace(" ", "_") for name in re.findall(r"<button[^>]*>([^<]+)</button>", table)]
    foot = re.search(r"<tfoot>.*?</tfoot>", table)[0]
    shown = dict(zip(names[1:], re.findall(r"<td>([^<]*)</td>", foot), strict=False))
    assert float(shown["high_quality"]) == pytest.approx(0.989, abs=0.003)
    assert float(shown["modes"]) == 8
    assert {shown[name] for name in ("field_norm", "generator_loss", "averaging_gain", "jacobian_min_real")} == {"–"}
    assert (
        "<tfoot" not in html[: html.index(f'aria-label="Other metrics on {RING}"')]
    )  # the Dirac-GAN's data are a point


def test_survival_counts_every_replica_and_stops_at_what_it_met():
    rows = [("a", 0, "ok", 100.0, 5), ("a", 1, "diverged", 40.0, 5), ("b", 0, "ok", 100.0, 5), ("b", 1, "ok", 100.0, 0)]
    records = pd.DataFrame(
        {"optimizer": rule, "seed": seed, "outcome": outcome, "ended": ended, "phase": "report"}
        | {"metric": "modes_strict", "cost": float(cost), "value": modes if cost else 0}
        for rule, seed, outcome, ended, modes in rows
        for cost in (0, 20, 60, 100)
        if cost <= ended
    )
    found = survivals(records, ["a", "b"], Collapse("modes_strict", below=4), np.array([0.0, 39, 41, 100]))
    assert found["diverged"]["a"].value.tolist() == [1, 1, 0.5, 0.5]
    assert found["diverged"]["b"].value.tolist() == [1, 1, 1, 1]
    assert found["collapsed"]["a"].value.tolist() == [1, 1, 1, 1]
    assert found["collapsed"]["b"].value.tolist() == [1, 1, 1, 0.5]
    calm = survivals(records[records["seed"] == 0], ["a", "b"], None, np.array([0.0, 100]))
    assert calm == {}


def others(html, game):
    """The table of other metrics: rule -> metric -> value."""
    table = html[html.index(f'aria-label="Other metrics on {game}"') :]
    table = table[: table.index("</table>")]
    names = [name.replace(" ", "_") for name in re.findall(r"<button[^>]*>([^<]+)</button>", table)][1:]
    rows = re.findall(r'<th scope="row" data-value="([^"]+)">(.*?)</tr>', table)
    values = [[float(value) for value in re.findall(r'<td data-value="([^"]+)"', row)] for _, row in rows]
    return {rule: dict(zip(names, found, strict=True)) for (rule, _), found in zip(rows, values, strict=True)}


def test_what_a_reader_must_know(html):
    text = Page(html).text
    assert "Few seeds: 3." in text
    assert "2 update rules on 2 games, 3 seeds each" in text
    assert "tuned with 4 trials of 2 tuning seeds" in text
    assert "min_theta max_psi" in text
    assert "Sliced Wasserstein-2 distance of 2,500 samples" in text
    for piece in (
        "Protocol",
        "0-2; for tuning 2 others",
        "w+ = w - lr d(F(w))",
        "Heusel et al. 2017, arXiv:1706.08500",
    ):
        assert piece in text


def test_all_trials_failed_and_errors_are_said(run, html):
    records = run.records[(run.records["game"] == RING) & (run.records["optimizer"] == "sgd")].copy()
    records.loc[records["phase"] == "tune", "outcome"] = "diverged"
    text = Page(rendered(run, records, tensors=[], errors={"abc.txt": "ValueError: no step today"})).text
    assert f"sgd on {RING}: it is untunable there: every trial failed" in text
    assert "abc.txt: ValueError: no step today" in text
    assert f"sgd on {RING}: it is untunable there" not in Page(html).text


def test_a_rule_with_nothing_to_tune_is_named(run):
    records = run.records[(run.records["game"] == "dirac")]
    given = records[(records["optimizer"] != "sgd") | (records["phase"] == "report")]
    words = "sgd on dirac: it had nothing to tune"
    assert words in Page(rendered(run, given, tensors=[])).text
    assert words not in Page(rendered(run, records[records["phase"] == "tune"], tensors=[])).text


def test_untuned_says_so(run):
    manifest = copy.deepcopy(run.manifest)
    manifest["study"]["trials"] = 0
    text = Page(rendered(run, run.records[run.records["phase"] == "report"], manifest, [])).text
    assert "Nothing was tuned" in text
    assert not [
        words for words in ("Step sizes tried", "Expected best", "Good band", "Choice changes") if words in text
    ]


# --- what tuning tells -----------------------------------------------------------------------------------------------

TUNED = bench.Study(
    optimizers="adam,sgd[lr=0.1],ttur", games="dirac", seeds="0-1", trials=8, tuning_seeds=3, budget=100, evaluations=4
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run of a rule with one step size to tune, of one with nothing, of one with two; some trials are given up."""
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
    winner = min((trial for trial in found if trial not in beaten), key=lambda trial: np.median(found[trial]))
    for trial in beaten:
        found[trial] = [max(pair) for pair in zip(found[trial], found[winner], strict=True)]
    return found, beaten


def resampled(scores):
    """trial -> its median, for every draw of as many seeds as there are."""
    n = len(next(iter(scores.values())))
    for seeds in itertools.product(range(n), repeat=n):
        yield {trial: np.median([values[s] for s in seeds]) for trial, values in scores.items()}


def changes(scores, chosen):
    """In what share of the draws of seeds another trial has the better interquartile mean."""
    seeds = np.array(list(itertools.product(range(len(scores[chosen])), repeat=len(scores[chosen]))))
    means = {trial: trim_mean(np.array(values)[seeds], 0.25, axis=1) for trial, values in scores.items()}
    return np.mean(np.min(list(means.values()), axis=0) < means[chosen])


def width(steps, medians):
    """Decades between neighbours that both are within twice the best."""
    order = sorted(steps, key=steps.get)
    good = {trial for trial in order if np.isfinite(medians[trial]) and medians[trial] <= 2 * min(medians.values())}
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
    medians = {trial: np.median(values) for trial, values in scores.items()}
    (chosen,) = [trial for trial in again if values[trial] == frozen]
    spent = sum(cost for ends in (tune, rerank) for seeds in ends.values() for _, _, cost in seeds.values())
    row = {
        "trials": len(tune),
        "failed": sum(np.isinf(median) for trial, median in medians.items() if trial not in beaten),
        "given_up": len(beaten),
        "choice_changes": changes(both if firm else scores, chosen),
        "granted": (8 * 3 + 3 * 3) * 100,
        "spent": spent,
        "saved": 1 - spent / ((8 * 3 + 3 * 3) * 100),
        "best_of_all": min(medians.values()),
    }
    if len(frozen) == 1:
        steps = {trial: next(iter(value.values())) for trial, value in values.items()}
        widths = [width(steps, found) for found in resampled(scores)]
        row |= {"good_band": width(steps, medians), "good_band_low": min(widths), "good_band_high": max(widths)}
    for k in (1, 2, 4):  # of trials 0 to 3, which spread
        drawn = [min(medians[trial] for trial in chosen) for chosen in itertools.combinations(range(4), k)]
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
    assert rule == "ttur" or row["good_band_low"] < row["good_band"] < row["good_band_high"]
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
    given_up = set(records.loc[own & (records["outcome"] == "interrupted"), "trial"])
    scores, _ = counted(ends_of(records, "adam", "tune"))
    scores = {trial: found for trial, found in scores.items() if trial not in finalists | given_up}
    winner = min(scores, key=lambda trial: np.mean(scores[trial]))
    of_winner = own & (records["phase"] == "tune") & (records["trial"] == winner)
    records = records.astype({"hyperparameters": str})
    frozen = records.loc[of_winner, "hyperparameters"].iloc[0]
    records.loc[own & (records["phase"] == "report"), "hyperparameters"] = frozen
    row = tuning(records, tuned.study).set_index("optimizer").loc["adam"]
    assert row["choice_changes"] == pytest.approx(changes(scores, winner))


def test_a_single_tuning_seed_says_nothing_of_others(tuned):
    records, study = tuned.records, tuned.study | {"tuning_seeds": 1}
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
    found = tuning(tuned.records, tuned.study | {"sampler": "TPESampler"})
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
    medians = np.array([2, 5, np.inf, np.inf, np.inf])
    trials = Trials(("lr",), np.ones((5, 1)), values, medians, (), stood, np.ones(5), np.arange(5))
    assert trials.given_up.tolist() == [False, False, True, True, False]
    assert trials.failed.tolist() == [False, False, False, False, True]
    inf = np.inf
    lower = [[1, 2, 3], [inf, 5, 5], [1, 9, 4], [inf, 7, 3], [inf] * 3]
    assert trials.scores(get_metric("distance")).tolist() == lower
    mirrored = trials._replace(values=-values, stood=-stood, medians=-medians)
    higher = get_metric("modes")
    found = mirrored.scores(dataclasses.replace(higher, worst=-inf))
    assert found.tolist() == (-np.array(lower)).tolist()


# --- what is not there -----------------------------------------------------------------------------------------------


def test_unfinished(run, html):
    records = run.records
    report, ttur, sgd = (records["phase"] == "report"), records["optimizer"] == "ttur", records["optimizer"] == "sgd"
    ring, dirac = records["game"] == RING, records["game"] == "dirac"
    gone = (report & ttur & ring) | (report & sgd & ring & (records["seed"] == 1)) | (sgd & dirac)
    page = Page(rendered(run, records[~gone], tensors=[]))
    missing = {key for key, (_, text) in page.cells.items() if text == "missing"}
    assert missing == {("ttur", RING), ("sgd", RING), ("sgd", "dirac")}
    assert f"ttur on {RING} is not finished: 0 of 3 seeds" in page.text
    assert f"sgd on {RING} is not finished: 2 of 3 seeds" in page.text
    assert page.cells["ttur", "dirac"][0]["data-value"] == Page(html).cells["ttur", "dirac"][0]["data-value"]
    other = Page(rendered(run, records[~(report & ttur & ring) & ring], tensors=[]))
    assert f"Pairs of step sizes tried on {RING}" in other.text  # what an unfinished rule tried is there


def test_one_game_or_nothing_at_all(run):
    page = Page(rendered(run, run.records[run.records["game"] == "dirac"], tensors=[]))
    assert {text for (_, game), (_, text) in page.cells.items() if game == RING} == {"missing"}
    empty = Page(rendered(run, run.records[:0], tensors=[]))
    assert {text for _, text in empty.cells.values()} == {"missing"}
    assert "dirac is not finished: no rule has a seed there yet" in empty.text


@pytest.mark.parametrize("ending", ["diverged", "error"])
def test_all_failed(run, ending):
    records = run.records[(run.records["phase"] == "report") & (run.records["game"] == "dirac")]
    if ending == "diverged":
        records = records[records["cost"] < 20].assign(outcome=ending, ended=20.0)
    else:
        records = records[(records["metric"] == "distance") & (records["cost"] == 0)]
        records = records.assign(outcome=ending, ended=0.0, value=np.nan)
    html = rendered(run, records, tensors=run.tensors() if ending == "diverged" else [])
    cells = {key: cell for key, cell in Page(html).cells.items() if key[1] == "dirac"}
    assert len(cells) == 2
    for attributes, text in cells.values():
        assert attributes["data-value"] == "inf"
        assert text.startswith("∞ [∞, ∞]")
        assert ("diverged 3 of 3" if ending == "diverged" else "errors 3") in text
        assert attributes["class"] == "failed"  # nobody is best
    assert ">3 of 3</text>" in html
    word = "diverged" if ending == "diverged" else "failed"
    # strips beside both curves and the scores, and the legend of the outcomes
    assert html.count(f">{word}</text>") == (4 if ending == "diverged" else 3)


def test_one_error_among_others_counts_as_the_worst_everywhere(run, html):
    records = run.records[(run.records["phase"] == "report") & (run.records["game"] == RING)].astype({"outcome": str})
    stopped = (records["optimizer"] == "sgd") & (records["seed"] == 1)
    records.loc[stopped, ["outcome", "ended", "value"]] = ["error", 0.0, np.nan]
    records = records[~stopped | ((records["metric"] == "sliced_wasserstein") & (records["cost"] == 0))]
    found = rendered(run, records, tensors=[])
    assert f"sgd on {RING}: 1 replica stopped with an error" in Page(found).text
    losses = [shown["discriminator_loss"] for shown in (others(html, RING)["sgd"], others(found, RING)["sgd"])]
    assert np.isfinite(losses).tolist() == [True, False]


# --- it stands alone and is inert ------------------------------------------------------------------------------------


def test_nothing_outside_is_named(html):
    plain = re.sub(r"base64,[\w+/=]+", "base64,", html.replace('xmlns="http://www.w3.org/2000/svg"', ""))
    assert not re.search(r"https?:|//[a-z]|@import|<link|<iframe|<object", plain)
    for tag, attributes in Page(html).tags:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#").startswith(("#", "data:image/png;base64,")), tag
    assert set(re.findall(r"url\((.{5})", plain)) <= {"data:", *re.findall(r"url\((#[fm][0-9a-f]{3})", plain)}


def test_ids_are_unique_and_known(html):
    tags = Page(html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for _, a in tags if (link := a.get("href", "")).startswith("#")} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_only_the_scripts_hash_may_run(html):
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    policy = next(a["content"] for tag, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert f"script-src {allowed};" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")


def test_hostile_names_are_inert(run, html, hostile):
    page, plain = Page(hostile), Page(html)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == [tag for tag, _ in plain.tags].count("script")
    assert "b" not in tags
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert page.cells[HOSTILE, "dirac"][0]["data-value"] == plain.cells["sgd", "dirac"][0]["data-value"]
    assert HOSTILE in page.text
    assert "1337" not in page.text
    assert set(tags) <= {tag for tag, _ in plain.tags}


def test_the_same_records_give_the_same_bytes(run, html, tmp_path):
    command = f"import bench; from bench.report.page import write_report; write_report(bench.Run({str(run.path)!r}))"
    environment = os.environ | {
        "PYTHONHASHSEED": "7",
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
        "TZ": "Asia/Tokyo",
    }
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsvg.fonttype: path\n")
    subprocess.run([sys.executable, "-c", command], check=True, env=environment)
    assert (run.path / "report.html").read_text("utf-8") == html


# --- best ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "rows", "expected"),
    [
        ("distance", [(1, 0.5, 2), (2, 1.9, 3), (3, 2.1, 4)], {"a", "b"}),
        ("modes", [(8, 7, 8), (6, 5, 7.5), (3, 2, 4)], {"a", "b"}),
        ("distance", [(np.inf, np.inf, np.inf), (2, 1, np.inf), (3, 2, 4)], {"b", "c"}),
        ("distance", [(np.inf, np.inf, np.inf)] * 3, set()),
        ("modes", [(0, 0, 0)] * 3, set()),
    ],
)
def test_best_are_those_whose_interval_overlaps_the_bests(metric, rows, expected):
    found = pd.DataFrame(rows, columns=["iqm", "low", "high"]).assign(optimizer=list("abc"), metric=metric, game="g")
    assert set(found["optimizer"][best(found)]) == expected


# --- figures ---------------------------------------------------------------------------------------------------------

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
