"""A named actor collects what many tasks report; the tasks find it by its name, nobody hands it to them.

The tasks look for trouble in the access log of a web site (made up here). Reports go without waiting for an answer.
Calls of one task are done in the order in which it makes them: when its last report has arrived, all have.

    python examples/logging_actor.py --tasks 50
"""

import argparse
import random
import time
from collections import Counter

import raylite

PATHS = ["/", "/cart", "/login", "/search", "/checkout"]
ANSWERS = {200: 90, 404: 6, 500: 2, "garbled": 1}


@raylite.remote
class Log:
    def __init__(self):
        self.counts, self.reported, self.worst = Counter(), Counter(), []

    def record(self, task, level, message):
        self.counts[level] += 1
        self.reported[task] += 1
        if level == "ERROR":
            self.worst = [*self.worst[-2:], f"task {task}: {message}"]

    def summary(self):
        return self.counts, self.reported, self.worst


@raylite.remote
def scan(task, lines, seed):
    """Read `lines` lines of the access log and report what is wrong with them; returns how many reports it made."""
    log, rng, last, reports = raylite.get_actor("log"), random.Random(seed * 1_000_003 + task), None, 0
    for number in range(1, lines + 1):
        answer, path = rng.choices(list(ANSWERS), ANSWERS.values())[0], rng.choice(PATHS)
        if answer != 200:
            level = {404: "INFO", 500: "ERROR"}.get(answer, "WARNING")
            last = log.record.remote(task, level, f"line {number}: {answer} at {path}")
            reports += 1
    if last is not None:
        raylite.get(last)
    return reports


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=positive, default=20, help="default: %(default)s")
    parser.add_argument("--lines", type=positive, default=5000, help="that each reads (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    log, started = Log.options(name="log").remote(), time.perf_counter()
    scanning = [scan.remote(task, args.lines, args.seed) for task in range(args.tasks)]
    left = scanning
    while left:
        _, left = raylite.wait(left, num_returns=min(5, len(left)))
        counts, _, _ = raylite.get(log.summary.remote())  # the tasks go on meanwhile
        print(f"{args.tasks - len(left):4} of {args.tasks} tasks done, {counts.total():6,} reports", flush=True)

    made, (counts, reported, worst) = raylite.get(scanning), raylite.get(log.summary.remote())
    print(f"\n{args.tasks * args.lines:,} lines in {time.perf_counter() - started:.2f} s")
    for level, count in counts.most_common():
        print(f"{level:>8} {count:6,}  {'#' * round(50 * count / counts.total())}")
    print("the last errors:", *worst, sep="\n    ")
    print(f"reports made {sum(made)}, collected {counts.total()}, of {len(reported)} tasks")


if __name__ == "__main__":
    main()
