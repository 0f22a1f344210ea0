"""A disk that fails: every file-system operation of a process is counted, and at any of them it may end.

What a crash at the k-th leaves is what the disk holds at that moment, so one run gives the remains of all crashes. A
write may be torn, half of it done. Where power is lost, what was not flushed is empty, and what was moved, made or
deleted in a folder that was not flushed is undone. A disk that is full raises from the k-th operation on. Then the same
command goes on, in a fork for each different state; what a chunk trains to and what a report looks like is kept
meanwhile, for files are in question here.

    python tests/helpers/crashing.py FOLDER      a line of JSON: for each kind what was tried and what was lost
    python tests/helpers/crashing.py FOLDER 61 7     no room at every 61st operation, crashes at every seventh
"""

from __future__ import annotations

import builtins
import errno
import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NO_ROOM = 77
STUDY = {
    "optimizers": "sgd[lr=0.1],extragrad", "games": "dirac", "seeds": "0-1", "trials": 4, "tuning_seeds": 2,
    "budget": 12, "evaluations": 2,
}  # fmt: skip


class Disk:
    """What a process does to the files below a folder.

    Args:
        root: the folder.
        seen: called before every operation, with what a torn write would leave where it is a write.
        full: the number of the operation from which on there is no room; 0 for never.
    """

    def __init__(self, root: Path, seen: Any = None, full: int = 0) -> None:
        self.root, self.seen, self.full = root.resolve(), seen, full
        self.count = 0
        self.unflushed: dict[tuple[int, int], Path] = {}  # contents
        self.undo: list[tuple[Path, str, Path, Any]] = []  # folder, what was done to a path, what was there before

    def below(self, path: Any) -> bool:
        return isinstance(path, (str, Path)) and Path(os.path.abspath(path)).is_relative_to(self.root)

    def step(self, grows: bool = False, torn: Any = None) -> None:
        """One more operation; ``grows`` says that it needs room."""
        self.count += 1
        if self.seen is not None:
            self.seen(self, torn)
        if grows and 0 < self.full <= self.count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def flushed(self, handle: int) -> None:
        found = os.fstat(handle)
        self.unflushed.pop((found.st_dev, found.st_ino), None)
        self.undo = [one for one in self.undo if not (one[0].exists() and os.path.samestat(one[0].stat(), found))]

    def changed(self, path: Any, how: str, before: Any = None) -> None:
        path = Path(os.path.abspath(path))
        self.undo.append((path.parent, how, path, before))

    def lose_power(self, copy: Path) -> None:
        """Make of a copy of the folder what a loss of power leaves."""

        def there(path: Path) -> Path:
            return copy / path.relative_to(self.root)

        for path in {*self.unflushed.values()}:
            if there(path).is_file():
                there(path).write_bytes(b"")
        for _, how, path, before in reversed(self.undo):
            target = there(path)
            if how == "made" and target.is_dir():
                shutil.rmtree(target)
            elif how == "made":
                target.unlink(missing_ok=True)
            elif how == "moved" and os.path.lexists(target):
                source, held = before
                if there(source).parent.is_dir():
                    os.rename(target, there(source))
                if held is not None:
                    target.write_bytes(held)
            elif how == "deleted" and target.parent.is_dir():
                target.write_bytes(before)


class _File:
    """A file open for writing: its writes are counted."""

    def __init__(self, file: Any, disk: Disk, path: Path) -> None:
        self._file, self._disk, self._path = file, disk, path
        self._mark()

    def _mark(self) -> None:
        found = os.fstat(self._file.fileno())
        self._disk.unflushed[found.st_dev, found.st_ino] = self._path

    def write(self, content: Any) -> Any:
        half = content[: len(content) // 2]
        self._disk.step(grows=True, torn=(self._path, half.encode() if isinstance(half, str) else bytes(half)))
        self._mark()
        return self._file.write(content)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def install(disk: Disk) -> None:
    """From now on this process's files are on that disk."""
    real = {name: getattr(os, name) for name in ("open", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir")}
    real_open = builtins.open

    def opened(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not (disk.below(path) and set(mode) & set("wxa+")):
            return real_open(path, mode, *args, **kwargs)
        new = not os.path.lexists(path)
        disk.step(grows=True)
        file = real_open(path, mode, *args, **kwargs)
        if new:
            disk.changed(path, "made")
        return _File(file, disk, Path(path))

    def os_open(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if disk.below(path) and flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            disk.step(grows=True)
        return real["open"](path, flags, *args, **kwargs)

    def fsync(handle: Any) -> None:
        number = handle if isinstance(handle, int) else handle.fileno()
        disk.step()
        real["fsync"](number)
        disk.flushed(number)

    def move(source: Any, target: Any, **kwargs: Any) -> None:
        if not disk.below(target):
            real["replace"](source, target, **kwargs)
            return
        disk.step()
        held = Path(target).read_bytes() if Path(target).is_file() else None
        real["replace"](source, target, **kwargs)
        for known, path in disk.unflushed.items():
            if path == Path(source):
                disk.unflushed[known] = Path(target)

        disk.changed(target, "moved", (Path(os.path.abspath(source)), held))

    def unlink(path: Any, **kwargs: Any) -> None:
        inside = kwargs.get("dir_fd") is not None or disk.below(path)
        if inside:
            disk.step()
        held = Path(path).read_bytes() if inside and not kwargs and Path(path).is_file() else None
        real["unlink"](path, **kwargs)

        if inside and held is not None:
            disk.changed(path, "deleted", held)

    def mkdir(path: Any, *args: Any, **kwargs: Any) -> None:
        if disk.below(path):
            disk.step(grows=True)
        real["mkdir"](path, *args, **kwargs)
        if disk.below(path):
            disk.changed(path, "made")

    def rmdir(path: Any, **kwargs: Any) -> None:
        if kwargs.get("dir_fd") is not None or disk.below(path):
            disk.step()
        real["rmdir"](path, **kwargs)

    builtins.open = io.open = opened  # type: ignore[assignment]
    os.open, os.fsync, os.replace, os.rename = os_open, fsync, move, move  # type: ignore[assignment]
    os.unlink = os.remove = unlink  # type: ignore[assignment]
    os.mkdir, os.rmdir = mkdir, rmdir  # type: ignore[assignment]


# --- one study, again and again --------------------------------------------------------------------------------------


def command(out: Path) -> None:
    """What ``bench run`` does, and then ``bench pack``."""
    import bench
    from bench.storage.writer import RunWriter

    finished = bench.run(bench.Study(**STUDY), out=out)
    if not finished.reported:
        finished.report()
    RunWriter(finished).pack()


def keep_what_takes_long(whole: Path) -> None:
    """Train and draw but once: from now on, what a chunk gives and what the same records look like is known."""
    import pandas as pd

    import bench
    from bench.analysis import table
    from bench.execution import process_pool as slots
    from bench.report import page as report

    trained: dict[str, Any] = {}
    work, draw, evaluator = slots.work, report.render, table.table
    drawn: dict[Any, Any] = {}

    def told(records: pd.DataFrame) -> str:
        return pd.util.hash_pandas_object(records.astype(str), index=False).to_numpy().tobytes().hex()

    def work_once(chunk: Any, *args: Any, **more: Any) -> Any:
        if chunk.id not in trained:
            trained[chunk.id] = work(chunk, *args, **more)
        return trained[chunk.id]

    def draw_once(records: Any, manifest: Any, tensors: Any, errors: Any, hung: Any, *known: Any) -> str:
        key = "page", told(records)
        if key not in drawn:
            page = draw(records, manifest, tensors, errors, hung, *known)
            few = {name: hung[name] for name in list(hung)[:2]}
            drawn[key] = page, {name: drawing for name, drawing in few.items() if drawing.svg}
        hung.clear()
        hung.update(drawn[key][1])
        return str(drawn[key][0])

    def judge_once(records: Any, *args: Any) -> Any:
        key = "table", told(records)
        if key not in drawn:
            drawn[key] = evaluator(records, *args)
        return drawn[key].copy()

    slots.work, report.render, table.table = work_once, draw_once, judge_once
    command(whole)
    known = report.tried(bench.Run(whole).records, bench.Run(whole).study)
    tuned = report.tuning(bench.Run(whole).records, bench.Run(whole).study, known)
    report.tried, report.tuning = lambda *_: known, lambda *_: tuned
    slots.work = lambda chunk, *_, **__: trained[chunk.id]


def child(act: Callable[[], None]) -> int:
    """How a fork that does this ends: 0 well, NO_ROOM where it says that there is none, 1 with what else it raised."""
    number = os.fork()
    if number:
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    code = 1
    try:
        act()
        code = 0
    except BaseException as error:
        code = NO_ROOM if os.strerror(errno.ENOSPC) in str(error) else 1
        if code == 1:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def stands(path: Path) -> dict[str, bytes]:
    """What of a run's folder must come out the same, and what must not be there."""
    files = {name: path / name for name in ("table.csv", "tuning.csv", "report.html")}
    files |= {file.name: file for file in (path / "figures").glob("*.svg")}
    left = [str(file) for file in path.rglob("*") if file.name.endswith(".tmp")]
    return {name: file.read_bytes() for name, file in files.items()} | {"left": " ".join(left).encode()}


def remains(folder: Path, each: int) -> list[tuple[str, Path]]:
    """Run the command once; for each so many-th operation what a crash leaves: (kind and number, a copy)."""
    root, kept = folder / "disk", folder / "remains"
    root.mkdir()
    kept.mkdir()

    def seen(disk: Disk, torn: Any) -> None:
        if disk.count % each:
            return
        disk.seen = None  # what is done here is done by no process
        for kind in ("crash", "power", *(["torn"] if torn else [])):
            copy = kept / f"{kind} at operation {disk.count}"
            shutil.copytree(root, copy)
            if kind == "power":
                disk.lose_power(copy)
            if kind == "torn":
                (copy / torn[0].resolve().relative_to(disk.root)).write_bytes(torn[1])
        disk.seen = seen

    def act() -> None:
        disk = Disk(root, seen)
        install(disk)
        disk.below = below_unless_seen(disk)  # type: ignore[method-assign]
        command(root / "run")

    if child(act):
        raise RuntimeError("the command does not end by itself")
    return [(path.name, path) for path in sorted(kept.iterdir(), key=lambda path: int(path.name.split()[-1]))]


def below_unless_seen(disk: Disk) -> Callable[[Any], bool]:
    """Paths count but while remains are copied."""
    below = type(disk).below
    return lambda path: disk.seen is not None and below(disk, path)


def state(path: Path) -> str:
    """A hash of all files below a folder, by name and content; numbers of processes do not matter."""
    found = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = str(file.relative_to(path))
        found.update(f"{name}\0{file.is_dir()}\0".encode())
        if file.is_file() and file.name not in (".holder", ".lock"):
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def crashes(folder: Path, each: int = 1) -> dict[str, dict[str, Any]]:
    """Crash at every so many-th operation, go on with the same command, compare: kind -> tried, states, lost."""
    whole = stands(folder / "whole")
    found = {kind: {"tried": 0, "states": 0, "lost": []} for kind in ("crash", "torn", "power")}
    known: dict[str, str] = {}
    safe = 0
    for name, copy in remains(folder, each):
        one = found[name.split()[0]]
        one["tried"] += 1
        here = saved(copy / "run")
        if here < safe:
            one["lost"].append(f"{name}: {safe - here} finished chunks")
        if name.startswith("crash"):
            safe = max(here - 1, 0)  # all but the one that is just being saved
        if (what := state(copy)) not in known:
            one["states"] += 1
            known[what] = _continued(copy, whole)
        if known[what]:
            one["lost"].append(f"{name}: {known[what]}")
        shutil.rmtree(copy)
    return found


def saved(path: Path) -> int:
    """How many chunks stand in a run's folder whole, planned or not: a slow disk gets the plan later, by the clock."""
    from bench.storage.run_folder import RunFolder

    folder, packed = RunFolder(path), path / "records.zip"
    files = [file.name for file in folder.records_path.glob("*.json")]
    files += zipfile.ZipFile(packed).namelist() if packed.exists() else []
    return sum(map(folder.whole, {Path(name).stem for name in files if name.endswith(".json")}))


def _continued(copy: Path, whole: dict[str, bytes]) -> str:
    """What is not as it should be once the same command has gone on; "" for nothing."""
    if child(lambda: command(copy / "run")):
        return "the command does not go on"
    found = stands(copy / "run")
    return ", ".join(name for name in whole if found.get(name) != whole[name])


def full(folder: Path, stride: int) -> dict[str, Any]:
    """No room from an operation on, at every so many; then there is room again."""
    whole, tried, lost, at = stands(folder / "whole"), 0, [], 1
    while True:
        root = folder / f"full{at}"
        root.mkdir()

        def act(root: Path = root, at: int = at) -> None:
            install(Disk(root, full=at))
            command(root / "run")

        if (ended := child(act)) == 0:
            return {"tried": tried, "lost": lost}
        tried += 1
        wrong = "it does not say so" if ended != NO_ROOM else _continued(root, whole)
        lost += [f"full at operation {at}: {wrong}"] if wrong else []
        shutil.rmtree(root)
        at += stride


def main(folder: Path, stride: int, each: int) -> None:
    keep_what_takes_long(folder / "whole")
    print(json.dumps({**crashes(folder, each), "full": full(folder, stride)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:] or ("16", "1")))
