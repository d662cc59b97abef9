"""The SummaryWriters that a script has open: found, flushed, left as they are.

torch, Lightning and tensorboardX all write through an object that queues events, for two minutes by default. At the end of
a session what is queued must be in the files.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any, Optional

from .notice import log

#: Where the classes are that own a file, and what each calls its directory.
_OWNERS = (
    ("tensorboard.summary.writer.event_file_writer", "EventFileWriter"),
    ("tensorboardX.event_file_writer", "EventFileWriter"),
    ("tensorflow.python.ops.summary_ops_v2", "_ResourceSummaryWriter"),
)


def flush_summary_writers() -> list[str]:
    """Write out what open writers hold. Returns the directories they write to, where they tell."""
    classes = tuple(
        owner for module, name in _OWNERS if isinstance(owner := getattr(sys.modules.get(module), name, None), type)
    )
    if not classes:
        return []
    directories = []
    for found in gc.get_objects():
        # Not isinstance: a proxy's `__class__` may do anything.
        if not issubclass(type(found), classes):
            continue
        try:
            found.flush()
        except Exception as error:  # It is the script's, and may be closed, or half made.
            log.debug("a SummaryWriter could not be flushed: %s", error)
        directory = _directory_of(found)
        if directory is not None:
            directories.append(directory)
    return directories


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
