"""Data as people have them: of every kind, split, drawn by the seed, refused where they are wrong."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from bench.errors import UserError
from bench.games.data.given import GivenData, given_data, refuse_range

ROWS = torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(300) % 3
SEEDS = torch.tensor([4, 9])


class Augmented(Dataset[tuple[Tensor, int]]):
    """Items with noise of three kinds, and a label."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = random.random() + float(np.random.rand()) + float(torch.rand(()))
        return torch.full((2,), float(index)) + noise / 10, index % 3

    def __len__(self) -> int:
        return 300


class Plain(Dataset[Tensor]):
    """A data set of the rows."""

    def __getitem__(self, index: int) -> Tensor:
        return ROWS[index]

    def __len__(self) -> int:
        return len(ROWS)


def memory_map(folder: Path) -> np.ndarray:
    np.save(folder / "rows.npy", ROWS.numpy())
    mapped: np.ndarray = np.load(folder / "rows.npy", mmap_mode="r")
    return mapped


@pytest.mark.parametrize(
    "kind", ["tensor", "array", "map", "list", "tuples", "frame", "dataset", "pairs", "pair", "tensors", "loader"]
)
def test_the_same_data_however_they_are_given(kind: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "tensor": ROWS, "array": ROWS.numpy(), "map": memory_map(tmp_path), "list": ROWS.tolist(),
        "tuples": [tuple(row) for row in ROWS.tolist()], "frame": pd.DataFrame(ROWS.numpy(), columns=["a", "b"]),
        "dataset": Plain(), "pairs": [(row, int(k)) for row, k in zip(ROWS, LABELS, strict=True)],
        "pair": (ROWS, LABELS), "tensors": TensorDataset(ROWS, LABELS), "loader": DataLoader(Plain(), batch_size=7),
    }  # fmt: skip
    data, plain = given_data(given[kind], 16), given_data(ROWS, 16)
    assert torch.equal(data.held_out, plain.held_out)
    assert torch.equal(data.draw(SEEDS, "real", 3, 16)[0], plain.draw(SEEDS, "real", 3, 16)[0])
    assert len(data.held_out) == 30
    assert bool(data.notices) == (kind == "loader")
    labels = data.draw(SEEDS, "real", 3, 16)[1]
    assert (labels is not None) == (kind in ("pairs", "pair", "tensors"))
    if labels is not None:
        rows = {tuple(row): int(k) for row, k in zip(ROWS.tolist(), LABELS, strict=True)}
        drawn = data.draw(SEEDS, "real", 3, 16)[0]
        assert [rows[tuple(x)] for x in drawn[0].tolist()] == labels[0].tolist()
    assert data.columns == (("a", "b") if kind == "frame" else ())


def test_what_is_held_out_never_trains() -> None:
    data = given_data(ROWS, 16)
    kept = {tuple(row) for row in data.held_out.tolist()}
    drawn = {tuple(row) for row in data.draw(torch.arange(64), "real", 0, 64)[0].flatten(0, 1).tolist()}
    assert not kept & drawn
    assert kept | {tuple(row) for row in data.samples.tolist()} == {tuple(row) for row in ROWS.tolist()}
    assert len(given_data(torch.zeros(50_000, 1), 16).held_out) == 2000
    own = given_data(ROWS, 16, held_out=ROWS[:5] + 1)
    assert torch.equal(own.held_out, ROWS[:5] + 1)
    assert own.samples is not None
    assert len(own.samples) == 300


def test_sequences_are_not_cut() -> None:
    sequences = [[[1.0, 2.0], [3.0, 4.0], [5.0, float(k)]] for k in range(40)]
    assert given_data(sequences, 16).held_out.shape == (4, 3, 2)


def alone_equals_together(data: GivenData) -> None:
    both, first, one = (data.draw(seeds, "real", 5, 16) for seeds in (SEEDS, SEEDS[:1], SEEDS[1:]))
    for k in (0, 1):
        if both[k] is not None:
            assert torch.equal(both[k][:1], first[k])
            assert torch.equal(both[k][1:], one[k])


def test_random_augmentation_is_drawn_anew_by_the_seed() -> None:
    states = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()
    data = given_data(Augmented(), 16)
    alone_equals_together(data)
    samples, labels = data.draw(SEEDS, "real", 0, 64)
    again = data.draw(SEEDS, "real", 0, 64)[0]
    assert torch.equal(samples, again)
    indices = samples[..., 0].floor()
    assert labels is not None
    assert ((indices % 3) == labels).all()
    kept = set(data.held_out[:, 0].floor().tolist())
    assert len(kept) == 30
    assert not kept & set(indices.flatten().tolist())
    noise = torch.cat([data.draw(SEEDS, "real", draw, 64)[0][0] for draw in range(8)])
    same = noise[noise[:, 0].floor() == noise[0, 0].floor()][:, 0]
    assert len(same.unique()) == len(same) >= 2, "one item comes out otherwise each time"
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (states[0], states[2])
    assert torch.equal(torch.get_rng_state(), states[1])


def test_a_function_draws_by_the_seed() -> None:
    data = given_data(lambda generator, count: torch.randn(count, 2, generator=generator), 16)
    alone_equals_together(data)
    assert data.held_out.shape == (2000, 2)
    assert given_data(lambda generator, count: torch.randn(count, 2, generator=generator), 16).digest == data.digest


def test_a_digest_tells_contents_apart() -> None:
    changed = ROWS.clone()
    changed[7, 1] += 1
    digests = [given_data(data, 16).digest for data in (ROWS, changed, (ROWS, LABELS), (ROWS, LABELS.flip(0)))]
    assert len({*digests}) == 4
    assert given_data(ROWS.clone(), 16).digest == digests[0]


class Endless(IterableDataset[Tensor]):
    """A stream without a length."""

    def __iter__(self) -> Any:
        return iter(ROWS)


def spoiled(row: int, column: int) -> Tensor:
    rows = ROWS.clone()
    rows[row, column] = torch.nan
    return rows


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            pd.DataFrame(spoiled(17, 1).numpy(), columns=["cm", "age"]),
            "row 17, column 'age' is not finite; 1 of 300",
        ),
        (spoiled(17, 1), "row 17, column 1 of data is not finite"),
        (torch.full((4, 1, 2, 2), torch.inf), "sample 0 of data is not finite; 4 of 4"),
        (pd.DataFrame({"a": [1.0, 2.0], "name": ["x", "y"]}), "column 'name' of data holds no numbers"),
        ("faces/", r"data is a path, which is not read; give bench.image_folder\('faces/'\)"),
        (3, "data is a int"),
        (Endless(), "data is a Endless"),
        (torch.zeros(3), r"data has shape \(3,\)"),
        (torch.zeros(1, 2), "data has 1 sample; 2 or more"),
        ([[1.0, 2.0], [1.0]], r"sample 1 has shape \(1,\), sample 0 has \(2,\)"),
        ([["a", "b"], ["c", "d"]], "data is a list, which raised"),
        ((ROWS, LABELS[:5]), r"labels have shape \(5,\)"),
        ((ROWS, ROWS[:, 0]), r"labels have shape \(300,\) and torch.float32"),
    ],
)
def test_refusals_say_what_is_wrong_where(data: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        given_data(data, 16)
    assert "\n" not in str(caught.value)


def test_a_held_out_part_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"held_out has samples of shape \(3,\), data of \(2,\)"):
        given_data(ROWS, 16, held_out=torch.zeros(4, 3))


def test_data_beyond_what_a_generator_gives_are_refused() -> None:
    pixels = torch.randint(0, 256, (50, 1, 4, 4)).float()
    with pytest.raises(UserError, match=r"pixels lie in \d+..\d+ and the generator ends in Tanh: scale to \[-1, 1\]"):
        refuse_range(pixels, (-1.0, 1.0), "Tanh")
    with pytest.raises(UserError, match=r"data lie in .* ends in Sigmoid: scale to \[0, 1\]"):
        refuse_range(torch.linspace(-3, 3, 20)[:, None], (0.0, 1.0), "Sigmoid")
    refuse_range(pixels, None, "")
    refuse_range(pixels / 127.5 - 1, (-1.0, 1.0), "Tanh")
