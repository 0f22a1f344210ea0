"""Two runs side by side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench
from bench.spelling import SpecError

STUDY = bench.Study(
    optimizers="sgd[lr=0.05],extragrad[lr=0.3]", games="dirac,bilinear", trials=0, budget=60, seeds="0-9"
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(STUDY, out=tmp_path_factory.mktemp("first") / "run")


def altered(run: bench.Run, change: object) -> bench.Run:
    """The same run with other records."""
    other = bench.Run(run.path)
    other._records = change(run.records.copy())  # type: ignore[operator]
    return other


def final(records: pd.DataFrame, rule: str, game: str = "dirac") -> pd.Series:
    own = (records["optimizer"] == rule) & (records["game"] == game) & (records["metric"] == "distance")
    return own & (records["cost"] == records["cost"].max())


def test_a_run_is_identical_to_itself(first: bench.Run) -> None:
    found = bench.compare(first, first)
    assert set(found["verdict"]) == {"identical"}
    assert found[["game", "optimizer"]].drop_duplicates().shape[0] == 4
    assert (found["better_share"] == 0.5).all()


def test_a_clear_change_is_told_in_its_direction_and_in_no_other_row(first: bench.Run) -> None:
    def scaled(factor: float) -> object:
        def change(records: pd.DataFrame) -> pd.DataFrame:
            at = final(records, "extragrad[lr=0.3]")
            records.loc[at, "value"] *= factor
            return records

        return change

    for factor, verdict in ((10.0, "worse"), (0.1, "better")):
        found = bench.compare(first, altered(first, scaled(factor))).set_index(["game", "optimizer"])["verdict"]
        assert found.pop(("dirac", "extragrad[lr=0.3]")) == verdict
        assert set(found) == {"identical"}


def test_noise_is_the_same(first: bench.Run) -> None:
    def jitter(records: pd.DataFrame) -> pd.DataFrame:
        at = final(records, "extragrad[lr=0.3]")
        records.loc[at, "value"] *= np.where(np.arange(at.sum()) % 2, 1.01, 0.99)
        return records

    found = bench.compare(first, altered(first, jitter)).set_index(["game", "optimizer"])
    assert found.loc[("dirac", "extragrad[lr=0.3]"), "verdict"] == "same"


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


def test_protocols_must_agree(first: bench.Run) -> None:
    other = bench.Run(first.path)
    other.manifest = {**first.manifest, "protocol": "0.1"}
    with pytest.raises(SpecError, match=r"protocol .* not comparable"):
        bench.compare(first, other)


def test_by_command(first: bench.Run, tmp_path: Path) -> None:
    def bench_(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bench", "compare", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    worse = bench.run(STUDY.model_copy(update={"seeds": [90, 91]}), out=tmp_path / "others")
    assert bench_(str(first.path), str(first.path), "--fail-on", "worse").returncode == 0
    nothing = bench_(str(first.path), str(worse.path))
    assert nothing.returncode == 5
    assert "no rule on a game with a seed in common" in nothing.stderr
    assert bench_(str(first.path), str(first.path), "--fail-on", "wurst").returncode == 2
    shorter = bench.run(STUDY.model_copy(update={"budget": 20.0}), out=tmp_path / "shorter")
    poorer = bench_(str(first.path), str(shorter.path), "--fail-on", "worse")
    assert poorer.returncode == 4, poorer.stdout + poorer.stderr
    assert bench_(str(first.path), str(shorter.path)).returncode == 0
