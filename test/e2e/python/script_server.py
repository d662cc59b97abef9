"""Runs the other scripts here, each in a fork of this process, which has imported what takes them seconds to import.

A connection takes one script: a line {script, args, env, cwd} goes in; a line {pid} comes out at once, and a line {code,
stdout, stderr} when it has ended. Each has a process group of its own. Modules that are not installed are left to the
scripts. It ends with its standard input, and ends what still runs.

usage: script_server.py SOCKET MODULE...
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import traceback


def run(script, args, env, cwd, stdout, stderr):
    """The script as a program of its own; does not return."""
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout.fileno(), 1)
        os.dup2(stderr.fileno(), 2)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = [script, *args]
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        else:
            code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(connection):
    """Also a script that dies has its answer."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(connection.makefile().readline())
    with tempfile.TemporaryFile("w+b") as stdout, tempfile.TemporaryFile("w+b") as stderr:
        child = os.fork()
        signal.signal(signal.SIGTERM, lambda *_: os.killpg(child, signal.SIGKILL))
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            run(**request, stdout=stdout, stderr=stderr)
        # Whichever of the two comes first.
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        connection.sendall(json.dumps({"pid": child}).encode() + b"\n")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    connection.sendall(json.dumps({"code": code, "stdout": texts[0], "stderr": texts[1]}).encode() + b"\n")


def reap(*_):
    """Waits for the forks that have ended, so that what they took is counted as taken by this process."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main(path, modules):
    os.setpgid(0, 0)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    gc.disable()
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # None of it is garbage, in any of the forks: each would look through it, and have its own copy of what it looked at.
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, reap)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not listener:
                # Those that wait for the scripts are of this group, the scripts are not.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.killpg(0, signal.SIGTERM)
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                try:
                    serve(connection)
                finally:
                    os._exit(0)
            connection.close()


main(sys.argv[1], sys.argv[2:])
