"""Runs the scripts of `examples/`, each in a fork of this process, which has imported torch and Lightning already, and in a
directory of its own.

usage: run_examples.py FOLDER SIDE_BY_SIDE [EXAMPLE...]   prints {example: {code, stdout, stderr}}
"""

import atexit
import importlib
import json
import os
import runpy
import socket
import sys
import traceback
from pathlib import Path

EXAMPLES = Path(__file__).parent / "examples"
PACKAGE = Path(__file__).parents[3] / "python"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(name, folder):
    """The example as a program of its own; does not return."""
    code = 1
    try:
        folder.mkdir(parents=True)
        os.chdir(folder)
        for stream, descriptor in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), descriptor)
        # For the processes that it starts, too.
        os.environ["PYTHONPATH"] = f"{PACKAGE}{os.pathsep}{EXAMPLES}"
        os.environ["TRACELET_STATE_DIR"] = str(folder / "state")
        sys.path[:0] = [str(PACKAGE), str(EXAMPLES)]
        sys.argv = [str(EXAMPLES / f"{name}.py")]
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(folder, side_by_side, *names):
    for module in ("torch.utils.tensorboard", "torch.multiprocessing", "pytorch_lightning"):
        importlib.import_module(module)
    waiting = list(names or sorted(file.stem for file in EXAMPLES.glob("[!_]*.py")))
    running = {}
    result = {}
    while waiting or running:
        while waiting and len(running) < int(side_by_side):
            name = waiting.pop(0)
            os.environ["EXAMPLE_PORT"] = str(free_port())
            child = os.fork()
            if child == 0:
                run(name, Path(folder, name))
            running[child] = name
        child, status = os.wait()
        name = running.pop(child)
        texts = {stream: Path(folder, name, stream).read_text() for stream in ("stdout", "stderr")}
        result[name] = {"code": os.waitstatus_to_exitcode(status), **texts}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
