"""All scalars of a logdir into a CSV file: tbparse_csv.py LOGDIR FILE"""

import sys

from tbparse import SummaryReader

SummaryReader(sys.argv[1], extra_columns={"dir_name", "wall_time"}).scalars.to_csv(sys.argv[2], index=False)
