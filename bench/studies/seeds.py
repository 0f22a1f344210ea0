"""Report seeds: how they are spelled, and how a run gets more of them.

Seeds that are added to a run are recorded as groups of their own. A group trains in stacks of its own, so the stacks
that are there stay as they are and are not trained again, and what a stack is made of depends on the study alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from bench.registry.spelling import split

MOST_SEED = 2**32
"""Report seeds are below it, tuning seeds are not: the two never overlap."""
MOST_AT_ONCE = 100_000


def seeds_of(value: Any) -> Any:
    """``"0-9"``, ``"0-4,7"`` or a list of whole numbers -> a list of seeds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if not isinstance(value, str):
        return value
    seeds: list[int] = []
    for part in split(value):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part)
        if not match:
            hint = "; bench.run(study, add_seeds=20) adds seeds to a run" if asks_for_more(value) else ""
            raise ValueError(f"found {value!r}; whole numbers and ranges are allowed, e.g. 0-9 or 0-4,7{hint}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"found {part!r}, which runs backwards; did you mean {last}-{first}?")
        if last - first >= MOST_AT_ONCE:
            raise ValueError(f"found {part!r}; at most {MOST_AT_ONCE} seeds are allowed")
        seeds += range(first, last + 1)
    return seeds


def asks_for_more(seeds: Any) -> bool:
    """Whether seeds are spelled as an addition to those of a run: ``"+20"``."""
    return isinstance(seeds, str) and seeds.strip().startswith("+")


def count_of(value: Any) -> Any:
    """``"+20"`` -> 20; ValueError, in a line, for anything else that begins with a plus."""
    if not asks_for_more(value):
        return value
    match = re.fullmatch(r"\s*\+\s*(\d{1,6})\s*", value, re.ASCII)
    if not match or not 1 <= int(match[1]) <= MOST_AT_ONCE:
        raise ValueError(f"found {value!r}; + and a whole number from 1 to {MOST_AT_ONCE} is allowed, e.g. +20")
    return int(match[1])


def seed_groups(seeds: Sequence[int], added: Sequence[int]) -> list[list[int]]:
    """The seeds that a run began with, and those of each addition: the last ``added`` ones, in their order."""
    ends = [0, *accumulate(added, initial=len(seeds) - sum(added))]
    return [list(seeds[start:end]) for start, end in pairwise(ends)]


def groups_of(study: Mapping[str, Any]) -> list[list[int]]:
    """The groups of a study as a manifest holds it, which may be damaged; none where it holds no seeds."""
    try:
        return seed_groups(study["seeds"], study.get("added_seeds", []))
    except (KeyError, TypeError):
        return []


def continues(there: list[list[int]], asked: list[list[int]]) -> bool:
    """Whether the groups asked for are those of a run, with or without further ones."""
    return asked[: len(there)] == there
