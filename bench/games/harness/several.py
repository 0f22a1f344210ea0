"""Games whose players are several networks each, and games of that kind on pictures with classes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from bench.contracts import Game
from bench.contracts.game import Parameter
from bench.games.harness.picture_sets import SETS, OnPictures
from bench.games.harness.settings import check_counts, check_names
from bench.games.networks.networks import Network
from bench.numerics.randomness import integers


class SeveralNetworks(Game):
    """A game between players each of which is one network or several."""

    @property
    @abstractmethod
    def networks(self) -> tuple[tuple[Network, ...], ...]:
        """Of each player, in their order in w."""

    @cached_property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(sum(network.size for network in player) for player in self.networks)

    @cached_property
    def tensors(self) -> tuple[tuple[Parameter, ...], ...]:
        start, found = 0, []
        for player in self.networks:
            starts = accumulate((network.size for network in player), initial=start)
            pairs = zip(player, starts, strict=False)
            found.append(tuple(parameter for network, first in pairs for parameter in network.parameters(first)))
            start += sum(network.size for network in player)
        return tuple(found)

    def init(self, seeds: Tensor) -> Tensor:
        streams = [(f"{i} {k}", one) for i, player in enumerate(self.networks) for k, one in enumerate(player)]
        return torch.cat([network.init(seeds, stream) for stream, network in streams], 1)

    def split(self, player: int, w: Tensor) -> tuple[Tensor, ...]:
        """A player's parameters [R, sizes[player]] as those of its networks."""
        return torch.split(w, [network.size for network in self.networks[player]], 1)


@dataclass(frozen=True)
class PictureGame(OnPictures, SeveralNetworks):
    """A game on pictures with classes: ``size`` small is 8x8 without a file, mnist 28x28 with a folder of data."""

    size: str = "small"
    batch_size: int = 16

    blur = 0.3
    """Deviation of noise that damages pictures a little."""

    def __post_init__(self) -> None:
        check_names(self, size=SETS)
        check_counts(self)

    @property
    def planes(self) -> int:
        """Grey."""
        return 1

    @property
    def judged(self) -> int:
        """Pictures that metrics look at: all that are held out."""
        return 450 if self.size == "small" else 1000

    def held_out_pictures(self, count: int) -> tuple[Tensor, Tensor]:
        """Pictures that training does not see, [count, pixels], and their classes; anew from the first at the end."""
        images, labels = self.pictures.held_out()
        which = torch.arange(count) % len(images)
        return images[which], labels[which]

    def drawn(self, seeds: Tensor, stream: str, draw: int, images: Tensor) -> Tensor:
        """A minibatch of stored pictures [N, pixels], as activations [R, 1, side, side, batch]."""
        which = integers(seeds, stream, draw, (self.batch_size,), len(images))
        side = self.pictures.side
        pixels = self.pictures.pixels(images[which].transpose(1, 2).contiguous())
        return pixels.view(len(seeds), 1, side, side, self.batch_size)


def confined(labels: Tensor, kinds: int) -> Tensor:
    """For each picture one to take its place: itself, or if its class is not among the first ``kinds`` one that is."""
    allowed = (labels < kinds).nonzero()[:, 0]
    own = torch.arange(len(labels))
    return torch.where(labels < kinds, own, allowed[own % len(allowed)])
