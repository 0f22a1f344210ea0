"""What tests of more than one part of the command need."""

import signal
import sys

import pytest
from pages import STUDY

import bench
from bench.cli import main
from bench.report import write_report


@pytest.fixture(scope="session")
def reported(tmp_path_factory):
    """A small finished run."""
    return bench.run(STUDY, out=tmp_path_factory.mktemp("reported") / "run")


@pytest.fixture(scope="session")
def reported_html(reported):
    return write_report(reported).read_text("utf-8")


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
