"""What speed is measured on: the rows of results/reference/speed.md, their goals, and their multiply-adds.

Multiply-adds are those of the fewest products that a step can do with, whoever does it: both players forward, the
generator backward, the discriminator backward once for both losses, as its output is one number a sample. A penalty on
the discriminator's slope takes a pass forward, one back to the input, one forward along the slope and one product a
weight; a Jacobian product counts as two gradients, as it does in a rule's cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch

from bench.contracts import Game, UpdateRule
from bench.games.networks.layers import Conv2d, Layer, Linear
from bench.games.networks.networks import Network
from bench.registry import get_game, get_rule

DIGITS_CONV = f"{Path(__file__).parent / 'digits_conv.py'}:DigitsConv"


@dataclass(frozen=True)
class Workload:
    """A game, a rule, R replicas, and what is to be reached.

    Args:
        plain, jax: how many times the plain loop's and JAX's replica-steps a second; 0 where it is only reported.
        roofline: share of the rate of a large matrix product; 0 where it is only reported.
        steps: of the stack in a measurement; 64 where they are short, as random numbers come in blocks of 64.
        checked: the rule by which rivals are held to the engine; "" for ``rule``. Adam makes a step of full size out of
            rounding, and a critic's last bias has no other gradient.
        in_turn: whether the players move one after the other: the discriminator then judges the fakes once more.
    """

    name: str
    title: str
    spelled: str
    rule: str
    replicas: int
    plain: float
    jax: float = 0.0
    roofline: float = 0.0
    steps: int = 64
    checked: str = ""
    in_turn: bool = False

    @property
    def game(self) -> Any:
        return get_game(self.spelled)

    @property
    def multiply_adds(self) -> float:
        """Of a replica's step; 0 where there are no networks."""
        game, rule = self.game, get_rule(self.rule)
        if not hasattr(game, "discriminator"):
            return 0.0
        return rule.cost * gradient(game) + (judged_again(game) if self.in_turn else 0.0)


RING = "ring8[width={},batch_size={}]"
WIDE = RING.format(128, 128)
IN_TURN = "alternating[direction=adam]"
CRITIC = "ring8[width=128,batch_size=128,loss=wgan-gp]"
WORKLOADS = [
    Workload("ring8-128", "ring8, width 128, batch 128, adam", WIDE, "adam", 32, 5, 1.5, 0.65),
    Workload("ring8-32", "ring8, width 32, batch 64, adam", RING.format(32, 64), "adam", 128, 42, 2.5),
    Workload("ring8-256", "ring8, width 256, batch 512, adam", RING.format(256, 512), "adam", 8, 1.8, 1.5, 0.75, 16),
    Workload("alternating", "ring8, width 128, alternating adam", WIDE, IN_TURN, 32, 5, 1.5, 0.6, in_turn=True),
    Workload("extragrad", "ring8, width 128, extragrad", WIDE, "extragrad", 32, 4.5, 1.4, 0.6),
    Workload("extraadam", "ring8, width 128, extraadam", WIDE, "extraadam", 32, 5, 1.4, 0.6),
    Workload("wgan-gp", "wgan-gp ring8, width 128, adam", CRITIC, "adam", 32, 5, 1.5, 0.65, checked="sgd"),
    Workload("consensus", "ring8, width 128, consensus", WIDE, "consensus", 32, 3, 1.4, 0.57, steps=32),
    Workload("mnist", "mnist, 100-128-128-784, conv discriminator, adam", "mnist", "adam", 8, 1.5, 5, steps=1),
    Workload("mnist-small", "mnist, 32-128-784, MLP discriminator, adam", "mnist-small", "adam", 16, 0, 1.3, 0.6, 8),
    Workload("digits", "digits, two MLPs, adam", "digits", "adam", 32, 16, 1.25, 0.33),
    Workload("digits-conv", "digits, small conv discriminator, adam", DIGITS_CONV, "adam", 32, 5, 2.5),
    Workload("bilinear", "bilinear 10 + 10, extragrad, float64", "bilinear", "extragrad", 256, 300, steps=256),
]


def layers_of(network: Network, shape: tuple[int, ...]) -> Iterator[tuple[Layer, tuple[int, ...], tuple[int, ...]]]:
    """Every layer with the shape of what it sees and gives, without R and batch."""
    h = torch.zeros(2, *shape, 1)
    for layer in network.layers:
        before = tuple(h.shape[1:-1])
        h = layer([torch.zeros(2, *own) for own in layer.shapes], h)
        yield layer, before, tuple(h.shape[1:-1])


def products(network: Network, shape: tuple[int, ...]) -> list[int]:
    """Multiply-adds of a sample in each layer that has any."""
    found = []
    for layer, _, out in layers_of(network, shape):
        if isinstance(layer, Linear):
            found.append(layer.fan_in * layer.fan_out)
        if isinstance(layer, Conv2d):
            found.append(prod(out) * layer.fan_in * layer.kernel**2)
    return found


def shapes(game: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What generator and discriminator take, without R and batch."""
    *_, (_, _, made) = layers_of(game.generator, (game.latent,))
    return (game.latent,), made


def gradient(game: Any) -> float:
    """Multiply-adds of both players' gradients for one replica."""
    entry, made = shapes(game)
    g, d = products(game.generator, entry), products(game.discriminator, made)
    generator = 3 * sum(g) - g[0]
    discriminator = 2 * (3 * sum(d) - d[0]) + d[0]
    penalty = 4 * sum(d) - d[-1] if game._regulariser[0] is not None else 0
    return float(game.batch_size * (generator + discriminator + penalty))


def judged_again(game: Any) -> float:
    """Multiply-adds of the fakes' way through a discriminator that has moved, there and back."""
    d = products(game.discriminator, shapes(game)[1])
    return float(game.batch_size * (2 * sum(d) - d[0]))


def minibatches(game: Game, seeds: torch.Tensor, count: int) -> list[dict[str, torch.Tensor]]:
    """The engine's own, for whoever is to train on the same."""
    return [dict(game.batch(seeds, draw) or {}) for draw in range(count)]


def step_size(rule: UpdateRule) -> float:
    return float(getattr(rule, "lr"))  # noqa: B009  (rules of the table have one)
