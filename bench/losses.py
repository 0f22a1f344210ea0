"""Losses of the two players of a GAN, from the discriminator's logits; one name each.

Logits are positive where the discriminator believes the sample real; each function takes ``real`` and ``fake`` logits
[R, batch] and returns (L_G [R], L_D [R]), means over the batch.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import softplus

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def minimax(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The zero-sum game of Goodfellow et al. 2014 (arXiv:1406.2661, eq. 1): L_G = -L_D up to the real term."""
    discriminator = softplus(-real).mean(1) + softplus(fake).mean(1)
    return -softplus(fake).mean(1), discriminator


def non_saturating(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Goodfellow et al. 2014, section 3: the generator maximises log D(G(z)), so its gradient does not vanish."""
    return softplus(-fake).mean(1), softplus(-real).mean(1) + softplus(fake).mean(1)


LOSSES: dict[str, Loss] = {"minimax": minimax, "non-saturating": non_saturating}
