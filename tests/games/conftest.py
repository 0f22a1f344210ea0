"""Small image sets in place of the real ones."""

from __future__ import annotations

import pytest
from image_files import fake

from bench.games.data.formats import SETS
from bench.games.data.loading import PACKAGED


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets in place of the real ones, none of which is found unless a test lays it down."""
    for name in list(SETS):
        monkeypatch.setitem(SETS, name, fake(name))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.delitem(PACKAGED, "fashion")
