"""All scalars of a logdir into a Parquet file: tbparse_parquet.py LOGDIR FILE"""

import sys

from tbparse import SummaryReader

SummaryReader(sys.argv[1], extra_columns={"dir_name", "wall_time"}).scalars.to_parquet(sys.argv[2], index=False)
