"""What is chosen of many combinations has every value, and nothing of the product is lost."""

from __future__ import annotations

from itertools import product

import pytest
from covering import covering, firsts
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_every_value_is_there_and_the_rest_is_slow(lengths: list[int]) -> None:
    axes = [[f"{axis}.{k}" for k in range(length)] for axis, length in enumerate(lengths)]
    found = covering(*axes)
    assert [tuple(one.values) for one in found] == list(product(*axes))
    few = [one.values for one in found if not one.marks]
    assert len(few) == max(lengths)
    assert [{values[axis] for values in few} for axis in range(len(axes))] == list(map(set, axes))
    assert {mark.name for one in found for mark in one.marks} <= {"slow"}
    assert covering(*axes) == found


def test_a_tuple_stays_together() -> None:
    found = covering(product("ab", "xyz"), (1, 2))
    assert [one.values for one in found if not one.marks] == [
        ("a", "x", 1), ("a", "y", 2), ("a", "z", 1), ("b", "x", 2), ("b", "y", 1), ("b", "z", 2)
    ]  # fmt: skip
    assert len(found) == 12


def test_of_rows_each_with_something_new() -> None:
    rows = [("a", 1), ("a", 2), ("b", 2), ("b", 1), ("a", 1), ("c", 3)]
    found = firsts(rows)
    assert [one.values for one in found] == rows
    assert [bool(one.marks) for one in found] == [False, False, False, True, True, False]


def test_the_plain_command_leaves_the_rest_out(pytestconfig: pytest.Config) -> None:
    assert "not slow" in pytestconfig.getini("addopts")
