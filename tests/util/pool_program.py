"""A program that uses a Pool in every way that multiprocessing documents, and prints what it saw, as JSON.

    python pool_program.py standard|ours

The tests run it with both: what it sees must be the same.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sys
import threading
import time

if sys.argv[1] == "standard":
    from multiprocessing import Pool
else:
    import raylite
    from raylite.util.multiprocessing import Pool

given = None
counted = 0


def initialize(value):
    global given
    given = value


def plus_given(x):
    return x + given


def count_up(_=None):
    global counted
    counted += 1
    return counted


def square(x):
    return x * x


def add(x, y=10):
    return x + y


def inverse(x):
    return 1 / x


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.005)
    return path


class Special(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


def special(_):
    raise Special(7, "seven")


def seen(call, *args, **kwargs):
    """What a call gives or raises."""
    try:
        return ["gives", call(*args, **kwargs)]
    except Exception as error:
        return ["raises", type(error).__name__]


def failing_iterable():
    yield 1
    yield 2
    raise KeyError("no third")


def until_error(iterator):
    values = []
    while True:
        try:
            values.append(next(iterator))
        except Exception as error:
            return values, type(error).__name__


def check_map(pool):
    return [
        pool.map(square, range(10)),
        pool.map(square, iter(range(10)), chunksize=3),
        pool.map(square, []),
        pool.map(square, range(3), 100),
        pool.starmap(add, [(1, 2), (3,), [5, 6]]),
        pool.starmap(add, [], 3),
    ]


def check_apply(pool):
    return pool.apply(add, (1,)), pool.apply(add, (1,), {"y": 2}), pool.apply(add, args=[3], kwds={"y": 4})


def check_imap(pool):
    return [
        list(pool.imap(square, range(20))),
        list(pool.imap(square, range(20), 7)),
        sorted(pool.imap_unordered(square, range(20))),
        sorted(pool.imap_unordered(square, range(20), chunksize=7)),
        list(pool.imap(square, [])),
        seen(pool.imap, square, [1], 0),
        seen(pool.imap_unordered, square, [1], -1),
    ]


def check_async(pool):
    result = pool.apply_async(square, (5,))
    result.wait()
    mapped = pool.map_async(square, range(5), 2)
    starred = pool.starmap_async(add, [(1, 1), (2, 2)])
    failed = pool.apply_async(inverse, (0,))
    failed.wait()
    return [
        result.get(),
        result.ready(),
        result.successful(),
        mapped.get(),
        starred.get(timeout=30),
        failed.ready(),
        failed.successful(),
        seen(failed.get),
        isinstance(result, multiprocessing.pool.AsyncResult),
    ]


def check_what_is_not_ready(pool):
    path = f"gate-{sys.argv[1]}-{time.time_ns()}"
    result = pool.apply_async(wait_for, (path,))
    before = [result.ready(), seen(result.successful), seen(result.get, 0.02), seen(result.get, timeout=0)]
    iterator = pool.imap(wait_for, [path])
    before.append(seen(iterator.next, 0.02))
    open(path, "w").close()
    return before, result.get() == path, next(iterator) == path, isinstance(multiprocessing.TimeoutError(), Exception)


def check_callbacks(pool):
    told = []
    done = [threading.Event() for _ in range(4)]

    def tell(name, event):
        return lambda value: (told.append((name, value if name != "error" else type(value).__name__)), event.set())

    pool.apply_async(square, (3,), callback=tell("apply", done[0]), error_callback=tell("error", done[0]))
    pool.map_async(square, range(3), 1, tell("map", done[1]), tell("error", done[1]))
    pool.apply_async(inverse, (0,), None, tell("apply", done[2]), tell("error", done[2]))
    pool.starmap_async(add, [(1, 1)], callback=tell("starmap", done[3]))
    for event in done:
        event.wait(30)
    return sorted(told, key=repr)


def check_errors(pool):
    try:
        pool.map(special, [1])
    except Special as error:
        exact = [type(error).__name__, error.args, error.code, type(error.__cause__).__name__]
        has_traceback = "in special" in str(error.__cause__)
    return [
        exact,
        has_traceback,
        seen(pool.map, inverse, [1, 0, 2]),
        seen(pool.apply, add),
        seen(pool.apply, square, (threading.Lock(),)),
        until_error(pool.imap(inverse, [1, 2, 0, 4])),
        until_error(pool.imap(square, failing_iterable())),
        seen(pool.map, square, failing_iterable()),
        seen(pool.map, square, 5),
        pool.map(square, [6]),
    ]


def check_an_iterator_goes_on_after_an_error(pool):
    iterator = pool.imap(inverse, [1, 0, 2])
    return [seen(next, iterator) for _ in range(4)]


def check_order(pool):
    with Pool(1) as alone:
        results = [alone.apply_async(count_up) for _ in range(20)]
        return [result.get() for result in results]


def check_initializer(pool):
    with Pool(2, initialize, (100,)) as own:
        mapped = own.map(plus_given, range(20), chunksize=1)
        applied = own.apply(plus_given, (5,))
    with Pool(1, initializer=initialize, initargs=[3]) as own:
        again = [own.apply(plus_given, (0,)), own.apply(count_up), own.apply(count_up), own.map(count_up, [1, 2])]
    return mapped, applied, again, given, counted


def check_children_end_after_their_tasks(pool):
    with Pool(1, maxtasksperchild=2) as own:
        pids = [own.apply(os.getpid) for _ in range(6)]
        chunks = own.map(count_up, range(4), chunksize=1)
        own.close()
        own.join()
    return [pids.index(pid) for pid in pids], chunks


def check_states(pool):
    own = Pool(2)
    results = [own.apply_async(square, (i,)) for i in range(20)]
    unfinished = seen(own.join)
    own.close()
    closed = [seen(own.apply, square, (1,)), seen(own.map, square, [1]), seen(own.imap, square, [1])]
    own.join()
    own.join()
    with Pool(1) as context:
        pass
    return [
        unfinished,
        closed,
        [result.get(timeout=0) for result in results],
        seen(context.apply, square, (1,)),
        seen(context.join),
        seen(pickle.dumps, pool),
        [seen(Pool, 0), seen(Pool, -1), seen(Pool, 1, initializer=5), seen(Pool, 1, None, (), 0)],
    ]


def main():
    if sys.argv[1] == "ours":
        raylite.init(num_cpus=2)
    observed = {}
    with Pool(2) as pool:
        for name, check in list(globals().items()):
            if name.startswith("check_"):
                observed[name] = check(pool)
    print(json.dumps(observed))


if __name__ == "__main__":
    main()
