"""The console command `tracelet`, also as `python -m tracelet_sync`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from .launcher import LauncherError, command


def main() -> int:
    """Become tracelet: same terminal, signals and exit code.

    Returns its exit code where a process cannot be replaced by another (Windows).
    """
    try:
        argv = command(*sys.argv[1:])
        if os.name == "nt":
            return _as_child(argv)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(argv[0], argv)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _as_child(argv: list[str]) -> int:
    # A Ctrl-C reaches every process of a console. The child decides what it means; this one waits for its exit code.
    for name in ("SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)
    return subprocess.Popen(argv).wait()


if __name__ == "__main__":
    sys.exit(main())
