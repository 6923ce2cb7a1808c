"""A first task with multiprocessing.Pool, then what the benchmark asks for: see `benchmarks.rows.lifecycle`."""

import sys
import time
from multiprocessing import Pool


def double(number):
    return 2 * number


def nap(_number):
    time.sleep(0.05)


def main():
    workers = int(sys.argv[1])
    pool = Pool(workers)
    print(pool.apply(double, (1,)), flush=True)
    for line in sys.stdin:
        if line != "settle\n":
            break
        pool.map(nap, range(workers), chunksize=1)
        print("settled", flush=True)
    pool.close()
    pool.join()
    print("down", flush=True)


if __name__ == "__main__":
    main()
