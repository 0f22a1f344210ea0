"""One replica's networks as torch modules: samples first, parameters that are the module's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

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


class Recorded(nn.Module):
    """What torch has no module for: it takes samples [N, *entry] of a type, and its operations can be recorded on some.

    Args:
        entry: of a sample.
        dtype: of samples.
    """

    def __init__(self, entry: tuple[int, ...], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.entry, self.dtype = entry, dtype

    def stacked(self, h: Tensor) -> Tensor:
        """Activations of one replica [1, ..., batch] -> [1, ..., batch]."""
        raise NotImplementedError

    def forward(self, samples: Tensor) -> Tensor:
        """Samples [N, ...] -> samples, of the same bits wherever in memory the given ones lie."""
        return self.stacked(samples.movedim(0, -1).unsqueeze(0).contiguous())[0].movedim(-1, 0)


class OneReplica(Recorded):
    """Operations on stacked replicas, of one.

    Args:
        operations: parameters [R, ...] each, activations [R, ..., batch] -> [R, ..., batch].
        parameters: those of the replica, without R.
        entry, dtype: of what it takes.
    """

    def __init__(
        self,
        operations: Callable[[Sequence[Tensor], Tensor], Tensor],
        parameters: Iterable[Tensor],
        entry: tuple[int, ...],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(entry, dtype)
        self.operations = operations
        self.parts = nn.ParameterList(part.detach().clone() for part in parameters)

    def stacked(self, h: Tensor) -> Tensor:
        return self.operations([part.unsqueeze(0) for part in self.parts], h)


class NamedReplica(Recorded):
    """Layers with names, of one replica: their parameters stand under these.

    Args:
        operations: parameters [R, ...] each by layer, activations [R, ..., batch] -> [R, ..., batch].
        parameters: those of the replica by layer, without R.
        entry: of a sample that it takes.
    """

    def __init__(
        self,
        operations: Callable[[Mapping[str, Sequence[Tensor]], Tensor], Tensor],
        parameters: Mapping[str, Iterable[Tensor]],
        entry: tuple[int, ...],
    ) -> None:
        super().__init__(entry)
        self.operations = operations
        self.layers = nn.ModuleDict(
            {name: nn.ParameterList(part.detach().clone() for part in own) for name, own in parameters.items()}
        )

    def stacked(self, h: Tensor) -> Tensor:
        owners = cast("Iterable[tuple[str, nn.ParameterList]]", self.layers.items())
        return self.operations({name: [part.unsqueeze(0) for part in own] for name, own in owners}, h)
