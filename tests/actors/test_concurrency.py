"""Actors that run several calls at once: in threads, as coroutines, in concurrency groups; cancelling; streams."""

from __future__ import annotations

import asyncio
import threading

import pytest

import raylite
from raylite.exceptions import ActorDiedError, TaskCancelledError

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
class Async:
    def __init__(self):
        self.event = asyncio.Event()
        self.running = self.most = 0

    async def wait(self):
        self.running += 1
        self.most = max(self.most, self.running)
        await self.event.wait()
        self.running -= 1
        return self.most

    async def set(self):
        self.event.set()

    async def reset(self):
        self.event.clear()
        self.most = 0

    def plain(self):
        return asyncio.get_running_loop().is_running()

    async def echo(self, value):
        await asyncio.sleep(0)
        return value

    async def fail(self):
        await asyncio.sleep(0)
        raise ValueError("async no")

    async def names(self):
        context = raylite.get_runtime_context()
        first = context.get_task_id(), context.get_task_name()
        await asyncio.sleep(0)
        return first == (context.get_task_id(), context.get_task_name()), first

    async def get_inside(self, refs):
        return sum(await asyncio.gather(*refs))

    async def stream(self, n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async def leave(self):
        raylite.actor.exit_actor()

    async def sleep_until_cancelled(self, path):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            path.write_text("cancelled")
            raise


@raylite.remote
class Threads:
    def __init__(self):
        self.barrier = threading.Barrier(4)
        self.lock = threading.Lock()
        self.n = 0

    def meet(self):
        self.barrier.wait(timeout=20)
        return threading.get_ident()

    def add(self):
        with self.lock:
            self.n += 1
            return self.n

    def context(self):
        return raylite.get_runtime_context().get_task_id()

    def leave(self):
        raylite.actor.exit_actor()

    def stream(self, n):
        yield from range(n)


@raylite.remote
def identity(value):
    return value


def test_a_thousand_calls_wait_at_once():
    actor = Async.remote()  # a thousand is how many it runs at once
    waiting = [actor.wait.remote() for _ in range(999)]
    raylite.get(actor.set.remote())
    assert max(raylite.get(waiting)) == 999


def test_max_concurrency_limits_coroutines():
    actor = Async.options(max_concurrency=5).remote()
    waiting = [actor.wait.remote() for _ in range(4)]
    raylite.get(actor.set.remote())
    assert max(raylite.get(waiting)) == 4
    raylite.get(actor.reset.remote())
    waiting = [actor.wait.remote() for _ in range(5)]
    sixth = actor.set.remote()
    assert raylite.wait([*waiting, sixth], timeout=0.2)[0] == []
    raylite.cancel(waiting[0])
    raylite.get(sixth)
    assert max(raylite.get(waiting[1:])) == 5


def test_plain_methods_of_an_async_actor_run_on_its_loop():
    assert raylite.get(Async.remote().plain.remote()) is True


def test_results_and_errors_of_coroutines():
    actor = Async.remote()
    assert raylite.get([actor.echo.remote(i) for i in range(500)]) == list(range(500))
    with pytest.raises(ValueError, match="async no"):
        raylite.get(actor.fail.remote())


def test_each_coroutine_is_a_task_of_its_own():
    actor = Async.remote()
    seen = raylite.get([actor.names.remote() for _ in range(20)])
    assert all(same for same, _ in seen)
    assert len({task_id for _, (task_id, _) in seen}) == 20
    assert {name for _, (_, name) in seen} == {"Async.names"}


def test_await_references_inside():
    actor = Async.remote()
    assert raylite.get(actor.get_inside.remote([identity.remote(i) for i in range(10)])) == 45


def test_streams_of_async_and_threaded_actors():
    assert [raylite.get(ref) for ref in Async.remote().stream.remote(20)] == list(range(20))
    streams = [Threads.options(max_concurrency=4).remote().stream.remote(5) for _ in range(2)]
    assert [[raylite.get(ref) for ref in stream] for stream in streams] == [list(range(5))] * 2


def test_an_async_stream_that_is_awaited_by_the_driver():
    async def main():
        return [await ref async for ref in Async.remote().stream.remote(10)]

    assert asyncio.run(main()) == list(range(10))


def test_exit_of_an_async_actor():
    actor = Async.remote()
    waiting = actor.wait.remote()
    for ref in (actor.leave.remote(), waiting, actor.echo.remote(1)):
        with pytest.raises(ActorDiedError, match="exit_actor"):
            raylite.get(ref)


def test_cancel_a_running_coroutine(tmp_path, wait_until):
    actor = Async.remote()
    raylite.get(actor.echo.remote(1))
    ref = actor.sleep_until_cancelled.remote(tmp_path / "said")
    assert raylite.wait([ref], timeout=0.1)[0] == []
    raylite.cancel(ref)
    with pytest.raises(TaskCancelledError):
        raylite.get(ref)
    wait_until(lambda: (tmp_path / "said").exists())
    assert raylite.get(actor.echo.remote(2)) == 2


def test_cancel_calls_that_have_not_begun(gate):
    @raylite.remote
    class Serial:
        def __init__(self):
            self.ran = []

        def through(self, gate):
            gate.pass_through()
            self.ran.append("through")

        def add(self, i):
            self.ran.append(i)
            return i

        def get(self):
            return self.ran

    actor = Serial.remote()
    first = actor.through.remote(gate)
    refs = [actor.add.remote(i) for i in range(200)]
    cancelled = refs[::2]
    for ref in cancelled:
        raylite.cancel(ref)
    gate.open()
    raylite.get(first)
    for ref in cancelled:
        with pytest.raises(TaskCancelledError):
            raylite.get(ref)
    assert raylite.get(refs[1::2]) == list(range(1, 200, 2))
    assert raylite.get(actor.get.remote()) == ["through", *range(1, 200, 2)]


def test_a_running_method_is_not_interrupted(gate, tally, wait_until):
    @raylite.remote
    class Serial:
        def through(self, gate, tally):
            tally.add()
            gate.pass_through()
            return "ended"

        def n_tasks(self):
            return 1

    actor = Serial.remote()
    raylite.get(actor.n_tasks.remote())
    ref = actor.through.remote(gate, tally)
    wait_until(tally.notes)
    raylite.cancel(ref)
    gate.open()
    assert raylite.get(ref) == "ended"
    assert raylite.get(actor.n_tasks.remote()) == 1


def test_cancel_by_force_is_refused():
    actor = Async.remote()
    ref = actor.wait.remote()
    with pytest.raises(ValueError, match="force"):
        raylite.cancel(ref, force=True)
    raylite.get(actor.set.remote())
    assert raylite.get(ref) == 1


def test_threads_run_at_once():
    actor = Threads.options(max_concurrency=4).remote()
    assert len(set(raylite.get([actor.meet.remote() for _ in range(4)]))) == 4
    assert sorted(raylite.get([actor.add.remote() for _ in range(300)])) == list(range(1, 301))
    ids = raylite.get([actor.context.remote() for _ in range(50)])
    assert len(set(ids)) == 50


def test_exit_of_a_threaded_actor():
    actor = Threads.options(max_concurrency=4).remote()
    for ref in (actor.leave.remote(), actor.add.remote()):
        with pytest.raises(ActorDiedError, match="exit_actor"):
            raylite.get(ref)


def test_concurrency_groups_do_not_hold_each_other_up(gate):
    @raylite.remote(concurrency_groups={"io": 2, "compute": 1})
    class Groups:
        def __init__(self):
            self.order = []

        @raylite.method(concurrency_group="io")
        def io(self, gate):
            gate.pass_through()
            return "io"

        @raylite.method(concurrency_group="compute")
        def compute(self, i):
            self.order.append(i)
            return i

        def default(self):
            return self.order

    actor = Groups.remote()
    held_up = [actor.io.remote(gate) for _ in range(200)]  # more than are sent ahead
    assert raylite.get([actor.compute.remote(i) for i in range(100)]) == list(range(100))
    assert raylite.get(actor.default.remote()) == list(range(100))
    assert raylite.get(actor.default.options(concurrency_group="compute").remote()) == list(range(100))
    gate.open()
    assert raylite.get(held_up) == ["io"] * 200


def test_concurrency_groups_of_coroutines():
    @raylite.remote(concurrency_groups={"one": 1})
    class Groups:
        def __init__(self):
            self.running = self.most = 0

        @raylite.method(concurrency_group="one")
        async def alone(self):
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            self.running -= 1

        async def get(self):
            return self.most

    actor = Groups.remote()
    raylite.get([actor.alone.remote() for _ in range(100)])
    assert raylite.get(actor.get.remote()) == 1


def test_backpressure_of_streams(wait_until):
    @raylite.remote
    class Makes:
        def __init__(self):
            self.n = 0

        @raylite.method(_generator_backpressure_num_objects=2)
        def sync(self, n):
            for _ in range(n):
                self.n += 1
                yield self.n

        def get(self):
            return self.n

    @raylite.remote(_actor_generator_backpressure_num_objects=3)
    class MakesAsync:
        def __init__(self):
            self.n = 0

        async def stream(self, n):
            for _ in range(n):
                self.n += 1
                yield self.n

        async def get(self):
            return self.n

    serial, coroutines = Makes.options(max_concurrency=2).remote(), MakesAsync.remote()
    for actor, stream, ahead in ((serial, serial.sync, 2), (coroutines, coroutines.stream, 3)):
        items = stream.remote(10)
        for taken in range(3):
            wait_until(lambda: raylite.get(actor.get.remote()) == taken + ahead)  # noqa: B023
            assert raylite.get(actor.get.remote()) == taken + ahead
            assert raylite.get(next(items)) == taken + 1
        assert len(list(items)) == 7


def test_a_stream_without_a_reader_ends(wait_until, node_sizes):
    @raylite.remote(_generator_backpressure_num_objects=1)
    def endless():
        while True:
            yield 1

    stream = endless.remote()
    assert raylite.get(next(stream)) == 1
    del stream
    wait_until(lambda: node_sizes()["tasks"] == 0)
