"""A study run from start to end, and a run to look at: what `bench.run` and `bench.Run` are."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import Tensor, nn

from bench.contracts import Game
from bench.errors import UserError, nearest
from bench.execution.checkpoints import FOLDER
from bench.execution.coordinator import Coordinator, Watch, study_rounds
from bench.execution.derivatives import check_products
from bench.execution.engine import RunOptions
from bench.execution.engines import begin, check
from bench.execution.process_pool import origins
from bench.execution.progress import watching
from bench.execution.references import references
from bench.registry.description import shipped_game
from bench.storage import continuation, weights
from bench.storage.files import read_regular, write_file
from bench.storage.growth import commands, folder_of, grown, with_added
from bench.storage.manifest import CONTINUED, LABELS, manifest
from bench.storage.optuna_storage import optuna_storage
from bench.storage.run_folder import RunFolder
from bench.storage.writer import RunWriter
from bench.studies.cost import planned_cost
from bench.studies.labels import check_labels
from bench.studies.request import PATIENCE, check_device
from bench.studies.study import Study
from bench.studies.toml import to_toml

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.execution.verification import Verification
    from bench.report.notebook import Animation
    from bench.report.trained import Trained


class Run(RunFolder):
    """A finished or unfinished run: its records, its table, its report.

    ``bench.run`` returns one; ``Run("results/NAME")`` opens one that a command wrote.

    Args:
        path: the folder that ``bench run`` wrote.

    Raises:
        UserError: the folder holds no run.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        _ = self.manifest  # raises at once for a folder without a run

    def table(self, full: bool = False) -> pd.DataFrame:
        """Return a data frame with one row for each rule and game.

        Args:
            full: all columns, those of ``table.csv`` and the seconds of training, with rules as they are spelled.

        Returns:
            game, optimizer (its label where it has one), metric; iqm, low, high: the interquartile mean of the final
            score with its 95 % interval; failed, not_learned: how many of the n replicas did not come through, or
            learned nothing; cost, in gradient evaluations; hyperparameters, as they were tuned.
        """
        from bench.analysis.table import table
        from bench.report.notebook import short_table

        return table(self.records, self.study) if full else short_table(self)

    def figure(
        self,
        game: str,
        kind: str = "scores",
        optimizers: Sequence[str] = (),
        highlight: Sequence[str] = (),
        width: str = "",
        font: str = "",
    ) -> Figure:
        """Return one of the report's figures, as matplotlib draws it.

        Args:
            game: one of the run's games, as spelled there; ``all`` for the figures over all games.
            kind: ``scores``, ``curves``, ``outcomes``, ...: what its file is called after the game.
            optimizers: some of the rules, in this order, by spelling or label; none: all.
            highlight: rules that are drawn strongly, the others grey.
            width: of a column, e.g. ``3.25in``; "" is the report's.
            font: ``serif``, ``sans-serif``, ``monospace`` or an installed family.

        Raises:
            UserError: there is no such game, rule or figure.
        """
        from bench.report.figures.formats import format_of, formatted
        from bench.report.gallery import ALL, check
        from bench.report.paper import figures_of, shown
        from bench.report.selection import select

        check(["png"], [kind])
        with formatted(format_of(width, font)):
            view = select(self, optimizers, [] if game == ALL else [game], highlight=highlight)
            gallery = figures_of(view, [kind], overall=game == ALL)
            return shown(next(iter(gallery.values())))

    def animate(self, game: str, optimizers: Sequence[str] = (), to: str | Path | None = None) -> Animation:
        """Write an animation of a game's trainings, rule beside rule; a notebook plays what is returned.

        Args:
            game: one of the run's games, as spelled there.
            optimizers: some of the rules, in this order, by spelling or label; none: all.
            to: the file, .gif, .png or .mp4; by default ``<game>.gif`` in the run's folder.

        Returns:
            The animation; its ``path`` is the file.

        Raises:
            UserError: there is no such game or rule, nothing to animate, or the file cannot be written.
        """
        from bench.report.animation import animate
        from bench.report.notebook import Animation

        return Animation(animate(self, game, list(optimizers) or None, None if to is None else Path(to)))

    def _repr_html_(self) -> str:
        from bench.report.notebook import html_of

        report = self.path / "report.html"
        return html_of(self, report if report.is_file() else None)

    def scores(self) -> pd.DataFrame:
        """Return a data frame with one row for each replica of the comparison: what tables and intervals are made of.

        Returns:
            game, optimizer, seed; metric, the game's score; score, its last value, or the metric's worst where the
            replica did not end ``ok``; outcome (``ok``, ``diverged``, ``error``); cost, in gradient evaluations, at
            which it ended.

        Example:
            >>> import bench
            >>> study = bench.Study(optimizers=["sgd[lr=50]", "adam"], games=["dirac"], trials=0, seeds="2", budget=40)
            >>> run = bench.run(study, out="results/scores")
            >>> run.scores().round(2)[["optimizer", "seed", "score", "outcome", "cost"]].values.tolist()
            [['sgd[lr=50]', 2, inf, 'diverged', 1.0], ['adam', 2, 2.33, 'ok', 40.0]]
        """
        from bench.analysis.scores import by_replica

        return by_replica(self.records, self.study)

    def report(self) -> Path:
        """Write ``table.csv``, ``tuning.csv`` and ``report.html`` into the folder.

        Returns:
            The path of the report.
        """
        from bench.analysis.table import to_csv
        from bench.report.page import write_report

        table = self.table(full=True)
        write_file(self.path / "table.csv", to_csv(table).encode())
        path = write_report(self, table)
        write_file(self.path / ".reported", self._mark())
        return path

    @property
    def reported(self) -> bool:
        """Whether everything that `report` writes is there and was made from the present records."""
        try:
            return read_regular(self.path / ".reported") == self._mark()
        except OSError:
            return False

    def _mark(self) -> bytes:
        """Hashes of the records and of what was made of them."""
        files = [self.path / name for name in ("table.csv", "tuning.csv", "report.html")]
        files += sorted((self.path / "figures").glob("*.svg"))
        hashes = (f"{path.name} {hashlib.sha256(read_regular(path)).hexdigest()}" for path in files)
        return "\n".join([self.digest(), *hashes]).encode()

    def generator(self, optimizer: str, game: str | Game, seed: int | None = None, best: bool = False) -> nn.Module:
        """Return a trained generator as a torch module in training mode, on the CPU.

        It takes latents [N, latent], standard normal, with the class one-hot beside them in a conditional game, and
        gives samples [N, ...], images as [N, planes, height, width]. Batch normalisation is by the batch at hand, in
        ``eval()`` too. Of a game of ``gan_game`` it is the user's own module with the trained parameters. A game given
        by path is imported, so its code runs; one that is known to this program alone may be given itself.

        Args:
            optimizer: one of the run's rules, by its spelling or its label.
            game: one of its games, as spelled there, or the game itself.
            seed: of the replica; by default that of the median score, failures being worst.
            best: the replica of the best score.

        Raises:
            UserError: a name or the seed is none of the run's, that replica failed, or its weights were not kept.
        """
        return self._trained(optimizer, game, seed, best).modules[0]

    def discriminator(self, optimizer: str, game: str | Game, seed: int | None = None, best: bool = False) -> nn.Module:
        """Return a trained discriminator as a torch module; as `generator`.

        It takes what the game's discriminator takes, samples [N, ...], and gives one logit for each.
        """
        modules = self._trained(optimizer, game, seed, best).modules
        if len(modules) < 2:
            raise UserError(f"{game} has one player and no discriminator")
        return modules[1]

    def state_dict(
        self, optimizer: str, game: str | Game, seed: int | None = None, best: bool = False, player: int = 0
    ) -> dict[str, Tensor]:
        """Return the parameters of a trained player, 0 the generator and 1 the discriminator; as `generator`."""
        modules = self._trained(optimizer, game, seed, best).modules
        if player not in range(len(modules)):
            raise UserError(f"player is {player}; {', '.join(map(str, range(len(modules))))} are allowed")
        return modules[player].state_dict()

    def _trained(self, optimizer: str, game: str | Game, seed: int | None, best: bool) -> Trained:
        from bench.report.trained import trained

        return trained(self, optimizer, game, seed, best)

    def further(
        self,
        budget: float | str | None = None,
        optimizers: str | Sequence[Any] | None = None,
        games: str | Sequence[Any] | None = None,
    ) -> Study:
        """Return the study that trains the report's replicas further, to a larger budget, for `bench.run`.

        Nothing is tuned again. The trainings are those of an uninterrupted run of the larger budget, bit for bit; they
        are evaluated where this run evaluated, and from its end on where the larger budget does. Replicas whose state
        was kept (``keep_weights="all"``) go on from where they ended, others are trained again from the start.

        Args:
            budget: of a replica, as a study's; by default that of this run, where ``games`` have larger ones.
            optimizers: some of this run's rules, by spelling or label; all by default. They keep their labels.
            games: some of its games; all by default. They may have another budget, ``ring8[budget=20000]``.

        Raises:
            UserError: this run is not finished, a name is none of its, the budget is no larger, a rule or game has
                changed since, or a rule's steps depend on the budget, as a schedule's.

        Example:
            >>> import bench
            >>> study = bench.Study(optimizers=["sgd", "extragrad"], games=["dirac"], trials=0, seeds="0-1", budget=20)
            >>> run = bench.run(study, out="results/first", keep_weights="all")
            >>> longer = bench.run(run.further(budget=40), out="results/longer")
            >>> longer.table()[["optimizer", "game", "cost"]].values.tolist()
            [['sgd', 'dirac', 40.0], ['extragrad', 'dirac', 40.0]]
        """
        return continuation.further(self, budget, optimizers, games)

    def verify(
        self, cells: int | None = None, sample: str | None = None, seed: int = 0, jobs: int = 1, progress: bool = True
    ) -> Verification:
        """Check the records, train a random sample of the recorded replicas again, and compare.

        Found are damaged and edited records, plug-ins whose code has changed, trials that are missing or that the
        search would not have made, a tuned value that tuning would not have chosen from them, and replicas of the
        report at another value. The folder is not changed.

        Args:
            cells: how many replicas are trained again; 20 where neither this nor ``sample`` is given.
            sample: which share of all replicas, for example ``5%``.
            seed: of the sample; every rule on every game is drawn once before any is drawn twice.
            jobs: how many chunks train at the same time.
            progress: whether a terminal or a notebook shows a bar.

        Returns:
            The result: ``verified``, ``differ`` (what is wrong, a line each), ``table`` (a row for each replica that
            was trained again), ``to_json()``.

        Raises:
            UserError: the run has no records, is of another protocol, or needs what is not here.

        Example:
            >>> import bench
            >>> study = bench.Study(optimizers=["sgd", "adam"], games=["dirac"], trials=4, seeds="0-1", budget=40)
            >>> result = bench.run(study, out="results/verified").verify(cells=4)
            >>> result.verified, result.agreed, result.exact
            (True, 4, True)
        """
        from bench.execution.verification import verify

        with watching(None, progress) as watch:
            return verify(self, cells, sample, seed, jobs, watch)

    def freeze(self) -> Path:
        """Write the frozen values to ``hyperparameters.toml``, which ``--hyperparameters`` reads.

        Returns:
            The path of the file.
        """
        path = self.path / "hyperparameters.toml"
        write_file(path, to_toml(self.hyperparameters()).encode())
        return path


def run(
    study: Study,
    out: str | Path | None = None,
    jobs: int = 1,
    device: str = "cpu",
    watch: Watch | None = None,
    patience: float = PATIENCE,
    only_tune: bool = False,
    engine: str = "local",
    scheduler: str = "",
    timeout: float = math.inf,
    storage: str = "",
    add_seeds: int = 0,
    keep_weights: str = "",
    errors: str = "raise",
    progress: bool = True,
) -> Run:
    """Tune, freeze and compare: execute the part of a study that its folder does not yet hold.

    Args:
        study: what to compare.
        out: the run's folder; the default is ``results/<name of the study>``.
        jobs: how many chunks train at the same time, each in its own process. 1 trains in this process, except for
            plug-ins given by path or entry point. Classes and objects of a notebook can only train in its process.
        device: ``cpu``, ``cuda`` or ``cuda:i``.
        watch: a function that is called with a Status from time to time, in place of the progress bar.
        patience: seconds, 600 by default; a chunk in its own process that gives no sign of life for so long ends as an
            error.
        only_tune: stop when the hyperparameters are found. Running the same study again continues from there.
        engine: where chunks train: ``local``, ``dask`` or ``slurm``.
        scheduler: the address of a dask scheduler, or a file that holds it.
        timeout: seconds; a chunk that trains for longer ends as an error.
        storage: where the tuning can be watched with optuna-dashboard while it goes on: ``journal:FILE`` or
            ``sqlite:///FILE``; the default is the study's, which is none.
        add_seeds: how many report seeds a finished run gets after its highest; only these are trained. The run is that
            of the study, with whatever seeds it has.
        keep_weights: whose trained networks stay in the folder: ``median`` (the replicas of the median and of the best
            score of each rule on each game), ``all`` or ``none``; the default is what the run has, ``median`` for a new
            one. It changes no result, and nothing is trained again for it. ``all`` keeps the state of every training as
            well, from which `Run.further` goes on.
        errors: ``raise`` when a training ended in an error, which is no divergence, or ``keep`` it in the run as one.
        progress: whether a terminal or a notebook shows a bar.

    Returns:
        The finished run.

    Raises:
        TrainingError: a training ended in an error; the others are finished, and the exception's ``run`` has them.
        UserError: the study or an argument is wrong, or the storage is locked, unreadable or none.
        InUse: another process is writing to the folder.
        EngineLost: the scheduler is gone. Finished chunks are kept.

    Example:
        >>> import bench
        >>> study = bench.Study(optimizers=["sgd", "extragrad"], games=["dirac"], trials=0, seeds="0-1", budget=40)
        >>> run = bench.run(study, out="results/first")
        >>> run.table()[["optimizer", "game", "cost"]].values.tolist()
        [['sgd', 'dirac', 40.0], ['extragrad', 'dirac', 40.0]]
    """
    check_device(device, engine)
    check(engine, scheduler)
    if keep_weights and keep_weights not in weights.KEEPS:
        raise UserError(f"keep_weights is {keep_weights!r}; {nearest(keep_weights, weights.KEEPS)}")
    if errors not in ERRORS:
        raise UserError(f"errors is {errors!r}; {nearest(errors, ERRORS)}")
    if add_seeds and only_tune:
        raise UserError(f"seeds: found +{add_seeds}; tuning alone trains no report seeds")
    lacking = [missing for name in study.games if (missing := study.plugins.game(name).missing)]
    if lacking:
        raise UserError("\n".join(dict.fromkeys(lacking)))
    study.plugins.register()
    study_origins = origins(study)  # loads all plug-ins: an import error is raised before anything is written
    check_products(study)
    options = RunOptions(frozenset(study_origins), jobs, patience, timeout, scheduler)
    if engine == "local" and not options.in_process:  # others refuse what is the program's own
        options = replace(options, references=references(study))
    if add_seeds:
        study, folder = grown(study, add_seeds, out)
    else:
        folder = folder_of(study, out)
        study = with_added(study, folder)
    keep = keep_weights or _kept_so_far(folder)
    content = manifest(study, device, _described(folder, study)) | (
        {weights.KEY: keep} if keep != weights.USUAL else {}
    )
    if labels := _labels_so_far(folder) | study.labels:
        check_labels(labels, study.optimizers)
        content[LABELS] = labels
    if study.continues and (earlier := study.source.resolve().name if study.source else _continued_so_far(folder)):
        content[CONTINUED] = earlier
    if add_seeds:
        content["command"] = commands(folder, content["command"])
    with optuna_storage(storage or study.storage, study) as watched:  # before anything is written
        writer = RunWriter(folder)
        writer.open(content)
        try:
            checkpoints = writer.path.absolute() / FOLDER
            options = replace(options, checkpoints=checkpoints, keep_weights=keep)
            with watching(watch, progress) as told:
                starting = partial(begin, engine, options)
                rounds = study_rounds(study, device, only_tune, watched)
                Coordinator(study, writer, rounds, sum(planned_cost(study).values()), told, starting, keep).run()
        finally:
            writer.close()
    finished = Run(writer.path)
    if errors == "raise" and (finished.records["outcome"] == "error").any():  # a metric may lack values: a note
        raise TrainingError(finished)
    return finished


ERRORS = ("raise", "keep")


class TrainingError(RuntimeError):
    """Trainings ended in an error, which is no divergence; ``run`` is the run with all that is finished."""

    def __init__(self, run: Run) -> None:
        self.run = run
        replicas = run.records[run.records["outcome"] == "error"]
        failed = len(replicas[["optimizer", "game", "phase", "trial", "seed"]].drop_duplicates())
        path, cause = next(iter(run.failures.items()), (run.path / "errors", "a traceback that was not kept"))
        super().__init__(
            f"{failed} trainings failed, the first with {cause} ({path}); errors='keep' keeps them as results"
        )


def _kept_so_far(folder: RunFolder) -> str:
    """Which weights the run keeps, if there is one that can be read."""
    with suppress(UserError):
        return weights.asked(folder.manifest)
    return weights.USUAL


def _labels_so_far(folder: RunFolder) -> dict[str, str]:
    """The labels that the run has, if there is one that can be read."""
    with suppress(UserError):
        return folder.labels
    return {}


def _continued_so_far(folder: RunFolder) -> str:
    """The run that the folder's run continues, where it says so."""
    with suppress(UserError):
        return str(folder.manifest.get(CONTINUED, ""))
    return ""


def _described(folder: RunFolder, study: Study) -> dict[str, Any] | None:
    """The descriptions in the folder's manifest if it is of this study: to judge known generators again takes long.

    None where a game is a plug-in, whose file may have been edited since.
    """
    with suppress(UserError):
        same = folder.manifest["study"] == study.model_dump(mode="json")
        if same and all(shipped_game(label) is not None for label in study.games):
            descriptions: dict[str, Any] | None = folder.manifest.get("descriptions")
            return descriptions
    return None


def merge(runs: Sequence[RunFolder], out: Path) -> Run:
    """Write runs as one into a new folder; UserError where they cannot be one, and then nothing is written."""
    from bench.storage.merge import merge

    return Run(merge(runs, out).path)
