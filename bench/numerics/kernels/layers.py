"""One layer forward and backward, for one replica: products, activations, and the gradient of its parameters.

All numbers of a replica lie in flat arrays: its parameters in a row of w, its activations in one scratch array ``s``. A
place is an array with an offset. Activations are features first, [features, samples].

A network is a program: int64 [layers, 5], a row a layer, with these columns.
"""

from __future__ import annotations

from bench.numerics.kernels.compilation import Number, Numbers, Program, Whole, piece
from bench.numerics.kernels.functions import exp, tanh
from bench.numerics.kernels.intrinsics import bits, gemm, part
from bench.numerics.randomness import GRAIN

FAN_IN, FAN_OUT, ACTIVATION, WEIGHT, BIAS = range(5)
"""Columns of a program; the last two are the columns of w where weights and biases begin."""
CODES = {"none": 0, "relu": 1, "leaky-relu": 2, "elu": 3, "tanh": 4, "sigmoid": 5}
"""Activations by name."""
NONE, RELU, LEAKY, ELU, TANH, SIGMOID = range(6)
THIN = 4
"""A product over so few rows or terms is quicker as a loop."""


@piece
def product(
    m: Numbers, at: int, turned: bool, height: int, inner: int, h: Numbers, h_at: int, apart: int, count: int,
    out: Numbers, out_at: int, more: bool,
) -> None:  # fmt: skip
    """out [height, count] = M h, or += where ``more``; the rows of h [inner, count] begin ``apart`` columns apart.

    M lies in m from ``at`` on: [height, inner], or [inner, height] where it is to be ``turned``.
    """
    if height > THIN and inner > THIN:
        gemm(m, at, turned, height if turned else inner, h, h_at, False, apart, out, out_at, count, height, count,
             inner, more)  # fmt: skip
        return
    along, across = (height, 1) if turned else (1, inner)
    for i in range(height):
        row = part(out, out_at + i * count, count)
        if not more:
            for j in range(count):
                row[j] = 0
        start, k = at + i * across, 0
        while k + 4 <= inner:
            a, b, c, d = (
                part(h, h_at + k * apart, count), part(h, h_at + (k + 1) * apart, count),
                part(h, h_at + (k + 2) * apart, count), part(h, h_at + (k + 3) * apart, count),
            )  # fmt: skip
            p, q, r, s = (
                part(m, start + k * along, 1)[0], part(m, start + (k + 1) * along, 1)[0],
                part(m, start + (k + 2) * along, 1)[0], part(m, start + (k + 3) * along, 1)[0],
            )  # fmt: skip
            for j in range(count):
                row[j] += p * a[j] + q * b[j] + r * c[j] + s * d[j]
            k += 4
        while k < inner:
            a, p = part(h, h_at + k * apart, count), part(m, start + k * along, 1)[0]
            for j in range(count):
                row[j] += p * a[j]
            k += 1


@piece
def dot(a: Numbers, b: Numbers, count: int) -> Number:
    """Of the first numbers of two arrays."""
    total = a.dtype.type(0)
    for j in range(count):
        total += a[j] * b[j]
    return total  # type: ignore[return-value]  # compiled


@piece
def outer(
    d: Numbers, d_at: int, height: int, h: Numbers, h_at: int, width: int, count: int, out: Numbers, at: int, more: bool
) -> None:
    """out [height, width] = d h', or += where ``more``; d is [height, count], h [width, count]."""
    if height > THIN and width > THIN:
        gemm(d, d_at, False, count, h, h_at, True, count, out, at, width, height, width, count, more)
        return
    for i in range(height):
        row, to = part(d, d_at + i * count, count), part(out, at + i * width, width)
        for k in range(width):
            value = dot(row, part(h, h_at + k * count, count), count)
            to[k] = to[k] + value if more else value


@piece
def activate(code: int, z: Numbers, z_at: int, height: int, count: int, b: Numbers, b_at: int) -> None:
    """z [height, count] <- a(z + b), one bias b a row."""
    f = z.dtype.type
    zero, one, leak = f(0), f(1), f(0.2)
    for i in range(height):
        row, bias = part(z, z_at + i * count, count), part(b, b_at + i, 1)[0]
        if code == RELU:
            for j in range(count):
                x = row[j] + bias
                row[j] = zero if x <= zero else x
        elif code == LEAKY:
            for j in range(count):
                x = row[j] + bias
                row[j] = x if x > zero else x * leak
        elif code == TANH:
            for j in range(count):
                row[j] = tanh(row[j] + bias)
        elif code == SIGMOID:
            for j in range(count):
                row[j] = one / (one + exp(-(row[j] + bias)))
        elif code == ELU:
            for j in range(count):
                x = row[j] + bias
                row[j] = x if x > zero else exp(x) - one
        else:
            for j in range(count):
                row[j] += bias


@piece
def slope(code: int, g: Numbers, g_at: int, h: Numbers, h_at: int, count: int) -> None:
    """g <- g a'(z) on ``count`` numbers, a' told by h = a(z)."""
    g, h = part(g, g_at, count), part(h, h_at, count)
    f = g.dtype.type
    zero, one, leak = f(0), f(1), f(0.2)
    if code == RELU:
        for j in range(count):
            g[j] = g[j] if h[j] > zero else zero
    elif code == LEAKY:
        for j in range(count):
            g[j] = g[j] if h[j] > zero else g[j] * leak
    elif code == TANH:
        for j in range(count):
            g[j] *= one - h[j] * h[j]
    elif code == SIGMOID:
        for j in range(count):
            g[j] *= h[j] * (one - h[j])
    elif code == ELU:
        for j in range(count):
            g[j] = g[j] if h[j] > zero else g[j] * (h[j] + one)


@piece
def forward(net: Program, w: Numbers, x: Numbers, x_at: int, count: int, s: Numbers, at: Whole) -> None:
    """The layers of a program on x [features, count]; activations of layer l to s from at[l] on."""
    source, start = x, x_at
    for layer in range(len(net)):
        fan_in, fan_out = net[layer, FAN_IN], net[layer, FAN_OUT]
        product(w, net[layer, WEIGHT], False, fan_out, fan_in, source, start, count, count, s, at[layer], False)
        activate(net[layer, ACTIVATION], s, at[layer], fan_out, count, w, net[layer, BIAS])
        source, start = s, at[layer]


@piece
def equal(a: Numbers, a_at: int, b: Numbers, b_at: int, count: int) -> bool:
    """Whether numbers agree in every bit."""
    ours, theirs, others = bits(a, a_at, count), bits(b, b_at, count), 0
    for j in range(count):
        others += 0 if ours[j] == theirs[j] else 1
    return others == 0


@piece
def copy(a: Numbers, a_at: int, b: Numbers, b_at: int, count: int) -> None:
    """b = a."""
    a, b = part(a, a_at, count), part(b, b_at, count)
    for j in range(count):
        b[j] = a[j]


@piece
def output_slopes(net: Program, w: Numbers, count: int, s: Numbers, at: Whole, by: Whole) -> None:
    """Derivatives of the one output by every layer's z, after `forward`: to s from by[l] on."""
    last = len(net) - 1
    ones = part(s, by[last], count)
    for j in range(count):
        ones[j] = 1
    for layer in range(last, -1, -1):
        fan_in, fan_out = net[layer, FAN_IN], net[layer, FAN_OUT]
        slope(net[layer, ACTIVATION], s, by[layer], s, at[layer], fan_out * count)
        if layer:
            product(w, net[layer, WEIGHT], True, fan_in, fan_out, s, by[layer], count, count, s, by[layer - 1], False)


@piece
def weigh(a: Numbers, a_at: int, height: int, count: int, weight: Numbers, out: Numbers, out_at: int) -> None:
    """out [height, count] = a times the weight of every column; ``weight`` is [count]."""
    for i in range(height):
        row, to = part(a, a_at + i * count, count), part(out, out_at + i * count, count)
        for j in range(count):
            to[j] = row[j] * weight[j]


@piece
def clear_padding(net: Program, layer: int, out: Numbers) -> None:
    """Zeros behind the gradient of a layer's weights and behind that of its biases."""
    end = net[layer, WEIGHT] + net[layer, FAN_IN] * net[layer, FAN_OUT]
    for j in range(end, net[layer, BIAS]):
        out[j] = 0
    end = net[layer, BIAS] + net[layer, FAN_OUT]
    for j in range(end, end + -end % GRAIN):
        out[j] = 0


@piece
def layer_gradient(
    net: Program, layer: int, d: Numbers, d_at: int, h: Numbers, h_at: int, count: int, weight: Numbers,
    weighed: bool, out: Numbers, tmp: Numbers, tmp_at: int,
) -> None:  # fmt: skip
    """The gradient of a layer's weights and biases, into ``out`` where they stand, from the derivative d by its z.

    Where ``weighed``, every column of d counts times its weight; ``tmp`` then takes the narrower of d and h.
    """
    fan_in, fan_out, bias = net[layer, FAN_IN], net[layer, FAN_OUT], net[layer, BIAS]
    clear_padding(net, layer, out)
    for i in range(fan_out):
        row, total = part(d, d_at + i * count, count), d.dtype.type(0)
        if weighed:
            total = dot(row, weight, count)
        else:
            for j in range(count):
                total += row[j]
        part(out, bias + i, 1)[0] = total
    if weighed and fan_in < fan_out:
        weigh(h, h_at, fan_in, count, weight, tmp, tmp_at)
        h, h_at = tmp, tmp_at
    elif weighed:
        weigh(d, d_at, fan_out, count, weight, tmp, tmp_at)
        d, d_at = tmp, tmp_at
    outer(d, d_at, fan_out, h, h_at, fan_in, count, out, net[layer, WEIGHT], False)
