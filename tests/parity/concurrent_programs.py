"""Programs with actors that run several calls at once, which must give the same on every host (see programs)."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time

from tests.parity.actor_programs import type_of
from tests.parity.programs import outcome

PROGRAMS = []
LONG_S = 30  # longer than anything takes that does not fail


def program(function):
    PROGRAMS.append(function)
    return function


@program
def awaits_each_other(raylite):
    @raylite.remote
    class Meeting:
        def __init__(self):
            self.event = asyncio.Event()
            self.n_waiting = self.n_most = 0

        async def wait(self, i):
            self.n_waiting += 1
            self.n_most = max(self.n_most, self.n_waiting)
            await self.event.wait()
            self.n_waiting -= 1
            return i

        async def most(self):
            while self.n_waiting < 50:
                await asyncio.sleep(0.001)
            self.event.set()
            return self.n_most

        def plain(self):
            return asyncio.get_running_loop().is_running(), self.n_waiting

    meeting = Meeting.remote()
    refs = [meeting.wait.remote(i) for i in range(50)]
    return raylite.get(meeting.most.remote()), raylite.get(refs), raylite.get(meeting.plain.remote())


@program
def limits_coroutines(raylite):
    @raylite.remote(max_concurrency=3)
    class Limited:
        def __init__(self):
            self.running = self.most = 0

        async def work(self):
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.01)
            self.running -= 1

        async def read(self):
            return self.most

    limited = Limited.remote()
    raylite.get([limited.work.remote() for _ in range(12)])
    return raylite.get(limited.read.remote())


@program
def uses_asyncio_primitives(raylite):
    @raylite.remote
    def double(x):
        return 2 * x

    @raylite.remote
    class Async:
        def __init__(self):
            self.lock = asyncio.Lock()
            self.queue = asyncio.Queue()
            self.total = 0

        async def add(self, x):
            async with self.lock:
                before = self.total
                await asyncio.sleep(0.001)
                self.total = before + await double.remote(x)
            return x

        async def take(self):
            return await asyncio.wait_for(self.queue.get(), LONG_S)

        async def give(self, x):
            await self.queue.put(x)
            return self.total

        async def both(self, refs):
            return await asyncio.gather(*refs, asyncio.sleep(0.001, "slept"))

        async def times_out(self, box):
            try:
                await asyncio.wait_for(box[0].as_future(), 0.01)
            except asyncio.TimeoutError:
                return "timed out"

        async def fail(self):
            await asyncio.sleep(0)
            raise ValueError("async no")

    @raylite.remote(num_gpus=3)
    def never():
        pass

    actor = Async.remote()
    added = raylite.get([actor.add.remote(i) for i in range(10)])
    taken = actor.take.remote()
    total = raylite.get(actor.give.remote("given"))
    return (
        (added, total, raylite.get(taken)),
        raylite.get(actor.both.remote([double.remote(1), double.remote(2)])),
        raylite.get(actor.times_out.remote([never.remote()])),
        outcome(raylite, actor.fail.remote()),
    )


@program
def streams_from_coroutines_and_threads(raylite):
    @raylite.remote(_actor_generator_backpressure_num_objects=2)
    class Async:
        async def stream(self, n, fail=False):
            for i in range(n):
                await asyncio.sleep(0)
                yield i
            if fail:
                raise KeyError("ended")

    @raylite.remote(max_concurrency=2)
    class Threaded:
        @raylite.method(_generator_backpressure_num_objects=2)
        def stream(self, n):
            yield from range(n)

    def read(stream):
        return [outcome(raylite, ref) for ref in stream]

    actor, threaded = Async.remote(), Threaded.remote()
    abandoned = threaded.stream.remote(10**9)
    next(abandoned)
    del abandoned
    return read(actor.stream.remote(6)), read(actor.stream.remote(2, fail=True)), read(threaded.stream.remote(6))


@program
def runs_calls_in_threads(raylite):
    @raylite.remote
    def identity(x):
        return x

    @raylite.remote(max_concurrency=4)
    class Threaded:
        def __init__(self):
            self.barrier = threading.Barrier(4)
            self.lock = threading.RLock()
            self.queue = queue.Queue(maxsize=2)
            self.ready = threading.Event()
            self.n = 0

        def meet(self):
            self.barrier.wait(timeout=LONG_S)
            return "met"

        def add(self):
            with self.lock:
                before = self.n
                with self.lock:
                    time.sleep(0.001)
                self.n = before + 1
            return raylite.get(identity.remote(before))

        def put(self, n):
            self.ready.wait(LONG_S)
            for i in range(n):
                self.queue.put(i, timeout=LONG_S)

        def take(self, n):
            self.ready.set()
            return [self.queue.get(timeout=LONG_S) for _ in range(n)]

        def is_empty(self):
            try:
                self.queue.get(timeout=0.01)
            except queue.Empty:
                return True

        def ask(self, me):
            return raylite.get(me.add.remote())

    threaded = Threaded.remote()
    met = raylite.get([threaded.meet.remote() for _ in range(4)])
    added = sorted(raylite.get([threaded.add.remote() for _ in range(20)]))
    put = threaded.put.remote(8)
    taken = raylite.get(threaded.take.remote(8))
    raylite.get(put)
    return met, added, taken, raylite.get(threaded.is_empty.remote()), raylite.get(threaded.ask.remote(threaded))


@program
def groups_do_not_hold_each_other_up(raylite):
    def groups(base):
        return raylite.remote(concurrency_groups={"io": 2, "compute": 1})(base)

    class Threaded:
        def __init__(self):
            self.event = threading.Event()
            self.order = []

        @raylite.method(concurrency_group="io")
        def wait(self):
            return self.event.wait(LONG_S)

        @raylite.method(concurrency_group="compute")
        def compute(self, i):
            self.order.append(i)
            return i

        def set(self):
            self.event.set()
            return self.order

    class Async:
        def __init__(self):
            self.event = asyncio.Event()
            self.order = []

        @raylite.method(concurrency_group="io")
        async def wait(self):
            return await asyncio.wait_for(self.event.wait(), LONG_S)

        @raylite.method(concurrency_group="compute")
        async def compute(self, i):
            await asyncio.sleep(0)
            self.order.append(i)
            return i

        async def set(self):
            self.event.set()
            return self.order

    shown = []
    for base in (Threaded, Async):
        actor = groups(base).remote()
        waiting = [actor.wait.remote() for _ in range(5)]
        computed = raylite.get([actor.compute.remote(i) for i in range(20)])
        shown.append((computed, raylite.get(actor.set.remote()), raylite.get(waiting)))
    return shown


@program
def cancels_coroutines(raylite):
    @raylite.remote(max_concurrency=2)
    class Async:
        def __init__(self):
            self.seen = []

        async def wait(self, i):
            try:
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                self.seen.append(i)
                raise

        async def read(self):
            return self.seen

    actor = Async.remote()
    raylite.get(actor.read.remote())
    running, never = actor.wait.remote(1), actor.wait.remote(2)
    raylite.wait([running], timeout=0.05)
    behind = actor.wait.remote(3)
    for ref in (behind, running, never):
        raylite.cancel(ref)
    cancelled = [type_of(raylite, ref) for ref in (running, never, behind)]
    return cancelled, 1 in raylite.get(actor.read.remote()), 3 in raylite.get(actor.read.remote())


@program
def dies_with_all_its_calls(raylite):
    @raylite.remote(max_restarts=1)
    class Async:
        async def wait(self):
            await asyncio.sleep(LONG_S)

        async def leave(self):
            raylite.actor.exit_actor()

        async def crash(self):
            sys.exit(3)

        async def fine(self):
            return "fine"

    @raylite.remote(max_concurrency=3, max_restarts=1)
    class Threaded:
        def __init__(self):
            self.event = threading.Event()

        def wait(self):
            self.event.wait(LONG_S)

        def leave(self):
            raylite.actor.exit_actor()

        def crash(self):
            sys.exit(3)

        def fine(self):
            return "fine"

    shown = []
    for cls in (Async, Threaded):
        crasher, leaver = cls.remote(), cls.remote()
        raylite.get([crasher.fine.remote(), leaver.fine.remote()])
        waiting = [actor.wait.remote() for actor in (crasher, crasher, leaver)]
        raylite.wait(waiting, timeout=0.05)
        crashed, left = crasher.crash.remote(), leaver.leave.remote()
        shown.append([type_of(raylite, ref) for ref in (*waiting, crashed, left)])
        shown.append((raylite.get(crasher.fine.remote()), type_of(raylite, leaver.fine.remote())))
    return shown
