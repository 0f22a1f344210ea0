"""What tests of more than one part of the command need."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pages import STUDY
from silent import silent_games

import bench
from bench.cli import main
from bench.report.page import write_report

CHROMIUM = Path("/usr/bin/chromium")
settings.register_profile("no deadline", deadline=None)  # machines are shared: how long a test takes says nothing
settings.load_profile("no deadline")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: commands that tests start inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def unchanged_environment() -> Iterator[None]:
    """A test, or what it calls in this process, leaves no variable of ours behind that another test would meet."""
    before = _variables()
    yield
    assert _variables() == before


def _variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("BENCH_")}


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """A small finished run, in which nobody says that nothing is learned so soon."""
    with silent_games():
        return bench.run(STUDY, out=tmp_path_factory.mktemp("reported") / "run")


@pytest.fixture(scope="session")
def reported_html(reported):
    return write_report(reported).read_text("utf-8")


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; no longer than a module, for it holds an event loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def call(unchanged_environment, tmp_path, monkeypatch, capsys):
    """The command in this process and in an empty folder: arguments -> (exit code, output, error output)."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)
    variables = os.environ.copy()  # a command may set one for its workers, and then its process ends

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(variables)
