"""Which core computes: numba's kernels where numba and a BLAS are at hand, else torch alone.

`BENCH_CORE=torch` asks for torch, `BENCH_CORE=numba` insists on the kernels. A core rounds in its own way, so a run
names it and keeps it: what it resumes from, is merged or compared with was computed by the same.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata, util

import torch
from torch import Tensor

from bench.errors import UserError

CORES = ("numba", "torch")
VARIABLE = "BENCH_CORE"


@cache
def blas() -> str:
    """The library whose products kernels call, known to LLVM from now on; "" where kernels cannot run."""
    if util.find_spec("numba") is None:
        return ""
    try:
        from llvmlite import binding
    except ImportError:
        return ""
    from bench.numerics.kernels.blas import SYMBOLS, find_blas

    found = find_blas()
    if found is None:
        return ""
    for dtype, symbol in SYMBOLS.items():
        binding.add_symbol(symbol, found.address(dtype))
    return found.library


def compiled() -> bool:
    """Whether this process computes with kernels; UserError where it is asked for what it cannot do."""
    asked = os.environ.get(VARIABLE, "")
    if asked and asked not in CORES:
        raise UserError(f"{VARIABLE} is {asked!r}; {' or '.join(CORES)} is allowed")
    if asked == "torch":
        return False
    if asked and not blas():
        raise UserError(f"{VARIABLE} is {asked!r}; numba or a BLAS that it could call is missing here")
    return bool(blas())


def core(device: str = "cpu") -> dict[str, str]:
    """What computes on a device, for a run's records: torch alone, or numba with a BLAS and numba's version."""
    if device != "cpu" or not compiled():
        return {"core": "torch"}
    return {"core": f"numba, products by {blas()}", "numba": metadata.version("numba")}


def fits(*tensors: Tensor) -> bool:
    """Whether kernels can take these: on the CPU, contiguous, of one type of theirs, with nothing to be tracked."""
    dtype = tensors[0].dtype
    if dtype not in (torch.float32, torch.float64) or not compiled():
        return False
    tracked = torch.is_grad_enabled()
    return all(
        type(tensor) is Tensor
        and tensor.dtype == dtype
        and tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and not (tracked and tensor.requires_grad)
        for tensor in tensors
    )
