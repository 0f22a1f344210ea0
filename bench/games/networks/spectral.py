"""Spectral normalisation as people write it, taken off a module and told apart: `torch.nn.utils` in both its forms.

Torch keeps a vector between calls and improves it by one power iteration at each. Here nothing is kept outside w: the
largest singular value is found anew at every call, as the shipped games' ``spectral=true`` does (Miyato et al. 2018,
arXiv:1802.05957).
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.spectral_norm import SpectralNorm

Normalised = dict[str, int]
"""Name of a parameter -> the dimension that counts its matrix's rows; the others together are its columns."""


def without_spectral_norm(module: nn.Module) -> Normalised:
    """Take spectral normalisation off every part of a module, in place, and return which parameters had it."""
    normalised: Normalised = {}
    for path, part in module.named_modules():
        for name, rows in [*_hooked(part), *_parametrised(part)]:
            normalised[f"{path}.{name}".lstrip(".")] = rows
    return normalised


def weights_of(module: nn.Module) -> Normalised:
    """All weights with two dimensions or more, as ``spectral=true`` normalises them."""
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return {
        f"{path}.{name}".lstrip("."): int(isinstance(part, transposed))
        for path, part in module.named_modules()
        for name, parameter in part.named_parameters(recurse=False)
        if parameter.ndim > 1 and not isinstance(part, nn.Embedding)
    }


def _hooked(part: nn.Module) -> list[tuple[str, int]]:
    """Of one part, what `torch.nn.utils.spectral_norm` normalised."""
    found = []
    for key, hook in list(part._forward_pre_hooks.items()):
        if isinstance(hook, SpectralNorm):
            del part._forward_pre_hooks[key]
            given = part._parameters.pop(f"{hook.name}_orig")
            delattr(part, hook.name)
            for suffix in ("_u", "_v"):
                part._buffers.pop(hook.name + suffix, None)
            part.register_parameter(hook.name, given)
            _put_first(part, hook.name)
            found.append((hook.name, hook.dim))
    return found


def _put_first(part: nn.Module, name: str) -> None:
    """Put a parameter that was registered anew where weights stand: before the bias."""
    for other in [key for key in part._parameters if key != name]:
        part._parameters[other] = part._parameters.pop(other)


def _parametrised(part: nn.Module) -> list[tuple[str, int]]:
    """Of one part, what `torch.nn.utils.parametrizations.spectral_norm` parametrises, if nothing else does.

    By hand, since torch's `remove_parametrizations` changes the part's class, which a copy shares with the original.
    """
    if not is_parametrized(part):
        return []
    chains = dict(part.parametrizations.items())  # type: ignore[operator, union-attr]
    if not all(len(chain) == 1 and isinstance(chain[0], _SpectralNorm) for chain in chains.values()):
        return []
    del part._modules["parametrizations"]
    part.__class__ = type(part).__bases__[0]
    for name, chain in chains.items():
        part.register_parameter(name, chain.original)
        _put_first(part, name)
    return [(name, chain[0].dim) for name, chain in chains.items()]
