"""The command ``bench``. Exit codes: 0 done; 1 some cells failed with an error (divergence is a result, not an error);
2 wrong use; 3 the run's folder is in use; 130 interrupted. Heavy imports stand inside the commands: ``--help`` is quick.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

DONE, FAILED, WRONG_USE, IN_USE, INTERRUPTED = 0, 1, 2, 3, 130
OPTIONS = ("tuning_seeds", "evaluations")
"""Keys of a study that have no flag of their own: set with -o key=value."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=(
    "Which optimizer should train your GAN, and how sure are we?"
))  # fmt: skip


def main() -> None:
    """Run the command; every mistake of the user's is one clear line and exit code 2."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminated)
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="bench", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = _say("interrupted; what was finished is kept, the same command goes on from there", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has left, as `bench list | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except Exception as error:
        code = _expected(error)
        if code is None:
            raise
    sys.stdout.flush()
    sys.stderr.flush()
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
    if type(error).__name__ == "InUse":
        return _say(str(error), IN_USE)
    return None


def _say(text: str, code: int) -> int:
    for line in text.splitlines() or [text]:
        print(f"bench: {line}", file=sys.stderr)
    return code


# --- run -------------------------------------------------------------------------------------------------------------


@app.command()
def run(
    study_file: Annotated[Path | None, typer.Argument(help="A TOML file with the same keys as the flags.")] = None,
    optimizers: Annotated[str | None, typer.Option(help="Update rules, e.g. sgd,adam,extragrad[direction=adam].")] = None,
    games: Annotated[str | None, typer.Option(help="Games; default: bilinear,dirac,ring8,digits.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Report seeds, e.g. 0-9 (the default).")] = None,
    trials: Annotated[str | None, typer.Option(help="Step sizes tried for each rule on each game; 0: the defaults.")] = None,
    budget: Annotated[str | None, typer.Option(help="smoke, standard, full, or gradient evaluations a replica.")] = None,
    option: Annotated[list[str] | None, typer.Option("-o", help="key=value: tuning_seeds, evaluations.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Chunks that train side by side; default: the cores at hand.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:i.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: results/<name of the study>.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, its cost and time.")] = False,
) -> int:
    """Tune every rule on every game at equal budget, freeze, compare on fresh seeds: a table and a report."""
    from bench.runner import check_device, run
    from bench.spelling import SpecError

    flags = {"optimizers": optimizers, "games": games, "seeds": seeds, "trials": trials, "budget": budget}
    study = _study(study_file, flags, option or [])
    if jobs is not None and jobs < 1:
        raise SpecError(f"--jobs is {jobs}; a positive number is allowed")
    check_device(device)
    jobs = jobs or _cores()
    if dry_run:
        return _dry_run(study, jobs, device)
    from bench.progress import watching

    with watching() as watch:
        finished = run(study, out=out, jobs=jobs, device=device, watch=watch)
    from bench.show import print_table

    report = finished.report()
    print_table(finished)
    print(f"\n{report}")
    if finished.errors:
        return _say(f"{len(finished.errors)} chunks failed; their tracebacks are in {finished.errors[0].parent}", FAILED)
    return DONE


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _study(path: Path | None, flags: dict[str, str | None], options: list[str]) -> Any:
    """The study of a file and of flags, flags winning."""
    from bench.spec import make_study, read_toml
    from bench.spelling import SpecError, nearest

    settings: dict[str, Any] = read_toml(path) if path is not None else {}
    settings |= {key: value for key, value in flags.items() if value is not None}
    for option in options:
        key, equals, value = option.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or key not in OPTIONS:
            raise SpecError(f"-o {option}: unknown key {key!r}; {nearest(key, OPTIONS)}")
        settings[key] = value.strip()
    if "optimizers" not in settings:
        raise SpecError("--optimizers is missing; e.g. --optimizers sgd,adam,extragrad (bench list optimizers)")
    return make_study(settings)


def _dry_run(study: Any, jobs: int, device: str) -> int:
    """Print the cells, their cost, and how long they would take by a short trial of each game."""
    from bench.runner import estimate

    cells, cost, seconds = estimate(study, device)
    print(f"{len(study.optimizers)} optimizers x {len(study.games)} games, run {study.name}")
    print(f"cells: {cells}   cost: {cost:,.0f} gradient evaluations   ETA: {_time(seconds / jobs)} on {jobs} jobs")
    return DONE


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# --- look ------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="optimizers, directions, games, metrics, or a name.")] = "") -> int:
    """What there is: name, equation, source, hyperparameters with ranges."""
    from bench.show import listing

    print(listing(what))
    return DONE


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> int:
    """Write a run's table.csv and report.html anew from its records."""
    print(_run(run).report())
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
    print(write(_run(run).table()), end="")
    return DONE


def _run(path: Path) -> Any:
    from bench.runner import Run

    return Run(path)
