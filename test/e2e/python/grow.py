"""A training that goes on until a file appears, written with TensorBoard's own writer.

usage: grow.py LOGDIR STOP_FILE
"""

import os
import sys
import time

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

logdir, stop = sys.argv[1:]
writer = EventFileWriter(logdir)
step = 0
while not os.path.exists(stop):
    value = Summary.Value(tag="loss", simple_value=1 / (step + 1))
    writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
    writer.flush()
    step += 1
    time.sleep(0.2)
writer.close()
