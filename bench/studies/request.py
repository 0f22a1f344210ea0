"""A study with the settings of its execution: what flags and a study file may contain."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from bench.errors import UserError, key_path, nearest
from bench.games.data.loading import existing_folder
from bench.studies.seeds import MOST_AT_ONCE, asks_for_more, count_of
from bench.studies.study import Study

PATIENCE = 600.0
"""Seconds; one step takes well below a second, the longest evaluation tens of them."""


class RunRequest(Study):
    """A study with the settings of its execution, which change none of its results.

    ``patience`` is in seconds: a plug-in without a heartbeat for so long counts as hung, and its chunk is an error.
    A chunk that takes longer than ``timeout`` seconds is also an error. Seeds spelled ``+20`` are ``add_seeds``.
    ``keep_weights`` says which report replicas' networks stay in the run's folder; None is what the run has.
    ``source_run`` is the folder of the run that the study continues.
    """

    jobs: Annotated[int, Field(ge=1)] | None = None
    engine: str = "local"  # before the device, which may be another machine's
    device: str = "cpu"
    out: Path | None = None
    data: Path | None = None
    patience: Annotated[float, Field(gt=0)] = PATIENCE
    timeout: Annotated[float, Field(gt=0)] = math.inf
    scheduler: str = ""
    keep_weights: Literal["none", "median", "all"] | None = None
    source_run: Path | None = None
    add_seeds: Annotated[int, BeforeValidator(count_of), Field(ge=0, le=MOST_AT_ONCE)] = 0

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str, info: Any) -> str:
        check_device(device, info.data.get("engine", "local"))
        return device

    @field_validator("data")
    @classmethod
    def _check_data(cls, data: Path | None) -> Path | None:
        return None if data is None else existing_folder(data)

    @cached_property
    def study(self) -> Study:
        """The study alone."""
        study = Study.model_construct(**{name: getattr(self, name) for name in Study.model_fields})
        study._source = self.source_run
        study.__dict__["plugins"] = self.plugins  # what the check of the request made is not made again
        return study


def check_device(device: str, engine: str = "local") -> None:
    """Refuse a device that this machine lacks, before anything is written; other machines check their own."""
    import torch

    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if not match:
        raise UserError(f"found {device!r}; cpu, cuda or cuda:i is allowed")
    if engine == "local" and device != "cpu" and int(match[1] or 0) >= torch.cuda.device_count():
        raise UserError(f"found {device!r}; this machine has {torch.cuda.device_count()} CUDA devices")


def make_request(settings: dict[str, Any]) -> RunRequest:
    """A request from flags or a file; raises UserError with a line for every mistake, each with its key."""
    if asks_for_more(settings.get("seeds")):
        settings = {key: value for key, value in settings.items() if key != "seeds"} | {"add_seeds": settings["seeds"]}
    try:
        return RunRequest(**settings)
    except ValidationError as error:
        raise UserError("\n".join(_lines(error))) from None


def _lines(error: ValidationError) -> Iterable[str]:
    for mistake in error.errors():
        key = key_path(mistake["loc"]) or "study"
        key = "seeds" if key == "add_seeds" and asks_for_more(mistake["input"]) else key
        if mistake["type"] == "extra_forbidden":
            yield f"unknown key {key!r}; {nearest(key, RunRequest.model_fields)}"
        elif mistake["type"] == "missing":
            yield f"{key}: missing; give at least one, e.g. sgd,adam,extragrad"
        elif mistake["type"] == "value_error":
            yield f"{key}: {mistake['ctx']['error']}"
        else:
            text = mistake["msg"][0].lower() + mistake["msg"][1:]
            yield f"{key}: found {mistake['input']!r}; {text.replace('input should be', 'it must be')}"
