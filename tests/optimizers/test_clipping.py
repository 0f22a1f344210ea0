"""WGAN's weight clipping: every gradient is taken where the discriminator is clipped, as in a loop that clips.

The loops are written with torch's modules and optimizers, which clip after every step of the critic (algorithm 1 of
Arjovsky et al. 2017, arXiv:1701.07875).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from double_gan import Double
from torch import Tensor, nn

from bench.contracts import Oracle
from bench.registry import get_rule, rules

GAME = "ring8[width=16,batch_size=16,latent=4,loss=wgan]"
CLIP, ROUNDS, LR = 0.01, 20, 5e-3
LONG = 20.0  # a step size of plain steps, for a clipped critic has small gradients
RMSPROP = "direction=rmsprop"


class Loop:
    """A generator and a critic of torch's own, on the game's minibatches and from its start."""

    def __init__(self, game: Double, seed: int) -> None:
        self.game, self.seed, self.draw = game, torch.tensor([seed]), 0
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
        self.critic = nn.Sequential(
            nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1)
        )
        self.players = [list(network.double().parameters()) for network in (self.generator, self.critic)]
        w = game.init(self.seed)[0]
        for player, tensors in zip(self.players, game.tensors, strict=True):
            for parameter, where in zip(player, tensors, strict=True):
                parameter.data.copy_(w[where.columns].view(where.shape))

    def clip(self) -> None:
        for parameter in self.players[1]:
            parameter.data.clamp_(-CLIP, CLIP)

    def backward(self, player: int) -> None:
        """The gradient of one player's loss, or of both for -1."""
        batch = self.game.batch(self.seed, self.draw)
        assert batch is not None
        real, latent = (batch[name][0].T for name in ("real", "latent"))
        fake = self.generator(latent)
        losses = -self.critic(fake).mean(), self.critic(fake).mean() - self.critic(real).mean()
        gradients = [torch.autograd.grad(losses[i], self.players[i], retain_graph=True) for i in (0, 1)]
        for i in (0, 1) if player < 0 else (player,):
            for parameter, gradient in zip(self.players[i], gradients[i], strict=True):
                parameter.grad = gradient

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.RMSprop(player, lr=LR) for player in self.players]

    def point(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for player in self.players for parameter in player])


def algorithm_1(loop: Loop, critic_steps: int) -> Iterator[int]:
    """Critic steps with a clip after each, then one of the generator on the last minibatch; yields the round."""
    generator, critic = loop.optimizers()
    for t in range(1, ROUNDS + 1):
        for k in range(critic_steps):
            loop.draw += k > 0
            loop.backward(1)
            critic.step()
            loop.clip()
        loop.backward(0)
        generator.step()
        loop.draw += 1
        yield t


def alternating(critic_steps: int) -> Callable[[Loop], None]:
    """Algorithm 1 to its end."""

    def run(loop: Loop) -> None:
        for _ in algorithm_1(loop, critic_steps):
            pass

    return run


def projected_extragradient(loop: Loop) -> None:
    """w' = P(w - lr F(w));   w+ = P(w - lr F(w'))"""
    for _ in range(ROUNDS):
        before = [[parameter.detach().clone() for parameter in player] for player in loop.players]
        for _ in range(2):
            loop.backward(-1)
            for player, kept in zip(loop.players, before, strict=True):
                for parameter, old in zip(player, kept, strict=True):
                    assert parameter.grad is not None
                    parameter.data = old - LONG * parameter.grad
            loop.clip()
        loop.draw += 1


def lookahead(loop: Loop) -> None:
    """Five steps of algorithm 1, each clipped, then half way back to the slow weights."""
    slow = [parameter.detach().clone() for player in loop.players for parameter in player]
    fast = [parameter for player in loop.players for parameter in player]
    for t in algorithm_1(loop, 1):
        if t % 5 == 0:
            for k, parameter in enumerate(fast):
                slow[k] = slow[k] + 0.5 * (parameter.detach() - slow[k])
                parameter.data.copy_(slow[k])


LOOPS: dict[str, Callable[[Loop], None]] = {
    f"alternating[lr={LR},{RMSPROP}]": alternating(1),
    f"alternating[lr={LR},discriminator_steps=5,{RMSPROP}]": alternating(5),
    f"extragrad[lr={LONG}]": projected_extragradient,
    f"double-step-extragrad[lr={LONG},gamma={LONG}]": projected_extragradient,
    f"lookahead[inner=alternating[lr={LR},{RMSPROP}],k=5,alpha=0.5]": lookahead,
}


@pytest.mark.parametrize("spelled", LOOPS)
def test_it_clips_where_a_plain_loop_does(spelled: str) -> None:
    game, rule = Double(GAME), get_rule(spelled)
    loop = Loop(game, 3)
    loop.clip()
    start = loop.point()
    LOOPS[spelled](loop)
    F = Oracle(game, [3])
    w = game.project(game.init(F.seeds))
    s = rule.init(w)
    for _ in range(ROUNDS):
        w, s = rule.step(F, w, s)
        w = F.project(w)
        F.new_batch()
    end = torch.cat([w[0, where.columns] for tensors in game.tensors for where in tensors])
    way = (loop.point() - start).norm()
    assert way > 0.01
    assert (end - loop.point()).norm() < 1e-6 * way


class Watched(Double):
    """It remembers how far the discriminator was from its set wherever a loss was asked for."""

    def __init__(self) -> None:
        super().__init__("ring8[width=8,batch_size=16,latent=2,loss=wgan]")
        self.outside = 0.0

    def losses(self, players: tuple[Tensor, ...], batch: object) -> tuple[Tensor, ...]:
        self.outside = max(self.outside, float(players[1].detach().abs().max()) - CLIP)
        return super().losses(players, batch)


@pytest.mark.parametrize("name", rules.names())
def test_every_gradient_is_at_a_point_of_the_set(name: str) -> None:
    game = Watched()
    rule, F = get_rule(name), Oracle(game, [0, 1])
    w = game.project(game.init(F.seeds))
    s = rule.init(w)
    for _ in range(6):
        w, s = rule.step(F, w, s)
        w = game.project(w)
        F.new_batch()
    assert game.outside <= 1e-15
