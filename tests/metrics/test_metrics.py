"""Metrics on games whose values can be worked out by hand; every metric over every game that it is for."""

from __future__ import annotations

import math

import pytest
import torch
from covering import firsts

from bench.checks.laws import small
from bench.contracts import Game, Oracle
from bench.metrics.evaluation import Evaluator
from bench.registry import games, get_game, get_metric, metrics

SMALL = {name: get_game(small(name)) for name in games.names()}
LIKE = {tuple(type(game).__mro__[1:]): name for name, game in reversed(SMALL.items())}
"""Of games that differ in their settings alone, one."""
APPLICABLE = [
    (metric, game)
    for metric in metrics.names()
    for game in sorted(LIKE.values(), key=lambda name: (sum(SMALL[name].sizes), name))
    if metrics[metric].judges(SMALL[game])
]


@pytest.mark.parametrize(("metric", "game"), firsts(APPLICABLE))
def test_every_metric_gives_a_number_for_every_replica(metric: str, game: str) -> None:
    played: Game = SMALL[game]
    if played.missing:
        pytest.skip(played.missing)
    seeds = torch.tensor([0, 1, 2])
    w = played.init(seeds)
    value = get_metric(metric)(played, w, Evaluator(played, seeds))
    assert value.shape == (3,)
    assert value.isfinite().all()
    assert torch.equal(value, get_metric(metric)(played, w, Oracle(played, seeds, Evaluator(played, seeds).draw)))
    sick = w.clone()
    sick[1] = float("nan")
    others = get_metric(metric)(played, sick, Evaluator(played, seeds))
    assert torch.equal(others[[0, 2]], value[[0, 2]]), "a NaN replica changes its neighbours"
    assert get_metric(metric).better in ("lower", "higher", "")


@pytest.mark.parametrize("name", [name for name in metrics.names() if get_metric(name).better == "higher"])
def test_what_is_better_higher_is_a_count_or_a_share_and_a_failure_has_none(name: str) -> None:
    assert get_metric(name).worst == 0


def test_closed_form_values() -> None:
    game = get_game("dirac")
    F = Oracle(game, [0, 1])
    w = torch.tensor([[3.0, 4.0], [0.0, 2.0]], dtype=torch.float64)
    assert get_metric("distance")(game, w, F).tolist() == [5.0, 2.0]
    # L_G = f(theta psi), f'(t) = 1 / (1 + e^t): the gradients are psi f' and -theta f'.
    slope = 1 / (1 + math.exp(12))
    assert get_metric("field_norm")(game, w, F)[0] == pytest.approx(5 * slope)
    assert get_metric("generator_grad_norm")(game, w, F).tolist() == pytest.approx([4 * slope, 1.0])
    assert get_metric("generator_loss")(game, w, F)[1] == pytest.approx(-math.log(2))
    assert get_metric("discriminator_loss")(game, w, F)[1] == pytest.approx(math.log(2))


class PerfectGenerator:
    """ring8's own data in place of a generator: what a perfect sampler scores."""

    def __init__(self) -> None:
        self.game = get_game("ring8")
        self.data = self.game.data(torch.tensor([11, 12]), "perfect", 0, 2500, 1).transpose(1, 2)  # type: ignore[attr-defined]

    def samples(self, w: torch.Tensor, count: int) -> torch.Tensor:
        return self.data

    def cached(self, w: object, key: object, compute: object) -> object:
        return compute()  # type: ignore[operator]


def test_a_perfect_sampler_of_ring8() -> None:
    perfect = PerfectGenerator()
    values = {name: get_metric(name)(perfect.game, torch.zeros(2, 1), perfect) for name in (  # type: ignore[arg-type]
        "modes", "modes_strict", "high_quality", "mode_kl", "sliced_wasserstein",
    )}  # fmt: skip
    assert values["modes"].tolist() == [8, 8]
    assert values["modes_strict"].tolist() == [8, 8]
    assert values["high_quality"].tolist() == pytest.approx([0.98889] * 2, abs=0.006)
    assert values["mode_kl"].max() < 0.01
    assert values["sliced_wasserstein"].max() < 0.08


def test_a_collapsed_sampler_of_ring8() -> None:
    perfect = PerfectGenerator()
    perfect.data = perfect.game.modes[2].expand(2, 2500, 2)  # type: ignore[attr-defined]
    w = torch.zeros(2, 1)
    assert get_metric("modes")(perfect.game, w, perfect).tolist() == [1, 1]  # type: ignore[arg-type]
    assert get_metric("mode_kl")(perfect.game, w, perfect).tolist() == pytest.approx([math.log(8)] * 2)  # type: ignore[arg-type]


def test_real_digits_score_well_and_noise_does_not() -> None:
    from bench.games.data.classifiers import digits

    game = get_game("digits")
    stand_in = PerfectGenerator()
    stand_in.data = torch.stack([digits()[0][:1000], torch.rand(1000, 64) * 2 - 1])
    w = torch.zeros(2, 1)
    distance = get_metric("fd_digits")(game, w, stand_in)  # type: ignore[arg-type]
    assert distance[0] < 1 < 50 < distance[1]
    assert get_metric("class_entropy")(game, w, stand_in)[0] == pytest.approx(math.log(10), abs=0.01)  # type: ignore[arg-type]
    assert get_metric("classes_missing")(game, w, stand_in)[0] == 0  # type: ignore[arg-type]


def test_another_evaluator_judges_on_the_same_minibatch_and_draws_none(monkeypatch: pytest.MonkeyPatch) -> None:
    game, seeds = SMALL["ring8"], torch.tensor([0, 1])
    w, evaluator = game.init(seeds), Evaluator(game, seeds)
    evaluator.at(w, w + 0.01)
    field, fresh = evaluator(w), Evaluator(game, seeds)(w + 0.01)
    monkeypatch.setattr(type(game), "batch", lambda *_: pytest.fail("drawn again"))
    assert torch.equal(evaluator.anew()(w + 0.01), fresh)
    assert get_metric("field_cosine")(game, w, evaluator).tolist() == pytest.approx(
        torch.cosine_similarity(field, fresh).tolist()
    )
