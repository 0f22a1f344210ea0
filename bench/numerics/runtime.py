"""The process that computes: its version of this package, its threads, its memory, its processor."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt

MKL = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
"""What in the environment decides how MKL's products round."""


@cache
def hold_memory() -> None:
    """Let the allocator retain what autograd frees at every step: page faults cost up to a third of a step."""
    with suppress(OSError, AttributeError, TypeError):  # other allocators than glibc's are left as they are
        allocator = ctypes.CDLL(None)
        allocator.mallopt(M_MMAP_THRESHOLD, 1 << 30) or allocator.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # older: at most
        allocator.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
        allocator.mallopt(M_TOP_PAD, 256 << 20)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums split over threads would have other last bits from machine to machine, and other times."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def flushed_denormals() -> Iterator[bool]:
    """Numbers too small for full precision become 0, where the processor can: they cost a hundred times others.

    A game with a softmax comes to have many of them, and slows down two to three times through its training.
    """
    before = bool(torch.tensor(5e-324, dtype=torch.float64) * 1 == 0)
    flushed = torch.set_flush_denormal(True)
    try:
        yield flushed
    finally:
        torch.set_flush_denormal(before)


def version() -> str:
    """The installed version of this package."""
    try:
        return metadata.version("gan-optimizer-bench")
    except metadata.PackageNotFoundError:  # run from its sources
        return "unknown"


def processor(device: str) -> str:
    """The name of a device's processor; for a CPU also its family, model and kernels, because a name may be vague."""
    if device.startswith("cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    kernels = torch.backends.cpu.get_cpu_capability()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpuinfo = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
        return f"{cpuinfo['model name']} (family {cpuinfo['cpu family']}, model {cpuinfo['model']}, {kernels})"
    except (OSError, KeyError):
        return f"{platform.processor() or 'unknown'} ({kernels})"


def vectors() -> str:
    """The vector width of torch and the mode of MKL: with the processor they determine the last bits."""
    told = [f"{name}={value}" for name in MKL if (value := os.environ.get(name))]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *told])


def denormals() -> str:
    """What training does with denormal numbers on this processor."""
    with flushed_denormals() as flushed:
        return "flushed" if flushed else "kept"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
