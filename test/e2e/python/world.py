"""Both ends of a sync as independent readers see them, and what users do to an MLflow database behind tracelet's back.

Reads one JSON request a line on standard input, {"call": name, …arguments}, and answers with one line: {"result": …} or
{"error": text}. Event files are read by TensorBoard's own loader, the database by SQLite itself.
"""

import json
import math
import os
import sqlite3
import sys
import traceback
from urllib.parse import unquote, urlparse

from read_tensorboard import points
from tensorboard.backend.event_processing import event_file_loader, io_wrapper

MAX = 1.7976931348623157e308


def number(value):
    return "nan" if math.isnan(value) else repr(value + 0.0)


def tensorboard(directories):
    """{directory: {scalars: {tag: [[step, ms, value]]}, histograms: {tag: [step]}}}, each in the order of its files."""
    return {directory: read_run(directory) for directory in directories}


def read_run(directory):
    scalars = {}
    for tag, step, ms, value in points(directory):
        scalars.setdefault(tag, []).append([str(step), str(ms), number(value)])
    histograms = {}
    for path in sorted(filter(io_wrapper.IsSummaryEventsFile, io_wrapper.ListDirectoryAbsolute(directory))):
        for event in event_file_loader.LegacyEventFileLoader(path).Load():
            for value in event.summary.value:
                if value.WhichOneof("value") == "histo":
                    histograms.setdefault(value.tag, []).append(str(event.step))
    return {"scalars": scalars, "histograms": histograms}


def connect(database):
    return sqlite3.connect(database, timeout=60, isolation_level=None)


def stored(database, artifacts):
    """Every run in the database. @param artifacts: where a server keeps `mlflow-artifacts:/`"""
    if not os.path.exists(database):
        return []
    connection = connect(database)
    runs = []
    try:
        rows = connection.execute("SELECT run_uuid, name, lifecycle_stage, artifact_uri FROM runs").fetchall()
    except sqlite3.OperationalError:
        return []
    for run, name, stage, uri in rows:
        metrics = {}
        select = "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ?"
        for key, step, timestamp, value, is_nan in connection.execute(select, (run,)):
            metrics.setdefault(key, []).append([str(step), str(timestamp), "nan" if is_nan else number(value)])
        tags = dict(connection.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
        folder = local_path(uri, artifacts)
        runs.append(
            {
                "id": run,
                "name": name,
                "active": stage == "active",
                "metrics": metrics,
                "tags": tags,
                "histograms": histogram_lines(folder),
            }
        )
    connection.close()
    return runs


def local_path(uri, artifacts):
    parsed = urlparse(uri)
    if parsed.scheme == "mlflow-artifacts":
        return os.path.join(artifacts, parsed.path.lstrip("/"))
    return unquote(parsed.path)


def histogram_lines(folder):
    tags = {}
    lines = os.path.join(folder, "histograms")
    names = sorted(name for name in os.listdir(lines) if name.endswith(".jsonl")) if os.path.isdir(lines) else []
    for name in names:
        with open(os.path.join(lines, name), encoding="utf-8") as file:
            for line in file:
                value = json.loads(line)
                tags.setdefault(value["tag"], []).append(str(value["step"]))
    return tags


def set_stage(database, run, stage):
    """What deleting a run in MLflow's page does, or `mlflow runs restore`."""
    connection = connect(database)
    connection.execute("UPDATE runs SET lifecycle_stage = ? WHERE run_uuid = ?", (stage, run))
    connection.close()


def in_experiment(database, experiment):
    """Ids of the runs in an experiment, active ones first."""
    connection = connect(database)
    select = """SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) WHERE experiments.name = ?
                ORDER BY runs.lifecycle_stage, run_uuid"""
    ids = [run for (run,) in connection.execute(select, (experiment,))] if os.path.getsize(database) > 0 else []
    connection.close()
    return ids


def delete_experiment(database, experiment):
    """What deleting an experiment in MLflow's page does."""
    connection = connect(database)
    connection.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = ?", (experiment,))
    connection.close()


def gc(database, run):
    """What `mlflow gc` does to a deleted run in the tables."""
    connection = connect(database)
    connection.execute("BEGIN IMMEDIATE")
    for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
        connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run,))
    connection.execute("COMMIT")
    connection.close()


def copy_database(source, target):
    """A backup, or a backup put back: the target is overwritten in one transaction, whoever has it open."""
    one, other = connect(source), connect(target)
    one.backup(other)
    one.close()
    other.close()


CALLS = {
    each.__name__: each
    for each in (tensorboard, stored, in_experiment, set_stage, delete_experiment, gc, copy_database)
}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": CALLS[request.pop("call")](**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


main()
