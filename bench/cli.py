"""The command ``bench``.

Exit codes: 0 done; 1 some cells failed with an error (divergence is a result, not an error); 2 wrong use; 3 the run's
folder is in use; 130 interrupted. Heavy imports stand inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

DONE, FAILED, WRONG_USE, IN_USE, WORSE, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=(
    "Which optimizer should train your GAN, and how sure are we?"
))  # fmt: skip


def main() -> None:
    """Run the command; every mistake of the user's is one clear line and exit code 2."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow that the terminal does not know must not end a run
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="bench", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        code = _expected(error)
        if code is None:
            raise
    if code == INTERRUPTED:
        _say("interrupted; what was finished is kept, the same command goes on from there", code)
    sys.exit(code or DONE)


def _terminated(*_: Any) -> None:
    raise KeyboardInterrupt


def _expected(error: Exception) -> int | None:
    """The exit code of an error that is the user's; None for one that is ours."""
    from bench.spelling import SpecError

    if hasattr(error, "format_message"):  # the command line parser's own
        return _say(error.format_message(), WRONG_USE)
    if isinstance(error, SpecError):
        return _say(str(error), WRONG_USE)
    from bench.store import InUse  # heavy, and needed only where a run was under way

    return _say(str(error), IN_USE) if isinstance(error, InUse) else None


def _say(text: str, code: int) -> int:
    for line in text.splitlines() or [text]:
        print(f"bench: {line}", file=sys.stderr)
    return code


def _print(text: str) -> None:
    """Print a result; where its reader has left, as in `bench list | head`, go on without."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- run -------------------------------------------------------------------------------------------------------------


@app.command()
def run(
    study_file: Annotated[Path | None, typer.Argument(help="A TOML file with the same keys as the flags.")] = None,
    optimizers: Annotated[str | None, typer.Option(help="Update rules: sgd,adam,extragrad[direction=adam].")] = None,
    games: Annotated[str | None, typer.Option(help="Games; default: bilinear,dirac,ring8,digits.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Report seeds; default: 0-9.")] = None,
    trials: Annotated[str | None, typer.Option(help="Step sizes tried for a rule on a game; 0: its default.")] = None,
    budget: Annotated[str | None, typer.Option(help="smoke, standard, full, or gradient evaluations.")] = None,
    option: Annotated[list[str] | None, typer.Option("-o", help="Any key=value, e.g. tuning_seeds=5.")] = None,
    jobs: Annotated[str | None, typer.Option(help="Chunks that train side by side; default: the cores.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu (the default), cuda or cuda:i.")] = None,
    out: Annotated[str | None, typer.Option(help="The run's folder; default: results/<name of the study>.")] = None,
    data: Annotated[str | None, typer.Option(help="A folder of image sets; default: BENCH_DATA.")] = None,
    tune: Annotated[str | None, typer.Option(help="step sizes (the default), full: every number, or none.")] = None,
    hyperparameters: Annotated[str | None, typer.Option(help="A TOML file of frozen values: tunes nothing.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, its cost and time.")] = False,
) -> int:
    """Tune every rule on every game at equal budget, freeze, compare on fresh seeds: a table and a report."""
    flags = {"optimizers": optimizers, "games": games, "seeds": seeds, "trials": trials, "budget": budget}
    flags |= {"jobs": jobs, "device": device, "out": out, "data": data}
    order = _order(study_file, flags | {"tune": tune, "hyperparameters": hyperparameters}, option or [])
    if dry_run:
        return _dry_run(order.study, order.jobs or _cores(), order.device)
    finished = _trained(order)
    from bench.show import terminal

    _print(terminal(finished))
    _print(str(finished.path / "report.html" if finished.reported else finished.report()))
    return _failures(finished)


@app.command()
def tune(
    study_file: Annotated[Path | None, typer.Argument(help="A TOML file with the same keys as the flags.")] = None,
    optimizers: Annotated[str | None, typer.Option(help="Update rules: sgd,adam,extragrad[direction=adam].")] = None,
    games: Annotated[str | None, typer.Option(help="Games; default: bilinear,dirac,ring8,digits.")] = None,
    trials: Annotated[str | None, typer.Option(help="Step sizes tried for a rule on a game.")] = None,
    budget: Annotated[str | None, typer.Option(help="smoke, standard, full, or gradient evaluations.")] = None,
    option: Annotated[list[str] | None, typer.Option("-o", help="Any key=value, e.g. tune=full.")] = None,
    jobs: Annotated[str | None, typer.Option(help="Chunks that train side by side; default: the cores.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu (the default), cuda or cuda:i.")] = None,
    out: Annotated[str | None, typer.Option(help="The run's folder; default: results/<name of the study>.")] = None,
    data: Annotated[str | None, typer.Option(help="A folder of image sets; default: BENCH_DATA.")] = None,
) -> int:
    """Tune alone: print the values found and write them to hyperparameters.toml; bench run goes on from there."""
    flags = {"optimizers": optimizers, "games": games, "trials": trials, "budget": budget}
    order = _order(study_file, flags | {"jobs": jobs, "device": device, "out": out, "data": data}, option or [])
    finished = _trained(order, only_tune=True)
    path = finished.freeze()
    _print(path.read_text("utf-8").rstrip("\n"))
    _print(str(path))
    return _failures(finished)


def _trained(order: Any, only_tune: bool = False) -> Any:
    """The run of an order, once it is done."""
    if order.data is not None:
        os.environ["BENCH_DATA"] = str(order.data.resolve())  # workers inherit it
    _notice(order.optimizers)
    from bench.progress import watching
    from bench.runner import run

    with watching() as watch:
        how = {"jobs": order.jobs or _cores(), "device": order.device, "patience": order.patience}
        return run(order.study, out=order.out, watch=watch, only_tune=only_tune, **how)


def _failures(finished: Any) -> int:
    """Say where the tracebacks are, if there are any; the exit code."""
    failed = finished.errors
    if failed:
        return _say(f"{len(failed)} chunks failed; their tracebacks are in {failed[0].parent}", FAILED)
    return DONE


def _notice(optimizers: list[str]) -> None:
    """Say before a long run what is special about its rules."""
    from bench.contracts import notices
    from bench.registry import get_rule

    for text in dict.fromkeys(text for name in optimizers for text in notices(get_rule(name))):
        _say(f"note: {text}", DONE)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _order(path: Path | None, flags: dict[str, str | None], options: list[str]) -> Any:
    """What a file, flags and options ask for; flags win over the file, options over both."""
    from bench.spec import make_order, read_toml
    from bench.spelling import SpecError

    settings: dict[str, Any] = read_toml(path) if path is not None else {}
    settings |= {key: value for key, value in flags.items() if value is not None}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise SpecError(f"-o {option}: no value; write -o key=value")
        settings[key.strip().replace("-", "_")] = value.strip()
    return make_order(settings)


def _dry_run(study: Any, jobs: int, device: str) -> int:
    """Print the cells, their cost, and how long they would take by a short trial of each game."""
    from bench.runner import estimate

    cells, cost, seconds = estimate(study, device)
    eta = _time(seconds / min(jobs, _cores()))  # more jobs than cores are no faster
    _print(
        f"{len(study.optimizers)} optimizers x {len(study.games)} games, run {study.name}\n"
        f"cells: {cells}   cost: {cost:,.0f} gradient evaluations   ETA: {eta} on {jobs} jobs"
    )
    return DONE


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# --- data ------------------------------------------------------------------------------------------------------------

data_app = typer.Typer(help="Image sets in files: fetch, check.")
app.add_typer(data_app, name="data")
Folder = Annotated[Path | None, typer.Option("--data", help="A folder of image sets; default: BENCH_DATA.")]


@data_app.command("fetch")
def fetch_data(
    names: Annotated[list[str], typer.Argument(help="mnist, fashion or cifar10.")],
    data: Folder = None,
    mirror: Annotated[str | None, typer.Option(help="Address of a folder to download from.")] = None,
) -> int:
    """Download image sets; what is there and whole stays."""
    from bench.fetch import fetch
    from bench.spelling import SpecError

    folder = data or os.environ.get("BENCH_DATA")
    if not folder:
        raise SpecError("data fetch: no folder; give --data FOLDER or set BENCH_DATA")
    for name in names:
        paths = fetch(name, folder, mirror)
        _print("\n".join(map(str, paths)) or f"{name}: nothing to fetch")
    return DONE


@data_app.command("check")
def check_data(data: Folder = None) -> int:
    """Say of every image set where it is, and verify its files; exit code 1 where one is damaged."""
    from bench.data import check

    rows = check(data)
    _print("\n".join(map(str, rows)))
    return FAILED if any(row.damaged for row in rows) else DONE


# --- look ------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="optimizers, directions, games, metrics, or a name.")] = "") -> int:
    """What there is: name, equation, source, hyperparameters with ranges."""
    from bench.show import listing

    _print(listing(what))
    return DONE


@app.command()
def check(
    names: Annotated[list[str], typer.Argument(help="Rules, directions, games or metrics; ./my_rule.py:MyRule.")],
) -> int:
    """Run the laws that every plug-in obeys: one line a law, exit code 1 where one is broken."""
    from bench.verdicts import check, remark

    verdicts = [verdict for name in names for verdict in check(name)]
    for subject in dict.fromkeys(verdict.subject for verdict in verdicts):
        _print("\n  ".join([subject, *(str(verdict) for verdict in verdicts if verdict.subject == subject)]))
    for said in filter(None, map(remark, names)):
        _print(f"  {said}")
    return FAILED if any(verdict.broken for verdict in verdicts) else DONE


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> int:
    """Write a run's table.csv and report.html anew from its records."""
    _print(str(_run(run).report()))
    return DONE


@app.command()
def animate(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    game: Annotated[str, typer.Option(help="One of its games.")],
    optimizers: Annotated[str | None, typer.Option(help="Some of its rules, in this order; default: all.")] = None,
    to: Annotated[Path | None, typer.Option(help="FILE.gif, .png or .mp4; default: RUN/<game>.gif.")] = None,
) -> int:
    """Make a moving picture of a game's trainings, rule beside rule, for a talk or a README; print its path."""
    from bench.animation import animate
    from bench.spelling import split

    _print(str(animate(_run(run), game, None if optimizers is None else split(optimizers), to)))
    return DONE


@app.command()
def table(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    format: Annotated[str, typer.Option(help="md, csv or latex.")] = "md",
) -> int:
    """Print a run's table."""
    from bench.show import FORMATS
    from bench.spelling import SpecError, nearest

    if format not in FORMATS:
        raise SpecError(f"--format is {format!r}; {nearest(format, FORMATS)}")
    write: Callable[[Any], str] = FORMATS[format]
    _print(write(_run(run).table()).rstrip("\n"))
    return DONE


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    target: Annotated[str, typer.Argument(help="optuna: an SQLite file of studies, which optuna-dashboard opens.")],
    to: Annotated[Path | None, typer.Option(help="The file to write; default: RUN/optuna.db.")] = None,
) -> int:
    """Write a run's tuning for another tool; print the file's path."""
    from bench.export import export

    _print(str(export(_run(run), target, to)))
    return DONE


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run's folder.")],
    second: Annotated[Path, typer.Argument(help="Another's, to be judged by the first.")],
    fail_on: Annotated[str, typer.Option(help="worse: exit code 4 if a rule became worse; never.")] = "never",
) -> int:
    """The same rules in two runs, paired by seed: better, worse, the same; exit code 5 if they share nothing."""
    from bench.comparison import compare
    from bench.show import compared
    from bench.spelling import SpecError, nearest

    if fail_on not in ("worse", "never"):
        raise SpecError(f"--fail-on is {fail_on!r}; {nearest(fail_on, ('worse', 'never'))}")
    found = compare(_run(first), _run(second))
    if found.empty:
        return _say(f"{first} and {second} have no rule on a game with a seed in common", NOTHING)
    _print(compared(found).rstrip("\n"))
    return WORSE if fail_on == "worse" and (found["verdict"] == "worse").any() else DONE


def _run(path: Path) -> Any:
    from bench.runner import Run

    return Run(path)
