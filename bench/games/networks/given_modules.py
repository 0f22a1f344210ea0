"""Modules as a user gives them: made anew for every replica, prepared for calls, refused where that fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.games.networks.spectral import Normalised, weights_of, without_spectral_norm

Make = Callable[[], nn.Module]
Init = Callable[[nn.Module], None]
NAME = "gan_game"  # what a user called: errors begin with it
RUNNING = ("running_mean", "running_var", "num_batches_tracked")
LABELS = ("index", "one-hot")  # how a conditional network is told the class


@dataclass(frozen=True)
class Given:
    """A player's module as it was given, without spectral normalisation, which is computed outside of it.

    Args:
        who: generator or discriminator.
        module: prepared for calls; its own parameters are never used.
        make: a fresh one, decided by torch's random numbers.
        normalised: its spectrally normalised parameters.
        draws: whether it draws random numbers when it is called, as dropout does.
        labels: how it is told the class: "index", "one-hot" or "" for not.
    """

    who: str
    module: nn.Module
    make: Make
    normalised: Normalised
    draws: bool = False
    labels: str = ""


def fresh(make: Make, number: int) -> nn.Module:
    """The result of ``make`` with torch's generator at that seed; the caller's generator state is restored."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(number)
        return make()


def again(module: nn.Module) -> Make:
    """A function that makes a fresh module: a copy with every part reset, the inner ones first, as in a constructor."""

    def reset(part: nn.Module) -> None:
        for name in ("reset_parameters", "_reset_parameters"):
            if callable(method := getattr(part, name, None)):
                method()

    base = deepcopy(module).cpu()
    without_spectral_norm(base)
    return lambda: deepcopy(base).apply(reset)


def bare(make: Make) -> Make:
    """The function with spectral normalisation taken off what it makes."""

    def made_bare() -> nn.Module:
        module = make()
        without_spectral_norm(module)
        return module

    return made_bare


def prepared(module: nn.Module) -> nn.Module:
    """A copy in training mode without state between calls: no running averages, no operations in place."""
    copied = deepcopy(module).cpu().float().train()
    for part in copied.modules():
        if getattr(part, "track_running_stats", False):
            for name, value in (("track_running_stats", False), *dict.fromkeys(RUNNING).items()):
                setattr(part, name, value)
        if getattr(part, "inplace", False):
            part.inplace = False  # type: ignore[assignment]
        if isinstance(part, nn.modules.dropout._DropoutNd) and part.p == 0:
            part.eval()
    return copied


def unset(given: nn.Module, make: Make) -> Iterator[str]:
    """Parameters whose given values differ from those that ``make`` gives, each with the evidence."""
    first, other = (dict(fresh(make, number).named_parameters()) for number in (1, 2))
    for name, parameter in given.named_parameters():
        values, drawn = parameter.detach().cpu().double(), first[name].detach().cpu().double()
        count, wide, usual = values.numel(), *(float(part.std(correction=0)) for part in (values, drawn))
        if torch.equal(first[name], other[name]):
            if torch.equal(values, drawn) and count > 1 and wide > 0:
                yield f"{name} is set by no reset_parameters()"
            other_law = not torch.equal(values, drawn)
        else:
            off = abs(float(values.mean() - drawn.mean()))  # six deviations of what chance does, or more
            other_law = (count > 1 and wide == 0) or (
                count >= 16 and (off > 9 * max(wide, usual) / count**0.5 or abs(wide - usual) > 6 * usual / count**0.5)
            )
        if other_law:
            yield f"{name} is {float(values.mean()):.3g} +- {wide:.3g}, after reset_parameters() +- {usual:.3g}"


def given_module(who: str, given: nn.Module | Make, init: Init | None, spectral: bool = False) -> Given:
    """A player's module, or what makes it, prepared; ``spectral`` normalises all of its weights."""
    if not isinstance(given, nn.Module) and not callable(given):
        raise UserError(f"{NAME}: {who} is a {type(given).__name__}; a torch module, or what makes one, is allowed")
    if isinstance(given, nn.Module):
        plain, template = again(given), deepcopy(given)
    else:
        _makes(who, given)
        plain, template = bare(given), deepcopy(fresh(given, 0))
    make = plain if init is None else lambda: plain().apply(init)
    if lazy := [name for name, parameter in template.named_parameters() if nn.parameter.is_lazy(parameter)]:
        raise UserError(f"{NAME}: {who}'s {lazy[0]} is lazy; call the module on a sample once")
    normalised = without_spectral_norm(template)
    module = prepared(template)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            raise UserError(f"{NAME}: {who}'s {name} is frozen; every parameter is trained: make it a buffer")
    _varies(who, make)
    if isinstance(given, nn.Module) and init is None and (wrong := next(unset(template, make), "")):
        raise UserError(f"{NAME}: {who}'s {wrong}; give init=, or instead of the module a function that makes it")
    return Given(who, module, make, weights_of(module) if spectral else normalised)


def _makes(who: str, make: Make) -> None:
    """Refuse a function that makes no module, or hands out the same one."""
    first, second = fresh(make, 1), fresh(make, 2)
    if not isinstance(first, nn.Module):
        raise UserError(f"{NAME}: {who} is a function that gives a {type(first).__name__}; a torch module is allowed")
    if first is second:
        raise UserError(
            f"{NAME}: {who} is a function that gives the same module every time, and all seeds would start alike; "
            "make the module inside the function, or give the module itself"
        )


def _varies(who: str, make: Make) -> None:
    """Refuse starting values that torch's seed does not decide, or that are the same for every seed."""
    first, same, other = ([*fresh(make, number).parameters()] for number in (1, 1, 2))
    if not all(map(torch.equal, first, same)):
        raise UserError(
            f"{NAME}: {who} starts otherwise with the same seed; draw its values by torch's random numbers alone, "
            "not by numpy's or Python's"
        )
    if first and all(map(torch.equal, first, other)):
        raise UserError(f"{NAME}: {who} starts the same for every seed; draw its values in the function that makes it")


def tried(given: Given, x: Tensor, labels: Tensor | None, classes: int) -> tuple[Given, Tensor]:
    """What a module does with samples x [N, ...], and what it gives.

    Args:
        given: the module.
        x: samples or latents.
        labels: their classes int64 [N]; None where the data have none.
        classes: how many there are.

    Raises:
        UserError: it fails, changes its buffers, gives no tensor, or draws numbers that torch's seed does not decide.
    """
    ways: list[tuple[str, tuple[Any, ...]]] = [("", ())]
    if takes_labels(given.module):
        if labels is None:
            raise UserError(f"{NAME}: {given.who} takes labels beside {shown(x)}; the data have none: give pairs")
        one_hot = torch.nn.functional.one_hot(labels, classes).float()
        ways = list(zip(LABELS, ((labels,), (one_hot,)), strict=True))
    refused: list[UserError] = []
    for way, told in ways:
        try:
            y, draws = ran(given.who, given.module, x, *told)
        except UserError as error:
            refused.append(error)
            continue
        return replace(given, draws=draws, labels=way), y
    raise refused[0]


def takes_labels(module: nn.Module) -> bool:
    """Whether ``forward`` has two arguments that must be given: samples and labels."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    arguments = inspect.signature(module.forward).parameters.values()
    return sum(one.kind in positional and one.default is one.empty for one in arguments) >= 2


def ran(who: str, module: nn.Module, x: Tensor, *told: Tensor) -> tuple[Tensor, bool]:
    """What the module gives on samples, and whether it draws random numbers."""
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    outs, draws = [], False
    for _ in range(2):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(0)
            state = torch.get_rng_state()
            try:
                outs.append(module(x, *told))
            except Exception as error:
                reason = " ".join(str(error).split())
                raise UserError(f"{NAME}: {who} on {shown(x)} raised {type(error).__name__}: {reason}") from error
            draws = not torch.equal(torch.get_rng_state(), state)
    if changed := [name for name, buffer in module.named_buffers() if not torch.equal(buffer, kept[name])]:
        raise UserError(
            f"{NAME}: {who} changes its buffer {changed[0]} when it is called; nothing is kept between calls"
        )
    y, again_y = outs
    if not isinstance(y, Tensor):
        raise UserError(f"{NAME}: {who} gives a {type(y).__name__}; a tensor is allowed")
    if not torch.equal(y, again_y) and bool(y.isfinite().all()):
        raise UserError(f"{NAME}: {who} draws random numbers that torch's seed does not decide; use torch's alone")
    return y, draws


def shown(x: Tensor) -> str:
    """The shape of a minibatch, for a person."""
    return f"(N{''.join(f', {length}' for length in x.shape[1:])})" if x.ndim else "a number"
