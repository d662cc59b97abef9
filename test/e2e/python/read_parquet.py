"""What `--backend parquet` has written, read with pandas, pyarrow, polars and DuckDB, which have to agree.

usage: read_parquet.py OUT   prints {run: {tag: [[kind, step, wall time, value], ...]}}, in the form of fixtures' expected.json
"""

import json
import os
import struct
import sys
from fractions import Fraction

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.dataset
from read_jsonl import value_of

NANOSECONDS = 10**9
SCALARS = {
    "run": pyarrow.string(),
    "tag": pyarrow.string(),
    "step": pyarrow.int64(),
    "wall_time": pyarrow.timestamp("ns", tz="UTC"),
    "value": pyarrow.float64(),
    "wall_time_seconds": pyarrow.float64(),
}


def bits(number):
    """A double that compares as its bits do; there is one NaN."""
    return None if number is None else "NaN" if number != number else struct.pack(">d", number).hex()


def scalars_with_pandas(folder):
    """All rows, with nothing but the directory given."""
    frame = pandas.read_parquet(folder)
    assert [str(frame[name].dtype) for name in ("step", "wall_time", "value")] == ["int64", "datetime64[ns, UTC]", "float64"]
    times = [None if missing else int(time) for time, missing in zip(frame.wall_time.astype("int64"), frame.wall_time.isna())]
    return zip(frame.run, frame.tag, frame.step, times, frame.value, frame.wall_time_seconds)


def scalars_with_pyarrow(folder):
    """All rows, with nothing but the directory given."""
    table = pyarrow.dataset.dataset(folder).to_table()
    assert {field.name: field.type for field in table.schema} == SCALARS
    times = table["wall_time"].cast(pyarrow.int64()).to_pylist()
    columns = [table[name].to_pylist() for name in ("run", "tag", "step", "value", "wall_time_seconds")]
    return zip(*columns[:3], times, *columns[3:])


def scalars_with_polars(folder):
    """All rows."""
    frame = polars.scan_parquet(f"{folder}/**/*.parquet").collect()
    assert frame.schema["step"] == polars.Int64 and frame.schema["wall_time"] == polars.Datetime("ns", "UTC")
    return frame.select("run", "tag", "step", polars.col("wall_time").cast(polars.Int64), "value", "wall_time_seconds").iter_rows()


def scalars_with_duckdb(folder):
    """All rows."""
    rows = "SELECT run, tag, step, epoch_ns(wall_time) AS ns, value, wall_time_seconds FROM read_parquet(?)"
    with duckdb.connect() as connection:
        types = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [f"{folder}/**/*.parquet"]).fetchall()
        assert {name: kind for name, kind, *_ in types}["step"] == "BIGINT"
        return connection.execute(rows, [f"{folder}/**/*.parquet"]).fetchall()


def scalars(folder):
    """All rows, by the four, which have to agree: (run, tag, step, ns, bits of the value, bits of the seconds)."""
    readers = [scalars_with_pandas, scalars_with_pyarrow, scalars_with_polars, scalars_with_duckdb]
    read = []
    for reader in readers:
        rows = [(run, tag, int(step), ns, bits(value), bits(seconds)) for run, tag, step, ns, value, seconds in reader(folder)]
        read.append(rows)
    ordered = [sorted(rows, key=repr) for rows in read]
    for reader, rows in zip(readers, ordered):
        assert rows == ordered[0], reader.__name__
    return read[1]


def histograms(folder):
    """All rows of pyarrow, which have to be those of the others."""
    table = pyarrow.dataset.dataset(folder).to_table()
    bucket = pyarrow.struct([pyarrow.field(name, pyarrow.float64(), nullable=False) for name in ("left", "right", "count")])
    assert table.schema.field("buckets").type.value_type == bucket
    rows = table.to_pylist()
    with duckdb.connect() as connection:
        counted = connection.execute(
            "SELECT sum(len(buckets)) FROM read_parquet(?)", [f"{folder}/**/*.parquet"]
        ).fetchone()[0]
    frame = polars.scan_parquet(f"{folder}/**/*.parquet").collect()
    assert counted == frame["buckets"].list.len().sum() == sum(len(row["buckets"]) for row in rows)
    assert pandas.read_parquet(folder).buckets.map(len).sum() == counted
    return rows


def number(value):
    """As expected.json has it."""
    if value != value:
        return "NaN"
    return {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(value, value)


def double(hexadecimal):
    """The double of these bits."""
    return float("nan") if hexadecimal == "NaN" else struct.unpack(">d", bytes.fromhex(hexadecimal))[0]


def check_nanoseconds(seconds, ns):
    """The timestamp is the nanosecond nearest to the double; there is none for what is no time."""
    if ns is not None:
        assert abs(Fraction(seconds) * NANOSECONDS - ns) <= Fraction(501, 1000), (seconds, ns)
    else:
        assert not abs(seconds) < 9_223_372_035, seconds


def read(out):
    """All runs below a directory."""
    runs = {}

    def add(run, tag, kind, step, wall_time, value):
        shown = step if abs(int(step)) < 2**53 else str(step)
        runs.setdefault(run, {}).setdefault(tag, []).append([kind, shown, wall_time, value])

    if os.path.isdir(os.path.join(out, "scalars")):
        for run, tag, step, ns, value, seconds in scalars(os.path.join(out, "scalars")):
            check_nanoseconds(double(seconds), ns)
            add(run, tag, "scalar", step, number(double(seconds)), number(double(value)))
    if os.path.isdir(os.path.join(out, "histograms")):
        for row in histograms(os.path.join(out, "histograms")):
            buckets = [[number(bucket[edge]) for edge in ("left", "right", "count")] for bucket in row["buckets"]]
            add(row["run"], row["tag"], "histograms", row["step"], number(row["wall_time_seconds"]), buckets)
    for folder, _, names in os.walk(os.path.join(out, "runs")):
        if "values.jsonl" not in names:
            continue
        with open(os.path.join(folder, "values.jsonl"), encoding="utf-8", newline="\n") as file:
            for line in map(json.loads, file):
                if "tag" in line:
                    add(line["run"], line["tag"], line["kind"], line["step"], line["wall_time"], value_of(out, line))
    return runs


if __name__ == "__main__":
    json.dump(read(sys.argv[1]), sys.stdout, allow_nan=False)
