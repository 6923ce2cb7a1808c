"""Queue: first in, first out, between drivers, tasks and actors; blocking, with timeouts, in batches, in coroutines."""

from __future__ import annotations

import asyncio
import queue
import threading

import pytest

import raylite
from raylite.exceptions import ActorDiedError
from raylite.util.queue import Empty, Full, Queue

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
def put_all(shared, items):
    for item in items:
        shared.put(item)


@raylite.remote(num_cpus=0)
def take(shared, n_items):
    return [shared.get() for _ in range(n_items)]


def test_first_in_first_out():
    shared = Queue()
    for i in range(10):
        shared.put(i)
    assert (shared.size(), shared.qsize(), len(shared), shared.empty(), shared.full()) == (10, 10, 10, False, False)
    assert [shared.get() for _ in range(10)] == list(range(10))
    assert shared.empty()


def test_room():
    shared = Queue(2)
    shared.put(1)
    shared.put_nowait(2)
    assert shared.full()
    for put in (
        lambda: shared.put_nowait(3),
        lambda: shared.put(3, block=False),
        lambda: shared.put(3, timeout=0),
        lambda: shared.put(3, timeout=0.02),
    ):
        with pytest.raises(Full) as seen:
            put()
        assert type(seen.value) is Full
    assert shared.get() == 1
    shared.put(3, timeout=0)
    assert [shared.get(), shared.get()] == [2, 3]


def test_nothing_there():
    shared = Queue()
    for get in (
        shared.get_nowait,
        lambda: shared.get(block=False),
        lambda: shared.get(timeout=0),
        lambda: shared.get(timeout=0.02),
    ):
        with pytest.raises(Empty) as seen:
            get()
        assert type(seen.value) is Empty
    shared.put(1)
    assert shared.get(timeout=0) == 1


def test_its_errors_are_those_of_the_standard_queue():
    assert issubclass(Empty, queue.Empty)
    assert issubclass(Full, queue.Full)


def test_tasks_put_and_take_and_who_waits_is_served():
    shared = Queue(1)
    taken = take.remote(shared, 30)
    makers = [put_all.remote(shared, list(range(k, k + 10))) for k in (0, 100, 200)]
    raylite.get(makers)
    values = raylite.get(taken)
    assert sorted(values) == [*range(10), *range(100, 110), *range(200, 210)]
    assert [value for value in values if value < 10] == list(range(10)), "the order of one producer"


def test_a_thousand_takers_wait_and_puts_still_come_through():
    shared = Queue()
    actor = shared.actor
    waiting = [actor.get.remote(None) for _ in range(1100)]
    for i in range(1100):
        actor.put.remote(i, None)
    assert sorted(raylite.get(waiting)) == list(range(1100))


def test_batches_come_whole_or_not_at_all():
    shared = Queue(3)
    with pytest.raises(Full):
        shared.put_nowait_batch(range(4))
    assert shared.empty()
    shared.put_nowait_batch(iter([1, 2, 3]))
    with pytest.raises(Empty):
        shared.get_nowait_batch(4)
    assert shared.get_nowait_batch(0) == []
    assert shared.get_nowait_batch(2) == [1, 2]
    assert shared.size() == 1


def test_coroutines():
    shared = Queue(1)

    async def main():
        with pytest.raises(Empty):
            await shared.get_async(timeout=0.02)
        getting = asyncio.create_task(shared.get_async())
        await shared.put_async(1)
        assert await getting == 1
        await shared.put_async(2)
        with pytest.raises(Full):
            await shared.put_async(3, block=False)
        with pytest.raises(Full):
            await shared.put_async(3, timeout=0.02)
        return await shared.get_async(block=False)

    assert asyncio.run(main()) == 2


def test_who_waits_blocks_no_other_thread():
    shared = Queue()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(shared.get()))
    thread.start()
    shared.put("there")
    thread.join()
    assert taken == ["there"]


@pytest.mark.parametrize("force", [False, True])
def test_after_shutdown_every_call_says_so(force):
    shared = Queue()
    shared.shutdown(force)
    for call in (shared.get_nowait, shared.size, lambda: shared.put(1)):
        with pytest.raises(ActorDiedError):
            call()
    shared.shutdown(force)


def test_it_ends_with_its_last_copy(all_freed):
    shared = Queue()
    shared.put([1, 2])
    raylite.get(put_all.remote(shared, [3]))
    del shared
    all_freed()


def test_options_of_its_actor():
    Queue(actor_options={"name": "the queue", "lifetime": "detached"}).put(5)
    actor = raylite.get_actor("the queue")
    assert raylite.get(actor.size.remote()) == 1
    raylite.kill(actor)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda shared: Queue("2"), TypeError, "maxsize must be a whole number"),
        (lambda shared: Queue(actor_options={"num_cpu": 1}), ValueError, "num_cpu"),
        (lambda shared: shared.get(timeout=-1), ValueError, "'timeout' must be a non-negative number"),
        (lambda shared: shared.put(1, timeout=-1), ValueError, "'timeout' must be a non-negative number"),
        (lambda shared: shared.put_nowait_batch(5), TypeError, "items must be an iterable"),
        (lambda shared: shared.get_nowait_batch(1.5), TypeError, "num_items must be a whole number from 0 up"),
        (lambda shared: shared.get_nowait_batch(-1), ValueError, "num_items must be a whole number from 0 up"),
    ],
)
def test_bad_input_is_refused_at_the_call(call, error, words):
    with pytest.raises(error, match=words):
        call(Queue())
