"""The gate that times two trees in turn: it lets equal ones pass, and stops one in which a slowdown is planted."""

from __future__ import annotations

import shutil
from pathlib import Path

import ab
import pytest

ROOT = Path(__file__).parents[2]
FEW = {"ring8": ("adam", "ring8[width=16,batch_size=16]", 4, 8), "bilinear": ("extragrad", "bilinear", 4, 16)}
ROUNDS = 12


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("bench", "optimizers"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_both_the_ratio_and_the_ranks_must_say_so() -> None:
    base = [1 + 0.001 * k for k in range(20)]
    assert not ab.verdict("equal", base, base).slower
    assert not ab.verdict("ranks alone", [1.05 * x for x in base], base).slower
    assert ab.verdict("both", [1.2 * x for x in base], base).slower
    scattered = [0.5, 0.6, 0.7, 0.8, 1.3, 1.4, 1.5, 1.6, 1.7]
    assert ab.verdict("ratio alone", scattered, base[:9]).ratio > ab.RATIO
    assert not ab.verdict("ratio alone", scattered, base[:9]).slower
    assert not ab.verdict("quicker", [0.5 * x for x in base], base).slower


@pytest.mark.slow
def test_equal_trees_pass_and_a_planted_slowdown_does_not(copied: Path) -> None:
    assert [one.slower for one in ab.compared(ROOT, copied, FEW, ROUNDS, ratio=1.5)] == [False, False]
    game = copied / "bench" / "games" / "harness" / "gan.py"
    source = game.read_text()
    planted = source.replace(
        "    def batch(self, seeds: Tensor, draw: int) -> Batch:\n",
        "    def batch(self, seeds: Tensor, draw: int) -> Batch:\n"
        "        for _ in range(100):\n            normal(seeds, 'wasted', draw, (2, self.batch_size))\n",
    )
    assert planted != source
    game.write_text(planted)
    verdicts = {one.name: one for one in ab.compared(copied, ROOT, FEW, ROUNDS, ratio=1.5)}
    assert verdicts["ring8"].slower, "GANs draw minibatches for nothing"
    assert not verdicts["bilinear"].slower, "the bilinear game has none"


class Told:
    """A tree that answers what it is told to."""

    def __init__(self, said: float | str) -> None:
        self.said = said

    def seconds(self, work: ab.Work) -> float | str:
        return self.said


def test_what_the_other_tree_lacks_is_not_compared_and_what_this_one_lacks_is_an_error() -> None:
    lacking, able = Told("UserError: no such game"), Told(1.0)
    said = ab._compared("new", FEW["ring8"], [able, lacking], 2, ab.RATIO)  # type: ignore[list-item]
    assert str(said) == "| new | - | - | not compared: UserError: no such game |"
    assert not said.slower
    with pytest.raises(SystemExit, match="fails in this tree: UserError"):
        ab._compared("gone", FEW["ring8"], [lacking, able], 2, ab.RATIO)  # type: ignore[list-item]


def test_what_is_no_tree_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="neither a folder, a wheel nor a commit"):
        ab.tree_of("no-such-commit", tmp_path)
