"""Runs a command in a terminal of its own, and presses Ctrl-C there as soon as a line comes in: `in_terminal.py COMMAND …`.

Prints the command's exit code as JSON.
"""

import json
import os
import pty
import select
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
inputs = [terminal, sys.stdin.fileno()]
while True:
    ready = select.select(inputs, [], [])[0]
    if sys.stdin.fileno() in ready:
        inputs.remove(sys.stdin.fileno())
        os.write(terminal, b"\x03")
    if terminal in ready:
        try:
            if not os.read(terminal, 65536):
                break
        except OSError:
            # Linux's way to say that nobody has the other side open any more.
            break
json.dump({"code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}, sys.stdout)
