"""What MLflow has of a logdir's scalars against what TensorBoard reads in its files, as multisets of points.

A point is (run, tag, step, wall time in ms, value). MLflow stores none twice in one run, so of equal points in the files
it should have one; several MLflow runs of one name count as one, so that a run that was made twice shows.

With a session, all of the logdir's runs are one MLflow run: tags keep their names in directories that their writers have
named, and begin with the run's name and a slash in others.

usage: difference.py LOGDIR TRACKING_URI EXPERIMENT [{"session": its name, "without": [runs that are no part of it]}]
prints {points: distinct ones in the files, lost, doubled, extra, examples: [{what, run, tag, step, ms, value}]}
"""

import json
import os
import re
import sys
from array import array

import numpy as np
from mlflow.tracking import MlflowClient
from read_mlflow import runs_of
from read_tensorboard import points, run_directories

EXAMPLES = 20


def table(steps, times, values):
    """Rows of three int64; all NaN are one value."""
    values = np.array(values, dtype=np.float64) + 0.0
    values[np.isnan(values)] = np.nan
    return np.column_stack([np.array(steps, dtype=np.int64), np.array(times, dtype=np.int64), values.view(np.int64)])


def counted(rows):
    """The distinct rows in order, and how often each is there."""
    rows = rows[np.lexsort(rows.T)]
    first = np.flatnonzero(np.concatenate([[True], np.any(rows[1:] != rows[:-1], axis=1)])[: len(rows)])
    return rows[first], np.diff(np.append(first, len(rows)))


def without(rows, others):
    """The rows of one table of distinct ones that are not in another."""
    distinct, times = counted(np.concatenate([rows, others, others]))
    return distinct[times == 1]


def in_files(directory):
    """{tag: table} of one run. Columns of numbers, since millions of points as objects do not fit."""
    tags = {}
    for tag, step, ms, value in points(directory):
        columns = tags.setdefault(tag, (array("q"), array("q"), array("d")))
        for column, number in zip(columns, (step, ms, value)):
            column.append(number)
    return {tag: table(*columns) for tag, columns in tags.items()}


def in_mlflow(client, runs):
    """{tag: table} of all runs of one name."""
    tags = {}
    for run in runs:
        for key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            rows = table([m.step for m in history], [m.timestamp for m in history], [m.value for m in history])
            tags.setdefault(run.data.tags.get(f"tracelet.tag.{key}", key), []).append(rows)
    return {tag: np.concatenate(rows) for tag, rows in tags.items()}


def in_session(directories, without):
    """{tag: table} of all runs but some, under the names that they have in one run."""
    tags = {}
    for run, directory in directories.items():
        if run in without:
            continue
        is_plain = run == "." or re.search(r"(^|/)version_\d+$", run)
        for tag, rows in in_files(directory).items():
            tags.setdefault(tag if is_plain else f"{run}/{tag}", []).append(rows)
    return {tag: np.concatenate(rows) for tag, rows in tags.items()}


def main(logdir, uri, experiment, session="{}"):
    session = json.loads(session)
    client = MlflowClient(uri)
    remote = {}
    for run in runs_of(client, client.get_experiment_by_name(experiment)):
        remote.setdefault(run.data.tags.get("mlflow.runName"), []).append(run)
    result = {"points": 0, "lost": 0, "doubled": 0, "extra": 0, "examples": []}

    def note(what, run, tag, rows, times):
        result[what] += int(times.sum())
        for step, ms, bits in rows[: max(0, EXAMPLES - len(result["examples"]))]:
            value = repr(float(np.int64(bits).view(np.float64)))
            example = {"what": what, "run": run, "tag": tag, "step": str(step), "ms": str(ms), "value": value}
            result["examples"].append(example)

    nothing = np.empty((0, 3), dtype=np.int64)
    local = run_directories(logdir)
    # What lies in the logdir itself is called after it.
    whole = in_session(local, session["without"]) if session else {}
    names = {session["session"]: None} if session else {os.path.basename(os.path.abspath(logdir)) if run == "." else run: path for run, path in local.items()}
    for run in sorted(set(names) | set(remote)):
        files = whole if run in names and session else in_files(names[run]) if run in names else {}
        stored = in_mlflow(client, remote.get(run, []))
        for tag in sorted(set(files) | set(stored)):
            expected, _ = counted(files.get(tag, nothing))
            actual, times = counted(stored.get(tag, nothing))
            result["points"] += len(expected)
            lost, extra = without(expected, actual), without(actual, expected)
            note("lost", run, tag, lost, np.ones(len(lost)))
            note("extra", run, tag, extra, np.ones(len(extra)))
            note("doubled", run, tag, actual[times > 1], times[times > 1] - 1)
    json.dump(result, sys.stdout)


main(*sys.argv[1:])
