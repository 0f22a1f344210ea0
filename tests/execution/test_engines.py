"""Engines: where chunks train changes no byte of a table, whatever is lost on the way."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.analysis.table import to_csv
from bench.errors import UserError
from bench.execution.engine import EngineLost
from bench.execution.engines import check, engines

pytest.importorskip("distributed", reason="needs the extra [dask]")
pytestmark = pytest.mark.filterwarnings("default")  # what dask warns of is its own

STUDY = bench.Study(
    optimizers="sgd,extragrad", games="dirac,ring8[width=16,batch_size=16]",
    seeds="0-2", trials=4, tuning_seeds=2, budget=100, evaluations=4,
)  # fmt: skip


class Cluster:
    """A scheduler and workers, each a process of its own, on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", self.file)
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        name = str(len(self.workers))
        options = ("--scheduler-file", self.file, "--nthreads", "1", "--no-nanny", "--name", name)
        self.workers.append(self._start("worker", *options, "--local-directory", self.folder))

    def _start(self, what: str, *options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, options), "--no-dashboard"]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def wait(self) -> None:
        end = time.monotonic() + 60
        while not self.file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert self.file.exists(), (self.folder / "scheduler.log").read_text()

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    made.wait()
    yield made
    made.close()


def children(pid: int) -> set[int]:
    """Processes that descend from one."""
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in map(int, (task / "children").read_text().split()):
            found |= {child} | children(child)
    return found


def written(run: bench.Run) -> str:
    """What stands in ``table.csv``."""
    return to_csv(run.table(full=True))


def goes_on(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_trains_to_the_same_byte(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add_worker()
    study = STUDY.model_copy(update={"games": ["dirac"], "budget": 20.0, "trials": 0})
    run = bench.run(study, out=tmp_path / "run", engine="dask", scheduler=str(cluster.file))
    assert not run.errors
    assert written(run) == written(bench.run(study, out=tmp_path / "plain"))


@pytest.mark.slow
def test_a_worker_killed_half_way_changes_no_byte(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add_worker()
    cluster.add_worker()
    orphans: set[int] = set()

    def watch(status: Any) -> None:
        if not orphans and status.done > status.planned / 4:
            orphans.update(children(cluster.workers[0].pid))
            os.kill(cluster.workers[0].pid, signal.SIGKILL)

    run = bench.run(STUDY, out=tmp_path / "run", watch=watch, engine="dask", scheduler=str(cluster.file))
    assert orphans, "no worker was killed"
    assert not run.errors
    assert written(run) == written(bench.run(STUDY, out=tmp_path / "plain"))
    end = time.monotonic() + 3
    while any(map(goes_on, orphans)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(goes_on, orphans)), "a slot outlives its worker"


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_run_and_the_same_command_goes_on(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.engines.dask.REACHED", 2.0)  # nobody brings this one back
    cluster.add_worker()

    def watch(status: Any) -> None:
        if list((tmp_path / "run" / "records").glob("*.json")):
            cluster.scheduler.kill()

    with pytest.raises(EngineLost, match="the scheduler"):
        bench.run(STUDY, out=tmp_path / "run", watch=watch, engine="dask", scheduler=str(cluster.file))
    kept = set((tmp_path / "run" / "records").glob("*.json"))
    assert kept
    before = {path: path.stat().st_mtime_ns for path in kept}
    run = bench.run(STUDY, out=tmp_path / "run")
    assert {path: path.stat().st_mtime_ns for path in kept} == before, "what was finished was done again"
    assert written(run) == written(bench.run(STUDY, out=tmp_path / "plain"))


def test_mistakes_are_one_line_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engines() == ["dask", "local", "slurm"]
    for name, scheduler, said in (
        ("dusk", "", "unknown engine 'dusk'; did you mean"),
        ("local", "tcp://127.0.0.1:1", "scheduler is for the engine dask"),
        ("dask", "no-such-file", "an address, e.g. tcp://127.0.0.1:8786, or a file"),
    ):
        with pytest.raises(UserError, match=said):
            bench.run(STUDY, out=tmp_path / "run", engine=name, scheduler=scheduler)
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "bench.execution.engines.dask", raising=False)
    with pytest.raises(UserError, match=r"engine dask needs distributed, .* pip install 'gan-optimizer-bench\[dask\]'"):
        check("dask")


@pytest.mark.slow
def test_what_the_callers_own_program_defines_is_known_to_no_worker(tmp_path: Path) -> None:
    code = (
        "import bench\n@bench.rule('mine')\nclass Mine(bench.UpdateRule):\n    def step(self, F, w, s): return w, s\n"
        "bench.run(bench.Study(optimizers='mine', games='dirac', trials=0), out='run', engine='dask')"
    )
    (tmp_path / "mine.py").write_text(code)
    found = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "is known to no worker" in found.stderr
    assert not (tmp_path / "run" / "records").exists() or not list((tmp_path / "run" / "records").iterdir())


def _slurm_answers() -> bool:
    if shutil.which("sbatch") is None or importlib.util.find_spec("dask_jobqueue") is None:
        return False
    return subprocess.run(["sinfo", "-h"], capture_output=True, timeout=20, check=False).stdout != b""


@pytest.mark.slow
@pytest.mark.skipif(not _slurm_answers(), reason="needs a Slurm that answers, and dask-jobqueue")
def test_slurms_jobs_change_no_byte_though_one_is_killed(tmp_path: Path) -> None:
    killed: list[str] = []

    def watch(status: Any) -> None:
        if not killed and status.done > status.planned / 4:
            jobs = subprocess.run(["squeue", "-h", "-n", "dask-worker", "-o", "%i"], capture_output=True, check=True)
            killed.append(jobs.stdout.decode().split()[0])
            subprocess.run(["scancel", "--signal=KILL", "--full", killed[0]], check=True)

    run = bench.run(STUDY, out=tmp_path / "run", jobs=2, watch=watch, engine="slurm")
    assert killed
    assert not run.errors
    assert written(run) == written(bench.run(STUDY, out=tmp_path / "plain"))
