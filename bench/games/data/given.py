"""Data as people have them: what a user gives becomes minibatches by the seed, and samples that training never sees.

Tensors, arrays, memory maps, lists of rows, data frames, pairs (samples, labels), data sets, data loaders, functions. A
data set whose items come out otherwise when they are read again augments them at random: such items are drawn anew for
every minibatch, by the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import UserError
from bench.numerics.randomness import integers, whole_numbers

Draw = Callable[[torch.Generator, int], Tensor]
NAME = "gan_game"  # what a user called: errors begin with it
TENTH, MOST = 10, 2000  # the share of the data that is held out, and how many at most
HELD_OUT = 2**50  # a seed that no minibatch has: these are whole numbers of 48 bits
BEYOND = 1.5  # times what a generator can give at most: data out there are not scaled for it


@dataclass(frozen=True, eq=False)
class GivenData:
    """A user's data.

    Args:
        samples: float32 [N, ...] that training sees; None where they are drawn by a function or at random.
        labels: int64 [N], of these samples; None where there are none.
        held_out: float32 [M, ...] that training never sees.
        held_out_labels: int64 [M].
        columns: the names of a table's columns.
        notices: what the user should know.
        source: what draws samples and labels by a number where ``samples`` is None: (number, count) -> them.
    """

    samples: Tensor | None
    labels: Tensor | None
    held_out: Tensor
    held_out_labels: Tensor | None = None
    columns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    source: Callable[[int, int], tuple[Tensor, Tensor | None]] | None = None

    def draw(self, seeds: Tensor, stream: str, draw: int, count: int) -> tuple[Tensor, Tensor | None]:
        """A minibatch [R, count, ...] and its labels [R, count], decided by (seed, draw) alone."""
        if self.samples is not None:
            which = integers(seeds, stream, draw, (count,), len(self.samples))
            return self.samples[which], None if self.labels is None else self.labels[which]
        assert self.source is not None
        numbers = whole_numbers(seeds, stream, draw)
        drawn = {number: self.source(number, count) for number in dict.fromkeys(numbers)}
        labels = [drawn[number][1] for number in numbers]
        told = [label for label in labels if label is not None]
        return torch.stack([drawn[number][0] for number in numbers]), torch.stack(told) if told else None

    @cached_property
    def digest(self) -> str:
        """A hash of all samples and labels that are in memory."""
        told = sha256()
        for part in (self.samples, self.labels, self.held_out, self.held_out_labels):
            if part is not None:
                told.update(f"{tuple(part.shape)}{part.dtype}".encode())
                told.update(part.contiguous().numpy().tobytes())
        return told.hexdigest()


def given_data(data: Any, count: int, held_out: Any = None) -> GivenData:
    """A user's data, read and split.

    Args:
        data: as `bench.gan_game` takes it.
        count: samples of a minibatch, that a function is tried with.
        held_out: what to hold out; by default a tenth of the data in a fixed shuffled order, at most 2,000.

    Raises:
        UserError: the data are of no known kind, have no samples, or values that are not finite; it says where.
    """
    notices: tuple[str, ...] = ()
    if isinstance(data, torch.utils.data.DataLoader):
        notices = ("a data loader was given: its data set is taken, and minibatches are drawn by the seeds",)
        data = data.dataset
    if callable(data) and not hasattr(data, "__getitem__"):
        return _by_function(data, count, held_out, notices)
    if _is_data_set(data) and _is_random(data):
        return _at_random(data, held_out, notices)
    samples, labels, columns = read(data)
    if held_out is not None:
        kept, kept_labels, _ = read(held_out, "held_out")
        if kept.shape[1:] != samples.shape[1:]:
            raise UserError(
                f"{NAME}: held_out has samples of shape {tuple(kept.shape[1:])}, data of {tuple(samples.shape[1:])}"
            )
        return GivenData(samples, labels, kept, kept_labels, columns, notices)
    if len(samples) < 2:
        raise UserError(f"{NAME}: data has {len(samples)} sample; 2 or more are allowed, or held_out= beside it")
    apart, rest = _split(len(samples))
    parts = (None, None) if labels is None else (labels[rest], labels[apart])
    return GivenData(samples[rest], parts[0], samples[apart], parts[1], columns, notices)


def refuse_range(samples: Tensor, bounds: tuple[float, float] | None, ends_in: str) -> None:
    """UserError for data far beyond what a generator can give, which stays within ``bounds`` (None: anywhere)."""
    if bounds is None:
        return
    low, high = float(samples.min()), float(samples.max())
    middle, reach = (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / 2
    if max(high - middle, middle - low) > BEYOND * reach:
        what = "pixels" if samples.ndim == 4 else "data"
        raise UserError(
            f"{NAME}: {what} lie in {low:g}..{high:g} and the generator ends in {ends_in}: "
            f"scale to [{bounds[0]:g}, {bounds[1]:g}]"
        )


# --- what is in memory -----------------------------------------------------------------------------------------------


def read(data: Any, name: str = "data") -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Samples float32 [N, ...], labels int64 [N] or None, and the names of columns, all finite."""
    if isinstance(data, (str, Path)):
        raise UserError(f"{NAME}: {name} is a path, which is not read; give bench.image_folder({str(data)!r})")
    labels, columns = None, tuple[str, ...]()
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):
        columns = tuple(map(str, data.columns))
        wrong = [str(column) for column in data.columns if getattr(data[column].dtype, "kind", "O") not in "biuf"]
        if wrong:
            raise UserError(f"{NAME}: column {wrong[0]!r} of {name} holds no numbers; numbers alone are allowed")
        data = data.to_numpy(dtype=np.float32)
    if isinstance(data, tuple) and len(data) == 2 and all(hasattr(part, "shape") for part in data):
        data, labels = data
        labels = torch.as_tensor(np.asarray(labels))
        if labels.ndim != 1 or len(labels) != len(data) or labels.is_floating_point():
            raise UserError(
                f"{NAME}: labels have shape {tuple(labels.shape)} and {labels.dtype}; one whole number for each of the "
                f"{len(data)} samples is allowed"
            )
    if not isinstance(data, (Tensor, np.ndarray)):
        data, labels = _items(data, name)
    try:
        data = (
            np.array(data, dtype=np.float32) if isinstance(data, np.ndarray) else data
        )  # a memory map may not be written
        samples = torch.as_tensor(data).detach().cpu().float().contiguous()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{NAME}: {name} is no numbers: {' '.join(str(error).split())}") from error
    if samples.ndim < 2 or not len(samples):
        raise UserError(
            f"{NAME}: {name} has shape {tuple(samples.shape)}; samples (N, features) or (N, C, H, W) are allowed"
        )
    _all_finite(samples, columns, name)
    return samples.clone(), None if labels is None else labels.to(torch.int64), columns


def _items(data: Any, name: str) -> tuple[Any, Tensor | None]:
    """The samples of a sequence or data set, and their labels if every item is a pair (sample, class)."""
    sequence = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if not sequence or isinstance(data, torch.utils.data.IterableDataset):
        raise UserError(
            f"{NAME}: {name} is a {type(data).__name__}; a tensor, an array, a data frame, rows of numbers, a data set "
            "with a length, a data loader or a function is allowed"
        )
    try:
        items = [data[i] for i in range(len(data))]
        if items and all(_is_pair(item) for item in items):
            labels = (
                torch.tensor([int(item[1]) for item in items]) if all(_is_class(item[1]) for item in items) else None
            )
            return _stacked([item[0] for item in items]), labels
        if items and all(isinstance(item, tuple) and hasattr(item[0], "shape") for item in items):
            return _stacked([item[0] for item in items]), None
        return _stacked(items), None
    except UserError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{NAME}: {name} is a {type(data).__name__}, which raised {reason}") from error


def _stacked(items: Sequence[Any]) -> Tensor:
    """Samples one after another; UserError where two have different shapes."""
    tensors = [torch.as_tensor(np.asarray(item) if not isinstance(item, Tensor) else item) for item in items]
    if odd := [k for k, tensor in enumerate(tensors) if tensor.shape != tensors[0].shape]:
        shapes = tuple(tensors[odd[0]].shape), tuple(tensors[0].shape)
        raise UserError(
            f"{NAME}: sample {odd[0]} has shape {shapes[0]}, sample 0 has {shapes[1]}; samples of one shape are allowed"
        )
    return torch.stack(tensors) if tensors else torch.zeros(0, 1)


def _is_pair(item: Any) -> bool:
    """Whether an item is (sample, label): a sample with dimensions, and one number."""
    return isinstance(item, (tuple, list)) and len(item) == 2 and np.ndim(item[0]) > 0 and np.ndim(item[1]) == 0


def _is_class(label: Any) -> bool:
    return float(label) == int(label) >= 0


def _all_finite(samples: Tensor, columns: tuple[str, ...], name: str) -> None:
    bad = ~samples.isfinite()
    if not bool(bad.any()):
        return
    rows = bad.flatten(1).any(dim=1)
    row = int(rows.nonzero()[0])
    where = f"sample {row} of {name}"
    if samples.ndim == 2:
        column = int(bad[row].nonzero()[0])
        where = f"row {row}, column {columns[column]!r}" if columns else f"row {row}, column {column} of {name}"
    raise UserError(f"{NAME}: {where} is not finite; {int(rows.sum())} of {len(samples)} have such values")


def _split(count: int) -> tuple[Tensor, Tensor]:
    """The numbers of what is held out, and of the rest, in a fixed shuffled order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    kept = max(1, min(MOST, count // TENTH))
    return order[:kept], order[kept:]


# --- what is drawn anew ----------------------------------------------------------------------------------------------


def _by_function(draw: Draw, count: int, held_out: Any, notices: tuple[str, ...]) -> GivenData:
    """Data that a function draws; what is held out is drawn by a seed of its own."""
    first, again = (drawn_by(draw, 0, count) for _ in range(2))
    if not torch.equal(first, again):
        raise UserError(f"{NAME}: data drawn twice by the same generator differ; draw by the generator given alone")
    kept = drawn_by(draw, HELD_OUT, MOST) if held_out is None else read(held_out, "held_out")[0]
    return GivenData(None, None, kept, None, (), notices, lambda number, many: (drawn_by(draw, number, many), None))


def drawn_by(draw: Draw, number: int, count: int) -> Tensor:
    """Samples [count, ...] that a function draws from that seed."""
    samples = draw(torch.Generator().manual_seed(number), count)
    if not isinstance(samples, Tensor) or samples.ndim < 2 or len(samples) != count:
        description = f"shape {tuple(samples.shape)}" if isinstance(samples, Tensor) else f"a {type(samples).__name__}"
        raise UserError(
            f"{NAME}: data gives {description} for {count} samples; a tensor ({count}, features...) is allowed"
        )
    return samples.detach().float()


def _is_data_set(data: Any) -> bool:
    return (
        hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (Tensor, np.ndarray, tuple))
    )


def _is_random(data: Any) -> bool:
    """Whether an item comes out otherwise when it is read with other random numbers."""
    if isinstance(data, (list, range)) or hasattr(data, "columns") or not len(data):
        return False
    try:
        reads = []
        for number in (1, 2, 3):
            with seeded(number):
                item = data[0]
            reads.append(torch.as_tensor(np.asarray(item[0] if isinstance(item, (tuple, list)) else item)))
    except Exception:  # whatever it is, `read` says it
        return False
    return not all(torch.equal(reads[0], other) for other in reads[1:])


def _at_random(data: Any, held_out: Any, notices: tuple[str, ...]) -> GivenData:
    """A data set that augments its items at random."""
    apart, rest = (
        _split(len(data)) if held_out is None else (torch.empty(0, dtype=torch.int64), torch.arange(len(data)))
    )

    def items(number: int, which: Tensor) -> tuple[Tensor, Tensor | None]:
        with seeded(number):
            samples, labels = _items([data[int(i)] for i in which], "data")
        _all_finite(samples.float(), (), "data")
        return samples.float(), labels

    def source(number: int, count: int) -> tuple[Tensor, Tensor | None]:
        which = torch.randint(len(rest), (count,), generator=torch.Generator().manual_seed(number))
        return items(number, rest[which])

    kept, kept_labels = items(HELD_OUT, apart) if held_out is None else read(held_out, "held_out")[:2]
    return GivenData(None, None, kept, kept_labels, (), notices, source)


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Torch's, Python's and numpy's random numbers from this seed, and the caller's again afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(number)
            random.seed(number)
            np.random.seed(number % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
