"""The field of a GAN by compiled kernels, where both networks are plain perceptrons and the loss has slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.contracts import Batch
from bench.games.harness.packing import side_by_side
from bench.games.networks.backward import piecewise_linear
from bench.games.networks.compiled import Scratch, places, program
from bench.numerics import passes
from bench.numerics.kernels.core import fits

if TYPE_CHECKING:
    from bench.games.harness.gan import GAN


class CompiledField:
    """Calls the kernel with a game's networks, settings and minibatches.

    Args:
        game: a GAN between two plain perceptrons.

    Raises:
        LookupError: the kernel does not know a network, the loss or the regulariser.
    """

    def __init__(self, game: GAN) -> None:
        from bench.numerics.kernels import field as kernels
        from bench.numerics.kernels.compilation import ready
        from bench.numerics.kernels.pull import pull

        generator, discriminator = program(game.generator, 0), program(game.discriminator, game.sizes[0])
        if generator is None or discriminator is None:
            raise LookupError("a network is no plain perceptron")
        self.ready, self.pull_kernel = ready, pull
        self.kernels, self.game, self.generator, self.discriminator = kernels, game, generator, discriminator
        batch, told, drawn = game.batch_size, game.told, game.drawn
        features, top = int(generator[-1, 1]), int(discriminator[0, 0])
        regulariser, gamma = game._regulariser
        self.gamma = gamma if regulariser is not None else 0.0
        penalty = kernels.PENALTIES[game._penalty_name]
        settings = (kernels.LOSSES[game.loss], penalty, batch, game.pac, features, game.pac * told)
        self.how = np.array([*settings, game.sizes[0], sum(game.sizes)], dtype=np.int64)
        self.seen = game.pac * features * batch
        scratch, wide = Scratch(), 2 * batch
        self.by_generator = places(generator, drawn, scratch)
        self.by_discriminator = places(discriminator, wide, scratch)
        self.units = places(discriminator, batch, scratch)
        widest = max(int(generator[:, :2].max()) * drawn, int(discriminator[:, :2].max()) * wide)
        sizes = [top * wide, wide, batch, widest, widest, widest]
        self.places = np.array([scratch.take(size) for size in sizes])
        self.pulls = self.gamma == 0 and piecewise_linear(game.discriminator)
        if self.pulls:
            spots = np.zeros((7, max(len(generator), len(discriminator))), dtype=np.int64)
            lists = [self.by_generator, self.by_discriminator, places(discriminator, wide, scratch)]
            lists += [places(generator, drawn, scratch) for _ in range(2)]
            lists += [places(discriminator, count, scratch) for count in (batch, wide)]
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
        passes.prepare(kind)

    def __call__(self, w: Tensor, batch: Batch, player: int | None) -> Tensor | None:
        """Both players' gradients, or one's, [R, n]; None where the tensors do not fit the kernel."""
        taken = self._taken(w, batch)
        if not fits(*taken):
            return None
        penalised = self.gamma and player != self.kernels.GENERATOR
        out, fakes = torch.empty_like(w), w.new_empty(len(w), self.seen if penalised else 0)
        *drawn, mix = (tensor.numpy() for tensor in taken)
        kind, scratch = self._kind(w)
        who = self.kernels.BOTH if player is None else player
        self.ready(self.kernels.field, kind)(
            who, self.generator, self.discriminator, *drawn, self.how, out.numpy(), fakes.numpy(), scratch,
            self.by_generator, self.by_discriminator, self.places,
        )  # fmt: skip
        if penalised:
            at, beside, _, told, *_ = drawn
            self.ready(self.kernels.add_penalty, kind)(
                self.discriminator, at, beside, fakes.numpy(), mix, told, self.how, self.gamma, out.numpy(), scratch,
                self.by_discriminator, self.units, self.places,
            )  # fmt: skip
        return out

    def pull(self, w: Tensor, batch: Batch, player: int | None) -> Callable[[Tensor], Tensor] | None:
        """The product u -> J' u, [R, n], of one player's rows if given; None with a penalty, or where none fits."""
        taken = self._taken(w, batch)
        if not self.pulls or not fits(*taken):
            return None
        at, *drawn, _ = (tensor.numpy() for tensor in taken)
        kind, scratch = self._kind(w)
        kernel, who = self.ready(self.pull_kernel, kind), self.kernels.BOTH if player is None else player

        def product(u: Tensor) -> Tensor:
            out, along = torch.empty_like(w), u.detach().contiguous().numpy()
            kernel(
                who, self.generator, self.discriminator, at, along, *drawn, self.how, out.numpy(), scratch, self.spots,
                self.pull_places,
            )  # fmt: skip
            return out

        return product

    def _taken(self, w: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """Parameters and a minibatch as kernels take them: w, real, latent, classes, two noises, mix, each [R, .]."""
        game, nothing = self.game, w.new_empty(len(w), 0)
        real, latent = batch["real"].flatten(1).contiguous(), game._told(batch["latent"], batch).flatten(1)
        classes = side_by_side(batch["class"], game.pac).flatten(1) if game.conditional else nothing
        noises = [batch[f"{side} noise"].flatten(1) if game.noise else nothing for side in ("real", "fake")]
        return w, real, latent, classes, *noises, batch.get("mix", nothing)

    def _kind(self, w: Tensor) -> tuple[str, npt.NDArray[np.floating]]:
        """The type of the numbers, and memory of that type."""
        if w.dtype not in self.memory:
            self.memory[w.dtype] = self.scratch.array(w.dtype)
        return str(w.dtype).removeprefix("torch."), self.memory[w.dtype]
