"""A history of baselines: every step is judged, what is small at each of them is seen over all, and nothing is lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.analysis.trend import COLUMNS, comparable, trend
from bench.report.history import history_table
from bench.storage.baseline import Baseline, history_of, write_baseline

Call = Callable[..., tuple[int, str, str]]
Change = Callable[[pd.DataFrame], pd.DataFrame]
STUDY = bench.Study(optimizers="sgd[lr=0.15],extragrad[lr=0.3]", games="dirac", trials=0, budget=60, seeds="0-9")
RULE = "extragrad[lr=0.3]"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(STUDY, out=tmp_path_factory.mktemp("trend") / "run")


def kept(run: bench.Run, to: Path, change: Change = lambda records: records, **study: object) -> Path:
    """A baseline of the run with other records, or of another study."""
    other = bench.Run(run.path)
    other.records = change(run.records.copy())
    if study:
        other.manifest = run.manifest | {"study": run.manifest["study"] | study}
    return write_baseline(other, to)


def scaled(factor: float) -> Change:
    def change(records: pd.DataFrame) -> pd.DataFrame:
        own = (records["optimizer"] == RULE) & (records["metric"] == "distance")
        records.loc[own & (records["cost"] == records["cost"].max()), "value"] *= factor
        return records

    return change


def gone(records: pd.DataFrame) -> pd.DataFrame:
    return records[records["optimizer"] != RULE]


@pytest.fixture
def folder(run: bench.Run, tmp_path: Path) -> Path:
    """Five commits: as it was, the same, a rule worse, the rule gone, the rule as it was."""
    changes: dict[str, Change] = {
        "1-a": scaled(1),
        "2-b": scaled(1),
        "10-c": scaled(3),
        "11-d": gone,
        "12-e": scaled(1),
    }
    for name, change in changes.items():
        kept(run, tmp_path / "history" / name, change)
    return tmp_path / "history"


def test_numbers_in_names_are_numbers(folder: Path) -> None:
    assert [path.name for path in history_of(folder)] == ["1-a", "2-b", "10-c", "11-d", "12-e"]


def test_every_step_is_judged_by_the_one_before(folder: Path, run: bench.Run) -> None:
    found = trend([Baseline(path) for path in history_of(folder)])
    assert list(found.columns) == COLUMNS
    own = found[found["optimizer"] == RULE].set_index("at")
    assert own["verdict"].to_dict() == {
        "1-a": "new",
        "2-b": "identical",
        "10-c": "worse",
        "11-d": "missing",
        "12-e": "new",
    }
    assert own["since_first"].to_dict() == {"1-a": "", "2-b": "", "10-c": "", "11-d": "", "12-e": "identical"}
    assert math.isnan(own.loc["11-d", "value"])
    (value,) = run.table().query("optimizer == @RULE")["iqm"]
    assert own.loc["1-a", "value"] == pytest.approx(value)
    assert own.loc["10-c", "value"] == pytest.approx(3 * value)
    other = found[found["optimizer"] != RULE]
    assert set(other["verdict"]) == {"new", "identical"}


def test_what_is_small_at_every_step_is_seen_since_the_first(run: bench.Run, tmp_path: Path) -> None:
    sides = [Baseline(kept(run, tmp_path / f"{k}", scaled(1.05**k))) for k in range(4)]
    own = trend(sides).query("optimizer == @RULE")
    assert own["since_first"].iloc[-1] == "worse"
    assert "worse" in history_table(trend(sides), 200)


def test_other_protocols_and_budgets_are_left_out_with_a_reason(run: bench.Run, tmp_path: Path) -> None:
    sides = [Baseline(kept(run, tmp_path / name)) for name in ("a", "b", "c")]
    sides[0].manifest["protocol"] = "0.1"
    sides.insert(1, Baseline(kept(run, tmp_path / "longer", budget=80.0)))
    left, lines = comparable(sides)
    assert [side.path.name for side in left] == ["b", "c"]
    assert [line.partition(" is left out: ")[0] for line in lines] == ["a", "longer"]
    assert "has protocol 0.1" in lines[0]
    assert "gives 80 gradient evaluations to dirac" in lines[1]


def test_by_command(folder: Path, call: Call) -> None:
    code, out, err = call("compare", "--history", folder, "--fail-on", "worse")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[-2:] == [str(folder / "trend.csv"), str(folder / "trend.svg")]
    (row,) = (line for line in lines if RULE in line)
    assert "worse at 10-c, missing at 11-d" in row
    frame = pd.read_csv(folder / "trend.csv")
    assert len(frame) == 10
    drawn = (folder / "trend.svg").read_text()
    for text in ("dirac", RULE, "12-e", "distance, lower is better"):
        assert text in drawn
    before = drawn
    assert call("compare", "--history", folder, "--format", "md")[1].startswith("| game | optimizer | first |")
    assert (folder / "trend.svg").read_text() == before  # the same bytes


@pytest.mark.parametrize(("last", "code"), [("10-c", 4), ("11-d", 4), ("2-b", 0)])
def test_the_last_step_decides_whether_it_fails(folder: Path, call: Call, last: str, code: int) -> None:
    paths = history_of(folder)
    for path in paths[[path.name for path in paths].index(last) + 1 :]:
        path.rename(folder.parent / path.name)
    assert call("compare", "--history", folder, "--fail-on", "worse")[0] == code
    assert call("compare", "--history", folder, "--fail-on", "never")[0] == 0
    if last == "11-d":
        assert call("compare", "--history", folder, "--fail-on", "worse", "--allow-missing")[0] == 0


def test_wrong_use_is_one_line(folder: Path, call: Call, tmp_path: Path) -> None:
    for words, says in (
        (["--history", "nowhere"], "--history is 'nowhere', with 0 baselines in it; two or more are needed"),
        (["one", "--history", folder], "found 'one' beside --history"),
        (["one"], "two runs are needed: bench compare FIRST SECOND"),
        (["one", "two", "--to", "there"], "--to is of --history alone"),
    ):
        code, out, err = call("compare", *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert says in err
    assert not (folder / "trend.csv").exists()
