"""What a verification found: a table of the replicas that were trained again, and what is wrong, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd

COLUMNS = ["game", "optimizer", "phase", "trial", "seed", "hyperparameters", "verdict", "metric", "cost", "recorded"]
COLUMNS += ["replayed", "allowed", "others"]
VERDICTS = ("differs", "undecided", "agrees")


@dataclass(frozen=True)
class Verification:
    """The result of verifying a run.

    Args:
        table: a row for each replica that was trained again: game, optimizer, phase, trial, seed, hyperparameters;
            verdict (agrees, differs, or undecided where rounding alone may move a score by all of its size); of one
            that differs the first metric and cost at which it does, what is recorded and what was trained now, and how
            many other records differ; allowed, how far a score may be off, as a share of the largest on its curve.
        found: what is wrong with the records without any training, a line each.
        exact: whether bits must agree: device, processor, vector width, core, torch and numba are those recorded.
        machine: what trained again.
        protocol: of the run.
        seed: of the sample.
        replicas: how many the sample was drawn from.
        digest: of the run's records.
    """

    table: pd.DataFrame
    found: list[str]
    exact: bool
    machine: str
    protocol: str
    seed: int
    replicas: int
    digest: str = ""
    names: list[str] = field(default_factory=list)
    """The replicas of the table in words."""

    def _count(self, verdict: str) -> int:
        return int((self.table["verdict"] == verdict).sum())

    @property
    def cells(self) -> int:
        """How many replicas were trained again."""
        return len(self.table)

    @property
    def agreed(self) -> int:
        """How many of them agree with their records."""
        return self._count("agrees")

    @property
    def undecided(self) -> int:
        """How many of them say nothing, because rounding alone moves them as far as their scores are large."""
        return self._count("undecided")

    @property
    def differ(self) -> list[str]:
        """All that is wrong, a line each: what was found without training, then every replica that differs."""
        rows = zip(self.names, self.table.to_dict("records"), strict=True)
        return [*self.found, *(f"{name}: {_difference(row)}" for name, row in rows if row["verdict"] == "differs")]

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return not self.differ

    @property
    def summary(self) -> str:
        """The counts in a line."""
        how = (
            "bit for bit" if self.exact else "within the bounds of rounding, for they were trained on another platform"
        )
        open_ones = f", {self.undecided} are undecided" if self.undecided else ""
        drawn = f"drawn from {self.replicas:,} by seed {self.seed}"
        return f"{self.agreed} of {self.cells} replicas agree {how}{open_ones} ({drawn}; {self.machine})"

    def to_json(self) -> str:
        """It as JSON, for ``verification.json`` beside a packed run."""
        content = {
            "cells": self.cells,
            "agreed": self.agreed,
            "undecided": self.undecided,
            "differ": self.differ,
            "exact": self.exact,
            "machine": self.machine,
            "protocol": self.protocol,
            "seed": self.seed,
            "replicas": self.replicas,
            "records": self.digest,
        }
        return json.dumps(content, indent=2) + "\n"

    def __str__(self) -> str:
        return "\n".join([self.summary, *self.differ])

    def _repr_html_(self) -> str:
        listed = "".join(f"<li>{escape(line)}</li>" for line in self.differ)
        return f"<p>{escape(self.summary)}</p>" + (f"\n<ul>{listed}</ul>" if listed else "")


def _difference(row: Mapping[str, Any]) -> str:
    """The first difference of a replica in words."""
    where = f"{row['metric']} at cost {row['cost']:g}" if row["cost"] == row["cost"] else str(row["metric"])
    bound = f", off by more than {row['allowed']:.1g} of the largest on its curve" if row["allowed"] > 0 else ""
    others = f"; {row['others']} other records differ too" if row["others"] > 1 else ""
    others = "; another record differs too" if row["others"] == 1 else others
    return f"{where} is recorded as {_value(row['recorded'])}, trained again {_value(row['replayed'])}{bound}{others}"


def _value(value: Any) -> str:
    return f"{value!r}" if isinstance(value, float) else str(value)
