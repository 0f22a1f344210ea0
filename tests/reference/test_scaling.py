"""The page on how time and memory grow says what was measured, and trainings hold no more memory as they go on."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from scripts import script

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc: memory is read nowhere else")


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    return script("scaling")


def test_slopes_and_growth_are_found(scaling: ModuleType) -> None:
    assert scaling.slope({n: 0.3 * n for n in (1, 2, 4, 8)}) == pytest.approx(1)
    assert scaling.slope({1: 5.0, 2: 5.0, 10: 2.0, 100: 200.0}) == pytest.approx(2)
    assert scaling.growth([(0, 1.0), (50, 10.0), (60, 11.0), (99, 14.0), (100, 90.0)]) == pytest.approx(4)


def test_a_page_with_its_figure(scaling: ModuleType, tmp_path: Path) -> None:
    found = scaling.Found(
        {1: 0.1, 2: 0.2, 4: 0.4}, {1: 0.1, 10: 1.0, 100: 10.0}, {"adam": [(0, 5.0), (5, 6.0), (9, 7.0), (10, 8.0)]}
    )
    scaling.drawn(found, tmp_path / "a.svg")
    scaling.drawn(found, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    page = "\n".join(scaling.lines(found))
    assert "| 2 | 200.00 | 100000 |" in page
    assert "| 100 | 10.00 | 100000 |" in page
    assert "| adam | 10 | 6 | 1.0 |" in page


@needs_proc
def test_memory_stays_flat_through_a_training(scaling: ModuleType) -> None:
    memory = scaling.through_time("adam", "ring8[width=16,batch_size=16]", 1000)
    assert memory[-1][0] == 1000
    assert scaling.growth(memory) < 8, "megabytes"


def test_what_is_measured_is_all_of_what_is_asked_for(scaling: ModuleType) -> None:
    assert sorted(scaling.by_replicas((1, 2))) == [1, 2]
    assert sorted(scaling.by_steps((4, 8))) == [4, 8]
