"""Losses of the two players of a GAN, from the discriminator's logits; one name each, for every GAN game.

Logits are positive where the discriminator believes the sample real. Functions take ``real`` and ``fake`` logits
[R, batch] and return one loss [R], a mean over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

Function = Callable[[Tensor, Tensor], Tensor]
Slopes = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Loss:
    """A pair of losses.

    Args:
        generator: of the generator; it gets no real logits unless ``relative``.
        discriminator: of the discriminator.
        relative: whether the generator's loss sees real logits.
        clip: bound on the discriminator's parameters after every step; 0 for none.
        regulariser: what the loss is published with.
        gamma: the regulariser's weight there.
        slopes: derivatives by the logits, (discriminator's by real, by fake, generator's by fake), each [R, batch] and
            for a batch of 1; None where the generator's loss is relative.
        source: authors, year, arXiv id.
        equation: what the two players minimise, of the logits D(x) of real and D(G(z)) of generated samples.
    """

    generator: Function
    discriminator: Function
    source: str
    slopes: Slopes | None = None
    relative: bool = False
    clip: float = 0.0
    regulariser: str = "none"
    gamma: float = 0.0
    equation: str = ""


def _relativistic(real: Tensor, fake: Tensor) -> Tensor:
    """Softplus of how much less real the real are than the fake on average, and of the reverse."""
    behind = (fake.mean(1, keepdim=True) - real, fake - real.mean(1, keepdim=True))
    return softplus(behind[0]).mean(1) + softplus(behind[1]).mean(1)


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean(1) + softplus(fake).mean(1)


def _critic(real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean(1) - real.mean(1)


def _critic_slopes(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    one = torch.ones_like(fake)
    return -one, one, -one


def _minimax_slopes(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    believed = fake.sigmoid()
    return real.sigmoid() - 1, believed, -believed


def _non_saturating_slopes(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    believed = fake.sigmoid()
    return real.sigmoid() - 1, believed, believed - 1


def _hinge_slopes(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return -(real < 1).to(real), (fake > -1).to(fake), -torch.ones_like(fake)


LOSSES: dict[str, Loss] = {
    "minimax": Loss(
        lambda real, fake: -softplus(fake).mean(1), _cross_entropy, "Goodfellow et al. 2014, arXiv:1406.2661, eq. 1",
        _minimax_slopes, equation="D: softplus(-D(x)) + softplus(D(G(z)));   G: -softplus(D(G(z)))",
    ),
    "non-saturating": Loss(
        lambda real, fake: softplus(-fake).mean(1), _cross_entropy,
        "Goodfellow et al. 2014, arXiv:1406.2661, section 3",
        _non_saturating_slopes, equation="D: softplus(-D(x)) + softplus(D(G(z)));   G: softplus(-D(G(z)))",
    ),
    "wgan": Loss(
        lambda real, fake: -fake.mean(1), _critic, "Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875",
        _critic_slopes, clip=0.01, equation="D: D(G(z)) - D(x), |D's parameters| <= 0.01;   G: -D(G(z))",
    ),
    "wgan-gp": Loss(
        lambda real, fake: -fake.mean(1), _critic, "Gulrajani et al. 2017, arXiv:1704.00028",
        _critic_slopes, regulariser="gradient-penalty", gamma=10.0,
        equation="D: D(G(z)) - D(x) + 10 (||grad D|| - 1)^2;   G: -D(G(z))",
    ),
    "hinge": Loss(
        lambda real, fake: -fake.mean(1), lambda real, fake: relu(1 - real).mean(1) + relu(1 + fake).mean(1),
        "Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957",
        _hinge_slopes, equation="D: max(0, 1 - D(x)) + max(0, 1 + D(G(z)));   G: -D(G(z))",
    ),
    "lsgan": Loss(
        lambda real, fake: (fake - 1).square().mean(1) / 2,
        lambda real, fake: ((real - 1).square().mean(1) + fake.square().mean(1)) / 2,
        "Mao et al. 2017, arXiv:1611.04076",
        lambda real, fake: (real - 1, fake, fake - 1),
        equation="D: ((D(x) - 1)^2 + D(G(z))^2) / 2;   G: (D(G(z)) - 1)^2 / 2",
    ),
    "relativistic": Loss(
        lambda real, fake: _relativistic(fake, real), _relativistic, "Jolicoeur-Martineau 2018, arXiv:1807.00734",
        relative=True,
        equation="D: softplus(mean D(G(z)) - D(x)) + softplus(D(G(z)) - mean D(x));   G: x and G(z) swapped",
    ),
}  # fmt: skip
"""Losses by name."""

PLAIN = tuple(name for name, loss in LOSSES.items() if not loss.clip and loss.regulariser == "none")
"""Those that need neither clipped weights nor a regulariser."""
