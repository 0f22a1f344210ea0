"""The game of a folder's images: spelled by its path, split once and for all, trained anew where pictures change."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

import bench
from bench.checks.game_laws import GAME_LAWS, SCORE_LAWS
from bench.contracts import Oracle
from bench.errors import UserError
from bench.games.folder import Folder
from bench.metrics.evaluation import Evaluator, KnownGenerator
from bench.registry import get_game, get_metric
from bench.registry.build import spell
from bench.registry.identity import plugin_code

pytestmark = pytest.mark.slow  # every test of it trains runs of its own, or starts processes

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


def test_a_path_may_hold_brackets_and_the_last_ones_are_keys(photos: Path) -> None:
    photos.rename("pictures [old]")
    game = folder_game("folder:pictures [old][size=16]")
    assert (game.path, game.size, game.missing) == ("pictures [old]", 16, "")
    assert folder_game("folder:pictures [old][]").path == folder_game("folder:pictures [old]/[]").path[:-1]
    study = bench.Study(optimizers="sgd", games=["folder:pictures [old][]", "folder:pictures [old][size=16]", "dirac"])
    assert study.games == ["folder:pictures [old][]", "folder:pictures [old][size=16]", "dirac"]
    again = bench.Study(optimizers="sgd", games="folder:pictures [old][],folder:pictures [old][size={16|32}]")
    assert again.games == [*study.games[:2], "folder:pictures [old][size=32]"]
    for spelled, line in {
        "folder:pictures [old]": r"\[old\] is read as the keys of folder; .* write folder:pictures \[old\]\[\]",
        "folder:pictures [old": "a bracket is not closed",
        "folder:pictures old][size=16]": "a closing ']' without its opening bracket",
    }.items():
        with pytest.raises(UserError, match=line):
            get_game(spelled)


def test_the_path_stands_after_the_colon(photos: Path) -> None:
    game = folder_game("folder:my photos[size=16]")
    assert game == folder_game("folder[path=my photos,size=16]") == folder_game("folder[my photos,size=16]")
    assert (game.path, game.size, game.planes, game.classes, game.missing) == ("my photos", 16, 1, 2, "")
    study = bench.Study(optimizers="sgd", games="folder:my photos[size=16]")
    assert study.games == ["folder:my photos[size=16]"]
    assert study.plugins.game(study.games[0]) == game
    assert spell(game).startswith("folder:my photos[")
    for path in ("my photos", "007", "1e3", "True", "a=b", "a,b", "1:2", "a (1)", "./x.py/y", "[a] b/c [d, e]"):
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


def shapes(folder: Path, count: int, kinds: int = 2) -> Path:
    """Pictures of bright disks and of dark squares, here and there, or of noise of so many kinds."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    for i in range(count):
        kind = i % kinds
        r, c = rng.uniform(4, 12, 2)
        inside = np.hypot(rows - r, columns - c) < 4 if kind % 2 else np.maximum(abs(rows - r), abs(columns - c)) < 4
        pixels = np.where(inside, 40 + 200 * (kind / max(1, kinds - 1)), 128) + rng.normal(0, 4, (16, 16))
        (folder / f"kind{kind}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"kind{kind}" / f"{i}.png")
    return folder


def test_it_says_what_has_learned_and_what_has_collapsed(tmp_path: Path) -> None:
    shapes(tmp_path / "two", 120)
    shapes(tmp_path / "five", 120, kinds=5)
    for folder, kinds in (("two", 8), ("five", 5)):  # unlabelled, a folder of two has eighths
        game = folder_game(f"folder:{tmp_path / folder}[size=16,channels=4,batch_size=16,latent=4]")
        assert game.kinds == kinds
        seeds = torch.arange(4)
        half, one = (float(game.distance(game.partial(seeds, 500, k)).median()) for k in (kinds // 2, 1))
        assert game.learned is not None
        assert half < game.learned < one
        assert game.collapse is None, "twelve pictures are held out: too few to tell"
        assert get_metric("data_coverage").judges(game)
        for law in SCORE_LAWS:
            law(game)


class Repeated(Evaluator):
    """A judge of generators that give one real picture again and again, each another."""

    def samples(self, w: torch.Tensor, count: int) -> torch.Tensor:
        return cast("Folder", self.game).perfect(self.seeds, 1).expand(-1, count, -1)


def test_a_generator_that_gives_one_picture_has_collapsed(tmp_path: Path) -> None:
    game = folder_game(f"folder:{shapes(tmp_path / 'two', 300)}[size=16,channels=4,batch_size=16,latent=4]")
    seeds = torch.arange(8)
    nothing = torch.zeros(8, sum(game.sizes))
    coverage = get_metric("data_coverage")
    assert game.collapse is not None
    assert (coverage(game, nothing, KnownGenerator(game, seeds, "perfect")) > 0.8).all()
    assert (coverage(game, nothing, Repeated(game, seeds)) < game.collapse.below).double().mean() > 0.7


def test_one_without_pictures_says_neither(photos: Path) -> None:
    game = get_game("folder:nowhere")
    assert (game.learned, game.collapse) == (None, None)
    assert not any(get_metric(name).judges(game) for name in ("data_coverage", "data_precision"))


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
    assert "fd_pixels" in out
    assert "note: 1 file in 'my photos' could not be read: a/torn.png" in err
    first = records()
    run = bench.Run(next(Path("results").iterdir()))
    assert np.isfinite(run.scores()["score"]).all()
    assert call(*command)[0] == 0
    assert records() == first, "nothing has changed"
    noise(photos / "b" / "01.png", 99)
    assert call(*command)[0] == 0
    assert records() > first
