"""The matrix product that the kernels call: sgemm and dgemm of a BLAS that is installed anyway, by their addresses.

torch's wheels for Linux export those of its own MKL; elsewhere scipy hands out its OpenBLAS. Both have Fortran's
signature. A compiled kernel refers to a symbol by name, so that it can be stored on disk and serves either library.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char, c_int, c_void_p
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

SYMBOLS = {"float32": "bench_sgemm", "float64": "bench_dgemm"}
"""Type of the numbers -> the name that kernels call."""
LIBRARIES = ("libtorch_cpu.so", "libtorch_cpu.dylib", "torch_cpu.dll")


class Blas(NamedTuple):
    """Two products and where they come from."""

    library: str
    sgemm: int
    dgemm: int

    def address(self, dtype: str) -> int:
        return self.sgemm if dtype == "float32" else self.dgemm


def find_blas() -> Blas | None:
    """The first BLAS that multiplies right; None where there is none."""
    return next((blas for blas in (_of_torch(), _of_scipy()) if blas is not None and _multiplies(blas)), None)


def _of_torch() -> Blas | None:
    for name in LIBRARIES:
        path = Path(torch.__file__).parent / "lib" / name
        if path.exists():
            library = ctypes.CDLL(str(path))
            try:
                return Blas("torch", *(_address(getattr(library, symbol)) for symbol in ("sgemm_", "dgemm_")))
            except AttributeError:  # linked against a library whose products are not exported
                return None
    return None


def _of_scipy() -> Blas | None:
    from scipy.linalg import cython_blas

    name_of, pointer_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsules = [cython_blas.__pyx_capi__[name] for name in ("sgemm", "dgemm")]
    return Blas("scipy", *(pointer_of(capsule, name_of(capsule)) for capsule in capsules))


def _address(function: ctypes._NamedFuncPointer) -> int:
    address = ctypes.cast(function, c_void_p).value
    assert address is not None
    return address


def _multiplies(blas: Blas) -> bool:
    """Whether a product of small matrices comes out right: whole numbers are 32 bits wide, characters have no length.

    A library with 64-bit whole numbers would read past the words that it is given, so they lie in front of zeros.
    """
    for dtype in SYMBOLS:
        a, b = np.arange(6, dtype=dtype).reshape(2, 3), np.arange(12, dtype=dtype).reshape(3, 4) - 5
        out = np.full((2, 4), np.nan, dtype)
        words = {name: (c_int * 2)(value, 0) for name, value in (("m", 2), ("n", 4), ("k", 3))}
        scalars = np.array([1, 0], dtype)
        call = ctypes.CFUNCTYPE(None, *[c_void_p] * 13)(blas.address(dtype))
        no = byref(c_char(b"N"))
        call(
            no, no, words["n"], words["m"], words["k"], scalars.ctypes.data, b.ctypes.data, words["n"],
            a.ctypes.data, words["k"], scalars[1:].ctypes.data, out.ctypes.data, words["n"],
        )  # fmt: skip
        if not np.array_equal(out, a @ b):
            return False
    return True
