"""What the reference study finds, in tables with intervals.

    python results/reference/findings.py [RUN] > results/reference/findings.md

RUN is the study's folder, ``results/reference`` where none is given; games that are not finished there are left out.
Scores are final values of each game's own metric on the report seeds, turned so that lower is better; a failed replica
is infinitely bad. Shares in percent are probabilities of improvement (Agarwal et al. 2021, arXiv:2108.13264).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations

import carried
import defaults
import numpy as np
import practice
from measured import (
    RESAMPLES,
    Lines,
    Measured,
    correlation,
    grid,
    groups,
    halves,
    measured,
    number,
    percent,
    plain,
    resampled_ranks,
)
from scipy.stats import rankdata

from bench.analysis.statistics import bootstrap_rules, factor_shares, interquartile_mean

SCHEMES = ("sgd", "alternating", "extragrad", "optimistic")
DIRECTIONS = ("plain", "momentum", "rmsprop", "adam")
FAILURES = ("diverged", "collapsed", "not_learned")
"""Columns of the table."""
AGREES = 0.9
"""The correlation of halves of the seeds from which on places are told, below it groups."""


def combined(scheme: str, direction: str) -> str:
    """The spelling of a scheme with a direction."""
    return scheme if direction == "plain" else f"{scheme}[direction={direction}]"


# --- the questions ---------------------------------------------------------------------------------------------------


def recommended(study: Measured) -> Lines:
    """Which rule should train a GAN, and with which step size?"""
    games = study.gans
    if not games:
        yield "No GAN is finished."
        return
    ranks = study.ranks
    trained = len(games) * len(study.run.study.seeds)
    yield f"Rules in the order of their mean rank over {', '.join(map(plain, games))}: 1 is best of"
    yield f"{len(study.rules)}, the interval is over seeds drawn anew. Then how often they end better than simultaneous"
    yield f"Adam, how many of {trained} trainings with tuned step sizes diverged, collapsed and did not learn, and the"
    yield "span of the step sizes that tuning chose on the games (lr_g is the generator's, where it has its own):"
    yield ""
    rows = []
    for i in np.argsort(ranks.value, kind="stable"):
        rule = study.rules[i]
        own = study.table[(study.table["optimizer"] == rule) & study.table["game"].isin(games)]
        rows.append(
            [
                f"`{rule}`",
                f"{ranks.value[i]:.1f} [{ranks.low[i]:.1f}, {ranks.high[i]:.1f}]",
                study.share(rule, "sgd[direction=adam]", games),
                ", ".join(str(int(own[kind].fillna(0).sum())) for kind in FAILURES),
                _spans(own["hyperparameters"]),
            ]
        )
    yield from grid(["rule", "mean rank", "better than Adam", "diverged, collapsed, not learned", "step sizes"], rows)


def _spans(chosen: Sequence[str]) -> str:
    """From values as `lr=0.01` or `lr=0.01, lr_g=0.04`: the least and the greatest of each; as said, where none is."""
    found: dict[str, list[float]] = {}
    for name, _, value in (part.partition("=") for one in chosen for part in one.split(", ")):
        if value:
            found.setdefault(name, []).append(float(value))
    spans = (
        f"{name} {min(values):.2g}" + (f" to {max(values):.2g}" if len(values) > 1 else "")
        for name, values in found.items()
    )
    return "; ".join(spans) or ", ".join(sorted(set(chosen)))


def pays(study: Measured) -> Lines:
    """Does extragradient pay for its second gradient at equal cost?"""
    yield "Extragradient takes half as many steps as its rivals here. How often it ends better than each, with the same"
    yield "direction:"
    yield ""
    rows = []
    for direction in DIRECTIONS:
        own = combined("extragrad", direction)
        for rival in ("sgd", "alternating", "optimistic"):
            other = combined(rival, direction)
            rows.append([direction, rival, *(study.share(own, other, games) for games in study.kinds)])
    yield from grid(["direction", "against", "closed-form games", "GANs"], rows)


def factors(study: Measured) -> Lines:
    """How much of the gain is the scheme and how much the direction?"""
    yield "Share of the variance of ranks of all trainings of the 16 combinations on a game (omega squared); the rest"
    yield "is chance, that is starts and minibatches:"
    yield ""
    rows = []
    parts = [(plain(game), [game], DIRECTIONS) for game in study.scores]
    groups = {"closed-form games": study.kinds[0], "GANs": study.kinds[1], "all": list(study.scores)}
    parts += [(name, games, DIRECTIONS) for name, games in groups.items()]
    parts += [(f"{name}, momentum left out", games, ("plain", "rmsprop", "adam")) for name, games in groups.items()]
    for name, games, directions in parts:
        if not games:
            continue
        x = [[[study.scores[game].loc[combined(s, d)] for d in directions] for s in SCHEMES] for game in games]
        rows.append([name, *map(percent, factor_shares(np.array(x, float), RESAMPLES))])
    yield from grid(["game", "scheme", "direction", "the two together"], rows)


def second_knob(study: Measured) -> Lines:
    """Is TTUR worth its second knob at equal trials?"""
    yield "TTUR tunes two step sizes with as many trials as Adam tunes one. How often it ends better than Adam:"
    yield ""
    rivals = ["sgd[direction=adam]", "alternating[direction=adam]"]
    parts = [*((plain(game), [game]) for game in study.scores), ("mean of the GANs", study.gans)]
    rows = [[name, *(study.share("ttur", rival, games) for rival in rivals)] for name, games in parts]
    yield from grid(["game", "than simultaneous Adam", "than alternating Adam"], rows)


def robust(study: Measured) -> Lines:
    """Which rules are robust to their step size?"""
    yield "Width of the good band in decades: step sizes whose score is near the best of the rule on the game. A rule"
    yield "that is bad at every step size may have a wide one, so those that are best on the GANs come first;"
    yield '"-" where a rule gets nowhere, or has more than one step size:'
    yield ""
    wide = study.tuning.reindex(columns=["optimizer", "game", "good_band"])
    wide = wide.pivot(index="optimizer", columns="game", values="good_band")
    wide = wide.reindex(index=study.rules, columns=list(study.scores))
    for rule, game in study.nowhere:
        wide.loc[rule, game] = np.nan
    order = np.argsort(study.ranks.value, kind="stable") if study.gans else range(len(study.rules))
    rows = [[f"`{study.rules[i]}`", *(_band(value) for value in wide.iloc[i])] for i in order]
    yield from grid(["rule", *map(plain, wide.columns)], rows)


def _band(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def predicts(study: Measured) -> Lines:
    """Do rankings on closed-form games predict rankings on images?"""
    yield "Spearman's correlation of the order of all rules on two games, over seeds drawn anew:"
    yield ""
    games = list(study.scores)
    ranks = {game: resampled_ranks(study.scores[game].to_numpy(float), seed) for seed, game in enumerate(games)}
    rows = []
    for game in games:
        row = [number(correlation(ranks[game], ranks[other])) if other != game else "1" for other in games]
        rows.append([plain(game), *row])
    if closed := study.kinds[0]:
        whole = np.asarray(rankdata(np.mean([ranks[game] for game in closed], axis=0), axis=1))
        own = [number(correlation(whole, ranks[game])) if game not in closed else "" for game in games]
        rows.append(["all closed-form games, by mean rank", *own])
    yield from grid(["", *map(plain, games)], rows)


def fails(study: Measured) -> Lines:
    """What diverges, what collapses, what does not learn?"""
    yield f"Report seeds, of {len(study.run.study.seeds)}, at tuned step sizes: how many diverged; how many collapsed,"
    yield "that is lost what they had learned (c); how many came through and never learned (n):"
    yield ""
    wide = {(row["optimizer"], row["game"]): row for row in study.table.to_dict("records")}
    games = list(study.scores)
    rows = []
    for rule in study.rules:
        cells = [_failed(wide[rule, game]) for game in games]
        if any(cells):
            rows.append([f"`{rule}`", *cells])
    yield from grid(["rule", *map(plain, games)], rows or [["none", *[""] * len(games)]])


def _failed(row: Mapping[Hashable, float | None]) -> str:
    """The counts of a row of the table that are not 0."""
    counts = ((sign, row[kind] or 0) for sign, kind in zip(("", "c ", "n "), FAILURES, strict=True))
    return ", ".join(f"{sign}{int(count)}" for sign, count in counts if count)


def nowhere(study: Measured) -> Lines:
    """Which rules get nowhere?"""
    yield "Rules of which half of the seeds or more came through and ended no better than they began, at the best step"
    yield "size that tuning found, which may then be one at which they stand still:"
    yield ""
    found = [(game, [f"`{rule}`" for rule in study.rules if (rule, game) in study.nowhere]) for game in study.scores]
    yield from grid(["game", "rules"], [[plain(game), ", ".join(rules) or "none"] for game, rules in found])


def averages(study: Measured) -> Lines:
    """What does averaging buy?"""
    yield "How often what is averaged ends better than the same rule's last iterate:"
    yield ""
    pairs = {
        "mean of all iterates, alternating descent": ("average", "alternating"),
        "exponential mean, alternating Adam": ("ema[inner=alternating[direction=adam]]", "alternating[direction=adam]"),
        "Lookahead, alternating Adam": ("la-gan", "alternating[direction=adam]"),
    }
    rows = [[name, *(study.share(*pair, [game]) for game in study.scores)] for name, pair in pairs.items()]
    yield from grid(["", *map(plain, study.scores)], rows)


def stands(study: Measured) -> Lines:
    """Would other seeds have told the same?"""
    yield "The order of all rules by the first half of the report seeds against that by the other half, which no"
    yield "training of the first half met: Spearman's correlation, and the share of pairs of rules whose intervals over"
    yield f"all seeds do not overlap. Below {AGREES} read groups, not places: the rules of a group are not told apart"
    yield "from its first."
    yield ""
    rows, grouped = [], []
    for game, wide in study.scores.items():
        x = wide.to_numpy(float)
        agreement, band = halves(x), bootstrap_rules(x, resamples=RESAMPLES)
        apart = [band.high[i] < band.low[j] or band.high[j] < band.low[i] for i, j in combinations(range(len(x)), 2)]
        read = "places" if agreement >= AGREES else "groups"
        rows.append([plain(game), f"{agreement:.2f}", f"{100 * np.mean(apart):.0f} %", read])
        if agreement < AGREES:
            grouped.append((game, groups(band)))
    yield from grid(["game", "correlation of halves", "pairs told apart", "read"], rows)
    for game, parts in grouped:
        yield ""
        yield f"Groups on {plain(game)}, the best first:"
        yield ""
        for k, part in enumerate(parts, 1):
            yield f"{k}. {', '.join(f'`{study.rules[i]}`' for i in part)}"


def winners(study: Measured) -> Lines:
    """Which rules are best?"""
    yield "The best five rules of each game by the interquartile mean over seeds, with its 95 % interval:"
    yield ""
    rows = []
    for game, wide in study.scores.items():
        metric = study.run.study.primary(game)
        means = interquartile_mean(wide.to_numpy(float))
        first = [wide.index[i] for i in np.argsort(means, kind="stable")[:5]]
        cells = [f"`{rule}` {study.shown(rule, game)}" for rule in first]
        rows.append([f"{plain(game)} ({metric.name})", *cells])
    yield from grid(["game", *"12345"], rows)


QUESTIONS: tuple[Callable[[Measured], Lines], ...] = (
    recommended, winners, stands, pays, factors, second_knob, robust, predicts, fails, nowhere, averages,
    *practice.QUESTIONS, defaults.default, carried.other_games, carried.to_the_end,
)  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    study = measured(arguments)
    environment = study.run.manifest["environment"]
    print("# Findings\n")
    print(f"Made by `findings.py` from the records beside it: {len(study.rules)} rules on {', '.join(study.scores)};")
    print(f"{environment['cores']} cores ({environment['processor']}), torch {environment['torch']}.")
    for question in QUESTIONS:
        print(f"\n## {question.__doc__}\n")
        print("\n".join(question(study)))


if __name__ == "__main__":
    main(sys.argv[1:])
