"""Networks as programs of the kernels: a row of numbers a layer. See `bench.numerics.kernels.layers`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from bench.games.networks.layers import Activation, Linear, Reshape
from bench.games.networks.networks import Network
from bench.numerics.randomness import GRAIN

Program = npt.NDArray[np.int64]
ALIGNMENT = 64  # bytes: a BLAS may choose its way by it


def program(network: Network, start: int) -> Program | None:
    """The program of a network's layers, whose first column of w is ``start``; None where it is no perceptron."""
    from bench.numerics.kernels.layers import CODES

    if network.plain is None:
        return None
    lines: list[list[int]] = []
    parameters = iter(network.parameters(start))
    for layer in network.plain.layers:
        if isinstance(layer, Linear):
            weight, bias = next(parameters), next(parameters)
            lines.append([layer.fan_in, layer.fan_out, CODES["none"], weight.start, bias.start])
        elif isinstance(layer, Activation) and layer.name in CODES and lines and lines[-1][2] == CODES["none"]:
            lines[-1][2] = CODES[layer.name]
        elif not isinstance(layer, Reshape):
            return None
    return np.array(lines, dtype=np.int64) if lines else None


def normalised(network: Network, start: int) -> Program:
    """Of every normalised weight of a perceptron the first column of w, its rows and its columns, [count, 3]."""
    parameters = network.parameters(start)
    places = [(parameters[number].start, *parameters[number].shape) for number in network.normalised]
    return np.array(places, dtype=np.int64).reshape(-1, 3)


def aligned(size: int, dtype: torch.dtype) -> npt.NDArray[np.floating]:
    """So many zeros that begin at a whole cache line."""
    kind = np.dtype(np.float32 if dtype == torch.float32 else np.float64)
    raw = np.zeros(size * kind.itemsize + ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % ALIGNMENT
    return raw[first : first + size * kind.itemsize].view(kind)


class Scratch:
    """Memory of a kernel: one flat array that begins and whose parts begin at whole cache lines."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, count: int) -> int:
        """The place of so many more numbers."""
        place = self.size
        self.size += count + -count % GRAIN
        return place

    def array(self, dtype: torch.dtype) -> npt.NDArray[np.floating]:
        """The whole of it."""
        return aligned(self.size, dtype)


def places(net: Program, count: int, scratch: Scratch) -> npt.NDArray[np.int64]:
    """Where the activations of every layer for so many samples lie."""
    return np.array([scratch.take(int(fan_out) * count) for fan_out in net[:, 1]], dtype=np.int64)
