"""Many threads of one driver calling at once."""

from __future__ import annotations

import pytest

COMMON = """
import threading
import numpy as np

@raylite.remote
def add(a, b):
    return a + b

@raylite.remote
def nested(a):
    return raylite.get(add.remote(a, 1))

def in_threads(count, target):
    \"\"\"Run target(k) in threads; raise what one of them raised.\"\"\"
    errors = []
    def guarded(k):
        try:
            target(k)
        except BaseException as error:
            errors.append(error)
    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error

"""


@pytest.mark.parametrize("calls", [1000, pytest.param(10_000, marks=pytest.mark.timeout(180))])
def test_eight_threads_calling_at_once(start, calls):
    driver = start(
        COMMON
        + f"""
raylite.init(num_cpus=2)

def call(k):
    refs = []
    for i in range({calls}):
        refs.append(add.remote(k, i))
        if len(refs) == 100:
            assert raylite.get(refs) == [k + j for j in range(i - 99, i + 1)]
            refs.clear()

in_threads(8, call)
"""
    )
    driver.succeed(timeout_s=150)


def test_threads_one_by_one_and_all_kinds_of_calls(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=2)

def call(k):
    kind = k % 4
    for i in range(60):
        if kind == 0:
            assert raylite.get(add.remote(i, k)) == i + k
        elif kind == 1:
            array = np.full(20_000, i + k)
            assert raylite.get(raylite.put(array)).sum() == 20_000 * (i + k)
        elif kind == 2:
            refs = [add.remote(i, j) for j in range(3)]
            done, rest = raylite.wait(refs, num_returns=2)
            assert len(done) == 2 and len(rest) == 1
            assert sorted(raylite.get(done + rest)) == [i, i + 1, i + 2]
        else:
            assert raylite.get(nested.remote(i)) == i + 1

in_threads(8, call)
"""
    )
    driver.succeed(timeout_s=50)


def test_timeouts_of_threads_that_wait_beside_another(start):
    """One thread waits for the input; the others' time is up all the same."""
    driver = start(
        COMMON
        + """
@raylite.remote
def until(path):
    while not os.path.exists(path):
        time.sleep(0.005)

raylite.init(num_cpus=1)
ref = until.remote("end")

def call(k):
    if k == 0:
        return raylite.get(ref)
    for timeout in (0, 0.01, 0.12):
        try:
            raylite.get(ref, timeout=timeout)
        except raylite.exceptions.GetTimeoutError:
            pass
        else:
            raise AssertionError("no timeout")
        assert raylite.wait([ref], timeout=timeout) == ([], [ref])
    open(f"done{k}", "w").close()

threading.Thread(target=in_threads, args=(4, call)).start()
while not all(os.path.exists(f"done{k}") for k in (1, 2, 3)):
    time.sleep(0.005)
open("end", "w").close()
"""
    )
    driver.succeed()


def test_shutdown_while_threads_wait(start):
    """They all hear of it; none waits for ever, and a new runtime can be had."""
    driver = start(
        COMMON
        + """
@raylite.remote
def forever():
    time.sleep(1000)

outcomes = []

def waits(k):
    ref = forever.remote()
    ready.release()
    try:
        if k % 3 == 0:
            raylite.get(ref)
        elif k % 3 == 1:
            raylite.wait([ref])
        else:
            ref.future().result()
    except raylite.exceptions.RaySystemError:
        outcomes.append(k)

for round in range(5):
    outcomes.clear()
    ready = threading.Semaphore(0)
    raylite.init(num_cpus=2)
    threads = [threading.Thread(target=waits, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    raylite.shutdown()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == list(range(6)), outcomes
"""
    )
    driver.succeed()
    driver.assert_nothing_left()


def test_shutdown_and_init_while_threads_submit(start):
    """Whoever is late gets an error or a new runtime, and nothing breaks."""
    driver = start(
        COMMON
        + """
stop = False
done = [0] * 4

def call(k):
    while not stop:
        try:
            assert raylite.get(add.remote(k, 1)) == k + 1
            done[k] += 1
        except raylite.exceptions.RayError:
            pass
        except RuntimeError as error:
            assert "init" in str(error), error

raylite.init(num_cpus=1)
thread = threading.Thread(target=in_threads, args=(4, call))
thread.start()
for _ in range(8):
    aim = [count + 5 for count in done]
    while any(count < least for count, least in zip(done, aim)) and thread.is_alive():
        time.sleep(0.001)
    raylite.shutdown()
    try:
        raylite.init(num_cpus=1)
    except RuntimeError:
        pass  # another thread was faster
stop = True
thread.join()
"""
    )
    driver.succeed(timeout_s=50)
    driver.assert_nothing_left()
    assert "Traceback" not in driver.stderr


def test_a_future_whose_callback_ends_the_runtime(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)
ended = threading.Event()

def end(future):
    assert future.result() == 3
    raylite.shutdown()
    ended.set()

add.remote(1, 2).future().add_done_callback(end)
ended.wait()
assert not raylite.is_initialized()
assert raylite.get(add.remote(2, 2)) == 4
"""
    )
    driver.succeed()
    driver.assert_nothing_left()


def test_two_threads_that_both_start_the_runtime(start):
    driver = start(
        COMMON
        + """
barrier = threading.Barrier(8)

def call(k):
    barrier.wait()
    assert raylite.get(add.remote(k, 1)) == k + 1

for _ in range(5):
    in_threads(8, call)
    assert len(raylite.nodes()) == 1
    raylite.shutdown()
children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
assert not children, children
"""
    )
    driver.succeed()
    driver.assert_nothing_left()


def test_threads_in_tasks(start):
    driver = start(
        COMMON
        + """
@raylite.remote
def threaded(n):
    out = []
    in_threads(n, lambda k: out.append(raylite.get(add.remote(k, 1))))
    return sorted(out)

raylite.init(num_cpus=4)  # a wait in a thread of its own does not lend the task's CPU, as in Ray
assert raylite.get([threaded.remote(6) for _ in range(3)]) == [[1, 2, 3, 4, 5, 6]] * 3
"""
    )
    driver.succeed()


def test_threads_that_outlive_the_main_thread(start):
    """The interpreter waits for them before it ends, and they have the runtime until then."""
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)

def late():
    threading.main_thread().join()
    say("late", raylite.get(add.remote(1, 1)))

threading.Thread(target=late).start()
"""
    )
    assert driver.expect("late") == "2"
    driver.succeed()
    driver.assert_nothing_left()
