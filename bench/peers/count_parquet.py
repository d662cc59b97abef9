"""How many rows a data set has: count_parquet.py DIRECTORY-OR-FILE"""

import sys

import pyarrow.dataset

print(pyarrow.dataset.dataset(sys.argv[1]).count_rows())
