"""A game of one player: the likelihood of the next letter, a control for GANs on the same strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from bench.contracts import Batch
from bench.contracts.game import Parameter
from bench.errors import UserError
from bench.games.harness.strings import StringGame
from bench.games.networks.modules import OneReplica
from bench.games.networks.networks import MLP
from bench.numerics.randomness import GRAIN, uniform
from bench.registry import game


@game("autoregressive")
@dataclass(frozen=True)
class Autoregressive(StringGame):
    """One player that tells the next letter of a string by those before it: minus the mean log-likelihood.

    The language and the score are those of ``strings``. Nobody plays against anybody here: does a rule's direction
    alone explain what it does on the GAN? Rules that need two players are not applicable. A network sees the letters
    so far and the place; letters are drawn one after another.

    Source: Bengio, Ducharme, Vincent and Jauvin 2003, "A neural probabilistic language model", JMLR 3.
    """

    language: str = "reber"
    length: int = 10
    width: int = 64
    batch_size: int = 64

    budget = 1000.0
    tried = "width=16,batch_size=16,length=8"

    def __post_init__(self) -> None:
        self._check_language()
        if self.width < 1 or self.batch_size < 1 or self.batch_size % GRAIN:
            raise UserError(f"{self.name}: batch_size is {self.batch_size}; a multiple of {GRAIN} is allowed")

    @cached_property
    def network(self) -> MLP:
        """Letters so far and the place -> logits of the next letter."""
        letters = len(self.alphabet)
        return MLP((self.length * letters + self.length, self.width, self.width, letters), "relu")

    @cached_property
    def sizes(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.network.size,)

    @property
    def tensors(self) -> tuple[tuple[Parameter, ...], ...]:
        return (self.network.parameters(),)

    def init(self, seeds: Tensor) -> Tensor:
        return self.network.init(seeds, "network")

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        """Every string cut before every letter, and the letter: [R, seen, length * batch] and [R, letters, .]."""
        whole = self.told_apart(self.strings(seeds, "real", draw, self.batch_size))
        seen, told = [], torch.split(whole, len(self.alphabet), 1)
        for place in range(self.length):
            seen.append(self._seen(torch.cat([*told[:place], *map(torch.zeros_like, told[place:])], 1), place))
        return {"seen": torch.cat(seen, 2), "next": torch.cat(told, 2)}

    def _seen(self, letters: Tensor, place: int) -> Tensor:
        """What the network sees before the letter of a place is known."""
        here = torch.zeros_like(letters[:, : self.length])
        here[:, place].fill_(1)
        return torch.cat([letters, here], 1)

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        assert batch is not None
        logits = self.network(players[0], batch["seen"])
        return (-(logits.log_softmax(1) * batch["next"]).sum(1).mean(1),)

    def judged_latents(self, seeds: Tensor, count: int) -> Tensor:
        """What judged strings are drawn from: a number in [0, 1) for each letter, [R, length, count]."""
        return uniform(seeds, "samples", 0, (self.length, count), block=1)

    def _spoken(self, tells: Callable[[Tensor], Tensor], numbers: Tensor) -> Tensor:
        """Strings, letter by letter: [R, length, count]."""
        letters = len(self.alphabet)
        line = numbers.new_zeros(len(numbers), self.length * letters, numbers.shape[-1])
        chosen = []
        for place in range(self.length):
            chances = tells(self._seen(line, place)).softmax(1).cumsum(1)
            letter = (chances < numbers[:, place].unsqueeze(1)).sum(1).clamp(max=letters - 1)
            line = line.scatter(1, (place * letters + letter).unsqueeze(1), 1.0)
            chosen.append(letter)
        return torch.stack(chosen, 1)

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Strings, [R, count, length]."""
        numbers = self.judged_latents(seeds, count).to(w)
        return self._spoken(partial(self.network, w), numbers).transpose(1, 2)

    def torch_modules(self, w: Tensor) -> tuple[nn.Module, ...]:
        """The one player, which writes letters [N, length] from numbers in [0, 1) of the same shape."""

        def spoken(parts: Sequence[Tensor], numbers: Tensor) -> Tensor:
            return self._spoken(partial(self.network.applied, parts), numbers)

        return (OneReplica(spoken, self.network.of_one(w), (self.length,)),)
