"""How many values a running tensorboard-data-server keeps: count_data_server.py ADDRESS

Prints JSON: the number for each kind."""

import json
import sys

import grpc
from tensorboard.data.proto import data_provider_pb2 as pb
from tensorboard.data.proto import data_provider_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.max_receive_message_length", 1 << 30)])
server = data_provider_pb2_grpc.TensorBoardDataProviderStub(channel)
ALL = 1 << 40
# An answer has to fit into a message, and a request for each of thousands of runs would take minutes.
RUNS = 100


def count(read, make, plugin):
    total = 0
    for first in range(0, len(runs), RUNS):
        request = make()
        request.plugin_filter.plugin_name = plugin
        request.run_tag_filter.runs.names.extend(runs[first : first + RUNS])
        request.downsample.num_points = ALL
        for entry in read(request).runs:
            total += sum(len(tag.data.step) for tag in entry.tags)
    return total


runs = [run.name for run in server.ListRuns(pb.ListRunsRequest()).runs]
values = {"scalars": count(server.ReadScalars, pb.ReadScalarsRequest, "scalars")}
for kind in ("histograms", "text"):
    values[kind] = count(server.ReadTensors, pb.ReadTensorsRequest, kind)
for kind in ("images", "audio"):
    values[kind] = count(server.ReadBlobSequences, pb.ReadBlobSequencesRequest, kind)
print(json.dumps({kind: n for kind, n in values.items() if n > 0}))
