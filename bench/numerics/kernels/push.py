"""J v of a GAN's field, a replica at a time: how the gradients change as the parameters move along v.

The tangent of a gradient is that of the loss's slope times the logit's derivatives, of these derivatives, and of what
they are multiplied by; see `linear`. It ends as `pull` does, for the generator's loss has a symmetric Hessian.
"""

from __future__ import annotations

from bench.numerics.kernels.compilation import Numbers, Program, Stack, Whole, kernel
from bench.numerics.kernels.field import (
    BATCH,
    DISCRIMINATOR,
    FIRST,
    GAIN,
    GENERATOR,
    INPUT,
    LOSS,
    NON_SATURATING,
    SECOND,
    SIZE,
    SLOPES,
    SPARE,
    START,
)
from bench.numerics.kernels.intrinsics import part
from bench.numerics.kernels.layers import (
    ACTIVATION,
    FAN_IN,
    FAN_OUT,
    WEIGHT,
    layer_gradient,
    outer,
    product,
    slope,
    weigh,
)
from bench.numerics.kernels.linear import (
    BY_D,
    BY_TANGENT,
    CURVE,
    CURVE_FAKE,
    TANGENTS_D,
    TANGENTS_FAKE,
    UNITS,
    back_through_generator,
    curvatures,
    slant,
    stand,
    tangents,
    tangents_of_fakes,
    to_fakes,
)


@kernel
def push(
    player: int, own: bool, G: Program, D: Program, w: Stack, v: Stack, real: Stack, latent: Stack, classes: Stack,
    real_noise: Stack, fake_noise: Stack, how: Whole, out: Stack, s: Numbers, at: Program, places: Whole,
) -> None:  # fmt: skip
    """J v into ``out`` [R, n]; where a player is given, that player's rows alone, and zeros elsewhere.

    Unless ``own``, J has no blocks on its diagonal: each player's gradient changes as the other moves.
    """
    batch, top = how[BATCH], len(D) - 1
    wide, start, x = 2 * batch, how[START], places[INPUT]
    rows_G, rows_D = player != DISCRIMINATOR, player != GENERATOR
    by_D, units, tangents_fake, tangents_D = at[BY_D], at[UNITS], at[TANGENTS_FAKE], at[TANGENTS_D]
    weight, gain = part(s, places[SLOPES], wide), part(s, places[GAIN], batch)
    curve, curve_gain = part(s, places[CURVE], wide), part(s, places[CURVE_FAKE], batch)
    none, logits, spare = part(s, 0, 0), part(s, by_D[top], wide), places[SPARE]
    moves_G, moves_D = rows_D or own, rows_G or own
    for r in range(len(w)):
        row, along, to = w[r], v[r], out[r]
        stand(G, D, row, real[r], latent[r], classes[r], real_noise[r], fake_noise[r], how, s, at, places)
        if moves_G:
            tangents_of_fakes(G, D, row, along, latent[r], how, s, at, places)
        if moves_D:
            tangents(D, row, along, s, x, wide, s, by_D, tangents_D)
        if own:  # fakes move with both players
            for layer in range(top + 1):
                for i in range(D[layer, FAN_OUT]):
                    total = part(s, tangents_D[layer] + i * wide + batch, batch)
                    more = part(s, tangents_fake[layer] + i * batch, batch)
                    for j in range(batch):
                        total[j] += more[j]
        for j in range(wide):
            curve[j] = 0
        if own:
            curvatures(how[LOSS], logits, part(s, tangents_D[top], wide), wide, batch, 1.0, curve)
        elif rows_D:
            curvatures(how[LOSS], part(logits, batch, batch), part(s, tangents_fake[top], batch), batch, batch, 1.0,
                       part(curve, batch, batch))  # fmt: skip
        if rows_G:
            sign = 1.0 if how[LOSS] == NON_SATURATING else -1.0
            curvatures(how[LOSS], part(logits, batch, batch), part(s, tangents_D[top] + batch, batch), batch, batch,
                       sign, curve_gain)  # fmt: skip
        # Back through the discriminator: `turned` is how the logit's derivative turns as the weights move.
        turned, below = places[FIRST], places[SECOND]
        for layer in range(top, -1, -1):
            fan_in, fan_out, matrix = D[layer, FAN_IN], D[layer, FAN_OUT], D[layer, WEIGHT]
            if rows_D:
                weigh(s, units[layer], fan_out, wide, curve, s, spare)
                if own and layer < top:
                    for i in range(fan_out):
                        total, more = part(s, spare + i * wide, wide), part(s, turned + i * wide, wide)
                        for j in range(wide):
                            total[j] += more[j] * weight[j]
                h = by_D[layer - 1] if layer else x
                layer_gradient(D, layer, s, spare, s, h, wide, none, False, to, s, spare)
                if own and layer:
                    weigh(s, units[layer], fan_out, wide, weight, s, spare)
                    outer(s, spare, fan_out, s, tangents_D[layer - 1], fan_in, wide, to, matrix, True)
                else:
                    slant(s, units[layer], fan_out, batch, part(weight, batch, batch), s, spare)
                    source = tangents_fake[layer - 1] if layer else places[BY_TANGENT]
                    outer(s, spare, fan_out, s, source, fan_in, batch, to, matrix, True)
            if rows_G or (own and layer):
                begin, count = (0, wide) if layer else (batch, batch)
                product(along, matrix, True, fan_in, fan_out, s, units[layer] + begin, wide, count, s, below, False)
                if layer < top:
                    product(row, matrix, True, fan_in, fan_out, s, turned + begin, wide, count, s, below, True)
                if layer:
                    slope(D[layer - 1, ACTIVATION], s, below, s, by_D[layer - 1], fan_in * wide)
                turned, below = below, turned
        if rows_G:
            to_fakes(how, turned, curve_gain, gain, own, True, below, s, places)
            back_through_generator(G, row, along, latent[r], how, own, below, spare, to, s, at, places)
        else:
            for j in range(start):
                to[j] = 0
        if not rows_D:
            for j in range(start, how[SIZE]):
                to[j] = 0
