"""One replica's networks as torch modules: samples first, parameters that are the module's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init


def holding(module: nn.Module, parameters: Iterable[Tensor]) -> nn.Module:
    """The module with copies of these parameters in place of its own, in their order."""
    with torch.no_grad():
        for own, given in zip(module.parameters(), parameters, strict=True):
            own.copy_(given)
    return module


def filled(kind: type[nn.Module], parameters: Iterable[Tensor], *sizes: int, **options: Any) -> nn.Module:
    """A torch layer of this class that holds the parameters; no random number is drawn for others."""
    module: nn.Module = skip_init(kind, *sizes, **options)  # type: ignore[no-untyped-call]
    return holding(module, parameters)


class Plus(nn.Module):
    """Samples -> skip(samples) + inner(samples), a residual connection; of torch alone, as its text goes home."""

    def __init__(self, inner: nn.Module, skip: nn.Module) -> None:
        super().__init__()
        self.inner, self.skip = inner, skip

    def forward(self, samples: Tensor) -> Tensor:
        """[N, ...] -> [N, ...]."""
        out: Tensor = self.skip(samples) + self.inner(samples)
        return out


class OneReplica(nn.Module):
    """What torch has no module for, for one replica: it takes samples [N, ...] and gives samples.

    Args:
        stacked: parameters [R, ...] each, activations [R, ..., batch] -> [R, ..., batch].
        parameters: those of the replica, without R.
    """

    def __init__(self, stacked: Callable[[Sequence[Tensor], Tensor], Tensor], parameters: Iterable[Tensor]) -> None:
        super().__init__()
        self.stacked = stacked
        self.parts = nn.ParameterList(part.detach().clone() for part in parameters)

    def forward(self, samples: Tensor) -> Tensor:
        """Samples [N, ...] -> samples."""
        parts = [part.unsqueeze(0) for part in self.parts]
        return self.stacked(parts, samples.movedim(0, -1).unsqueeze(0))[0].movedim(-1, 0)
