"""The same trainings in JAX, as one writes them there: optax, vmap over replicas, jit, lax.scan over steps.

XLA merges what the two losses have in common, so the fake samples and the logits on them are computed once. Minibatches
are drawn within the scan, for all replicas by one key. Where there are convolutions, `lax.map` over replicas is tried
beside vmap, which turns them into grouped ones; so are replicas in packs, whose activations may fit the cache: the
fastest is measured. Numbers are 32 bits but for the bilinear game's, whose are 64 here too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}".strip()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
from jax import lax  # noqa: E402
from workloads import layers_of, shapes  # noqa: E402

from bench.contracts import UpdateRule  # noqa: E402
from bench.games.networks.layers import Activation, Conv2d, Linear, Reshape  # noqa: E402
from bench.games.networks.networks import Network  # noqa: E402

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_default_prng_impl", "unsafe_rbg")  # the quickest that there is

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.relu,
    "leaky-relu": lambda h: jax.nn.leaky_relu(h, 0.2),
    "tanh": jnp.tanh,
    "none": lambda h: h,
}
Tree = Any


def apply(network: Network, params: list[Any], h: Any) -> Any:
    """One replica: h [batch, features] or [batch, H, W, C]."""
    parts = iter(params)
    for layer in network.layers:
        if isinstance(layer, Linear):
            W, b = next(parts)
            h = h @ W + b
        elif isinstance(layer, Conv2d):
            W, b = next(parts)
            around = [(layer.padding, layer.padding)] * 2
            h = lax.conv_general_dilated(
                h, W, (layer.stride,) * 2, around, dimension_numbers=("NHWC", "HWIO", "NHWC")
            ) + b  # fmt: skip
        elif isinstance(layer, Activation):
            h = ACTIVATIONS[layer.name](h)
        elif isinstance(layer, Reshape):
            h = h.reshape(len(h), *((*layer.shape[1:], layer.shape[0]) if len(layer.shape) == 3 else (-1,)))
    return h


def taken(network: Network, rows: np.ndarray, shape: tuple[int, ...]) -> list[Any]:
    """The engine's parameters of a network [R, size] as JAX has them: W [R, in, out] or [R, H, W, in, out]."""
    parts = iter(np.split(rows, np.cumsum(network.layout)[:-1], axis=1)[::2])
    found, image = [], None  # channels, height and width of what was flattened
    for layer, before, _ in layers_of(network, shape):
        if isinstance(layer, Reshape) and len(before) == 3:
            image = before
        if not layer.shapes:
            continue
        W, b = next(parts).reshape(-1, *layer.shapes[0]), next(parts)
        if isinstance(layer, Conv2d):
            W = W.transpose(0, 3, 4, 2, 1)
        else:
            if image is not None:  # features were channels first
                W = W.reshape(*W.shape[:2], *image).transpose(0, 1, 3, 4, 2).reshape(W.shape)
            W, image = W.transpose(0, 2, 1), None
        found.append((jnp.asarray(np.ascontiguousarray(W)), jnp.asarray(b)))
    return found


# --- games: what one replica's field is, and its data ----------------------------------------------------------------


class Gan:
    """One replica's field of a GAN, and all replicas' minibatches."""

    def __init__(self, game: Any) -> None:
        self.game, self.critic = game, game.loss == "wgan-gp"
        known = game.modes if hasattr(game, "modes") else game.images
        self.known = jnp.asarray(np.asarray(known))
        self.flat = len(shapes(game)[1]) == 1

    def draw(self, key: Any, replicas: int) -> dict[str, Any]:
        size = (replicas, self.game.batch_size)
        which, noise, latent, mix = jax.random.split(key, 4)
        real = self.known[jax.random.randint(which, size, 0, len(self.known))]
        if hasattr(self.game, "modes"):
            real = real + self.game.sd * jax.random.normal(noise, real.shape)
        elif real.dtype == jnp.uint8:
            real = real.reshape(*size, -1) if self.flat else jnp.moveaxis(real, 2, -1)
            real = real.astype(jnp.float32) / 127.5 - 1
        batch = {"real": real, "latent": jax.random.normal(latent, (*size, self.game.latent))}
        return batch | ({"mix": jax.random.uniform(mix, size)} if self.critic else {})

    def given(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A minibatch of the engine's, [R, ..., batch]."""
        real = np.asarray(batch["real"])
        real = real.transpose(0, 2, 1) if real.ndim == 3 else real.transpose(0, 4, 2, 3, 1)
        found = {"real": real, "latent": np.asarray(batch["latent"]).transpose(0, 2, 1)}
        return found | ({"mix": np.asarray(batch["mix"])} if self.critic else {})

    def params(self, w: np.ndarray) -> Tree:
        entry, made = shapes(self.game)
        border = self.game.sizes[0]
        return taken(self.game.generator, w[:, :border], entry), taken(self.game.discriminator, w[:, border:], made)

    def field(self, params: Tree, batch: dict[str, Any]) -> Tree:
        g, d = params
        return jax.grad(self.generator_loss)(g, d, batch), jax.grad(self.discriminator_loss, argnums=1)(g, d, batch)

    def logits(self, d: Tree, x: Any) -> Any:
        return apply(self.game.discriminator, d, x)[:, 0]

    def generator_loss(self, g: Tree, d: Tree, batch: dict[str, Any]) -> Any:
        fake = self.logits(d, apply(self.game.generator, g, batch["latent"]))
        return -fake.mean() if self.critic else jax.nn.softplus(-fake).mean()

    def discriminator_loss(self, g: Tree, d: Tree, batch: dict[str, Any]) -> Any:
        made = apply(self.game.generator, g, batch["latent"])
        real, fake = self.logits(d, batch["real"]), self.logits(d, made)
        if not self.critic:
            return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()
        at = batch["mix"][:, None] * batch["real"] + (1 - batch["mix"][:, None]) * made
        slope = jax.grad(lambda x: self.logits(d, x).sum())(at)
        length = jnp.sqrt((slope**2).sum(1) + 1e-12)
        return fake.mean() - real.mean() + 10 * ((length - 1) ** 2).mean()


class Bilinear:
    """One replica's field of the bilinear game."""

    def __init__(self, game: Any) -> None:
        self.A = jnp.asarray(np.asarray(game.matrix))

    def draw(self, key: Any, replicas: int) -> dict[str, Any]:
        return {}

    def given(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {}

    def params(self, w: np.ndarray) -> Tree:
        return tuple(map(jnp.asarray, np.split(w, 2, axis=1)))

    def field(self, params: Tree, batch: dict[str, Any]) -> Tree:
        x, y = params
        return jax.grad(lambda x: x @ self.A @ y)(x), jax.grad(lambda y: -(x @ self.A @ y))(y)


# --- schemes ---------------------------------------------------------------------------------------------------------


def optimiser(rule: Any) -> optax.GradientTransformation:
    d = rule.direction
    return optax.sgd(rule.lr) if d.name == "plain" else optax.adam(rule.lr, d.beta1, d.beta2, d.eps)


def simultaneous(rule: Any, opt: Any, field: Any, params: Tree, memory: Tree) -> tuple[Tree, Tree]:
    updates, memory = opt.update(field(params), memory)
    return optax.apply_updates(params, updates), memory


def extragradient(rule: Any, opt: Any, field: Any, params: Tree, memory: Tree) -> tuple[Tree, Tree]:
    updates, memory = opt.update(field(params), memory)
    updates, memory = opt.update(field(optax.apply_updates(params, updates)), memory)
    return optax.apply_updates(params, updates), memory


def consensus(rule: Any, opt: Any, field: Any, params: Tree, memory: Tree) -> tuple[Tree, Tree]:
    found, pull = jax.vjp(field, params)
    (pulled,) = pull(found)
    both = jax.tree.map(lambda g, p: g + rule.gamma * p, found, pulled)
    updates, memory = opt.update(both, memory)
    return optax.apply_updates(params, updates), memory


def alternating(rule: Any, opt: Any, field: Any, params: Tree, memory: Tree) -> tuple[Tree, Tree]:
    """The discriminator's step, then the generator's; XLA leaves out the half of the field that is not asked for."""
    (g, d), (of_g, of_d) = params, memory
    updates, of_d = opt.update(field((g, d))[1], of_d)
    d = optax.apply_updates(d, updates)
    updates, of_g = opt.update(field((g, d))[0], of_g)
    return (optax.apply_updates(g, updates), d), (of_g, of_d)


SCHEMES = {
    "Simultaneous": simultaneous,
    "Alternating": alternating,
    "Extragradient": extragradient,
    "Consensus": consensus,
}


def memory_of(opt: optax.GradientTransformation, scheme: Any) -> Callable[[Tree], Tree]:
    """An optimiser's memory of one replica's parameters: one, or one a player where they move in turn."""
    return (lambda params: tuple(map(opt.init, params))) if scheme is alternating else opt.init


@dataclass(frozen=True)
class Way:
    """How replicas go together: ``pack`` in a call, by vmap or one after another."""

    pack: int
    by: str = "vmap"

    def __str__(self) -> str:
        return f"{self.by}, {self.pack} replicas a call"


class Replicas:
    """R replicas from the engine's parameters w [R, n], trained in packs."""

    def __init__(self, game: Any, rule: UpdateRule, w: np.ndarray, way: Way, steps: int) -> None:
        self.wide, self.way, self.steps = w.dtype == np.float64, way, steps
        with jax.enable_x64(self.wide):
            self.game = Gan(game) if hasattr(game, "discriminator") else Bilinear(game)
            opt, scheme = optimiser(rule), SCHEMES[type(rule).__name__]

            def one(params: Tree, memory: Tree, batch: dict[str, Any]) -> tuple[Tree, Tree]:
                return scheme(rule, opt, lambda at: self.game.field(at, batch), params, memory)

            self.together = self._together(one)
            self.packs = []
            for start in range(0, len(w), way.pack):
                params = self.game.params(w[start : start + way.pack])
                self.packs.append((params, jax.vmap(memory_of(opt, scheme))(params), jax.random.key(start)))
            self.trained = jax.jit(self._scan, donate_argnums=0)

    def _together(self, one: Any) -> Any:
        if self.way.by == "vmap":
            return jax.vmap(one)
        return lambda *stacked: lax.map(lambda row: one(*row), stacked)

    def _scan(self, carry: Tree) -> Tree:
        def step(carry: Tree, _: None) -> tuple[Tree, None]:
            params, memory, key = carry
            key, now = jax.random.split(key)
            return (*self.together(params, memory, self.game.draw(now, self.way.pack)), key), None

        return lax.scan(step, carry, None, length=self.steps)[0]

    def run(self) -> None:
        """``steps`` steps of every replica."""
        with jax.enable_x64(self.wide):
            self.packs = [self.trained(pack) for pack in self.packs]
            jax.block_until_ready(self.packs)

    def after(self, batches: list[dict[str, Any]]) -> Tree:
        """The first pack's parameters after steps on the engine's minibatches."""
        with jax.enable_x64(self.wide):
            params, memory, _ = self.packs[0]
            for batch in batches:
                first = {key: part[: self.way.pack] for key, part in self.game.given(batch).items()}
                params, memory = jax.jit(self.together)(params, memory, first)
            return params


def ways(game: Any, replicas: int) -> list[Way]:
    """What is tried."""
    layers = game.discriminator.layers if hasattr(game, "discriminator") else ()
    packs = sorted({replicas, min(replicas, 8)})
    found = [Way(pack) for pack in packs]
    return found + ([Way(replicas, "map")] if any(isinstance(layer, Conv2d) for layer in layers) else [])
