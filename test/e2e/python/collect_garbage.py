"""`mlflow gc` of one run that was deleted.

usage: collect_garbage.py DATABASE_URI RUN_ID
"""

import sys

from mlflow.cli import cli

cli(["gc", "--backend-store-uri", sys.argv[1], "--run-ids", sys.argv[2]])
