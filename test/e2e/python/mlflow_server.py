"""`mlflow server` in one process: the web server that it would start is run in its place.

usage: mlflow_server.py ARGUMENT...   those of `mlflow server`
"""

import os
import runpy
import sys

import mlflow.server
from mlflow.cli import cli


def run_in_place(command, *, extra_env=None, **_):
    """As `python -m MODULE ARGUMENT...` with more variables."""
    os.environ.update(extra_env or {})
    _python, _m, module, *arguments = command
    # Some of it looks at the variables when it is imported.
    for name in [name for name in sys.modules if f"{name}.".startswith("mlflow.server.")]:
        del sys.modules[name]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


mlflow.server._exec_cmd = run_in_place
cli(["server", *sys.argv[1:]])
