"""Small languages whose strings and their probabilities are all known: a sequence game is then judged exactly.

``reber``: the regular grammar of Reber 1967 ("Implicit learning of artificial grammars", Journal of Verbal Learning and
Verbal Behavior 6), every branch equally likely, as far as its strings end within the length; a string is filled up with
its last letter. ``dna``: a TATA box in its consensus TATAWAWR (W is A or T, R is A or G: Bucher 1990, Journal of
Molecular Biology 212) at any place of a line of C, all equally likely.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from bench.numerics.randomness import integers, uniform

REBER = "TPSXVE"  # E ends a string, and fills it up
ARCS = {0: "T1 P2", 1: "S1 X3", 2: "T2 V4", 3: "X2 S5", 4: "P3 V5", 5: "E5"}
"""Of every state the letters that may come and the states that they lead to; 5 is the last."""
DNA, MOTIF = "ACGT", "TATAWAWR"
ANY_OF = {"W": "AT", "R": "AG"}
DAMAGED = 0.05
"""Share of the strings in which noise replaces a letter."""


class Language(NamedTuple):
    """All strings of a language: letters int64 [S, length] as places in the alphabet, their probabilities [S]."""

    alphabet: str
    words: Tensor
    shares: Tensor

    def drawn(self, numbers: Tensor, kinds: int | None = None) -> Tensor:
        """Strings [..., length] for numbers uniform in [0, 1): of all, or of the first ``kinds`` alone."""
        shares = self.shares[:kinds]
        at = torch.searchsorted((shares / shares.sum()).cumsum(0), numbers.double())
        return self.words[at.clamp(max=len(shares) - 1)]

    def counted(self, strings: Tensor) -> Tensor:
        """The share of each string among those given, int64 [R, count, length] -> float64 [R, S]."""
        base = len(self.alphabet) ** torch.arange(self.words.shape[1])
        keys, order = (self.words * base).sum(1).sort()
        found = (strings.cpu() * base).sum(2)
        at = torch.searchsorted(keys, found).clamp(max=len(keys) - 1)
        hits = (keys[at] == found).double() / strings.shape[1]
        return torch.zeros(len(strings), len(keys), dtype=torch.float64).scatter_add_(1, order[at], hits)

    def damaged(self, strings: Tensor, seeds: Tensor) -> Tensor:
        """The strings [R, count, length] with a letter of some replaced by another one, decided by the seeds."""
        count, length = strings.shape[1:]
        hit = uniform(seeds, "damaged", 0, (count, 1), block=1) < DAMAGED
        place = integers(seeds, "damaged place", 0, (count, 1), length, 1) == torch.arange(length)
        other = 1 + integers(seeds, "damaged letter", 0, (count, 1), len(self.alphabet) - 1, 1)
        return torch.where(hit & place, (strings + other) % len(self.alphabet), strings)


@cache
def language(name: str, length: int) -> Language:
    """A language by its name, one of LANGUAGES; its strings stand in a fixed shuffled order."""
    made = LANGUAGES[name](length)
    order = torch.randperm(len(made.words), generator=torch.Generator().manual_seed(0))
    return Language(made.alphabet, made.words[order], made.shares[order])


def _reber(length: int) -> Language:
    found: list[tuple[str, int, float]] = [("", 0, 1.0)]
    for _ in range(length):
        found = [
            (word + arc[0], int(arc[1]), share / len(arcs))
            for word, state, share in found
            for arcs in [ARCS[state].split()]
            for arc in arcs
        ]
    kept = [(word, share) for word, state, share in found if state == 5 and word.endswith("E")]
    return _language(REBER, dict(kept))


def _dna(length: int) -> Language:
    motifs = ["".join(letters) for letters in product(*(ANY_OF.get(letter, letter) for letter in MOTIF))]
    places = range(length - len(MOTIF) + 1)
    words = ["C" * place + motif + "C" * (length - place - len(motif)) for motif in motifs for place in places]
    return _language(DNA, dict.fromkeys(words, 1.0))


def _language(alphabet: str, shares: dict[str, float]) -> Language:
    words = torch.tensor([[alphabet.index(letter) for letter in word] for word in shares])
    chances = torch.tensor(list(shares.values()), dtype=torch.float64)
    return Language(alphabet, words, chances / chances.sum())


LANGUAGES: dict[str, Callable[[int], Language]] = {"reber": _reber, "dna": _dna}
SHORTEST = {"reber": 5, "dna": len(MOTIF)}
"""The fewest letters a line that the language has strings for."""
