"""What tests of more than one part of the command need."""

import signal
import sys
from pathlib import Path

import pytest
from pages import STUDY

import bench
from bench.cli import main
from bench.report.page import write_report

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """A small finished run."""
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
def call(tmp_path, monkeypatch, capsys):
    """The command in this process and in an empty folder: arguments -> (exit code, output, error output)."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)
