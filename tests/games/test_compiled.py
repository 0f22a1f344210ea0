"""The compiled field against torch's: every loss, regulariser, depth and activation, and replicas that never touch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.contracts import Oracle
from bench.games.harness import compiled as harness
from bench.games.harness.gan import GAN
from bench.games.harness.losses import LOSSES
from bench.games.networks.backward import SLOPES, piecewise_linear
from bench.numerics.kernels.core import VARIABLE, blas
from bench.registry import get_game

pytestmark = pytest.mark.skipif(not blas(), reason="numba or a BLAS that it could call is missing")

SLOPED = [name for name, loss in LOSSES.items() if loss.slopes is not None]
GAMES = [
    *(f"ring8[loss={loss}]" for loss in SLOPED),
    *(f"ring8[activation={activation}:leaky-relu]" for activation in SLOPES),
    *(f"ring8[activation=relu:{activation}]" for activation in SLOPES),
    *(f"grid25[regulariser={penalty},width=24,depth=3]" for penalty in ("r1", "r2", "gradient-penalty")),
    *(f"ring8[depth={depth},width=40]" for depth in (1, 2, 3, 4, 5)),
    "ring8[width=24:48,depth=4:2,batch_size=16]",
    "swiss-roll[latent=3,loss=lsgan]",
    "ring8[pac=2,noise=0.1,loss=wgan-gp]",
    "ring8[pac=3,regulariser=r1]",
    "digits",
    "digits[conditional=true,noise=0.05,regulariser=r2]",
    "digits[conditional=true,loss=wgan-gp,batch_size=16,depth=1]",
    "ring8[spectral=true,loss=hinge]",
    "digits[spectral=true,depth=3,conditional=true,loss=wgan-gp]",
]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
REPLICAS = 32


def game_of(spelled: str) -> GAN:
    game = get_game(spelled)
    assert isinstance(game, GAN)
    return game


def played(
    spelled: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> tuple[GAN, GAN, Tensor, dict[str, Tensor]]:
    """A game with kernels, the same without, parameters away from the start, and a minibatch."""
    monkeypatch.delenv(VARIABLE, raising=False)
    compiled = game_of(spelled)
    assert compiled._kernel is not None
    monkeypatch.setenv(VARIABLE, "torch")
    plain = game_of(spelled)
    assert plain._kernel is None
    monkeypatch.delenv(VARIABLE)
    seeds = torch.arange(REPLICAS)
    w = compiled.init(seeds)
    w = (w + 0.05 * torch.randn(w.shape, generator=torch.Generator().manual_seed(0)) * (w != 0)).to(dtype)
    batch = compiled.batch(seeds, 0)
    assert batch is not None
    return compiled, plain, w, {name: value.to(dtype) for name, value in batch.items()}


def field(game: GAN, w: Tensor, batch: dict[str, Tensor], player: int | None = None) -> Tensor:
    gradients = game.field(w, batch, player)
    assert gradients is not None
    return gradients


def padding(game: GAN, like: Tensor) -> Tensor:
    """Where w holds no parameter, [R, n].

    Zeros of a product are no sign of it: a sum of terms that cancel is 0 or a rounding, as the processor adds them.
    """
    outside = torch.ones_like(like, dtype=torch.bool)
    for parameter in (part for player_parts in game.tensors for part in player_parts):
        outside[:, parameter.columns] = False
    return outside


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("spelled", GAMES)
def test_the_kernel_gives_torchs_field(spelled: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, plain, w, batch = played(spelled, dtype, monkeypatch)
    w, batch = w[:3], {name: value[:3] for name, value in batch.items()}
    exact = field(plain, w.double(), {name: value.double() for name, value in batch.items()})
    for player, block in ((None, slice(None)), (0, slice(compiled.sizes[0])), (1, slice(compiled.sizes[0], None))):
        wanted = torch.zeros_like(exact)
        wanted[:, block] = exact[:, block]
        found = field(compiled, w, batch, player)
        error = (found.double() - wanted).norm(dim=1) / wanted.norm(dim=1)
        assert error.max() <= TOLERANCES[dtype]
        assert (found[padding(compiled, found)] == 0).all()


@pytest.mark.parametrize(
    "spelled", ["ring8[width=128]", "ring8[loss=wgan-gp,pac=2]", "digits[conditional=true]", "digits[spectral=true]"]
)
def test_a_replicas_bits_do_not_depend_on_its_neighbours(spelled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    game, _, w, batch = played(spelled, torch.float32, monkeypatch)
    for player in (None, 0, 1):
        whole = field(game, w, batch, player)
        for rows in (*(slice(count) for count in range(1, REPLICAS + 1)), slice(7, 20), slice(3, 4)):
            part = field(game, w[rows].clone(), {name: value[rows].clone() for name, value in batch.items()}, player)
            assert torch.equal(part, whole[rows])


@pytest.mark.parametrize("spelled", ["ring8", "digits", "ring8[loss=wgan-gp]", "ring8[spectral=true]"])
def test_a_replica_that_is_not_a_number_shows_and_stays_alone(spelled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    game, _, w, batch = played(spelled, torch.float32, monkeypatch)
    whole, broken = field(game, w, batch), w.clone()
    broken[1] = float("nan")
    broken[3, game.tensors[0][0].start] = float("nan")
    broken[5] = float("inf")
    found = field(game, broken, batch)
    others = torch.tensor([row not in (1, 3, 5) for row in range(REPLICAS)])
    assert torch.equal(found[others], whole[others])
    assert (~found[~others].isfinite()).any(dim=1).all()


def fresh(game: GAN, w: Tensor, batch: dict[str, Tensor], player: int) -> Tensor:
    """The field without what earlier calls have left."""
    assert game._kernel is not None
    game._kernel.kept.clear()
    return field(game, w, batch, player)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    "spelled", ["ring8[width=128]", "digits[conditional=true]", "ring8[loss=wgan-gp,pac=2,noise=0.1]"]
)
def test_in_turn_the_generators_activations_are_used_again(
    spelled: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as its parameters and latents are the same in every bit, whatever the discriminator does."""
    game, _, w, batch = played(spelled, dtype, monkeypatch)
    border = game.sizes[0]
    field(game, w, batch, 1)
    moved = w.clone()
    moved[:, border:] *= 1.01
    assert game._kernel is not None
    kept = {key: memory.copy() for key, memory in game._kernel.kept.items()}
    after = field(game, moved, batch, 0)
    assert torch.equal(after, fresh(game, moved, batch, 0))
    for memory in kept.values():
        memory[2, game._kernel.by_kept[0] :] = float("nan")
    game._kernel.kept.update(kept)
    poisoned = field(game, moved, batch, 0)
    assert poisoned[2].isnan().any(), "they are computed again"
    assert torch.equal(poisoned[3:], after[3:])


def test_activations_of_other_parameters_or_latents_are_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    game, _, w, batch = played("ring8[width=128]", torch.float32, monkeypatch)
    w[:, 0] = 0.0
    (latent, *_), other = batch["latent"].shape, {name: value.clone() for name, value in batch.items()}
    near, turned, last = w.clone(), w.clone(), w.clone()
    near[1, 5] = torch.nextafter(w[1, 5], torch.tensor(9.0))  # a unit in the last place
    turned[2, 0] = -0.0
    last[3, game.tensors[0][-1].columns.stop - 1] += 1.0
    other["latent"][latent - 1, -1, -1] += 1.0
    fewer = {name: value[:5] for name, value in batch.items()}
    for then, point in ((batch, near), (batch, turned), (batch, last), (other, w), (fewer, w[:5])):
        for player in (1, 0):
            field(game, w, batch, 1)
            found = field(game, point, then, player)
            assert torch.equal(found, fresh(game, point, then, player))
    broken = w.clone()
    broken[4] = float("nan")
    for _ in range(2):
        found = field(game, broken, batch, 1)
    others = torch.arange(REPLICAS) != 4
    assert torch.equal(found[others], fresh(game, w, batch, 1)[others])
    assert found[4].isnan().any()


def test_a_large_stack_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    game, _, w, batch = played("ring8", torch.float32, monkeypatch)
    kept = field(game, w, batch, 0)
    monkeypatch.setattr(harness, "KEPT", 1000)
    assert torch.equal(fresh(game, w, batch, 0), kept)
    assert game._kernel is not None
    assert not game._kernel.kept


@pytest.mark.parametrize("setting", ["loss=relativistic", "maxout=2", "batch_norm=true", "activation=silu"])
def test_what_the_kernel_does_not_know_is_torchs(setting: str) -> None:
    assert game_of(f"ring8[{setting}]")._kernel is None


PULLED = [name for name in GAMES if all(part not in name for part in ("gp", "regulariser", "spectral"))]


@pytest.mark.parametrize("own", [True, False], ids=["J", "J without its diagonal"])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("spelled", PULLED)
def test_the_kernels_give_autograds_products(
    spelled: str, dtype: torch.dtype, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, plain, w, batch = played(spelled, dtype, monkeypatch)
    w, batch = w[:3], {name: value[:3] for name, value in batch.items()}
    u = torch.randn(w.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    if not piecewise_linear(compiled.discriminator):
        assert compiled.products(w, batch, None, own) is None
        return
    F = oracle(plain, {name: value.double() for name, value in batch.items()})
    for player in (None, 0, 1):
        _, *wanted = F.linear(w.double(), player, own)
        products, alone = compiled.products(w, batch, player, own), compiled.products(*second(w, batch), player, own)
        assert products is not None
        assert alone is not None
        for kernel, by_itself, autograd in zip(products, alone, wanted, strict=True):
            found, exact = kernel(u), autograd(u.double())
            error = (found.double() - exact).norm(dim=1) / exact.norm(dim=1)
            assert error.max() <= TOLERANCES[dtype]
            assert torch.equal(by_itself(u[1:2]), found[1:2])
            assert (found[padding(compiled, found)] == 0).all()
            for block in (slice(compiled.sizes[0]), slice(compiled.sizes[0], None)):  # rows that are not asked for
                assert exact[:, block].any() or not found[:, block].any()


@pytest.mark.parametrize("core", ["numba", "torch"])
def test_a_normalised_weight_of_zeros_is_autograds(core: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its largest singular value is no number to divide by: a smallest one is in its place, whose derivative is 0."""
    games = dict(zip(("numba", "torch"), played("ring8[spectral=true]", torch.float64, monkeypatch)[:2], strict=True))
    _, _, w, batch = played("ring8[spectral=true]", torch.float64, monkeypatch)
    w[:, games[core].tensors[1][2].columns] = 0
    wanted = oracle(games[core], batch)._gradients(w, None, cross=False)
    error = (field(games[core], w, batch) - wanted).norm(dim=1) / wanted.norm(dim=1)
    assert error.max() <= TOLERANCES[torch.float64]


@pytest.mark.parametrize("setting", ["spectral=true", "regulariser=r1"])
def test_products_that_no_kernel_knows_are_autograds(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    game, _, w, batch = played(f"ring8[{setting}]", torch.float32, monkeypatch)
    assert game.products(w, batch, None, True) is None


def second(w: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The second replica by itself."""
    return w[1:2].clone(), {name: value[1:2].clone() for name, value in batch.items()}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("spelled", GAMES)
def test_the_kernel_gives_the_gradients_of_the_others_loss(
    spelled: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, plain, w, batch = played(spelled, dtype, monkeypatch)
    w, batch = w[:3], {name: value[:3] for name, value in batch.items()}
    wanted = oracle(plain, {name: value.double() for name, value in batch.items()}).cross(w.double())
    found = compiled.cross(w, batch)
    assert found is not None
    for block in (slice(compiled.sizes[0]), slice(compiled.sizes[0], None)):
        error = (found.double() - wanted)[:, block].norm(dim=1) / wanted[:, block].norm(dim=1)
        assert error.max() <= TOLERANCES[dtype]
    alone = compiled.cross(*second(w, batch))
    assert alone is not None
    assert torch.equal(alone, found[1:2])


def test_products_of_a_replica_that_is_not_a_number_stay_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    game, _, w, batch = played("ring8", torch.float32, monkeypatch)
    broken, u = w.clone(), torch.ones_like(w)
    broken[1] = float("nan")
    others = torch.arange(REPLICAS) != 1
    for own in (True, False):
        sound, sick = game.products(w, batch, None, own), game.products(broken, batch, None, own)
        assert sound is not None
        assert sick is not None
        for well, ill in zip(sound, sick, strict=True):
            assert torch.equal(ill(u)[others], well(u)[others])
            assert ill(u)[1].isnan().any()


def oracle(game: GAN, batch: dict[str, Tensor]) -> Oracle:
    """An oracle that meets this minibatch."""
    F = Oracle(game, range(len(batch["real"])))
    F._batch, F._drawn = batch, True
    F._project = None  # the kernel is asked at w itself
    return F


def test_products_of_a_linearisation_keep_their_minibatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after the oracle has moved on; both belong to the same J."""
    game, plain, w, _ = played("ring8", torch.float64, monkeypatch)
    games, u = (game, plain), torch.randn(w.shape, generator=torch.Generator().manual_seed(2)).double() * (w != 0)
    results = []
    for side in games:
        F = Oracle(side, range(REPLICAS))
        F.batch(w)
        F._batch = {name: value.double() for name, value in side.batch(F.seeds, 0).items()}  # type: ignore[union-attr]
        field, push, pull = F.linear(w)
        F.new_batch()
        results.append((field, push(u), pull(u), F.cost))
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-12)
    _, pushed, pulled, _ = results[0]
    torch.testing.assert_close((pushed * u).sum(1), (pulled * u).sum(1), rtol=1e-10, atol=1e-12)
