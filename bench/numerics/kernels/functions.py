"""exp and tanh of which loops become vectors: polynomials in float32, the C library's functions in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from bench.numerics.kernels.intrinsics import from_bits

f = np.float32


def exp(x: Any) -> Any:
    """e^x, to two units in the last place; in float32 held within e^-87 and e^88."""
    return math.exp(x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent, to a few units in the last place."""
    return math.tanh(x)


def _exp32(x: Any) -> Any:
    # x = n log 2 + r with |r| <= log(2) / 2, log 2 in two parts; the polynomial is Cephes' expf (Moshier 1992).
    x = f(88.0) if x > f(88.0) else x
    x = f(-87.0) if x < f(-87.0) else x
    n = np.floor(x * f(1.44269504088896341) + f(0.5))
    r = x - n * f(0.693359375) + n * f(2.12194440e-4)
    p = f(1.9875691500e-4)
    p = p * r + f(1.3981999507e-3)
    p = p * r + f(8.3334519073e-3)
    p = p * r + f(4.1665795894e-2)
    p = p * r + f(1.6666665459e-1)
    p = p * r + f(5.0000001201e-1)
    return (p * r * r + r + f(1.0)) * from_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))


def _tanh32(x: Any) -> Any:
    # A quotient of polynomials of degree 13 and 6 on [-7.9, 7.9], beyond which float32 has tanh = 1 (Eigen's ptanh).
    x = f(7.90531110763549805) if x > f(7.90531110763549805) else x
    x = f(-7.90531110763549805) if x < f(-7.90531110763549805) else x
    s = x * x
    p = f(-2.76076847742355e-16)
    p = p * s + f(2.00018790482477e-13)
    p = p * s + f(-8.60467152213735e-11)
    p = p * s + f(5.12229709037114e-08)
    p = p * s + f(1.48572235717979e-05)
    p = p * s + f(6.37261928875436e-04)
    p = p * s + f(4.89352455891786e-03)
    q = f(1.19825839466702e-06)
    q = q * s + f(1.18534705686654e-04)
    q = q * s + f(2.26843463243900e-03)
    q = q * s + f(4.89352518554385e-03)
    return x * p / q


def _exp64(x: Any) -> Any:
    return math.exp(x)


def _tanh64(x: Any) -> Any:
    return math.tanh(x)


@overload(exp)  # type: ignore[untyped-decorator]
def _exp(x: Any) -> Callable[[Any], Any]:
    return _exp32 if x == types.float32 else _exp64


@overload(tanh)  # type: ignore[untyped-decorator]
def _tanh(x: Any) -> Callable[[Any], Any]:
    return _tanh32 if x == types.float32 else _tanh64
