"""TaskPoolExecutor is an executor of concurrent.futures: what one of the standard library does, it does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import threading

import pytest

import raylite
from raylite.util.concurrent import TaskPoolExecutor

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


def square(x):
    return x * x


def add(x, y, z=0):
    return x + y + z


def inverse(x):
    return 1 / x


def pass_gate(gate, value=None, tally=None):
    if tally is not None:
        tally.add(value)
    gate.pass_through()
    return value


class Counter:
    def __init__(self):
        self.count = 0

    def get(self):
        return self.count


@contextlib.contextmanager
def opened_meanwhile(gate):
    """Have another thread open a gate, a moment later."""
    timer = threading.Timer(0.05, gate.open)
    timer.start()
    yield
    timer.join()


def standard():
    return concurrent.futures.ThreadPoolExecutor(2)


@pytest.fixture(params=[TaskPoolExecutor, standard], ids=["ours", "standard"])
def executor(request):
    """Ours, and one of the standard library: both must keep what the tests that use it say."""
    with request.param() as executor:
        yield executor


def test_submit(executor):
    assert executor.submit(square, 7).result() == 49
    assert executor.submit(add, 1, y=2, z=3).result() == 6
    assert executor.submit(functools.partial(add, 1), 2).result() == 3


def test_the_error_of_a_call_is_the_future_s(executor):
    future = executor.submit(inverse, 0)
    assert isinstance(future.exception(), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        future.result()


def test_wrong_arguments_are_the_future_s_error(executor):
    with pytest.raises(TypeError, match="missing"):
        executor.submit(add, 1).result()


@pytest.mark.parametrize("chunksize", [1, 7, 1000])
def test_map(executor, chunksize):
    assert list(executor.map(square, range(100), chunksize=chunksize)) == [i * i for i in range(100)]
    assert list(executor.map(add, range(5), range(10, 100), chunksize=chunksize)) == [10, 12, 14, 16, 18]
    assert list(executor.map(square, [], chunksize=chunksize)) == []


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_raises_where_the_error_is(executor, chunksize):
    results = executor.map(inverse, [1, 2, 0, 4], chunksize=chunksize)
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_map_times_out(executor, gate):
    results = executor.map(pass_gate, [gate], timeout=0.05)
    with pytest.raises(concurrent.futures.TimeoutError):
        next(results)
    gate.open()


def test_waiting_and_as_completed(executor, new_gate):
    gates = [new_gate() for _ in range(2)]
    futures = [executor.submit(pass_gate, gate, i) for i, gate in enumerate(gates)]
    gates[1].open()
    done, running = concurrent.futures.wait(futures, return_when="FIRST_COMPLETED")
    assert (done, running) == ({futures[1]}, {futures[0]})
    gates[0].open()
    assert {future.result() for future in concurrent.futures.as_completed(futures)} == {0, 1}


def test_what_waits_can_be_cancelled_and_never_runs(executor, new_gate, tally, wait_until):
    gate = new_gate()
    futures = [executor.submit(pass_gate, gate, i, tally) for i in range(20)]
    wait_until(lambda: len(tally) == 2, what="both workers running")
    assert futures[19].cancel()
    assert futures[19].cancelled()
    assert not futures[0].cancel()
    gate.open()
    assert [future.result() for future in futures[:19]] == list(range(19))
    assert sorted(map(int, tally.notes())) == list(range(19))
    with pytest.raises(concurrent.futures.CancelledError):
        futures[19].result()


def test_shutdown_that_cancels_lets_finish_what_runs(executor, gate, tally, wait_until):
    futures = [executor.submit(pass_gate, gate, i, tally) for i in range(20)]
    wait_until(lambda: len(tally) == 2, what="both workers running")
    with opened_meanwhile(gate):
        executor.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)
    assert futures[0].result() == 0
    cancelled = [future.cancelled() for future in futures]
    assert sum(cancelled) >= 14
    assert sorted(map(int, tally.notes())) == [i for i in range(20) if not cancelled[i]]


def test_shutdown_waits_for_all_that_was_submitted(executor, gate):
    futures = [executor.submit(pass_gate, gate, i) for i in range(10)]
    executor.shutdown(wait=False)
    assert not any(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(square, 1)
    with opened_meanwhile(gate):
        executor.shutdown()
    assert [future.result(timeout=0) for future in futures] == list(range(10))


def test_in_asyncio(executor):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, square, i) for i in range(10)))

    assert asyncio.run(main()) == [i * i for i in range(10)]


def test_a_callback_may_submit(executor):
    chained = concurrent.futures.Future()

    def more(future):
        executor.submit(square, future.result()).add_done_callback(lambda last: chained.set_result(last.result()))

    executor.submit(square, 3).add_done_callback(more)
    assert chained.result(timeout=20) == 81


# ---- ours alone ----


def test_calls_run_in_workers_several_at_a_time(new_gate, tally, wait_until):
    gate = new_gate()
    with TaskPoolExecutor() as executor:
        futures = [executor.submit(pass_gate, gate, i, tally) for i in range(2)]
        wait_until(lambda: len(tally) == 2, what="two calls at a time")
        gate.open()
        assert [future.result() for future in futures] == [0, 1]
        assert executor.submit(os.getpid).result() != os.getpid()


def test_max_workers_is_how_many_are_under_way(gate, tally, wait_until):
    with TaskPoolExecutor(1) as executor:
        futures = [executor.submit(pass_gate, gate, i, tally) for i in range(3)]
        wait_until(lambda: len(tally) == 1)
        assert futures[1].cancel()
        gate.open()
        assert futures[2].result() == 2
    assert tally.notes() == ["0", "2"]


def test_a_closure_and_a_method_are_sent_as_they_are_at_each_call():
    counter = Counter()
    level = 1

    def read():
        return level

    with TaskPoolExecutor() as executor:
        assert executor.submit(counter.get).result() == 0
        counter.count = 5
        assert executor.submit(counter.get).result() == 5
        assert executor.submit(read).result() == 1
        level = 2
        assert executor.submit(read).result() == 2


def test_a_reference_becomes_its_value():
    with TaskPoolExecutor() as executor:
        assert executor.submit(square, raylite.put(6)).result() == 36


def test_options_of_tasks():
    with TaskPoolExecutor(num_cpus=0, name="mine") as executor:
        assert executor.submit(task_name).result() == "mine"


def task_name():
    return raylite.get_runtime_context().get_task_name()


def test_inside_a_task(all_freed):
    @raylite.remote
    def outer():
        with TaskPoolExecutor() as executor:
            return sum(executor.map(square, range(10)))

    assert raylite.get([outer.remote() for _ in range(3)]) == [285] * 3
    all_freed()


def test_ten_thousand_calls(all_freed):
    with TaskPoolExecutor() as executor:
        futures = [executor.submit(square, i) for i in range(10_000)]
        assert [future.result() for future in futures] == [i * i for i in range(10_000)]
    del futures
    all_freed()


def test_many_threads_submit():
    with TaskPoolExecutor() as executor, concurrent.futures.ThreadPoolExecutor(8) as threads:
        futures = list(threads.map(lambda i: executor.submit(square, i), range(500)))
        assert [future.result() for future in futures] == [i * i for i in range(500)]


def test_a_worker_that_dies_is_an_error_of_its_call_alone():
    with TaskPoolExecutor(max_retries=0) as executor:
        dying, fine = executor.submit(os._exit, 3), executor.submit(square, 2)
        with pytest.raises(raylite.exceptions.WorkerCrashedError):
            dying.result()
        assert fine.result() == 4
        assert executor.submit(square, 3).result() == 9


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be a whole number from 1 up or None, not 0"),
        ({"max_workers": 1.5}, TypeError, "max_workers must be a whole number"),
        ({"initializer": print}, ValueError, "takes no initializer"),
        ({"num_returns": 2}, ValueError, "a call has one future"),
        ({"num_cpu": 2}, (TypeError, ValueError), "num_cpu"),
    ],
)
def test_bad_input_is_refused_at_the_call(arguments, error, words):
    with pytest.raises(error, match=words):
        TaskPoolExecutor(**arguments)


@pytest.mark.parametrize(("chunksize", "error"), [(0, ValueError), (1.5, TypeError)])
def test_a_wrong_chunksize_is_refused_at_the_call(chunksize, error):
    with TaskPoolExecutor() as executor, pytest.raises(error, match="chunksize must be a whole number from 1 up"):
        executor.map(square, [1], chunksize=chunksize)


def test_what_does_not_pickle_is_the_future_s_error():
    with TaskPoolExecutor() as executor, pytest.raises(TypeError, match="argument 0 of square"):
        executor.submit(square, threading.Lock()).result()


def test_what_cannot_be_called_is_refused():
    with TaskPoolExecutor() as executor, pytest.raises(TypeError, match="fn must be a function"):
        executor.submit(5)


def test_a_runtime_that_is_shut_down_ends_the_calls_and_no_other_is_started(start):
    driver = start("""
import concurrent.futures
from raylite.util.concurrent import TaskPoolExecutor

executor = TaskPoolExecutor()
futures = [executor.submit(time.sleep, 60) for _ in range(20)]
raylite.shutdown()
say("errors", *{type(future.exception()).__name__ for future in futures})
say("later", type(executor.submit(len, "").exception()).__name__)
say("running", raylite.is_initialized())
executor.shutdown()
""")
    assert driver.expect("errors") == "RaySystemError"
    assert driver.expect("later") == "RaySystemError"
    assert driver.expect("running") == "False"
    driver.succeed()
