"""Processes that log one run together: the one that sends it, and those that have joined it.

The one that sends writes into a file who it is, and removes it when it stops. Ranks hold a shared lock on the file until they
they have written everything, which the first one waits for. The system releases the lock of a process that dies.

Beside it a list tells the watch which processes belong to the run: a child may write, and have ended, before it is seen.
"""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any, Optional

from .notice import log

try:
    import fcntl
except ImportError:  # Windows: there nobody waits.
    fcntl = None  # type: ignore[assignment]

_POLL_SECONDS = 0.05


class Lease:
    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: Optional[int] = None

    @property
    def members(self) -> str:
        """The file of those that belong to the run: an id a line."""
        return f"{self._path}.members"

    def own(self) -> None:
        """This process sends what the others log."""
        self._open()
        try:
            os.close(os.open(self.members, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            if self._fd is not None:
                os.ftruncate(self._fd, 0)
                os.write(self._fd, json.dumps([socket.gethostname(), os.getpid()]).encode())
        except OSError as error:
            log.debug("tracelet: no lease: %s", error)

    def hold(self) -> None:
        """Keep the one that sends from stopping, until `release`."""
        self._open()
        self._lock("LOCK_SH")

    def release(self) -> None:
        self._lock("LOCK_UN")
        self.let_go()

    def let_go(self) -> None:
        """In a forked child: the lock is the parent's."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def wait_for_others(self, deadline: float) -> bool:
        """Whether nobody holds it any more before the deadline, by time.monotonic()."""
        if self._fd is None:
            return True
        while not self._lock("LOCK_EX"):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def end(self) -> None:
        """This process sends no more."""
        self.release()
        _unlink(self._path)

    def forget_members(self) -> None:
        """The watch has ended, and asks no more."""
        _unlink(self.members)

    def is_owned(self) -> bool:
        """Whether a process is there that sends. Of another machine's it is not known whether it has died."""
        try:
            with open(self._path, encoding="utf-8") as file:
                host, pid = json.load(file)
        except (OSError, ValueError):
            return False
        return host != socket.gethostname() or is_running(pid)

    def join(self) -> None:
        """This process belongs to the run. Nothing is written unless one is there that sends."""
        try:
            fd = os.open(self.members, os.O_WRONLY | os.O_APPEND)
        except OSError:
            return
        try:
            os.write(fd, b"%d\n" % os.getpid())
        except OSError as error:
            log.debug("tracelet: not noted as a part of the run: %s", error)
        finally:
            os.close(fd)

    def _open(self) -> None:
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            log.debug("tracelet: no lease: %s", error)

    def _lock(self, how: str) -> bool:
        if self._fd is None or fcntl is None:
            return True
        try:
            fcntl.flock(self._fd, getattr(fcntl, how) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            # A file system without locks.
            log.debug("tracelet: no lock: %s", error)
        return True


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def is_running(pid: Any) -> bool:
    if os.name == "nt":
        # There a signal of 0 would be one.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
