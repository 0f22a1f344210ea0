"""Packages that not every user needs: what asks for one that is not installed says how to install it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.spelling import SpecError


@contextmanager
def needed(by: str, extra: str) -> Iterator[None]:
    """SpecError for a package that is imported within and lacks; one of our own that lacks is our mistake."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name or "bench").partition(".")[0]
        if package == "bench":
            raise
        install = f"pip install 'gan-optimizer-bench[{extra}]'"
        raise SpecError(f"{by} needs {package}, which is not installed: {install}") from None
