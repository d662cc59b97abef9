"""`tracelet watch`, beside a script.

A pipe to its standard input is the life line: when it is closed, by `finish` or with the process that holds it, the watch
sends the rest and ends. It has a session of its own, so a Ctrl-C in the terminal does not reach it. What it says comes as
lines of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import deque
from typing import Any, Callable, Optional

from .notice import log, warn

#: Exit codes after which all is at the destination: everything sent; sent, but damaged records were skipped.
_SENT = (0, 3)
#: Lines that are kept of what is no JSON: why a program could not start.
_LAST_LINES = 20
_SLOW_SECONDS = 5.0
#: The exit code of one that has refused what it was told.
_REFUSED = 2
#: Why files are skipped that log_artifact has named.
_SKIPPED_FILES = ("changed", "not-found", "outside-logdir")


class WatchProcess:
    """A running watch.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, argv: list[str], env: dict[str, str], resume: str) -> None:
        """resume: the command that sends what is left, whatever happens to this one."""
        self._resume = resume
        detached: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self._process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            **detached,
        )
        self._ended = threading.Event()
        self._is_finishing = False
        self._end: Optional[dict[str, Any]] = None
        #: Files whose writer had ended before it was seen.
        self.left_alone = 0
        self._status: dict[str, dict[str, Any]] = {}
        self._text: deque[str] = deque(maxlen=_LAST_LINES)
        threading.Thread(target=self._listen, name="tracelet-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_killed(self) -> bool:
        """Whether a signal has ended it."""
        return self._ended.is_set() and self._process.returncode < 0

    @property
    def is_refused(self) -> bool:
        """Whether it has ended since its settings are wrong: nothing was sent, and it has been said."""
        return self._ended.is_set() and self._process.returncode == _REFUSED

    def let_go(self) -> None:
        """In a forked child: the life line is the parent's."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        # Nobody waits for it here.
        self._process.returncode = 0

    def tell(self, has_failed: bool) -> None:
        """How the script ends. A watch whose life line ends without that takes it that the script has failed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"failed\n" if has_failed else b"finished\n")
        except (OSError, ValueError):
            pass

    def finish(self, limit: float, deadline: float) -> Optional[str]:
        """Let it send the rest and end. It goes on by itself after the deadline, by time.monotonic().

        limit: how many seconds there were until then at first, for the warning

        Returns what is wrong, if anything is: that time is up, or why something was not sent.
        """
        self._is_finishing = True
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass
        if not self._ended.wait(min(_SLOW_SECONDS, max(0.0, deadline - time.monotonic()))):
            left = max(0.0, deadline - time.monotonic())
            if left > 0:
                warn(f"still sending ({self._left()}); waiting {left:.0f} s more at most, Ctrl-C ends the wait")
            if not self._ended.wait(left):
                return self.left_behind(f"not everything is sent after {limit:g} s")
        return self._problem()

    def skipped_files(self) -> Optional[str]:
        """What is wrong with files that log_artifact has named, of a watch that has sent everything else."""
        skipped = [status.get("skipped") or {} for status in self._status.values()]
        count = max((sum(each.get(reason, 0) for reason in _SKIPPED_FILES) for each in skipped), default=0)
        return f"files not sent: {count}, as was said of each; everything else is there" if count > 0 else None

    def left_behind(self, why: str) -> str:
        return (
            f"{why} ({self._left()} left); process {self.pid} goes on sending by itself."
            f" Should it be stopped, this sends the rest: {self._resume}"
        )

    def _problem(self) -> Optional[str]:
        """Of one that has ended."""
        code = self._process.returncode
        if code in _SENT and self._end is not None:
            return None
        error = (self._end or {}).get("error") or {}
        said = error.get("message") or "; ".join(line for line in self._text if line) or "it said nothing"
        hint = f"; {error['hint']}" if error.get("hint") else ""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if code == _REFUSED:
            return f"nothing is sent: tracelet watch ended with {how}: {said}{hint}."
        return f"not everything is sent: tracelet watch ended with {how}: {said}{hint}. This sends the rest: {self._resume}"

    def _left(self) -> str:
        if not self._status:
            return "it is not known how much"
        behind = sum(status.get("bytesBehind") or 0 for status in self._status.values())
        held = [status["obstacle"] for status in self._status.values() if status.get("obstacle")]
        return f"{behind:,} bytes of event files" + "".join(f"; held up: {obstacle}" for obstacle in held)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        rest = b""
        while True:
            # Not by a buffered reader: its lock would be held when the interpreter ends.
            try:
                data = os.read(fd, 1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._hear(line.decode("utf-8", "replace"))
        if rest:
            self._hear(rest.decode("utf-8", "replace"))
        self._process.stdout.close()
        self._process.wait()
        self._ended.set()
        if not self._is_finishing or self.is_refused:
            warn(f"{self._problem() or 'tracelet watch has ended'} The script goes on.")

    def _hear(self, line: str) -> None:
        try:
            said = json.loads(line)
            hear = self._HEAR[said["type"]]
        except (ValueError, KeyError, TypeError):
            self._text.append(line.strip())
            level = log.warning if line.startswith(("note: ", "warning: ")) else log.debug
            level("tracelet: %s", line)
            return
        hear(self, said)

    def _hear_event(self, said: dict[str, Any]) -> None:
        if said.get("code") == "left-alone":
            self.left_alone += 1
        run = f"{said['run']}: " if said.get("run") else ""
        hint = f"; {said['hint']}" if said.get("hint") else ""
        level = log.info if said.get("level") == "info" else log.warning
        level("tracelet: %s%s%s", run, said.get("message"), hint)

    def _hear_status(self, said: dict[str, Any]) -> None:
        self._status[str(said.get("backend"))] = said

    def _hear_end(self, said: dict[str, Any]) -> None:
        self._end = said

    _HEAR: dict[str, Callable[[WatchProcess, dict[str, Any]], None]] = {
        "event": _hear_event,
        "status": _hear_status,
        "end": _hear_end,
    }
