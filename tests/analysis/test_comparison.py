"""Two runs side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bench
from bench.analysis import changes, comparison
from bench.analysis.formatting import about
from bench.analysis.statistics import seeds_needed
from bench.errors import UserError
from bench.registry.description import MetricDescription
from bench.report.compared import compared, compared_markdown
from bench.storage.baseline import Baseline, write_baseline

Call = Callable[..., tuple[int, str, str]]

STUDY = bench.Study(
    optimizers="sgd[lr=0.15],extragrad[lr=0.3]", games="dirac,bilinear", trials=0, budget=60, seeds="0-9", roundings=3
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(STUDY, out=tmp_path_factory.mktemp("first") / "run")


def altered(run: bench.Run, change: object) -> bench.Run:
    """The same run with other records."""
    other = bench.Run(run.path)
    other.records = change(run.records.copy())  # type: ignore[operator]
    return other


def final(records: pd.DataFrame, rule: str, game: str = "dirac") -> pd.Series:
    own = (records["optimizer"] == rule) & (records["game"] == game) & (records["metric"] == "distance")
    return own & (records["cost"] == records["cost"].max())


def test_a_run_is_identical_to_itself(first: bench.Run) -> None:
    found = bench.compare(first, first)
    assert set(found["verdict"]) == {"identical"}
    assert found[["game", "optimizer"]].drop_duplicates().shape[0] == 4
    assert (found["better_share"] == 0.5).all()


def scaled(factor: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The final scores of a rule, times a factor."""

    def change(records: pd.DataFrame) -> pd.DataFrame:
        records.loc[final(records, "extragrad[lr=0.3]"), "value"] *= factor
        return records

    return change


def test_a_clear_change_is_told_in_its_direction_and_in_no_other_row(first: bench.Run) -> None:
    for factor, verdict in ((10.0, "worse"), (0.1, "better")):
        found = bench.compare(first, altered(first, scaled(factor))).set_index(["game", "optimizer"])["verdict"]
        assert found.pop(("dirac", "extragrad[lr=0.3]")) == verdict
        assert set(found) == {"identical"}


def jittered(rule: str, game: str, by: float) -> object:
    """Every other final score a little larger, the others a little smaller."""

    def change(records: pd.DataFrame) -> pd.DataFrame:
        score = bench.get_game(game).score
        at = (records["optimizer"] == rule) & (records["game"] == game) & (records["metric"] == score)
        at &= records["cost"] == records["cost"].max()
        records.loc[at, "value"] *= np.where(np.arange(at.sum()) % 2, 1 + by, 1 - by)
        return records

    return change


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    """A game with minibatches, of which no rounding is known."""
    study = STUDY.model_copy(update={"games": ["gaussian-mean"], "budget": 20.0, "roundings": 0})
    return bench.run(study, out=tmp_path_factory.mktemp("noisy") / "run")


def elsewhere(run: bench.Run, **where: str) -> bench.Run:
    """The same records, made on another platform."""
    other = altered(run, lambda records: records.copy())
    other.manifest = {**run.manifest, "environment": {**run.manifest["environment"], **where}}
    return other


def verdicts(found: pd.DataFrame) -> dict[tuple[str, str], str]:
    return {(row.game, row.optimizer): row.verdict for row in found.itertuples()}


def test_noise_is_the_same_where_there_are_minibatches(noisy: bench.Run) -> None:
    found = bench.compare(noisy, altered(noisy, jittered("sgd[lr=0.15]", "gaussian-mean", 0.01)))
    assert verdicts(found) == {
        ("gaussian-mean", "sgd[lr=0.15]"): "same",
        ("gaussian-mean", "extragrad[lr=0.3]"): "identical",
    }
    assert (found["change"] == "").all()


def test_what_is_the_same_says_how_many_seeds_would_tell_it_apart(noisy: bench.Run) -> None:
    rule, game = "sgd[lr=0.15]", "gaussian-mean"
    other = altered(noisy, jittered(rule, game, 0.01))
    found = bench.compare(noisy, other)
    before, after = (run.scores().set_index("optimizer").loc[rule, "score"] for run in (noisy, other))
    needed = seeds_needed(before, after)
    assert found.set_index("optimizer")["seeds_needed"].to_dict() == {rule: needed, "extragrad[lr=0.3]": 0}
    assert needed > len(before)
    assert about(needed) in compared(found).replace("\n", " ")
    line = next(line for line in compared_markdown(found).splitlines() if rule in line)
    assert line.endswith(f"| same | {about(needed)} |")


def test_without_minibatches_there_is_no_noise(first: bench.Run) -> None:
    rule = "extragrad[lr=0.3]"
    found = bench.compare(first, altered(first, jittered(rule, "dirac", 1e-12))).set_index(["game", "optimizer"])
    assert found["verdict"].pop(("dirac", rule)) == "changed"
    assert set(found["verdict"].drop(("dirac", rule))) == {"identical"}
    assert re.fullmatch(
        r"values differ by \de-\d+ of the largest, from cost 60 on; 0 is allowed", found["change"]["dirac", rule]
    )


PLATFORMS = [
    {"torch": "2.6.0"}, {"processor": "another"}, {"system": "Darwin arm64"}, {"vectors": "VSX"}, {"core": "other"},
    {"numba": "0.1"},
]  # fmt: skip


@pytest.mark.parametrize("where", PLATFORMS)
def test_elsewhere_rounding_is_allowed_and_no_more(first: bench.Run, where: dict[str, str]) -> None:
    """A contraction rounds to 1e-16 of its start; what is a thousand times that is no rounding."""
    rule = "extragrad[lr=0.3]"
    for by, verdict in ((1e-16, "same"), (1e-12, "changed")):
        other = altered(first, jittered(rule, "dirac", by))
        other.manifest = elsewhere(first, **where).manifest
        assert verdicts(bench.compare(first, other))["dirac", rule] == verdict
    assert set(bench.compare(first, elsewhere(first, **where))["verdict"]) == {"identical"}


def test_of_what_no_rounding_is_known_the_test_alone_tells(first: bench.Run) -> None:
    rule = "extragrad[lr=0.3]"
    plain = altered(first, lambda records: records[records["phase"] != "rounded"])
    for by, verdict in ((1e-4, "same"), (0.3, "same")):  # every other one up, the others down
        other = altered(plain, jittered(rule, "dirac", by))
        other.manifest = elsewhere(first, processor="another").manifest
        assert verdicts(bench.compare(plain, other))["dirac", rule] == verdict
    worse = elsewhere(altered(plain, scaled(1.5)), processor="another")
    assert verdicts(bench.compare(plain, worse))["dirac", rule] == "worse"
    assert "roundings" in " ".join(comparison.apart(plain, worse))
    assert comparison.apart(plain, plain) == []
    assert comparison.apart(first, elsewhere(first, processor="another")) == []


def test_a_failure_elsewhere_is_worse_unless_rounding_decides_it(first: bench.Run) -> None:
    """What is drawn says so: a replica that ends otherwise in any draw, or scores that rounding moves at will."""
    rule = "extragrad[lr=0.3]"

    def of(records: pd.DataFrame, phase: str) -> pd.Series:
        return (records["optimizer"] == rule) & (records["game"] == "dirac") & (records["phase"] == phase)

    def fails(records: pd.DataFrame) -> pd.DataFrame:
        at = of(records, "report") & (records["seed"] == 3)
        records.loc[at, ["outcome", "ended"]] = "diverged", 30.0
        return records[~(at & (records["cost"] > 30))]

    def drawn(records: pd.DataFrame) -> pd.DataFrame:
        records.loc[of(records, "rounded") & (records["seed"] == 1), "outcome"] = "diverged"
        return records

    def spread(records: pd.DataFrame) -> pd.DataFrame:
        records.loc[of(records, "rounded") & (records["cost"] > 30) & (records["metric"] == "distance"), "value"] *= 1.5
        return records

    second = elsewhere(altered(first, fails), processor="another")
    assert verdicts(bench.compare(first, second))["dirac", rule] == "worse"
    for change in (drawn, spread):
        assert verdicts(bench.compare(altered(first, change), second))["dirac", rule] == "same"
    assert verdicts(bench.compare(first, altered(first, fails)))["dirac", rule] == "worse"


def test_elsewhere_a_replica_may_end_a_step_away(first: bench.Run) -> None:
    rule = "sgd[lr=0.15]"

    def later(by: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def change(records: pd.DataFrame) -> pd.DataFrame:
            at = (records["optimizer"] == rule) & (records["game"] == "dirac") & (records["seed"] == 3)
            records.loc[at, ["outcome", "ended"]] = "diverged", 35.0 + by
            return records

        return change

    before = altered(first, later(0))
    for by, verdict in ((1.0, "same"), (-1.0, "same"), (2.0, "changed")):
        after = elsewhere(altered(first, later(by)), processor="another")
        assert verdicts(bench.compare(before, after))["dirac", rule] == verdict
    assert verdicts(bench.compare(before, altered(first, later(1.0))))["dirac", rule] == "changed"


def test_what_was_merged_of_several_platforms_is_of_none() -> None:
    mixed = SimpleNamespace(
        manifest={"device": "cpu", "environment": {"torch": "2.6 | 2.13", "system": "x", "processor": "y"}}
    )
    assert not comparison.same_platform(mixed, mixed)


def test_a_tiny_difference_in_one_direction_is_none_elsewhere(noisy: bench.Run) -> None:
    """Kernels that round up make every seed worse by nothing."""

    def larger(records: pd.DataFrame) -> pd.DataFrame:
        records.loc[records["metric"] == "mean_error", "value"] *= 1 + 1e-6
        return records

    here = altered(noisy, larger)
    assert set(bench.compare(noisy, here)["verdict"]) == {"worse"}
    here.manifest = elsewhere(noisy, processor="another").manifest
    assert set(bench.compare(noisy, here)["verdict"]) == {"same"}


def test_pairs_that_agree_are_no_part_of_the_family(first: bench.Run) -> None:
    """Ten seeds tell a change apart however many rules agree: 2 of 2^10 signs is enough for one, not for thirty."""
    rule = "extragrad[lr=0.3]"

    def worse(records: pd.DataFrame) -> pd.DataFrame:
        records.loc[final(records, rule), "value"] *= 1.5
        return records

    (row,) = bench.compare(first, altered(first, worse)).query("verdict != 'identical'").itertuples()
    assert (row.verdict, row.p) == ("worse", 2 / 2**10)


def test_a_chosen_step_size_that_is_another_is_a_change(noisy: bench.Run) -> None:
    def chosen(lr: float) -> object:
        return lambda records: records.assign(hyperparameters=f'{{"lr": {lr}}}')

    one, other = (altered(noisy, chosen(lr)) for lr in (0.1, 0.2))
    found = bench.compare(one, other)
    assert set(found["verdict"]) == {"changed"}
    assert set(found["change"]) == {"lr=0.1 -> lr=0.2"}
    other.manifest = elsewhere(noisy, torch="2.6.0").manifest
    assert set(bench.compare(one, other)["verdict"]) == {"same"}  # what tuning finds in noise may differ there


def test_a_cost_that_is_counted_otherwise_is_a_change(noisy: bench.Run) -> None:
    def dearer(records: pd.DataFrame) -> pd.DataFrame:
        return records.assign(cost=records["cost"] * 2, ended=records["ended"] * 2)

    for where in ({}, {"torch": "2.6.0"}):
        other = altered(noisy, dearer)
        other.manifest = elsewhere(noisy, **where).manifest
        found = bench.compare(noisy, other)
        assert set(found["verdict"]) == {"changed"}
        assert set(found["change"]) == {"cost 20 -> 40"}


def test_a_rule_that_the_first_does_not_know_is_new(first: bench.Run, tmp_path: Path) -> None:
    more = bench.run(STUDY.model_copy(update={"optimizers": [*STUDY.optimizers, "adam"]}), out=tmp_path / "more")
    found = verdicts(bench.compare(first, more))
    assert {rule for (_, rule), verdict in found.items() if verdict == "new"} == {"adam"}
    assert len(found) == 6
    assert "new" not in bench.compare(more, first)["verdict"].tolist()
    assert comparison.apart(more, first) == []


def test_failures_that_change_places(first: bench.Run) -> None:
    """Some seeds fail in the one run, some in the other: no number says by how much."""

    def fails(seeds: list[int]) -> object:
        def change(records: pd.DataFrame) -> pd.DataFrame:
            records.loc[records["seed"].isin(seeds), "outcome"] = "diverged"
            return records

        return change

    found = bench.compare(altered(first, fails([1, 2])), altered(first, fails([3, 4])))
    own = found[found["failed_first"] == 2]  # on bilinear sgd diverges whatever the seed
    assert len(own) >= 2
    assert set(own["verdict"]) == {"worse"}
    assert own["difference"].isna().all()


def test_one_failure_more_is_always_worse(first: bench.Run) -> None:
    def fail(records: pd.DataFrame) -> pd.DataFrame:
        at = (records["optimizer"] == "extragrad[lr=0.3]") & (records["game"] == "dirac") & (records["seed"] == 3)
        records.loc[at, "outcome"] = "diverged"
        return records

    row = (
        bench.compare(first, altered(first, fail)).set_index(["game", "optimizer"]).loc[("dirac", "extragrad[lr=0.3]")]
    )
    assert (row["verdict"], row["failed_first"], row["failed_second"]) == ("worse", 0, 1)
    back = bench.compare(altered(first, fail), first).set_index(["game", "optimizer"])
    assert back.loc[("dirac", "extragrad[lr=0.3]"), "verdict"] != "worse"


def test_what_ended_in_an_error_reads_error(first: bench.Run) -> None:
    def stopped(outcome: str, seeds: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def change(records: pd.DataFrame) -> pd.DataFrame:
            own = (records["optimizer"] == "extragrad[lr=0.3]") & (records["game"] == "dirac")
            own &= records["seed"] < seeds
            records = records.assign(outcome=records["outcome"].astype(object).where(~own, outcome))
            return records[~own | (records["cost"] == 0)]

        return change

    def row(outcome: str, seeds: int) -> tuple[pd.Series, str]:
        found = bench.compare(first, altered(first, stopped(outcome, seeds)))
        (line,) = [part for part in compared(found, 400).splitlines() if "dirac" in part and "extragrad" in part]
        return found.set_index(["game", "optimizer"]).loc[("dirac", "extragrad[lr=0.3]")], line

    own, line = row("error", 10)
    assert (own["failed_second"], own["errors_first"], own["errors_second"]) == (10, 0, 10)
    assert (own["verdict"], own["second"]) == ("worse", np.inf)
    assert " error " in line
    assert "∞ " not in line
    own, line = row("diverged", 10)
    assert own["errors_second"] == 0
    assert "error" not in line
    assert "∞" in line
    assert " error " not in row("error", 2)[1]  # the mean leaves these out


def test_protocols_must_agree(first: bench.Run) -> None:
    other = bench.Run(first.path)
    other.manifest = {**first.manifest, "protocol": "0.1"}
    with pytest.raises(UserError, match=r"protocol .* not comparable"):
        bench.compare(first, other)


@pytest.mark.parametrize("by", [1.5, 0.5])
def test_what_a_comparison_fails_on(first: bench.Run, call: Call, tmp_path: Path, by: float) -> None:
    """By command: ``worse`` lets a rule become better, ``changed`` does not."""

    def change(records: pd.DataFrame) -> pd.DataFrame:
        records.loc[final(records, "extragrad[lr=0.3]"), "value"] *= by
        return records

    kept = write_baseline(altered(first, change), tmp_path / "kept")
    codes = [call("compare", first.path, kept, "--fail-on", on)[0] for on in ("never", "worse", "changed")]
    assert codes == ([0, 4, 4] if by > 1 else [0, 0, 4])


def test_by_command(first: bench.Run, call: Call, tmp_path: Path) -> None:
    worse = bench.run(STUDY.model_copy(update={"seeds": [90, 91]}), out=tmp_path / "others")
    assert call("compare", first.path, first.path, "--fail-on", "worse")[0] == 0
    code, _, err = call("compare", first.path, worse.path)
    assert code == 5
    assert "no rule on a game with a seed in common" in err
    code, out, err = call("compare", first.path, first.path, "--fail-on", "wurst")
    assert (code, out) == (2, "")
    assert err == "bench: --fail-on is 'wurst'; did you mean worse?\n"
    shorter = bench.run(STUDY.model_copy(update={"budget": 20.0}), out=tmp_path / "shorter")
    for fail_on in ("worse", "never"):
        code, out, err = call("compare", first.path, shorter.path, "--fail-on", fail_on)
        assert (code, out) == (2, "")
        assert err.endswith(f"gives 60 gradient evaluations to dirac, {shorter.path} 20: not comparable\n")


def test_a_label_stands_where_a_rule_would(first: bench.Run, call: Call, tmp_path: Path) -> None:
    run = bench.run(STUDY.model_copy(update={"labels": {"extragrad[lr=0.3]": "Ours"}}), out=tmp_path / "labelled")
    code, out, _ = call("compare", first.path, run.path, "--format", "md")
    assert code == 0
    assert "| Ours |" in out
    assert "extragrad" not in out


# What is missing


def without(run: bench.Run, query: str) -> bench.Run:
    """The same run without the records of which this is true."""
    return altered(run, lambda records: records.drop(records.query(query).index))


def test_a_rule_that_is_left_out_is_missing(first: bench.Run) -> None:
    """A rule that became worse would pass by not being run."""
    rule = "extragrad[lr=0.3]"
    found = bench.compare(first, without(first, "optimizer == @rule".replace("@rule", repr(rule))))
    assert verdicts(found) == {
        (game, name): "missing" if name == rule else "identical" for game in STUDY.games for name in STUDY.optimizers
    }
    (row,) = found[(found["verdict"] == "missing") & (found["game"] == "dirac")].itertuples()
    assert (row.seeds, row.change) == (0, "not in the second run, of 10 seeds in the first")
    assert np.isfinite(row.first)
    assert np.isnan(row.second)
    lines = compared_markdown(found).splitlines()
    assert lines[0] == "2 missing, 2 identical"
    assert sum("| **missing** |" in line for line in lines) == 2
    assert f"{rule} on dirac: not in the second run" in compared(found)


def test_a_game_that_is_left_out_is_missing(first: bench.Run, tmp_path: Path) -> None:
    only = bench.run(STUDY.model_copy(update={"games": ["dirac"]}), out=tmp_path / "only")
    found = verdicts(bench.compare(first, only))
    assert {game for (game, _), verdict in found.items() if verdict == "missing"} == {"bilinear"}
    assert len(found) == 4
    assert {verdict for (game, _), verdict in verdicts(bench.compare(only, first)).items() if game == "bilinear"} == {
        "new"
    }


def test_seeds_that_are_left_out_are_missing_and_no_pass(first: bench.Run) -> None:
    """Better without the seeds on which it fails is no better; worse on the others is worse."""
    rule = "extragrad[lr=0.3]"
    for factor, verdict, allowed in (
        (1.0, "missing", "identical"),
        (0.1, "missing", "better"),
        (10.0, "worse", "worse"),
    ):
        fewer = without(altered(first, scaled(factor)), f"seed >= 8 and optimizer == {rule!r}")
        found = bench.compare(first, fewer)
        assert verdicts(found)["dirac", rule] == verdict
        (words,) = found.loc[(found["game"] == "dirac") & (found["optimizer"] == rule), "change"]
        assert words.startswith("2 seeds of the first missing (8, 9)")
        assert verdicts(bench.compare(first, fewer, allow_missing=True))["dirac", rule] == allowed


def test_what_is_missing_fails_unless_it_is_allowed(first: bench.Run, call: Call, tmp_path: Path) -> None:
    kept = write_baseline(without(first, "optimizer == 'sgd[lr=0.15]' and game == 'dirac'"), tmp_path / "kept")
    for fail_on, code in (("never", 0), ("worse", 4), ("changed", 4)):
        assert call("compare", first.path, kept, "--fail-on", fail_on)[0] == code
        assert call("compare", first.path, kept, "--fail-on", fail_on, "--allow-missing")[0] == 0
    assert call("compare", kept, first.path, "--fail-on", "worse")[0] == 0  # there it is new


@pytest.mark.parametrize("budget", ["smoke", 30.0])
def test_other_budgets_are_refused(first: bench.Run, budget: object) -> None:
    other = altered(first, lambda records: records)
    other.study = first.study.model_copy(update={"budget": budget})
    with pytest.raises(UserError, match=r"gives 60 gradient evaluations to dirac, .+ \d+: not comparable"):
        bench.compare(first, other)


def test_the_same_budget_in_other_words_is_the_same(first: bench.Run) -> None:
    """A game's own budget, by name or as a number."""
    cost = first.study.model_copy(update={"budget": "standard", "games": ["dirac"]}).cost_of("dirac")
    sides = [altered(first, lambda records: records) for _ in range(2)]
    for side, budget in zip(sides, ("standard", cost), strict=True):
        side.study = first.study.model_copy(update={"budget": budget, "games": ["dirac"]})
    assert set(bench.compare(*sides)["verdict"]) == {"identical"}


def test_where_the_score_is_flat_the_tie_break_is_compared(tmp_path: Path) -> None:
    """Nothing is learned in so short a training: mode_error is the same for all, and would hide a rule that changed."""
    study = bench.Study(
        optimizers="sgd,adam", games="ring8[width=16,batch_size=16]", trials=0, budget=20, seeds="0-7", roundings=1
    )
    run = bench.run(study, out=tmp_path / "run")
    kept = Baseline(write_baseline(run, tmp_path / "kept"))

    def worse(records: pd.DataFrame) -> pd.DataFrame:
        own = (records["optimizer"] == "adam") & (records["metric"] == "sliced_wasserstein")
        records.loc[own & (records["cost"] > 0), "value"] *= 1.1
        return records

    scores = run.scores().pivot(index="optimizer", columns="seed", values="score")
    assert scores.nunique(axis=1).tolist() == [1, 1]
    for before in (run, kept):
        found = bench.compare(before, altered(run, worse)).set_index("optimizer")
        assert found["verdict"].to_dict() == {"sgd": "identical", "adam": "worse"}
        assert found["metric"].to_dict() == dict.fromkeys(("sgd", "adam"), "sliced_wasserstein")


@pytest.mark.parametrize(("better", "share"), [("higher", 1.0), ("lower", 0.0)])
def test_the_share_of_wins_knows_which_way_is_better(better: str, share: float) -> None:
    """No shipped score that studies compare is better higher, so that a run alone would not tell."""
    both = np.stack([np.arange(8.0), np.arange(8.0) + 100], axis=1)
    change = SimpleNamespace(none=False, words="", more_failed=False, judged=lambda pair: (pair[:, 0], pair[:, 1]))
    metric = MetricDescription("score", better, -np.inf if better == "higher" else np.inf)
    row = comparison._row(both, np.full((8, 2), "ok"), metric, change)  # type: ignore[arg-type]
    assert (row["better_share"], row["low"], row["high"]) == (share, share, share)
    assert row["verdict"] == ("better?" if share else "worse?")


def test_a_gap_is_relative_to_the_largest_value_of_its_own_seed() -> None:
    index = pd.MultiIndex.from_product([[0, 1, 2], [0.0, 10.0]], names=["seed", "cost"])
    first = pd.Series([-20.0, 10.0, 0.0, 0.0, 4.0, 4.0], index)
    second = pd.Series([-20.0, 14.0, 3.0, 0.0, 4.0, np.nan], index)
    assert changes.gap(first, second).tolist()[:5] == [0.0, 4 / 20, 3.0, 0.0, 0.0]
    assert np.isnan(changes.gap(first, second).iloc[5])


def test_a_notebook_shows_a_comparison_short_and_changes_first(first: bench.Run) -> None:
    def worse(records: pd.DataFrame) -> pd.DataFrame:
        moved = (records["game"] == "bilinear") & (records["cost"] > 0)
        return records.assign(value=records["value"].where(~moved, 2 * records["value"]))

    found = bench.compare(first, altered(first, worse))
    html = found._repr_html_()
    assert html.index("bilinear") < html.index("dirac")
    assert "1 worse, 1 changed, 2 identical" in html
    assert html.count("<th>") == 6
    assert isinstance(found[found["game"] == "dirac"], type(found))
    assert "verdict" not in found[["game", "p"]]._repr_html_()
