"""The environment of a run: what computed it, so that a reader knows which bits to expect."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

import numpy
import torch

from bench.numerics.kernels.core import core
from bench.numerics.runtime import denormals, processor, vectors, version

PLATFORM = {"torch": None, "system": None, "processor": None, "vectors": None, "core": "torch", "numba": None}
"""What decides the bits, and what it is where an environment does not say."""
SEVERAL = " | "
"""Between the values of an environment where a run was trained on several machines."""


def environment(device: str) -> dict[str, Any]:
    """Of this process, which trains on a device: versions, processor, core."""
    return {
        "bench": version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(device),
        "vectors": vectors(),
        "denormals": denormals(),
        **core(device),
        "cores": os.cpu_count(),
    }


def joined(environments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The environment of several: where they differ, each value once, ``2.6.0 | 2.13.0``."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for environment in environments for key in environment):
        values = [environment.get(key) for environment in environments]
        words = dict.fromkeys(word for value in values for word in str(value).split(SEVERAL))
        found[key] = SEVERAL.join(words) if len(words) > 1 else values[0]
    return found


def mixed(environment: dict[str, Any]) -> list[str]:
    """What differed between the machines that a run was trained on: ``torch: 2.6.0 | 2.13.0``."""
    return [f"{key}: {value}" for key, value in environment.items() if SEVERAL in str(value)]
