"""The first two minutes: tasks, references, shared arrays, wait, errors."""

import argparse
import textwrap
import time

import numpy as np

import raylite


@raylite.remote
def square(x):
    return x * x


@raylite.remote
def add(x, y):
    return x + y


@raylite.remote
def mean(array, start, stop):
    return float(array[start:stop].mean())


@raylite.remote
def nap(duration_s):
    time.sleep(duration_s)
    return duration_s


@raylite.remote
def ratio(x, y):
    return x / y


def say(topic, text):
    print(f"{topic:<9} {textwrap.indent(text, ' ' * 10).lstrip()}")


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()

    raylite.init()
    say("cluster", f"{raylite.cluster_resources()['CPU']:g} CPUs")

    # A call with .remote() returns at once with a reference to the result to come; get() waits for results.
    refs = [square.remote(x) for x in range(10)]
    say("tasks", f"squares: {raylite.get(refs)}")

    # References are arguments too: a task starts when its arguments are there. Nobody waits in between.
    while len(refs) > 1:
        refs = [add.remote(*refs[i : i + 2]) if i + 1 < len(refs) else refs[i] for i in range(0, len(refs), 2)]
    say("graph", f"their sum, by a tree of tasks: {raylite.get(refs[0])}")

    # put() copies an array into shared memory once. Every process then reads it there, read-only, without a copy.
    array = np.arange(10_000_000, dtype=np.float64)
    ref = raylite.put(array)
    parts = [mean.remote(ref, start, start + 2_500_000) for start in range(0, 10_000_000, 2_500_000)]
    one, another = raylite.get(ref), raylite.get(ref)
    say("objects", f"means of the quarters of {array.nbytes // 10**6} MB: {raylite.get(parts)}")
    say("", f"two gets share their memory: {np.shares_memory(one, another)}, writable: {one.flags.writeable}")

    # wait() hands over what is finished; the slow one does not hold up the others.
    pending, order = [nap.remote(duration_s) for duration_s in (0.3, 0.1)], []
    while pending:
        done, pending = raylite.wait(pending, num_returns=1)
        order += raylite.get(done)
    say("wait", f"naps of 0.3 s and 0.1 s, as they finished: {order}")

    # An exception travels to whoever gets the result, through every task that depends on it, and keeps its type.
    try:
        raylite.get(square.remote(ratio.remote(1, 0)))
    except ZeroDivisionError as error:
        remote = isinstance(error, raylite.exceptions.RayTaskError)
        say("errors", f"caught a ZeroDivisionError that is also a RayTaskError: {remote}\n{error}")

    raylite.shutdown()


if __name__ == "__main__":
    main()
