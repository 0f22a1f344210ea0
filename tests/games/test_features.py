"""Features that a user names: which games they are for, what they measure."""

from __future__ import annotations

import pytest
import torch

from bench import Study, get_game, get_metric
from bench.errors import UserError
from bench.games.data.classifiers import RECIPES, load
from bench.metrics.evaluation import Evaluator
from bench.numerics.distances import debiased_frechet, gaussian
from bench.registry import metrics


def test_a_study_writes_the_features_into_its_games_of_images() -> None:
    study = Study(optimizers="sgd", games="digits[loss=hinge]", features="digits")
    assert study.games == ["digits[features=digits,loss=hinge]"]
    assert get_game(study.games[0]).features == "digits"


@pytest.mark.parametrize(
    ("games", "features", "says"),
    [
        ("digits", "mnist", "digits: features 'mnist' are of images 1x28x28, not of 1x8x8"),
        ("dcgan-cifar10", "mnist", "dcgan-cifar10: features 'mnist' are of images 1x28x28, not of 3x32x32"),
        ("ring8", "mnist", r"ring8: features 'mnist' are of images \(1x28x28\); it makes points of 2 coordinates"),
        ("bilinear", "inception:w.pth", "bilinear: features .* are of images .*; it makes none"),
        ("digits", "fashoin", "features is 'fashoin'; did you mean fashion"),
    ],
)
def test_features_of_another_shape_are_refused_naming_both(games: str, features: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Study(optimizers="sgd", games=games, features=features)


def test_every_game_that_has_no_use_for_the_features_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="bilinear") as error:
        Study(optimizers="sgd", games="bilinear,digits,ring8", features="digits")
    assert "ring8" in str(error.value)


def test_the_metric_is_judged_where_features_are_named_and_nowhere_else() -> None:
    assert not metrics["fd_features"].judges(get_game("digits"))
    assert metrics["fd_features"].judges(get_game("digits[features=digits]"))


def test_named_features_are_those_of_the_file() -> None:
    """The shipped classifier, named, gives its own distance, only to other real images than the shipped reference."""
    game = get_game("digits[features=digits,width=16]")
    seeds = torch.tensor([0, 1])
    w, evaluator = game.init(seeds), Evaluator(game, seeds)
    reference = gaussian(load("digits").embed(game.held_out(5000)[None])[0][0])
    expected = debiased_frechet(load("digits").embed(evaluator.samples(w, game.judged))[0], reference)
    assert torch.equal(get_metric("fd_features")(game, w, evaluator), expected)


def test_other_weights_are_another_cell() -> None:
    assert get_game("digits").digest == ""
    assert get_game("digits[features=digits]").digest == RECIPES["digits"].digest


def test_a_missing_file_of_weights_is_one_line() -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth") as error:
        get_game("digits[features=inception:nowhere.pth]")
    assert "\n" not in str(error.value)
