"""Is this tree slower than another? Both are timed in turn, in one job on one machine.

    python tests/benchmarks/ab.py BASE          # a commit, a folder with a tree, or a wheel
    python tests/benchmarks/ab.py BASE --ratio 1.05 --rounds 40

Each tree has a process of its own, of one thread; one of them works at a time, and who begins changes from round to
round. A workload has become slower if the ratio of medians says so and a rank test does (Mann and Whitney 1947, Annals
of Mathematical Statistics 18:50, one-sided): noise moves one or the other, rarely both. Exit code 1 if any has.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scipy.stats import mannwhitneyu

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("ab_worker.py")
RATIO, LEVEL, ROUNDS = 1.1, 0.001, 20
RING = "ring8[width=64,batch_size=64]"
WORKLOADS = {  # rule, game, replicas, steps of a measurement: each some 50 ms
    "ring8, adam": ("adam", RING, 16, 16),
    "ring8, extraadam": ("extraadam", RING, 16, 8),
    "ring8, alternating": ("alternating", RING, 16, 16),
    "ring8, consensus": ("consensus", RING, 16, 8),
    "wgan-gp, adam": ("adam", "ring8[width=64,batch_size=64,loss=wgan-gp]", 16, 8),
    "digits, adam": ("adam", "digits", 16, 16),
    "bilinear, extragrad": ("extragrad", "bilinear", 64, 128),
}
Work = tuple[str, str, int, int]


class Tree:
    """A process that times the engine of one tree."""

    def __init__(self, path: Path) -> None:
        settings = os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=settings,
            cwd=path,
        )
        found = self._line()
        if Path(found).resolve() != path.resolve():
            self.end()
            raise SystemExit(f"ab: {path} has no bench that Python finds: it took {found or 'none'}")

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seconds(self, work: Work) -> float | str:
        """Of a workload; what was raised instead, in words."""
        assert self.process.stdin is not None
        print(*work, sep="\t", file=self.process.stdin, flush=True)
        said = self._line()
        try:
            return float(said)
        except ValueError:
            return said or "its process ended"

    def end(self) -> None:
        with self.process as process:  # waits, and closes what is open
            assert process.stdin is not None
            process.stdin.close()  # which ends it


@dataclass(frozen=True)
class Verdict:
    """On one workload: how many times as long this tree takes, and the chance of such ranks among equals."""

    name: str
    ratio: float
    p: float
    slower: bool
    fault: str = ""

    def __str__(self) -> str:
        if self.fault:
            return f"| {self.name} | - | - | not compared: {self.fault} |"
        said = "SLOWER" if self.slower else "ok"
        return f"| {self.name} | {self.ratio:.3f} | {self.p:.2g} | {said} |"


def verdict(name: str, own: Sequence[float], base: Sequence[float], ratio: float = RATIO) -> Verdict:
    """By the seconds of this tree and of the other."""
    p = float(mannwhitneyu(own, base, alternative="greater").pvalue)
    found = median(own) / median(base)
    return Verdict(name, found, p, found > ratio and p < LEVEL)


def compared(
    own: Path, base: Path, workloads: dict[str, Work], rounds: int = ROUNDS, ratio: float = RATIO
) -> list[Verdict]:
    """A verdict a workload."""
    trees: list[Tree] = []
    try:
        trees += [Tree(own), Tree(base)]
        return [_compared(name, work, trees, rounds, ratio) for name, work in workloads.items()]
    finally:
        for tree in trees:
            tree.end()


def _compared(name: str, work: Work, trees: list[Tree], rounds: int, ratio: float) -> Verdict:
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):  # the first is to warm up
        for side in (0, 1) if number % 2 else (1, 0):
            seconds = trees[side].seconds(work)
            if isinstance(seconds, str):
                if side == 0:
                    raise SystemExit(f"ab: {name} fails in this tree: {seconds}")
                return Verdict(name, float("nan"), float("nan"), slower=False, fault=seconds)
            if number:
                found[side].append(seconds)
    return verdict(name, *found, ratio)


def tree_of(base: str, into: Path) -> Path:
    """The tree of a folder, a wheel or a commit, unpacked where it must be."""
    if Path(base).is_dir():
        return Path(base).resolve()
    if base.endswith(".whl"):
        with zipfile.ZipFile(base) as wheel:
            wheel.extractall(into)
        return into
    done = subprocess.run(["git", "archive", base, "bench", "optimizers"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"ab: {base!r} is neither a folder, a wheel nor a commit: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as packed:
        packed.extractall(into, filter="data")
    return into


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Is this tree slower than another? Exit code 1 if it is.")
    parser.add_argument("base", help="a commit, a folder with a tree, or a wheel")
    parser.add_argument("--ratio", type=float, default=RATIO, help="of medians, beyond which it counts; default: 1.1")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements a workload; default: 20")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        verdicts = compared(ROOT, tree_of(given.base, Path(scratch)), WORKLOADS, given.rounds, given.ratio)
    print(f"| this tree against {given.base} | seconds, ratio of medians | p | |\n|---|---|---|---|")
    print("\n".join(map(str, verdicts)))
    return 1 if any(one.slower for one in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
