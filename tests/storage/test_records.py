"""Long records as Parquet: what is read is what was written, to the bit, and files are small."""

from __future__ import annotations

import io
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.storage.records import TYPES, as_parquet, from_parquet, records_of

STRANGE = [0.0, -0.0, 5e-324, 1e308, float("inf"), float("-inf"), float("nan"), 0.1]


def chunk_of(seeds: int, marks: int = 200) -> dict:
    rows = [{"seed": seed, "values": [], "trial": -1} for seed in range(seeds)]
    return {"optimizer": "sgd", "label": "bilinear", "phase": "report", "rows": rows, "marks": marks}


def table_of(values: list[float]) -> pa.Table:
    rows = len(values)
    columns = {
        "optimizer": ["sgd"] * rows,
        "game": ["bilinear"] * rows,
        "hyperparameters": ["{}"] * rows,
        "seed": [row % 2 for row in range(rows)],
        "phase": ["report"] * rows,
        "trial": [-1] * rows,
        "cost": [float(row) for row in range(rows)],
        "seconds": [0.5 * row for row in range(rows)],
        "metric": ["distance"] * rows,
        "value": values,
        "outcome": ["ok"] * rows,
        "ended": [float(rows)] * rows,
    }
    return pa.table({name: pa.array(columns[name], type=kind) for name, kind in TYPES.items()})


def bits(table: pa.Table) -> list[bytes]:
    return [struct.pack("<d", value) for value in table["value"].to_pylist()]


def test_what_is_read_is_what_was_written_to_the_bit():
    table = table_of(STRANGE)
    read = records_of(chunk_of(2), as_parquet(table))
    assert read.schema.equals(table.schema)
    assert read.drop_columns("value").equals(table.drop_columns("value"))
    assert bits(read) == bits(table)


def test_files_of_former_versions_are_read_the_same():
    table = table_of(STRANGE)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    read = records_of(chunk_of(2), sink.getvalue())
    assert read.schema.equals(table.schema)
    assert bits(read) == bits(table)


def test_more_rows_than_may_be_are_not_read():
    content = as_parquet(table_of(STRANGE))
    assert from_parquet(content, len(STRANGE)).num_rows == len(STRANGE)
    with pytest.raises(ValueError, match="it holds too much"):
        from_parquet(content, len(STRANGE) - 1)


@pytest.mark.parametrize("rows", [40, 3000])
def test_a_file_is_smaller_than_by_default(rows):
    table = table_of(list(np.random.default_rng(0).lognormal(size=rows)))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    assert len(as_parquet(table)) < 0.9 * len(sink.getvalue())
