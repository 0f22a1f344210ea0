"""Stacked MNIST: three digits as the planes of an image, and so 1,000 modes that may be lost (arXiv:1611.02163)."""

from __future__ import annotations

from dataclasses import dataclass

from bench.games.dcgan import DCGAN
from bench.games.harness.images import StackedMnistImages
from bench.registry import game


@game("stacked-mnist")
@dataclass(frozen=True)
class StackedMnist(DCGAN, StackedMnistImages):
    """A DCGAN on three digits of MNIST, one a colour plane: how many of 1,000 modes does it capture?

    Source: Metz et al. 2017, arXiv:1611.02163; judged by 26,000 samples as in VEEGAN (arXiv:1705.07761) and PacGAN
    (arXiv:1712.04086). Each publication has networks of its own: compare update rules here, not with their numbers.
    """

    channels: int = 32
    judged: int = 26000

    stack = 4
    tried = "channels=4,batch_size=16,latent=16,judged=2000"
