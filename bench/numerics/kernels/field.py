"""The field of a GAN between two multilayer perceptrons, a replica at a time: all of it stays in the core's cache.

The generator's samples stand beside the real ones, the discriminator judges both in one pass, and one backward pass of
its logits serves both losses: the derivative of a loss is that of the logit times the loss's slope by the logit.
"""

from __future__ import annotations

import math

from bench.numerics.kernels.compilation import Numbers, Program, Stack, Whole, kernel, piece
from bench.numerics.kernels.functions import exp
from bench.numerics.kernels.intrinsics import part, root
from bench.numerics.kernels.layers import (
    ACTIVATION,
    FAN_IN,
    FAN_OUT,
    WEIGHT,
    copy,
    equal,
    forward,
    layer_gradient,
    outer,
    output_slopes,
    product,
    slope,
)  # fmt: skip

LOSSES = {"minimax": 0, "non-saturating": 1, "wgan": 2, "wgan-gp": 2, "hinge": 3, "lsgan": 4}
"""Losses by name, as `slopes` knows them."""
MINIMAX, NON_SATURATING, CRITIC, HINGE, LEAST_SQUARES = range(5)
PENALTIES = {"none": 0, "r1": 1, "r2": 2, "gradient-penalty": 3}
"""Penalties on the discriminator's slope, by name."""
NO_PENALTY, AT_REAL, AT_FAKE, BETWEEN = range(4)
LOSS, PENALTY, BATCH, PACK, FEATURES, CLASSES, START, SIZE = range(8)
"""What a game's settings hold: samples a pack, a sample's and its class's features, where D's columns begin and end."""
INPUT, SLOPES, GAIN, FIRST, SECOND, SPARE = range(6)
"""Places of the scratch array besides those of activations."""
BOTH, GENERATOR, DISCRIMINATOR, ACROSS = -1, 0, 1, 2
"""Whose gradients `field` gives: across, each player's of the other's loss."""


@piece
def slopes(
    loss: int, real: Numbers, fake: Numbers, count: int, by_real: Numbers, by_fake: Numbers, gain: Numbers
) -> None:
    """Derivatives of the losses by the logits, a mean over ``count``: D's by real and fake, G's by fake."""
    f = fake.dtype.type
    zero, one, share = f(0), f(1), f(1) / f(count)
    if loss <= NON_SATURATING:
        for j in range(count):
            by_real[j] = (one / (one + exp(-real[j])) - one) * share
        for j in range(count):
            believed = one / (one + exp(-fake[j]))
            by_fake[j] = believed * share
            gain[j] = (believed - one if loss == NON_SATURATING else -believed) * share
    elif loss == CRITIC:
        for j in range(count):
            by_real[j], by_fake[j], gain[j] = -share, share, -share
    elif loss == HINGE:
        for j in range(count):
            by_real[j] = -share if real[j] < one else zero
            by_fake[j] = share if fake[j] > -one else zero
            gain[j] = -share
    else:
        for j in range(count):
            by_real[j], by_fake[j] = (real[j] - one) * share, fake[j] * share
            gain[j] = (fake[j] - one) * share


@piece
def pack_samples(
    source: Numbers, at: int, noise: Numbers, how: Whole, x: Numbers, x_at: int, apart: int, first: int
) -> None:  # fmt: skip
    """Samples [features, packs x batch], with noise if there is any, side by side in x from column ``first`` on."""
    batch, packs, features = how[BATCH], how[PACK], how[FEATURES]
    for pack in range(packs):
        for i in range(features):
            start = i * packs * batch + pack * batch
            row = part(source, at + start, batch)
            to = part(x, x_at + (pack * features + i) * apart + first, batch)
            if len(noise) > 0:
                shift = part(noise, start, batch)
                for j in range(batch):
                    to[j] = row[j] + shift[j]
            else:
                for j in range(batch):
                    to[j] = row[j]


@piece
def tell_classes(classes: Numbers, how: Whole, x: Numbers, x_at: int, apart: int, first: int) -> None:
    """The class of every pack, [classes, batch], below its features in x."""
    batch, above = how[BATCH], how[PACK] * how[FEATURES]
    for i in range(how[CLASSES]):
        row, to = part(classes, i * batch, batch), part(x, x_at + (above + i) * apart + first, batch)
        for j in range(batch):
            to[j] = row[j]


@piece
def generated(
    player: int, G: Program, w: Numbers, noise: Numbers, start: int, drawn: int, s: Numbers, at: Whole, memory: bool
) -> None:
    """The generator's activations to s from at[l] on, unless they are there from the last call.

    Where s is a ``memory``, it begins with the latents and the parameters that the activations are of. In turn, the
    discriminator moves between two calls and these stay. The generator's own call is the last that can use them.
    """
    if memory:
        if equal(noise, 0, s, 0, len(noise)) and equal(w, 0, s, len(noise), start):
            return
        if player == DISCRIMINATOR:
            copy(noise, 0, s, 0, len(noise))
            copy(w, 0, s, len(noise), start)
        else:
            s[0] = math.nan  # which no latent is
    forward(G, w, noise, 0, drawn, s, at)


@kernel
def field(
    player: int, G: Program, D: Program, w: Stack, real: Stack, latent: Stack, classes: Stack, real_noise: Stack,
    fake_noise: Stack, how: Whole, out: Stack, fakes: Stack, memories: Stack, by_memory: Whole, s: Numbers, by_G: Whole,
    by_D: Whole, places: Whole,
) -> None:  # fmt: skip
    """Both players' gradients into ``out`` [R, n]; where one player is given, the other's block is zeros.

    ``fakes`` [R, .] gets what the discriminator sees of the generator, where it has room for it. ``memories`` [R, .]
    keep the generator's activations for the next call, where they have room; see `generated`.
    """
    batch, packs, features = how[BATCH], how[PACK], how[FEATURES]
    drawn, start, alone = packs * batch, how[START], player == GENERATOR
    wide = batch if alone else 2 * batch
    x, spare, top_G, top_D = places[INPUT], places[SPARE], len(G) - 1, len(D) - 1
    weight, gain = part(s, places[SLOPES], wide), part(s, places[GAIN], batch)
    logits, memory = by_D[top_D], memories.shape[1] > 0
    by_G = by_memory if memory else by_G
    for r in range(len(w)):
        row, to, noise = w[r], out[r], latent[r]
        g = memories[r] if memory else s
        generated(player, G, row, noise, start, drawn, g, by_G, memory)
        if not alone:
            pack_samples(real[r], 0, real_noise[r], how, s, x, wide, 0)
            tell_classes(classes[r], how, s, x, wide, 0)
        pack_samples(g, by_G[top_G], fake_noise[r], how, s, x, wide, wide - batch)
        tell_classes(classes[r], how, s, x, wide, wide - batch)
        if fakes.shape[1] > 0:
            for i in range(packs * features):
                seen, kept = part(s, x + i * wide + wide - batch, batch), part(fakes[r], i * batch, batch)
                for j in range(batch):
                    kept[j] = seen[j]
        forward(D, row, s, x, wide, s, by_D)
        slopes(how[LOSS], part(s, logits, batch), part(s, logits + wide - batch, batch), batch,
               weight, part(weight, wide - batch, batch), gain)  # fmt: skip
        if player == ACROSS:
            for j in range(batch):
                weight[j], weight[batch + j], gain[j] = 0, gain[j], weight[batch + j]
        d, e = places[FIRST], places[SECOND]
        ones = part(s, d, wide)
        for j in range(wide):
            ones[j] = 1
        for layer in range(top_D, -1, -1):
            fan_in, fan_out = D[layer, FAN_IN], D[layer, FAN_OUT]
            slope(D[layer, ACTIVATION], s, d, s, by_D[layer], fan_out * wide)
            if not alone:
                below = by_D[layer - 1] if layer else x
                layer_gradient(D, layer, s, d, s, below, wide, weight, True, to, s, spare)
            first, count = (0, wide) if layer else (wide - batch, batch)  # by the generated samples alone in the end
            if layer or player != DISCRIMINATOR:
                product(row, D[layer, WEIGHT], True, fan_in, fan_out, s, d + first, wide, count, s, e, False)
                d, e = e, d
        if alone:
            for j in range(start, how[SIZE]):
                to[j] = 0
        if player == DISCRIMINATOR:
            for j in range(start):
                to[j] = 0
            continue
        for pack in range(packs):
            for i in range(features):
                seen = part(s, d + (pack * features + i) * batch, batch)
                apart = part(s, e + i * drawn + pack * batch, batch)
                for j in range(batch):
                    apart[j] = seen[j] * gain[j]
        d, e = e, d
        for layer in range(top_G, -1, -1):
            fan_in, fan_out = G[layer, FAN_IN], G[layer, FAN_OUT]
            slope(G[layer, ACTIVATION], s, d, g, by_G[layer], fan_out * drawn)
            if layer:
                layer_gradient(G, layer, s, d, g, by_G[layer - 1], drawn, weight, False, to, s, spare)
                product(row, G[layer, WEIGHT], True, fan_in, fan_out, s, d, drawn, drawn, s, e, False)
                d, e = e, d
            else:
                layer_gradient(G, layer, s, d, noise, 0, drawn, weight, False, to, s, spare)


@kernel
def add_penalty(
    net: Program, w: Stack, real: Stack, fakes: Stack, mix: Stack, classes: Stack, how: Whole, gamma: float, out: Stack,
    s: Numbers, at: Whole, units: Whole, places: Whole,
) -> None:  # fmt: skip
    """Adds the gradient of gamma times the mean penalty on the discriminator's slope by its input, [R, n].

    The slope of a piecewise linear network is linear in each weight matrix: the left factor comes from the output, as
    in a backward pass, the right one from the input, as in a forward pass.
    """
    batch, seen, kind, last = how[BATCH], how[PACK] * how[FEATURES], how[PENALTY], len(net) - 1
    points, scale = places[FIRST], part(s, places[SPARE], batch)
    f = scale.dtype.type
    one, two, share = f(1), f(2), f(gamma / batch)
    for r in range(len(w)):
        row, to = w[r], out[r]
        pack_samples(real[r], 0, part(s, 0, 0), how, s, points, batch, 0)
        for i in range(seen):
            point, fake, between = part(s, points + i * batch, batch), part(fakes[r], i * batch, batch), mix[r]
            if kind == AT_FAKE:
                for j in range(batch):
                    point[j] = fake[j]
            elif kind == BETWEEN:
                for j in range(batch):
                    point[j] = between[j] * point[j] + (one - between[j]) * fake[j]
        tell_classes(classes[r], how, s, points, batch, 0)
        forward(net, row, s, points, batch, s, at)
        output_slopes(net, row, batch, s, at, units)
        fan_in, fan_out = net[0, FAN_IN], net[0, FAN_OUT]
        product(row, net[0, WEIGHT], True, fan_in, fan_out, s, units[0], batch, batch, s, points, False)
        for j in range(batch):
            scale[j] = 1e-12
        if kind == BETWEEN:
            for i in range(seen):
                by_input = part(s, points + i * batch, batch)
                for j in range(batch):
                    scale[j] += by_input[j] * by_input[j]
        for j in range(batch):
            scale[j] = two * share * (one - one / root(scale[j])) if kind == BETWEEN else share
        for i in range(net[0, FAN_IN]):
            by_input = part(s, points + i * batch, batch)
            for j in range(batch):
                by_input[j] = by_input[j] * scale[j] if i < seen else f(0)
        right, spare = points, places[SECOND]
        for layer in range(last + 1):
            fan_in, fan_out, weight = net[layer, FAN_IN], net[layer, FAN_OUT], net[layer, WEIGHT]
            outer(s, units[layer], fan_out, s, right, fan_in, batch, to, weight, True)
            if layer < last:
                product(row, weight, False, fan_out, fan_in, s, right, batch, batch, s, spare, False)
                slope(net[layer, ACTIVATION], s, spare, s, at[layer], fan_out * batch)
                right, spare = spare, right
