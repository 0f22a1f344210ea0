"""A discriminator that classifies, with few labels (Salimans et al. 2016, arXiv:1606.03498)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, one_hot, softplus

from bench.contracts import Batch
from bench.contracts.game import MADE
from bench.errors import UserError
from bench.games.harness.compared import Part
from bench.games.harness.settings import check_names, check_ranges
from bench.games.harness.several import PictureGame
from bench.games.networks.layers import Activation, BatchNorm, Layer, Linear
from bench.games.networks.named import Bound, NamedNetwork
from bench.games.networks.networks import Network
from bench.numerics.randomness import integers, normal, uniform
from bench.registry import game

ANSWERS = "answers"
GENERATORS = ("usual", "matching")
SIDES = ("real", "fake", "labelled")
DAMAGED = 0.05
"""Share of the answers of a slightly damaged classifier that are wrong."""
ALONE_STEPS, ALONE_RATE = 300, 0.003


@game("semi-supervised")
@dataclass(frozen=True)
class SemiSupervised(PictureGame):
    """A GAN whose discriminator tells one of K classes or "generated", with ``labels`` labelled pictures a class.

    Player 1 descends the cross-entropy of the labelled pictures and ``adversarial`` times the loss of telling real from
    generated ones, whose logit is the log of the sum of exponentials of the K classes' logits (the last class is fixed
    at 0, section 5 there). Player 0 descends the usual non-saturating loss, or with ``objective=matching`` the squared
    difference of mean features, the paper's feature matching. ``noise`` is the deviation of noise on what player 1
    sees, ``inner`` that within its layers.

    The score is the accuracy on held-out pictures. The line to beat is that of the labelled pictures alone, measured
    with the same network when a study begins: at many labels the game adds nothing and the score would rank how rules
    fit labels, so that the default is one label a class.

    Source: Salimans et al. 2016, arXiv:1606.03498, section 5. Published with adam[lr=0.003,beta1=0.5], batches of 100,
    10 labels a class.
    """

    labels: int = 1
    batch_size: int = 32
    objective: str = "usual"
    adversarial: float = 1.0
    latent: int = 16
    width: int = 128
    noise: float = 0.3
    inner: float = 0.5

    budget = 500.0
    score = "label_accuracy"
    tie_break = "frechet"
    learned = 0.4
    tried = "width=16,batch_size=16"
    stack = 20
    tells = False
    """No sample is told a class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self, objective=GENERATORS)
        check_ranges(self, 0, float("inf"), "noise", "inner", "adversarial")
        if self.labels > 50:
            raise UserError(f"{self.name}: labels is {self.labels}; at most 50 a class are allowed")

    @cached_property
    def networks(self) -> tuple[tuple[Network, ...], ...]:
        layers: list[Layer] = []
        for fan_in in (self.latent, self.width):
            layers += [Linear(fan_in, self.width), BatchNorm(self.width), Activation("softplus")]
        pixels = self.pictures.side**2
        generator = Network((*layers, Linear(self.width, pixels), Activation("tanh")))
        names = {"first": Linear(pixels, self.width), "second": Linear(self.width, self.width)}
        return (generator,), (NamedNetwork.of(names | {"last": Linear(self.width, self.pictures.classes)}),)

    @cached_property
    def labelled(self) -> tuple[Tensor, Tensor]:
        """The pictures with labels, the first of each class, [labels * classes, pixels], and their classes."""
        images, labels = self.pictures.training()
        which = torch.cat([(labels == k).nonzero()[: self.labels, 0] for k in range(self.pictures.classes)])
        return self.pictures.pixels(images[which]), labels[which]

    def batch(self, seeds: Tensor, draw: int) -> Batch:
        count, pixels = self.batch_size, self.pictures.side**2
        images, labels = self.labelled
        which = integers(seeds, "labelled", draw, (count,), len(images))
        seen = {
            "real": self.drawn(seeds, "real", draw, self.pictures.training()[0]).flatten(1, 3),
            "labelled": images[which].transpose(1, 2).contiguous(),
        }
        if self.noise:
            for side in SIDES:
                noise = self.noise * normal(seeds, f"{side} noise", draw, (pixels, count), block=8)
                seen[side] = seen[side] + noise if side in seen else noise
        if self.inner:
            for side in SIDES:
                seen[f"{side} inner"] = self.inner * normal(
                    seeds, f"{side} inner", draw, (2 * self.width, count), block=8
                )
        told = one_hot(labels[which], self.pictures.classes).transpose(1, 2).float()
        return seen | {"told": told, "latent": normal(seeds, "latent", draw, (self.latent, count))}

    def judged_by(self, net: Bound, h: Tensor, inner: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features [R, width, batch] and the classes' logits [R, classes, batch] of pictures [R, pixels, batch]."""
        for place, name in enumerate(("first", "second")):
            h = leaky_relu(net(name, h), 0.2)
            if inner is not None:
                h = h + inner[:, place * self.width : (place + 1) * self.width]
        return h, net("last", h)

    def _judge(self, player: Tensor) -> Bound:
        network = self.networks[1][0]
        assert isinstance(network, NamedNetwork)
        return network.bind(player)

    def _fake(self, player: Tensor, batch: Batch) -> Tensor:
        made = self.networks[0][0](player, batch["latent"])
        return made + batch["fake"] if self.noise else made

    def losses(self, players: tuple[Tensor, ...], batch: Batch | None) -> tuple[Tensor, ...]:
        return self.own_loss(0, players, batch), self.own_loss(1, players, batch)

    def own_loss(self, player: int, players: tuple[Tensor, ...], batch: Batch | None) -> Tensor:
        assert batch is not None
        net = self._judge(players[1])
        fake_features, fake = self.judged_by(net, self._fake(players[0], batch), batch.get("fake inner"))
        if player == 0 and self.objective == "usual":
            return softplus(-fake.logsumexp(1)).mean(1)
        real_features, real = self.judged_by(net, batch["real"], batch.get("real inner"))
        if player == 0:
            return (real_features.mean(2) - fake_features.mean(2)).square().mean(1)
        _, logits = self.judged_by(net, batch["labelled"], batch.get("labelled inner"))
        told_apart = (softplus(-real.logsumexp(1)) + softplus(fake.logsumexp(1))).mean(1)
        return _cross_entropy(logits, batch["told"]) + self.adversarial * told_apart

    def answers(self, w: Tensor, images: Tensor) -> Tensor:
        """The class that player 1 tells of pictures [count, pixels], int64 [R, count]."""
        seen = images.to(w).T.expand(len(w), -1, -1).contiguous()
        return self.judged_by(self._judge(w[:, self.sizes[0] :]), seen)[1].argmax(1)

    def generate(self, w: Tensor, seeds: Tensor, count: int) -> Tensor:
        """Samples [R, count, pixels], drawn a training batch at a time, for batch norm sees as many as there."""
        latent = normal(seeds, "samples", 0, (self.latent, count), block=1).to(w)
        drawn = [self.networks[0][0](w[:, : self.sizes[0]], part) for part in torch.split(latent, self.batch_size, 2)]
        return torch.cat(drawn, 2).transpose(1, 2)

    def named_samples(self, w: Tensor, seeds: Tensor, count: int) -> dict[str, Tensor]:
        return {MADE: self.generate(w, seeds, count), ANSWERS: self.answers(w, self.held_out_pictures(count)[0])}

    def known(self, seeds: Tensor, count: int, which: str) -> dict[str, Tensor]:
        """Real pictures and the true classes; some wrong; right in half of the classes alone, or in one."""
        images, labels = self.held_out_pictures(count)
        answers = labels.expand(len(seeds), -1)
        classes = self.pictures.classes
        wrong = uniform(seeds, "damaged", 0, (count,), block=1) < DAMAGED
        if which in ("half", "one"):
            wrong = answers >= (classes // 2 if which == "half" else 1)
        elif which == "perfect":
            wrong = torch.zeros_like(answers, dtype=torch.bool)
        return {MADE: images.expand(len(seeds), -1, -1), ANSWERS: torch.where(wrong, (answers + 1) % classes, answers)}

    def compared_parts(self, samples: dict[str, Tensor]) -> list[Part]:
        return [Part(samples[MADE], self.pictures.classifier)]

    def baselines(self) -> dict[str, float]:
        """The accuracy of the labelled pictures alone."""
        return {"labels alone": _alone(self)}


def _cross_entropy(logits: Tensor, told: Tensor) -> Tensor:
    """[R], of logits and one-hot classes [R, classes, batch]."""
    return (logits.logsumexp(1) - (logits * told).sum(1)).mean(1)


@cache
def _alone(game: SemiSupervised) -> float:
    """The accuracy of player 1 trained by Adam on the labelled pictures alone, with the game's noise: four starts."""
    seeds, network = torch.arange(4), game.networks[1][0]
    assert isinstance(network, NamedNetwork)
    w = network.init(seeds, "labels alone").requires_grad_()
    adam = torch.optim.Adam([w], lr=ALONE_RATE)
    with torch.enable_grad():
        for step in range(ALONE_STEPS):
            batch = game.batch(seeds, step)
            logits = game.judged_by(network.bind(w), batch["labelled"], batch.get("labelled inner"))[1]
            adam.zero_grad()
            _cross_entropy(logits, batch["told"]).sum().backward()  # type: ignore[no-untyped-call]
            adam.step()
    images, labels = game.held_out_pictures(game.judged)
    nothing = torch.zeros(len(seeds), game.sizes[0])
    return float((game.answers(torch.cat([nothing, w.detach()], 1), images) == labels).double().mean())
