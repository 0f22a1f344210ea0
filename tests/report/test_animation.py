"""`bench animate`: a moving picture of what was recorded, the same bytes each time; or one clear line."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

import bench
from bench.errors import UserError
from bench.report import animation
from bench.report.animation import animate

RING = "ring8[width=16,batch_size=16]"
STUDY = bench.Study(
    optimizers="sgd,adam", games=f"dirac,{RING},digits[width=16,batch_size=16],gaussian-covariance", seeds="0-1",
    trials=0, budget=24, evaluations=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return bench.run(STUDY, out=tmp_path_factory.mktemp("moving") / "run")


@pytest.mark.parametrize("game", STUDY.games[:3])
def test_it_moves_is_small_and_is_the_same_again(run, game, tmp_path):
    path = animate(run, game)
    assert path.parent == run.path
    content = path.read_bytes()
    assert len(content) <= animation.MOST
    assert animate(run, game, to=tmp_path / "again.gif").read_bytes() == content
    with Image.open(path) as picture:
        assert picture.n_frames > 10
        assert picture.info["loop"] == 0
        first = picture.convert("RGB").tobytes()
        picture.seek(picture.n_frames - 1)
        assert picture.info["duration"] >= animation.HOLD
        assert picture.convert("RGB").tobytes() != first


def test_some_rules_in_their_own_colours(run, tmp_path):
    both, one = (animate(run, "dirac", rules, tmp_path / "x.png") for rules in (None, ["adam"]))
    assert both == one
    with Image.open(one) as picture:
        assert picture.n_frames > 10
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert (0xDE, 0x8F, 0x05) in colours, "Adam's colour is not its own, that of the second rule of the study"
    assert (0x01, 0x73, 0xB2) not in colours


def test_a_film_that_is_too_large_has_fewer_frames(run, monkeypatch, tmp_path):
    whole = animate(run, RING, to=tmp_path / "whole.gif")
    monkeypatch.setattr(animation, "MOST", whole.stat().st_size // 2)
    said = []
    small = animate(run, RING, to=tmp_path / "small.gif", tell=said.append)
    with Image.open(whole) as long, Image.open(small) as short:
        assert 10 < short.n_frames < long.n_frames
        assert said == [f"small.gif would be larger than {animation.MOST / 1e6:g} MB: "
                        f"it has {short.n_frames} of {long.n_frames} frames"]  # fmt: skip


@pytest.mark.parametrize("kind", ["gif", pytest.param("png", marks=pytest.mark.slow)])
def test_no_film_is_larger_than_the_cap(run, monkeypatch, tmp_path, kind):
    said, few = [], int(0.42 * animate(run, "dirac", to=tmp_path / f"whole.{kind}").stat().st_size)
    monkeypatch.setattr(animation, "MOST", few)
    path = animate(run, "dirac", to=tmp_path / f"poor.{kind}", tell=said.append)
    assert path.stat().st_size <= few
    assert "colours" in said[0]
    monkeypatch.setattr(animation, "MOST", 300)
    with pytest.raises(UserError, match=r"larger than .* at its poorest; name fewer rules"):
        animate(run, "dirac", to=tmp_path / f"none.{kind}")
    assert not (tmp_path / f"none.{kind}").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"game": "dirack"}, "--game is 'dirack'; did you mean dirac?"),
        ({"game": "bilinear"}, "--game is 'bilinear'; "),
        ({"game": "dirac", "optimizers": ["adm"]}, "--optimizers is 'adm'; did you mean adam?"),
        ({"game": "gaussian-covariance"}, "neither samples nor a plane"),
        ({"game": "dirac", "to": "film.gift"}, "did you mean .gif?"),
        ({"game": "dirac", "to": "film"}, "known: .gif, .mp4, .png"),
        ({"game": "dirac", "to": "nowhere/film.gif"}, "is not a folder that is there"),
    ],
)
def test_what_cannot_be_is_one_line(run, given, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "to" in given:
        given = given | {"to": tmp_path / given["to"]}
    with pytest.raises(UserError) as error:
        animate(run, **given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_ffmpeg_an_mp4_is_refused_and_with_it_is_the_same_again(run, monkeypatch, tmp_path):
    to = tmp_path / "film.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: None)
        with pytest.raises(UserError, match=r"needs the program ffmpeg, which is not there; allowed without it: .gif"):
            animate(run, "dirac", to=to)
    assert not to.exists()
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg")
    content = animate(run, "dirac", to=to).read_bytes()
    assert content[4:8] == b"ftyp"
    assert animate(run, "dirac", to=to).read_bytes() == content


def test_a_run_without_tensors_says_so(run, monkeypatch):
    monkeypatch.setattr(type(run), "tensors", lambda self: [])
    with pytest.raises(UserError, match=r"dirac: .* holds nothing to animate yet of sgd, adam"):
        animate(run, "dirac")


def test_the_command_prints_the_path(run, call):
    code, out, err = call("animate", run.path, "--game", "dirac", "--optimizers", "adam", "--to", "a.gif")
    assert (code, out, err) == (0, "a.gif\n", "")
    code, out, err = call("animate", run.path, "--game", "dirack")
    assert (code, out) == (2, "")
    assert err.startswith("bench: --game is 'dirack'")
