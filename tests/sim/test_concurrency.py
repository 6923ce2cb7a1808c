"""Actors under simulation that run several calls at once: virtual threads and event loops, and their crashes."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

import raylite
from raylite import sim
from raylite.exceptions import ActorDiedError, RayError, TaskCancelledError
from tests.sim import shared


@raylite.remote
class Async:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.n = 0
        self.life = random.random()

    async def add(self, box):
        """Count, with a wait in the middle that the lock makes harmless."""
        async with self.lock:
            before = self.n
            await asyncio.sleep(random.random() / 100)
            if box:
                await box[0]
            self.n = before + 1
            return self.life, self.n

    async def stream(self, n):
        for i in range(n):
            await asyncio.sleep(0.001)
            yield i

    def plain(self, box):
        return raylite.get(box[0])

    async def read(self):
        return self.n


@raylite.remote(max_concurrency=3)
class Threaded:
    def __init__(self):
        self.lock = threading.Lock()
        self.n = 0
        self.life = random.random()

    def add(self, box):
        with self.lock:
            before = self.n
            sim.cost(random.random() / 100)
            raylite.get(box)
            self.n = before + 1
            return self.life, self.n

    def stream(self, n):
        for i in range(n):
            sim.cost(0.001)
            yield i

    def plain(self, box):
        return raylite.get(box[0])

    def read(self):
        return self.n


@raylite.remote(max_retries=-1)
def give(x):
    return x


def outcome(ref):
    try:
        return raylite.get(ref)
    except RayError as error:
        return type(getattr(error, "cause", None) or error).__name__


def run_random(seed, cls, max_restarts, max_task_retries):
    """Calls of every kind, some cancelled: (outcomes of `add`, how often one process counted at the end)."""
    rng = random.Random(seed)
    actor = cls.options(max_restarts=max_restarts, max_task_retries=max_task_retries).remote()
    adds, others = [], []
    for _ in range(16):
        kind = rng.choice(("add", "add", "waits", "stream", "plain"))
        if kind == "stream":
            others.append(list(actor.stream.remote(3))[-1])
        elif kind == "plain":
            others.append(actor.plain.remote([give.remote(1)]))
        else:
            adds.append(actor.add.remote([give.remote(1)] if kind == "waits" else []))
    cancelled = adds.pop(rng.randrange(len(adds))) if rng.random() < 0.5 else None
    if cancelled is not None:
        raylite.cancel(cancelled)
        others.append(cancelled)
    return [outcome(ref) for ref in adds], [outcome(ref) for ref in others], outcome(actor.read.remote())


def shape(seed):
    rng = random.Random(seed)
    return {
        "num_cpus": rng.choice((1, 2, 4)),
        "worker_cap": rng.choice((2, 4, 16)),
        "worker_crash": rng.choice((0.0, 0.01, 0.03)),
        "check": seed % 4 == 0,
    }


BOTH = pytest.mark.parametrize("cls", [Async, Threaded], ids=["async", "threaded"])


@BOTH
@pytest.mark.timeout(120)
def test_every_call_is_made_and_each_process_counts_it_once(cls):
    n_restarted = 0
    for seed in range(30):
        added, others, n = sim.run(run_random, seed, cls, -1, -1, seed=seed, **shape(seed)).value
        assert all(isinstance(x, tuple) for x in added) and len(set(added)) == len(added), f"seed {seed}: {added}"
        assert all(isinstance(x, tuple) or x in (1, 2, "TaskCancelledError") for x in others), f"seed {seed}: {others}"
        if shape(seed)["worker_crash"] == 0:
            assert {count for _, count in added} <= set(range(1, n + 1)), f"seed {seed}: {added}"
        n_restarted += len({life for life, _ in added}) > 1
    assert n_restarted > 1


@BOTH
def test_without_restarts_a_crash_ends_all_calls(cls):
    outcomes = set()
    for seed in range(30):
        added, others, n = sim.run(run_random, seed, cls, 0, 0, seed=seed, worker_crash=0.02, check=seed % 4 == 0).value
        assert len({x[0] for x in added if isinstance(x, tuple)}) <= 1, f"seed {seed}: {added}"
        outcomes.update(x if isinstance(x, str) else "made" for x in (*added, n))
    assert outcomes == {"made", "ActorDiedError"}


@BOTH
def test_a_run_is_repeated_event_for_event(cls):
    first, second = (
        sim.run(run_random, 3, cls, -1, -1, seed=3, worker_crash=0.02, num_cpus=2, record=True) for _ in range(2)
    )
    assert first.events == second.events and len(first.events) > 50
    assert (first.value, first.virtual_s) == (second.value, second.virtual_s)
    assert sim.run(run_random, 3, cls, -1, -1, seed=4, worker_crash=0.02, num_cpus=2).trace_hash != first.trace_hash


@BOTH
def test_in_the_end_nothing_is_left(cls):
    def program(seed):
        run_random(seed, cls, -1, -1)
        sim.current().settle()
        sizes = sim.current().sizes()
        return {name: sizes[name] for name in ("actors", "tasks", "requests", "queued")}

    for seed in range(8):
        left = sim.run(program, seed, seed=seed, worker_crash=0.02, check=True).value
        assert left == {"actors": 0, "tasks": 0, "requests": 0, "queued": 0}, f"seed {seed}"


def test_a_kill_ends_every_call_where_it_waits(log, capsys):
    def program():
        class Base:
            def note(self, name):
                shared.log.append(name)

        @raylite.remote
        class Coroutines(Base):
            async def wait(self, i):
                try:
                    await asyncio.sleep(100)
                finally:
                    self.note(f"coroutine {i}")

        @raylite.remote(max_concurrency=2)
        class Threads(Base):
            def wait(self, i):
                try:
                    sim.cost(100)
                finally:
                    self.note(f"thread {i}")

        for cls in (Coroutines, Threads):
            actor = cls.remote()
            refs = [actor.wait.remote(i) for i in range(2)]
            raylite.wait(refs, timeout=1)
            raylite.kill(actor)
            for ref in refs:
                with pytest.raises(ActorDiedError):
                    raylite.get(ref)
        return sim.current().now_s()

    assert sim.run(program).value < 50
    assert sorted(log) == ["coroutine 0", "coroutine 1", "thread 0", "thread 1"]
    assert capsys.readouterr().err == ""


def test_coroutines_wait_in_virtual_time_side_by_side():
    def program():
        @raylite.remote
        class Sleeper:
            async def nap(self, seconds):
                await asyncio.sleep(seconds)
                return asyncio.get_running_loop().time()

        sleeper = Sleeper.remote()
        ends = raylite.get([sleeper.nap.remote(3600) for _ in range(10)])
        return sim.current().now_s(), max(ends) - min(ends)

    now_s, spread_s = sim.run(program).value
    assert 3600 < now_s < 3700 and spread_s < 10


def test_threads_wait_in_virtual_time_side_by_side():
    def program(max_concurrency):
        @raylite.remote(max_concurrency=max_concurrency)
        class Sleeper:
            def nap(self):
                sim.cost(100)

        sleeper = Sleeper.remote()
        raylite.get([sleeper.nap.remote() for _ in range(6)])
        return sim.current().now_s()

    assert [round(sim.run(program, n).value / 100) for n in (2, 3, 6)] == [3, 2, 1]


def test_a_plain_method_holds_up_the_loop():
    def program():
        @raylite.remote
        class Mixed:
            def __init__(self):
                self.order = []

            def slow(self):
                sim.cost(10)
                self.order.append("slow")

            async def quick(self):
                self.order.append("quick")
                return self.order

        mixed = Mixed.remote()
        mixed.slow.remote()
        return raylite.get(mixed.quick.remote())

    assert sim.run(program).value == ["slow", "quick"]


def test_a_coroutine_that_awaits_nothing_takes_a_drawn_time_and_one_that_does_takes_no_more():
    def program(seconds):
        @raylite.remote
        class Timed:
            async def work(self):
                if seconds:
                    await asyncio.sleep(seconds)

            async def warm(self):
                pass

        timed = Timed.remote()
        raylite.get(timed.warm.remote())
        begin_s = sim.current().now_s()
        raylite.get(timed.work.remote())
        return sim.current().now_s() - begin_s

    drawn = {round(sim.run(program, 0, seed=seed).value, 9) for seed in range(10)}
    assert len(drawn) == 10 and max(drawn) > 1e-4
    assert all(1.0 < sim.run(program, 1.0, seed=seed).value < 1.02 for seed in range(5))


def test_loops_of_several_processes_do_not_meet():
    """Each has its own running loop, current task and hooks for asynchronous generators, whoever runs in between."""

    def program():
        @raylite.remote
        class Async:
            async def work(self, refs):
                loop, task = asyncio.get_running_loop(), asyncio.current_task()

                async def items():
                    for ref in refs:
                        yield raylite.get(ref)  # holds up this loop, while others run

                values = [value async for value in items()]
                return values, (loop, task) == (asyncio.get_running_loop(), asyncio.current_task())

        actors = [Async.remote() for _ in range(3)]
        return raylite.get([actor.work.remote([[give.remote(i)][0] for i in range(4)]) for actor in actors])

    assert sim.run(program, num_cpus=4).value == [([0, 1, 2, 3], True)] * 3


def test_another_thread_of_the_actor_wakes_a_loop():
    def program():
        @raylite.remote(max_concurrency=2)
        class Both:
            def __init__(self):
                self.loop = None

            def run(self):
                async def main():
                    self.loop, self.event = asyncio.get_running_loop(), asyncio.Event()
                    await self.event.wait()
                    return sim.current().now_s()

                return asyncio.run(main())

            def wake(self):
                while self.loop is None:
                    sim.cost(0.1)
                sim.cost(10.0)
                self.loop.call_soon_threadsafe(self.event.set)

        both = Both.remote()
        ref = both.run.remote()
        raylite.get(both.wake.remote())
        return raylite.get(ref)

    assert 10 < sim.run(program).value < 12


def test_cancelling_ends_coroutines_and_what_has_not_begun():
    def program():
        @raylite.remote(max_concurrency=2)
        class Async:
            async def wait(self):
                await asyncio.sleep(1000)

        @raylite.remote(max_concurrency=1, concurrency_groups={"other": 1})
        class Threads:
            def wait(self):
                sim.cost(10)
                return "waited"

        shown = []
        for cls in (Async, Threads):
            actor = cls.remote()
            refs = [actor.wait.remote() for _ in range(4)]
            raylite.wait(refs, timeout=1)
            for ref in refs[1:]:
                raylite.cancel(ref)
            shown += [outcome(ref) for ref in refs[1:]]
            raylite.cancel(refs[0])
            shown.append(outcome(refs[0]))
        return shown

    cancelled = TaskCancelledError.__name__
    assert sim.run(program).value == [cancelled] * 7 + ["waited"]
