"""The page: its numbers are the records', it stands alone, it is inert, and it says what is missing."""

import base64
import copy
import hashlib
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pages import HOSTILE, RING, STUDY, Page, hostile_page, rendered
from scipy.stats import trim_mean, wilcoxon

import bench
from bench.analysis.collapse import Collapsed
from bench.analysis.findings import findings
from bench.analysis.formatting import about, number
from bench.analysis.learning import Learning
from bench.analysis.outcomes import survivals
from bench.analysis.ranking import Standing, ranks, standing
from bench.analysis.statistics import seeds_needed
from bench.registry import get_metric
from bench.report.figures.panels import looks
from bench.report.page import _diagram
from bench.studies.request import make_request
from bench.studies.toml import read_toml, study_file


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


def test_the_overview_shows_the_records_numbers(run, html):
    cells = Page(html).cells
    assert set(cells) == {(rule, game) for rule in STUDY.optimizers for game in STUDY.games}
    for (rule, game), (attributes, text) in cells.items():
        values, ends = last_values(run.records, rule, game, {"dirac": "distance"}.get(game, "mode_error"))
        mean = trim_mean(values, 0.25)
        assert float(attributes["data-value"]) == pytest.approx(mean, rel=1e-12)
        shown = re.match(r"(\S+) \[(\S+), (\S+)\] rank ", text)
        assert shown[1] == number(mean)
        low, high = (float(end.replace("−", "-").replace("∞", "inf")) for end in shown.groups()[1:])
        assert min(values) * 0.99 <= low <= high * 1.01 <= max(values) * 1.03
        assert f"diverged {(ends['outcome'] == 'diverged').sum()} of 3 " in text


def test_the_overview_shows_the_tables_intervals_rates_and_ranks(run, html):
    cells, found = Page(html).cells, run.table(full=True)
    placed, over = ranks(found, STUDY), standing(found, STUDY)
    shown = Page(html).table("Overview table")
    for row in found.to_dict("records"):
        rule, game = row["optimizer"], row["game"]
        score = " ".join([number(row["iqm"]), f"[{number(row['low'])}, {number(row['high'])}]"])
        words = f"{score} rank {placed[rule, game].words} {share('diverged', row)}"
        words += f" {share('not_learned', row)}" if pd.notna(row["not_learned"]) else ""
        words += f" {share('collapsed', row)}" if pd.notna(row["collapsed"]) else ""
        assert cells[rule, game][1] == words
        assert shown[rule]["mean rank"] == ({"data-value": str(over.ranks[rule])}, number(over.ranks[rule]))


def share(what, row):
    words = what.replace("_", " ")
    return f"{words} {row[what]} of {row['n']} ({100 * row[f'{what}_low']:.0f}–{100 * row[f'{what}_high']:.0f} %)"


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
    page, found = Page(html), run.table(full=True).set_index(["game", "optimizer"])
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
        assert cells[6] == about(seeds_needed(own, other))
        assert f"{best} is best: {metric.name.replace('_', ' ')} {number(trim_mean(own, 0.25))} [" in page.text


def test_the_verdict_says_how_many_seeds_would_tell_a_tied_rule_apart(tmp_path):
    study = bench.Study(
        optimizers="sgd,extragrad", games="gaussian-mean", seeds="0-7", trials=0, budget=20, evaluations=10
    )
    run = bench.run(study, out=tmp_path / "run")
    (finding,) = findings(run.table(full=True), run.records, run.study)
    assert finding.decidable
    assert finding.tied
    assert f"If they differ as on these seeds: {finding.power}." in Page(run.report().read_text("utf-8")).text


def test_the_study_file_runs_the_same_study(html, tmp_path):
    assert study_file(STUDY.model_dump(mode="json")).strip() in "\n".join(Page(html).words)
    for study in (
        STUDY,
        bench.Study(optimizers="sgd", games="dirac", budget=22.5, tune="full", untuned=True, sampler="TPESampler"),
        bench.Study(optimizers="sgd", games=RING, hyperparameters={RING: {"sgd": {"lr": 1e-05}}}, pruner="none"),
    ):
        (tmp_path / "study.toml").write_text(study_file(study.model_dump(mode="json")), "utf-8")
        assert make_request(read_toml(tmp_path / "study.toml")).study == study


def test_the_chosen_hyperparameters_are_those_that_ran(run, html):
    text = Page(html).table("Cost table")["sgd"][RING][1]
    report = run.records[(run.records["phase"] == "report") & (run.records["game"] == RING)]
    frozen = report.loc[report["optimizer"] == "sgd", "hyperparameters"].unique()
    assert len(frozen) == 1
    step = float(re.search(r"[\d.e-]+(?=})", frozen[0])[0])
    assert float(re.search(r"lr=(\S+)", text)[1]) == pytest.approx(step, rel=5e-3)


def test_the_other_metrics_are_the_records_numbers(run, html):
    shown = others(html, RING)
    rows = run.table().query("game == @RING").sort_values("iqm")
    assert list(shown) == list(rows["optimizer"]), "the best first"
    for rule, found in shown.items():
        assert "high_quality" in found
        assert "mode_error" not in found
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
    collapse = Collapsed(np.array([False, True]), np.array([np.inf, 60.0]))
    learnt = {"a": Learning(), "b": Learning(np.array([True, True]), collapse)}
    found = survivals(records, ["a", "b"], learnt, np.array([0.0, 39, 41, 100]))
    assert found["diverged"]["a"].value.tolist() == [1, 1, 0.5, 0.5]
    assert found["diverged"]["b"].value.tolist() == [1, 1, 1, 1]
    assert list(found["collapsed"]) == ["b"]
    assert found["collapsed"]["b"].value.tolist() == [1, 1, 1, 0.5]
    late = survivals(records, ["a", "b"], learnt, np.array([0.0, 20, 30, 100]))  # watched until the last cost
    assert late["diverged"]["a"].value.tolist() == [1, 1, 1, 0.5]
    calm = survivals(records[records["seed"] == 0], ["a", "b"], {}, np.array([0.0, 100]))
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
    assert "Total variation between where the samples are" in text
    for piece in (
        "Protocol",
        "0-2; for tuning 2 others",
        "w+ = w - lr d(F(w))",
        "Heusel et al. 2017, arXiv:1706.08500",
    ):
        assert piece in text


def test_all_trials_failed_and_errors_are_said(run, html):
    records = run.records[(run.records["game"] == RING) & (run.records["optimizer"] == "sgd")].astype({"outcome": str})
    records.loc[records["phase"].isin(["tune", "rerank"]), "outcome"] = "diverged"
    text = Page(rendered(run, records, tensors=[], errors={"abc.txt": "ValueError: no step today"})).text
    assert f"sgd on {RING}: it cannot be trained here: every trial failed; its declared defaults were used." in text
    assert "abc.txt: ValueError: no step today" in text
    assert "cannot be trained here: every trial failed" not in Page(html).text


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
        assert text.startswith("error" if ending == "error" else "∞ [∞, ∞]")
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
    records = records[~stopped | ((records["metric"] == "mode_error") & (records["cost"] == 0))]
    found = rendered(run, records, tensors=[])
    assert f"sgd on {RING}: 1 replica stopped with an error" in Page(found).text
    losses = [shown["discriminator_loss"] for shown in (others(html, RING)["sgd"], others(found, RING)["sgd"])]
    assert np.isfinite(losses).tolist() == [True, False]


def test_nothing_outside_is_named(html):
    plain = re.sub(r"base64,[\w+/=]+", "base64,", html.replace('xmlns="http://www.w3.org/2000/svg"', ""))
    assert not re.search(r"https?:|//[a-z]|@import|<link|<iframe|<object", plain)
    for tag, attributes in Page(html).tags:
        assert "src" not in attributes, tag
        assert attributes.get("href", "#").startswith(("#", "data:image/png;base64,")), tag
    assert set(re.findall(r"url\((.)", plain)) <= {"#"}


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


def test_the_diagram_of_ranks_says_how_many_games_it_would_take():
    ranked = Standing(["g"] * 9, {"a": 1.2, "b": 2.0, "c": 2.8}, 9.0, 0.01, 1.1, ((0, 1), (1, 2)))
    caption = _diagram(ranked, looks(["a", "b", "c"])).caption
    assert caption.endswith(f"{ranked.power[0].upper()}{ranked.power[1:]}.")
    assert "games would tell a and b apart" in caption
    assert "games would tell" not in _diagram(ranked._replace(groups=()), looks(["a", "b", "c"])).caption
