"""What `bench verify` found of a run, kept beside it: ``verification.json``, which may come from a stranger.

The file says how many of the recorded trainings were trained again and agreed. It is a claim like any other in the
folder: whoever publishes runs lets ``bench verify`` write it anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError, model_validator

from bench.errors import key_path
from bench.storage.files import read_regular
from bench.storage.records import Damaged

FILE = "verification.json"
LARGEST = 2_000_000  # bytes
LONGEST = 4096  # letters of a text in it
MOST = 100_000  # cells that it may name

Text = Annotated[StrictStr, Field(max_length=LONGEST)]
Plain = Text | StrictBool | StrictInt | float | None


class Verification(BaseModel):
    """How many recorded trainings were trained again, and how many of them agreed.

    Args:
        cells: trainings that were trained again.
        agreed: how many of them gave what is recorded.
        undecided: how many of them rounding alone may move as far as their scores are large.
        differ: what does not agree, a line or a small table each.
        exact: whether they were compared bit for bit, rather than within bounds.
        machine: where they were trained again.
        protocol: that of the run.
        records: the digest of the run's records; "" where it is not said.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    cells: Annotated[StrictInt, Field(ge=0, le=10**9)]
    agreed: Annotated[StrictInt, Field(ge=0)]
    undecided: Annotated[StrictInt, Field(ge=0)] = 0
    differ: Annotated[list[Text | dict[Text, Plain]], Field(max_length=MOST)]
    exact: StrictBool
    machine: Text
    protocol: Text
    records: Text = ""

    @model_validator(mode="after")
    def _check(self) -> Verification:
        if self.agreed + self.undecided > self.cells:
            counted = f"agreed is {self.agreed}" + (f" and undecided {self.undecided}" if self.undecided else "")
            raise ValueError(f"{counted}, more than the {self.cells} cells")
        if not (self.machine.isprintable() and all(line.isprintable() for line in self.differences)):
            raise ValueError("a text in it is none that can be printed on one line")
        return self

    @property
    def whole(self) -> bool:
        """Whether everything that was looked at agrees."""
        return self.verdict is True

    @property
    def verdict(self) -> bool | None:
        """Whether the run is what is trained again; None where rounding leaves it open."""
        if self.differ or self.agreed + self.undecided < self.cells:
            return False
        return True if self.agreed else None

    @property
    def differences(self) -> list[str]:
        """What does not agree, a line each."""
        return [
            one if isinstance(one, str) else ", ".join(f"{key} {value}" for key, value in one.items())
            for one in self.differ
        ]

    @property
    def short(self) -> str:
        """``verified: 20 of 20 cells, bit for bit``, or how many agree where some do not."""
        how = "bit for bit" if self.exact else "within bounds"
        how += f", {self.undecided} undecided" if self.undecided else ""
        if self.whole:
            return f"verified: {self.agreed} of {self.cells} cells, {how}"
        told = "not as recorded" if self.verdict is False else "not decided"
        return f"{told}: {self.agreed} of {self.cells} cells agree, {how}"

    @property
    def words(self) -> str:
        """The same with the machine: ``verified: 20 of 20 cells, bit for bit, on MACHINE``."""
        return f"{self.short}, on {self.machine}" if self.machine.strip() else self.short


def read_verification(folder: Path, protocol: str, digest: Callable[[], str]) -> Verification | None:
    """What was found of the run in a folder; None where there is no such file.

    Args:
        folder: the run's.
        protocol: the run's.
        digest: works out the digest of the run's records.

    Raises:
        Damaged: the file is none of ``bench verify``, or is of another protocol or other records; in one line.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    if path.lstat().st_size > LARGEST:
        raise Damaged(f"{str(path)!r} is damaged: it has more than {LARGEST:,} bytes")
    try:
        found = Verification.model_validate(json.loads(read_regular(path).decode()))
    except OSError as error:
        raise Damaged(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        words = first["msg"].removeprefix("Value error, ").lower()
        key = key_path(first["loc"])[:80]
        raise Damaged(f"{str(path)!r} is damaged: {key + ': ' if key else ''}{words}") from None
    except (ValueError, RecursionError):
        raise Damaged(f"{str(path)!r} is damaged: it is not JSON") from None
    if found.protocol != protocol:
        raise Damaged(
            f"{str(path)!r} is of protocol {found.protocol[:20]!r}, its run of {protocol[:20]!r}: "
            "bench verify RUN writes it anew"
        )
    if found.records and found.records != digest():
        raise Damaged(f"{str(path)!r} is of other records than its run has: bench verify RUN writes it anew")
    return found
