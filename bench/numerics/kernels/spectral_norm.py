"""Spectral normalisation of stacked weights, and the way back for gradients: `bench.games.networks.normalisation`.

``matrices`` is int64 [count, 3]: the column of w where a weight matrix begins, its rows and its columns. ``factors``
[R, .] keep of each in turn its largest singular value and the vectors u and v that it is found by.
"""

from __future__ import annotations

from bench.numerics.kernels.compilation import Number, Numbers, Program, Stack, kernel, piece
from bench.numerics.kernels.intrinsics import part, root
from bench.numerics.kernels.layers import copy, dot


@piece
def scale_to_unit(v: Numbers, smallest: float) -> None:
    """v over its length, in place."""
    length = root(dot(v, v, len(v)))
    length = v.dtype.type(smallest) if length < smallest else length
    for j in range(len(v)):
        v[j] /= length


@piece
def largest(matrix: Numbers, u: Numbers, v: Numbers, iterations: int, smallest: float) -> Number:
    """The largest singular value u' M v, by power iterations from ones; u is zeros where the value is the smallest."""
    height, width, f = len(u), len(v), v.dtype.type
    for j in range(width):
        v[j] = f(1)
    for _ in range(iterations):
        for i in range(height):
            u[i] = dot(part(matrix, i * width, width), v, width)
        scale_to_unit(u, smallest)
        for j in range(width):
            v[j] = f(0)
        for i in range(height):
            row, weight = part(matrix, i * width, width), u[i]
            for j in range(width):
                v[j] += weight * row[j]
        scale_to_unit(v, smallest)
    value = f(0)
    for i in range(height):
        value += u[i] * dot(part(matrix, i * width, width), v, width)
    if value <= smallest:
        for i in range(height):
            u[i] = f(0)
        value = f(smallest)
    return value  # type: ignore[return-value]  # compiled


@kernel
def divide(w: Stack, matrices: Program, iterations: int, smallest: float, out: Stack, factors: Stack) -> None:
    """w with every matrix over its largest singular value, [R, n]."""
    for r in range(len(w)):
        to, kept, at = out[r], factors[r], 0
        copy(w[r], 0, to, 0, w.shape[1])
        for m in range(len(matrices)):
            start, height, width = matrices[m, 0], matrices[m, 1], matrices[m, 2]
            matrix = part(to, start, height * width)
            u, v = part(kept, at + 1, height), part(kept, at + 1 + height, width)
            kept[at] = value = largest(matrix, u, v, iterations, smallest)
            for j in range(height * width):
                matrix[j] /= value
            at += 1 + height + width


@kernel
def bring_back(divided: Stack, matrices: Program, factors: Stack, gradient: Stack) -> None:
    """The gradient by ``divided``, [R, n], becomes that by what was divided: G <- (G - <G, W> u v') / value."""
    for r in range(len(divided)):
        kept, at = factors[r], 0
        for m in range(len(matrices)):
            start, height, width = matrices[m, 0], matrices[m, 1], matrices[m, 2]
            g, weight = part(gradient[r], start, height * width), part(divided[r], start, height * width)
            value, along = kept[at], dot(g, weight, height * width)
            v = part(kept, at + 1 + height, width)
            for i in range(height):
                row, factor = part(g, i * width, width), along * kept[at + 1 + i]
                for j in range(width):
                    row[j] = (row[j] - factor * v[j]) / value
            at += 1 + height + width
