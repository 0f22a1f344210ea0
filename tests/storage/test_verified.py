"""What bench verify found of a run, read from a folder that may come from anyone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench.storage.records import Damaged
from bench.storage.verified import FILE, LARGEST, read_verification

SAID: dict[str, Any] = {
    "cells": 20, "agreed": 20, "differ": [], "exact": True, "machine": "AMD EPYC", "protocol": "2.0",
}  # fmt: skip


def read(folder: Path, content: object) -> Any:
    (folder / FILE).write_text(content if isinstance(content, str) else json.dumps(content))
    return read_verification(folder, "2.0", lambda: "a1")


def test_what_it_says(tmp_path: Path) -> None:
    assert read_verification(tmp_path, "2.0", lambda: "a1") is None
    assert read(tmp_path, SAID).words == "verified: 20 of 20 cells, bit for bit, on AMD EPYC"
    assert (
        read(tmp_path, SAID | {"exact": False, "more": 1}).words
        == "verified: 20 of 20 cells, within bounds, on AMD EPYC"
    )
    assert read(tmp_path, SAID | {"records": "a1"}).whole
    open_ones = read(tmp_path, SAID | {"agreed": 17, "undecided": 3, "exact": False})
    assert open_ones.short == "verified: 17 of 20 cells, within bounds, 3 undecided"
    assert not read(tmp_path, SAID | {"cells": 0, "agreed": 0}).whole, "nothing was trained again"
    none_tells = read(tmp_path, SAID | {"agreed": 0, "undecided": 20})
    assert not none_tells.whole
    assert none_tells.short.startswith("not decided: 0 of 20 cells agree")
    some = read(tmp_path, SAID | {"agreed": 18, "differ": ["sgd on dirac, seed 3", {"rule": "adam", "seed": 4}]})
    assert not some.whole
    assert some.words == "not as recorded: 18 of 20 cells agree, bit for bit, on AMD EPYC"
    assert some.differences == ["sgd on dirac, seed 3", "rule adam, seed 4"]
    assert not read(tmp_path, SAID | {"differ": ["the tuned value of sgd on dirac"]}).whole


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged: it is not JSON"),
        ("[" * 100_000, "is damaged: it is not JSON"),
        ("[]", "is damaged: input should be"),
        ("\x00", "is damaged: it is not JSON"),
        ({}, "is damaged: cells: field required"),
        (SAID | {"cells": -1}, "is damaged: cells: input should be greater"),
        (SAID | {"cells": True}, "is damaged: cells: input should be a valid integer"),
        (SAID | {"cells": "20"}, "is damaged: cells: input should be a valid integer"),
        (SAID | {"cells": 1e400}, "is damaged: cells: input should be a valid integer"),
        (SAID | {"agreed": 21}, "is damaged: agreed is 21, more than the 20 cells"),
        (SAID | {"agreed": -1}, "is damaged: agreed: input should be greater"),
        (SAID | {"exact": "yes"}, "is damaged: exact: input should be a valid boolean"),
        (SAID | {"machine": 7}, "is damaged: machine: input should be a valid string"),
        (SAID | {"machine": "a\nb"}, "is damaged: a text in it is none that can be printed on one line"),
        (SAID | {"machine": "a\u202eb"}, "is damaged: a text in it is none that can be printed on one line"),
        (SAID | {"machine": "x" * 5000}, "is damaged: machine: string should have at most"),
        (SAID | {"differ": "all"}, "is damaged: differ: input should be a valid list"),
        (SAID | {"differ": [{"deep": {"er": 1}}]}, "is damaged: differ.0"),
        (SAID | {"protocol": "1.1"}, "is of protocol '1.1', its run of '2.0': bench verify RUN writes it anew"),
        (SAID | {"agreed": 19, "undecided": 2}, "is damaged: agreed is 19 and undecided 2, more than the 20 cells"),
        (SAID | {"records": "b2"}, "is of other records than its run has: bench verify RUN writes it anew"),
        ("1" * (LARGEST + 1), f"is damaged: it has more than {LARGEST:,} bytes"),
    ],
)
def test_a_broken_or_hostile_one_is_one_line(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(Damaged) as refused:
        read(tmp_path, content)
    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300 + len(str(tmp_path))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_or_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(json.dumps(SAID))
    (tmp_path / FILE).symlink_to(tmp_path / "secret")
    with pytest.raises(Damaged, match="cannot be read"):
        read_verification(tmp_path, "2.0", lambda: "a1")
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    with pytest.raises(Damaged, match="cannot be read"):
        read_verification(tmp_path, "2.0", lambda: "a1")
