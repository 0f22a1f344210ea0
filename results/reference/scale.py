"""What a study of a million cells on a thousand nodes asks of the one that coordinates it, from what is measured here.

    python results/reference/scale.py > results/reference/scale.md

Chunks like those of a GAN game are saved, scanned, loaded and planned; what that takes is multiplied. How long chunks
train is not: the page says how long they must, for the coordinator to keep up.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from bench.numerics.runtime import processor
from bench.storage.manifest import SCHEMA
from bench.storage.records import SUFFIXES, Result, pack
from bench.storage.run_folder import RunFolder
from bench.storage.writer import RunWriter
from bench.studies.plan import PROTOCOL, Row, Task

CELLS, NODES = 1_000_000, 1000
STACK, MARKS, METRICS = 10, 20, 10  # cells a chunk, evaluations, metrics a cell
SAVED, NAMED = 200, 300_000


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def result() -> Result:
    """What a chunk of STACK cells leaves."""
    draw = torch.Generator().manual_seed(0)
    records = [
        {"row": row, "seed": row, "trial": -1, "cost": float(mark), "seconds": 0.1 * mark, "metric": f"metric{m}"}
        | {"value": float(torch.rand((), generator=draw)), "outcome": "ok", "ended": 20.0}
        for row in range(STACK)
        for mark in range(MARKS + 1)
        for m in range(METRICS)
    ]
    path = torch.randn(200, 5, 2, generator=draw)
    return Result(records, {"path": path, "path_cost": torch.arange(200.0)})


def measure(folder: Path) -> dict[str, float]:
    """Seconds a chunk for each act, bytes a chunk, seconds to list many files."""
    run = RunFolder(folder / "run")
    writer = RunWriter(run)
    writer.open({"schema": SCHEMA, "protocol": PROTOCOL, "device": "cpu", "study": {}})
    (first,) = Task("sgd", "dirac", 20.0, MARKS, "cpu").chunks([Row(seed, ()) for seed in range(STACK)], "report")
    chunks = [replace(first, budget=20.0 + i) for i in range(SAVED)]
    made = result()
    found = {"pack": timed(lambda: [pack(chunk, made) for chunk in chunks]) / SAVED}
    packed = [pack(chunk, made) for chunk in chunks]
    found["save"] = timed(lambda: [writer.save(*one) for one in zip(chunks, packed, strict=True)]) / SAVED
    found["scan"] = timed(lambda: [run.has(chunk) for chunk in chunks]) / SAVED
    found["load"] = timed(lambda: [run.load(chunk) for chunk in chunks]) / SAVED
    writer.plan([chunk.id for chunk in chunks])
    frame = run.read_records()
    found["memory"] = float(frame.memory_usage(deep=True).sum()) / SAVED
    found["bytes"] = sum(path.stat().st_size for path in run.records_path.iterdir()) / SAVED
    found["blocks"] = sum(512 * path.stat().st_blocks for path in run.records_path.iterdir()) / SAVED
    names = [f"{i:020x}" for i in range(CELLS // STACK)]
    writer._next_plan = 0.0
    found["plan"] = timed(lambda: writer.plan(names))
    writer.close()
    many = folder / "many"
    many.mkdir()
    for i in range(NAMED):
        os.close(os.open(many / f"{i:020x}.json", os.O_CREAT | os.O_WRONLY))
    found["list"] = timed(lambda: list(many.glob("*.json")))
    found["open"] = timed(lambda: [os.stat(many / f"{i:020x}.json") for i in range(0, NAMED, 100)]) / (NAMED // 100)
    return found


def page(found: dict[str, float]) -> str:
    """The estimate as Markdown."""
    chunks = CELLS // STACK
    minutes = {name: chunks * found[name] / 60 for name in ("save", "scan", "load")}
    files = chunks * (len(SUFFIXES) + 1)
    gigabytes = {name: chunks * found[name] / 1e9 for name in ("bytes", "blocks", "memory")}
    rows = [
        ("saving, each file and the move flushed", f"{1e3 * found['save']:.2f} ms", f"{minutes['save']:.1f} min"),
        ("scanning on resume: hashes checked", f"{1e3 * found['scan']:.2f} ms", f"{minutes['scan']:.1f} min"),
        ("loading: hashes, checks, a data frame", f"{1e3 * found['load']:.2f} ms", f"{minutes['load']:.1f} min"),
        ("files", f"{len(SUFFIXES) + 1}", f"{files:,}"),
        (
            "bytes, and as blocks of the disk",
            f"{found['bytes'] / 1e3:.0f} kB",
            f"{gigabytes['bytes']:.1f}, {gigabytes['blocks']:.1f} GB",
        ),
        (
            "long records in memory, for table and report",
            f"{found['memory'] / 1e3:.0f} kB",
            f"{gigabytes['memory']:.1f} GB",
        ),
        ("the plan written once", "", f"{found['plan']:.2f} s"),
        (f"a folder of {NAMED:,} files listed", "", f"{found['list']:.1f} s"),
    ]
    keeps = NODES * found["save"]
    lines = [f"# {CELLS:,} cells on {NODES:,} nodes, on paper", ""]
    lines += [f"{STACK} cells a chunk ({chunks:,} chunks), {MARKS} evaluations of {METRICS} metrics each.", ""]
    lines += ["| the coordinator | a chunk | all |", "|---|---|---|"]
    lines += [f"| {what} | {one} | {everything} |" for what, one, everything in rows]
    lines += [
        "",
        f"- It keeps up where chunks train for {keeps:.1f} s or longer: {NODES:,} nodes then bring one every",
        f"  {1e3 * found['save']:.2f} ms. Shorter ones wait for it. That is what gives first while the study runs.",
        "- At its end the report gives first: all records are one data frame in memory, and more while it is made.",
        "  `bench merge` of parts does not mend that; a study so large is reported in parts.",
        "- The plan was written whole at every round of every contest, which goes with the square of the chunks. Now",
        "  writing it takes at most a twentieth of the time.",
        f"- Folders by a prefix of the names are not needed: of {NAMED:,} files in one, any is found in",
        f"  {1e6 * found['open']:.0f} us on this disk. Shared file systems are slower at it, and were not measured.",
        "- On resume what is there is scanned and then loaded: files are read twice.",
        "",
        f"Command: `python results/reference/scale.py`. {processor('cpu')}, 1 of {os.cpu_count()} cores.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measured = measure(Path(name))
    print(page(measured))
