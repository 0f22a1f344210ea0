"""Numbered items of a data set or a list, as samples and labels.

Items that draw random numbers, as augmentations do, are told by the generators of torch, random and numpy that they
move, and are read anew for every minibatch under a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import UserError

FIRST_SEED, OTHER_SEED = 0, 1
PROBED = 16  # items that are read again
PAIR, FIRST, WHOLE = "pair", "first", "whole"


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """The global generators of torch, random and numpy at that seed; their states are restored."""
    own, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(number)
            random.seed(number)
            np.random.seed(number % 2**32)
            yield
    finally:
        random.setstate(own)
        np.random.set_state(numpys)


class Items:
    """The items of anything with len() and [i].

    Args:
        data: the data set.
        who: what it is called in messages.
    """

    def __init__(self, data: Any, who: str) -> None:
        self.data, self.who = data, who
        self.rows = isinstance(data, (list, tuple))
        self.notices: tuple[str, ...] = ()
        self.random = False
        self.shape: tuple[int, ...] | None = None
        if not len(data):
            raise UserError(f"{who} has no samples")
        with seeded(FIRST_SEED):
            first = self._item(0)
        self.form = _form(first)
        if self.form == FIRST and len(first) > 1:
            self.notices = (f"items have {len(first)} parts: the first is the sample, no labels are taken",)

    def whole(self) -> tuple[Tensor, list[Any] | None]:
        """All samples, float32 [N, ...], and what stands beside each, where items are pairs; read under one seed."""
        with seeded(FIRST_SEED):
            before = _states()
            samples, seconds = self.read(range(len(self.data)))
            moved = before != _states()
        if not self.rows:
            self.random = moved or self._varies(samples)
        return samples, seconds

    def read(self, which: Sequence[int]) -> tuple[Tensor, list[Any] | None]:
        """The samples of these numbers, under the generators as they are."""
        samples, seconds = [], []
        for i in which:
            item = self._item(i)
            if (form := _form(item)) != self.form:
                raise UserError(f"{self.who}: item {i} is {_SHOWN[form]}, item 0 is {_SHOWN[self.form]}")
            sample = self._tensor(item if form == WHOLE else item[0], i)
            self.shape = tuple(sample.shape) if self.shape is None else self.shape
            if tuple(sample.shape) != self.shape:
                raise UserError(
                    f"{self.who}: {self._named(i)} has shape {tuple(sample.shape)}, the first has {self.shape}"
                )
            samples.append(sample)
            seconds.append(_plain(item[1]) if form == PAIR else None)
        return torch.stack(samples), seconds if self.form == PAIR else None

    def _varies(self, samples: Tensor) -> bool:
        """Whether items differ under another seed; UserError where they differ under the same."""
        probes = sorted({round(k * (len(samples) - 1) / (PROBED - 1)) for k in range(PROBED)})
        read = []
        for _ in range(2):
            with seeded(OTHER_SEED):
                read.append(self.read(probes)[0])
        for k, i in enumerate(probes):
            if not torch.equal(read[0][k], read[1][k]) and bool(read[0][k].isfinite().all()):
                raise UserError(
                    f"{self.who}: item {i} read twice under the same seed differs; "
                    "only the random numbers of torch, random and numpy.random are allowed"
                )
        return not torch.equal(read[0].nan_to_num(), samples[probes].nan_to_num())

    def _named(self, i: int) -> str:
        return f"{'row' if self.rows else 'sample'} {i}"

    def _item(self, i: int) -> Any:
        try:
            return self.data[i]
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.who}: item {i} raised {type(error).__name__}: {reason}") from error

    def _tensor(self, given: Any, i: int) -> Tensor:
        """A sample as float32."""
        if isinstance(given, (list, tuple)) and given and all(isinstance(part, Tensor) for part in given):
            try:
                given = torch.stack(list(given))
            except RuntimeError:
                raise UserError(f"{self.who}: {self._named(i)} has parts of different lengths") from None
        if isinstance(given, Tensor) and not given.is_complex():
            return given.detach().cpu().float()
        if not isinstance(given, (list, tuple, np.ndarray, np.generic, int, float)):
            keys = f" with the keys {', '.join(map(str, given))}" if isinstance(given, dict) else ""
            kind = "path or text" if isinstance(given, str) else type(given).__name__
            remedy = ": give a transform that makes one" if hasattr(given, "convert") else ""
            raise UserError(f"{self.who}: item {i} is a {kind}{keys}; a tensor or (tensor, label) is allowed{remedy}")
        try:
            array = np.asarray(given)
        except ValueError:
            raise UserError(f"{self.who}: {self._named(i)} has parts of different lengths") from None
        if array.dtype.kind not in "biuf":
            odd = next(
                (part for part in np.asarray(given, dtype=object).flatten() if not _is_number(part)), array.dtype
            )
            raise UserError(f"{self.who}: {self._named(i)} holds {odd!r}; numbers are allowed")
        return torch.from_numpy(np.array(array, dtype=np.float64)).float()


_SHOWN = {PAIR: "a pair of a sample and a label", FIRST: "a tuple with the sample first", WHOLE: "one sample"}


def _form(item: Any) -> str:
    """How an item holds its sample."""
    if isinstance(item, (tuple, list)) and len(item) == 2 and _dims(item[0]) > 0 and _dims(item[1]) == 0:
        return PAIR
    if isinstance(item, tuple) and item and not isinstance(item[0], (tuple, list)) and _dims(item[0]) > 0:
        return FIRST
    return WHOLE


def _dims(part: Any) -> int:
    """Dimensions of a part of an item; a tensor of one entry beside a sample is a number."""
    if part is None or isinstance(part, (str, bytes, int, float, np.generic)):
        return 0
    if isinstance(part, (Tensor, np.ndarray)):
        return part.ndim if part.ndim > 1 or (part.ndim and len(part) > 1) else 0
    return 1


def _plain(second: Any) -> Any:
    """A label as Python has it."""
    one = isinstance(second, np.generic) or (isinstance(second, (Tensor, np.ndarray)) and len(second.reshape(-1)) == 1)
    return second.item() if one else second


def _is_number(part: Any) -> bool:
    return isinstance(part, (int, float, np.number)) and not isinstance(part, complex)


def _states() -> tuple[Any, ...]:
    """Where the three global generators are."""
    numpys: Any = np.random.get_state()
    return bytes(torch.get_rng_state().tolist()), random.getstate(), numpys[1].tobytes(), numpys[2:]
