"""What papers claim of their rules, and what the reference study finds: confirmed, not confirmed, not testable here.

    python results/reference/claims.py [RUN] > results/reference/claims.md

A claim is tested where the study has its rule and a game of its kind, by a criterion that was written down before
results were looked at and is the same for all claims of a kind. Nothing was tuned for any claim.

- *better*: the 95 % interval of the probability of improvement lies above one half, mean over the games named.
- *converges*: no report seed fails, and the interval of the final score lies below a hundredth of that at the start.
- *diverges*: the 95 % interval of the share of report seeds that diverge lies above one half (Wilson 1927).
- *cycles*: no report seed fails, and the interval of the final score lies between a third and three times the start's.
"""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measured import Lines, Measured, grid, measured, percent, plain

from bench.analysis.statistics import Interval, wilson

CONFIRMED, NOT = "confirmed", "not confirmed"
UNTESTED = "not testable here"
EARLIER = Path(__file__).with_name("protocol_1.toml")
"""What the study of protocol 1 said, and why."""

Found = tuple[str, str]
"""Verdict and evidence."""
Test = Callable[[Measured], Found]


@dataclass(frozen=True)
class Claim:
    """What is claimed, by whom, and how it is tested."""

    said: str
    source: str
    test: Test


def better(a: str, b: str, *games: str) -> Test:
    """By rule a than by rule b, on the games named or on all GANs."""

    def test(study: Measured) -> Found:
        found = study.better(a, b, games or study.gans)
        said = f"better than `{b}` on {', '.join(map(plain, games or study.gans))} in {percent(found)} of pairs"
        return CONFIRMED if found.low > 0.5 else f"{NOT}, rather the reverse" if found.high < 0.5 else NOT, said

    return _with(games, (a, b), test)


def converges(rule: str, game: str) -> Test:
    return _course(rule, game, lambda start, mean: mean.high < start / 100)


def cycles(rule: str, game: str) -> Test:
    return _course(rule, game, lambda start, mean: start / 3 < mean.low and mean.high < 3 * start)


def _course(rule: str, game: str, holds: Callable[[float, Interval], bool]) -> Test:
    """From the mean score at the start to the interquartile mean at the end; a failed seed confirms nothing."""

    def test(study: Measured) -> Found:
        mean, start = study.mean(rule, game), study.start(game, rule)
        failed = int(np.isinf(study.scores[game].loc[rule]).sum())
        said = f"from {start:.2g} to {mean.value:.2g} [{mean.low:.2g}, {mean.high:.2g}], {failed} seeds failed"
        return CONFIRMED if not failed and holds(start, mean) else NOT, said

    return _with((game,), (rule,), test)


def diverges(rule: str, game: str) -> Test:
    def test(study: Measured) -> Found:
        row = study.table.set_index(["game", "optimizer"]).loc[(game, rule)]
        share = wilson(int(row["diverged"]), int(row["n"]))
        return CONFIRMED if share.low > 0.5 else NOT, f"{int(row['diverged'])} of {int(row['n'])} diverged"

    return _with((game,), (rule,), test)


def untested(why: str) -> Test:
    return lambda study: (UNTESTED, why)


def _with(games: Sequence[str], rules: Sequence[str], test: Test) -> Test:
    """The test, where the study has its games and rules."""

    def tested(study: Measured) -> Found:
        if absent := [rule for rule in rules if rule not in study.rules]:
            return UNTESTED, f"`{absent[0]}` is not in this study"
        needed = set(games or study.run.study.games)
        return test(study) if needed <= set(study.scores) else (UNTESTED, "not finished")

    return tested


ADAM, ALTERNATING_ADAM = "sgd[direction=adam]", "alternating[direction=adam]"
EMA = "ema[inner=alternating[direction=adam]]"
CLAIMS = (
    Claim(
        "Simultaneous descent diverges on bilinear games at every step size",
        "Daskalakis et al. 2018, arXiv:1711.00141; Gidel et al. 2019, arXiv:1802.10551",
        diverges("sgd", "bilinear"),
    ),
    Claim(
        "Unregularised simultaneous descent does not converge on the Dirac-GAN",
        "Mescheder et al. 2018, arXiv:1801.04406",
        diverges("sgd", "dirac"),
    ),
    Claim(
        "Alternating descent neither converges nor diverges on bilinear games",
        "Gidel et al. 2019, arXiv:1807.04740",
        cycles("alternating", "bilinear"),
    ),
    Claim(
        "The last iterate of extragradient converges on bilinear games",
        "Korpelevich 1976; Gidel et al. 2019, arXiv:1802.10551",
        converges("extragrad", "bilinear"),
    ),
    Claim(
        "The last iterate of optimistic descent converges on bilinear games",
        "Daskalakis et al. 2018, arXiv:1711.00141",
        converges("optimistic", "bilinear"),
    ),
    Claim(
        "Alternating descent with negative momentum converges on bilinear games",
        "Gidel et al. 2019, arXiv:1807.04740",
        converges("negative-momentum", "bilinear"),
    ),
    Claim(
        "Complex momentum converges on bilinear games with simultaneous updates",
        "Lorraine et al. 2022, arXiv:2102.08431",
        converges("complex-momentum", "bilinear"),
    ),
    Claim(
        "On bilinear games averaging makes alternating descent converge",
        "Gidel et al. 2019, arXiv:1802.10551",
        better("average", "alternating", "bilinear"),
    ),
    Claim(
        "At one gradient a step, optimism reaches more than extragradient at two, at equal cost, on bilinear games",
        "Gidel et al. 2019, arXiv:1802.10551",
        better("optimistic", "extragrad", "bilinear"),
    ),
    Claim(
        "Positive momentum hurts alternating descent in games with rotation",
        "Gidel et al. 2019, arXiv:1807.04740",
        better("alternating", "alternating[direction=momentum]", "bilinear", "quadratic"),
    ),
    Claim(
        "Consensus optimisation converges where simultaneous descent does not (with RMSProp, as published)",
        "Mescheder et al. 2017, arXiv:1705.10461",
        better("consensus[direction=rmsprop]", "sgd[direction=rmsprop]"),
    ),
    Claim(
        "Extrapolation improves Adam on GANs (there at equal updates, here at equal gradient evaluations)",
        "Gidel et al. 2019, arXiv:1802.10551",
        better("extragrad[direction=adam]", ADAM),
    ),
    Claim(
        "Optimistic Adam trains GANs better than Adam",
        "Daskalakis et al. 2018, arXiv:1711.00141",
        better("oadam", ADAM),
    ),
    Claim(
        "Two time scales train GANs better than one (here at equal tuning trials)",
        "Heusel et al. 2017, arXiv:1706.08500",
        better("ttur", ALTERNATING_ADAM),
    ),
    Claim(
        "Lookahead improves GAN training with Adam",
        "Chavdarova et al. 2021, arXiv:2006.14567",
        better("la-gan", ALTERNATING_ADAM),
    ),
    Claim(
        "An exponential moving average of the generator improves GANs at no cost",
        "Yazici et al. 2019, arXiv:1806.04498",
        better(EMA, ALTERNATING_ADAM),
    ),
    Claim(
        "Alternating updates do better than simultaneous ones",
        "Zhang et al. 2021, arXiv:2102.09468 (local rates, and GANs); here with Adam on GANs",
        better(ALTERNATING_ADAM, ADAM),
    ),
    Claim(
        "Alternating updates need no optimism: alternating Adam does better than optimistic Adam",
        "Zhang et al. 2021, arXiv:2102.09468",
        better(ALTERNATING_ADAM, "optimistic[direction=adam]"),
    ),
    Claim(
        "Simultaneous descent converges where the game is strongly monotone",
        "Nemirovski and Yudin 1983; Azizian et al. 2020, arXiv:1906.05945",
        converges("sgd", "quadratic"),
    ),
    Claim(
        "Unregularised alternating descent does not converge on the Dirac-GAN, it goes round",
        "Mescheder et al. 2018, arXiv:1801.04406",
        cycles("alternating", "dirac"),
    ),
    Claim(
        "Consensus optimisation converges on the Dirac-GAN (with RMSProp, as published)",
        "Mescheder et al. 2017, arXiv:1705.10461; 2018, arXiv:1801.04406",
        converges("consensus[direction=rmsprop]", "dirac"),
    ),
    Claim(
        "Optimism learns a covariance where simultaneous descent goes round",
        "Daskalakis et al. 2018, arXiv:1711.00141",
        better("optimistic", "sgd", "gaussian-covariance"),
    ),
    Claim(
        "Adaptive step sizes train GANs better than plain descent",
        "Jelassi et al. 2022, arXiv:2210.04319; here with alternating updates",
        better(ALTERNATING_ADAM, "alternating"),
    ),
    Claim(
        "Where momentum hurts, RMSProp is to be preferred to it",
        "Arjovsky et al. 2017, arXiv:1701.07875; here without weight clipping",
        better("alternating[direction=rmsprop]", "alternating[direction=momentum]"),
    ),
    Claim(
        "Negative momentum trains GANs better than positive",
        "Gidel et al. 2019, arXiv:1807.04740",
        better("negative-momentum", "alternating[direction=momentum]"),
    ),
    Claim(
        "Complex momentum trains GANs better than real momentum",
        "Lorraine et al. 2022, arXiv:2102.08431",
        better("complex-momentum", "sgd[direction=momentum]"),
    ),
    Claim(
        "Step sizes that fall to zero over the second half improve GANs",
        "Zhu et al. 2017, arXiv:1703.10593",
        better("schedule[inner=alternating[direction=adam]]", ALTERNATING_ADAM),
    ),
    Claim(
        "An exponential moving average of the generator improves GANs of two time scales, too",
        "Brock et al. 2019, arXiv:1809.11096",
        better("ema[inner=ttur]", "ttur"),
    ),
    Claim(
        "Lookahead improves GANs of two time scales, too",
        "Chavdarova et al. 2021, arXiv:2006.14567",
        better("lookahead[inner=ttur]", "ttur"),
    ),
    Claim(
        "Extrapolation, two time scales and Lookahead improve inception scores and FID on CIFAR-10 and ImageNet",
        "Gidel et al. 2019; Heusel et al. 2017; Chavdarova et al. 2021",
        untested("the study has no colour images, and Inception's features are no part of it"),
    ),
    Claim(
        "Unrolling the discriminator prevents mode collapse",
        "Metz et al. 2017, arXiv:1611.02163",
        untested("an unrolled step costs 8.5 gradient evaluations: the budget leaves too few steps"),
    ),
)


def judged_otherwise(verdicts: Mapping[str, Found]) -> Lines:
    """Of the claims, by what is said, those of which the study of protocol 1 judged otherwise, and why."""
    before = {claim["said"]: claim for claim in tomllib.loads(EARLIER.read_text("utf-8"))["claim"]}
    tested = {said: found for said, found in verdicts.items() if said in before and found[0] != UNTESTED}
    changed = [said for said, (verdict, _) in tested.items() if verdict != before[said]["verdict"]]
    yield f"Of {len(tested)} claims that both tested, {len(changed)} are judged otherwise now:"
    yield ""
    rows = [[said, *(before[said].get(key, "") for key in ("verdict", "found", "why"))] for said in changed]
    yield from grid(["claim", "at protocol 1", "found there", "why"], rows)


def main(arguments: Sequence[str]) -> None:
    study = measured(arguments)
    verdicts = {claim.said: claim.test(study) for claim in CLAIMS}
    rows = [[claim.said, claim.source, *verdicts[claim.said]] for claim in CLAIMS]
    print("# Claims of the literature\n")
    print((__doc__ or "").partition("\n\n    ")[0], "\n")
    print((__doc__ or "").partition("claims.md\n\n")[2])
    counts = Counter(verdict.partition(",")[0] for verdict, _ in verdicts.values())
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in (CONFIRMED, NOT, UNTESTED)) + ".\n")
    print("\n".join(grid(["claim", "source", "here", "found"], rows)))
    print("\n## What an earlier study judged otherwise\n")
    print("\n".join(judged_otherwise(verdicts)))


if __name__ == "__main__":
    main(sys.argv[1:])
