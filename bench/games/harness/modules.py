"""A user's own GAN: two ordinary torch modules, a loss by name and real data make a game.

    # my_gan.py
    game = bench.gan_game(generator, discriminator, "non-saturating", data)

and ``bench run --games ./my_gan.py:game`` plays it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, partial
from hashlib import sha256
from statistics import median
from time import perf_counter
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contracts import Oracle
from bench.errors import UserError
from bench.games.harness.gan import GAN
from bench.games.networks.layers import Shape
from bench.games.networks.networks import Network
from bench.games.networks.stacking import NAME, Init, Make, Stacked, fresh, made, ran, shown, stacked, whole_numbers
from bench.numerics.randomness import GRAIN, integers

Draw = Callable[[torch.Generator, int], Tensor]
BELOW_LOGITS = ("minimax", "non-saturating", "relativistic")  # a sigmoid is part of these losses
R = 8  # replicas of a measurement of speed


@dataclass(frozen=True, eq=False, kw_only=True)
class ModuleGAN(GAN):
    """A GAN between two torch modules; made by ``gan_game``. Two of them are equal where they are one.

    Args:
        networks: generator and discriminator.
        source: real samples [N, ...], or what draws them.
        budget, score: as every game's.
    """

    name: ClassVar[str] = NAME
    networks: tuple[Stacked, Stacked]
    source: Tensor | Draw
    budget: float = 1000.0
    score: str = "field_norm"

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    @property
    def generator(self) -> Network:
        return self.networks[0]

    @property
    def discriminator(self) -> Network:
        return self.networks[1]

    def real(self, seeds: Tensor, draw: int) -> Tensor:
        if isinstance(self.source, Tensor):
            which = integers(seeds, "real", draw, (self.batch_size,), len(self.source))
            return self.source[which].movedim(1, -1)
        numbers = whole_numbers(seeds, "real", draw)
        drawn = {number: drawn_by(self.source, number, self.batch_size) for number in dict.fromkeys(numbers)}
        return torch.stack([drawn[number] for number in numbers]).movedim(1, -1)

    @cached_property
    def digest(self) -> str:
        """A hash of the game without the code of its modules: options, data, values that are not reset."""
        told = sha256()
        for item in fields(self):
            if item.name not in ("networks", "source"):
                told.update(f"{item.name}={getattr(self, item.name)};".encode())
        for network in self.networks:
            told.update(str(network.template).encode())
            first, other = (fresh(network.make, number) for number in (1, 2))
            pairs = zip(first.parameters(), other.parameters(), strict=True)
            for kept in [a for a, b in pairs if torch.equal(a, b)] + list(network.template.buffers()):
                told.update(kept.detach().cpu().float().contiguous().numpy().tobytes())
        if isinstance(self.source, Tensor):
            told.update(self.source.numpy().tobytes())
        return told.hexdigest()[:16]


def gan_game(
    generator: nn.Module | Make,
    discriminator: nn.Module | Make,
    loss: str,
    data: Any,
    *,
    latent: int | Shape | None = None,
    init: Init | None = None,
    **options: Any,
) -> ModuleGAN:
    """Make a game of two ordinary torch modules, a loss and a source of real data.

    Every replica starts as a fresh module does, decided by its seed: ``reset_parameters()`` of every part is called,
    then ``init`` visits every part, as ``Module.apply`` does. Parameters that no part resets keep the given values. If
    the module is given as a function without arguments, that function makes the module of each replica. Modules are in
    training mode: batch normalisation uses the statistics of the batch, for generated samples too.

    Args:
        generator: takes latents [N, latent] or [N, latent, 1, 1], standard normal, and returns samples of the shape of
            the data.
        discriminator: takes samples and returns one logit for each, without a sigmoid: [N] or [N, 1].
        loss: ``minimax``, ``non-saturating``, ``wgan``, ``wgan-gp``, ``hinge``, ``lsgan`` or ``relativistic``.
        data: real samples [N, ...]; or a data set of samples or of pairs with the sample first, which is read as a
            whole; or a function (torch.Generator, count) -> [count, ...] that uses no other randomness.
        latent: the size or the shape of a latent; by default what the generator's first linear layer or convolution
            takes.
        init: sets the starting values of one part of a module, where ``reset_parameters`` is not enough.
        options: ``batch_size``, ``budget`` (gradient evaluations), ``score``, ``regulariser``, ``gamma``, ``noise``, as
            in ``bench.games.harness.gan.GAN``.

    Returns:
        A game that every rule and metric accepts.

    Raises:
        UserError: the modules, the loss and the data do not fit together; the message says where.

    Example:
        >>> import bench, torch
        >>> from torch import nn
        >>> generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        >>> discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        >>> game = bench.gan_game(generator, discriminator, "hinge", torch.randn(100, 2))
        >>> F = bench.Oracle(game, seeds=[0, 1, 2])
        >>> F(game.init(F.seeds)).shape == (3, sum(game.sizes))
        True
    """
    allowed = {"batch_size", "budget", "score", "regulariser", "gamma", "noise"}
    if wrong := sorted(set(options) - allowed):
        raise UserError(f"{NAME}: there is no {wrong[0]!r}; known: {', '.join(sorted(allowed))}")
    batch_size = options.get("batch_size", GAN.batch_size)
    if not isinstance(batch_size, int) or batch_size < 1 or batch_size % GRAIN:
        raise UserError(f"{NAME}: batch_size is {batch_size}; a multiple of {GRAIN} is allowed")
    source, real = _source(data, batch_size)
    players = [made(*given, init) for given in (("generator", generator), ("discriminator", discriminator))]
    latents = _latents(players[0][0], latent, real)
    _discriminates(players[1][0], loss, real)
    entry, sample = tuple(latents.shape[1:]), tuple(real.shape[1:])
    networks = stacked(*players[0], latents, entry, sample), stacked(*players[1], real, sample, (1,))
    game = ModuleGAN(loss=loss, latent=latents[0].numel(), networks=networks, source=source, **options)
    _tried(game)
    return game


def _discriminates(module: nn.Module, loss: str, real: Tensor) -> None:
    """A discriminator gives one logit a sample."""
    if loss in BELOW_LOGITS and type(module) is nn.Sequential and isinstance([*module.modules()][-1], nn.Sigmoid):
        raise UserError(f"{NAME}: discriminator ends in Sigmoid; the loss {loss!r} takes logits: leave it out")
    logits = ran("discriminator", module, real)
    if logits.numel() != len(real) or len(logits) != len(real):
        raise UserError(
            f"{NAME}: discriminator gives {shown(logits)} on data {shown(real)}; one logit, (N, 1), is allowed"
        )


def _latents(module: nn.Module, latent: int | Shape | None, real: Tensor) -> Tensor:
    """Latents [N, ...] of the shape on which the generator gives samples of the data's shape."""
    if latent is None:
        linear = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
        first = next((part for part in module.modules() if isinstance(part, linear)), None)
        if first is None:
            raise UserError(
                f"{NAME}: the generator has no linear layer or convolution to tell the latents by: give latent="
            )
        latent = first.in_features if isinstance(first, nn.Linear) else first.in_channels
    shapes: list[Shape] = [(latent,), (latent, 1, 1)] if isinstance(latent, int) else [tuple(latent)]
    refused: list[UserError] = []
    for shape in shapes:
        latents = torch.randn(len(real), *shape, generator=torch.Generator().manual_seed(0))
        try:
            samples = ran("generator", module, latents)
        except UserError as error:
            refused.append(error)
            continue
        if samples.shape == real.shape:
            return latents
        text = f"{NAME}: generator gives {shown(samples)} on latents {shown(latents)}, the data are {shown(real)}"
        refused.append(UserError(text))
    mismatches = [error for error in refused if " gives " in str(error)]
    raise (mismatches or refused)[0]


def _source(data: Any, count: int) -> tuple[Tensor | Draw, Tensor]:
    """The data, read or checked, and a minibatch of them [count, ...]."""
    if callable(data):
        drawn, other = (drawn_by(data, 0, count) for _ in range(2))
        if not torch.equal(drawn, other):
            raise UserError(f"{NAME}: data drawn twice by the same generator differ; draw by the generator given alone")
        return data, drawn
    if not isinstance(data, Tensor):
        try:
            items = [data[i] for i in range(len(data))]
            data = torch.stack(
                [torch.as_tensor(item[0] if isinstance(item, (tuple, list)) else item) for item in items]
            )
        except Exception as error:
            description = f"{type(data).__name__}, which raised {type(error).__name__}: {' '.join(str(error).split())}"
            raise UserError(
                f"{NAME}: data is a {description}; samples [N, ...], a data set or a function is allowed"
            ) from error
    data = data.detach().cpu().float().contiguous()
    if data.ndim < 2 or not len(data) or not bool(data.isfinite().all()):
        raise UserError(
            f"{NAME}: data has shape {tuple(data.shape)}; finite samples (N, features) or (N, C, H, W) are allowed"
        )
    return data, data[torch.arange(count) % len(data)]


def drawn_by(draw: Draw, number: int, count: int) -> Tensor:
    """Samples [count, ...] that a function draws from that seed."""
    samples = draw(torch.Generator().manual_seed(number), count)
    if not isinstance(samples, Tensor) or samples.ndim < 2 or len(samples) != count:
        description = f"shape {tuple(samples.shape)}" if isinstance(samples, Tensor) else f"a {type(samples).__name__}"
        raise UserError(
            f"{NAME}: data gives {description} for {count} samples; a tensor ({count}, features...) is allowed"
        )
    return samples.detach().float()


def _tried(game: ModuleGAN) -> None:
    """Take one gradient of each player: an error in differentiation, twice for a regulariser, is raised here."""
    F = Oracle(game, [0, 1])
    try:
        F(game.init(F.seeds))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{NAME}: the gradient of the losses raised {type(error).__name__}: {reason}") from error


def speed(game: ModuleGAN) -> str:
    """How a game runs, and how fast: for ``bench check``."""
    ways = dict(zip(("generator", "discriminator"), map(_way, game.networks), strict=True))
    told = [f"{who} {way}" for who, way in ways.items()]
    if len(set(ways.values())) == 1:
        told = [f"both {ways['generator']}"]
    many, one = Oracle(game, range(R)), Oracle(game, [0])
    w = game.init(many.seeds)
    times: dict[bool, list[float]] = {True: [], False: []}
    for stacked_up, ask in [(True, partial(many, w)), (False, partial(one, w[:1]))] * 8:
        start = perf_counter()
        ask()
        times[stacked_up].append(perf_counter() - start)
    together, alone = (median(times[key][1:]) for key in (True, False))  # the first draws the data
    rate = f"{R / together:,.0f} replica-steps a second at R = {R}, {R * alone / together:.1f} times one at a time"
    return f"{', '.join(told)}; {rate}{_once(game)}"


def _once(game: ModuleGAN) -> str:
    """A remark on second derivatives: "" if they exist."""
    F = Oracle(game, [0, 1])
    w = game.init(F.seeds)
    try:
        F.linear(w)[2](w)
    except RuntimeError as error:
        return f"; not twice differentiable, so not for rules with Jacobian products: {' '.join(str(error).split())}"
    return ""


def _way(network: Stacked) -> str:
    if not network.why:
        return "batched"
    return f"through torch.func{'' if network.together else ' one replica at a time'} ({network.why})"
