"""Commands that train: run, tune."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.application import DONE, FAILED, answer, app, say
from bench.cli.keys import option_help

StudyFile = Annotated[Path | None, typer.Argument(help="A TOML file with the same keys as the flags.")]
Optimizers = Annotated[str | None, typer.Option(help=r"Update rules: sgd,adam,extragrad\[direction=adam].")]
Games = Annotated[str | None, typer.Option(help="Games; default: bilinear,dirac,ring8,digits.")]
Budget = Annotated[str | None, typer.Option(help="smoke, standard, full, or gradient evaluations.")]
Jobs = Annotated[str | None, typer.Option(help="Chunks that train at the same time; default: the number of cores.")]
Engine = Annotated[str | None, typer.Option(help="Where they train: local (the default), dask or slurm.")]
Scheduler = Annotated[str | None, typer.Option(help="The dask scheduler: tcp://host:port, or a file with its address.")]
Timeout = Annotated[str | None, typer.Option(help="Seconds after which a chunk ends as an error; default: no limit.")]
Device = Annotated[str | None, typer.Option(help="cpu (the default), cuda or cuda:i.")]
Out = Annotated[str | None, typer.Option(help="The run's folder; default: results/<name of the study>.")]
Storage = Annotated[
    str | None, typer.Option(help="Watch the tuning with optuna-dashboard: journal:FILE or sqlite:///FILE.")
]
Data = Annotated[str | None, typer.Option(help="A folder of image sets; default: BENCH_DATA.")]
SHARED = (
    "optimizers",
    "games",
    "trials",
    "budget",
    "jobs",
    "engine",
    "scheduler",
    "timeout",
    "storage",
    "device",
    "out",
)
RUN_KEYS = option_help((*SHARED, "data", "seeds", "tune", "hyperparameters", "keep_weights"), "tuning_seeds=5")
TUNE_KEYS = option_help((*SHARED, "data", "seeds", "hyperparameters", "keep_weights"), "tune=full")


@app.command()
def run(
    study_file: StudyFile = None,
    optimizers: Optimizers = None,
    games: Games = None,
    seeds: Annotated[
        str | None, typer.Option(help="Report seeds; default: 0-19. +20 adds 20 to a finished run.")
    ] = None,
    trials: Annotated[str | None, typer.Option(help="Step sizes tried for a rule on a game; 0: its default.")] = None,
    budget: Budget = None,
    option: Annotated[list[str] | None, typer.Option("-o", help=RUN_KEYS)] = None,
    jobs: Jobs = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
    timeout: Timeout = None,
    device: Device = None,
    out: Out = None,
    data: Data = None,
    storage: Storage = None,
    keep_weights: Annotated[
        str | None,
        typer.Option(help="Networks that stay: median (and best; the default), all (for --from) or none."),
    ] = None,
    from_run: Annotated[
        str | None, typer.Option("--from", help="A finished run: train its replicas further, to a larger --budget.")
    ] = None,
    tune: Annotated[str | None, typer.Option(help="step sizes (the default), full: every number, or none.")] = None,
    hyperparameters: Annotated[str | None, typer.Option(help="A TOML file of frozen values: tunes nothing.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells, their cost and an estimate of the time.")
    ] = False,
) -> int:
    """Tune every rule on every game at equal budget, freeze, compare on fresh seeds: a table and a report."""
    flags = {"optimizers": optimizers, "games": games, "seeds": seeds, "trials": trials, "budget": budget}
    flags |= {"jobs": jobs, "engine": engine, "scheduler": scheduler, "timeout": timeout, "storage": storage}
    flags |= {"device": device, "out": out, "data": data}
    flags |= {"tune": tune, "hyperparameters": hyperparameters, "keep_weights": keep_weights, "from": from_run}
    order = _order(study_file, flags, option or [])
    if dry_run:
        from bench.numerics.runtime import cores

        return _dry_run(_planned(order), order.jobs or cores(), order.device, order.keep_weights)
    finished = _trained(order)
    if order.keep_weights not in (None, "none"):
        _tell_dropped(finished)
    from bench.report.terminal import terminal

    answer(terminal(finished))
    report = finished.path / "report.html" if finished.reported else finished.report()
    answer(str(finished.path / "table.csv"))
    answer(str(report))
    return _failures(finished)


@app.command()
def tune(
    study_file: StudyFile = None,
    optimizers: Optimizers = None,
    games: Games = None,
    trials: Annotated[str | None, typer.Option(help="Step sizes tried for a rule on a game.")] = None,
    budget: Budget = None,
    option: Annotated[list[str] | None, typer.Option("-o", help=TUNE_KEYS)] = None,
    jobs: Jobs = None,
    engine: Engine = None,
    scheduler: Scheduler = None,
    timeout: Timeout = None,
    device: Device = None,
    out: Out = None,
    data: Data = None,
    storage: Storage = None,
) -> int:
    """Tune only: print the chosen values and write them to hyperparameters.toml, which bench run reads."""
    flags = {"optimizers": optimizers, "games": games, "trials": trials, "budget": budget}
    flags |= {"jobs": jobs, "engine": engine, "scheduler": scheduler, "timeout": timeout, "storage": storage}
    order = _order(study_file, flags | {"device": device, "out": out, "data": data}, option or [])
    finished = _trained(order, only_tune=True)
    path = finished.freeze()
    answer(path.read_text("utf-8").rstrip("\n"))
    answer(str(path))
    return _failures(finished)


def _trained(order: Any, only_tune: bool = False) -> Any:
    """The run of an order, once it is done."""
    if order.data is not None:
        os.environ["BENCH_DATA"] = str(order.data.resolve())  # workers inherit it
    _notice(order.study)
    _notice_anew(order.study, order.device)
    from bench.api import run
    from bench.execution.progress import lines
    from bench.numerics.runtime import cores

    how = {"jobs": order.jobs or cores(), "device": order.device}
    how |= {key: getattr(order, key) for key in ("patience", "timeout", "engine", "scheduler", "add_seeds")}
    how["keep_weights"] = order.keep_weights or ""
    return run(order.study, out=order.out, watch=lines(), only_tune=only_tune, errors="keep", **how)


def _notice_anew(study: Any, device: str) -> None:
    """Say how many replicas of a continued run cannot go on from where they ended."""
    if study.source is None:
        return
    from bench.storage.continuation import kept_replicas

    kept = kept_replicas(study, device)
    every = len(study.games) * len(study.optimizers) * len(study.seeds)
    if anew := every - sum(kept.values()):
        say(
            f"note: {anew} of {every} replicas train from the start, to the same bits: their state was not kept, as "
            "--keep-weights all does",
            DONE,
        )


def _done(study: Any, device: str) -> float:
    """The gradient evaluations that a continued run need not repeat."""
    if study.source is None:
        return 0.0
    from bench.storage.continuation import kept_replicas

    done: float = sum(count * study.continues[-1][game] for (_, game), count in kept_replicas(study, device).items())
    return done


def _tell_dropped(finished: Any) -> None:
    """Say which of the networks that were asked for are gone, as trainings are not repeated for them."""
    from bench.report.trained import dropped

    gone = dropped(finished)
    if gone:
        say(f"note: {gone} trainings were done before their networks were to be kept; a new --out trains them again")


def _failures(finished: Any) -> int:
    """Say where the tracebacks are, if there are any; the exit code."""
    failed = finished.errors
    if failed:
        many = len(failed) > 1
        count = f"{len(failed)} chunks failed; their tracebacks are" if many else "1 chunk failed; its traceback is"
        return say(f"{count} in {failed[0].parent}", FAILED)
    return DONE


def _notice(study: Any) -> None:
    """Say before a long run what is special about its games, and about its rules on them."""
    from bench.contracts.introspection import for_game, notices

    rules, games = map(study.plugins.rule, study.optimizers), map(study.plugins.game, study.games)
    bound = [for_game(rule, game) for rule, game in product(rules, games)]
    of_games = [text for game in map(study.plugins.game, study.games) for text in getattr(game, "notices", ())]
    for text in dict.fromkeys([*of_games, *(text for rule in bound for text in notices(rule))]):
        say(f"note: {text}", DONE)


def _order(path: Path | None, flags: dict[str, str | None], options: list[str]) -> Any:
    """What a file, flags and options ask for; flags win over the file, options over both."""
    from bench.errors import UserError
    from bench.storage.continuation import KEY, continued
    from bench.studies.request import make_request
    from bench.studies.toml import read_toml

    settings: dict[str, Any] = read_toml(path) if path is not None else {}
    settings |= {key: value for key, value in flags.items() if value is not None}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"-o {option}: no value; write -o key=value")
        settings[key.strip().replace("-", "_")] = value.strip()
    if KEY in settings:
        settings = continued(settings)
    return make_request(settings)


def _planned(order: Any) -> Any:
    """The study that an order would run."""
    if not order.add_seeds:
        return order.study
    from bench.storage.growth import grown

    return grown(order.study, order.add_seeds, order.out)[0]


def _dry_run(study: Any, jobs: int, device: str, keep_weights: str | None) -> int:
    """Print the cells, their cost, how long they would take by a short trial of each game, and what networks take."""
    from bench.execution.estimate import estimate, states_size, weights_size
    from bench.numerics.runtime import cores

    cells, cost, seconds = estimate(study, device)
    done = _done(study, device)
    eta = time_in_words(seconds * (1 - done / cost) / min(jobs, cores()))  # more jobs than cores are no faster
    answer(
        f"{len(study.optimizers)} optimizers x {len(study.games)} games, run {study.name}\n"
        f"cells: {cells}   cost: {cost - done:,.0f} gradient evaluations   ETA: {eta} on {jobs} jobs"
    )
    if whole := weights_size(study, "all"):
        kept = weights_size(study, keep_weights or "median")
        text = f"networks kept: {_size(kept)} of {_size(whole)}, which are there until a rule is done on a game"
        states = f"; to go on from, {_size(states_size(study))}" if keep_weights == "all" else ""
        answer(text + states)
    return DONE


def _size(count: float) -> str:
    """Bytes in words."""
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 999.5:
            return f"{count:.3g} {unit}"
    return f"{count / 1000:.3g} GB"


def time_in_words(seconds: float) -> str:
    """Seconds as minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
