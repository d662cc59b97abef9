"""What a user of MLflow's own client may do to a run.

usage: tamper.py TRACKING_URI RUN_ID WHAT [KEY]   where WHAT is point (of the metric KEY), file, param or delete
"""

import sys

from mlflow.tracking import MlflowClient

uri, run_id, what, *key = sys.argv[1:]
client = MlflowClient(uri)
if what == "point":
    client.log_metric(run_id, key[0], 0.5, timestamp=1700000000123, step=2**53 + 1)
elif what == "file":
    client.log_text(run_id, "by hand", "notes/more.txt")
elif what == "param":
    client.log_param(run_id, "by hand", 1)
elif what == "delete":
    client.delete_run(run_id)
else:
    sys.exit(f"no such thing: {what}")
