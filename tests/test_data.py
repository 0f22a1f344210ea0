"""Image sets from files: what is whole is read, anything else is one line and leaves nothing behind.

The laws run on sets of the real formats with three images a part; real files, where there are any, are compared with
what is published of them. Downloads come from a server in this process.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from bench.errors import SpecError
from bench.games.data import download as fetch
from bench.games.data import loading as data
from bench.games.data.formats import SETS, File, ImageSet, idx, image_set
from bench.games.data.loading import PACKAGED, check, load, missing

Contents = dict[str, bytes]
COUNT = 3  # images a file
ARCHIVE = f"/cifar10/{fetch.ARCHIVE}"  # on the server


def noise(size: int, seed: int) -> bytes:
    return bytes(torch.randint(256, (size,), generator=torch.Generator().manual_seed(seed)).tolist())


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx_contents(seed: int) -> Contents:
    contents = {}
    for i, part in enumerate(("train", "t10k")):
        contents[f"{part}-images-idx3-ubyte"] = struct.pack(">4i", 0x803, COUNT, 28, 28) + noise(
            COUNT * 784, seed + 2 * i
        )
        contents[f"{part}-labels-idx1-ubyte"] = struct.pack(">2i", 0x801, COUNT) + noise(COUNT, seed + 2 * i + 1)
    return contents


def cifar_contents() -> Contents:
    """In every file labels 0, 1, 2, and images whose red is 1, green 2, blue 3, but for the first pixel of each."""
    contents = {}
    for i, name in enumerate([*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]):
        planes = b"".join(bytes([10 * i + plane]) + bytes([plane]) * 1023 for plane in (1, 2, 3))
        contents[name] = b"".join(bytes([label]) + planes for label in range(COUNT))
    return contents


CONTENTS: dict[str, Contents] = {"mnist": idx_contents(0), "fashion": idx_contents(10), "cifar10": cifar_contents()}


def fake(name: str) -> ImageSet:
    contents = CONTENTS[name]
    if name == "cifar10":
        batches = tuple(File(file, b"", (COUNT, 3073), md5(content)) for file, content in contents.items())
        return ImageSet(SETS[name].folders, batches[:5], batches[5:], records=True)
    sums = [md5(content) for content in contents.values()]
    return ImageSet(SETS[name].folders, idx("train", COUNT, *sums[:2]), idx("t10k", COUNT, *sums[2:]))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets in place of the real ones, none of which is found unless a test lays it down."""
    for name in list(SETS):
        monkeypatch.setitem(SETS, name, fake(name))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.delitem(PACKAGED, "fashion")


def lay(place: Path, name: str, zipped: bool = False) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    for file, content in CONTENTS[name].items():
        if zipped:
            (place / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (place / file).write_bytes(content)
    return place


def snapshot(root: Path) -> dict[str, bytes]:
    """Everything below a folder, empty folders as well; nothing if there is no folder."""
    paths = [root, *root.rglob("*")] if root.exists() else []
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


def refusal(run: Callable[[], object]) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(SpecError) as caught:
        run()
    line = str(caught.value)
    assert "\n" not in line
    return line


# --- the real files --------------------------------------------------------------------------------------------------

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


# --- where sets are found --------------------------------------------------------------------------------------------


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


# --- what is not whole -----------------------------------------------------------------------------------------------


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


# --- fetching --------------------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Files by path, a fault for some, and a list of what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, str] = {}
        self.asked: list[str] = []
        self.ended = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def serve(self, name: str) -> None:
        """Have a set as its mirror has it."""
        if name == "cifar10":
            self.files[ARCHIVE] = archive({f"cifar-10-batches-bin/{k}": v for k, v in CONTENTS[name].items()})
        else:
            self.files |= {f"/{name}/{file}.gz": gzip.compress(content) for file, content in CONTENTS[name].items()}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        fault = self.server.faults.get(self.path, "")
        content = self.server.files.get(self.path)
        if fault == "silent":
            self.server.ended.wait(10)
            return
        if fault == "no HTTP":
            self.wfile.write(b"220 mail\r\n\r\n")
            return
        if content is None or fault == "gone":
            self.send_error(404)
            return
        content = {"other": gzip.compress(b"other"), "page": b"<html>"}.get(fault, content)
        content = bytes(fetch.ARCHIVE_SIZE + 2_000_000) if fault == "endless" else content
        self.send_response(200)
        if fault not in ("unsaid", "endless"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault in ("short", "unsaid", "stalled") else content)
        if fault == "stalled":
            self.wfile.flush()
            self.server.ended.wait(10)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(small: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch, "ARCHIVE_SIZE", 100_000)
    with Server() as server:
        for name in SETS:
            server.serve(name)
        monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(server.files[ARCHIVE]))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


def archive(members: dict[str, bytes | str]) -> bytes:
    """A gzipped tar archive; a text is a symbolic link's aim."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return sink.getvalue()


@pytest.mark.parametrize("name", CONTENTS)
def test_what_is_fetched_is_found_and_not_fetched_again(server: Server, tmp_path: Path, name: str) -> None:
    seen: list[tuple[str, int, int]] = []
    root = tmp_path / "new" / "folder"
    got = fetch.fetch(name, root, server.url(name) + "/", progress=lambda *how: seen.append(how))
    assert sorted(snapshot(root / SETS[name].folders[0])) == sorted(map(str, [root / SETS[name].folders[0], *got]))
    assert [path.name.removesuffix(".gz") for path in got] == [file.name for file in SETS[name].files]
    assert [row.fault for row in check(root) if row.name == name] == [""] * len(got)
    assert len(load(name, True, root)[0]) == COUNT * len(SETS[name].train if name == "cifar10" else [1])
    assert {(file, total) for file, done, total in seen if done == total} == {
        (Path(path).name, len(server.files[path])) for path in server.asked
    }
    before, asked = snapshot(root), len(server.asked)
    assert fetch.fetch(name, root, server.url(name)) == []
    assert (snapshot(root), len(server.asked)) == (before, asked)


def test_only_what_is_missing_or_damaged_is_fetched(server: Server, tmp_path: Path) -> None:
    place = lay(tmp_path / "MNIST/raw", "mnist")
    (place / "train-images-idx3-ubyte").write_bytes(b"damaged")
    (place / "t10k-labels-idx1-ubyte").unlink()
    got = fetch.fetch("mnist", tmp_path, server.url("mnist"))
    assert [path.name for path in got] == ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
    assert len(server.asked) == 2
    assert len(load("mnist", True, tmp_path)[0]) == len(load("mnist", False, tmp_path)[0]) == COUNT
    cifar = lay(tmp_path / "cifar-10-batches-bin", "cifar10")
    (cifar / "data_batch_2.bin").write_bytes(b"damaged")
    assert fetch.fetch("cifar10", tmp_path, server.url("cifar10")) == [cifar / "data_batch_2.bin"]
    assert not any(row.damaged for row in check(tmp_path) if row.name == "cifar10")


def test_a_set_that_is_whole_in_the_folder_is_fetched_no_more_wherever_it_stands(
    server: Server, tmp_path: Path
) -> None:
    lay(tmp_path, "mnist")
    assert fetch.fetch("mnist", tmp_path, server.url("mnist")) == []
    assert fetch.fetch("fashion", tmp_path, server.url("fashion"))[0].parent == tmp_path / "FashionMNIST/raw"
    assert missing("mnist", tmp_path) == missing("fashion", tmp_path) == ""


def test_a_set_elsewhere_does_not_keep_a_folder_empty(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(lay(tmp_path / "named", "mnist")))
    assert len(fetch.fetch("mnist", tmp_path / "given", server.url("mnist"))) == 4


FAULTS = {
    "gone": "found HTTP status 404;",
    "silent": "found no answer: timed out",
    "stalled": "found no answer: timed out",
    "no HTTP": "found no answer: ",
    "short": "bytes, found ",
    "unsaid": "expected ",
    "other": "expected ",
    "page": "expected ",
    "endless": "bytes, found more",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("before", ["no folder", "a folder", "a damaged file"])
def test_a_download_that_fails_leaves_nothing_behind(
    server: Server, tmp_path: Path, name: str, fault: str, before: str
) -> None:
    root = tmp_path / "some" / "folder"
    if before != "no folder":
        root.mkdir(parents=True)
    if before == "a damaged file":
        place = lay(root / SETS[name].folders[0], name)
        next(place / file.name for file in SETS[name].files).write_bytes(b"damaged")
    for path in server.files:
        server.faults[path] = fault
    was = snapshot(tmp_path)
    patience = 0.1 if fault in ("silent", "stalled") else 30
    line = refusal(lambda: fetch.fetch(name, root, server.url(name), timeout=patience))
    assert line.startswith(f"{name}: {server.url(name)}/")
    assert FAULTS[fault] in line
    assert line.endswith("nothing of it is kept: try again, or another mirror")
    assert snapshot(tmp_path) == was


def test_files_that_came_whole_before_a_failure_are_kept(server: Server, tmp_path: Path) -> None:
    server.faults["/fashion/t10k-images-idx3-ubyte.gz"] = "short"
    refusal(lambda: fetch.fetch("fashion", tmp_path, server.url("fashion")))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
    ]  # fmt: skip
    server.faults.clear()
    server.asked.clear()
    assert len(fetch.fetch("fashion", tmp_path, server.url("fashion"))) == len(server.asked) == 2


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_an_interrupt_leaves_nothing_behind(server: Server, tmp_path: Path, name: str) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(name, tmp_path / "new", server.url(name), progress=interrupt)
    assert snapshot(tmp_path) == {str(tmp_path): b""}


def test_nobody_there_is_said(small: None, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    line = refusal(lambda: fetch.fetch("mnist", tmp_path / "new", url))
    assert "/train-images-idx3-ubyte.gz: expected a file, found no answer: " in line
    assert "refused" in line
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mirror", ["ftp://127.0.0.1", "127.0.0.1", "file:///etc", "sets"])
def test_a_mirror_is_a_web_address(tmp_path: Path, mirror: str) -> None:
    line = f"mnist: mirror is {mirror!r}; a URL with http:// or https:// is allowed"
    assert refusal(lambda: fetch.fetch("mnist", tmp_path, mirror)) == line


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mirror", ["http://[", "http://127.0.0.1:port", "http://a b", "http://:80"])
def test_a_mirror_that_is_no_address_is_said(tmp_path: Path, mirror: str) -> None:
    assert "found no answer: " in refusal(lambda: fetch.fetch("mnist", tmp_path, mirror))


def test_a_folder_that_cannot_be_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refusal(lambda: fetch.fetch("mnist", tmp_path / "file" / "below", server.url("mnist")))
    assert line == f"mnist: {str(tmp_path / 'file' / 'below')!r} cannot be written: Not a directory"


GOOD: dict[str, bytes | str] = {
    f"cifar-10-batches-bin/{name}": content for name, content in CONTENTS["cifar10"].items()
}
FIRST = "cifar-10-batches-bin/data_batch_1.bin"
ARCHIVES: dict[str, tuple[dict[str, bytes | str], str]] = {
    "absent": ({k: v for k, v in GOOD.items() if k != FIRST}, "expected the member data_batch_1.bin, found none"),
    "link": (GOOD | {FIRST: "/etc/passwd"}, "expected the member data_batch_1.bin, found none"),
    "short": (GOOD | {FIRST: b"short"}, "expected the member data_batch_1.bin, found none"),
    "altered": (GOOD | {FIRST: bytes(COUNT * 3073)}, "expected MD5 "),
    "elsewhere": ({k.replace(FIRST, f"/{FIRST}"): v for k, v in GOOD.items()}, "expected the member data_batch_1.bin"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_with_other_members_leave_nothing_behind(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    members, fault = ARCHIVES[kind]
    server.files[ARCHIVE] = raw = archive(members)
    assert f"expected MD5 {fetch.ARCHIVE_MD5}, found {md5(raw)}" in refusal(
        lambda: fetch.fetch("cifar10", tmp_path, server.url("cifar10"))
    )
    monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(raw))  # even of an archive that is taken for the right one
    assert fault in refusal(lambda: fetch.fetch("cifar10", tmp_path, server.url("cifar10")))
    assert snapshot(tmp_path) == {str(tmp_path): b""}


def test_no_member_but_the_batches_leaves_an_archive(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = archive({"../outside": b"!", "/tmp/outside": b"!", "cifar-10-batches-bin/link": "..", "readme": b"!"} | GOOD)
    server.files[ARCHIVE] = raw
    monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(raw))
    root = tmp_path / "root"
    fetch.fetch("cifar10", root, server.url("cifar10"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(
        ["root", "cifar-10-batches-bin", *CONTENTS["cifar10"]]
    )


def test_a_damaged_archive_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = server.files[ARCHIVE]
    for raw in (b"no archive", whole[:10], whole[:200], whole[:-200], whole[:200] + b"damaged" + whole[207:]):
        server.files[ARCHIVE] = raw
        monkeypatch.setattr(fetch, "ARCHIVE_MD5", md5(raw))
        line = refusal(lambda: fetch.fetch("cifar10", tmp_path, server.url("cifar10")))
        # tarfile takes some beginnings of an archive for a shorter one
        assert "expected a whole archive, found a damaged one: " in line or "expected the member data_batch_" in line
        assert snapshot(tmp_path) == {str(tmp_path): b""}
