"""A first task with ray, then what the benchmark asks for line by line: see `benchmarks.rows.lifecycle`."""

import sys
import time

import ray


@ray.remote
def double(number):
    return 2 * number


@ray.remote
def nap():
    time.sleep(0.05)


workers = int(sys.argv[1])
ray.init(num_cpus=workers, include_dashboard=False)
print(ray.get(double.remote(1)), flush=True)
for line in sys.stdin:
    if line != "settle\n":
        break
    ray.get([nap.remote() for _ in range(workers)])
    print("settled", flush=True)
ray.shutdown()
print("down", flush=True)
