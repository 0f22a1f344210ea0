"""GANs and games trained as one writes it in PyTorch: two nn.Modules, torch.optim, one replica.

``Loop`` is plain: a call of the discriminator for every loss, torch's optimisers as they come. ``Loop(tuned=True)`` is
what a careful user makes of it: one call on real and fake samples side by side, optimisers with fused kernels. Both are
built from the networks of a game here and train it as its rule says; tests/reference/test_rivals.py holds them to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from workloads import shapes

from bench.contracts import UpdateRule
from bench.games.networks.layers import Activation, Conv2d, Layer, Linear, Reshape
from bench.games.networks.networks import Network
from bench.numerics.randomness import GRAIN

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
    "none": nn.Identity,
}
MADE: dict[type[Layer], Callable[[Any], nn.Module]] = {
    Linear: lambda layer: nn.Linear(layer.fan_in, layer.fan_out),
    Conv2d: lambda layer: nn.Conv2d(layer.fan_in, layer.fan_out, layer.kernel, layer.stride, layer.padding),
    Activation: lambda layer: ACTIVATIONS[layer.name](),
    Reshape: lambda layer: nn.Flatten() if len(layer.shape) == 1 else nn.Unflatten(1, layer.shape),
}
OPTIMISERS: dict[str, Callable[[Any, Any, float, bool], torch.optim.Optimizer]] = {
    "plain": lambda of, d, lr, fused: torch.optim.SGD(of, lr=lr, fused=fused or None),
    "adam": lambda of, d, lr, fused: torch.optim.Adam(of, lr, (d.beta1, d.beta2), d.eps, fused=fused or None),
}
Batch = dict[str, Tensor]


def module(network: Network) -> nn.Sequential:
    """The nn.Module that a user would write for a network, without the activations that do nothing."""
    parts = [MADE[type(layer)](layer) for layer in network.layers]
    return nn.Sequential(*[part for part in parts if not isinstance(part, nn.Identity)])


def source(game: Any) -> Callable[[int], Tensor]:
    """How a user draws real samples, [count, ...]."""
    if hasattr(game, "modes"):
        modes, sd = game.modes, game.sd
        return lambda count: modes[torch.randint(len(modes), (count,))] + sd * torch.randn(count, modes.shape[1])
    images = game.images
    if images.dtype == torch.uint8:
        images = images.view(len(images), *shapes(game)[1])
        return lambda count: images[torch.randint(len(images), (count,))] / 127.5 - 1
    return lambda count: images[torch.randint(len(images), (count,))]


class Loop:
    """One replica of a GAN.

    Args:
        game: whose networks, loss and data it takes.
        rule: one of ``adam``, ``extragrad``, ``extraadam``, ``consensus``, ``alternating``.
        tuned: what a careful user makes of it.
    """

    def __init__(self, game: Any, rule: UpdateRule, tuned: bool = False) -> None:
        self.game, self.rule, self.tuned = game, rule, tuned
        self.G, self.D = module(game.generator), module(game.discriminator)
        self.players = list(self.G.parameters()), list(self.D.parameters())
        self.params = [p for own in self.players for p in own]
        make, d, lr = OPTIMISERS[rule.direction.name], rule.direction, rule.lr
        self.opts = [make(own, d, lr, tuned) for own in self.players]
        self.real = source(game)
        self.scheme = SCHEMES[type(rule).__name__]

    def step(self) -> None:
        """On a minibatch that it draws itself."""
        size = self.game.batch_size
        batch = {"real": self.real(size), "latent": torch.randn(size, self.game.latent)}
        if self.game.loss == "wgan-gp":
            batch["mix"] = torch.rand(size, *[1] * (batch["real"].ndim - 1))
        self.scheme(self, batch)

    def on(self, batch: Batch, row: int) -> None:
        """A step on a replica's minibatch of the engine."""
        real, latent = batch["real"][row].movedim(-1, 0), batch["latent"][row].T
        mix = {"mix": batch["mix"][row].view(-1, *[1] * (real.ndim - 1))} if "mix" in batch else {}
        self.scheme(self, {"real": real, "latent": latent, **mix})

    def gradients(self, batch: Batch) -> None:
        """Leave every player's gradient in its parameters."""
        if self.tuned:
            loss_G, loss_D = self.losses(batch)
            found = torch.autograd.grad(loss_G, self.players[0], retain_graph=True)
            for p, g in zip(self.params, (*found, *torch.autograd.grad(loss_D, self.players[1])), strict=True):
                p.grad = g
            return
        fake = self.G(batch["latent"])
        loss_G = self.generator_loss(self.D(fake))
        loss_D = self.discriminator_loss(self.D(batch["real"]), self.D(fake.detach()))
        loss_D = loss_D + self.penalty(batch, fake)
        self.opts[0].zero_grad()
        loss_G.backward()
        self.opts[1].zero_grad()  # not sooner: the generator's backward has left its gradients in D
        loss_D.backward()

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Both losses from one call of the discriminator, differentiable by both players."""
        fake = self.G(batch["latent"])
        real, made = self.D(torch.cat([batch["real"].view_as(fake), fake])).chunk(2)
        return self.generator_loss(made), self.discriminator_loss(real, made) + self.penalty(batch, fake)

    def generator_loss(self, fake: Tensor) -> Tensor:
        return -fake.mean() if self.game.loss == "wgan-gp" else bce(fake, torch.ones_like(fake))

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        if self.game.loss == "wgan-gp":
            return fake.mean() - real.mean()
        return bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))

    def penalty(self, batch: Batch, fake: Tensor) -> Tensor | float:
        if self.game.loss != "wgan-gp":
            return 0.0
        at = (batch["mix"] * batch["real"] + (1 - batch["mix"]) * fake.detach()).requires_grad_()
        (slope,) = torch.autograd.grad(self.D(at).sum(), at, create_graph=True)
        return 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()

    def move(self) -> None:
        for opt in self.opts:
            opt.step()

    def start_at(self, row: Tensor) -> None:
        """Take a replica's parameters [n] for its own."""
        layouts = self.game.generator.layout + self.game.discriminator.layout
        with torch.no_grad():
            for own, given in zip(self.params, torch.split(row, layouts)[::2], strict=True):
                own.copy_(given.view_as(own))

    def row(self) -> Tensor:
        """All parameters as the engine lays out a replica's, [n]."""
        parts = [part.detach().flatten() for part in self.params]
        return torch.cat([nn.functional.pad(part, (0, -len(part) % GRAIN)) for part in parts])


class Closed(Loop):
    """One replica of the bilinear game; the tuned one takes its gradients by hand."""

    def __init__(self, game: Any, rule: UpdateRule, tuned: bool = False) -> None:
        self.game, self.rule, self.tuned, self.A = game, rule, tuned, game.matrix
        self.x, self.y = (nn.Parameter(torch.randn(game.dim, dtype=game.dtype)) for _ in range(2))
        self.params = [self.x, self.y]
        make, d = OPTIMISERS[rule.direction.name], rule.direction
        self.opts = [make([p], d, rule.lr, tuned) for p in self.params]
        self.scheme = SCHEMES[type(rule).__name__]

    def step(self) -> None:
        self.scheme(self, {})

    def on(self, batch: Batch, row: int) -> None:
        self.step()

    def gradients(self, batch: Batch) -> None:
        if self.tuned:
            with torch.no_grad():
                self.x.grad, self.y.grad = self.A @ self.y, -(self.x @ self.A)
            return
        loss = self.x @ self.A @ self.y
        (self.x.grad,) = torch.autograd.grad(loss, self.x, retain_graph=True)
        (self.y.grad,) = torch.autograd.grad(-loss, self.y)

    def start_at(self, row: Tensor) -> None:
        with torch.no_grad():
            for own, given in zip(self.params, row.chunk(2), strict=True):
                own.copy_(given)

    def row(self) -> Tensor:
        return torch.cat([self.x.detach(), self.y.detach()])


# --- schemes ---------------------------------------------------------------------------------------------------------


def simultaneous(loop: Loop, batch: Batch) -> None:
    loop.gradients(batch)
    loop.move()


def alternating(loop: Loop, batch: Batch) -> None:
    """The discriminator on fake samples, then the generator on the same against the discriminator that has moved."""
    fake = loop.G(batch["latent"])
    if loop.tuned:
        real, made = loop.D(torch.cat([batch["real"].view_as(fake), fake.detach()])).chunk(2)
    else:
        real, made = loop.D(batch["real"]), loop.D(fake.detach())
    loss = loop.discriminator_loss(real, made) + loop.penalty(batch, fake)
    loop.opts[1].zero_grad()
    loss.backward()
    loop.opts[1].step()
    loss = loop.generator_loss(loop.D(fake))
    loop.opts[0].zero_grad()
    if loop.tuned:
        for p, g in zip(loop.players[0], torch.autograd.grad(loss, loop.players[0]), strict=True):
            p.grad = g
    else:
        loss.backward()
    loop.opts[0].step()


def extragradient(loop: Loop, batch: Batch) -> None:
    """A step ahead, the gradient there, the step from where it began."""
    before = [p.detach().clone() for p in loop.params]
    loop.gradients(batch)
    loop.move()
    loop.gradients(batch)
    with torch.no_grad():
        for p, start in zip(loop.params, before, strict=True):
            p.copy_(start)
    loop.move()


def consensus(loop: Loop, batch: Batch) -> None:
    """Descend each player's loss and the field's squared length / 2, as the authors' published code does."""
    if loop.tuned:
        loss_G, loss_D = loop.losses(batch)
    else:
        fake = loop.G(batch["latent"])
        judged = loop.D(fake)
        loss_G, loss_D = loop.generator_loss(judged), loop.discriminator_loss(loop.D(batch["real"]), judged)
    field = [
        *torch.autograd.grad(loss_G, loop.players[0], create_graph=True),
        *torch.autograd.grad(loss_D, loop.players[1], create_graph=True),
    ]
    length = torch.stack([g.square().sum() for g in field]).sum() / 2
    gamma = getattr(loop.rule, "gamma", 0.0)
    for p, g, pulled in zip(loop.params, field, torch.autograd.grad(length, loop.params), strict=True):
        p.grad = (g + gamma * pulled).detach()
    loop.move()


SCHEMES: dict[str, Callable[[Loop, Batch], None]] = {
    "Simultaneous": simultaneous,
    "Alternating": alternating,
    "Extragradient": extragradient,
    "Consensus": consensus,
}


def loop(game: Any, rule: UpdateRule, tuned: bool = False) -> Loop:
    """The loop for a game of the table."""
    return (Loop if hasattr(game, "discriminator") else Closed)(game, rule, tuned)
