"""The README's figures: eight rules on the default games, tuned, ten seeds each.

    OMP_NUM_THREADS=1 python results/reference/readme.py

The run goes to results/readme, and goes on there where it was interrupted; the figures to results/reference/figures.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from bench.animation import animate
from bench.runner import run
from bench.spec import Study

RULES = ("sgd", "adam", "ttur", "extragrad", "extraadam", "optimistic", "optimistic-adam", "alternating")
FIGURES = ("bilinear-trajectories", "digits-scores")
MOVING = ("sgd", "alternating", "extragrad", "optimistic")
HERE = Path(__file__).parent


def main() -> None:
    start = time.perf_counter()
    made = run(Study(optimizers=list(RULES)), out=HERE.parent / "readme", jobs=os.cpu_count() or 1)
    trained = time.perf_counter()
    page = made.report()
    to = HERE / "figures"
    to.mkdir(exist_ok=True)
    for name in FIGURES:
        shutil.copy(made.path / "figures" / f"{name}.svg", to)
    animate(made, "dirac", list(MOVING), to / "dirac.gif")
    print(f"{page}: {page.stat().st_size / 1e6:.2f} MB")
    print(f"trained in {trained - start:.0f} s, drawn in {time.perf_counter() - trained:.0f} s")


if __name__ == "__main__":
    main()
