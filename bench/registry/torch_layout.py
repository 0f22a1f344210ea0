"""Memories of many replicas as tensors with leading R.

A layout knows every form that a class's memory takes, so that a memory is the number of its form and its leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.contracts import State
from bench.registry.torch_memory import Form, Reading, Spec, specs


class UnknownFormError(Exception):
    """A memory of a form that no trial has seen."""


@dataclass(eq=False)
class Layout:
    """Every form of a memory that was seen, and where its leaves lie among tensors with leading R."""

    forms: dict[Form, int] = field(default_factory=dict)
    seen: list[tuple[Form, list[Spec | type]]] = field(default_factory=list)
    slots: dict[Spec | type, int] = field(default_factory=dict)
    """How many tensors of a shape and dtype, or numbers of a type, a form has at most."""

    @property
    def tensors(self) -> list[str]:
        """The names of tensors of real numbers among those of a memory."""
        return [name for name, spec, _ in self._banks() if not isinstance(spec, type) and spec[1].is_floating_point]

    def learn(self, reading: Reading) -> bool:
        """Make room for a memory; whether its form is new."""
        form = reading.form
        if form in self.forms:
            return False
        self.forms[form] = len(self.forms)
        self.seen.append((form, specs(form)))
        counts: dict[Spec | type, int] = {}
        for spec in self.seen[-1][1]:
            counts[spec] = counts.get(spec, 0) + 1
        self.slots |= {spec: max(count, self.slots.get(spec, 0)) for spec, count in counts.items()}
        return True

    def empty(self, rows: int, device: torch.device) -> State:
        """Room for the memories of some replicas, none of which has begun."""
        state: State = {"form": torch.full((rows, 1), -1, dtype=torch.int64, device=device)}
        for name, spec, count in self._banks():
            shape, dtype = ((), torch.float64 if spec is float else torch.int64) if isinstance(spec, type) else spec
            state[name] = torch.zeros((rows, count, *shape), dtype=dtype, device=device)
        return state

    def _banks(self) -> Iterator[tuple[str, Spec | type, int]]:
        for spec, count in self.slots.items():
            shape = (
                ""
                if isinstance(spec, type)
                else "x".join(map(str, spec[0])) + " " + str(spec[1]).removeprefix("torch.")
            )
            yield (f"{spec.__name__}s" if isinstance(spec, type) else f"tensors {shape}"), spec, count

    def put(self, reading: Reading, state: State, row: int) -> None:
        """Write one replica's memory into tensors that nothing else holds."""
        number = self.forms.get(reading.form)
        if number is None:
            raise UnknownFormError
        state["form"][row] = number
        values: dict[Spec | type, list[Any]] = {}
        for spec, leaf in zip(self.seen[number][1], reading.leaves, strict=True):
            values.setdefault(spec, []).append(leaf)
        for name, spec, _ in self._banks():
            bank, found = state[name][row], values.get(spec, [])
            if isinstance(spec, type):
                bank[: len(found)] = torch.tensor(found, dtype=bank.dtype)
            else:
                for slot, leaf in enumerate(found):
                    bank[slot].copy_(leaf)

    def take(self, state: State, row: int) -> tuple[Form, list[Any]] | None:
        """One replica's memory: its form and leaves of its own; None where it has not begun."""
        number = int(state["form"][row])
        if number < 0:
            return None
        form, leaves = self.seen[number]
        values = {spec: iter(self._unpacked(state[name][row], spec)) for name, spec, _ in self._banks()}
        return form, [next(values[spec]) for spec in leaves]

    @staticmethod
    def _unpacked(bank: Tensor, spec: Spec | type) -> list[Any]:
        return bank.tolist() if isinstance(spec, type) else [bank[slot].clone() for slot in range(len(bank))]
