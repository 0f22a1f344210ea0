"""Data as people have them: every kind is read as itself, split and drawn by the seed alone, or refused in one line."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, SubsetRandomSampler, TensorDataset

from bench.errors import UserError
from bench.games.data.given import GivenData, given_data, refuse_range
from bench.games.data.items import seeded
from bench.numerics.randomness import integers

POINTS = torch.randn(300, 2, generator=torch.Generator().manual_seed(5))
LABELS = torch.arange(300) % 3
SEEDS = torch.tensor([4, 9, 4])


class Listed(Dataset[Any]):
    """Items by a function of their number."""

    def __init__(self, item: Any, count: int = 40) -> None:
        self.item, self.count = item, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        return self.item(i)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(POINTS)


def drawing(generator: torch.Generator, count: int) -> Tensor:
    return torch.randn(count, 3, generator=generator)


def whole(given: GivenData) -> Tensor:
    """All that was given, in some order."""
    assert given.samples is not None
    return torch.cat([given.samples, given.held_out])


def in_order(samples: Tensor) -> Tensor:
    rows = samples.flatten(1)
    return rows[rows[:, 0].argsort()]


def memmap(folder: Path) -> np.memmap[Any, Any]:
    np.save(folder / "points.npy", POINTS.numpy())
    return np.load(folder / "points.npy", mmap_mode="r")  # type: ignore[no-any-return]


SAME = {
    "a tensor": lambda _: POINTS,
    "a tensor that requires a gradient": lambda _: POINTS.clone().requires_grad_(),
    "float64": lambda _: POINTS.double(),
    "an array": lambda _: POINTS.numpy(),
    "Fortran order": lambda _: np.asfortranarray(POINTS.numpy()),
    "a memmap, read only": memmap,
    "a table": lambda _: pd.DataFrame(POINTS.numpy(), columns=["age", "income"]),
    "rows": lambda _: POINTS.tolist(),
    "rows in tuples": lambda _: [tuple(row) for row in POINTS.tolist()],
    "a tuple of rows": lambda _: tuple(POINTS.tolist()),
    "rows of arrays": lambda _: list(POINTS.numpy()),
    "rows of tensors": lambda _: list(POINTS),
    "a data set of one": lambda _: TensorDataset(POINTS),
    "a data set of pairs": lambda _: TensorDataset(POINTS, LABELS),
    "pairs": lambda _: list(zip(POINTS, LABELS.tolist(), strict=True)),
    "a loader": lambda _: DataLoader(TensorDataset(POINTS), batch_size=7, shuffle=True),
    "with labels": lambda _: (POINTS, LABELS),
    "tables with labels": lambda _: (pd.DataFrame(POINTS.numpy()), pd.Series(LABELS.numpy())),
    "rows with labels": lambda _: (POINTS.tolist(), LABELS.tolist()),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_holds_the_same_samples(kind: str, tmp_path: Path) -> None:
    given = given_data(SAME[kind](tmp_path), 16)
    assert torch.equal(in_order(whole(given)), in_order(POINTS))
    assert (given.shape, given.held_out.dtype, len(given.held_out)) == ((2,), torch.float32, 30)
    labelled = "labels" in kind or "pairs" in kind
    assert (given.labels is not None) == labelled
    if given.labels is not None:
        assert given.samples is not None
        of = {float(point[0]): int(label) for point, label in zip(POINTS, LABELS, strict=True)}
        assert [of[float(one[0])] for one in given.samples] == given.labels.tolist()
        assert [of[float(one[0])] for one in given.held_out] == given.held_out_labels.tolist()  # type: ignore[union-attr]
    assert given.columns == (("age", "income") if kind == "a table" else tuple("01") if "tables" in kind else ())
    assert bool(given.notices) == (kind == "a loader")


def test_nested_lists_are_never_cut() -> None:
    paths = torch.randn(40, 6, 2)
    for given in (paths.tolist(), [tuple(map(tuple, path)) for path in paths.tolist()]):
        assert torch.equal(in_order(whole(given_data(given, 16))), in_order(paths))
    two = torch.randn(40, 2, 2)  # a path of two points is no (sample, label)
    for given in (two.tolist(), [tuple(map(tuple, path)) for path in two.tolist()], list(two)):
        assert given_data(given, 16).shape == (2, 2)


def test_a_minibatch_is_the_seeds_alone_and_labels_go_along() -> None:
    given = given_data((POINTS, LABELS), 16)
    samples, labels = given.draw(SEEDS, "real", 3, 16)
    assert labels is not None
    assert given.samples is not None
    assert given.labels is not None
    which = integers(SEEDS, "real", 3, (16,), 270)
    assert torch.equal(samples, given.samples[which])
    assert torch.equal(labels, given.labels[which])


def test_a_function_draws_by_the_seed_alone() -> None:
    given = given_data(drawing, 16)
    samples, labels = given.draw(SEEDS, "real", 3, 16)
    assert labels is None
    assert torch.equal(samples[0], samples[2])
    assert torch.equal(samples[1:2], given.draw(SEEDS[1:2], "real", 3, 16)[0])
    assert not torch.equal(samples[0], samples[1])
    assert (samples.shape, given.held_out.shape) == ((3, 16, 3), (2000, 3))


def augmented(i: int) -> tuple[Tensor, int]:
    shift = torch.rand(()) + random.random() + np.random.rand()
    return torch.full((1, 2, 2), float(i)) + shift, i % 2


def test_random_items_are_read_anew_by_the_seed_and_the_generators_stay() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    given = given_data(Listed(augmented), 16)
    samples, labels = given.draw(SEEDS, "real", 0, 16)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert given.samples is None
    assert torch.equal(samples[0], samples[2])
    assert torch.equal(samples[1:2], given.draw(SEEDS[1:2], "real", 0, 16)[0])
    seen = torch.cat([given.draw(SEEDS, "real", draw, 16)[0] for draw in range(40)], 1).flatten(0, 1)
    assert len(seen.unique()) > 40  # more than there are items
    assert labels is not None
    with seeded(0):
        held = {int(float(one.min()) // 1) for one in given.held_out}
    assert len(held) == 4
    assert torch.equal(given.held_out, given_data(Listed(augmented), 16).held_out)
    assert any("anew" in said for said in given.notices)


def test_random_items_that_no_seed_decides_are_refused() -> None:
    own = np.random.default_rng()
    with pytest.raises(UserError, match="item 0 read twice under the same seed differs"):
        given_data(Listed(lambda i: torch.tensor([i, own.random()])), 16)


def test_the_held_out_part_is_a_tenth_or_what_is_given() -> None:
    assert len(given_data(torch.randn(2, 3), 16).held_out) == 1
    assert len(given_data(torch.randn(30_000, 1), 16).held_out) == 2000
    given = given_data(POINTS, 16, held_out=POINTS[:5] + 1)
    assert torch.equal(given.held_out, POINTS[:5] + 1)
    assert torch.equal(given.samples, POINTS)  # type: ignore[arg-type]
    assert given_data(drawing, 16, held_out=torch.randn(9, 3)).held_out.shape == (9, 3)
    with pytest.raises(UserError, match=r"held_out has shape \(3,\), one of data \(2,\)"):
        given_data(POINTS, 16, held_out=torch.randn(9, 3))
    with pytest.raises(UserError, match="other columns"):
        given_data(pd.DataFrame({"a": [1, 2]}), 16, held_out=pd.DataFrame({"b": [1, 2]}))


def test_the_digest_tells_contents() -> None:
    other = POINTS.clone()
    other[7, 1] += 0.5
    held = given_data(POINTS, 16, held_out=POINTS[:9])
    datas = [
        POINTS,
        other,
        (POINTS, LABELS),
        (POINTS, (LABELS + 1) % 3),
        drawing,
        Listed(augmented),
        POINTS.view(-1, 1),
    ]
    digests = [held.digest, *(given_data(data, 16).digest for data in datas)]
    assert len(set(digests)) == len(digests)
    assert [given_data(data, 16).digest for data in datas] == digests[1:]


def test_what_is_not_taken_is_said() -> None:
    targets = given_data(TensorDataset(POINTS, torch.randn(300)), 16)
    assert targets.labels is None
    assert "no class" in targets.notices[0]
    three = given_data(TensorDataset(POINTS, LABELS, LABELS), 16)
    assert three.labels is None
    assert "3 parts" in three.notices[0]
    part = DataLoader(TensorDataset(POINTS), sampler=SubsetRandomSampler(range(50)))
    assert torch.equal(in_order(whole(given_data(part, 16))), in_order(POINTS[:50]))


def nan_at(shape: tuple[int, ...]) -> Tensor:
    data = torch.zeros(shape)
    for row in (17, 20, 30):
        data[row].view(-1)[1] = torch.nan
    return data


REFUSED: dict[str, tuple[Any, str]] = {
    "NaN in a table": (
        pd.DataFrame(nan_at((300, 2)).numpy(), columns=["sex", "age"]),
        "row 17, column 'age' is not finite (3 of 300 rows have such values)",
    ),
    "NaN in an array": (nan_at((300, 2)).numpy(), "row 17, column 1 is not finite (3 of 300"),
    "NaN in images": (nan_at((40, 1, 4, 4)), "sample 17 holds values that are not finite (3 of 40"),
    "a masked cell": (np.ma.masked_equal(POINTS.numpy(), POINTS[3, 1].item()), "row 3, column 1 is not finite"),
    "a lacking number": (pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")}), "row 1, column 'a' is not finite"),
    "a path": ("pictures", "a path is not read: give bench.image_folder(path)"),
    "a path object": (Path("pictures"), "give bench.image_folder(path)"),
    "a file of numbers": ("x.csv", "give pandas.read_csv(path)"),
    "a column of text": (pd.DataFrame({"a": [1, 2], "sex": ["m", "f"]}), "column 'sex' holds"),
    "rows of text": ([["0.3", "1"], ["2", "3"]], "row 0 holds '0.3'; numbers are allowed"),
    "a text in a row": ([[1, 2], [1, "x"]], "row 1 holds 'x'; numbers are allowed"),
    "rows of other lengths": ([[1, 2], [1, 2, 3]], "row 1 has shape (3,), the first has (2,)"),
    "images of other sizes": (Listed(lambda i: torch.zeros(1, 4, 4 + (i == 9))), "sample 9 has shape (1, 4, 5)"),
    "numbers": (torch.randn(40), "give .reshape(-1, 1)"),
    "one sample": (torch.randn(1, 2), "1 sample; at least 2"),
    "no sample": ([], "has no samples"),
    "an empty tensor": (torch.zeros(0, 2), "shape (0, 2)"),
    "a stream": (Stream(), "is a Stream, whose items have no numbers"),
    "a loader of a stream": (DataLoader(Stream()), "is a Stream, whose items have no numbers"),
    "a generator": ((row for row in POINTS), "is a generator, whose items have no numbers"),
    "a dictionary": ({"x": [1, 2]}, "give pandas.DataFrame(...) of it"),
    "items in dictionaries": (Listed(lambda i: {"image": i}), "item 0 is a dict with the keys image"),
    "complex numbers": (torch.zeros(9, 2, dtype=torch.complex64), "complex64; real numbers are allowed"),
    "an array of objects": (np.array([[1, None]]), "array of object; numbers are allowed"),
    "a number": (3, "is a int, whose items have no numbers"),
    "a data set that fails": (Listed(lambda i: [torch.zeros(2)][i]), "item 1 raised IndexError: list index out"),
    "too few labels": ((POINTS, LABELS[:9]), "labels have shape (9,) for 300 samples"),
    "one-hot labels": ((POINTS, torch.zeros(300, 3)), "give .argmax(1)"),
    "labels that are names": ((POINTS[:2], ["cat", "dog"]), "label 0 is 'cat'; whole numbers are allowed"),
    "labels below 0": ((POINTS, LABELS - 1), "label 0 is -1; a whole number from 0 on is allowed"),
    "a function that fails": (lambda generator, count: 1 / 0, "raised ZeroDivisionError"),
    "a function of too few": (lambda generator, count: POINTS[:3], "gives shape (3, 2) for 16 samples"),
    "a function without a seed": (lambda generator, count: torch.randn(count, 2), "drawn twice by the same generator"),
    "a function of NaN": (lambda generator, count: torch.full((count, 2), torch.nan), "16 of 16"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_said_in_one_line(what: str) -> None:
    data, line = REFUSED[what]
    with pytest.raises(UserError, match=re.escape(line)) as raised:
        given_data(data, 16)
    assert str(raised.value).startswith("gan_game: data")
    assert "\n" not in str(raised.value)


def test_data_that_the_generator_cannot_reach_are_refused() -> None:
    pixels = torch.randint(256, (50, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    line = r"pixels lie in 0..255 and the generator ends in Tanh: scale to \[-1, 1\]"
    with pytest.raises(UserError, match=line):
        refuse_range(pixels, (-1.0, 1.0), "Tanh")
    with pytest.raises(UserError, match=r"data lie in -.* ends in Sigmoid: scale to \[0, 1\]"):
        refuse_range(POINTS, (0.0, 1.0), "Sigmoid")
    sparse = torch.zeros(50, 1, 10, 10)
    sparse[:, 0, 0, 0] = 255
    with pytest.raises(UserError, match=line):
        refuse_range(sparse, (-1.0, 1.0), "Tanh")
    refuse_range(pixels, None, "Linear")
    refuse_range(pixels / 127.5 - 1, (-1.0, 1.0), "Tanh")
    refuse_range(pixels / 255, (-1.0, 1.0), "Tanh")
    refuse_range(torch.cat([POINTS.clamp(-1, 1), torch.tensor([[1.5, 0.0]])]), (-1.0, 1.0), "Tanh")  # an outlier
