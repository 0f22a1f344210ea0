"""Where a run's numbers come from: study, protocol, versions, machine, the command that reproduces it."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy
import torch

from bench import __version__
from bench.plan import PROTOCOL
from bench.spec import Study
from bench.store import SCHEMA


def manifest(study: Study, device: str) -> dict[str, Any]:
    """What stands in a run's ``study.json``."""
    return {
        "schema": SCHEMA,
        "protocol": PROTOCOL,
        "device": device.split(":")[0],
        "study": study.model_dump(mode="json"),
        "environment": {
            "bench": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(device),
            "cores": os.cpu_count(),
        },
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def mixed(manifest: dict[str, Any]) -> list[str]:
    """What the parts of a merged run were made with where it is not the same, in words: ``torch: 2.6.0 | 2.13.0``."""
    parts = [part["environment"] for part in manifest.get("merged", [])]
    values = {
        key: dict.fromkeys(str(part.get(key)) for part in parts) for key in dict.fromkeys(k for p in parts for k in p)
    }
    return [f"{key}: {' | '.join(found)}" for key, found in values.items() if len(found) > 1]
