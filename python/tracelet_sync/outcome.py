"""Whether a script has failed, as far as it can be known from inside."""

from __future__ import annotations

import sys
from typing import Any

#: What `sys.exit` was called with last, since a run began.
_exit_code: Any = None
_exit = sys.exit


def begin() -> None:
    """From now on, note exit codes: nothing else tells them before the process has ended."""
    global _exit_code
    _exit_code = None
    sys.exit = _noting_exit


def has_failed() -> bool:
    """Whether an exception is being handled, or passes through. Not a Ctrl-C: a script that handles it ends on purpose."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        return _is_failure(error.code)
    return isinstance(error, Exception)


def script_has_failed() -> bool:
    """At the end of the interpreter: whether an exception or `sys.exit` has ended the script."""
    if hasattr(sys, "ps1"):
        # Somebody types, and goes on after an error.
        return False
    # Only an exception that nobody has caught is noted there.
    return getattr(sys, "last_type", None) is not None or _is_failure(_exit_code)


def _is_failure(code: Any) -> bool:
    return code is not None and code != 0


def _noting_exit(code: Any = None, /) -> Any:
    global _exit_code
    _exit_code = code
    _exit(code)
