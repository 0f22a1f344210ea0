"""Where a run's numbers come from: study, protocol, versions, machine, the command that reproduces it."""

from __future__ import annotations

import inspect
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy
import torch

from bench import __version__
from bench.contracts import Direction, UpdateRule
from bench.plan import PROTOCOL
from bench.registry import Preset, get_rule, rules
from bench.spec import Study
from bench.spelling import SpecError, parse
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
            "processor": processor(device),
            "cores": os.cpu_count(),
        },
        "command": shlex.join([*_program(Path(sys.argv[0])), *sys.argv[1:]]),
    }


def _program(started: Path) -> list[str]:
    return ["python", "-m", "bench"] if started.name == "__main__.py" else [started.name]


def study_file(study: dict[str, Any]) -> str:
    """A study as the TOML file that ``bench run`` takes; what is empty is left out."""
    lines = [f"{key} = {_toml(value)}" for key, value in study.items() if value not in ("", {}, None)]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value on one line; JSON's strings and numbers are TOML's too."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(k, ensure_ascii=False)} = {_toml(v)}' for k, v in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def equations(spelled: str) -> list[tuple[str, str, str]]:
    """(name, equation, source) of a rule as spelled, and of what it steps along."""
    try:
        known, made = rules[parse(spelled).name], get_rule(spelled)
    except SpecError:
        return [("", "not known to this installation", "")]
    if isinstance(known, Preset):
        return [("", *_equation(known.doc))]
    inner = [part for part in vars(made).values() if isinstance(part, (UpdateRule, Direction)) and part.name != "plain"]
    named = [("", known), *((part.name, type(part)) for part in inner)]
    return [(name, *_equation(inspect.getdoc(thing) or "")) for name, thing in named]


def _equation(doc: str) -> tuple[str, str]:
    paragraphs = [" ".join(part.split()) for part in doc.split("\n\n")]
    return paragraphs[0], " ".join(part for part in paragraphs if part.startswith("Source:"))


def processor(device: str) -> str:
    """What computes on a device: its name, and of a CPU what decides which kernels it runs, for a name may be vague."""
    if device.startswith("cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    kernels = torch.backends.cpu.get_cpu_capability()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
        return f"{said['model name']} (family {said['cpu family']}, model {said['model']}, {kernels})"
    except (OSError, KeyError):
        return f"{platform.processor() or 'unknown'} ({kernels})"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mixed(manifest: dict[str, Any]) -> list[str]:
    """What the parts of a merged run were made with where it is not the same, in words: ``torch: 2.6.0 | 2.13.0``."""
    parts = [part["environment"] for part in manifest.get("merged", [])]
    values = {
        key: dict.fromkeys(str(part.get(key)) for part in parts) for key in dict.fromkeys(k for p in parts for k in p)
    }
    return [f"{key}: {' | '.join(found)}" for key, found in values.items() if len(found) > 1]
