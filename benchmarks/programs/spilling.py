"""Values of eight times the object store are put and read again with raylite: see `benchmarks.rows.spilling`.

Prints how many seconds that took. Args: bytes of a value, how many, the folder to spill to.
"""

import sys
import time

import numpy as np

import raylite

value_bytes, count = int(sys.argv[1]), int(sys.argv[2])
with raylite.init(num_cpus=1, object_store_memory=value_bytes * count // 8, spill_dir=sys.argv[3]):
    array = np.arange(value_bytes // 8 - 1024)
    start_s = time.perf_counter()
    refs = [raylite.put(array) for _ in range(count)]
    for ref in refs:
        raylite.get(ref)
    print(time.perf_counter() - start_s)
