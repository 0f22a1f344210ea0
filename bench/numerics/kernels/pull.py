"""J' u of a GAN's field, a replica at a time: the gradient of <F(w), u>.

<F, u> is the derivative of the generator's loss along u_G plus that of the discriminator's along u_D. Both are sums
over samples of a loss's slope times the logit's tangent: a pass forward with tangents, and one back through it
(Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147). The discriminator is piecewise linear, so that its tangents have no
second order.
"""

from __future__ import annotations

from bench.numerics.kernels.compilation import Numbers, Program, Stack, Whole, kernel
from bench.numerics.kernels.field import (
    BATCH,
    CLASSES,
    DISCRIMINATOR,
    FEATURES,
    FIRST,
    GAIN,
    GENERATOR,
    INPUT,
    LEAST_SQUARES,
    LOSS,
    NON_SATURATING,
    PACK,
    SECOND,
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
    forward,
    layer_gradient,
    outer,
    output_slopes,
    product,
    slope,
    weigh,
)  # fmt: skip

BY_G, BY_D, UNITS, TANGENTS_G, DELTAS_G, TANGENTS_FAKE, TANGENTS_D = range(7)
"""Places a layer, int64 [7, layers]: activations; D's derivatives of the logit; tangents and derivatives of G; D's
tangents as its input moves, and as its weights move."""
CURVE, CURVE_FAKE, BY_FAKE, BY_TANGENT = range(6, 10)
"""Places beside those of the field."""


@kernel
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


@kernel
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


@kernel
def add_bias(z: Numbers, z_at: int, height: int, count: int, b: Numbers, b_at: int) -> None:
    """z [height, count] += b, one a row."""
    for i in range(height):
        row, bias = part(z, z_at + i * count, count), part(b, b_at + i, 1)[0]
        for j in range(count):
            row[j] += bias


@kernel
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


@kernel
def pull(
    player: int, G: Program, D: Program, w: Stack, u: Stack, real: Stack, latent: Stack, classes: Stack,
    real_noise: Stack, fake_noise: Stack, how: Whole, out: Stack, s: Numbers, at: Program, places: Whole,
) -> None:  # fmt: skip
    """J' u into ``out`` [R, n]; where a player is given, J is that player's rows alone."""
    batch, packs, features = how[BATCH], how[PACK], how[FEATURES]
    drawn, wide, seen, top_G, top_D = packs * batch, 2 * batch, packs * features, len(G) - 1, len(D) - 1
    moves_G, moves_D = player != DISCRIMINATOR, player != GENERATOR
    x, first, second, spare = places[INPUT], places[FIRST], places[SECOND], places[SPARE]
    by_fake, by_tangent = places[BY_FAKE], places[BY_TANGENT]
    by_G, by_D, units, tangents_G = at[BY_G], at[BY_D], at[UNITS], at[TANGENTS_G]
    deltas, tangents_fake, tangents_D = at[DELTAS_G], at[TANGENTS_FAKE], at[TANGENTS_D]
    weight, gain = part(s, places[SLOPES], wide), part(s, places[GAIN], batch)
    curve, curve_fake = part(s, places[CURVE], wide), part(s, places[CURVE_FAKE], batch)
    none, logits = part(s, 0, 0), part(s, by_D[top_D], wide)
    for r in range(len(w)):
        row, along, to, noise = w[r], u[r], out[r], latent[r]
        # The field's two passes; units keep the derivatives of the logit.
        forward(G, row, noise, 0, drawn, s, by_G)
        pack_samples(real[r], 0, real_noise[r], how, s, x, wide, 0)
        pack_samples(s, by_G[top_G], fake_noise[r], how, s, x, wide, batch)
        tell_classes(classes[r], how, s, x, wide, 0)
        tell_classes(classes[r], how, s, x, wide, batch)
        forward(D, row, s, x, wide, s, by_D)
        slopes(how[LOSS], logits, part(logits, batch, batch), batch, weight, part(weight, batch, batch), gain)
        output_slopes(D, row, wide, s, by_D, units)
        fan_in, fan_out = D[0, FAN_IN], D[0, FAN_OUT]
        product(row, D[0, WEIGHT], True, fan_in, fan_out, s, units[0] + batch, wide, batch, s, by_fake, False)
        # Tangents: of the samples and of the logits.
        for j in range(wide):
            curve[j] = 0
        for j in range(batch):
            curve_fake[j] = 0
        if moves_G:
            tangents(G, row, along, noise, 0, drawn, s, by_G, tangents_G)
            pack_samples(s, tangents_G[top_G], none, how, s, by_tangent, batch, 0)
            held = part(s, by_tangent + seen * batch, how[CLASSES] * batch)
            for j in range(len(held)):
                held[j] = 0
            source = by_tangent
            for layer in range(top_D + 1):
                fan_out, to_at = D[layer, FAN_OUT], tangents_fake[layer]
                fan_in, matrix = D[layer, FAN_IN], D[layer, WEIGHT]
                product(row, matrix, False, fan_out, fan_in, s, source, batch, batch, s, to_at, False)
                for i in range(fan_out):
                    slope(D[layer, ACTIVATION], s, to_at + i * batch, s, by_D[layer] + i * wide + batch, batch)
                source = to_at
            sign = 1.0 if how[LOSS] == NON_SATURATING else -1.0
            curvatures(how[LOSS], part(logits, batch, batch), part(s, source, batch), batch, batch, sign, curve_fake)
        if moves_D:
            tangents(D, row, along, s, x, wide, s, by_D, tangents_D)
            curvatures(how[LOSS], logits, part(s, tangents_D[top_D], wide), wide, batch, 1.0, curve)
        for j in range(batch):
            curve[batch + j] += curve_fake[j]
        # Back through the discriminator: `turned` is how the logit's derivative turns as the weights move.
        turned, below = first, second
        for layer in range(top_D, -1, -1):
            fan_in, fan_out, matrix = D[layer, FAN_IN], D[layer, FAN_OUT], D[layer, WEIGHT]
            h, bends = by_D[layer - 1] if layer else x, moves_D and layer < top_D
            weigh(s, units[layer], fan_out, wide, curve, s, spare)
            if bends:
                for i in range(fan_out):
                    total, more = part(s, spare + i * wide, wide), part(s, turned + i * wide, wide)
                    for j in range(wide):
                        total[j] += more[j] * weight[j]
            layer_gradient(D, layer, s, spare, s, h, wide, weight, False, to, s, spare)
            if moves_D and layer:
                weigh(s, units[layer], fan_out, wide, weight, s, spare)
                outer(s, spare, fan_out, s, tangents_D[layer - 1], fan_in, wide, to, matrix, True)
            if moves_G:
                for i in range(fan_out):
                    fakes = part(s, units[layer] + i * wide + batch, batch)
                    slanted = part(s, spare + i * batch, batch)
                    for j in range(batch):
                        slanted[j] = fakes[j] * gain[j]
                source = tangents_fake[layer - 1] if layer else by_tangent
                outer(s, spare, fan_out, s, source, fan_in, batch, to, matrix, True)
            if moves_D:
                start, count = (0, wide) if layer else (batch, batch)
                product(along, matrix, True, fan_in, fan_out, s, units[layer] + start, wide, count, s, below, False)
                if bends:
                    product(row, matrix, True, fan_in, fan_out, s, turned + start, wide, count, s, below, True)
                if layer:
                    slope(D[layer - 1, ACTIVATION], s, below, s, by_D[layer - 1], fan_in * wide)
                turned, below = below, turned
        # To the samples, unpacked: their own derivative, and that of their tangents.
        d, e = below, spare
        for pack in range(packs):
            for i in range(features):
                start = (pack * features + i) * batch
                by_sample, bent = part(s, by_fake + start, batch), part(s, turned + start, batch)
                own = part(s, d + i * drawn + pack * batch, batch)
                moving = part(s, by_tangent + i * drawn + pack * batch, batch)
                for j in range(batch):
                    own[j] = by_sample[j] * curve[batch + j]
                    if moves_D:
                        own[j] += bent[j] * weight[batch + j]
                    moving[j] = by_sample[j] * gain[j]
        # Back through the generator.
        if moves_G:
            last, moving = part(s, deltas[top_G], features * drawn), part(s, by_tangent, features * drawn)
            for j in range(len(last)):
                last[j] = moving[j]
            for layer in range(top_G, -1, -1):
                fan_in, fan_out = G[layer, FAN_IN], G[layer, FAN_OUT]
                slope(G[layer, ACTIVATION], s, deltas[layer], s, by_G[layer], fan_out * drawn)
                if layer:
                    product(row, G[layer, WEIGHT], True, fan_in, fan_out, s, deltas[layer], drawn, drawn, s,
                            deltas[layer - 1], False)  # fmt: skip
        for layer in range(top_G, -1, -1):
            fan_in, fan_out, matrix = G[layer, FAN_IN], G[layer, FAN_OUT], G[layer, WEIGHT]
            count, code = fan_out * drawn, G[layer, ACTIVATION]
            slope(code, s, d, s, by_G[layer], count)
            if moves_G and (code in (TANH, SIGMOID, ELU)):
                if layer < top_G:
                    above = G[layer + 1, FAN_OUT]
                    product(row, G[layer + 1, WEIGHT], True, fan_out, above, s, deltas[layer + 1], drawn, drawn, s,
                            by_tangent, False)  # fmt: skip
                bend(code, s, by_tangent, s, by_G[layer], s, tangents_G[layer], count)
                bent, own = part(s, by_tangent, count), part(s, d, count)
                for j in range(count):
                    own[j] += bent[j]
            if layer:
                layer_gradient(G, layer, s, d, s, by_G[layer - 1], drawn, weight, False, to, s, spare)
                product(row, matrix, True, fan_in, fan_out, s, d, drawn, drawn, s, e, False)
                if moves_G:
                    outer(s, deltas[layer], fan_out, s, tangents_G[layer - 1], fan_in, drawn, to, matrix, True)
                    product(along, matrix, True, fan_in, fan_out, s, deltas[layer], drawn, drawn, s, e, True)
                d, e = e, d
            else:
                layer_gradient(G, layer, s, d, noise, 0, drawn, weight, False, to, s, spare)
