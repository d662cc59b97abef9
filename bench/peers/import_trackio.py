"""Import a logdir into a local trackio project (in $TRACKIO_DIR): import_trackio.py LOGDIR PROJECT"""

import sys

import trackio

trackio.import_tf_events(sys.argv[1], project=sys.argv[2])
