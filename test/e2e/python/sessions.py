"""Scripts that log, each in its own way, and what becomes of them.

usage: sessions.py SCENARIO [ARGUMENT]...   in a directory of its own; prints a line of JSON
"""

import asyncio
import json
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import tracelet_sync as tracelet
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tracelet_sync.watch_process import WatchProcess


def start(name="run", **options):
    return tracelet.start_logging(exp_name=name, project="sessions", backend="mlflow", **options)


def written(text=b"brain.Event:2"):
    """Until what was logged is in a file."""
    while not any(text in file.read_bytes() for file in Path("runs").glob("*.tracelet")):
        time.sleep(0.02)


def stopped():
    exp = start()
    for step in range(3):
        exp.log_metric("loss", step / 10, step)
    exp.log_params({"lr": 1e-4, "deep": {"n": 32}})
    sent = tracelet.stop_logging()
    exp.log_metric("loss", 0.5, 3)
    return {"sent": sent, "again": tracelet.stop_logging(), "active": tracelet.get_active_experiment()}


def left_to_exit():
    start().log_metric("loss", 0.5)


def failing():
    start().log_metric("loss", 0.5)
    raise RuntimeError("a bug in the training")


def exiting():
    start().log_metric("loss", 0.5)
    sys.exit(3)


def exiting_well():
    start().log_metric("loss", 0.5)
    sys.exit()


def failing_in_try():
    """As scripts do that end a run whatever happens."""
    start().log_metric("loss", 0.5)
    try:
        raise RuntimeError("a bug in the training")
    finally:
        tracelet.stop_logging()


def recovered():
    """An exception that was handled before is no failure."""
    start().log_metric("loss", 0.5)
    try:
        sys.exit(2)
    except SystemExit:
        pass
    tracelet.stop_logging()


def killed():
    start().log_metric("loss", 0.5)
    written(b"loss")
    os.kill(os.getpid(), signal.SIGKILL)


def without_watch():
    """The watch is killed, as by the system when memory runs out."""
    exp = start()
    exp.log_metric("loss", 0.5)
    os.kill(exp._session._watch.pid, signal.SIGKILL)
    while not exp._session._watch.is_killed:
        time.sleep(0.02)
    exp.log_metric("loss", 0.25)
    deadlines = []
    finish = WatchProcess.finish

    def noted(watch, limit, deadline):
        deadlines.append(deadline)
        return finish(watch, limit, deadline)

    WatchProcess.finish = noted
    return {"sent": tracelet.stop_logging(), "watches": len(deadlines), "deadlines": len(set(deadlines))}


def interrupted():
    """A Ctrl-C reaches every process of the terminal."""
    exp = start()
    print(json.dumps({"ready": True}), flush=True)
    try:
        for step in range(1_000_000):
            exp.log_metric("loss", step, step)
            Path("steps").write_text(str(step))
            time.sleep(0.01)
    except KeyboardInterrupt:
        return {"interrupted": True}


def impatient():
    """Somebody who does not wait for a destination that is away."""
    start().log_metric("loss", 0.5)
    print(json.dumps({"ready": True}), flush=True)
    try:
        tracelet.stop_logging()
    except KeyboardInterrupt:
        return {"interrupted": True}


def repeated():
    first = start("first")
    first.log_metric("loss", 1)
    again = start("first")
    again.log_metric("loss", 2)
    second = start("second")
    tracelet.get_active_experiment().log_metric("loss", 3)
    sent = tracelet.stop_logging()
    third = start("first")
    third.log_metric("loss", 4)
    return {"same": again is first, "new": second is not first and third is not first, "sent": sent}


def notebook():
    """Cells run while an event loop does."""

    async def cells():
        start().log_metric("loss", 0.5)
        await asyncio.sleep(0)
        return tracelet.stop_logging()

    return {"sent": asyncio.run(cells())}


def forked():
    """A child that outlives the session, and logs, too."""
    exp = start()
    exp.log_metric("loss", 0.5)
    child = os.fork()
    if child == 0:
        tracelet.get_active_experiment().log_metric("child", 1.5)
        # It has no say in the session of its parent.
        tracelet.stop_logging()
        Path("logged").touch()
        time.sleep(3600)
    while not Path("logged").exists():
        time.sleep(0.02)
    sent = tracelet.stop_logging()
    alive = os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    return {"sent": sent, "alive": alive}


def _forked_by_multiprocessing():
    exp = tracelet.get_active_experiment()
    for step in range(10):
        exp.log_metric("child", step, step)


def forked_by_multiprocessing():
    """A child that does not call stop_logging, and ends as multiprocessing's do: by os._exit."""
    start().log_metric("loss", 0.5)
    child = multiprocessing.get_context("fork").Process(target=_forked_by_multiprocessing)
    child.start()
    child.join()
    return {"sent": tracelet.stop_logging(), "code": child.exitcode}


def _writes(name):
    """As torch's SummaryWriter does."""
    writer = EventFileWriter(f"runs/{name}")
    value = Summary.Value(tag="loss", simple_value=1.5)
    writer.add_event(Event(wall_time=time.time(), step=0, summary=Summary(value=[value])))
    writer.close()


def short_lived():
    """Children that have ended before anybody looks: one that is forked, one that imports the package."""
    start().log_metric("loss", 0.5)
    watch = tracelet.get_active_experiment()._session._watch.pid
    os.kill(watch, signal.SIGSTOP)
    child = multiprocessing.get_context("fork").Process(target=_writes, args=("forked",))
    child.start()
    child.join()
    started = [sys.executable, "-W", "ignore", __file__, "_writes", "started"]
    subprocess.run(started, check=True, stdout=subprocess.DEVNULL)
    os.kill(watch, signal.SIGCONT)
    return {"sent": tracelet.stop_logging()}


def stranger():
    """A process of which nothing tells whose it is."""
    start().log_metric("loss", 0.5)
    watch = tracelet.get_active_experiment()._session._watch.pid
    os.kill(watch, signal.SIGSTOP)
    _writes("own")
    (own,) = Path("runs/own").iterdir()
    Path("runs/other").mkdir()
    code = "import os, shutil, sys; shutil.copy(sys.argv[1], sys.argv[2].replace('PID', str(os.getpid())))"
    copy = f"runs/other/events.out.tfevents.{int(time.time())}.{socket.gethostname()}.PID.0"
    subprocess.run([sys.executable, "-c", code, str(own), copy], check=True)
    os.kill(watch, signal.SIGCONT)
    return {"sent": tracelet.stop_logging()}


def _rank(event):
    start().log_metric(f"before/{os.environ['RANK']}", 1)
    while not Path(event).exists():
        time.sleep(0.02)
    tracelet.get_active_experiment().log_metric(f"last/{os.environ['RANK']}", 1)
    return {"sent": tracelet.stop_logging()}


def _started_rank(rank, event):
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, "_rank", event],
        env={**os.environ, "RANK": rank},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ranks():
    """The second rank ends after the first one, beside which it was started; the third one begins after that."""
    os.environ["MASTER_PORT"] = str(os.getpid())
    other = _started_rank("1", "stopping")
    os.environ["RANK"] = "0"
    exp = start()
    exp.log_metric("loss", 0.5)
    while len(list(Path("runs").glob("*.tracelet"))) < 2:
        time.sleep(0.02)
    # What the session's end begins with.
    close = exp._events.close
    exp._events.close = lambda: (close(), Path("stopping").touch())[0]
    sent = tracelet.stop_logging()
    late = _started_rank("2", "stopping")
    said = [process.communicate() for process in (other, late)]
    return {"sent": sent, "others": [json.loads(out)["sent"] for out, _ in said], "said": [err for _, err in said]}


def _spawned(number):
    # As a script without `if __name__ == "__main__"` does in each of its processes.
    start().log_metric(f"child/{number}", number)
    tracelet.stop_logging()


def spawned():
    start().log_metric("loss", 0.5)
    children = [multiprocessing.get_context("spawn").Process(target=_spawned, args=(number,)) for number in (1, 2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return {"sent": tracelet.stop_logging(), "codes": [child.exitcode for child in children]}


def unreachable():
    start(config={"max_image_size": "1MB"}).log_metric("loss", 0.5)
    began = time.monotonic()
    sent = tracelet.stop_logging(timeout=6)
    return {"sent": sent, "waited": time.monotonic() - began}


def mistaken():
    start(config={"metrics_intervall": 5}).log_metric("loss", 0.5)
    return {"sent": tracelet.stop_logging()}


def without_node():
    os.environ["TRACELET_NODE"] = "/nowhere/node"
    start().log_metric("loss", 0.5)
    return {"sent": tracelet.stop_logging()}


def side_by_side(name, other):
    """Two of them in one directory."""
    exp = start(name)
    for step in range(20):
        exp.log_metric(name, step, step)
    Path(f"{name}.begun").touch()
    while not Path(f"{other}.begun").exists():
        time.sleep(0.02)
    exp.log_metric(name, 20, 20)
    return {"sent": tracelet.stop_logging()}


def _by_hand_in_child():
    start(config={"track_tensorboard": False}).log_metric("child", 1)
    tracelet.stop_logging()


def by_hand_alone():
    """What TensorBoard's writers write is left out."""
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    exp = start(config={"track_tensorboard": False})
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="written", simple_value=1)])
    EventFileWriter("runs/other").add_event(event_pb2.Event(wall_time=time.time(), summary=summary))
    exp.log_metric("loss", 0.5)
    again = start(config={"track_tensorboard": False})
    child = multiprocessing.get_context("spawn").Process(target=_by_hand_in_child)
    child.start()
    child.join()
    return {"sent": tracelet.stop_logging(), "same": again is exp}


def abandoned():
    """A writer that nobody has closed, in a function that has returned."""
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def train():
        writer = EventFileWriter("runs")
        for step in range(50):
            summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag="loss", simple_value=step)])
            writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))

    start()
    train()
    return {"sent": tracelet.stop_logging()}


def elsewhere():
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    early = EventFileWriter("runs/early")
    # A session begins with the millisecond that it is started in.
    time.sleep(0.01)
    start().log_metric("loss", 0.5)
    writers = [early, EventFileWriter("another/place"), EventFileWriter("runs/later")]
    return {"sent": tracelet.stop_logging(), "kept": len(writers)}


def _file_of_child():
    exp = start()
    exp.log_artifact("large.bin", "child/")
    with open("huge.bin", "wb") as file:
        file.truncate(100_000_001)
    exp.log_artifact("huge.bin")
    tracelet.stop_logging()


def files(changes=None):
    exp = start()
    Path("small.txt").write_text("small")
    with open("large.bin", "wb") as file:
        file.write(os.urandom(17 << 20))
    with open("changing.bin", "wb") as file:
        file.truncate(17 << 20)
    exp.log_artifact("small.txt", "notes/small.txt")
    exp.log_artifact("small.txt", "models")
    exp.log_artifact("small.txt", "notes/other.txt")
    child = multiprocessing.get_context("spawn").Process(target=_file_of_child)
    child.start()
    child.join()
    if changes:
        with exp._events._file_lock:
            # The watch hears of it when it has changed.
            exp.log_artifact("changing.bin")
            os.truncate("changing.bin", 18 << 20)
    exp.log_artifact("large.bin")
    exp.set_tags({"team": "blue"})
    return {"sent": tracelet.stop_logging()}


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])), flush=True)
