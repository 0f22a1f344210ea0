"""Image sets from a server in this process: what is whole is kept, anything else is one line and leaves nothing."""

from __future__ import annotations

import gzip
import io
import socket
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from image_files import CONTENTS, COUNT, lay, md5, refusal

from bench.games.data import download as fetch
from bench.games.data.formats import SETS
from bench.games.data.loading import check, load, missing

ARCHIVE = f"/cifar10/{fetch.ARCHIVE}"  # on the server


def snapshot(root: Path) -> dict[str, bytes]:
    """Everything below a folder, empty folders as well; nothing if there is no folder."""
    paths = [root, *root.rglob("*")] if root.exists() else []
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


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
    "silent": "timed out",
    "stalled": "timed out",
    "no HTTP": "found no answer: ",
    "short": "found no answer: ",
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
    assert "/train-images-idx3-ubyte.gz: expected a whole file, found no answer: " in line
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
    assert f"expected md5:{fetch.ARCHIVE_MD5} but got {md5(raw)}" in refusal(
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
