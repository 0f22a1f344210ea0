"""What games on strings share: a language whose strings are all known, what it shows, and known generators."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from bench.contracts import Game
from bench.contracts.game import MADE
from bench.errors import UserError, nearest
from bench.games.harness.languages import LANGUAGES, SHORTEST, Language, language
from bench.numerics.randomness import BLOCK, uniform

LONGEST = 16


class StringGame(Game):
    """A game whose samples are strings [R, count, length] of a small language: letters as places in its alphabet."""

    language: str
    length: int
    judged = 2048
    """Strings that metrics look at: at so many a perfect generator is 0.05 off."""
    score = "string_tv"
    learned = 0.75  # half of the strings are 0.4 to 0.5 off, one alone is 0.85 or more

    def _check_language(self) -> None:
        """Refuse a language or a length that there is not."""
        if self.language not in LANGUAGES:
            raise UserError(f"{self.name}: language is {self.language!r}; {nearest(self.language, LANGUAGES)}")
        least = SHORTEST[self.language]
        if not least <= self.length <= LONGEST:
            raise UserError(
                f"{self.name}: length is {self.length}; from {least} to {LONGEST} letters are allowed: {self.language}"
            )

    @cached_property
    def known_language(self) -> Language:
        """Its strings and their probabilities."""
        return language(self.language, self.length)

    @property
    def alphabet(self) -> str:
        return self.known_language.alphabet

    def strings(self, seeds: Tensor, stream: str, draw: int, count: int, block: int = BLOCK) -> Tensor:
        """Strings of the language, [R, count, length]."""
        return self.known_language.drawn(uniform(seeds, stream, draw, (count,), block=block))

    def told_apart(self, strings: Tensor) -> Tensor:
        """Strings [R, count, length] as numbers for a network, [R, length * letters, count]."""
        return one_hot(strings, len(self.alphabet)).float().flatten(2).transpose(1, 2).contiguous()

    def sample_shape(self) -> tuple[int, ...]:
        """A letter for each place."""
        return (self.length,)

    def perfect(self, seeds: Tensor, count: int) -> Tensor:
        """Strings of a perfect generator, [R, count, length]."""
        return self.strings(seeds, "perfect", 0, count, 1)

    def known(self, seeds: Tensor, count: int, which: str) -> dict[str, Tensor]:
        """Strings of the language; damaged ones; those of half of its strings, and of one alone."""
        if which in ("perfect", "noisy"):
            strings = self.perfect(seeds, count)
            return {MADE: self.known_language.damaged(strings, seeds) if which == "noisy" else strings}
        kinds = len(self.known_language.words) // 2 if which == "half" else 1
        return {MADE: self.known_language.drawn(uniform(seeds, "perfect", 0, (count,), block=1), kinds)}

    def location(self) -> tuple[Tensor, float]:
        """In the middle of the alphabet: no letter is far from another."""
        middle = (len(self.alphabet) - 1) / 2
        return torch.full((self.length,), middle), middle
