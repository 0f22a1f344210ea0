"""The command ``bench``: a file for each group of commands.

Exit codes: 0 done; 1 some cells failed with an error (divergence is a result, not an error); 2 wrong use; 3 the run's
folder is in use; 4 a rule became worse, changed or is missing, and ``--fail-on`` forbids it, or a run does not verify;
5 nothing to compare; 130 interrupted.

Heavy imports stand inside the commands, so that ``--help`` is quick. This package may import everything, and nothing
imports it.
"""

from __future__ import annotations

import errno
import signal
import sys
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from threading import Timer
from typing import Any

import typer

from bench.cli.application import DONE, FAILED, IN_USE, INTERRUPTED, WRONG_USE, app, say

__all__ = ["app", "main"]

REFUSED = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO")}
"""What a disk says that will not: no mistake of ours."""
LOST_FOR = 0.01  # seconds until an interrupt that was lost is raised again

# In the order in which --help lists them.
for group in ("training", "catalogue", "plugin", "results", "compare", "verify", "files", "trained", "data", "doctor"):
    import_module(f"bench.cli.{group}")


def main() -> None:
    """Run the command; every mistake of the user's is one clear line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the terminal cannot encode must not end a run
    try:
        with _interrupted_once():
            code = _code()
    except (KeyboardInterrupt, typer.Abort):  # also while an error is being told, as that of a worker which ended first
        code = INTERRUPTED
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not disturb the way out
        say("interrupted; what was finished is kept, the same command goes on from there", code)
    sys.exit(code or DONE)


def _code() -> int | None:
    """Run the command; its exit code, also where it ends in an error that is the user's."""
    try:
        code: int | None = app(args=sys.argv[1:] or ["--help"], prog_name="bench", standalone_mode=False)
        return code
    except typer.Abort:
        raise
    except Exception as error:
        if (told := _expected(error)) is None:
            raise
        return told


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt: the first of them wherever it comes, and those after it not at all.

    Where nobody is told of an exception, as in a destructor or in a library's compiled code, Python prints it and goes
    on. An interrupt that was lost there is raised again.
    """
    both = signal.SIGINT, signal.SIGTERM
    heard = [number for number in both if signal.getsignal(number) is not signal.SIG_IGN]  # as in the background

    def raised(*_: Any) -> None:
        for number in heard:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    def lost(what: sys.UnraisableHookArgs) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            shown(what)
            return
        signal.signal(heard[-1], raised)
        Timer(LOST_FOR, interrupt_main, [heard[-1]]).start()  # at once would be here, where it is lost, too

    sys.unraisablehook, shown = lost, sys.unraisablehook
    for number in heard:
        signal.signal(number, raised)
    try:
        yield
    finally:
        sys.unraisablehook = shown


def _expected(error: Exception) -> int | None:
    """The exit code of an error that is the user's; None for one that is ours."""
    from bench.errors import UserError

    if hasattr(error, "format_message"):  # the command line parser's own
        return say(error.format_message(), WRONG_USE)
    if isinstance(error, UserError):
        return say(str(error), WRONG_USE)
    if isinstance(error, OSError) and error.errno in REFUSED:
        return say(f"{error.filename or 'the disk'}: {error.strerror}; what was finished is kept", WRONG_USE)
    from bench.execution.engine import EngineLost
    from bench.storage.writer import InUse  # heavy, and needed only where a run was under way

    if isinstance(error, EngineLost):
        return say(f"{error}; what was finished is kept, the same command goes on from there", FAILED)
    return say(str(error), IN_USE) if isinstance(error, InUse) else None
