"""The provenance of a run: study, protocol, versions, machine, the command that reproduces it."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from bench.contracts import Game
from bench.metrics.evaluation import reference_scores
from bench.numerics.environment import environment
from bench.registry import get_metric
from bench.studies.plan import PROTOCOL
from bench.studies.study import Study

SCHEMA = 1
SEAL = "sha256"
LABELS = "labels"  # of the manifest: rule -> what tables and figures call it; left out where there are none

CONTINUED = "continued"  # of the manifest: the name of the run that this one continues, where it continues one


def seal(content: object) -> str:
    """A hash of a JSON value that does not depend on its layout."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(manifest: dict[str, Any]) -> bytes:
    """A manifest as it is written, with its own hash."""
    content = {key: value for key, value in manifest.items() if key != SEAL}
    return json.dumps(content | {SEAL: seal(content)}, indent=2).encode()


def manifest(study: Study, device: str, descriptions: dict[str, Any] | None = None) -> dict[str, Any]:
    """The content of a run's ``study.json``.

    Args:
        study: what was asked.
        device: where it trains.
        descriptions: of its rules, games and metrics, where a run of this study has them; None works them out.
    """
    return {
        "schema": SCHEMA,
        "protocol": PROTOCOL,
        "device": device.split(":")[0],
        "study": study.model_dump(mode="json"),
        **({LABELS: study.labels} if study.labels else {}),
        "descriptions": _descriptions(study) if descriptions is None else descriptions,
        "environment": environment(device),
        "command": shlex.join([*_program(Path(sys.argv[0])), *sys.argv[1:]]),
    }


def _descriptions(study: Study) -> dict[str, Any]:
    """Of its rules, games and metrics, with what known generators score, for who reads the run has no data."""
    described = study.described()
    for label, game in described["games"].items():
        game["references"] = _references(study.plugins.game(label))
    return described


def _references(game: Game) -> dict[str, float]:
    """What a perfect generator and one of half of the data's kinds score, to three digits; none without the data.

    Then the baselines that the game declares, and the metric's perfect value where the game knows no perfect generator.
    """
    if game.missing:
        return {}
    metric = get_metric(game.score)
    known = reference_scores(game, metric, range(2), ("perfect", "half"))
    values = {name: float(scores.mean()) for name, scores in known.items()}
    if metric.best is not None:
        values = {"perfect": metric.best} | values
    return {name: float(f"{value:.3g}") for name, value in (values | game.baselines()).items()}


def core_of(manifest: dict[str, Any]) -> str:
    """What computed a run; before there were kernels it was torch."""
    environment = manifest.get("environment")
    return str(environment.get("core", "torch")) if isinstance(environment, dict) else "torch"


def _program(started: Path) -> list[str]:
    return ["python", "-m", "bench"] if started.name == "__main__.py" else [started.name]
