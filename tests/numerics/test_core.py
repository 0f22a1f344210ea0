"""Which core computes: it is asked for, it is found or not, a run names it and keeps it, and compiling is safe."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import bench
from bench.errors import UserError
from bench.numerics.kernels import blas as products
from bench.numerics.kernels import core
from bench.numerics.runtime import flushed_denormals

needs_kernels = pytest.mark.skipif(not core.blas(), reason="numba or a BLAS that it could call is missing")
COMPILED = "numba, products by "
PASS = """
import torch
from bench.numerics.passes import LEAST, adam_step
g = torch.linspace(-1, 1, LEAST).expand(2, -1).contiguous()
zero, t = torch.zeros_like(g), torch.zeros(2, 1)
print(adam_step(g, zero, zero, t, 0.5, 0.9, 1e-8)[0].double().sum().item())
"""


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is installed is looked up again after a test has hidden it."""
    monkeypatch.delenv(core.VARIABLE, raising=False)
    core.blas.cache_clear()
    yield
    core.blas.cache_clear()


def study() -> bench.Study:
    return bench.Study(optimizers="sgd", games="dirac", budget=20, trials=0, seeds="0-1")


@needs_kernels
def test_the_core_is_chosen_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert core.core()["core"].startswith(COMPILED)
    assert core.core("cuda") == {"core": "torch"}
    monkeypatch.setenv(core.VARIABLE, "torch")
    assert core.core() == {"core": "torch"}
    monkeypatch.setenv(core.VARIABLE, "numba")
    assert set(core.core()) == {"core", "numba"}


def test_without_numba_torch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert core.core() == {"core": "torch"}
    monkeypatch.setenv(core.VARIABLE, "numba")
    with pytest.raises(UserError, match="BENCH_CORE is 'numba'; numba or a BLAS that it could call is missing here"):
        core.compiled()


@needs_kernels
def test_products_that_come_out_wrong_are_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(lambda *_: None)  # leaves the result as it is
    address = ctypes.cast(idle, ctypes.c_void_p).value
    assert address is not None
    wrong = products.Blas("wrong", address, address)
    monkeypatch.setattr(products, "_of_torch", lambda: wrong)
    found = products.find_blas()
    assert found is not None
    assert found.library == "scipy"
    monkeypatch.setattr(products, "_of_scipy", lambda: wrong)
    assert core.core() == {"core": "torch"}


def test_an_unknown_core_is_one_line_and_nothing_is_written(call, monkeypatch) -> None:
    monkeypatch.setenv(core.VARIABLE, "jax")
    code, out, error = call("run", "--optimizers", "sgd", "--games", "dirac", "--budget", "20", "-o", "trials=0")
    assert (code, out) == (2, "")
    assert error.strip().splitlines()[-1] == "bench: BENCH_CORE is 'jax'; numba or torch is allowed"
    assert not list(Path.cwd().iterdir())


@needs_kernels
def test_a_run_names_its_core_and_is_not_continued_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(core.VARIABLE, "torch")
    run = bench.run(study(), out=tmp_path / "run")
    assert run.manifest["environment"]["core"] == "torch"
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    monkeypatch.delenv(core.VARIABLE)
    with pytest.raises(UserError, match=r"was computed by torch, now it would be numba.*; set BENCH_CORE=torch, or"):
        bench.run(study(), out=run.path)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    monkeypatch.setenv(core.VARIABLE, "torch")
    assert bench.run(study(), out=run.path).records.equals(run.records)


@needs_kernels
@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_compute_as_the_coordinator_does(jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the server that forks them is older than the choice."""
    asked = bench.Study(optimizers="adam", games="ring8[width=16,batch_size=16]", budget=40, trials=0, seeds="0-1")
    runs = []
    for which in ("numba", "torch", "numba"):
        monkeypatch.setenv(core.VARIABLE, which)
        runs.append(bench.run(asked, out=tmp_path / f"{len(runs)}", jobs=jobs).records.drop(columns="seconds"))
    assert runs[0].equals(runs[2])
    assert not runs[0].equals(runs[1])
    torch.testing.assert_close(*(torch.tensor(records["value"].to_numpy()) for records in runs[:2]), rtol=0.1, atol=0.1)


def started(cache: Path) -> subprocess.Popen[str]:
    """A process that compiles a pass into an empty cache."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(Path(bench.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", PASS], stdout=subprocess.PIPE, text=True, env=environment)


@needs_kernels
def test_processes_compile_at_once_and_one_that_is_killed_leaves_no_broken_cache(tmp_path: Path) -> None:
    killed = started(tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("*.nbi")):  # the first kernel is kept, others are under way
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    half_written = set(tmp_path.rglob("*.tmp*"))  # what is killed in a write cannot clear up
    pair = [started(tmp_path) for _ in range(2)]
    results = [process.communicate(timeout=120)[0] for process in pair]
    assert results[0] == results[1] != ""
    assert [process.returncode for process in pair] == [0, 0]
    assert set(tmp_path.rglob("*.tmp*")) <= half_written


@needs_kernels
def test_where_the_cache_cannot_be_written_kernels_are_kept_elsewhere(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    process = started(nowhere)
    assert process.communicate(timeout=120)[0]
    assert process.returncode == 0
    assert nowhere.read_text() == "no folder"


def test_denormals_are_flushed_within_alone() -> None:
    tiny = torch.tensor(5e-324, dtype=torch.float64)
    with flushed_denormals() as flushed:
        if not flushed:
            pytest.skip("this processor keeps them")
        assert tiny * 1 == 0
        with flushed_denormals():
            pass
        assert tiny * 1 == 0
    assert tiny * 1 > 0
