"""The SummaryWriters that a script has open: found, flushed, left as they are.

torch, Lightning and tensorboardX all write through an object that queues events, for two minutes by default. At the end of
a session what is queued must be in the files.
"""

from __future__ import annotations

import gc
import os
import struct
import sys
import threading
from typing import Any, Callable, NamedTuple, Optional

from .notice import log

#: Where the classes are that own a file, and what each calls its directory.
_OWNERS = (
    ("tensorboard.summary.writer.event_file_writer", "EventFileWriter"),
    ("tensorboardX.event_file_writer", "EventFileWriter"),
    ("tensorflow.python.ops.summary_ops_v2", "_ResourceSummaryWriter"),
)


#: The threads that write for them. One whose writer is gone, unclosed, still holds what was queued.
_THREADS = ("_AsyncWriterThread", "_EventLoggerThread")


class OpenWriter(NamedTuple):
    directory: str
    #: When its file was begun, seconds since the Unix epoch; None where that cannot be told.
    begun: Optional[float]


def flush_summary_writers() -> list[OpenWriter]:
    """Write out what open writers hold. Returns those that tell where they write to."""
    classes = tuple(
        owner for module, name in _OWNERS if isinstance(owner := getattr(sys.modules.get(module), name, None), type)
    )
    if not classes:
        return []
    writers = []
    owned = set()
    for found in gc.get_objects():
        # Not isinstance: a proxy's `__class__` may do anything.
        if not issubclass(type(found), classes):
            continue
        owned.add(id(getattr(getattr(found, "_async_writer", found), "_worker", None)))
        _try(found.flush)
        directory = _directory_of(found)
        if directory is not None:
            writers.append(OpenWriter(directory, _begun(found)))
    for thread in threading.enumerate():
        # What has an owner is the owner's to flush, who keeps others from writing meanwhile.
        if type(thread).__name__ in _THREADS and id(thread) not in owned:
            _try(lambda: _flush_orphan(thread))
    return writers


def _flush_orphan(thread: Any) -> None:
    thread._queue.join()
    thread._record_writer.flush()


def _try(work: Callable[[], Any]) -> None:
    """What is flushed is the script's, and may be closed, or half made."""
    try:
        work()
    except Exception as error:
        log.debug("a SummaryWriter could not be flushed: %s", error)


def _directory_of(writer: Any) -> Optional[str]:
    for name in ("get_logdir", "_logdir"):
        found = getattr(writer, name, None)
        try:
            found = found() if callable(found) else found
        except Exception:
            continue
        if isinstance(found, (str, bytes, os.PathLike)) and "://" not in os.fsdecode(found):
            return os.path.realpath(os.fsdecode(found))
    return None


def _begun(writer: Any) -> Optional[float]:
    """The wall time of the first event in its file."""
    name = getattr(getattr(writer, "_ev_writer", writer), "_file_name", None)
    if not isinstance(name, (str, bytes)):
        return None
    try:
        with open(name, "rb") as file:
            head = file.read(21)
    except OSError:
        return None
    # Behind a record's length and its checksum, the event's first field: a double.
    return struct.unpack_from("<d", head, 13)[0] if len(head) == 21 and head[12] == 0x09 else None
