"""A training that numbers its points: at each step every tag of every run gets the step's number as its value.

It can be killed and started again: it then opens new files in the same directories, and goes on numbering where the
ledger says that it may have come to. SIGTERM ends it in order, after a last flush.

The ledger is a line of JSON for each thing that happened, on disk before the next thing happens:
  {"intends": step}                                        steps up to this one may be in files from now on
  {"flushed": step, "at": {run: [monotonic ms, wall ms]}}  steps up to this one are; when each run's flush began

usage: live_writer.py LOGDIR LEDGER --runs N --tags N --rate STEPS_PER_SECOND [--flush SECONDS] [--steps N] [--partial MS] [--prefix NAME]
"""

import argparse
import io
import itertools
import json
import os
import signal
import time

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.summary.writer.record_writer import RecordWriter


class TornWriter:
    """Writes each record in two parts with a pause between: the first is cut before its first byte, the next before
    its second, and so on."""

    numbers = itertools.count()

    def __init__(self, directory, pause):
        os.makedirs(directory, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.torn.{os.getpid()}.{next(self.numbers)}"
        self._file = open(os.path.join(directory, name), "wb", buffering=0)
        self._pause = pause
        self._records = 0
        self.add_event(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_event(self, event):
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        data = record.getvalue()
        cut = self._records % len(data)
        self._records += 1
        self._file.write(data[:cut])
        time.sleep(self._pause)
        self._file.write(data[cut:])

    def flush(self):
        pass

    def close(self):
        self._file.close()


def open_ledger(path):
    """The ledger, to be appended to, and the highest step that it says may be in a file."""
    ledger = open(path, "a+b")
    ledger.seek(0)
    whole, newline, _torn = ledger.read().rpartition(b"\n")
    # A line that was being written when the last one died has had no effect yet.
    ledger.truncate(len(whole + newline))
    return ledger, max((json.loads(line).get("intends", -1) for line in whole.splitlines()), default=-1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("logdir")
    parser.add_argument("ledger")
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--tags", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--flush", type=float, default=1)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--partial", type=float)
    parser.add_argument("--prefix", default="run-")
    options = parser.parse_args()

    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    ledger, intended = open_ledger(options.ledger)
    step = intended + 1

    def note(**line):
        ledger.write(json.dumps(line).encode() + b"\n")
        ledger.flush()
        os.fsync(ledger.fileno())

    names = [f"{options.prefix}{number:03d}" for number in range(options.runs)]
    tags = [f"live/tag-{number}" for number in range(options.tags)]

    def open_writer(directory):
        if options.partial is not None:
            return TornWriter(directory, options.partial / 1000)
        # It flushes by itself as well; that should happen when the ledger says so only.
        return EventFileWriter(directory, max_queue_size=10_000, flush_secs=1e9)

    writers = {name: open_writer(os.path.join(options.logdir, name)) for name in names}

    per_flush = max(1, round(options.rate * options.flush))
    end = None if options.steps is None else step + options.steps
    due = time.monotonic()
    while not stopping and step != end:
        last = step + per_flush - 1 if end is None else min(step + per_flush, end) - 1
        note(intends=last)
        while step <= last and not stopping:
            for writer in writers.values():
                values = [summary_pb2.Summary.Value(tag=tag, simple_value=step) for tag in tags]
                summary = summary_pb2.Summary(value=values)
                writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))
            step += 1
            due += 1 / options.rate
            # The last one is flushed at once, so that its age is known.
            if step <= last:
                time.sleep(max(0, due - time.monotonic()))
        at = {}
        for name, writer in writers.items():
            at[name] = [time.monotonic() * 1000, time.time() * 1000]
            writer.flush()
        note(flushed=step - 1, at=at)
        time.sleep(max(0, due - time.monotonic()))
    for writer in writers.values():
        writer.close()


main()
