"""Does the best rule on plain GANs stay the best on GANs of other kinds?

    python results/reference/kinds.py > results/reference/kinds.md

Eight rules on two plain GANs, which draw points and digits, and on four of other kinds: translation of images with and
without pairs, learning from few labels, sequences. The records are in ``kinds/``; ``kinds.toml`` says how to make them.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from carried import HEAD, beside, drawn_ranks
from measured import RESAMPLES, Interval, Lines, Measured, correlation, grid, number

from bench.analysis.statistics import interquartile_mean, mean_ranks
from bench.api import Run

FOLDER = Path(__file__).with_suffix("")
PLAIN = ("ring8", "digits")
"""GANs as the first paper has them: noise in, one generator, one discriminator."""


class Kinds(Measured):
    """The study of kinds: its plain games, and the others."""

    @cached_property
    def others(self) -> list[str]:
        return [game for game in self.scores if game not in PLAIN]

    @cached_property
    def order(self) -> list[str]:
        """Rules by their mean rank over the plain games, the best first."""
        return [self.rules[i] for i in np.argsort(self.mean_ranks(PLAIN)[0], kind="stable")]

    def values(self, game: str) -> np.ndarray:
        """Final scores [rules, seeds], lower is better."""
        return self.scores[game].to_numpy(float)

    @cached_property
    def carried(self) -> Interval:
        """The correlation of the order over the plain games with that over the others."""
        return correlation(*(drawn_ranks(self, games, self.rules) for games in (PLAIN, self.others)))

    def mean_ranks(self, games: tuple[str, ...] | list[str]) -> np.ndarray:
        """Mean ranks over games and their intervals, [3, rules]."""
        return np.array(mean_ranks([self.values(game) for game in games], resamples=RESAMPLES))


def scores(study: Kinds, game: str) -> Lines:
    """What each rule reaches on a game."""
    metric = study.run.study.primary(game)
    rows = study.table[study.table["game"] == game].set_index("optimizer")
    yield f"## {game}"
    yield ""
    means = interquartile_mean(study.values(game))
    lines = []
    for place in np.argsort(means, kind="stable"):
        rule = study.rules[place]
        row = rows.loc[rule]
        lines.append(
            [
                f"`{rule}`", study.shown(rule, game),
                f"{int(row['n']) - int(row['not_learned'])} of {int(row['n'])}", str(row["hyperparameters"]),
            ]
        )  # fmt: skip
    yield from grid(["rule", f"{metric.name}, {metric.better} is better", "learned", "tuned"], lines)
    yield ""


def carries_over(study: Kinds) -> Lines:
    """Does the order on plain GANs carry over?"""
    yield f"Spearman's correlation of the order of the rules on a game with that over {' and '.join(PLAIN)} (for these"
    yield "two: with each other), and the probability that the rule that is first over those ends better than another:"
    yield ""
    first, against = study.order[0], drawn_ranks(study, PLAIN, study.rules)
    rows = []
    for game in study.scores:
        before = drawn_ranks(study, [one for one in PLAIN if one != game], study.rules) if game in PLAIN else against
        found = correlation(before, drawn_ranks(study, [game], study.rules))
        rows.append([game, number(found), *beside(study, game, first)])
    head = ["game", "correlation", HEAD[0], f"`{first}` {HEAD[1]}", HEAD[2]]
    yield from grid(head, rows)
    yield ""


def overall(study: Kinds) -> Lines:
    """Which rules are good on every kind?"""
    yield "Mean rank over the plain GANs, and over the other kinds; 1 is the best:"
    yield ""
    plain, other = study.mean_ranks(PLAIN), study.mean_ranks(study.others)
    rows = [
        [f"`{study.rules[i]}`", *(_rank(band, i) for band in (plain, other))]
        for i in np.argsort(other[0], kind="stable")
    ]
    yield from grid(["rule", "plain GANs", "other kinds"], rows)
    whole = study.carried
    yield ""
    yield f"The two orders correlate by {number(whole)}."
    yield ""


def answer(study: Kinds) -> Lines:
    """The answer in words, from the numbers below."""
    whole = study.carried
    first, other = study.order[0], study.mean_ranks(study.others)
    best = study.rules[int(np.argmin(other[0]))]
    said = (
        "carries over" if whole.low > 0.5 else "carries over in part" if whole.low > 0 else "is not shown to carry over"
    )
    yield f"The order of the rules {said}: it correlates by {number(whole)} between plain GANs and the other kinds."
    place = study.rules.index(first)
    yield f"`{first}`, first on plain GANs, has a mean rank of {_rank(other, place)} of {len(study.rules)} there;"
    if best == first:
        yield "it is first, too."
    else:
        yield f"`{best}` is first with {_rank(other, study.rules.index(best))}."
    yield ""


def _rank(band: np.ndarray, place: int) -> str:
    return f"{band[0][place]:.1f} [{band[1][place]:.1f}, {band[2][place]:.1f}]"


def main() -> None:
    study = Kinds(Run(FOLDER))
    environment = study.run.manifest["environment"]
    print("# Does the best rule on plain GANs stay the best on other kinds?\n")
    asked = study.run.study
    print(f"Made by `kinds.py` from the records in `kinds/`: {len(study.rules)} rules on {len(study.scores)} games,")
    print(f"{asked.trials} trials each, {len(asked.seeds)} seeds; {environment['cores']} cores, torch")
    print(f"{environment['torch']} ({environment['processor']}). Brackets are 95 % intervals over seeds drawn anew.\n")
    print("\n".join(answer(study)))
    for question in (carries_over, overall):
        print(f"## {question.__doc__}\n")
        print("\n".join(question(study)))
    print("\n".join(line for game in study.scores for line in scores(study, game)).rstrip())


if __name__ == "__main__":
    main()
