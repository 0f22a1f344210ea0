"""Ordinary torch modules as networks for stacked replicas.

A ``nn.Sequential`` of the usual layers becomes the layers of ``bench.games.networks``. Any other module runs through
torch.func: all replicas at once if that does not change a replica's bits, otherwise one at a time. Normalisation uses
the statistics of the current batch, like a module in training mode; there are no running averages.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bench.errors import UserError
from bench.games.networks.layers import Shape
from bench.games.networks.modules import holding
from bench.games.networks.networks import Network
from bench.games.networks.translation import Unlike, translated
from bench.numerics.randomness import GRAIN, uniform

Make = Callable[[], nn.Module]
Init = Callable[[nn.Module], None]
NAME = "gan_game"  # what a user called: errors begin with it
RUNNING = ("running_mean", "running_var", "num_batches_tracked")
TOLERANCE = 1e-4  # relative to the largest entry: more is no rounding


@dataclass(frozen=True, eq=False, kw_only=True)
class Stacked(Network):
    """A torch module for each replica, its parameters in a row of w.

    Args:
        template: the module; its own parameters are never used.
        make: a fresh one, decided by torch's random numbers.
        entry: of a sample as the module takes it.
        leave: of a sample as it is passed on.
        why: what keeps it from being a stack of layers; "" for nothing.
        together: whether torch.func takes all replicas at once.
    """

    template: nn.Module
    make: Make
    entry: Shape
    leave: Shape
    why: str = ""
    together: bool = True

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Of the parameters by name, without R."""
        return {name: tuple(parameter.shape) for name, parameter in self.template.named_parameters()}

    @cached_property
    def tensor_shapes(self) -> tuple[Shape, ...]:
        """Of the module's parameters in turn, without R."""
        return tuple(self.shapes.values())

    def init(self, seeds: Tensor, stream: str) -> Tensor:
        """The parameters of a fresh module for each seed, a function of the seed alone: [R, size]."""
        numbers = whole_numbers(seeds, stream, 0)
        rows = {number: self._row(fresh(self.make, number)) for number in dict.fromkeys(numbers)}
        return torch.stack([rows[number] for number in numbers])

    def _row(self, module: nn.Module) -> Tensor:
        flat = (parameter.detach().cpu().float().flatten() for parameter in module.parameters())
        return torch.cat([part for block in flat for part in (block, torch.zeros(-len(block) % GRAIN))])

    def __call__(self, parameters: Tensor, h: Tensor) -> Tensor:
        h = h.reshape(len(h), *self.entry, h.shape[-1])
        out = super().__call__(parameters, h) if self.layers else self._through(parameters, h)
        return out.reshape(len(h), *self.leave, h.shape[-1])

    def module(self, row: Tensor, entry: Shape) -> nn.Module:
        """The module itself, a copy, with one replica's parameters [size]; in training mode, as it was trained."""
        parts = torch.split(row.detach().cpu(), self.layout)[::2]
        shaped = (part.view(shape) for part, shape in zip(parts, self.tensor_shapes, strict=True))
        return holding(deepcopy(self.template), shaped)

    def _through(self, parameters: Tensor, h: Tensor) -> Tensor:
        """By torch.func: [R, ..., batch] -> [R, ..., batch]."""
        parts = torch.split(parameters, self.layout, dim=1)[::2]
        named_parts = {
            name: part.view(-1, *shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
        shared = {name: buffer.to(h.device) for name, buffer in self.template.named_buffers()}

        def one(mine: dict[str, Tensor], x: Tensor) -> Tensor:
            out: Tensor = functional_call(self.template, mine | shared, (x,))
            return out

        x = h.movedim(-1, 1)
        if self.together:
            return vmap(one)(named_parts, x).movedim(1, -1)
        rows = [one({name: part[r] for name, part in named_parts.items()}, x[r]) for r in range(len(h))]
        return torch.stack(rows).movedim(1, -1)


def whole_numbers(seeds: Tensor, stream: str, draw: int) -> list[int]:
    """A number of 48 bits a replica, decided by (seed, stream, draw)."""
    high, low = (uniform(seeds, stream, draw, (2,)).double() * 2**24).long().unbind(1)
    return (high * 2**24 + low).tolist()


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
    return lambda: deepcopy(base).apply(reset)


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


def stacked(template: nn.Module, make: Make, x: Tensor, entry: Shape, leave: Shape) -> Stacked:
    """A prepared module for stacked replicas, in the fastest correct way; x [batch, *entry]."""
    try:
        layers, _ = translated(template, x, set())
        network = Stacked(layers=tuple(layers), template=template, make=make, entry=entry, leave=leave)
        with torch.no_grad():
            row, expected = network._row(template), template(x)
            gap = network(row[None], x.movedim(0, -1)[None])[0].movedim(-1, 0).reshape(expected.shape) - expected
        if layers and gap.abs().max() <= TOLERANCE * expected.abs().max().clamp(min=1):
            return network
        why = "its layers differ from those here" if layers else "it has no layers"
    except Unlike as unlike:
        why = str(unlike)
    network = Stacked(template=template, make=make, entry=entry, leave=leave, why=why)
    if _stays_apart(network, x):
        return network
    return Stacked(template=template, make=make, entry=entry, leave=leave, why=why, together=False)


def _stays_apart(network: Stacked, x: Tensor) -> bool:
    """Whether two replicas have the same bits alone as in a stack of five, gradients too."""
    w = network.init(torch.arange(5), "tried")
    h = x.movedim(0, -1).expand(5, *x.shape[1:], len(x))
    try:
        with warnings.catch_warnings(action="error"):  # torch warns where it would loop itself, and slowly
            five, two = (_values(network, w[:count], h[:count]) for count in (5, 2))
    except Exception:  # operations that vmap refuses, e.g. branches on values, work one replica at a time
        return False
    return all(torch.equal(a[:2], b) for a, b in zip(five, two, strict=True))


def _values(network: Stacked, w: Tensor, h: Tensor) -> list[Tensor]:
    w, h = w.clone().requires_grad_(), h.clone().requires_grad_()
    out = network(w, h)
    return [out, *torch.autograd.grad(out.square().sum(), [w, h], allow_unused=True, materialize_grads=True)]


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


# --- what a user gives -----------------------------------------------------------------------------------------------


def made(who: str, given: nn.Module | Make, init: Init | None) -> tuple[nn.Module, Make]:
    """A module prepared for calls, and a function that makes a fresh one."""
    if not isinstance(given, nn.Module) and not callable(given):
        raise UserError(f"{NAME}: {who} is a {type(given).__name__}; a torch module, or what makes one, is allowed")
    plain = again(given) if isinstance(given, nn.Module) else given
    make = plain if init is None else lambda: plain().apply(init)
    template = given if isinstance(given, nn.Module) else fresh(make, 0)
    if lazy := [name for name, parameter in template.named_parameters() if nn.parameter.is_lazy(parameter)]:
        raise UserError(f"{NAME}: {who}'s {lazy[0]} is lazy; call the module on a sample once")
    module = prepared(template)
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0:
            raise UserError(f"{NAME}: {who} has {part}; what draws random numbers is not allowed, p=0 is")
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            raise UserError(f"{NAME}: {who}'s {name} is frozen; every parameter is trained: make it a buffer")
    if isinstance(given, nn.Module) and init is None and (wrong := next(unset(given, make), "")):
        raise UserError(f"{NAME}: {who}'s {wrong}; give init=, or instead of the module a function that makes it")
    return module, make


def ran(who: str, module: nn.Module, x: Tensor) -> Tensor:
    """The module on samples; refused if it fails, draws random numbers or changes its buffers."""
    state, kept = torch.get_rng_state(), {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        with torch.no_grad():
            y = module(x)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{NAME}: {who} on {shown(x)} raised {type(error).__name__}: {reason}") from error
    if not torch.equal(torch.get_rng_state(), state):
        raise UserError(f"{NAME}: {who} draws random numbers when it is called; none are allowed")
    if changed := [name for name, buffer in module.named_buffers() if not torch.equal(buffer, kept[name])]:
        raise UserError(
            f"{NAME}: {who} changes its buffer {changed[0]} when it is called; nothing is kept between calls"
        )
    if not isinstance(y, Tensor):
        raise UserError(f"{NAME}: {who} gives a {type(y).__name__}; a tensor is allowed")
    return y


def shown(x: Tensor) -> str:
    """The shape of a minibatch, for a person."""
    return f"(N{''.join(f', {length}' for length in x.shape[1:])})" if x.ndim else "a number"
