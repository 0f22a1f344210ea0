"""Batched networks against nn.Module, and a whole stacked training against the loop that a user would write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.contracts import Oracle
from bench.games.harness.losses import LOSSES
from bench.games.networks.networks import MLP
from bench.registry import get_game, get_rule

ACTIVATION = {"relu": nn.ReLU, "leaky-relu": lambda: nn.LeakyReLU(0.2), "tanh": nn.Tanh, "none": nn.Identity}


def module(net: MLP, parameters: Tensor) -> nn.Sequential:
    """An ordinary nn.Sequential with one replica's parameters, [size]."""
    layers: list[nn.Module] = []
    parts = iter(torch.split(parameters, net.layout))
    last = len(net.widths) - 2
    for i, (a, b) in enumerate(zip(net.widths, net.widths[1:], strict=False)):
        linear = nn.Linear(a, b).to(parameters.dtype)
        weight, _, bias, _ = next(parts), next(parts), next(parts), next(parts)
        with torch.no_grad():
            linear.weight.copy_(weight.view(b, a))
            linear.bias.copy_(bias)
        layers += [linear, ACTIVATION[net.output if i == last else net.activation]()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("net", [MLP((3, 7, 5, 1), "leaky-relu"), MLP((4, 9, 2), "relu", "tanh"), MLP((2, 3), "none")])
def test_stacked_equals_each_module_alone(net: MLP) -> None:
    seeds = torch.tensor([1, 2, 3])
    parameters = net.init(seeds, "net").double()
    x = torch.randn(3, net.widths[0], 11, dtype=torch.float64)
    out = net(parameters, x)
    for r in range(3):
        expected = module(net, parameters[r])(x[r].T).T
        assert torch.allclose(out[r], expected, atol=1e-12)


def test_the_start_is_nn_linears() -> None:
    net = MLP((100, 400, 50))
    w = torch.split(net.init(torch.arange(4), "net"), net.layout, dim=1)
    for i, fan_in in ((0, 100), (2, 100), (4, 400), (6, 400)):
        bound = fan_in**-0.5
        assert w[i].abs().max() <= bound
        assert abs(w[i].std().item() / (bound / 3**0.5) - 1) < 0.1
        assert w[i + 1].abs().sum() == 0  # the padding
    assert all(sum(net.layout[: i + 1]) % 16 == 0 for i in range(1, len(net.layout), 2))


def bce(logits: Tensor, target: float) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def mse(logits: Tensor, target: float) -> Tensor:
    return nn.functional.mse_loss(logits, torch.full_like(logits, target))


# Of one replica, as papers and published code write them: (generator, discriminator).
WRITTEN: dict[str, Any] = {
    "minimax": lambda real, fake: (-bce(fake, 0), bce(real, 1) + bce(fake, 0)),
    "non-saturating": lambda real, fake: (bce(fake, 1), bce(real, 1) + bce(fake, 0)),
    "wgan": lambda real, fake: (-fake.mean(), fake.mean() - real.mean()),
    "wgan-gp": lambda real, fake: (-fake.mean(), fake.mean() - real.mean()),
    "hinge": lambda real, fake: (
        -fake.mean(),
        torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean(),
    ),
    "lsgan": lambda real, fake: (mse(fake, 1) / 2, (mse(real, 1) + mse(fake, 0)) / 2),
    "relativistic": lambda real, fake: (
        bce(fake - real.mean(), 1) + bce(real - fake.mean(), 0),
        bce(real - fake.mean(), 1) + bce(fake - real.mean(), 0),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_the_papers(name: str) -> None:
    real, fake = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    loss = LOSSES[name]
    found = torch.stack([loss.generator(real, fake), loss.discriminator(real, fake)])
    for r in range(2):
        assert torch.allclose(found[:, r], torch.stack(WRITTEN[name](real[r], fake[r])))
    if not loss.relative:
        assert torch.equal(loss.generator(fake, fake), loss.generator(real, fake))


def test_a_stacked_training_is_the_loop_a_user_would_write() -> None:
    """20 steps of Adam on ring8: two nn.Modules and two torch.optim.Adam, seed by seed, on the same minibatches."""
    game, seeds = get_game("ring8[width=16,batch_size=16,latent=4]"), torch.tensor([7, 8])
    rule, F = get_rule("adam[lr=0.002]"), Oracle(game, seeds)
    start = w = game.init(seeds)
    s = rule.init(w)
    for _ in range(20):
        w, s = rule.step(F, w, s)
        F.new_batch()
    for r, seed in enumerate(seeds):
        G, D = module(game.generator, start[r, F.blocks[0]]), module(game.discriminator, start[r, F.blocks[1]])
        steps = [torch.optim.Adam(net.parameters(), lr=0.002, betas=(0.5, 0.999)) for net in (G, D)]
        for draw in range(20):
            batch = game.batch(seed[None], draw)
            assert batch is not None
            fake, real = G(batch["latent"][0].T), batch["real"][0].T
            loss, logits = LOSSES["non-saturating"], (D(real).T, D(fake).T)
            losses = loss.generator(*logits), loss.discriminator(*logits)
            gradients = [
                torch.autograd.grad(loss.sum(), list(net.parameters()), retain_graph=True)
                for loss, net in zip(losses, (G, D), strict=True)
            ]
            for net, own, step in zip((G, D), gradients, steps, strict=True):
                for parameter, gradient in zip(net.parameters(), own, strict=True):
                    parameter.grad = gradient
                step.step()
        for net, block in ((game.generator, F.blocks[0]), (game.discriminator, F.blocks[1])):
            expected = (G if net is game.generator else D).state_dict().values()
            parts = torch.split(w[r, block], net.layout)[::2]
            for part, value in zip(parts, expected, strict=True):
                assert torch.allclose(part, value.flatten(), atol=2e-4), "the stack left the loop's path"
