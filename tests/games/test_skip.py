"""Residual connections as a setting: every game that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.checks.game_laws import GAME_LAWS
from bench.checks.laws import replicas_do_not_touch
from bench.contracts import Game, Oracle
from bench.games.data import loading
from bench.games.networks.blocks import Residual
from bench.games.networks.networks import Network
from bench.registry import games, get_game, get_rule
from bench.registry.build import by_themselves, spell

SEEDS = torch.tensor([0, 1])
SKIPPING = [name for name in games.names() if "skip" in getattr(games[name], "__dataclass_fields__", {})]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Images made up in place of the sets that stand in files; a folder of some."""
    drawn = torch.Generator().manual_seed(0)

    def made_up(name: str, train: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (3, 32, 32) if name == "cifar10" else (1, 28, 28)
        return torch.randint(256, (100, *shape), dtype=torch.uint8, generator=drawn), torch.arange(100) % 10

    monkeypatch.setattr(loading, "load", made_up)
    for index in range(12):
        pixels = torch.randint(256, (16, 16), dtype=torch.uint8, generator=drawn)
        Image.fromarray(np.asarray(pixels)).save(tmp_path / f"{index}.png")
    return tmp_path


def small(name: str, skip: bool, folder: Path) -> Game:
    """A game small enough to be tried; the one on a folder of images gets one."""
    alone = name in by_themselves(games)
    keys = f"{games[name].tried},skip={str(skip).lower()}" + ("" if alone else ",size=16")
    return get_game(f"{name if alone else f'{name}:{folder}'}[{keys}]")


def networks(game: Any) -> list[Network]:
    """Of both players."""
    if hasattr(game, "networks"):
        return [network for player in game.networks for network in player]
    return [game.generator, game.discriminator]


def test_convolutional_games_have_the_setting() -> None:
    assert {"dcgan-mnist", "sngan-cifar10", "stacked-mnist", "translation", "paired-translation"} <= set(SKIPPING)


@pytest.mark.parametrize("name", SKIPPING)
def test_by_default_a_game_is_what_it_was(name: str, data: Path) -> None:
    """Its complete spelling, which decides the identity of trainings, does not name the setting, nor has it blocks."""
    plain, skipping = small(name, False, data), small(name, True, data)
    assert "skip" not in spell(plain)
    assert "skip=true" in spell(skipping)
    assert not any(isinstance(layer, Residual) for network in networks(plain) for layer in network.layers)
    assert all(any(isinstance(layer, Residual) for layer in network.layers) for network in networks(skipping))


@pytest.mark.parametrize("name", SKIPPING)
def test_with_it_a_game_obeys_the_laws(name: str, data: Path) -> None:
    game = small(name, True, data)
    for law in GAME_LAWS:
        law(game)
    replicas_do_not_touch(get_rule("alternating[lr=0.01]"), game)


@pytest.mark.parametrize("name", SKIPPING)
def test_both_ways_through_a_block_are_trained(name: str, data: Path) -> None:
    game = small(name, True, data)
    field = Oracle(game, [0, 1])(game.init(SEEDS))
    for player in game.tensors:
        assert all(field[:, part.columns].any() for part in player if len(part.shape) > 1)
