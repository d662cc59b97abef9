"""An event file that grows while a training runs, and does not hold it up."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from typing import Optional

from ..notice import once
from .masked_crc import masked_crc
from .wire import double, integer, message

#: How long a value may wait for the disk: what is lost with a process that is killed. In seconds.
FLUSH_SECONDS = 1.0
#: What waits for the disk at most, bytes; a logging loop then writes by itself.
_MAX_WAITING = 4 << 20
#: What is kept while the disk takes nothing, bytes.
_MAX_KEPT = 64 << 20


class EventFile:
    """`events.out.tfevents.<seconds>.<host>.<pid>.<n>.tracelet` in a directory, made with its first event.

    Any thread may add events. They are written by a thread of its own, at least every second; a process that is killed
    loses what came after. A forked child has a file of its own.
    """

    _made = 0

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._pid = os.getpid()
        self._reset()

    def _reset(self) -> None:
        #: Of what waits; never held while anything is written, since a training waits for it.
        self._lock = threading.Lock()
        #: Of the file.
        self._file_lock = threading.Lock()
        self._wake = threading.Event()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._fd: Optional[int] = None
        #: Bytes of the file that are whole records.
        self._length = 0
        self._flusher: Optional[threading.Thread] = None
        self._closed = False
        self._is_failing = False

    def add(self, value: bytes, step: int = 0) -> bool:
        """Add an event with one `Summary.Value`, of now. Never raises for what the disk does.

        Returns whether it was added: not after `close`.
        """
        when = double(1, time.time()) + (integer(2, step) if step else b"")
        event = when + message(5, message(1, value))
        with self._lock:
            if self._closed:
                return False
            self._waiting.append(event)
            self._waiting_bytes += len(event)
            is_much = self._waiting_bytes > _MAX_WAITING and not self._is_failing
            is_alone = self._flusher is None and not self._start_flusher()
        # Setting it each time would cost more than the rest.
        if not self._wake.is_set():
            self._wake.set()
        if is_much or is_alone:
            self.flush()
        return True

    def flush(self) -> bool:
        """Whether all that was added is in the file."""
        with self._file_lock:
            return self._write()

    def close(self) -> bool:
        """Flush; what is added from now on is ignored."""
        with self._lock:
            self._closed = True
        with self._file_lock:
            written = self._write()
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
        self._wake.set()
        return written

    def forget_after_fork(self) -> None:
        """In a forked child: what waits is the parent's to write, and a lock may be held by a thread that is not here."""
        if self._fd is not None:
            os.close(self._fd)
        closed = self._closed
        self._reset()
        self._closed = closed
        processes = sys.modules.get("multiprocessing.util")
        if processes is not None:
            # Its children end by os._exit, without the end of the flusher or atexit. What is registered before the child
            # has begun is cleared.
            processes.register_after_fork(self, _flush_at_exit)

    def _start_flusher(self) -> bool:
        flusher = threading.Thread(target=self._flush_regularly, name="tracelet-flush", daemon=True)
        try:
            flusher.start()
        except RuntimeError:
            # No threads while the interpreter shuts down.
            return False
        self._flusher = flusher
        return True

    def _flush_regularly(self) -> None:
        while True:
            self._wake.wait()
            if self._closed:
                return
            time.sleep(FLUSH_SECONDS)
            self._wake.clear()
            self.flush()

    def _write(self) -> bool:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._waiting_bytes = 0
        if not waiting:
            return True
        try:
            if self._fd is None:
                self._open()
            self._append(b"".join(map(_framed, waiting)))
        except OSError as error:
            self._keep(waiting, error)
            return False
        self._is_failing = False
        return True

    def _open(self) -> None:
        os.makedirs(self.directory, exist_ok=True)
        EventFile._made += 1
        now = time.time()
        # A forked child may have ended before the watch sees its file: it goes by its parent's name.
        number = EventFile._made if os.getpid() == self._pid else f"{os.getpid()}{EventFile._made}"
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{self._pid}.{number}.tracelet"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._fd = os.open(os.path.join(self.directory, name), flags, 0o666)
        self._length = 0
        self._append(_framed(double(1, now) + message(3, b"brain.Event:2")))

    def _append(self, data: bytes) -> None:
        assert self._fd is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            # Half a record would hide all that follows.
            os.ftruncate(self._fd, self._length)
            os.lseek(self._fd, self._length, os.SEEK_SET)
            raise
        self._length += len(data)

    def _keep(self, events: list[bytes], error: OSError) -> None:
        self._is_failing = True
        once(f"values cannot be written to {self.directory}: {error.strerror or error}; trying again every second")
        size = sum(map(len, events))
        dropped = 0
        while size > _MAX_KEPT:
            size -= len(events[dropped])
            dropped += 1
        if dropped > 0:
            once(f"more than {_MAX_KEPT >> 20} MiB of values wait for {self.directory}; the oldest are dropped")
        with self._lock:
            self._waiting[:0] = events[dropped:]
            self._waiting_bytes += size
        self._wake.set()


def _flush_at_exit(file: EventFile) -> None:
    """In a child that multiprocessing has forked. The lowest priority: after what else may log at the end."""
    sys.modules["multiprocessing.util"].Finalize(None, file.flush, exitpriority=-1000)


def _framed(data: bytes) -> bytes:
    """A TFRecord: length, its masked CRC, data, their masked CRC."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))))
