"""A game that is not shipped: scikit-learn's digits against a small convolutional discriminator.

As a user's own: ``bench run --games ./digits_conv.py:DigitsConv``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.games.harness.images import DigitsImages
from bench.games.networks.layers import Activation, Conv2d, Linear, Reshape
from bench.games.networks.networks import MLP, Network
from bench.registry import game


@game("digits-conv")
@dataclass(frozen=True)
class DigitsConv(DigitsImages):
    """Generator 16-64-64-64; discriminator two convolutions of 16 and 32 (3x3, stride 2), then 1."""

    budget = 1500.0
    score = "fd_digits"

    @cached_property
    def generator(self) -> Network:
        return MLP((self.latent, 64, 64, 64), "relu", output="tanh")

    @cached_property
    def discriminator(self) -> Network:
        leaky = Activation("leaky-relu")
        return Network(
            (
                *(Reshape((1, 8, 8)), Conv2d(1, 16, 3, stride=2, padding=1), leaky),
                *(Conv2d(16, 32, 3, stride=2, padding=1), leaky, Reshape((128,)), Linear(128, 1)),
            )
        )
