"""A first task with ProcessPoolExecutor, then what the benchmark asks for: see `benchmarks.rows.lifecycle`."""

import sys
import time
from concurrent.futures import ProcessPoolExecutor


def double(number):
    return 2 * number


def nap(_number):
    time.sleep(0.05)


def main():
    workers = int(sys.argv[1])
    with ProcessPoolExecutor(workers) as executor:
        print(executor.submit(double, 1).result(), flush=True)
        for line in sys.stdin:
            if line != "settle\n":
                break
            list(executor.map(nap, range(workers)))
            print("settled", flush=True)
    print("down", flush=True)


if __name__ == "__main__":
    main()
