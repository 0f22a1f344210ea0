"""A run whose rule, game or words are called otherwise, as a stranger could hand it in: all hashes fit."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.storage.archive import Archive, archived
from bench.storage.manifest import seal, sealed
from bench.studies.plan import chunk_id


def with_manifest(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a run's manifest in place."""
    manifest = json.loads((run / "study.json").read_text())
    change(manifest)
    (run / "study.json").write_bytes(sealed(manifest))


def renamed(run: Path, out: Path, rule: str, name: str) -> Path:
    """A copy of a packed run in which a rule has another spelling, everywhere."""
    shutil.copytree(run, out)

    def called(text: str) -> str:
        return name if text == rule else text

    def change(manifest: dict[str, Any]) -> None:
        manifest["study"]["optimizers"] = [called(one) for one in manifest["study"]["optimizers"]]
        described = manifest["descriptions"]["rules"]
        manifest["descriptions"]["rules"] = {called(one): what for one, what in described.items()}

    with_manifest(out, change)
    protocol = json.loads((out / "study.json").read_text())["protocol"]
    packed, files, names = Archive(out / "records.zip"), {}, []
    for file in [file for file in packed if file.endswith(".json")]:
        stub = json.loads(packed[file])
        held = {suffix: packed[file.replace("json", suffix)] for suffix in ("parquet", "safetensors")}
        if stub["chunk"]["optimizer"] == rule:
            stub["chunk"]["optimizer"] = name
            held["parquet"] = _renamed(held["parquet"], name)
        chunk = chunk_id(stub["chunk"], protocol)
        stub["sha256"] = {suffix: hashlib.sha256(content).hexdigest() for suffix, content in held.items()}
        files |= {f"{chunk}.{suffix}": content for suffix, content in held.items()}
        files[f"{chunk}.json"] = json.dumps(stub).encode()
        names.append(chunk)
    (out / "records.zip").write_bytes(archived(files))
    (out / "plan.json").write_text(json.dumps([*names, f"sha256:{seal(names)}"]))
    return out


def _renamed(content: bytes, name: str) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    at, kind = table.schema.get_field_index("optimizer"), table.schema.field("optimizer").type
    column = table["optimizer"].cast("string").to_pylist()
    table = table.set_column(
        at, pa.field("optimizer", kind), pa.array([name] * len(column)).dictionary_encode().cast(kind)
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
