"""Packing: the discriminator judges several samples of one class side by side (PacGAN).

Lin, Khetan, Fanti and Oh 2018, arXiv:1712.04086, section 3: a discriminator D(x_1, ..., x_m) of m samples that are all
real or all generated sees a generator that repeats itself. The batch size counts packs, as in the authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor


def side_by_side(samples: Tensor, pac: int) -> Tensor:
    """``pac`` samples as one, with the features of the first first: [R, C, ..., pac n] -> [R, pac C, ..., n]."""
    return samples if pac == 1 else torch.unflatten(samples, -1, (pac, -1)).movedim(-2, 1).flatten(1, 2)


def apart(packs: Tensor, pac: int) -> Tensor:
    """The samples of packs: [R, pac C, ..., n] -> [R, C, ..., pac n]."""
    return packs if pac == 1 else torch.unflatten(packs, 1, (pac, -1)).movedim(1, -2).flatten(-2)
