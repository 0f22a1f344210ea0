"""This machine: this process, or slots of one process each."""

from __future__ import annotations

from bench.slots import engine

__all__ = ["engine"]
