"""What tests of more than one part of the command need."""

import signal
import sys

import pytest

from bench.cli import main


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
