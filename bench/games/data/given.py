"""What a user gives as the real data of a game: one part trains, another is held out to compare samples with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from bench.errors import UserError
from bench.games.data.items import Items, seeded
from bench.games.data.parts import MOST, SHARE, split
from bench.games.data.reading import Read, parts, read
from bench.games.networks.given_modules import NAME
from bench.numerics.randomness import integers, whole_numbers

Draw = Callable[[torch.Generator, int], Tensor]
HELD_OUT_SEED = 2**48  # training numbers have 48 bits: this is none of them
FAR = 10.0  # times the width of the generator's outputs
OUTSIDE = 0.1  # the share of values that it cannot reach


@dataclass(frozen=True, eq=False)
class GivenData:
    """Real data, the same for every replica of a seed.

    Args:
        samples: float32 [N, ...] for training; None where they are drawn by a function or read anew each time.
        labels: int64 [N] for training, else None.
        held_out: float32 [M, ...] that training never sees.
        held_out_labels: int64 [M], else None.
        columns: names of a table's columns.
        notices: what the user should hear once.
        source: what draws the samples, where ``samples`` is None.
    """

    samples: Tensor | None
    labels: Tensor | None
    held_out: Tensor
    held_out_labels: Tensor | None = None
    columns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    source: Draw | Anew | None = field(default=None, repr=False)

    def draw(self, seeds: Tensor, number_stream: str, draw: int, count: int) -> tuple[Tensor, Tensor | None]:
        """A minibatch, which (seed, draw) alone decides.

        Args:
            seeds: int64 [R].
            number_stream: the name of the random numbers.
            draw: the number of the minibatch.
            count: samples in it.

        Returns:
            Samples [R, count, ...], and their labels [R, count] or None.
        """
        if self.samples is None and not isinstance(self.source, Anew):
            assert self.source is not None
            numbers = whole_numbers(seeds, number_stream, draw)
            drawn = {number: drawn_by(self.source, number, count) for number in dict.fromkeys(numbers)}
            return torch.stack([drawn[number] for number in numbers]), None
        size = len(self.samples) if self.samples is not None else len(self.source)  # type: ignore[arg-type]
        which = integers(seeds, number_stream, draw, (count,), size)
        labels = None if self.labels is None else self.labels[which]
        if self.samples is not None:
            return self.samples[which], labels
        assert isinstance(self.source, Anew)
        numbers = whole_numbers(seeds, f"{number_stream} augmentation", draw)
        rows = {number: self.source.read(which[numbers.index(number)], number) for number in dict.fromkeys(numbers)}
        return torch.stack([rows[number] for number in numbers]), labels

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.held_out.shape[1:])

    @cached_property
    def digest(self) -> str:
        """A hash of the contents; of a function, of what it draws."""
        held = Read(self.held_out, self.held_out_labels, self.columns)
        if self.samples is not None:
            trained = Read(self.samples, self.labels)
        elif isinstance(self.source, Anew):
            trained = Read(self.source.first, self.labels)
        else:
            trained = Read(drawn_by(self.source, 0, SHARE), None)  # type: ignore[arg-type]
        told = sha256()
        for part in (*parts(held), *parts(trained)):
            told.update(part)
        return told.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Anew:
    """Samples that are read anew under a seed: random augmentation.

    Args:
        items: the data set's.
        which: numbers of the items for training.
        first: these as they were first read, which tells their contents.
    """

    items: Items
    which: Tensor
    first: Tensor = field(repr=False)

    def __len__(self) -> int:
        return len(self.which)

    def read(self, rows: Tensor, number: int) -> Tensor:
        """The samples of these rows of the training part, [count, ...], under that seed."""
        with seeded(number):
            samples, _ = self.items.read(self.which[rows].tolist())
        return samples


def given_data(data: Any, count: int, held_out: Any = None) -> GivenData:
    """Read, check and split what a user gives as data.

    Args:
        data: a tensor or an array [N, ...], a pair (samples, labels) of these, a DataFrame, rows of numbers, a data set
            or a DataLoader of samples or (sample, label), or a function (torch.Generator, count) -> [count, ...].
        count: samples in a minibatch.
        held_out: samples of any of these kinds that training never sees; by default a tenth of the data, at most 2,000,
            in a shuffled order that is always the same.

    Raises:
        UserError: the data cannot be used; the message says why and where.
    """
    held = None if held_out is None else _held_out(held_out)
    given = _drawn(data, count, held) if _draws(data) else _split(read(data), held)
    if held is not None:
        if tuple(held.samples.shape[1:]) != _shape_of(given, data, count):
            shapes = tuple(held.samples.shape[1:]), _shape_of(given, data, count)
            raise UserError(f"{NAME}: a sample of held_out has shape {shapes[0]}, one of data {shapes[1]}")
        if held.columns and given.columns and held.columns != given.columns:
            other = sorted(set(held.columns) ^ set(given.columns)) or list(held.columns)
            raise UserError(f"{NAME}: held_out and data have other columns, or in another order: {', '.join(other)}")
    return given


def _draws(data: Any) -> bool:
    """Whether data is a function that draws samples."""
    return callable(data) and not hasattr(data, "__getitem__") and not isinstance(data, type)


def _held_out(data: Any) -> Read:
    if _draws(data):
        return Read(_finite(drawn_by(data, HELD_OUT_SEED, MOST, "held_out"), "held_out"))
    return read(data, "held_out")


def _shape_of(given: GivenData, data: Any, count: int) -> tuple[int, ...]:
    """Of a sample for training."""
    if given.samples is not None:
        return tuple(given.samples.shape[1:])
    return tuple((given.source.first if isinstance(given.source, Anew) else drawn_by(data, 0, count)).shape[1:])


def _drawn(data: Draw, count: int, held: Read | None) -> GivenData:
    drawn, other = (_finite(drawn_by(data, 0, count), "data") for _ in range(2))
    if not torch.equal(drawn, other):
        raise UserError(f"{NAME}: data drawn twice by the same generator differ; draw by the generator given alone")
    if held is None:
        held = Read(_finite(drawn_by(data, HELD_OUT_SEED, MOST), "data"))
    return GivenData(None, None, held.samples, held.labels, notices=held.notices, source=data)


def _split(found: Read, held: Read | None) -> GivenData:
    total, labels = len(found.samples), found.labels
    if held is None:
        if total < 2:
            raise UserError(f"{NAME}: data has {total} sample; at least 2 are allowed, for a part is held out")
        rest, apart = split(total)
        which = rest.sort().values
        held = Read(found.samples[apart], None if labels is None else labels[apart])
    else:
        which = torch.arange(total)
    samples = found.samples[which]
    labels = None if labels is None else labels[which]
    notices, kept = (*found.notices, *held.notices), (held.samples, held.labels, found.columns)
    if found.items is None:
        return GivenData(samples, labels, *kept, notices)
    said = "items of the data set are random: each is read anew for every minibatch, by the seed"
    return GivenData(None, labels, *kept, (*notices, said), Anew(found.items, which, samples))


def drawn_by(draw: Draw, number: int, count: int, who: str = "data") -> Tensor:
    """Samples [count, ...] that a function draws from that seed."""
    try:
        samples = draw(torch.Generator().manual_seed(number), count)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{NAME}: {who}(torch.Generator, {count}) raised {type(error).__name__}: {reason}") from error
    if not isinstance(samples, Tensor) or samples.ndim < 2 or len(samples) != count:
        description = f"shape {tuple(samples.shape)}" if isinstance(samples, Tensor) else f"a {type(samples).__name__}"
        raise UserError(
            f"{NAME}: {who} gives {description} for {count} samples; a tensor ({count}, features...) is allowed"
        )
    return samples.detach().cpu().float()


def _finite(samples: Tensor, who: str) -> Tensor:
    if not bool(samples.isfinite().all()):
        wrong = int((~samples.flatten(1).isfinite()).any(1).sum())
        raise UserError(f"{NAME}: {who} draws samples that are not finite, {wrong} of {len(samples)}")
    return samples


def refuse_range(samples: Tensor, bounds: tuple[float, float] | None, ends_in: str) -> None:
    """Refuse data that the generator cannot reach.

    Args:
        samples: real samples.
        bounds: the least and the most that the generator can give; None where there are no such.
        ends_in: the generator's last layer.

    Raises:
        UserError: many values, or a few by far, lie outside the bounds.
    """
    if bounds is None or not samples.numel():
        return
    low, high = bounds
    width, least, most = high - low, float(samples.min()), float(samples.max())
    outside = (samples < low - 0.01 * width) | (samples > high + 0.01 * width)
    by_far = max(low - least, most - high) > FAR * width
    if not by_far and float(outside.float().mean()) <= OUTSIDE:
        return
    pixels = samples.ndim > 2 and least >= 0 and 1 < most <= 255 and bool((samples == samples.round()).all())
    lie = "pixels lie in 0..255" if pixels else f"data lie in {least:.4g}..{most:.4g}"
    raise UserError(f"{NAME}: {lie} and the generator ends in {ends_in}: scale to [{low:g}, {high:g}]")
