"""A first task with raylite, then what the benchmark asks for line by line: see `benchmarks.rows.lifecycle`."""

import sys
import time

import raylite


@raylite.remote
def double(number):
    return 2 * number


@raylite.remote
def nap():
    time.sleep(0.05)


workers = int(sys.argv[1])
raylite.init(num_cpus=workers)
print(raylite.get(double.remote(1)), flush=True)
for line in sys.stdin:
    if line != "settle\n":
        break
    raylite.get([nap.remote() for _ in range(workers)])
    print("settled", flush=True)
raylite.shutdown()
print("down", flush=True)
