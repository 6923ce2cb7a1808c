"""A first task with dask.distributed, then what the benchmark asks for: see `benchmarks.rows.lifecycle`."""

import sys
import time

from distributed import Client, LocalCluster


def double(number):
    return 2 * number


def nap(_number):
    time.sleep(0.05)


def main():
    workers = int(sys.argv[1])
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        print(client.submit(double, 1).result(), flush=True)
        for line in sys.stdin:
            if line != "settle\n":
                break
            client.gather(client.map(nap, range(workers), pure=False))
            print("settled", flush=True)
    print("down", flush=True)


if __name__ == "__main__":
    main()
