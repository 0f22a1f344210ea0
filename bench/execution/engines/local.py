"""This machine: this process, or slots of one process each."""

from __future__ import annotations

from bench.execution.process_pool import engine

__all__ = ["engine"]
