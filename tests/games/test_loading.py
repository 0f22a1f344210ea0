"""Image sets from files: what is whole is read, anything else is one line.

The laws run on sets of the real formats with three images a part; real files, where there are any, are compared with
what is published of them.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
from image_files import CONTENTS, COUNT, lay, md5, refusal

from bench.games.data import download as fetch
from bench.games.data import loading as data
from bench.games.data.formats import SETS, image_set
from bench.games.data.loading import PACKAGED, check, load, missing

PUBLISHED = {  # first labels, mean of each channel / 255
    ("mnist", True): ([5, 0, 4, 1, 9, 2, 1, 3, 1, 4], [0.1307]),
    ("mnist", False): ([7, 2, 1, 0, 4, 1, 4, 9, 5, 9], [0.1325]),
    ("fashion", True): ([9, 0, 0, 3, 0, 2, 7, 2, 5, 5], [0.2860]),
    ("fashion", False): ([9, 2, 1, 1, 6, 1, 4, 6, 5, 7], [0.2868]),
    ("cifar10", True): ([6, 9, 9, 4, 1, 1, 2, 7, 8, 3], [0.4914, 0.4822, 0.4465]),
    ("cifar10", False): ([3, 8, 8, 0, 6, 6, 1, 6, 3, 1], [0.4942, 0.4851, 0.4504]),
}


@pytest.mark.parametrize(("name", "train"), PUBLISHED)
def test_real_sets_are_what_is_published_of_them(name: str, train: bool) -> None:
    if reason := missing(name):
        pytest.skip(reason)
    images, labels = load(name, train)
    first, means = PUBLISHED[name, train]
    count = {("cifar10", True): 50_000}.get((name, train), 60_000 if train else 10_000)
    assert (images.shape[:2], len(labels)) == ((count, len(means)), count)
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert labels[:10].tolist() == first
    if name != "mnist":
        assert set(labels.bincount().tolist()) == {count // 10}
    found = images.to(torch.float64).mean(dim=(0, 2, 3)) / 255
    assert found.tolist() == pytest.approx(means, abs=6e-5)


def test_formats_are_those_of_the_real_files() -> None:
    images, labels = SETS["mnist"].train
    assert (images.name, images.header.hex(), images.size) == (
        "train-images-idx3-ubyte", "000008030000ea600000001c0000001c", 47_040_016,
    )  # fmt: skip
    assert (labels.name, labels.header.hex(), labels.size) == ("train-labels-idx1-ubyte", "000008010000ea60", 60_008)
    assert [file.size for file in SETS["fashion"].test] == [7_840_016, 10_008]
    assert {file.size for file in SETS["cifar10"].files} == {30_730_000}
    sums = [file.md5 for whole in SETS.values() for file in whole.files]
    assert len(set(sums)) == len(sums) == 14


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("name", "below", "root"),
    [
        ("mnist", "MNIST/raw", "."), ("mnist", "MNIST/raw", "MNIST"), ("mnist", "MNIST/raw", "MNIST/raw"),
        ("mnist", "MNIST", "."), ("fashion", "FashionMNIST/raw", "."), ("fashion", "FashionMNIST/raw", "FashionMNIST"),
        ("fashion", "fashion-mnist", "."), ("fashion", "fashion-mnist", "fashion-mnist"),
    ],
)  # fmt: skip
def test_idx_sets_are_read_wherever_they_may_stand(
    tmp_path: Path, name: str, below: str, root: str, zipped: bool
) -> None:
    lay(tmp_path / below, name, zipped)
    assert missing(name, tmp_path / root) == ""
    for part, train in (("train", True), ("t10k", False)):
        images, labels = load(name, train, tmp_path / root)
        assert (images.shape, images.dtype, labels.dtype) == ((COUNT, 1, 28, 28), torch.uint8, torch.int64)
        assert bytes(images.flatten().tolist()) == CONTENTS[name][f"{part}-images-idx3-ubyte"][16:]
        assert bytes(labels.tolist()) == CONTENTS[name][f"{part}-labels-idx1-ubyte"][8:]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("root", [".", "cifar-10-batches-bin"])
def test_cifar_is_read_in_the_order_of_its_batches_a_plane_a_channel(tmp_path: Path, root: str) -> None:
    lay(tmp_path / "cifar-10-batches-bin", "cifar10")
    images, labels = load("cifar10", True, tmp_path / root)
    assert images.shape == (5 * COUNT, 3, 32, 32)
    assert labels.tolist() == [0, 1, 2] * 5
    assert images[:, :, 31, 31].tolist() == [[1, 2, 3]] * 5 * COUNT
    assert images[::COUNT, 0, 0, 0].tolist() == [1, 11, 21, 31, 41]
    images, labels = load("cifar10", False, tmp_path / root)
    assert (images[:, 2, 0, 0].tolist(), labels.tolist()) == ([53] * COUNT, [0, 1, 2])


@pytest.mark.usefixtures("small")
def test_a_folder_given_goes_before_the_variable_and_the_variable_before_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [lay(tmp_path / root, "fashion") for root in ("given/FashionMNIST/raw", "named", "packaged")]
    monkeypatch.setitem(PACKAGED, "fashion", places[2])
    assert data.find("fashion")[0] == places[2]
    monkeypatch.setenv("BENCH_DATA", "")
    assert data.find("fashion")[0] == places[2]
    monkeypatch.setenv("BENCH_DATA", str(places[1]))
    assert data.find("fashion")[0] == places[1]
    assert data.find("fashion", tmp_path / "given")[0] == places[0]
    next(places[0].iterdir()).unlink()  # a part of a set does not stand before a whole one
    assert data.find("fashion", tmp_path / "given")[0] == places[1]


@pytest.mark.usefixtures("small")
def test_a_home_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    lay(tmp_path / "sets/MNIST/raw", "mnist")
    assert missing("mnist", "~/sets") == ""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("owner", "other"), [("mnist", "fashion"), ("fashion", "mnist")])
def test_files_of_the_same_names_are_not_taken_for_another_sets(tmp_path: Path, owner: str, other: str) -> None:
    lay(tmp_path / "raw", owner, zipped=True)
    for root in (tmp_path, tmp_path / "raw"):
        assert missing(owner, root) == ""
        assert missing(other, root) != ""
        assert {row.name for row in check(root) if row.path} == {owner}
    lay(tmp_path / SETS[other].folders[0], owner)  # but where the folder's name says whose they are, they are wrong
    line = refusal(lambda: load(other, folder=tmp_path))
    assert f"which is a file of {owner}" in line


@pytest.mark.usefixtures("small")
def test_what_is_missing_is_said_with_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = "get it by `bench data fetch mnist --data FOLDER`, or set BENCH_DATA to a folder that has it"
    wanted = "mnist: expected MNIST/raw/train-images-idx3-ubyte and 3 more files"
    assert missing("mnist") == f"{wanted} in a folder (BENCH_DATA is not set), found none; {remedy}"
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    assert missing("mnist", "here") == f"{wanted} in 'here' or {str(tmp_path)!r}, found none; {remedy}"
    assert refusal(lambda: load("mnist", folder="here")) == missing("mnist", "here")
    monkeypatch.setitem(PACKAGED, "fashion", Path("/usr/share/nothing"))
    assert "or '/usr/share/nothing', found none" in missing("fashion")
    assert "`apt install dataset-fashion-mnist`" in missing("fashion")
    place = lay(tmp_path / "MNIST/raw", "mnist")
    (place / "t10k-labels-idx1-ubyte").unlink()
    assert missing("mnist") == f"mnist: expected 4 files in {str(place)!r}, found no t10k-labels-idx1-ubyte; {remedy}"


def test_an_unknown_name_answers_with_the_known_ones(tmp_path: Path) -> None:
    for run in (load, missing, image_set, lambda name: fetch.fetch(name, tmp_path)):
        assert refusal(lambda run=run: run("fashon")) == "image set 'fashon' is not known; did you mean fashion?"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("zipped", [False, True])
def test_no_beginning_of_a_file_passes_for_it(tmp_path: Path, zipped: bool) -> None:
    place = lay(tmp_path / "MNIST/raw", "mnist", zipped)
    path = place / f"train-images-idx3-ubyte{'.gz' * zipped}"
    whole = path.read_bytes()
    for length in (*range(0, 40), *range(40, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:length])
        line = refusal(lambda: load("mnist", folder=tmp_path))
        assert line.startswith(f"mnist: {str(path)!r}: expected ")
        assert "found " in line
        assert line.endswith("or set BENCH_DATA to a folder that has it")
    path.write_bytes(whole)
    assert len(load("mnist", folder=tmp_path)[0]) == COUNT  # an error was not kept


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "file"),
    [("mnist", "train-images-idx3-ubyte"), ("mnist", "train-labels-idx1-ubyte"), ("cifar10", "data_batch_3.bin")],
)
def test_no_altered_byte_passes(tmp_path: Path, name: str, file: str) -> None:
    path = lay(tmp_path / SETS[name].folders[0], name) / file
    whole = path.read_bytes()
    for at in (*range(0, min(40, len(whole))), *range(40, len(whole), 211)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        line = refusal(lambda: load(name, folder=tmp_path))
        header = 16 if "images" in file else 8 if "labels" in file else 0
        assert ("expected an idx header 00000" if at < header else "expected MD5 ") in line
        assert [row.damaged for row in check(tmp_path) if row.path == path] == [True]


@pytest.mark.usefixtures("small")
def test_damage_is_named(tmp_path: Path) -> None:
    path = lay(tmp_path / "MNIST/raw", "mnist") / "train-labels-idx1-ubyte"
    whole = path.read_bytes()
    faults = {
        b"": "expected 11 bytes, found 0",
        whole[:-2]: "expected 11 bytes, found 9",
        whole + b"!": "expected 11 bytes, found more",
        b"<html>no such file</html>": "expected an idx header 00000801 00000003, found 3c68746d 6c3e6e6f",
        gzip.compress(bytes(50_000_000))[:-1000]: "expected an idx header 00000801 00000003, found 00000000 00000000",
        gzip.compress(whole)[:-4]: "expected a whole gzip file, found a damaged one: Compressed file ended before",
        gzip.compress(whole)[:-8] + bytes(8): "expected a whole gzip file, found a damaged one: CRC check failed",
        b"\x1f\x8b\x08\x00" + b"\xff" * 30: "expected a whole gzip file, found a damaged one: Error -3",
    }
    for content, fault in faults.items():
        path.write_bytes(content)
        assert f"mnist: {str(path)!r}: {fault}" in refusal(lambda: load("mnist", folder=tmp_path))
    assert f"found {md5(whole[:-1] + b'!')};" in refusal(
        lambda: (path.write_bytes(whole[:-1] + b"!"), load("mnist", folder=tmp_path))
    )


@pytest.mark.usefixtures("small")
def test_a_part_is_read_once_and_only_when_asked_for(tmp_path: Path) -> None:
    place = lay(tmp_path / "MNIST/raw", "mnist")
    (place / "t10k-images-idx3-ubyte").write_bytes(b"damaged")
    (tmp_path / "link").symlink_to(place)
    first = load("mnist", folder=tmp_path)
    for same in (tmp_path, place, place / "..", tmp_path / "link"):
        assert load("mnist", folder=same)[0] is first[0]
    refusal(lambda: load("mnist", False, tmp_path))


@pytest.mark.usefixtures("small")
def test_check_has_a_row_for_each_file(tmp_path: Path) -> None:
    lay(tmp_path / "MNIST/raw", "mnist", zipped=True)
    cifar = lay(tmp_path / "cifar-10-batches-bin", "cifar10")
    (cifar / "data_batch_1.bin").write_bytes(b"damaged")
    (cifar / "test_batch.bin").unlink()
    rows = check(tmp_path)
    assert [row.name for row in rows] == ["mnist"] * 4 + ["fashion"] + ["cifar10"] * 6
    assert [bool(row.fault) for row in rows] == [False] * 4 + [True] * 2 + [False] * 4 + [True]
    assert [row.damaged for row in rows] == [False] * 5 + [True] + [False] * 5
    lines = [str(row).split(maxsplit=2) for row in rows]
    assert lines[0] == ["mnist", "ok", str(tmp_path / "MNIST/raw/train-images-idx3-ubyte.gz")]
    assert lines[4][:2] == ["fashion", "missing"]
    assert lines[4][2].startswith("expected FashionMNIST/raw/")
    assert lines[5] == ["cifar10", "damaged", f"{str(cifar / 'data_batch_1.bin')!r}: expected 9219 bytes, found 7"]
    assert lines[-1] == ["cifar10", "missing", f"no test_batch.bin in {str(cifar)!r}"]
