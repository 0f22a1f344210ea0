"""The weights that a run keeps: a function of its records alone, whatever happened on the way, and no part of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import bench
from bench.analysis.representatives import median, ordered, representatives
from bench.api import merge
from bench.errors import UserError
from bench.execution.coordinator import Coordinator
from bench.storage import weights
from bench.storage.records import Damaged
from bench.storage.writer import RunWriter

GAME = "ring8[width=16,batch_size=16]"
SETTINGS: dict[str, Any] = {"optimizers": "sgd,adam", "games": f"dirac,{GAME}", "trials": 0, "budget": 20}
SETTINGS |= {"evaluations": 2, "untuned": True, "roundings": 1}


def study(**changes: Any) -> bench.Study:
    return bench.Study(**SETTINGS | {"seeds": "0-4"} | changes)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(study(), out=tmp_path_factory.mktemp("usual") / "run")


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> bench.Run:
    return bench.run(study(), out=tmp_path_factory.mktemp("every") / "run", keep_weights="all")


@pytest.fixture
def copied(usual: bench.Run, tmp_path: Path) -> Path:
    return shutil.copytree(usual.path, tmp_path / "run")


def seeds(run: bench.Run) -> dict[tuple[str, str], set[int]]:
    """(game, rule) -> the seeds whose weights are there."""
    found: dict[tuple[str, str], set[int]] = {}
    for one in weights.kept(run):
        found.setdefault((one.game, one.optimizer), set()).add(one.seed)
    return found


def expected(run: bench.Run, groups: list[list[int]] | None = None) -> dict[tuple[str, str], set[int]]:
    """By the scores alone: of each group of seeds the median and the best."""
    table = run.scores()
    found = {}
    for rule in run.study.optimizers:
        of_rule = table[(table["game"] == GAME) & (table["optimizer"] == rule)].sort_values(["score", "seed"])
        chosen = set()
        for group in groups or [run.study.seeds]:
            ranked = [seed for seed in of_rule["seed"] if seed in group]
            chosen |= {ranked[0], ranked[(len(ranked) - 1) // 2]}
        found[GAME, rule] = chosen
    return found


def contents(run: bench.Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run.path / "weights").iterdir()}


# Which are kept


def test_the_median_and_the_best_are_kept_and_the_rest_is_deleted(usual: bench.Run, every: bench.Run) -> None:
    assert seeds(usual) == expected(usual)
    assert seeds(every) == {(GAME, rule): set(range(5)) for rule in usual.study.optimizers}
    assert contents(usual).items() <= contents(every).items()


def test_they_are_no_part_of_the_records(usual: bench.Run, every: bench.Run, tmp_path: Path) -> None:
    none = bench.run(study(), out=tmp_path / "none", keep_weights="none")
    assert not weights.kept(none)
    assert usual.names() == every.names() == none.names()
    assert usual.study.name == every.study.name
    for name in usual.names():
        drawn = (run.content(f"{name}.safetensors") for run in (usual, every, none))
        assert len(set(drawn)) == 1
    assert "weights" not in usual.manifest  # a run of the usual kind is written as one of earlier versions
    assert (every.manifest["weights"], none.manifest["weights"]) == ("all", "none")


def test_workers_of_their_own_send_the_same(usual: bench.Run, tmp_path: Path) -> None:
    assert contents(bench.run(study(), out=tmp_path / "run", jobs=2)) == contents(usual)


def test_an_order_by_score_has_failures_last_and_no_failure_is_kept() -> None:
    order = {4: True, 1: True, 3: False, 0: False, 2: False}
    assert median(order) == 3
    assert representatives(order) == {4}
    assert representatives({1: True, 2: True, 3: False}) == {1, 2}
    assert representatives({1: True, 2: True}) == {1}
    assert representatives({1: False}) == representatives({}) == set()


def test_failures_are_ordered_last(tmp_path: Path) -> None:
    run = bench.run(study(optimizers="sgd[lr=1e6]", games=GAME), out=tmp_path / "run", keep_weights="all")
    order = ordered(run.records, run.study.primary(GAME))
    assert order == dict.fromkeys(range(5), False)
    assert not weights.kept(run)


# Run again, and again otherwise


def training_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it trains what is there")

    monkeypatch.setattr("bench.execution.process_pool.InProcessEngine.advance", fail)


def test_what_is_kept_changes_without_training_and_never_by_itself(
    every: bench.Run, usual: bench.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.Run(shutil.copytree(every.path, tmp_path / "run"))
    training_is_refused(monkeypatch)
    for asked, left in (("", every), ("all", every), ("median", usual), ("", usual), ("all", usual)):
        run = bench.run(study(), out=run.path, keep_weights=asked)
        assert contents(run) == contents(left), asked
    run = bench.run(study(), out=run.path, keep_weights="none")
    assert not contents(run)
    assert run.digest() == every.digest()


def test_a_run_of_an_earlier_version_opens_and_goes_on(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(copied / "weights")
    manifest = (copied / "study.json").read_bytes()
    training_is_refused(monkeypatch)
    run = bench.run(study(), out=copied)
    assert not (copied / "weights").exists()
    assert (copied / "study.json").read_bytes() == manifest
    with pytest.raises(UserError, match="was trained before weights were kept; a run in a new --out keeps them"):
        run.generator("adam", GAME)


def test_what_is_asked_for_is_one_of_three(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keep_weights is 'mediann'; did you mean median"):
        bench.run(study(), out=tmp_path / "run", keep_weights="mediann")
    assert not (tmp_path / "run").exists()


# Crashes


class Crash(Exception):  # noqa: N818
    """The end of a process."""


@pytest.mark.parametrize(
    "place", ["before a chunk's records", "before the rest is dropped", "while the rest is dropped"]
)
def test_after_a_crash_the_same_is_kept(
    place: str, usual: bench.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        if place == "before a chunk's records":

            def torn(folder: Any, chunk: str, files: dict[int, bytes]) -> None:
                write(folder, chunk, dict(list(files.items())[:2]))
                if files:
                    raise Crash

            write = weights.write
            patched.setattr(weights, "write", torn)
        elif place == "before the rest is dropped":
            patched.setattr(Coordinator, "_drop_weights", crash)
        else:
            unlink = Path.unlink

            def once(path: Path, **how: Any) -> None:
                if path.parent.name == "weights" and path.exists():
                    unlink(path)
                    raise Crash
                unlink(path, **how)

            patched.setattr(Path, "unlink", once)
        with pytest.raises(Crash):
            bench.run(study(), out=tmp_path / "run")
    assert (tmp_path / "run" / "weights").is_dir() or place == "before the rest is dropped"
    run = bench.run(study(), out=tmp_path / "run")
    assert contents(run) == contents(usual)


def crash(*_: object) -> None:
    raise Crash


def test_a_chunk_trained_again_gives_the_weights_it_gave(copied: Path, usual: bench.Run) -> None:
    before = contents(usual)
    for one in weights.kept(usual):
        (copied / "records" / f"{one.chunk}.parquet").unlink(missing_ok=True)
    assert contents(bench.run(study(), out=copied)) == before


# Damage


def test_every_damage_is_noticed(copied: Path) -> None:
    one, other = weights.kept(bench.Run(copied))[:2]
    whole = one.path.read_bytes()
    w = weights.load(one, size := len(weights.load(one, (len(whole) - 8 - int.from_bytes(whole[:8], "little")) // 4)))
    assert w.dtype == torch.float32
    for damaged in (b"", whole[:-1], whole[:100], whole[:-1] + bytes([whole[-1] ^ 1]), other.path.read_bytes()):
        one.path.write_bytes(damaged)
        with pytest.raises(Damaged, match="is damaged"):
            weights.load(one, size)
    one.path.write_bytes(whole)
    with pytest.raises(Damaged, match=f"it holds no {size + 1} parameters"):
        weights.load(one, size + 1)
    one.path.unlink()
    one.path.symlink_to(other.path)
    with pytest.raises(Damaged):
        weights.load(one, size)


def test_what_is_no_weight_of_the_run_is_no_part_of_it(copied: Path) -> None:
    run = bench.Run(copied)
    before = weights.kept(run)
    one = before[0]
    for name in (f"{one.chunk}.99.safetensors", f"{'0' * 20}.1.safetensors", "other.safetensors"):
        (copied / "weights" / name).write_bytes(one.path.read_bytes())
    assert weights.kept(run) == before


# Several runs


def test_more_seeds_keep_those_of_each_group(copied: Path) -> None:
    before = seeds(bench.Run(copied))
    run = bench.run(study(), out=copied, add_seeds=3)
    assert seeds(run) == expected(run, run.study.seed_groups)
    assert all(before[pair] <= kept for pair, kept in seeds(run).items())
    for rule in run.study.optimizers:  # the nearest to the median of all that is kept, and the best of all
        run.generator(rule, GAME)
        run.generator(rule, GAME, best=True)


def test_merged_runs_have_the_weights_of_all(usual: bench.Run, tmp_path: Path) -> None:
    more = bench.run(study(seeds="7-8"), out=tmp_path / "more", keep_weights="all")
    merged = merge([usual, more], tmp_path / "merged")
    assert merged.manifest["weights"] == "all"
    assert seeds(merged) == {pair: kept | {7, 8} for pair, kept in seeds(usual).items()}
    assert contents(merged) == contents(usual) | contents(more)


def test_packed_records_keep_their_weights(copied: Path) -> None:
    run = bench.Run(copied)
    before = seeds(run)
    RunWriter(run).pack()
    assert seeds(bench.Run(copied)) == before
    bench.Run(copied).generator("adam", GAME)
