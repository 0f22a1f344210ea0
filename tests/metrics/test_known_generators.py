"""Scores held against generators that are known: they order them, and say which have learned."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from bench.checks.check import check
from bench.checks.game_laws import SCORE_LAWS, score_orders_known_generators
from bench.checks.laws import SEEDS, Broken, Untried, small
from bench.contracts import Partitioned
from bench.games.harness.gan_game import gan_game
from bench.games.harness.modules import ModuleGAN
from bench.games.harness.points import Points
from bench.games.ring8 import Ring8
from bench.metrics.evaluation import KNOWN, KnownGenerator, NotDefined, reference_scores
from bench.numerics.distances import mode_error, mode_statistics
from bench.numerics.randomness import normal
from bench.registry import games, get_game, get_metric

MODES = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])


@pytest.mark.parametrize("law", SCORE_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", games.names())
def test_every_score_orders_known_generators(name: str, law: Any) -> None:
    torch.set_num_threads(1)
    game = get_game(small(name))
    if game.missing:
        pytest.skip(game.missing)
    try:
        law(game)
    except Untried:
        assert game.learned is None  # nothing holds it against anything
        assert not isinstance(game, Partitioned)


def test_the_error_over_modes_by_hand() -> None:
    shares = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 0.0], [0.25, 0.25]])
    assert mode_error(shares).tolist() == pytest.approx([0, 0.5, 1, 0.5])
    perfect = 1 - math.exp(-4.5)
    spread = torch.tensor([[perfect / 2, perfect / 2], [perfect, 0.0], [0.0, 0.0]])
    assert mode_error(spread, perfect).tolist() == pytest.approx([0, perfect / 2, perfect], abs=1e-6)


def test_samples_far_from_all_modes_and_rows_that_are_not_finite_have_the_worst_error() -> None:
    samples = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).expand(4, 2, 2).clone()
    samples[1] += 1.0
    samples[2, 0] = math.nan
    samples[3, 1] = samples[3, 0]
    errors = mode_statistics(samples, MODES, 0.1).error.tolist()
    outside = math.exp(-4.5)
    assert errors == pytest.approx([outside, 1 - outside, 1, (1 + outside) / 2])


def test_what_known_generators_of_the_ring_score() -> None:
    scores = reference_scores(get_game("ring8"), get_metric("mode_error"), SEEDS)
    means = {name: float(of.mean()) for name, of in scores.items()}
    blurred = math.exp(-9 / 4) - math.exp(-9 / 2)  # beyond 3 sd of a Gaussian with twice the variance
    share = (1 - math.exp(-4.5)) / 8
    assert list(means) == list(KNOWN)
    assert means["perfect"] < 0.035  # the noise of 2,500 samples
    assert means["noisy"] == pytest.approx(blurred, abs=0.02)
    assert means["half"] == pytest.approx(4 * share, abs=0.01)
    assert means["one"] == pytest.approx(7 * share, abs=0.01)


def test_a_known_generator_has_samples_alone() -> None:
    game = get_game("ring8")
    known = KnownGenerator(game, SEEDS, "one")
    w = torch.zeros(len(SEEDS), sum(game.sizes))
    assert known.samples(w, 7).shape == (len(SEEDS), 7, 2)
    assert torch.equal(known.samples(w, 7), KnownGenerator(game, SEEDS, "one").samples(w, 7))
    for asked in (lambda: known(w), lambda: known.losses(w), lambda: known.linear(w)):
        with pytest.raises(NotDefined, match="a one generator has no"):
            asked()


@dataclasses.dataclass(frozen=True)
class Smeared(Ring8):
    """Judged by what cannot see modes."""

    score = "sliced_wasserstein"
    learned = None


@dataclasses.dataclass(frozen=True)
class Lenient(Ring8):
    """One mode is enough."""

    learned = 0.9


def test_the_law_sees_a_score_that_cannot_order_and_a_threshold_in_the_wrong_place() -> None:
    with pytest.raises(Broken, match="sliced_wasserstein does not tell perfect from noisy"):
        score_orders_known_generators(Smeared())
    with pytest.raises(Broken, match=r"learned is 0\.9; a value between half and the others"):
        score_orders_known_generators(Lenient())


@dataclasses.dataclass(frozen=True)
class Cloud(Points):
    """Points of no kinds."""

    name = "cloud"
    score = "sliced_wasserstein"

    def data(self, seeds: torch.Tensor, stream: str, draw: int, count: int, block: int) -> torch.Tensor:
        return normal(seeds, stream, draw, (2, count), block=block)


def test_check_says_where_a_game_cannot_be_held_against_known_generators() -> None:
    with pytest.raises(Untried, match="of which kinds its data are"):
        score_orders_known_generators(Cloud())
    said = {verdict.law: str(verdict) for verdict in check("ring8[width=16,batch_size=16]")}
    assert said["score orders known generators"].startswith("ok")


RING = 4 * torch.stack([torch.arange(8000.0).mul(math.pi / 4).cos(), torch.arange(8000.0).mul(math.pi / 4).sin()], 1)
SQUARES = torch.zeros(400, 1, 16, 16) - 1
for k in range(400):
    SQUARES[k, 0, k % 5 : k % 5 + 6, k % 7 : k % 7 + 6] = 1 if k % 2 else 0.3
SCALES = torch.logspace(-3, 3, 6)
TABLE = torch.randn(900, 6, generator=torch.Generator().manual_seed(3)) * SCALES + 10 * SCALES


def own(data: Any, width: int) -> ModuleGAN:
    shape = data[0].shape[1:] if isinstance(data, tuple) else data.shape[1:]
    generator = torch.nn.Sequential(
        torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, width), torch.nn.Unflatten(1, shape)
    )
    discriminator = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(width, 1))
    return gan_game(generator, discriminator, "hinge", data)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("data", [RING, SQUARES, TABLE], ids=["points", "images", "table"])
def test_the_law_holds_for_a_game_of_ones_own(data: torch.Tensor, labelled: bool) -> None:
    """Its kinds are its labels, or eighths along the first principal component; what has learned lies between."""
    labels = torch.arange(len(data)) % (5 if data is SQUARES else 8)
    game = own((data, labels) if labelled and data is not TABLE else data, data[0].numel())
    assert game.learned is not None
    score_orders_known_generators(game)


@dataclasses.dataclass(frozen=True)
class There(Ring8):
    """It starts where its data are, and calls nothing learned."""

    learned = None

    def generate(self, w: torch.Tensor, seeds: torch.Tensor, count: int) -> torch.Tensor:
        return self.perfect(seeds, count)


def test_a_start_near_the_data_is_held_against_nothing_where_nothing_is_called_learned() -> None:
    with pytest.raises(Untried, match="starts nearer to its data than half"):
        score_orders_known_generators(There())
