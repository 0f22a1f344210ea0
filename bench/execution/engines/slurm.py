"""A cluster of Slurm's: dask's workers as its jobs, started here and ended with the run.

It uses dask-jobqueue. The resources of a job (queue, memory, walltime, interface) are set in dask's own configuration,
``~/.config/dask/jobqueue.yaml``. If a job's walltime ends during a chunk, the chunk continues in another job. Where
neither the configuration nor ``scheduler-options`` names an interface or a host, the scheduler is bound to loopback,
which is enough for a cluster of one node.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bench.errors import UserError
from bench.execution.engine import RunOptions
from bench.execution.engines.dask import Dask, refuse_own

distributed: Any = import_module("distributed")  # untyped
jobqueue: Any = import_module("dask_jobqueue")

MEMORY = "4GiB"
CONFIGURED = "jobqueue.slurm"


def engine(run_options: RunOptions, beat: Callable[[], None]) -> Dask:
    """As many jobs as the run has, each with a worker of one thread."""
    refuse_own(run_options)
    if shutil.which("sbatch") is None:
        raise UserError("engine slurm needs sbatch, which is not found here: is this a node that submits jobs?")
    cluster = jobqueue.SLURMCluster(**_asked(run_options))
    cluster.scale(jobs=run_options.jobs)
    return Dask(distributed.Client(cluster), run_options, alone=math.inf, cluster=cluster)  # a queue may be long


def _asked(run_options: RunOptions) -> dict[str, Any]:
    """The options of dask-jobqueue that its configuration does not set."""
    logs = run_options.checkpoints.parent / "slurm" if run_options.checkpoints is not None else "."
    configured = import_module("dask").config.get(CONFIGURED, {})
    options = dict(configured.get("scheduler-options") or {})
    if not ({"host", "interface"} & set(options)) and not configured.get("interface"):
        options["host"] = "127.0.0.1"
    options.setdefault("dashboard_address", None)
    return {
        "cores": configured.get("cores") or 1,
        "processes": configured.get("processes") or configured.get("cores") or 1,
        "memory": configured.get("memory") or MEMORY,
        "scheduler_options": options,
        "log_directory": configured.get("log-directory") or str(logs),
    }
