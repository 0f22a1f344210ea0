"""``bench.game``: ordinary torch, written for one replica, as a game."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bench
from bench.checks.game_laws import GAME_LAWS
from bench.errors import UserError
from bench.games.harness.picture_sets import SETS

LEAKY = nn.LeakyReLU(0.2)


def generator() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, 1, 1), LEAKY, nn.Conv2d(4, 4, 3, 1, 1), LEAKY, nn.Conv2d(4, 1, 3, 1, 1), nn.Tanh())  # fmt: skip  # noqa: E501


def judge() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), LEAKY, nn.Conv2d(4, 8, 4, 2, 1), LEAKY, nn.Flatten(), nn.Linear(32, 1))  # fmt: skip  # noqa: E501


def data(generator: torch.Generator) -> dict[str, Tensor]:
    images = SETS["small"].training()[0].view(-1, 1, 8, 8)
    half = len(images) // 2
    first, second = (torch.randint(half, (16,), generator=generator) for _ in range(2))
    return {"a": images[first], "b": -images[half + second]}


def cycle(generators: Any, judges: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """CycleGAN, of one replica."""
    (g, f), (d_b, d_a), a, b = generators, judges, batch["a"], batch["b"]
    fake_b, fake_a = g(a), f(b)
    own = 10 * ((f(fake_b) - a).abs().mean() + (g(fake_a) - b).abs().mean())
    other: Any = 0.0
    for d, real, fake in ((d_b, b, fake_b), (d_a, a, fake_a)):
        own = own + (d(fake) - 1).square().mean() / 2
        other = other + ((d(real) - 1).square().mean() + d(fake).square().mean()) / 2
    return own, other


def translation() -> Any:
    return bench.game(players=[[generator, generator], [judge, judge]], losses=cycle, data=data, budget=50)


def test_cycle_gan_in_ordinary_torch_is_the_shipped_one() -> None:
    """The same networks at the same parameters on the same pictures have the same losses."""
    own, shipped = translation(), bench.get_game("translation[channels=4]")
    seeds = torch.tensor([0, 1, 2])
    assert own.sizes == shipped.sizes
    w, batch = shipped.init(seeds), shipped.batch(seeds, 0)
    assert batch is not None
    found = shipped.losses(tuple(torch.split(w, list(shipped.sizes), 1)), batch)
    samples_first = {name: value.movedim(-1, 1) for name, value in batch.items()}
    again = own.losses(tuple(torch.split(w, list(own.sizes), 1)), samples_first)
    for expected, given in zip(found, again, strict=True):
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("law", GAME_LAWS, ids=lambda law: law.__name__)
def test_it_obeys_the_laws(law: Any) -> None:
    law(translation())


def ring(generator: torch.Generator) -> dict[str, Tensor]:
    angle = torch.randint(8, (32,), generator=generator) * torch.pi / 4
    return {
        "real": torch.stack([angle.cos(), angle.sin()], 1) + 0.01 * torch.randn(32, 2, generator=generator),
        "latent": torch.randn(32, 4, generator=generator),
    }


def gan(g: Any, d: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    fake = d(g(batch["latent"]))
    own, real = nn.functional.softplus(-fake).mean(), nn.functional.softplus(-d(batch["real"])).mean()
    return own, real + nn.functional.softplus(fake).mean()


def test_a_gan_of_ones_own_is_tuned_compared_and_judged_by_its_samples(tmp_path: Any) -> None:
    real = ring(torch.Generator().manual_seed(9))["real"]
    made = bench.game(
        players=[nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), nn.Linear(2, 1)], losses=gan, data=ring,
        generate=lambda g, generator, count: g(torch.randn(count, 4, generator=generator)), real=real,
    )  # fmt: skip
    study = bench.Study(optimizers=["adam[lr=0.01]", "sgd"], games=[made], trials=0, seeds="0-1", budget=20)
    run = bench.run(study, out=tmp_path / "run")
    assert set(run.table()["metric"]) == {"sliced_wasserstein"}
    assert run.table()["iqm"].notna().all()


def test_one_player_alone() -> None:
    alone = bench.game(
        players=[nn.Linear(3, 1)],
        losses=lambda model, batch: ((model(batch["x"]) - batch["x"].sum(1, keepdim=True)).square().mean(),),
        data=lambda generator: {"x": torch.randn(16, 3, generator=generator)},
    )
    assert alone.players == 1
    assert bench.get_rule("alternating").refuses(alone)
    F, rule = bench.Oracle(alone, [0, 1]), bench.get_rule("sgd[lr=0.1]")
    w = alone.init(F.seeds)
    before = F.losses(w)[0]
    for _ in range(60):
        w, _ = rule.step(F, w, {})
        F.new_batch()
    assert (F.losses(w)[0] < 1e-2 * before).all()


def test_what_vmap_refuses_works_one_after_another() -> None:
    def branching(x: Any, y: Any) -> tuple[Tensor, Tensor]:
        value = (y.weight * x.weight).sum()
        value = value if float(value.detach()) > 0 else 2 * value  # a branch on a value
        return value, -value

    made = bench.game(players=[nn.Linear(4, 4), nn.Linear(4, 4)], losses=branching)
    assert not made._together
    for law in GAME_LAWS:
        law(made)


def test_it_is_still_the_decorator() -> None:
    @bench.game("decorated-by-test")
    class Decorated(bench.Game):
        sizes = (1, 1)

        def init(self, seeds: Tensor) -> Tensor:
            return torch.zeros(len(seeds), 2)

        def losses(self, players: tuple[Tensor, ...], batch: Any) -> tuple[Tensor, ...]:
            return players[0][:, 0], players[1][:, 0]

    assert bench.get_game("decorated-by-test").sizes == (1, 1)


PAIR = [nn.Linear(1, 1), nn.Linear(1, 1)]


@pytest.mark.parametrize(("settings", "says"), [
    ({"players": [*PAIR, nn.Linear(1, 1)], "losses": gan}, "found 3 players; 1 or 2 are allowed"),
    ({"players": PAIR}, "losses are missing"),
    ({"players": [1, 2], "losses": gan}, "player 0 is a int; a torch module, a function that makes one"),
    ({"players": PAIR, "losses": lambda x, y: x.weight.sum()}, "one scalar a player is needed|raised"),
    ({"players": PAIR, "losses": lambda x, y: (x.weight.sum(),)}, "one scalar a player is needed"),
    ({"players": PAIR, "losses": lambda x, y: (x.weight, y.weight)}, "one scalar a player is needed"),
    ({"players": PAIR, "losses": lambda x, y: 1 / 0}, "raised ZeroDivisionError"),
    ({"players": PAIR, "losses": gan, "real": torch.zeros(3, 2)}, "real is given without generate"),
    ({}, "found neither a name nor players"),
])  # fmt: skip
def test_what_is_refused(settings: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        bench.game(**settings)
