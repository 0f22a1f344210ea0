"""The field of a GAN by compiled kernels, where both networks are plain perceptrons and the loss has slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.contracts import Batch
from bench.games.harness.packing import side_by_side
from bench.games.networks.backward import piecewise_linear
from bench.games.networks.compiled import Scratch, aligned, normalised, places, program
from bench.games.networks.networks import Network
from bench.games.networks.normalisation import POWER_ITERATIONS, SMALLEST
from bench.numerics import passes
from bench.numerics.kernels.core import fits

Stack = npt.NDArray[np.floating]
KEPT = 2**24
"""Numbers that half fields keep of a stack at most."""


class CompiledField:
    """Calls the kernels with a game's networks, settings and minibatches.

    Args:
        generator, discriminator: perceptrons, side by side in w; their weights may be spectrally normalised.
        loss, penalty: names that kernels know; gamma is the penalty's weight.
        batch_size: of packs of ``pac`` samples, each told ``told`` features of its class.

    Raises:
        LookupError: the kernels do not know a network, the loss or the penalty.
    """

    def __init__(
        self, generator: Network, discriminator: Network, loss: str, penalty: str, gamma: float, batch_size: int,
        pac: int, told: int,
    ) -> None:  # fmt: skip
        from bench.numerics.kernels import field as kernels
        from bench.numerics.kernels import spectral_norm
        from bench.numerics.kernels.compilation import ready
        from bench.numerics.kernels.pull import pull
        from bench.numerics.kernels.push import push

        first, second = program(generator, 0), program(discriminator, generator.size)
        if first is None or second is None:
            raise LookupError("a network is no plain perceptron")
        self.matrices = np.concatenate([normalised(generator, 0), normalised(discriminator, generator.size)])
        self.factors = int((self.matrices[:, 1:].sum(axis=1) + 1).sum())  # of a replica: values, u and v
        self.ready, self.kernels, self.products_of, self.spectral_norm = ready, kernels, (push, pull), spectral_norm
        self.generator, self.discriminator, self.pac = first, second, pac
        self.gamma = gamma if penalty != "none" else 0.0
        batch, drawn, features, top = batch_size, pac * batch_size, int(first[-1, 1]), int(second[0, 0])
        settings = (kernels.LOSSES[loss], kernels.PENALTIES[penalty], batch, pac, features, pac * told)
        self.how = np.array([*settings, generator.size, generator.size + discriminator.size], dtype=np.int64)
        self.seen = pac * features * batch
        scratch, wide = Scratch(), 2 * batch
        self.by_generator = places(first, drawn, scratch)
        kept = Scratch()  # of a replica between half fields: latents, the generator's parameters, its activations
        kept.take(int(first[0, 0]) * drawn)
        kept.take(generator.size)
        self.by_kept, self.kept_size = places(first, drawn, kept), kept.size
        self.kept = dict[tuple[int, torch.dtype], npt.NDArray[np.floating]]()
        self.by_discriminator = places(second, wide, scratch)
        self.units = places(second, batch, scratch)
        widest = max(int(first[:, :2].max()) * drawn, int(second[:, :2].max()) * wide)
        sizes = [top * wide, wide, batch, widest, widest, widest]
        self.places = np.array([scratch.take(size) for size in sizes])
        self.pulls = self.gamma == 0 and piecewise_linear(discriminator) and not len(self.matrices)
        if self.pulls:
            spots = np.zeros((7, max(len(first), len(second))), dtype=np.int64)
            lists = [self.by_generator, self.by_discriminator, places(second, wide, scratch)]
            lists += [places(first, drawn, scratch) for _ in range(2)]
            lists += [places(second, count, scratch) for count in (batch, wide)]
            for line, starts in zip(spots, lists, strict=True):
                line[: len(starts)] = starts
            self.spots = spots
            more = [scratch.take(size) for size in (wide, batch, top * batch, widest)]
            self.pull_places = np.array([*self.places, *more])
        self.scratch, self.memory = scratch, dict[torch.dtype, npt.NDArray[np.floating]]()

    def prepare(self, dtype: torch.dtype) -> None:
        """Compile what a training needs, unless it is kept from before."""
        kind = str(dtype).removeprefix("torch.")
        self.ready(self.kernels.field, kind)
        if self.gamma:
            self.ready(self.kernels.add_penalty, kind)
        if len(self.matrices):
            self.ready(self.spectral_norm.divide, kind)
            self.ready(self.spectral_norm.bring_back, kind)
        passes.prepare(kind)

    def __call__(self, w: Tensor, batch: Batch, player: int | None, across: bool = False) -> Tensor | None:
        """Both players' gradients, or one's, [R, n]; None where the tensors do not fit the kernel.

        ``across``: of the other player's loss.
        """
        taken = self._taken(w, batch)
        if not fits(*taken):
            return None
        penalised = self.gamma and player != self.kernels.GENERATOR and not across
        out, fakes = torch.empty_like(w), w.new_empty(len(w), self.seen if penalised else 0)
        at, *drawn, mix = (tensor.numpy() for tensor in taken)
        kind, scratch = self._kind(w)
        at, factors = self._divided(at, kind)
        who = self.kernels.BOTH if player is None else player
        who = self.kernels.ACROSS if across else who
        self.ready(self.kernels.field, kind)(
            who, self.generator, self.discriminator, at, *drawn, self.how, out.numpy(), fakes.numpy(),
            self._kept(w, player), self.by_kept, scratch, self.by_generator, self.by_discriminator, self.places,
        )  # fmt: skip
        if penalised:
            beside, _, told, *_ = drawn
            self.ready(self.kernels.add_penalty, kind)(
                self.discriminator, at, beside, fakes.numpy(), mix, told, self.how, self.gamma, out.numpy(), scratch,
                self.by_discriminator, self.units, self.places,
            )  # fmt: skip
        if len(self.matrices):
            self.ready(self.spectral_norm.bring_back, kind)(at, self.matrices, factors, out.numpy())
        return out

    def products(
        self, w: Tensor, batch: Batch, player: int | None, own: bool
    ) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None:
        """The products v -> J v and u -> J' u, [R, n]; None with a penalty, normalised weights or where none fits."""
        taken = self._taken(w, batch)
        if not self.pulls or not fits(*taken):
            return None
        at, *drawn, _ = (tensor.numpy() for tensor in taken)
        kind, scratch = self._kind(w)
        who = self.kernels.BOTH if player is None else player

        def product_by(kernel: Any) -> Callable[[Tensor], Tensor]:
            def product(along: Tensor) -> Tensor:
                out, direction = torch.empty_like(w), along.detach().contiguous().numpy()
                self.ready(kernel, kind)(
                    who, own, self.generator, self.discriminator, at, direction, *drawn, self.how, out.numpy(), scratch,
                    self.spots, self.pull_places,
                )  # fmt: skip
                return out

            return product

        push, pull = map(product_by, self.products_of)
        return push, pull

    def _taken(self, w: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """Parameters and a minibatch as kernels take them: w, real, latent, classes, two noises, mix, each [R, .]."""
        nothing = w.new_empty(len(w), 0)
        real, latent, classes = batch["real"].flatten(1).contiguous(), batch["latent"], batch.get("class")
        if classes is not None:
            latent = torch.cat([latent, classes], 1)
        told = nothing if classes is None else side_by_side(classes, self.pac).flatten(1)
        noises = (batch.get(f"{side} noise", nothing).flatten(1) for side in ("real", "fake"))
        return w, real, latent.flatten(1), told, *noises, batch.get("mix", nothing)

    def _divided(self, w: Stack, kind: str) -> tuple[Stack, Stack]:
        """w with its normalised weights divided, and what `bring_back` needs of them; w itself where none is."""
        if not len(self.matrices):
            return w, w
        divided, factors = np.empty_like(w), np.empty((len(w), self.factors), w.dtype)
        self.ready(self.spectral_norm.divide, kind)(w, self.matrices, POWER_ITERATIONS, SMALLEST, divided, factors)
        return divided, factors

    def _kept(self, w: Tensor, player: int | None) -> npt.NDArray[np.floating]:
        """What half fields keep, [R, .]; no columns for both players, or where it would be large."""
        key, size = (len(w), w.dtype), 0 if player is None or len(w) * self.kept_size > KEPT else self.kept_size
        if not size:
            return np.empty((len(w), 0), str(w.dtype).removeprefix("torch."))
        if key not in self.kept:  # one stack at a time: rows are dropped where replicas are
            self.kept = {key: aligned(len(w) * size, w.dtype).reshape(len(w), size)}
            self.kept[key][:, 0] = np.nan  # which no latent is
        return self.kept[key]

    def _kind(self, w: Tensor) -> tuple[str, npt.NDArray[np.floating]]:
        """The type of the numbers, and memory of that type."""
        if w.dtype not in self.memory:
            self.memory[w.dtype] = self.scratch.array(w.dtype)
        return str(w.dtype).removeprefix("torch."), self.memory[w.dtype]
