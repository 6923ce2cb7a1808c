"""Tasks that yield: references to items as they are made."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import numpy as np
import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
def count(n):
    yield from range(n)


@raylite.remote
def count_through(gates, tally=None):
    """Each item behind a gate of its own."""
    for i, gate in enumerate(gates):
        gate.pass_through()
        if tally is not None:
            tally.add(i)
        yield i


@raylite.remote
def count_then_fail(n):
    yield from range(n)
    raise ValueError(f"after {n}")


def test_a_generator_function_gives_an_iterator_over_references():
    stream = count.remote(3)
    assert isinstance(stream, raylite.ObjectRefGenerator)
    assert iter(stream) is stream
    refs = list(stream)
    assert all(isinstance(ref, raylite.ObjectRef) for ref in refs)
    assert raylite.get(refs) == [0, 1, 2]
    assert len(set(refs)) == 3


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_any_number_of_items(n):
    assert [raylite.get(ref) for ref in count.remote(n)] == list(range(n))


def test_items_come_while_the_task_runs(new_gate):
    gates = [new_gate() for _ in range(3)]
    stream = count_through.remote(gates)
    for i, gate in enumerate(gates):
        gate.open()
        assert raylite.get(next(stream)) == i
    with pytest.raises(StopIteration):
        next(stream)


def test_the_end_stays_the_end():
    stream = count.remote(1)
    next(stream)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(stream)
    assert stream.is_finished()


def test_what_the_option_says():
    assert [raylite.get(r) for r in count.options(num_returns="streaming").remote(2)] == [0, 1]
    assert raylite.get(count.options(num_returns=2).remote(2)) == [0, 1]
    assert raylite.get(count.options(num_returns=1).remote(1)) == 0


@pytest.mark.parametrize(
    "item", [None, b"", np.arange(5), np.ones(1 << 18), ["x" * 200_000], ValueError("a value, not raised")], ids=str
)
def test_items_of_any_kind(item):
    @raylite.remote
    def items():
        yield item
        yield item

    one, two = [raylite.get(ref) for ref in items.remote()]
    np.testing.assert_array_equal(one, two) if isinstance(item, np.ndarray) else None
    assert type(one) is type(two) is type(item)
    assert repr(one) == repr(item)


def test_arguments_of_a_generator():
    @raylite.remote
    def repeat(value, times=2, *, box):
        for _ in range(times):
            yield value, raylite.get(box[0])

    stream = repeat.remote(raylite.put("a"), box=[raylite.put("b")])
    assert [raylite.get(ref) for ref in stream] == [("a", "b")] * 2


def test_an_object_that_iterates_is_no_generator_function():
    with pytest.raises(ValueError, match=r"streaming.*generator"):

        @raylite.remote(num_returns="streaming")
        def f():
            return iter([1])


# ---- async ----


def test_async_for(new_gate):
    gates = [new_gate() for _ in range(3)]

    async def main():
        seen = []
        gates[0].open()
        async for ref in count_through.remote(gates):
            seen.append(await ref)
            if len(seen) < len(gates):
                gates[len(seen)].open()
        return seen

    assert asyncio.run(main()) == [0, 1, 2]


def test_async_streams_side_by_side(new_gate):
    """More at once than a pool of threads would have, each waiting for an item that a later one lets come."""
    gates = [new_gate() for _ in range(12)]

    async def first(i):
        value = [await ref async for ref in count_through.options(num_cpus=0).remote([gates[i]])]
        if i:
            gates[i - 1].open()
        return value

    async def main():
        tasks = [asyncio.create_task(first(i)) for i in range(len(gates))]
        await asyncio.sleep(0)
        gates[-1].open()
        return await asyncio.wait_for(asyncio.gather(*tasks), 60)

    assert asyncio.run(main()) == [[0]] * len(gates)


def test_a_cancelled_wait_loses_no_item(gate, new_gate):
    gates = [new_gate() for _ in range(2)]

    async def main():
        stream = count_through.remote(gates)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        gates[0].open()
        first = await (await anext(stream))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        gates[1].open()
        return first, [await ref async for ref in stream]

    assert asyncio.run(main()) == (0, [1])


def test_async_error_and_end():
    async def main():
        stream, seen = count_then_fail.remote(2), []
        async for ref in stream:
            try:
                seen.append(await ref)
            except ValueError as error:
                seen.append(error.args[0])
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return seen

    assert asyncio.run(main()) == [0, 1, "after 2"]


# ---- waiting ----


def test_wait_on_a_stream(new_gate):
    gates = [new_gate() for _ in range(2)]
    stream, there = count_through.remote(gates), raylite.put(0)
    assert raylite.wait([stream], timeout=0) == ([], [stream])
    assert raylite.wait([stream, there]) == ([there], [stream])
    assert not stream.next_ready()
    gates[0].open()
    ready, left = raylite.wait([stream])
    assert ready[0] is stream and not left
    assert stream.next_ready()
    assert raylite.get(next(stream)) == 0
    assert raylite.wait([there, stream], num_returns=2, timeout=0) == ([there], [stream])
    gates[1].open()
    assert raylite.wait([there, stream], num_returns=2) == ([there, stream], [])
    assert raylite.get(next(stream)) == 1
    assert raylite.wait([stream]) == ([stream], [])  # its end is there
    assert list(stream) == []


def test_wait_on_streams_that_end_or_fail():
    empty, failing = count.remote(0), count_then_fail.remote(0)
    assert raylite.wait([empty, failing], num_returns=2) == ([empty, failing], [])
    assert list(empty) == []
    with pytest.raises(ValueError):
        raylite.get(next(failing))


def test_many_streams_by_wait():
    streams = [count.remote(20) for _ in range(10)]
    seen, left = [], streams
    while left:
        (ready,), left = raylite.wait(left)
        try:
            seen.append(raylite.get(next(ready)))
            left.append(ready)
        except StopIteration:
            pass
    assert sorted(seen) == sorted([*range(20)] * 10)


def test_completed(new_gate):
    gate = new_gate()
    stream = count_through.remote([gate])
    done = stream.completed()
    assert raylite.wait([done], timeout=0) == ([], [done])
    gate.open()
    assert raylite.get(done) is None
    assert raylite.get(next(stream)) == 0
    assert raylite.get(count_then_fail.remote(1).completed()) is None  # the error is an item, as in Ray


def test_get_of_a_stream_is_the_stream():
    stream = count.remote(1)
    assert raylite.get(stream) is stream
    with pytest.raises(TypeError, match="ObjectRefGenerator"):
        raylite.get([stream])


# ---- errors ----


def test_an_error_is_the_last_item():
    stream = count_then_fail.remote(2)
    refs = list(stream)
    assert raylite.get(refs[:2]) == [0, 1]
    with pytest.raises(ValueError, match="after 2") as caught:
        raylite.get(refs[2])
    assert isinstance(caught.value, raylite.exceptions.RayTaskError)
    assert caught.value.function_name == "count_then_fail"
    assert len(refs) == 3
    with pytest.raises(StopIteration):
        next(stream)


def test_an_item_that_does_not_pickle():
    @raylite.remote
    def items():
        yield 1
        yield {"here": threading.Lock()}
        yield 3

    refs = list(items.remote())
    assert len(refs) == 2
    with pytest.raises(TypeError, match=r"item 1 of items.*\['here'\].*lock"):
        raylite.get(refs[1])


def test_an_error_in_an_argument():
    @raylite.remote
    def fail():
        raise KeyError("argument")

    refs = list(count.remote(fail.remote()))
    assert len(refs) == 1
    with pytest.raises(KeyError, match="argument"):
        raylite.get(refs[0])


def test_a_stream_that_stops_itself():
    @raylite.remote
    def items():
        yield 1
        raise StopIteration("inside")  # which a generator turns into a RuntimeError

    refs = list(items.remote())
    with pytest.raises(RuntimeError, match="StopIteration"):
        raylite.get(refs[1])


def test_a_crash_on_the_way_is_retried_and_no_item_comes_twice(tally):
    @raylite.remote(max_retries=2)
    def items():
        for i in range(6):
            tally.add()
            if len(tally) in (3, 8):
                os.kill(os.getpid(), signal.SIGKILL)
            yield i, raylite.get_runtime_context().get_attempt_number()

    values = [raylite.get(ref) for ref in items.remote()]
    assert [value for value, _ in values] == list(range(6))
    assert values[-1][1] == 2


def test_a_crash_without_retries_is_the_last_item(gate):
    @raylite.remote(max_retries=0)
    def items():
        yield 1
        gate.pass_through()
        os._exit(7)

    stream = items.remote()
    assert raylite.get(next(stream)) == 1
    gate.open()
    with pytest.raises(raylite.exceptions.WorkerCrashedError) as caught:
        raylite.get(next(stream))
    assert caught.value.exit_code == 7
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(raylite.exceptions.WorkerCrashedError):
        raylite.get(stream.completed())


def test_an_error_on_the_way_is_retried_where_asked_for(tally):
    @raylite.remote(retry_exceptions=[KeyError], max_retries=2)
    def items(error):
        tally.add()
        yield 1
        if len(tally) < 3:
            raise error
        yield 2

    assert [raylite.get(ref) for ref in items.remote(KeyError("again"))] == [1, 2]
    assert len(tally) == 3


# ---- what it holds ----


def test_a_dropped_stream_frees_its_items(gate, n_objects, wait_until, all_freed):
    all_freed()

    @raylite.remote
    def items():
        for i in range(20):
            yield np.full(1 << 15, i)
        gate.pass_through()
        for i in range(20):
            yield np.full(1 << 15, i)

    stream = items.remote()
    first = next(stream)
    wait_until(lambda: n_objects() >= 21)
    del stream
    wait_until(lambda: n_objects() <= 2)  # the one that is taken, and what stands for the stream while it runs
    gate.open()
    assert raylite.get(first)[0] == 0
    del first
    all_freed()


def test_items_live_as_long_as_their_references(n_objects, wait_until, all_freed):
    all_freed()
    stream = count.remote(5)
    refs = list(stream)
    del stream, refs[1:4]
    wait_until(lambda: n_objects() == 2)
    assert raylite.get(refs) == [0, 4]
    del refs
    all_freed()


def test_a_long_stream_is_not_kept(gate, n_objects, wait_until, all_freed):
    """What has been taken and dropped is gone, however long the stream, and though the task goes on."""
    all_freed()

    @raylite.remote
    def items(n):
        yield from range(n)
        gate.pass_through()
        yield "last"

    stream = items.remote(10_000)
    total = 0
    for _ in range(10_000):
        total += raylite.get(next(stream))
    assert total == sum(range(10_000))
    wait_until(lambda: n_objects() == 1)  # what stands for the stream
    gate.open()
    assert [raylite.get(ref) for ref in stream] == ["last"]
    del stream
    all_freed()


def test_a_stream_far_ahead_of_its_reader(all_freed):
    stream = count.remote(20_000)
    raylite.wait([stream.completed()])
    assert sum(raylite.get(ref) for ref in stream) == sum(range(20_000))
    del stream
    all_freed()


def test_references_inside_items(all_freed):
    @raylite.remote
    def items():
        for i in range(3):
            yield [raylite.put(np.full(1 << 15, i))]

    boxes = [raylite.get(ref) for ref in items.remote()]
    assert [raylite.get(box[0])[0] for box in boxes] == [0, 1, 2]
    del boxes
    all_freed()


# ---- tasks and streams ----


def test_a_task_reads_a_stream_of_its_own():
    @raylite.remote(num_cpus=2)
    def producer(n):
        yield from range(n)

    @raylite.remote(num_cpus=2)
    def consumer(n):
        return sum(raylite.get(ref) for ref in producer.remote(n))

    assert raylite.get(consumer.remote(10)) == 45


def test_items_as_arguments():
    @raylite.remote
    def double(x):
        return 2 * x

    assert raylite.get([double.remote(ref) for ref in count.remote(5)]) == [0, 2, 4, 6, 8]


def test_a_stream_from_a_stream():
    @raylite.remote
    def doubled(refs):
        for ref in refs:
            yield 2 * raylite.get(ref)

    assert [raylite.get(ref) for ref in doubled.remote(list(count.remote(3)))] == [0, 2, 4]


def test_a_stream_itself_stays_here():
    with pytest.raises(TypeError, match=r"Could not serialize the argument 0 of count.*generator"):
        count.remote(count.remote(1))


def test_two_threads_share_a_stream():
    """Each item goes to one of them."""
    stream, seen = count.remote(500), []

    def take():
        seen.extend(raylite.get(ref) for ref in stream)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(500))
