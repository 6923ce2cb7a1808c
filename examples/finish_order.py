"""Results in the order in which they are finished, each dealt with while the others are still on their way.

`get` of a list waits for the slowest. `wait` hands over whatever is there. Give as many durations as you like:

    python examples/finish_order.py 1.5 0.2 0.9 0.5
"""

import argparse
import time

import raylite


@raylite.remote
def fetch(number, duration_s):
    """Stands for anything that waits: a query, a download, a slow disk."""
    time.sleep(duration_s)
    return {"page": number, "words": 100 * (number + 1)}


def in_order_of_finishing(refs):
    while refs:
        (ref,), refs = raylite.wait(refs)
        yield ref


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "durations", metavar="SECONDS", nargs="*", type=float, default=[1.5, 0.2, 0.9, 0.5, 1.2, 0.35, 0.7], help="naps"
    )
    durations = parser.parse_args().durations
    if min(durations) < 0:
        parser.error("no duration is negative")

    raylite.init(num_cpus=len(durations))  # not the number of cores: these tasks wait, they do not compute
    raylite.get([fetch.remote(0, 0) for _ in durations])  # the processes are there before the race begins
    started = time.perf_counter()
    pages = {fetch.remote(number, duration_s): number for number, duration_s in enumerate(durations)}
    words, finished_s = 0, []
    for ref in in_order_of_finishing(list(pages)):
        finished_s.append(time.perf_counter() - started)
        words += raylite.get(ref)["words"]
        print(f"page {pages[ref]}  {'=' * round(30 * finished_s[-1])}> {finished_s[-1]:.2f} s, {words} words so far")
    if finished_s:
        print(
            f"the first was dealt with after {finished_s[0]:.2f} s; get() of all returns after {finished_s[-1]:.2f} s"
        )


if __name__ == "__main__":
    main()
