"""The game of a folder's images: spelled by its path, split once and for all, trained anew where pictures change."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

import bench
from bench.checks.game_laws import GAME_LAWS
from bench.contracts import Oracle
from bench.errors import UserError
from bench.games.folder import Folder
from bench.registry import get_game, get_metric
from bench.registry.build import spell
from bench.registry.identity import plugin_code

TINY = "size=16,channels=4,batch_size=16,latent=4"


def noise(path: Path, seed: int, planes: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(seed).integers(0, 256, (18, 20, planes), dtype=np.uint8)
    Image.fromarray(drawn if planes == 3 else drawn[:, :, 0]).save(path)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty grey pictures of two classes, in a folder with a space in its name, beside which one stands."""
    monkeypatch.chdir(tmp_path)
    for i in range(40):
        noise(Path("my photos", "ab"[i % 2], f"{i:02}.png"), i)
    return Path("my photos")


def folder_game(spelled: str) -> Folder:
    return cast("Folder", get_game(spelled))


def test_the_path_stands_after_the_colon(photos: Path) -> None:
    game = folder_game("folder:my photos[size=16]")
    assert game == folder_game("folder[path=my photos,size=16]") == folder_game("folder[my photos,size=16]")
    assert (game.path, game.size, game.planes, game.classes, game.missing) == ("my photos", 16, 1, 2, "")
    study = bench.Study(optimizers="sgd", games="folder:my photos[size=16]")
    assert study.games == ["folder:my photos[size=16]"]
    assert study.plugins.game(study.games[0]) == game
    assert spell(game).startswith("folder:my photos[")
    for path in ("my photos", "007", "1e3", "True", "a=b", "a,b", "1:2", "a (1)", "./x.py/y"):
        game = folder_game(f"folder:{path}[channels=4]")
        assert (game.path, game.channels) == (path, 4)
        assert spell(folder_game(spell(game))) == spell(game)


@pytest.mark.parametrize(("size", "sides"), [(16, 4), (28, 7), (32, 4), (64, 4)])
def test_any_usual_size(photos: Path, size: int, sides: int) -> None:
    game = folder_game(f"folder:my photos[size={size},channels=4,batch_size=16,latent=4,colour=rgb]")
    assert game._path[0] == sides
    seeds = torch.tensor([1])
    w = game.init(seeds)
    assert game.generate(w, seeds, 16).shape == (1, 16, 3 * size**2)
    assert Oracle(game, seeds)(w).isfinite().all()


def test_it_obeys_the_laws(photos: Path) -> None:
    for law in GAME_LAWS:
        law(get_game(f"folder:my photos[{TINY}]"))
        law(get_game(f"folder:my photos[{TINY},conditional=true]"))


def test_a_tenth_is_held_out_and_never_trained_on(photos: Path) -> None:
    game = folder_game(f"folder:my photos[{TINY}]")
    held, trained = game.held_out(5000), game.labelled()[0].float() / 127.5 - 1
    assert (len(held), len(trained)) == (4, 36)
    assert not (held[:, None] - trained).abs().amax(2).lt(0.01).any()
    assert torch.equal(held, folder_game(f"folder:my photos[{TINY}]").held_out(5000))
    score = get_metric(game.score)
    samples = game.perfect(torch.tensor([0]), 512)
    assert samples.shape == (1, 512, 256)
    assert score.judges(game)


def test_labels_are_of_the_pictures_that_are_drawn(photos: Path) -> None:
    for i in range(0, 40, 2):
        Image.new("L", (9, 9), 255).save(photos / "a" / f"{i:02}.png")  # the first class is white
    batch = cast(
        "dict[str, Any]", folder_game(f"folder:my photos[{TINY},conditional=true]").batch(torch.tensor([3]), 0)
    )
    white = (batch["real"] == 1).flatten(1, -2).all(1)
    assert torch.equal(white, batch["class"][:, 0] == 1)
    assert 0 < white.sum() < 16


def test_changed_pictures_are_another_game(photos: Path) -> None:
    before, same = folder_game(f"folder:my photos[{TINY}]"), folder_game(f"folder:my photos[{TINY}]")
    assert plugin_code(before) == plugin_code(same) != ""
    assert hash(before) == hash(same)
    noise(photos / "b" / "01.png", 99)
    changed = folder_game(f"folder:my photos[{TINY}]")
    assert plugin_code(changed) != plugin_code(before)
    assert changed != before
    (photos / "b" / "note.txt").write_text("no picture")
    assert folder_game(f"folder:my photos[{TINY}]") == changed


def test_what_is_missing_is_said_in_one_line(photos: Path) -> None:
    assert get_game("folder").missing == "folder: give it a folder: folder:PATH"
    assert get_game("folder:my photo").missing == "folder: there is no folder 'my photo'; did you mean my photos?"
    few = Path("few")
    for i in range(3):
        noise(few / f"{i}.png", i)
    assert "holds 3 images; at least 10 are needed" in get_game("folder:few").missing
    for keys, line in {
        "size=30": "size is 30; one that can be halved",
        "size=4": "size is 4",
        "colour=gray": "did you mean grey?",
        "conditional=true,path=nowhere": "there is no folder 'nowhere'",
        "conditional=true,path=few": "holds 3 images",
    }.items():
        with pytest.raises(UserError, match=line):
            get_game(f"folder[{keys}]")


def test_all_games_are_those_that_await_nothing() -> None:
    assert "folder" not in bench.Study(optimizers="sgd", games="all").games


def test_a_folder_is_run_and_trained_anew_where_a_picture_has_changed(photos: Path, call: Any) -> None:
    (photos / "a" / "torn.png").write_bytes(b"no picture")
    game = "folder:my photos[size=16,channels=4,batch_size=16]"
    command = (
        "run",
        "--games",
        game,
        "--optimizers",
        "adam",
        "--trials",
        0,
        "--seeds",
        "0-1",
        "--budget",
        20,
        "--jobs",
        1,
    )

    def records() -> set[str]:
        return {path.stem for path in Path("results").rglob("*.json") if path.parent.name == "records"}

    code, out, err = call(*command)
    assert code == 0, err
    assert "pca_frechet" in out
    assert "note: 1 file in 'my photos' could not be read: a/torn.png" in err
    first = records()
    run = bench.Run(next(Path("results").iterdir()))
    assert np.isfinite(run.scores()["score"]).all()
    assert call(*command)[0] == 0
    assert records() == first, "nothing has changed"
    noise(photos / "b" / "01.png", 99)
    assert call(*command)[0] == 0
    assert records() > first
