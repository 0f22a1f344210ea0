"""A folder of images: what is in it, in an order that is always the same; what is no image is named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bench
from bench.errors import UserError
from bench.games.data.given import given_data
from bench.games.data.image_folder import ImageFolder


def painted(path: Path, colour: tuple[int, ...] | int, size: tuple[int, int] = (20, 20), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Two classes, one with a folder below, among hidden and broken files."""
    root = tmp_path / "zoo"
    painted(root / "cat" / "b.png", (255, 0, 0))
    painted(root / "cat" / "a.png", (0, 0, 255))
    painted(root / "dog" / "young" / "c.png", (0, 255, 0))
    painted(root / "cat" / ".hidden.png", 0)
    painted(root / ".cache" / "d.png", 0)
    (root / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    (root / "dog" / "notes.txt").write_text("of dogs")
    (root / "empty").mkdir()
    return root


def test_subfolders_are_labels_in_the_order_of_their_names(zoo: Path) -> None:
    images = bench.image_folder(zoo, size=8)
    assert (images.classes, images.labels.tolist()) == (("cat", "dog"), [0, 0, 1])  # type: ignore[union-attr]
    assert images.samples.shape == (3, 3, 8, 8)
    assert images.samples[:, :, 0, 0].tolist() == [[-1, -1, 1], [1, -1, -1], [-1, 1, -1]]
    assert images.unreadable == ["cat/broken.jpg"], "a text is no image, and no fault"
    image, label = images[2]
    assert torch.equal(image, images.samples[2])
    assert (label, len(images)) == (1, 3)
    assert "1 file in" in images.notices[0]


def test_without_subfolders_there_are_no_labels(tmp_path: Path) -> None:
    for name in "ab":
        painted(tmp_path / f"{name}.png", 9, mode="L")
    images = bench.image_folder(str(tmp_path), size=4)
    assert images.labels is None
    assert images.classes == ()
    assert images[0].shape == (1, 4, 4)


def test_images_beside_subfolders_make_all_unlabelled(zoo: Path) -> None:
    painted(zoo / "z.png", 0)
    images = bench.image_folder(zoo, size=4)
    assert (len(images), images.labels) == (4, None)


def test_colours_are_kept_where_there_are_any(tmp_path: Path) -> None:
    painted(tmp_path / "a.png", (7, 7, 7))
    painted(tmp_path / "b.png", 200, mode="L")
    assert bench.image_folder(tmp_path, size=4).pixels.shape[1] == 1
    assert bench.image_folder(tmp_path, size=4).pixels[:, 0, 0, 0].tolist() == [7, 200]
    assert bench.image_folder(tmp_path, size=4, colour=True).pixels.shape[1] == 3
    painted(tmp_path / "c.png", (255, 0, 0))
    assert bench.image_folder(tmp_path, size=4).pixels.shape[1] == 3
    assert bench.image_folder(tmp_path, size=4, colour=False).pixels[2, 0, 0, 0] == 76  # the luma of red


def test_the_central_square_is_taken(tmp_path: Path) -> None:
    stripes = np.zeros((10, 30, 3), dtype=np.uint8)
    stripes[:, 10:20] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    assert bench.image_folder(tmp_path, size=10).pixels.min() == 255


def test_sixteen_bits_and_transparency(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 257 * 100, dtype=np.uint16)).save(tmp_path / "a.png")
    painted(tmp_path / "b.png", (0, 0, 0, 0), mode="RGBA")
    assert bench.image_folder(tmp_path, size=4).pixels[:, 0, 0, 0].tolist() == [100, 255]


def test_the_digest_tells_changed_pictures(zoo: Path) -> None:
    before = bench.image_folder(zoo, size=4).digest
    assert bench.image_folder(zoo, size=4).digest == before
    painted(zoo / "cat" / "a.png", (0, 0, 250))
    assert bench.image_folder(zoo, size=4).digest != before


def test_a_game_takes_it_as_it_is(zoo: Path) -> None:
    given = given_data(bench.image_folder(zoo, size=8), 16)
    assert given.shape == (3, 8, 8)
    assert given.labels is not None
    assert "broken.jpg" in given.notices[0]
    assert isinstance(bench.image_folder(zoo), ImageFolder)


def test_what_is_wrong_is_said_in_one_line(zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no image")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.png").write_bytes(b"no image")
    for path, line in {
        "zooo": "did you mean zoo?",
        "none": "none' has no image that can be read: no file's name ends",
        "text": "text' has no image that can be read: no file's name ends",
        "torn": "torn' has no image that can be read: 1 file, a.png",
        "text/a.txt": "is a file; a folder of images is allowed",
        "far/away": "there is no folder",
    }.items():
        with pytest.raises(UserError, match=re.escape(line)):
            bench.image_folder(tmp_path / path)
    with pytest.raises(UserError, match="size is 0; a positive whole number is allowed"):
        bench.image_folder(zoo, size=0)
    with pytest.raises(UserError, match="colour is 'yes'"):
        bench.image_folder(zoo, colour="yes")  # type: ignore[arg-type]
