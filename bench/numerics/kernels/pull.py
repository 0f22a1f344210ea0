"""J' u of a GAN's field, a replica at a time: the gradient of <F(w), u>.

<F, u> is the derivative of the generator's loss along u_G plus that of the discriminator's along u_D. Both are sums
over samples of a loss's slope times the logit's tangent; see `linear`.
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
    SLOPES,
    SPARE,
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
def pull(
    player: int, own: bool, G: Program, D: Program, w: Stack, u: Stack, real: Stack, latent: Stack, classes: Stack,
    real_noise: Stack, fake_noise: Stack, how: Whole, out: Stack, s: Numbers, at: Program, places: Whole,
) -> None:  # fmt: skip
    """J' u into ``out`` [R, n]; where a player is given, J is that player's rows alone.

    Unless ``own``, J has no blocks on its diagonal: each player's block comes from the other's loss.
    """
    batch, top = how[BATCH], len(D) - 1
    wide, x = 2 * batch, places[INPUT]
    moves_G, moves_D = player != DISCRIMINATOR, player != GENERATOR
    by_D, units, tangents_fake, tangents_D = at[BY_D], at[UNITS], at[TANGENTS_FAKE], at[TANGENTS_D]
    weight, gain = part(s, places[SLOPES], wide), part(s, places[GAIN], batch)
    curve, curve_fake = part(s, places[CURVE], wide), part(s, places[CURVE_FAKE], batch)
    none, logits, spare = part(s, 0, 0), part(s, by_D[top], wide), places[SPARE]
    bends_own = moves_D and own
    for r in range(len(w)):
        row, along, to = w[r], u[r], out[r]
        stand(G, D, row, real[r], latent[r], classes[r], real_noise[r], fake_noise[r], how, s, at, places)
        for j in range(wide):
            curve[j] = 0
        for j in range(batch):
            curve_fake[j] = 0
        if moves_G:
            tangents_of_fakes(G, D, row, along, latent[r], how, s, at, places)
            sign = 1.0 if how[LOSS] == NON_SATURATING else -1.0
            curvatures(how[LOSS], part(logits, batch, batch), part(s, tangents_fake[top], batch), batch, batch, sign,
                       curve_fake)  # fmt: skip
        if moves_D:
            tangents(D, row, along, s, x, wide, s, by_D, tangents_D)
            curvatures(how[LOSS], logits, part(s, tangents_D[top], wide), wide, batch, 1.0, curve)
        if own:
            for j in range(batch):
                curve[batch + j] += curve_fake[j]
        # Back through the discriminator: `turned` is how the logit's derivative turns as the weights move.
        turned, below = places[FIRST], places[SECOND]
        for layer in range(top, -1, -1):
            fan_in, fan_out, matrix = D[layer, FAN_IN], D[layer, FAN_OUT], D[layer, WEIGHT]
            h, bends = by_D[layer - 1] if layer else x, moves_D and layer < top
            if own:
                weigh(s, units[layer], fan_out, wide, curve, s, spare)
                if bends:
                    for i in range(fan_out):
                        total, more = part(s, spare + i * wide, wide), part(s, turned + i * wide, wide)
                        for j in range(wide):
                            total[j] += more[j] * weight[j]
            else:
                for i in range(fan_out):
                    unit, total = part(s, units[layer] + i * wide, wide), part(s, spare + i * wide, wide)
                    for j in range(batch):
                        total[j] = 0
                        total[batch + j] = unit[batch + j] * curve_fake[j]
            layer_gradient(D, layer, s, spare, s, h, wide, none, False, to, s, spare)
            if bends_own and layer:
                weigh(s, units[layer], fan_out, wide, weight, s, spare)
                outer(s, spare, fan_out, s, tangents_D[layer - 1], fan_in, wide, to, matrix, True)
            if moves_G:
                slant(s, units[layer], fan_out, batch, gain, s, spare)
                source = tangents_fake[layer - 1] if layer else places[BY_TANGENT]
                outer(s, spare, fan_out, s, source, fan_in, batch, to, matrix, True)
            if moves_D:
                begin, count = (0, wide) if layer else (batch, batch)
                product(along, matrix, True, fan_in, fan_out, s, units[layer] + begin, wide, count, s, below, False)
                if bends:
                    product(row, matrix, True, fan_in, fan_out, s, turned + begin, wide, count, s, below, True)
                if layer:
                    slope(D[layer - 1, ACTIVATION], s, below, s, by_D[layer - 1], fan_in * wide)
                turned, below = below, turned
        moves = moves_G and own
        to_fakes(how, turned, part(curve, batch, batch), part(weight, batch, batch), moves, moves_D, below, s, places)
        back_through_generator(G, row, along, latent[r], how, moves, below, spare, to, s, at, places)
