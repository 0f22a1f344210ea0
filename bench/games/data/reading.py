"""Data as people have them, read as float32 samples: tensors, arrays, tables, data sets, loaders, rows of numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset, SubsetRandomSampler

from bench.errors import UserError
from bench.games.data.image_folder import ImageFolder
from bench.games.data.items import Items
from bench.games.networks.given_modules import NAME

KINDS = "a tensor, an array, a DataFrame, rows of numbers, a data set with len() and [i], or a function"


@dataclass(frozen=True, eq=False)
class Read:
    """All samples that were given, training and held out.

    Args:
        samples: float32 [N, ...].
        labels: int64 [N], else None.
        columns: names of a table's columns.
        notices: what the user should hear once.
        items: what reads a sample anew, where that draws random numbers.
    """

    samples: Tensor
    labels: Tensor | None = None
    columns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    items: Items | None = None


def read(data: Any, who: str = "data") -> Read:
    """The samples of data of any kind but a function.

    Args:
        data: see ``KINDS``.
        who: what the data are called in messages.

    Raises:
        UserError: they are of no such kind, or not finite; the message says where.
    """
    found = _read(data, f"{NAME}: {who}")
    _check(found, f"{NAME}: {who}")
    return found


def _read(data: Any, who: str) -> Read:
    if isinstance(data, (str, os.PathLike)):
        raise UserError(f"{who} is the path {os.fspath(data)!r}; {_of_path(os.fspath(data))}")
    if _is_pair(data):
        found = _read(data[0], who)
        if data[1] is None:
            return found
        return replace(found, labels=classes(data[1], len(found.samples), who))
    if isinstance(data, ImageFolder):
        return Read(data.samples, data.labels, notices=data.notices)
    if isinstance(data, DataLoader):
        return _of_loader(data, who)
    if not isinstance(data, (pd.DataFrame, pd.Series)) and hasattr(data, "to_pandas"):  # polars, pyarrow
        data = data.to_pandas()
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if isinstance(data, pd.DataFrame):
        return _of_table(data, who)
    if isinstance(data, Tensor):
        return Read(_floats(data, who))
    if isinstance(data, np.ndarray) or (hasattr(data, "__array__") and not hasattr(data, "__getitem__")):
        return Read(_floats(_of_array(np.asanyarray(data), who), who))
    if isinstance(data, Mapping):
        raise UserError(f"{who} is a {type(data).__name__}; give pandas.DataFrame(...) of it")
    if hasattr(data, "toarray"):  # scipy's sparse matrices
        raise UserError(f"{who} is a sparse {type(data).__name__}; give its .toarray()")
    if isinstance(data, IterableDataset) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise UserError(f"{who} is a {type(data).__name__}, whose items have no numbers; {KINDS} is allowed")
    return _of_items(Items(data, who))


def _of_path(path: str) -> str:
    reads = {".npy": "numpy.load(path)", ".csv": "pandas.read_csv(path)", ".parquet": "pandas.read_parquet(path)"}
    return f"a path is not read: give {reads.get(os.path.splitext(path)[1].lower(), 'bench.image_folder(path)')}"


def _is_pair(data: Any) -> bool:
    """Whether data are (samples, labels)."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    samples, labels = data
    arrays = (Tensor, np.ndarray, pd.DataFrame, pd.Series)
    if isinstance(data, tuple):
        together = isinstance(samples, arrays) and isinstance(labels, (*arrays, list))
        rows = isinstance(samples, list) and isinstance(labels, (*arrays, list)) and len(samples) == len(labels) != 2
        return labels is None or together or rows
    if not (isinstance(samples, arrays) and isinstance(labels, arrays)):
        return False
    return samples.ndim > 1 and labels.ndim == 1


def _of_loader(data: DataLoader[Any], who: str) -> Read:
    said = "a DataLoader was given: its data set is taken, not its batches, sampler or collate_fn"
    source: Any = data.dataset
    if isinstance(data.sampler, SubsetRandomSampler):
        source = Subset(source, list(data.sampler.indices))
        said = "a DataLoader was given: the part of its data set that its sampler draws is taken"
    found = _read(source, who)
    return replace(found, notices=(said, *found.notices))


def _of_table(table: pd.DataFrame, who: str) -> Read:
    for name, column in table.items():
        if (
            not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))
            or column.dtype.kind == "c"
        ):
            text = next((value for value in column if isinstance(value, str)), None)
            held = f"holds {column.dtype}" + (f", such as {text!r}" if text is not None else "")
            raise UserError(f"{who}: column {str(name)!r} {held}; numbers are allowed: encode it or leave it out")
    values = table.to_numpy(dtype=np.float64, na_value=np.nan)
    return Read(_floats(torch.from_numpy(values.copy()), who), columns=tuple(map(str, table.columns)))


def _of_array(array: np.ndarray[Any, Any], who: str) -> Tensor:
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan)
    if array.dtype.kind not in "biuf":
        remedy = ": give pandas.DataFrame(...) of it" if array.dtype.names else ""
        raise UserError(f"{who} is an array of {array.dtype}; numbers are allowed{remedy}")
    return torch.from_numpy(np.array(array, dtype=np.float64 if array.dtype.itemsize > 4 else np.float32))


def _floats(data: Tensor, who: str) -> Tensor:
    if data.is_complex():
        raise UserError(f"{who} is a tensor of {str(data.dtype).removeprefix('torch.')}; real numbers are allowed")
    data = data.detach().cpu()
    return (data.to_dense() if data.is_sparse else data).float().contiguous()


def _of_items(items: Items) -> Read:
    samples, seconds = items.whole()
    labels, notices = None, items.notices
    if seconds is not None:
        try:
            labels = classes(seconds, len(seconds), "")
        except UserError:
            notices = (*notices, "the second of each pair is no class: it is not taken")
    return Read(samples, labels, notices=notices, items=items if items.random else None)


def classes(labels: Any, count: int, who: str) -> Tensor:
    """Labels as int64 [N]; UserError where they are not a whole number from 0 on for each sample."""
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (count,):
        remedy = ": give .argmax(1)" if array.ndim == 2 and len(array) == count else ""
        raise UserError(f"{who}: labels have shape {array.shape} for {count} samples; ({count},) is allowed{remedy}")
    if array.dtype.kind not in "iuf":
        remedy = "number the classes, as pandas.factorize does"
        raise UserError(f"{who}: label 0 is {array.tolist()[0]!r}; whole numbers are allowed: {remedy}")
    wrong = np.flatnonzero(~((array >= 0) & (array == np.floor(array)) & np.isfinite(array)))
    if len(wrong):
        raise UserError(f"{who}: label {wrong[0]} is {array[wrong[0]]:g}; a whole number from 0 on is allowed")
    return torch.from_numpy(array.astype(np.int64))


def _check(found: Read, who: str) -> None:
    """Samples have dimensions and are finite."""
    samples, count = found.samples, len(found.samples) if found.samples.ndim else 0
    if samples.ndim < 2 or not samples.numel():
        remedy = ": give .reshape(-1, 1)" if samples.ndim == 1 and count else ""
        raise UserError(
            f"{who} has shape {tuple(samples.shape)}; samples (N, features) or (N, C, H, W) are allowed{remedy}"
        )
    if bool(samples.isfinite().all()):
        return
    wrong = ~samples.flatten(1).isfinite()
    rows = wrong.any(1)
    first, several = int(rows.nonzero()[0]), int(rows.sum())
    if samples.ndim > 2:
        raise UserError(
            f"{who}: sample {first} holds values that are not finite ({several} of {count} samples hold such)"
        )
    place = int(wrong[first].nonzero()[0])
    column = repr(found.columns[place]) if found.columns else str(place)
    raise UserError(f"{who}: row {first}, column {column} is not finite ({several} of {count} rows have such values)")


def parts(found: Read) -> Iterator[bytes]:
    """The contents in bytes, for a hash."""
    yield str((tuple(found.samples.shape), found.columns)).encode()
    yield found.samples.numpy().tobytes()
    if found.labels is not None:
        yield found.labels.numpy().tobytes()
