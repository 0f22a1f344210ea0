"""Runs merged into one: what a single run of everything would say, or a line that says why they cannot be one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import bench
from bench.analysis.comparison import same_platform
from bench.analysis.table import to_csv
from bench.api import merge
from bench.errors import UserError
from bench.numerics.environment import joined, mixed
from bench.storage.manifest import SEAL, sealed

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

SETTINGS = {"games": "dirac,bilinear", "trials": 4, "tuning_seeds": 2, "budget": 60, "evaluations": 4, "seeds": "0-3"}
RULES = ["sgd", "adam", "extragrad"]


def made(folder: Path, **settings: object) -> bench.Run:
    return bench.run(bench.Study(**(SETTINGS | settings)), out=folder)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[bench.Run]:
    """Two rules, and one more."""
    folder = tmp_path_factory.mktemp("parts")
    return [made(folder / "two", optimizers=RULES[:2]), made(folder / "one", optimizers=RULES[2])]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return made(tmp_path_factory.mktemp("whole") / "run", optimizers=RULES)


def test_rules_merged_are_what_one_run_of_all_gives(parts: list[bench.Run], whole: bench.Run, tmp_path: Path) -> None:
    merged = merge(parts, tmp_path / "merged")
    assert to_csv(merged.table(full=True)) == to_csv(whole.table(full=True))
    assert merged.names() == whole.names()
    assert merged.hyperparameters() == whole.hyperparameters()
    assert merged.study == whole.study
    assert merged.report().exists()
    assert (merged.path / "table.csv").read_bytes() == to_csv(whole.table(full=True)).encode()
    copied = {path.name: path.read_bytes() for path in merged.records_path.iterdir()}
    assert copied == {path.name: path.read_bytes() for part in parts for path in part.records_path.iterdir()}


def test_the_same_study_goes_on_in_a_merged_folder(
    parts: list[bench.Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = merge(parts, tmp_path / "merged")

    def fail(*_: object) -> None:
        raise AssertionError("it trains what is there")

    monkeypatch.setattr("bench.execution.process_pool.InProcessEngine.advance", fail)
    assert bench.run(bench.Study(**merged.manifest["study"]), out=merged.path).names() == merged.names()


def test_seeds_merged_are_what_one_run_of_all_gives(whole: bench.Run, tmp_path: Path) -> None:
    halves = [made(tmp_path / seeds, optimizers=RULES, seeds=seeds) for seeds in ("2-3", "0-1")]
    merged = merge(halves, tmp_path / "merged")
    assert merged.study.seeds == whole.study.seeds
    assert to_csv(merged.table(full=True)) == to_csv(whole.table(full=True))


def test_what_none_has_done_is_missing(parts: list[bench.Run], tmp_path: Path) -> None:
    other = made(tmp_path / "other", optimizers="ttur", games="quadratic")
    merged = merge([*parts, other], tmp_path / "merged")
    assert len(merged.table(full=True)) == 2 * 3 + 1
    page = merged.report().read_text("utf-8")
    assert "ttur on dirac is not finished" in page


def test_overlapping_runs_share_their_chunks(parts: list[bench.Run], whole: bench.Run, tmp_path: Path) -> None:
    merged = merge([parts[0], whole, parts[1]], tmp_path / "merged")
    assert to_csv(merged.table(full=True)) == to_csv(whole.table(full=True))


def test_mixed_machines_are_named(parts: list[bench.Run], tmp_path: Path) -> None:
    moved = bench.Run(shutil.copytree(parts[1].path, tmp_path / "moved"))
    manifest = json.loads((moved.path / "study.json").read_text())
    manifest["environment"] |= {"processor": "Another <b>one</b>", "torch": "2.6.0"}
    (moved.path / "study.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != SEAL}))
    assert mixed(merge(parts, tmp_path / "alike").manifest["environment"]) == []
    merged = merge([parts[0], bench.Run(moved.path)], tmp_path / "merged")
    own = parts[0].manifest["environment"]
    assert mixed(merged.manifest["environment"]) == [
        f"torch: {own['torch']} | 2.6.0",
        f"processor: {own['processor']} | Another <b>one</b>",
    ]
    page = merged.report().read_text("utf-8")
    assert "Mixed machines: processor:" in page
    assert "<b>one</b>" not in page


def test_a_value_of_several_machines_stands_once() -> None:
    """A number is the word that a joined environment has for it."""
    here, there = {"cores": 2, "numba": "0.68"}, {"cores": 16}
    both = joined([here, there])
    assert both == {"cores": "2 | 16", "numba": "0.68 | None"}
    assert joined([both, here]) == joined([both, there]) == joined([both]) == both
    assert joined([here, here]) == here


def trained_elsewhere(run: bench.Run, folder: Path) -> bench.Run:
    """A copy of a run that says that another processor trained it."""
    copy = bench.Run(shutil.copytree(run.path, folder))
    manifest = copy.manifest | {"environment": copy.manifest["environment"] | {"processor": "Another"}}
    (copy.path / "study.json").write_bytes(sealed(manifest))
    return bench.Run(copy.path)


def test_a_run_that_goes_on_on_another_machine_says_so(parts: list[bench.Run], tmp_path: Path) -> None:
    """Once that machine trains a part of it; `bench verify` then asks for no bits."""
    own = parts[0].manifest["environment"]
    moved = trained_elsewhere(parts[0], tmp_path / "moved")
    study = bench.Study(**moved.manifest["study"])
    finished = bench.run(study, out=moved.path)
    assert mixed(finished.manifest["environment"]) == []
    assert finished.manifest["environment"]["processor"] == "Another"
    for suffix in ("json", "parquet"):
        (finished.records_path / f"{finished.names()[0]}.{suffix}").unlink()
    for _ in range(2):
        continued = bench.run(study, out=moved.path)
        assert mixed(continued.manifest["environment"]) == [f"processor: Another | {own['processor']}"]
        assert not same_platform(continued, parts[0])
    assert to_csv(continued.table(full=True)) == to_csv(parts[0].table(full=True))


def test_a_run_that_is_grown_on_another_machine_says_so(parts: list[bench.Run], tmp_path: Path) -> None:
    moved = trained_elsewhere(parts[0], tmp_path / "moved")
    grown = bench.run(bench.Study(**moved.manifest["study"]), out=moved.path, add_seeds=2)
    assert mixed(grown.manifest["environment"]) == [
        f"processor: Another | {parts[0].manifest['environment']['processor']}"
    ]


# Refused


def altered(run: bench.Run, to: Path, **changes: object) -> bench.Run:
    """A copy whose manifest says something else."""
    path = shutil.copytree(run.path, to)
    manifest = json.loads((path / "study.json").read_text())
    study = {key: value for key, value in changes.items() if key in manifest["study"]}
    manifest |= {key: value for key, value in changes.items() if key not in study}
    manifest["study"] |= study
    (path / "study.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != SEAL}))
    return bench.Run(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"protocol": "0.9"}, r"another protocol \(.* and 0\.9\)"),
        ({"device": "cuda"}, r"another device \(cpu and cuda\)"),
        ({"budget": 90.0}, r"not made alike \(budget: 60\.0 and 90\.0\)"),
        ({"trials": 8, "tuning_seeds": 5}, r"not made alike \(trials: 4 and 8; tuning_seeds: 2 and 5\)"),
        ({"hyperparameters": {"dirac": {"extragrad": {"lr": 0.1}}}}, "one of .* was tuned, the other was given"),
    ],
)
def test_what_is_not_comparable_is_refused(
    parts: list[bench.Run], tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    other = altered(parts[1], tmp_path / "other", **changes)
    with pytest.raises(UserError, match=says):
        merge([parts[0], other], tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_two_trainings_of_one_seed_are_refused(parts: list[bench.Run], tmp_path: Path) -> None:
    """Seeds 0-3 and 2-5 do not train in the same stacks: the same seed stands in two chunks."""
    other = made(tmp_path / "other", optimizers=RULES[2], seeds="2-5")
    with pytest.raises(UserError, match=r"hold different trainings of extragrad on \w+, seed [23] \(report\)"):
        merge([parts[1], other], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_damage_and_places(parts: list[bench.Run], tmp_path: Path) -> None:
    broken = bench.Run(shutil.copytree(parts[1].path, tmp_path / "broken"))
    victim = broken.records_path / f"{broken.names()[0]}.parquet"
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged; run its study again"):
        merge([parts[0], broken], tmp_path / "merged")
    with pytest.raises(UserError, match="is there already; choose another --out"):
        merge(parts, tmp_path / "broken")
    with pytest.raises(UserError, match="at least two runs"):
        merge(parts[:1], tmp_path / "merged")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_by_command(parts: list[bench.Run], call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert call("merge", *(part.path for part in parts), "--out", "here") == (0, "here\n", "")
    code, out, _ = call("table", "here", "--format", "csv")
    assert code == 0
    assert all(rule in out for rule in RULES)
    code, out, err = call("merge", "here", "nowhere", "--out", "there")
    assert (code, out, err) == (2, "", "bench: 'nowhere' is no run's folder: study.json: No such file or directory\n")
