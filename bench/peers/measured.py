"""Run a command and say what it cost: measured.py REPORT TIMEOUT COMMAND…

Writes JSON to REPORT: wall, user and sys in seconds, peak resident memory in bytes, exit code, and whether TIMEOUT
seconds were not enough. It is a process of its own since a child begins with the memory of the process it is forked
from, which would count as its peak: this one is small."""

import json
import os
import signal
import sys
import time

report, timeout, *command = sys.argv[1:]
timed_out = False
start = time.monotonic()
pid = os.posix_spawnp(command[0], command, os.environ, setpgroup=0)


def end(signum, _frame):
    global timed_out
    timed_out = signum == signal.SIGALRM
    os.killpg(pid, signal.SIGKILL)


for signum in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, end)
signal.setitimer(signal.ITIMER_REAL, float(timeout))
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - start
code = os.waitstatus_to_exitcode(status)
with open(report, "w") as file:
    json.dump(
        {
            "wall": wall,
            "user": usage.ru_utime,
            "sys": usage.ru_stime,
            "peak": usage.ru_maxrss * 1024,
            "code": code,
            "timedOut": timed_out,
        },
        file,
    )
