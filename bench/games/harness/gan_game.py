"""``bench.gan_game``: two ordinary torch modules, a loss and real data make a game.

    # my_gan.py
    game = bench.gan_game(generator, discriminator, "non-saturating", data)

and ``bench run --games ./my_gan.py:game`` plays it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import prod
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts import Oracle
from bench.contracts.introspection import without_product
from bench.errors import UserError, nearest
from bench.games.data.given import GivenData, given_data, refuse_range
from bench.games.harness.gan import GAN
from bench.games.harness.given_loss import given_loss
from bench.games.harness.modules import ImageGAN, ModuleGAN, TableGAN
from bench.games.harness.packing import side_by_side
from bench.games.networks.given_modules import NAME, Given, Init, Make, given_module, shown, takes_labels, tried
from bench.games.networks.layers import Shape
from bench.games.networks.stacking import Stacked, stacked
from bench.numerics.randomness import GRAIN

OPTIONS = ("batch_size", "budget", "features", "gamma", "noise", "pac", "regulariser", "score")
BELOW_LOGITS = ("minimax", "non-saturating", "relativistic")  # a sigmoid is part of these losses
PLANE = 3  # coordinates up to which rows of numbers are points; more are a table
FAR = (1.0, 30.0, 1000.0)  # times the data, and times torch's random numbers: what a bounded output is told by
R = 8  # replicas of a measurement of speed


def gan_game(
    generator: nn.Module | Make,
    discriminator: nn.Module | Make,
    loss: Any,
    data: Any,
    *,
    latent: int | Shape | None = None,
    init: Init | None = None,
    held_out: Any = None,
    spectral: bool = False,
    **options: Any,
) -> ModuleGAN:
    """Make a game of two ordinary torch modules, a loss and real data.

    Every replica starts as a fresh module does, decided by its seed: ``reset_parameters()`` of every part is called,
    then ``init`` visits every part, as ``Module.apply`` does. Parameters that no part resets keep the given values. If
    the module is given as a function without arguments, that function makes the module of each replica. Modules are in
    training mode: batch normalisation uses the statistics of the batch, for generated samples too, and what draws
    random numbers (dropout, noise, Gumbel-softmax) draws them by the replica's seed.

    The game is judged by its samples, against real ones that training never sees: points by the sliced Wasserstein
    distance, tables by the same with every column over its standard deviation, images by a Frechet distance.

    Args:
        generator: takes latents [N, latent] or [N, latent, 1, 1], standard normal, and returns samples of the shape of
            the data. If it takes labels too, the GAN is conditional, and labels come with the data.
        discriminator: takes samples, and labels if it has a second argument, and returns one logit for each, without a
            sigmoid: [N] or [N, 1]. Spectral normalisation by ``torch.nn.utils`` is computed as ``spectral`` does it.
        loss: ``minimax``, ``non-saturating``, ``wgan``, ``wgan-gp``, ``hinge``, ``lsgan`` or ``relativistic``;
            ``nn.BCEWithLogitsLoss()`` or ``nn.MSELoss()``; or a pair of functions of logits, the generator's of (fake)
            or (real, fake), the discriminator's of (real, fake), each giving one number.
        data: real samples [N, ...] as a tensor, array, data frame or list of rows; a pair (samples, labels); a data
            set, of samples or of pairs; a data loader, whose data set is taken; or a function
            (torch.Generator, count) -> [count, ...] that uses no other randomness.
        latent: the size or the shape of a latent; by default what the generator's first linear layer or convolution
            takes.
        init: sets the starting values of one part of a module, where ``reset_parameters`` is not enough.
        held_out: real samples to judge by; by default a tenth of the data, at most 2,000, which then do not train.
        spectral: divide every weight of the discriminator by its largest singular value.
        options: ``batch_size``, ``budget`` (gradient evaluations), ``score``, ``regulariser``, ``gamma``, ``noise``,
            ``pac`` (samples that the discriminator judges as one), as in ``bench.games.harness.gan.GAN``; for images
            ``features``, as shipped games of images have them.

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
    if wrong := sorted(set(options) - set(OPTIONS)):
        raise UserError(f"{NAME}: there is no {wrong[0]!r}; {nearest(wrong[0], (*OPTIONS, 'held_out', 'spectral'))}")
    for key, grain, default in (("batch_size", GRAIN, GAN.batch_size), ("pac", 1, 1)):
        value = options.get(key, default)
        if not isinstance(value, int) or value < 1 or value % grain:
            raise UserError(f"{NAME}: {key} is {value}; a multiple of {grain} is allowed")
    batch_size, pac = options.get("batch_size", GAN.batch_size), options.get("pac", 1)
    loss_name, functions = given_loss(loss)
    given = given_data(data, batch_size, held_out)
    drawn, drawn_labels = given.draw(torch.tensor([0]), "tried", 0, batch_size * pac)
    real, labels = drawn[0], None if drawn_labels is None else drawn_labels[0]
    players = [
        given_module(who, module, init, spectral and who == "discriminator")
        for who, module in (("generator", generator), ("discriminator", discriminator))
    ]
    conditional = any(takes_labels(player.module) for player in players)
    classes = 0 if labels is None or not conditional else _classes(given, pac)
    networks = (
        _generator(players[0], latent, real, labels, classes),
        _discriminator(players[1], loss_name, real, labels, classes, pac),
    )
    kind = ImageGAN if real.ndim == 4 else TableGAN if given.columns or real[0].numel() > PLANE else ModuleGAN
    if real.ndim == 3:
        kind = ModuleGAN
    if "features" in options and kind is not ImageGAN:
        raise UserError(f"{NAME}: features are of images; the data are {shown(real)}")
    _check_range(networks[0], given, labels, classes)
    made: Any = kind  # each kind has settings of its own
    game: ModuleGAN = made(
        loss=loss_name, functions=functions, latent=prod(networks[0].entry), networks=networks, given=given,
        notices=given.notices, conditional=conditional, **options,
    )  # fmt: skip
    _differentiated(game)
    return game


def _classes(given: GivenData, pac: int) -> int:
    """How many classes the labels tell."""
    if pac > 1:
        raise UserError(
            f"{NAME}: pac is {pac} and the networks take labels; packs are made of samples without: give one"
        )
    parts = [part for part in (given.labels, given.held_out_labels) if part is not None]
    return int(max(int(part.max()) for part in parts)) + 1


# --- the players -----------------------------------------------------------------------------------------------------


def _generator(given: Given, latent: int | Shape | None, real: Tensor, labels: Tensor | None, classes: int) -> Stacked:
    """The generator, on latents of the shape on which it gives samples of the data's shape."""
    refused: list[UserError] = []
    for shape in _latent_shapes(given.module, latent, classes):
        latents = torch.randn(len(real), *shape, generator=torch.Generator().manual_seed(0))
        try:
            known, samples = tried(given, latents, labels, classes)
        except UserError as error:
            refused.append(error)
            continue
        if samples.shape == real.shape:
            return stacked(known, latents, shape, tuple(real.shape[1:]), classes)
        text = f"{NAME}: generator gives {shown(samples)} on latents {shown(latents)}, the data are {shown(real)}"
        refused.append(UserError(text))
    mismatches = [error for error in refused if " gives " in str(error)]
    raise (mismatches or refused)[0]


def _latent_shapes(module: nn.Module, latent: int | Shape | None, classes: int) -> list[Shape]:
    """Shapes that a latent may have; where it is not given, features that tell the class may stand beside it."""
    if latent is not None and not isinstance(latent, int):
        return [tuple(latent)]
    if latent is None:
        size = _first_size(module)
        told = {0, classes, *(part.embedding_dim for part in module.modules() if isinstance(part, nn.Embedding))}
        sizes = [size - features for features in sorted(told) if size > features]
    else:
        sizes = [latent]
    return [(size, *ends) for size in sizes for ends in ((), (1, 1), (1,))]


def _first_size(module: nn.Module) -> int:
    """What the first layer that multiplies takes; UserError where it may not be what latents go into."""
    kinds = (nn.Linear, nn.Conv1d, nn.ConvTranspose1d, nn.Conv2d, nn.ConvTranspose2d, nn.RNNBase)
    first = next((part for part in module.modules() if isinstance(part, kinds)), None)
    if first is None or isinstance(first, nn.RNNBase):
        what = (
            "no linear layer or convolution"
            if first is None
            else f"{type(first).__name__} first, which takes sequences:"
        )
        raise UserError(f"{NAME}: the generator {what}, which would tell the latents' shape: give latent=")
    return first.in_features if isinstance(first, nn.Linear) else first.in_channels


def _discriminator(given: Given, loss: str, real: Tensor, labels: Tensor | None, classes: int, pac: int) -> Stacked:
    """The discriminator, which gives one logit for every pack of samples."""
    packs = side_by_side(real.movedim(0, -1)[None], pac)[0].movedim(-1, 0)
    known, logits = tried(given, packs, labels, classes)
    if logits.numel() != len(packs) or len(logits) != len(packs):
        raise UserError(f"{NAME}: discriminator {_counted(logits, packs, pac)}")
    if loss in BELOW_LOGITS and _bounds(known, packs, labels, classes) == (0.0, 1.0):
        raise UserError(
            f"{NAME}: discriminator's values stay between 0 and 1, as after a sigmoid; the loss {loss!r} takes logits: "
            "leave the sigmoid out"
        )
    return stacked(known, packs, tuple(packs.shape[1:]), (1,), classes)


def _counted(logits: Tensor, packs: Tensor, pac: int) -> str:
    """Why values of a discriminator are not one logit a sample."""
    rows, count = len(logits) if logits.ndim else 1, len(packs)
    if logits.numel() == rows and rows < count and count % rows == 0:
        each = count // rows
        return f"gives {rows} values for {count} samples; if it judges {each} as one, give pac={each * pac}"
    per = f"{tuple(logits.shape[1:])} each" if rows == count else f"{tuple(logits.shape)} for {count} samples"
    return f"gives values of shape {per} on data {shown(packs)}; one logit a sample, (N, 1) or (N,), is allowed"


def _bounds(given: Given, x: Tensor, labels: Tensor | None, classes: int) -> tuple[float, float] | None:
    """(0, 1) or (-1, 1) if a module's values stay within, whatever its parameters and samples are; None otherwise."""
    module, draws = deepcopy(given.module), torch.Generator().manual_seed(0)
    low, high = float("inf"), float("-inf")
    for scale in FAR:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draws) * scale**0.5)
        y = tried(replace(given, module=module), x * scale, labels, classes)[1]
        if not bool(y.isfinite().all()):
            return None
        low, high = min(low, float(y.min())), max(high, float(y.max()))
    for bounds in ((0.0, 1.0), (-1.0, 1.0)):
        if bounds[0] <= low and high <= bounds[1] and high > low:
            return bounds
    return None


def _check_range(generator: Stacked, given: GivenData, labels: Tensor | None, classes: int) -> None:
    """Refuse data that lie beyond what the generator can give."""
    count = 8
    latents = torch.randn(count, *generator.entry, generator=torch.Generator().manual_seed(1))
    bounds = _bounds(generator.given, latents, None if labels is None else labels[:count], classes)
    samples = given.held_out if given.samples is None else given.samples
    refuse_range(samples, bounds, {(-1.0, 1.0): "Tanh", (0.0, 1.0): "Sigmoid"}.get(bounds, "") if bounds else "")


def _differentiated(game: ModuleGAN) -> None:
    """Take one gradient of each player: an error in differentiation, twice for a regulariser, is raised here."""
    F = Oracle(game, [0, 1])
    try:
        for player in range(2):  # by autograd, whatever the game knows in closed form
            F.loss_gradient(game.init(F.seeds), player)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{NAME}: the gradient of the losses raised {type(error).__name__}: {reason}") from error


# --- for `bench check` -----------------------------------------------------------------------------------------------


def speed(game: ModuleGAN) -> str:
    """How a game runs, how fast, and what would make it faster: for ``bench check``."""
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
    return f"{', '.join(told)}; {rate}{_faster(game)}{_once(game)}"


def _faster(game: ModuleGAN) -> str:
    """What would make a game faster; "" if nothing is known."""
    advice = {
        "draws random numbers": "without layers that draw random numbers all replicas would run at once",
        "does more than to call": "parts called in turn, with activations alone between them, would be batched",
    }
    reasons = " ".join(network.why for network in game.networks)
    return "".join(f"; {text}" for sign, text in advice.items() if sign in reasons)


def _once(game: ModuleGAN) -> str:
    """A remark on second derivatives: "" if they exist."""
    reason = without_product(game)
    return f"; not twice differentiable, so not for rules with Jacobian products: {reason}" if reason else ""


def _way(network: Stacked) -> str:
    if not network.why:
        return "batched"
    return f"through torch.func{'' if network.together else ' one replica at a time'} ({network.why})"
