"""Many runs of one study in their order, as one for each commit: every rule's score over them, and where it changed.

Each run is compared with the one before it (`bench.analysis.comparison`), the last one also with the first: what is
small at every step can be much over all of them. Runs of another protocol, or of another budget, than the last one
have other scores, and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.comparison import Recorded, check_comparable, compare
from bench.analysis.scores import last_evaluations
from bench.analysis.statistics import bootstrap_rules
from bench.errors import UserError

COLUMNS = ["at", "game", "optimizer", "metric", "better", "seeds", "value", "low", "high", "failed", "verdict"]
COLUMNS += ["since_first", "change"]
CHANGES = ("worse", "changed", "missing", "better")
"""The verdicts that say that something is not as it was."""


def comparable(history: Sequence[Recorded]) -> tuple[list[Recorded], list[str]]:
    """The runs that can be compared with the last one, in their order, and a line for each of the others."""
    last, kept, lines = history[-1], [], []
    for run in history[:-1]:
        try:
            check_comparable(run, last)
        except UserError as error:
            lines.append(f"{run.path.name} is left out: {error}")
        else:
            kept.append(run)
    return [*kept, last], lines


def trend(history: Sequence[Recorded]) -> pd.DataFrame:
    """The scores of every rule in runs of one study, and how each differs from the run before.

    Args:
        history: runs or baselines of one protocol and budget, the oldest first.

    Returns:
        A data frame with one row for each run, game and rule. Columns: at (the name of the run's folder), game,
        optimizer, metric, better; seeds; value, low, high (interquartile mean with its 95 % interval, failures being
        the metric's worst); failed; verdict (of `compare` with the run before; new in the first; missing where the run
        has it no more, with no value); since_first (the verdict of the last run compared with the first; "" elsewhere);
        change (as of `compare`).
    """
    frames = []
    for k, run in enumerate(history):
        values = _values(run).assign(verdict="new", change="")
        if k:
            against = compare(history[k - 1], run)[["game", "optimizer", "verdict", "change"]]
            values = values.drop(columns=["verdict", "change"]).merge(against, "right", on=["game", "optimizer"])
        frames.append(values.assign(at=run.path.name, since_first=""))
    frame = pd.concat(frames, ignore_index=True)
    if len(history) > 1:
        ends = compare(history[0], history[-1]).set_index(["game", "optimizer"])["verdict"]
        last = frame["at"] == history[-1].path.name
        pairs = pd.MultiIndex.from_frame(frame.loc[last, ["game", "optimizer"]])
        frame.loc[last, "since_first"] = ends.reindex(pairs).fillna("missing").to_numpy(object)
    return frame[COLUMNS]


def _values(run: Recorded) -> pd.DataFrame:
    """The scores of every rule on every game of a run."""
    rows = []
    for game in run.study.games:
        metric = run.study.primary(game)
        own = run.records[(run.records["game"] == game) & (run.records["phase"] == "report")]
        ends = last_evaluations(own, metric, ["optimizer", "seed"])
        for rule in ends.index.unique("optimizer"):
            scores = ends["value"].loc[rule].fillna(metric.worst).to_numpy(float)
            band, failed = bootstrap_rules(scores[None]), int((ends.loc[rule]["outcome"] != "ok").sum())
            numbers = (float(band.value[0]), float(band.low[0]), float(band.high[0]))
            rows.append((game, str(rule), metric.name, metric.better, len(scores), *numbers, failed))
    return pd.DataFrame(rows, columns=COLUMNS[1:10])
