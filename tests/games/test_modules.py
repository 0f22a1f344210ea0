"""A user's own GAN of torch modules: equal to the modules, a game by the laws, refused in one line where it is none."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from covering import covering
from torch import Tensor, nn
from torch.nn.functional import softplus

import bench
from bench.checks.game_laws import GAME_LAWS
from bench.checks.laws import continues_bit_for_bit, cost_is_declared, replicas_do_not_touch, shapes_stay, step_is_pure
from bench.contracts import Oracle
from bench.contracts.introspection import for_game
from bench.errors import UserError
from bench.games.harness.gan_game import gan_game, speed
from bench.games.harness.modules import ModuleGAN
from bench.games.networks.stacking import Stacked
from bench.registry import get_rule

POINTS = torch.randn(200, 2, generator=torch.Generator().manual_seed(5))
IMAGES = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(6))


def mlp(fan_in: int, fan_out: int) -> nn.Sequential:
    inner = nn.Sequential(nn.Linear(12, 12, bias=False), nn.BatchNorm1d(12, affine=False), nn.GELU())
    return nn.Sequential(nn.Linear(fan_in, 12), nn.LeakyReLU(0.07, inplace=True), inner, nn.Linear(12, fan_out))


class Residual(nn.Module):
    """h + f(h) between two products, with a parameter of its own and branches on no value."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(fan_in, 16), nn.Linear(16, 16), nn.Linear(16, fan_out)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        return self.last(h + self.gain * torch.tanh(self.middle(h)))


class Branching(Residual):
    """Branches on a value: torch.func takes one replica at a time."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        return out if bool(x.mean() < 1e9) else 2 * out


class Picture(nn.Module):
    """A discriminator of images with a residual block and batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(256, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.first(x)))
        return self.last((h + self.second(h)).flatten(1)).squeeze(1)


def conv_generator() -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(16, 6, 2, bias=False), nn.BatchNorm2d(6), nn.ReLU(True),
        nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.GroupNorm(2, 4), nn.SiLU(),
        nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def conv_discriminator() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True), nn.Dropout(0.0),
        nn.Conv2d(4, 6, 3, padding=1), nn.InstanceNorm2d(6), nn.ELU(),
        nn.Flatten(), nn.LayerNorm(96), nn.Unflatten(1, (6, 4, 4)), nn.Conv2d(6, 1, 4),
    )  # fmt: skip


def game_of(kind: str, **options: Any) -> ModuleGAN:
    pairs = {
        "mlp": (lambda: mlp(8, 2), lambda: mlp(2, 1), POINTS),
        "conv": (conv_generator, conv_discriminator, IMAGES),
        "residual": (lambda: Residual(8, 2), lambda: Residual(2, 1), POINTS),
        "branching": (lambda: mlp(8, 2), lambda: Branching(2, 1), POINTS),
        "picture": (conv_generator, Picture, IMAGES),
    }
    generator, discriminator, data = pairs[kind]
    given = {"loss": "non-saturating", "batch_size": 16} | options
    return gan_game(generator(), discriminator(), given.pop("loss"), data, **given)


KINDS = ["mlp", "conv", "residual", "branching", "picture"]
WAYS = {"mlp": (True, True), "conv": (True, True), "residual": (False, False), "branching": (True, False)}


def loaded(network: Stacked, row: Tensor) -> nn.Module:
    """The module itself, in training mode, with the parameters of one replica."""
    module = deepcopy(network.given.module).train()
    parts = torch.split(row, network.layout)[::2]
    with torch.no_grad():
        for parameter, part in zip(module.parameters(), parts, strict=True):
            parameter.copy_(part.view(parameter.shape))
    return module


def flat(network: Stacked, gradients: tuple[Tensor, ...]) -> Tensor:
    """Gradients of a module's parameters as they stand in a row of w."""
    padded = [(g.flatten(), g.new_zeros(-g.numel() % 16)) for g in gradients]
    return torch.cat([part for pair in padded for part in pair])


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_equals_the_unbatched_module_with_its_gradients(kind: str) -> None:
    game = game_of(kind)
    seeds = torch.tensor([3, 1, 4])
    w, batch = game.init(seeds), game.batch(seeds, 0)
    w = w + 0.1 * torch.randn(w.shape, generator=torch.Generator().manual_seed(1))
    sides = zip(game.networks, torch.split(w, list(game.sizes), 1), ("latent", "real"), strict=True)
    for network, parameters, taken in sides:
        parameters = parameters.clone().requires_grad_()
        out = network(parameters, batch[taken])
        (gradient,) = torch.autograd.grad(out.square().sum(), parameters)
        for r in range(3):
            module = loaded(network, parameters[r].detach())
            x = batch[taken][r].movedim(-1, 0)
            expected = module(x.reshape(16, *network.entry)).reshape(16, *network.leave)
            assert torch.allclose(out[r].movedim(-1, 0), expected, atol=1e-5, rtol=1e-5)
            own = flat(network, torch.autograd.grad(expected.square().sum(), list(module.parameters())))
            assert (gradient[r] - own).abs().max() <= 1e-5 * own.abs().max().clamp(min=1)


@pytest.mark.parametrize("kind", WAYS)
def test_what_is_batched_and_what_goes_through_torch_func(kind: str) -> None:
    game = game_of(kind)
    assert tuple(not network.why for network in game.networks) == WAYS[kind]
    assert [network.together for network in game.networks] == [True, kind != "branching"]
    said = speed(game)
    assert {
        "mlp": "both batched; ",
        "conv": "both batched; ",
        "residual": "both through torch.func (Residual does more than to call its parts in turn); ",
        "branching": "generator batched, discriminator through torch.func one replica at a time (Branching does m",
    }[kind] in said
    assert "replica-steps a second at R = 8" in said


def test_what_cannot_be_differentiated_twice_is_told() -> None:
    assert "not twice differentiable" in speed(gan_game(mlp(8, 2), Single(2, 1), "hinge", POINTS))
    assert "differentiable" not in speed(game_of("residual"))


def test_rules_with_second_derivatives_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    games = [gan_game(mlp(8, 2), Single(2, 1), "hinge", POINTS)]
    settings = {"games": games, "trials": 0, "seeds": "0-1", "budget": 8, "evaluations": 1}
    with pytest.raises(UserError) as refused:
        bench.run(bench.Study(optimizers="adam,consensus,lead", **settings), out=tmp_path / "run")
    (line,) = str(refused.value).splitlines()
    assert line.startswith("gan_game has no second derivatives, which consensus, lead need: ")
    assert not (tmp_path / "run").exists()
    run = bench.run(bench.Study(optimizers="adam,extragrad,unrolled[k=0]", **settings), out=tmp_path / "run")
    assert set(run.scores()["outcome"]) == {"ok"}


@pytest.mark.parametrize(("kind", "loss"), covering(KINDS, ["non-saturating", "wgan-gp"]))
def test_the_laws_hold(kind: str, loss: str) -> None:
    torch.set_num_threads(1)
    game = game_of(kind, loss=loss, noise=0.1)
    for law in GAME_LAWS:
        law(game)
    for rule in ("sgd[lr=0.001]", "consensus[lr=0.001]"):
        for law in (replicas_do_not_touch, step_is_pure, shapes_stay, continues_bit_for_bit, cost_is_declared):
            law(get_rule(rule), game)


@pytest.mark.parametrize("kind", KINDS)
def test_an_optimizer_class_is_given_the_modules_own_tensors(kind: str) -> None:
    game = game_of(kind)
    w = game.init(torch.tensor([5]))
    ends = (game.sizes[0], sum(game.sizes))
    for network, row, tensors, end in zip(game.networks, w.split(game.sizes, 1), game.tensors, ends, strict=True):
        parameters = list(loaded(network, row[0]).parameters())
        assert [tensor.shape for tensor in tensors] == [tuple(parameter.shape) for parameter in parameters]
        for tensor, parameter in zip(tensors, parameters, strict=True):
            assert torch.equal(w[0, tensor.columns].view(tensor.shape), parameter)
        assert end - 16 < tensors[-1].columns.stop <= end


def test_a_class_that_mixes_entries_steps_on_them_as_in_a_plain_loop() -> None:
    game = game_of("residual")
    rule = for_game(get_rule("sgd[lr=0.01,direction=torch[Adafactor]]"), game)
    F = Oracle(game, [5])
    w = game.init(F.seeds)
    s, point = rule.init(w), w.clone()
    players = [[nn.Parameter(w[0, t.columns].view(t.shape).clone()) for t in tensors] for tensors in game.tensors]
    optimizers = [torch.optim.Adafactor(player, lr=0.01) for player in players]
    for _ in range(10):
        g = F(point)
        for player, tensors, optimizer in zip(players, game.tensors, optimizers, strict=True):
            for parameter, tensor in zip(player, tensors, strict=True):
                parameter.grad = g[0, tensor.columns].view(tensor.shape).clone()
            optimizer.step()
            for parameter, tensor in zip(player, tensors, strict=True):
                point[0, tensor.columns] = parameter.detach().flatten()
        w, s = rule.step(F, w, s)
        F.new_batch()
    assert (point - game.init(F.seeds)).abs().max() > 0.01
    assert torch.equal(w, point)


def test_replicas_do_not_touch_in_a_full_stack() -> None:
    for kind in ("residual", "picture"):
        game = game_of(kind)
        many = Oracle(game, range(game.stack))
        w = game.init(many.seeds)
        assert torch.equal(many(w)[:2], Oracle(game, [0, 1])(w[:2]))


def test_training_equals_a_plain_loop() -> None:
    game = game_of("residual", batch_size=32)
    rule = get_rule("adam[lr=0.01]")
    F = Oracle(game, [7, 8])
    w = game.init(F.seeds)
    s = rule.init(w)
    plain = [loaded(network, row) for network, row in zip(game.networks, w[0].split(list(game.sizes)), strict=True)]
    beta1, beta2, eps = (getattr(rule.direction, name) for name in ("beta1", "beta2", "eps"))  # type: ignore[attr-defined]
    adams = [torch.optim.Adam(m.parameters(), lr=0.01, betas=(beta1, beta2), eps=eps) for m in plain]
    for draw in range(20):
        batch = game.batch(F.seeds, draw)
        w, s = rule.step(F, w, s)
        F.new_batch()
        generator, discriminator = plain
        fake, real = generator(batch["latent"][0].T), batch["real"][0].T
        losses = (
            softplus(-discriminator(fake)).mean(),
            softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean(),
        )
        for i, (module, loss) in enumerate(zip(plain, losses, strict=True)):
            found = torch.autograd.grad(loss, list(module.parameters()), retain_graph=i == 0)
            for parameter, gradient in zip(module.parameters(), found, strict=True):
                parameter.grad = gradient
        for adam in adams:
            adam.step()
    for network, row, module in zip(game.networks, w[0].split(list(game.sizes)), plain, strict=True):
        for trained, parameter in zip(loaded(network, row).parameters(), module.parameters(), strict=True):
            assert torch.allclose(trained, parameter, atol=1e-4)


def test_a_start_is_a_fresh_module() -> None:
    game = game_of("mlp")
    w = game.init(torch.arange(400))
    first = w[:, : 12 * 8]
    assert first.abs().max() <= 8**-0.5 + 1e-6
    assert abs(float(first.std()) - 8**-0.5 / 3**0.5) < 0.005
    state = torch.get_rng_state()
    assert torch.equal(game.init(torch.tensor([9, 3]))[1], w[3])
    assert torch.equal(torch.get_rng_state(), state)


def test_starts_of_ones_own() -> None:
    def small(part: nn.Module) -> None:
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)

    generator = mlp(8, 2).apply(small)
    with pytest.raises(UserError, match=r"generator's 0.weight is .* after reset_parameters\(\).*; give init="):
        gan_game(generator, mlp(2, 1), "hinge", POINTS)
    by_init = gan_game(generator, mlp(2, 1), "hinge", POINTS, init=small)
    by_making = gan_game(lambda: mlp(8, 2).apply(small), lambda: mlp(2, 1).apply(small), "hinge", POINTS)
    for game in (by_init, by_making):
        w = game.init(torch.arange(50))
        assert abs(float(w[:, : 12 * 8].std()) - 0.02) < 0.001
        assert (w[:, 12 * 8 : 12 * 8 + 12] == 0).all()
    own = Residual(8, 2)
    own.gain = nn.Parameter(torch.randn(3))
    with pytest.raises(UserError, match="gain is set by no reset_parameters"):
        gan_game(own, mlp(2, 1), "hinge", POINTS)


def test_data_from_a_function_and_from_a_data_set() -> None:
    drawn = gan_game(mlp(8, 2), mlp(2, 1), "hinge", lambda generator, n: 3 + torch.randn(n, 2, generator=generator))
    for law in GAME_LAWS:
        law(drawn)
    assert abs(float(drawn.real(torch.tensor([1, 2]), 0).mean()) - 3) < 0.3
    assert not torch.equal(drawn.real(torch.tensor([1]), 0), drawn.real(torch.tensor([1]), 1))
    pairs = torch.utils.data.TensorDataset(POINTS, torch.arange(200))
    seeds = torch.tensor([1, 2])
    game = gan_game(mlp(8, 2), mlp(2, 1), "hinge", pairs)
    assert torch.equal(game.real(seeds, 3), gan_game(mlp(8, 2), mlp(2, 1), "hinge", POINTS).real(seeds, 3))
    assert {tuple(x) for x in game.real(seeds, 3)[0].T.tolist()} <= {tuple(x) for x in POINTS.tolist()}
    assert game.generate(game.init(seeds), seeds, 20).shape == (2, 20, 2)


def test_a_digest_tells_games_apart() -> None:
    generator, discriminator = Residual(8, 2), Residual(2, 1)

    def digest(data: Tensor = POINTS, loss: str = "hinge") -> str:
        return gan_game(generator, discriminator, loss, data).digest

    assert digest() == gan_game(Residual(8, 2), Residual(2, 1), "hinge", POINTS).digest  # starts are the seeds'
    assert len({digest(), digest(loss="lsgan"), digest(POINTS + 1)}) == 3


class Forgetful(nn.Linear):
    """Keeps a buffer between calls."""

    def __init__(self) -> None:
        super().__init__(2, 1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Noisy(nn.Linear):
    """Draws random numbers by numpy."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + float(np.random.default_rng().normal()))


class Barrier(torch.autograd.Function):
    """The identity, without a derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise RuntimeError("no second derivative")


class Once(torch.autograd.Function):
    """The identity, which can be differentiated once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return Barrier.apply(gradient)


class Single(nn.Linear):
    """Can be differentiated once."""

    def forward(self, x: Tensor) -> Tensor:
        return softplus(Once.apply(super().forward(x)))


def frozen() -> nn.Linear:
    linear = nn.Linear(2, 1)
    linear.bias.requires_grad_(False)
    return linear


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"latent": 9}, r"gan_game: generator on \(N, 9\) raised RuntimeError: mat1 and mat2"),
        ({"generator": nn.Identity()}, "give latent="),
        ({"generator": mlp(8, 3)}, r"generator gives \(N, 3\) on latents \(N, 8\), the data are \(N, 2\)"),
        ({"data": IMAGES}, r"generator gives \(N, 2\) on latents \(N, 8\), the data are \(N, 1, 8, 8\)"),
        ({"data": POINTS[:, 0]}, r"data has shape \(200,\)"),
        ({"data": 3}, "data is a int"),
        ({"data": lambda generator, n: torch.randn(n, 2)}, "drawn twice by the same generator differ"),
        ({"data": lambda generator, n: torch.zeros(5, 2)}, r"data gives shape \(5, 2\) for 64 samples"),
        ({"loss": "non-saturated"}, "loss is 'non-saturated'; did you mean non-saturating"),
        ({"discriminator": mlp(2, 3)}, r"discriminator gives values of shape \(3,\) each on data \(N, 2\)"),
        ({"discriminator": mlp(3, 1)}, r"discriminator on \(N, 2\) raised RuntimeError"),
        (
            {"discriminator": nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())},
            "stay between 0 and 1.*'non-saturating'",
        ),
        ({"discriminator": Noisy(2, 1)}, "draws random numbers that torch's seed does not decide"),
        ({"discriminator": Forgetful()}, "changes its buffer calls"),
        ({"discriminator": frozen()}, "discriminator's bias is frozen"),
        ({"discriminator": Single(2, 1), "loss": "wgan-gp"}, "gradient of the losses raised RuntimeError: no second"),
        ({"discriminator": nn.LazyLinear(1)}, "discriminator's weight is lazy"),
        ({"discriminator": "D"}, "discriminator is a str"),
        ({"batch_size": 10}, "batch_size is 10; a multiple of 16"),
        ({"spectrum": True}, "there is no 'spectrum'; did you mean spectral"),
    ],
)
def test_mistakes(changed: dict[str, Any], says: str) -> None:
    given = {"generator": mlp(8, 2), "discriminator": mlp(2, 1), "loss": "non-saturating", "data": POINTS} | changed
    with pytest.raises(UserError, match=says) as caught:
        gan_game(**given)
    assert "\n" not in str(caught.value)


FILE = """
import torch
from torch import nn
import bench

generator = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
discriminator = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
angles = torch.linspace(0, 6.28, 500)
circle = torch.stack([angles.cos(), angles.sin()], dim=1)
game = bench.gan_game(generator, discriminator, "non-saturating", circle)
"""


@pytest.mark.slow
def test_by_path_in_worker_processes(tmp_path: Path) -> None:
    (tmp_path / "my_gan.py").write_text(FILE)
    run = ["--optimizers", "adam,extragrad", "--jobs", "2", "--budget", "40", "--trials", "0", "--seeds", "0-3"]
    for arguments in (["run", "--games", "./my_gan.py:game", *run, "--out", "out"], ["check", "./my_gan.py:game"]):
        done = subprocess.run(
            [sys.executable, "-m", "bench", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(tmp_path / "out/table.csv")
    assert set(table["game"]) == {"./my_gan.py:game"}
    assert (table["errors"] == 0).all()
