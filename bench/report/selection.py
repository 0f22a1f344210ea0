"""What a table or figure is made of: all of a run, or some of its rules and games, under the names that people read.

A label stands wherever a rule's spelling would: in records, tensors and the study itself. So whatever draws or writes
needs to know nothing of labels, and none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.errors import UserError, nearest
from bench.studies.labels import check_labels
from bench.studies.study import Study

if TYPE_CHECKING:
    from bench.report.figures.panels import Look
    from bench.report.sections.scene import Tensors
    from bench.storage.run_folder import RunFolder


@dataclass(frozen=True)
class Selection:
    """Some rules and games of a run.

    Args:
        run: the run.
        optimizers: the rules, as spelled there.
        games: the games, as spelled there.
        labels: rule -> what it is called.
        highlight: rules that are drawn strongly, the others grey; none: all alike.
    """

    run: RunFolder
    optimizers: tuple[str, ...]
    games: tuple[str, ...]
    labels: dict[str, str]
    highlight: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """rule -> what it is called, of all of the run's."""
        return {rule: self.labels.get(rule, rule) for rule in self.run.study.optimizers}

    @cached_property
    def records(self) -> pd.DataFrame:
        """The long records."""
        records = self.run.records
        if len(self.optimizers) < len(self.run.study.optimizers) or len(self.games) < len(self.run.study.games):
            chosen = records["optimizer"].isin(self.optimizers) & records["game"].isin(self.games)
            records = records[chosen]
        return self.named(records)

    def named(self, records: pd.DataFrame) -> pd.DataFrame:
        """Records with labels in place of spellings."""
        if not self.labels or records.empty:
            return records
        column = records["optimizer"]
        if isinstance(column.dtype, pd.CategoricalDtype):
            return records.assign(optimizer=column.cat.rename_categories(self.labels))
        return records.assign(optimizer=column.replace(self.labels))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The run's manifest, of these rules and games alone."""
        manifest, names = dict(self.run.manifest), self.names
        frozen = manifest["study"].get("hyperparameters") or {}
        manifest["study"] = manifest["study"] | {
            "optimizers": [names[rule] for rule in self.optimizers],
            "games": list(self.games),
            "hyperparameters": {
                game: {names.get(rule, rule): values for rule, values in by_rule.items()}
                for game, by_rule in frozen.items()
            },
        }
        descriptions = dict(manifest.get("descriptions", {}))
        descriptions["rules"] = {names.get(rule, rule): what for rule, what in descriptions.get("rules", {}).items()}
        return manifest | {"descriptions": descriptions}

    @cached_property
    def study(self) -> Study:
        """The study, of these rules and games alone."""
        return Study.recorded(self.manifest["study"], self.manifest["descriptions"])

    def tensors(self) -> Tensors:
        """The tensors for figures."""
        return [
            (chunk | {"optimizer": self.names[chunk["optimizer"]]}, tensors)
            for chunk, tensors in self.run.tensors()
            if chunk["optimizer"] in self.optimizers and chunk["label"] in self.games
        ]

    @property
    def look(self) -> dict[str, Look]:
        """How each rule is drawn: as in all figures of the run, whichever rules are in this one."""
        from bench.report.figures.panels import highlighted, looks  # tables need no matplotlib

        every = looks([self.names[rule] for rule in self.run.study.optimizers])
        return highlighted(every, [self.names[rule] for rule in self.highlight])


def select(
    run: RunFolder,
    optimizers: Sequence[str] = (),
    games: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    highlight: Sequence[str] = (),
) -> Selection:
    """Choose rules and games of a run; a rule may be named by its spelling or its label.

    Args:
        run: the run.
        optimizers: its rules, in this order; none: all.
        games: its games; none: all.
        labels: rule -> what it is called, beside the labels that the run has; these win.
        highlight: rules that are drawn strongly.

    Raises:
        UserError: a name is none of the run's, or two rules would be called the same.
    """
    study = run.study
    all_labels = run.labels | dict(labels or {})
    check_labels(all_labels, study.optimizers)
    chosen = _rules("--optimizers", optimizers, run, all_labels)
    strong = _rules("--highlight", highlight, run, all_labels)
    chosen = chosen or tuple(study.optimizers)
    if missing := [rule for rule in strong if rule not in chosen]:
        raise UserError(f"--highlight has {missing[0]!r}, which --optimizers leaves out")
    return Selection(run, chosen, _named("--game", games, study.games) or tuple(study.games), all_labels, strong)


def _rules(option: str, names: Iterable[str], run: RunFolder, labels: Mapping[str, str]) -> tuple[str, ...]:
    """The rules of these names, each once; UserError for one that is not known."""
    spelled = {label: rule for rule, label in labels.items()}
    return tuple(dict.fromkeys(run.rule(spelled.get(name, name), option) for name in names))


def _named(option: str, names: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """The names, each once; UserError for one that is not known."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if name not in known:
            raise UserError(f"{option} is {name!r}; {nearest(name, known)}")
    return found
