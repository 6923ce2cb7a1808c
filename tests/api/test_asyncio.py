"""await, gather and futures, in the driver and in tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import numpy as np
import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
def double(x):
    return 2 * x


@raylite.remote
def fail(error):
    raise error


def test_await():
    async def main():
        return await double.remote(4), await raylite.put("there")

    assert asyncio.run(main()) == (8, "there")


def test_gather_keeps_the_order(new_gate):
    @raylite.remote(num_cpus=0)
    def after(gate, x):
        gate.pass_through()
        return x

    gates = [new_gate() for _ in range(3)]

    async def main():
        refs = [after.remote(gate, i) for i, gate in enumerate(gates)]
        first = asyncio.ensure_future(refs[2])
        gates[2].open()
        assert await first == 2
        gates[0].open()
        gates[1].open()
        return await asyncio.gather(*refs)

    assert asyncio.run(main()) == [0, 1, 2]


def test_gather_of_thousands(all_freed):
    async def main():
        return await asyncio.gather(*[double.remote(i) for i in range(2000)])

    assert asyncio.run(main()) == [2 * i for i in range(2000)]
    all_freed()


def test_the_loop_runs_on_meanwhile(gate):
    @raylite.remote
    def wait():
        gate.pass_through()
        return "done"

    async def main():
        waiting = asyncio.ensure_future(wait.remote())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        gate.open()
        return await waiting

    assert asyncio.run(main()) == "done"


def test_one_reference_awaited_by_many():
    async def main():
        ref = double.remote(1)

        async def wait():
            return await ref

        return await asyncio.gather(*[wait() for _ in range(10)]), await ref

    assert asyncio.run(main()) == ([2] * 10, 2)


def test_errors_are_raised_as_by_get():
    async def main():
        with pytest.raises(KeyError) as caught:
            await fail.remote(KeyError("no"))
        assert isinstance(caught.value, raylite.exceptions.RayTaskError)
        results = await asyncio.gather(double.remote(1), fail.remote(ValueError(3)), return_exceptions=True)
        assert results[0] == 2 and isinstance(results[1], ValueError)

    asyncio.run(main())


@pytest.mark.parametrize("error", [StopIteration("value"), StopAsyncIteration("value")], ids=lambda e: type(e).__name__)
def test_an_error_that_means_something_to_await(error):
    """Neither taken for a result nor lost: a future cannot hold it, so the error is a RayTaskError alone."""

    async def main():
        with pytest.raises(raylite.exceptions.RayTaskError, match="value") as caught:
            await asyncio.wait_for(fail.remote(error), 20)
        assert isinstance(caught.value.cause, type(error))

    asyncio.run(main())
    with pytest.raises(raylite.exceptions.RayTaskError, match="value"):
        fail.remote(error).future().result(20)


def test_cancelling_the_wait_leaves_the_task(gate):
    @raylite.remote
    def wait():
        gate.pass_through()
        return "ran"

    async def main():
        ref = wait.remote()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ref, 0.01)
        gate.open()
        return await ref

    assert asyncio.run(main()) == "ran"


def test_a_loop_that_is_closed_meanwhile(gate, all_freed):
    """The result finds nobody, and nothing breaks."""

    @raylite.remote
    def wait():
        gate.pass_through()

    refs = [wait.remote()]

    async def main():
        future = asyncio.ensure_future(refs[0])
        await asyncio.sleep(0)
        assert not future.done()

    asyncio.run(main())
    gate.open()
    assert raylite.get(refs.pop()) is None
    all_freed()


def test_loops_in_several_threads():
    results = []

    def run(i):
        async def main():
            return await asyncio.gather(*[double.remote(10 * i + j) for j in range(20)])

        results.append((i, asyncio.run(main())))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(i, [2 * (10 * i + j) for j in range(20)]) for i in range(4)]


def test_as_completed_and_wait_for():
    async def main():
        futures = [double.remote(i).as_future() for i in range(10)]
        done = [await future for future in asyncio.as_completed(futures)]
        return sorted(done), await asyncio.wait_for(double.remote(3), 60)

    assert asyncio.run(main()) == ([2 * i for i in range(10)], 6)


def test_await_outside_a_loop_says_so():
    with pytest.raises(RuntimeError, match="no running event loop"):
        double.remote(1).as_future()


def test_awaited_arrays_are_read_without_a_copy():
    ref = raylite.put(np.ones(1 << 18))

    async def main():
        return await ref

    first, second = asyncio.run(main()), raylite.get(ref)
    assert np.shares_memory(first, second) and not first.flags.writeable


# ---- futures of concurrent.futures ----


def test_futures():
    future = double.remote(4).future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(60) == 8
    error = fail.remote(ValueError("no")).future().exception(60)
    assert isinstance(error, ValueError) and isinstance(error, raylite.exceptions.RayTaskError)
    futures = [double.remote(i).future() for i in range(50)]
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, 60)) == [2 * i for i in range(50)]


def test_a_future_that_is_not_done(gate):
    @raylite.remote
    def wait():
        gate.pass_through()
        return 1

    future = wait.remote().future()
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.01)
    assert not future.done()
    gate.open()
    assert future.result(60) == 1


def test_callbacks_may_use_raylite():
    done = concurrent.futures.Future()

    def follow(future):
        done.set_result(raylite.get(double.remote(future.result())))

    double.remote(1).future().add_done_callback(follow)
    assert done.result(60) == 4


def test_a_callback_that_raises_harms_nobody(caplog):
    def bad(future):
        raise ValueError("of the callback")

    double.remote(1).future().add_done_callback(bad)
    assert double.remote(2).future().result(60) == 4


def test_a_future_keeps_its_object(gate, all_freed):
    """The reference may go; the future still gets the value."""

    @raylite.remote
    def wait():
        gate.pass_through()
        return np.ones(1 << 18)

    future = wait.remote().future()
    gate.open()
    assert future.result(60).sum() == 1 << 18
    del future
    all_freed()


# ---- in tasks ----


def test_await_in_a_task_lends_the_cpu():
    @raylite.remote(num_cpus=2)
    def child(x):
        return x + 1

    @raylite.remote(num_cpus=2)
    def parent():
        async def main():
            first = await child.remote(1)
            return first, await asyncio.gather(*[child.remote(i) for i in range(5)])

        return asyncio.run(main())

    assert raylite.get(parent.remote()) == (2, [1, 2, 3, 4, 5])


def test_futures_in_a_task_lend_the_cpu():
    @raylite.remote(num_cpus=2)
    def child(x):
        return x + 1

    @raylite.remote(num_cpus=2)
    def parent():
        return [ref.future().result(60) for ref in [child.remote(1), child.remote(2)]]

    assert raylite.get(parent.remote()) == [2, 3]


def test_errors_in_a_task_s_loop():
    @raylite.remote
    def parent():
        async def main():
            try:
                await fail.remote(KeyError("inner"))
            except KeyError as error:
                return "caught", isinstance(error, raylite.exceptions.RayTaskError)

        return asyncio.run(main())

    assert raylite.get(parent.remote()) == ("caught", True)


def test_a_stream_in_a_task_s_loop():
    @raylite.remote(num_cpus=2)
    def items(n):
        yield from range(n)

    @raylite.remote(num_cpus=2)
    def parent():
        async def main():
            return [await ref async for ref in items.remote(4)]

        return asyncio.run(main())

    assert raylite.get(parent.remote()) == [0, 1, 2, 3]


def test_to_thread():
    """A thread that carries the context of the caller may call raylite in its name."""

    async def main():
        return await asyncio.gather(*[asyncio.to_thread(raylite.get, double.remote(i)) for i in range(10)])

    @raylite.remote
    def parent():
        return asyncio.run(main())

    assert asyncio.run(main()) == raylite.get(parent.remote()) == [2 * i for i in range(10)]
