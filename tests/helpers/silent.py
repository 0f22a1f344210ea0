"""Games in closed form that do not say what is learned, as one of a plug-in may not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.games.dirac import Dirac
from bench.games.gaussian_mean import GaussianMean
from bench.games.harness.linear_field import LinearField


@contextmanager
def silent_games() -> Iterator[None]:
    """While it is open; a run that was made then stays so, for its manifest describes its games."""
    with pytest.MonkeyPatch.context() as patched:
        for game in (Dirac, LinearField, GaussianMean):
            patched.setattr(game, "learned", None)
        yield
