"""What J v and J' u of a GAN's field have in common, a replica at a time: tangents, and the way back through G.

A product with the Jacobian J is a pass forward with tangents, and one back through it (Pearlmutter 1994,
doi:10.1162/neco.1994.6.1.147). The discriminator is piecewise linear, so that its tangents have no second order; the
tangents of its input and of its weights add up.
"""

from __future__ import annotations

from bench.numerics.kernels.compilation import Numbers, Program, Whole, piece
from bench.numerics.kernels.field import (
    BATCH,
    CLASSES,
    FEATURES,
    GAIN,
    INPUT,
    LEAST_SQUARES,
    LOSS,
    NON_SATURATING,
    PACK,
    SLOPES,
    SPARE,
    pack_samples,
    slopes,
    tell_classes,
)  # fmt: skip
from bench.numerics.kernels.functions import exp
from bench.numerics.kernels.intrinsics import part
from bench.numerics.kernels.layers import (
    ACTIVATION,
    BIAS,
    ELU,
    FAN_IN,
    FAN_OUT,
    SIGMOID,
    TANH,
    WEIGHT,
    copy,
    forward,
    layer_gradient,
    outer,
    output_slopes,
    product,
    slope,
)  # fmt: skip

BY_G, BY_D, UNITS, TANGENTS_G, DELTAS_G, TANGENTS_FAKE, TANGENTS_D = range(7)
"""Places a layer, int64 [7, layers]: activations; D's derivatives of the logit; tangents and derivatives of G; D's
tangents as its input moves, and as its weights move."""
CURVE, CURVE_FAKE, BY_FAKE, BY_TANGENT = range(6, 10)
"""Places beside those of the field."""


@piece
def curvatures(
    loss: int, logits: Numbers, tangents: Numbers, count: int, batch: int, sign: float, out: Numbers
) -> None:
    """Second derivatives of a loss by the logits times the logits' tangents, a mean over ``batch``."""
    f = logits.dtype.type
    one, zero, share = f(1), f(0), f(sign) / f(batch)
    for j in range(count):
        if loss <= NON_SATURATING:
            believed = one / (one + exp(-logits[j]))
            out[j] = believed * (one - believed) * tangents[j] * share
        elif loss == LEAST_SQUARES:
            out[j] = tangents[j] / f(batch)
        else:
            out[j] = zero


@piece
def bend(code: int, g: Numbers, g_at: int, h: Numbers, h_at: int, t: Numbers, t_at: int, count: int) -> None:
    """g <- g a''(z) dz, told by h = a(z) and t = a'(z) dz; 0 where the activation is piecewise linear."""
    g, h, t = part(g, g_at, count), part(h, h_at, count), part(t, t_at, count)
    f = g.dtype.type
    zero, one, two = f(0), f(1), f(2)
    if code == TANH:
        for j in range(count):
            g[j] *= -two * h[j] * t[j]
    elif code == SIGMOID:
        for j in range(count):
            g[j] *= (one - two * h[j]) * t[j]
    elif code == ELU:
        for j in range(count):
            g[j] = zero if h[j] > zero else g[j] * t[j]
    else:
        for j in range(count):
            g[j] = zero


@piece
def add_bias(z: Numbers, z_at: int, height: int, count: int, b: Numbers, b_at: int) -> None:
    """z [height, count] += b, one a row."""
    for i in range(height):
        row, bias = part(z, z_at + i * count, count), part(b, b_at + i, 1)[0]
        for j in range(count):
            row[j] += bias


@piece
def tangents(
    net: Program, w: Numbers, u: Numbers, x: Numbers, x_at: int, count: int, s: Numbers, at: Whole, by: Whole
) -> None:
    """Tangents of a network's layers as its parameters move along u, its input held: to s from by[l] on."""
    for layer in range(len(net)):
        fan_in, fan_out, weight = net[layer, FAN_IN], net[layer, FAN_OUT], net[layer, WEIGHT]
        if layer:
            product(u, weight, False, fan_out, fan_in, s, at[layer - 1], count, count, s, by[layer], False)
            product(w, weight, False, fan_out, fan_in, s, by[layer - 1], count, count, s, by[layer], True)
        else:
            product(u, weight, False, fan_out, fan_in, x, x_at, count, count, s, by[layer], False)
        add_bias(s, by[layer], fan_out, count, u, net[layer, BIAS])
        slope(net[layer, ACTIVATION], s, by[layer], s, at[layer], fan_out * count)


@piece
def stand(
    G: Program, D: Program, w: Numbers, real: Numbers, latent: Numbers, classes: Numbers, real_noise: Numbers,
    fake_noise: Numbers, how: Whole, s: Numbers, at: Program, places: Whole,
) -> None:  # fmt: skip
    """The field's passes at w: activations, the losses' slopes, the logit's derivatives by every layer and by fakes."""
    batch, packs = how[BATCH], how[PACK]
    drawn, wide, x = packs * batch, 2 * batch, places[INPUT]
    weight, gain = part(s, places[SLOPES], wide), part(s, places[GAIN], batch)
    logits = part(s, at[BY_D][len(D) - 1], wide)
    forward(G, w, latent, 0, drawn, s, at[BY_G])
    pack_samples(real, 0, real_noise, how, s, x, wide, 0)
    pack_samples(s, at[BY_G][len(G) - 1], fake_noise, how, s, x, wide, batch)
    tell_classes(classes, how, s, x, wide, 0)
    tell_classes(classes, how, s, x, wide, batch)
    forward(D, w, s, x, wide, s, at[BY_D])
    slopes(how[LOSS], logits, part(logits, batch, batch), batch, weight, part(weight, batch, batch), gain)
    output_slopes(D, w, wide, s, at[BY_D], at[UNITS])
    product(w, D[0, WEIGHT], True, D[0, FAN_IN], D[0, FAN_OUT], s, at[UNITS][0] + batch, wide, batch, s,
            places[BY_FAKE], False)  # fmt: skip


@piece
def tangents_of_fakes(
    G: Program, D: Program, w: Numbers, u: Numbers, latent: Numbers, how: Whole, s: Numbers, at: Program, places: Whole
) -> None:
    """Tangents of the samples, and of D's layers on them, as the generator moves along u."""
    batch, packs = how[BATCH], how[PACK]
    drawn, wide, by_tangent = packs * batch, 2 * batch, places[BY_TANGENT]
    by_D, tangents_fake = at[BY_D], at[TANGENTS_FAKE]
    tangents(G, w, u, latent, 0, drawn, s, at[BY_G], at[TANGENTS_G])
    pack_samples(s, at[TANGENTS_G][len(G) - 1], part(s, 0, 0), how, s, by_tangent, batch, 0)
    held = part(s, by_tangent + packs * how[FEATURES] * batch, how[CLASSES] * batch)
    for j in range(len(held)):
        held[j] = 0
    source = by_tangent
    for layer in range(len(D)):
        fan_out, to_at = D[layer, FAN_OUT], tangents_fake[layer]
        product(w, D[layer, WEIGHT], False, fan_out, D[layer, FAN_IN], s, source, batch, batch, s, to_at, False)
        for i in range(fan_out):
            slope(D[layer, ACTIVATION], s, to_at + i * batch, s, by_D[layer] + i * wide + batch, batch)
        source = to_at


@piece
def to_fakes(
    how: Whole,
    turned: int,
    curve: Numbers,
    weight: Numbers,
    moves: bool,
    bends: bool,
    d: int,
    s: Numbers,
    places: Whole,
) -> None:
    """What comes back to the samples, unpacked: to d, and to BY_TANGENT the generator's own derivative by them.

    The logit's derivative counts ``curve``, and how it turns, which lies at ``turned`` where it ``bends``, ``weight``.
    """
    batch, packs, features = how[BATCH], how[PACK], how[FEATURES]
    drawn, gain = packs * batch, part(s, places[GAIN], batch)
    for pack in range(packs):
        for i in range(features):
            start = (pack * features + i) * batch
            by_sample, bent = part(s, places[BY_FAKE] + start, batch), part(s, turned + start, batch)
            own = part(s, d + i * drawn + pack * batch, batch)
            moving = part(s, places[BY_TANGENT] + i * drawn + pack * batch, batch)
            for j in range(batch):
                own[j] = by_sample[j] * curve[j]
                if bends:
                    own[j] += bent[j] * weight[j]
            if moves:
                for j in range(batch):
                    moving[j] = by_sample[j] * gain[j]


@piece
def back_through_generator(
    G: Program, w: Numbers, u: Numbers, latent: Numbers, how: Whole, moves: bool, d: int, e: int, out: Numbers,
    s: Numbers, at: Program, places: Whole,
) -> None:  # fmt: skip
    """The generator's block, from what lies at d by its samples; e is a second place.

    Where it ``moves`` along u itself, its activations bend, and its derivatives, from BY_TANGENT, meet the tangents.
    """
    drawn, top, by_tangent, spare = how[PACK] * how[BATCH], len(G) - 1, places[BY_TANGENT], places[SPARE]
    by_G, tangents_G, deltas, none = at[BY_G], at[TANGENTS_G], at[DELTAS_G], part(s, 0, 0)
    if moves:
        copy(s, by_tangent, s, deltas[top], how[FEATURES] * drawn)
        for layer in range(top, -1, -1):
            fan_in, fan_out = G[layer, FAN_IN], G[layer, FAN_OUT]
            slope(G[layer, ACTIVATION], s, deltas[layer], s, by_G[layer], fan_out * drawn)
            if layer:
                product(w, G[layer, WEIGHT], True, fan_in, fan_out, s, deltas[layer], drawn, drawn, s,
                        deltas[layer - 1], False)  # fmt: skip
    for layer in range(top, -1, -1):
        fan_in, fan_out, matrix = G[layer, FAN_IN], G[layer, FAN_OUT], G[layer, WEIGHT]
        count, code = fan_out * drawn, G[layer, ACTIVATION]
        slope(code, s, d, s, by_G[layer], count)
        if moves and (code in (TANH, SIGMOID, ELU)):
            if layer < top:
                above = G[layer + 1, FAN_OUT]
                product(w, G[layer + 1, WEIGHT], True, fan_out, above, s, deltas[layer + 1], drawn, drawn, s,
                        by_tangent, False)  # fmt: skip
            bend(code, s, by_tangent, s, by_G[layer], s, tangents_G[layer], count)
            bent, own = part(s, by_tangent, count), part(s, d, count)
            for j in range(count):
                own[j] += bent[j]
        if layer:
            layer_gradient(G, layer, s, d, s, by_G[layer - 1], drawn, none, False, out, s, spare)
            product(w, matrix, True, fan_in, fan_out, s, d, drawn, drawn, s, e, False)
            if moves:
                outer(s, deltas[layer], fan_out, s, tangents_G[layer - 1], fan_in, drawn, out, matrix, True)
                product(u, matrix, True, fan_in, fan_out, s, deltas[layer], drawn, drawn, s, e, True)
            d, e = e, d
        else:
            layer_gradient(G, layer, s, d, latent, 0, drawn, none, False, out, s, spare)


@piece
def slant(a: Numbers, a_at: int, height: int, batch: int, weight: Numbers, out: Numbers, out_at: int) -> None:
    """out [height, batch] = the fakes' half of a [height, 2 batch], weighed."""
    for i in range(height):
        fakes, to = part(a, a_at + i * 2 * batch + batch, batch), part(out, out_at + i * batch, batch)
        for j in range(batch):
            to[j] = fakes[j] * weight[j]
