"""A leaderboard: runs of one protocol, by anybody, on one static page that opens from disk.

What may be ranked together is decided in `bench.analysis.contests`; `bench.report.entries` reads what a run brings.
A stranger's run is data: names are escaped, links lead to files that were made here, reports are made anew from the
records, for a report that came with a run could hold anything, and no plug-in is loaded. The same runs give the same
bytes.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from bench.analysis.contests import Contest, Entry, Ranked, Rule, contests
from bench.errors import UserError
from bench.registry.description import GameDescription
from bench.report.entries import GIVEN, Entered
from bench.report.page import environment, report_of
from bench.report.runs import run_folders
from bench.storage.files import whole_folder
from bench.storage.names import filename
from bench.storage.verified import Verification
from bench.studies.toml import study_file

if TYPE_CHECKING:
    from bench.storage.run_folder import RunFolder

REPORTS, STUDIES = "reports", "studies"
"""Folders of the site."""
CLOSED = "closed form"
KINDS = ("GANs on images", "GANs on clips", "GANs on text", "GANs on points", CLOSED)
"""Kinds of games, in the order of the page."""
WIDE = 20.0  # from this ratio of scores on, bars are on a logarithmic scale


def write_leaderboard(
    folders: Sequence[Path], out: Path, open_run: Callable[[Path], RunFolder], reports: bool = True
) -> Path:
    """Write a leaderboard of the runs in or right below folders; returns the path of its page.

    Args:
        folders: of runs, as ``bench pack`` leaves them; what is not packed is read too.
        out: the folder to write, which replaces an earlier leaderboard.
        open_run: what opens a run's folder; UserError where it is damaged.
        reports: whether each run's report is made; a large study's takes minutes.

    Raises:
        UserError: there is no run, one is damaged, or they are of different protocols; then nothing is written.
    """
    runs = _entered(folders, open_run)
    _check_protocols(runs)
    board = Board(runs)
    if not board.contests:
        raise UserError(f"{_listed(folders)}: no rule is finished on any game; there is nothing to rank")
    page = board.html(reports)
    with whole_folder(out) as site:
        (site / STUDIES).mkdir()
        for run in runs:
            _write(site / STUDIES / f"{filename(run.name)}.toml", study_file(run.run.manifest["study"]))
        if reports:
            (site / REPORTS).mkdir()
            for run in runs:
                _write(site / REPORTS / f"{filename(run.name)}.html", report_of(run.run))
        _write(site / "index.html", page)
    return out / "index.html"


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "replace"))


def _entered(folders: Sequence[Path], open_run: Callable[[Path], RunFolder]) -> list[Entered]:
    """The runs in or right below folders, by name; UserError where there is none or two have the same name."""
    paths: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{str(folder)!r} is no folder; name one that holds packed runs: bench pack RUN")
        own = [folder] if (folder / "study.json").is_file() else []
        paths += [path for path in (*own, *run_folders(folder)) if path.resolve() not in map(Path.resolve, paths)]
    if not paths:
        raise UserError(f"{_listed(folders)}: no run is there; bench run makes one, bench pack RUN packs it")
    names = Counter(path.resolve().name for path in paths)
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"two runs are called {twice[0]!r}; rename the folder of one")
    return sorted((Entered(open_run(path), path.resolve().name) for path in paths), key=lambda run: run.name)


def _check_protocols(runs: Sequence[Entered]) -> None:
    """Refuse runs of more than one protocol: what was trained and judged by other rules is not comparable."""
    of: dict[str, list[str]] = {}
    for run in runs:
        of.setdefault(run.protocol, []).append(run.name)
    if len(of) > 1:
        found = "; ".join(f"{protocol} ({_some(names)})" for protocol, names in sorted(of.items()))
        raise UserError(f"a leaderboard is of one protocol, found {found}: give each its own folder")


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(repr(str(folder)) for folder in folders)


# --- content of the page ---------------------------------------------------------------------------------------------


class Board:
    """What the page shows of runs of one protocol."""

    def __init__(self, runs: Sequence[Entered]) -> None:
        self.runs = {run.name: run for run in runs}
        entries = [entry for run in runs for entry in run.entries]
        self.verified = {run.name: run.verification for run in runs}
        self.contests = [Shown(contest, self._described(contest)) for contest in contests(entries)]
        self.contests.sort(key=lambda one: (KINDS.index(one.kind), one.game, one.contest.terms.budget))

    def html(self, reports: bool) -> str:
        """The page.

        Args:
            reports: whether each run's report is beside it.
        """
        folder = files("bench.report").joinpath("templates")
        styles = [folder.joinpath(name).read_text("utf-8") for name in ("report.css", "leaderboard/board.css")]
        scripts = [folder.joinpath(name).read_text("utf-8") for name in ("leaderboard/board.js", "theme.js")]
        pages = environment()
        pages.filters["file"] = filename
        return pages.get_template("leaderboard/board.html.j2").render(
            board=self,
            style=Markup("\n".join(styles)),
            scripts=[Markup("\n".join(scripts))],
            reports=reports,
            protocol=next(iter(self.runs.values())).protocol,
            command=self.command,
        )

    @property
    def rules(self) -> list[Row]:
        """The rules, those that are level with the first on most games at the top."""
        rows: dict[Rule, Row] = {}
        for index, shown in enumerate(self.contests):
            for line, one in enumerate(shown.contest.entries, start=1):
                if one.place is not None:
                    rows.setdefault(one.entry.rule, Row(one.entry, {})).cells[index] = one, line
        return sorted(rows.values(), key=lambda row: (-row.level, len(row.cells), -row.heat, row.entry.label))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind in KINDS if any(shown.kind == kind for shown in self.contests)]

    @property
    def budgets(self) -> list[float]:
        return sorted({shown.contest.terms.budget for shown in self.contests})

    @property
    def tunings(self) -> list[str]:
        return sorted({shown.tuning for shown in self.contests})

    def holders(self, entry: Entry) -> list[str]:
        """The runs that hold an entry."""
        return [entry.run, *entry.copies]

    def verification(self, entry: Entry) -> Verification | None:
        """Of the runs that hold an entry: the one that says what is known of it."""
        found = [one for name in self.holders(entry) if (one := self.verified[name]) is not None]
        return next((one for one in found if one.verdict is entry.verified), None)

    def command(self, entry: Entry) -> str:
        """What trains an entry again, with the study file of its run; quoted for a shell, whatever it is called."""
        study = f"{STUDIES}/{filename(entry.run)}.toml"
        words = ["bench", "run", study, *_option("--optimizers", entry.name), *_option("--games", entry.game)]
        device = str(self.runs[entry.run].run.manifest["device"])
        return shlex.join([*words, *(_option("--device", device) if device != "cpu" else []), "--out", "results/again"])

    def _described(self, contest: Contest) -> GameDescription:
        entry = contest.entries[0].entry
        return self.runs[entry.run].study.game(entry.game)


def _option(name: str, value: str) -> list[str]:
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


@dataclass(frozen=True)
class Row:
    """A rule in the overview: one of its entries; contest's index -> its place there, and on which line it stands."""

    entry: Entry
    cells: dict[int, tuple[Ranked, int]]

    @property
    def level(self) -> int:
        """In how many contests it is first, or not told apart from the first."""
        return sum(one.level for one, _ in self.cells.values())

    @property
    def heat(self) -> float:
        """How few rules are surely ahead of it, over its contests; see `Place.heat`."""
        return sum(one.place.heat for one, _ in self.cells.values() if one.place is not None)


@dataclass(frozen=True)
class Shown:
    """A contest with what the page says of it."""

    contest: Contest
    described: GameDescription

    @property
    def game(self) -> str:
        return min((one.entry.game for one in self.contest.entries), key=len)

    @property
    def kind(self) -> str:
        """What kind of game it is, in words."""
        if not self.described.minibatches:
            return CLOSED
        if self.described.frames > 1:
            return "GANs on clips"
        if self.described.image:
            return "GANs on images"
        return "GANs on text" if self.described.alphabet else "GANs on points"

    @property
    def tuning(self) -> str:
        """How hyperparameters were found, in words."""
        tuning = self.contest.terms.tuning
        if not tuning:
            return "declared defaults"
        if tuning == GIVEN:
            return "values given"
        track, trials, seeds, sampler, pruner = tuning
        words = f"{trials} trials of {seeds} seed{'s' if seeds != 1 else ''}"
        words += ", every number" if track == "full" else ""
        words += f", {sampler}" if sampler else ""
        return words + (f", pruner {pruner}" if pruner != "paired" else "")

    @property
    def first(self) -> list[Entry]:
        """The best entry, and those with the very same score."""
        ranked = self.contest.ranked
        return [one.entry for one in ranked if one.level and one.entry.row["iqm"] == ranked[0].entry.row["iqm"]]

    @property
    def level(self) -> list[Entry]:
        """The others that are not told apart from the first one, in their order."""
        return [one.entry for one in self.contest.ranked[1:] if one.level]

    @cached_property
    def _scale(self) -> Callable[[float], float]:
        """A score -> its place from 0 to 100 between the best and the worst bound of all intervals."""
        bounds = [float(one.entry.row[end]) for one in self.contest.entries for end in ("low", "high")]
        finite = [bound for bound in bounds if math.isfinite(bound)] or [0.0]
        low, high = min(finite), max(finite)
        if low > 0 and high / low > WIDE:
            return lambda value: 100 * math.log(max(value, low) / low) / math.log(high / low)
        return lambda value: 100 * (value - low) / (high - low) if high > low else 50.0

    def bar(self, entry: Entry) -> tuple[float, float, float] | None:
        """Where its interval begins, its score is and its interval ends, in percent; None for no finite score."""
        low, value, high = (float(entry.row[name]) for name in ("low", "iqm", "high"))
        if not math.isfinite(value):
            return None
        places = (self._scale(part) if math.isfinite(part) else (0.0, 100.0)[part > 0] for part in (low, value, high))
        first, middle, last = (min(max(place, 0.0), 100.0) for place in places)
        return first, middle, last
