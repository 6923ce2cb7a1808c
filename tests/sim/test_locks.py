"""Locks and queues of the standard library under simulation: who waits for one lets virtual time pass."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import io
import multiprocessing.pool
import pdb
import queue
import sys
import threading
import time

import pytest

import raylite
from raylite import sim
from raylite.exceptions import ActorDiedError
from raylite.runtime.client import current_client
from tests.sim import shared
from tests.sim.test_concurrency import outcome


def several(method, n_threads=4, n_calls=None, seed=0, **options):
    """What `n_calls` calls of method(self, i) give, run at once by an actor; and when the last has ended, in seconds."""

    def program():
        actor = raylite.remote(max_concurrency=n_threads)(type("Several", (), {"run": method})).remote()
        values = raylite.get([actor.run.remote(i) for i in range(n_calls or n_threads)])
        return values, sim.current().now_s()

    return sim.run(program, seed=seed, **options).value


def once(self, make):
    """An attribute of the actor's own, made by the first who asks."""
    if not hasattr(self, "made"):
        self.made = make()
    return self.made


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading.Semaphore, threading.Condition])
def test_one_at_a_time_has_it(make):
    def work(self, i):
        lock = once(self, make)
        with lock:
            self.inside = getattr(self, "inside", 0) + 1
            time.sleep(1)
            assert self.inside == 1
            self.inside -= 1
        return i

    values, end_s = several(work)
    assert values == [0, 1, 2, 3] and 4 < end_s < 4.5


def test_whom_a_lock_goes_to_is_drawn():
    def work(self, i):
        with once(self, threading.Lock):
            time.sleep(0.1)
            self.order = [*getattr(self, "order", []), i]
        return list(self.order)

    orders = {tuple(max(several(work, seed=seed)[0], key=len)) for seed in range(20)}
    assert len(orders) > 3 and all(sorted(order) == [0, 1, 2, 3] for order in orders)


def test_who_takes_it_again_and_again_leaves_it_to_others_too():
    def work(self, i):
        lock = once(self, threading.Lock)
        for _ in range(1000):
            with lock:
                if i == 1:
                    self.had = True
                    return None
                time.sleep(0.001)
                if getattr(self, "had", False):
                    return "shared"

    for seed in range(5):
        assert several(work, 2, seed=seed)[0] == ["shared", None]


def test_an_rlock_belongs_to_one_virtual_thread():
    def work(self, i):
        lock = once(self, threading.RLock)
        if i == 1:
            time.sleep(0.5)
            refused = lock.acquire(blocking=False), lock.acquire(timeout=0.1)
            with pytest.raises(RuntimeError, match="un-acquired"):
                lock.release()
            with lock, lock:
                return refused, time.monotonic()
        with lock, lock:
            condition = threading.Condition(lock)
            condition.wait(timeout=0.1)  # gives it up, however often it was taken
            time.sleep(2)
        return None

    _, (refused, taken_s) = several(work, 2)[0]
    begin_s = sim.run(time.monotonic).value
    assert refused == (False, False) and 2 < taken_s - begin_s < 3


def test_timeouts_are_virtual():
    def work(self, i):
        lock = once(self, threading.Lock)
        if i == 0:
            with lock:
                time.sleep(10)
            return None
        time.sleep(0.1)
        begin = time.monotonic()
        return lock.acquire(timeout=3), lock.acquire(False), lock.locked(), round(time.monotonic() - begin, 2)

    assert several(work, 2)[0] == [None, (False, False, True, 3.0)]


def test_wrong_arguments_are_refused_as_elsewhere():
    def errors():
        lock, found = threading.Lock(), []
        for args in ((False, 1), (True, -2), (True, "x"), (True, 1, 2)):
            try:
                lock.acquire(*args)
            except (TypeError, ValueError) as error:
                found.append(type(error))
        for make in (threading.Lock, threading.RLock):
            with pytest.raises(RuntimeError):
                make().release()
        return found

    assert sim.run(errors).value == errors() == [ValueError, ValueError, TypeError, TypeError]


@pytest.mark.parametrize("make", [queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue])
def test_queues_pass_things_on(make):
    def work(self, i):
        items = once(self, make)
        if i < 2:
            for n in range(3):
                time.sleep(1)
                items.put((i, n))
            return []
        found = [items.get() for _ in range(3)]
        with pytest.raises(queue.Empty):
            make().get(timeout=5)
        return found

    values, end_s = several(work)
    assert sorted(values[2] + values[3]) == [(i, n) for i in range(2) for n in range(3)]
    assert 8 < end_s < 8.5


def test_a_full_queue_holds_up_who_puts():
    def work(self, i):
        items = once(self, lambda: queue.Queue(maxsize=1))
        if i == 0:
            for n in range(4):
                items.put(n)
            items.join()
            return time.monotonic()
        for _ in range(4):
            time.sleep(1)
            items.get()
            items.task_done()

    joined_s = several(work, 2)[0][0]
    assert 4 < joined_s - sim.run(time.monotonic).value < 4.5


def test_events_barriers_and_conditions():
    def work(self, i):
        event, barrier, condition = once(
            self, lambda: (threading.Event(), threading.Barrier(4), threading.Condition(threading.Lock()))
        )
        time.sleep(i)
        barrier.wait()
        met_s = time.monotonic()
        if i == 0:
            time.sleep(1)
            event.set()
        assert event.wait(timeout=5)
        with condition:
            self.n = getattr(self, "n", 0) + 1
            condition.notify_all()
            assert condition.wait_for(lambda: self.n == 4, timeout=5)
        return met_s

    met, end_s = several(work)
    assert max(met) - min(met) < 0.01 and 4 < end_s < 4.5


def test_the_driver_waits_for_what_it_shares_with_tasks(monkeypatch):
    """A module's globals are one for all virtual processes, so are the locks among them."""
    monkeypatch.setattr(shared, "words", queue.Queue(), raising=False)

    def program():
        @raylite.remote
        def work():
            time.sleep(5)
            shared.words.put("done")

        ref = work.remote()
        with pytest.raises(queue.Empty):
            shared.words.get(timeout=1)
        return shared.words.get(), sim.current().now_s(), ref

    word, now_s, _ = sim.run(program).value
    assert word == "done" and 5 < now_s < 5.5


def test_a_deadlock_says_who_waits_where():
    def program():
        @raylite.remote(max_concurrency=2)
        class Knot:
            def __init__(self):
                self.locks = threading.Lock(), threading.Lock()
                self.items = queue.Queue()

            def tie(self, i):
                with self.locks[i]:
                    time.sleep(1)
                    with self.locks[1 - i]:
                        pass

            def empty(self):
                self.items.get()

        @raylite.remote
        class Async:
            async def never(self):
                await asyncio.Event().wait()

        knot, other, coroutine = Knot.remote(), Knot.remote(), Async.remote()
        raylite.get([knot.tie.remote(0), knot.tie.remote(1), other.empty.remote(), coroutine.never.remote()])

    with pytest.raises(sim.DeadlockError) as caught:
        sim.run(program, seed=5)
    text = str(caught.value)
    assert text.count("Knot.tie") == 4 and text.count("in a lock at test_locks.py:") == 2 and ", in tie" in text
    assert "get at test_locks.py:" in text and ", in empty" in text
    assert "in an await at test_locks.py:" in text and ", in never" in text


def test_the_driver_in_a_deadlock_is_told_where():
    with pytest.raises(sim.DeadlockError, match=r"the driver waits in (Queue\.)?get at test_locks.py:\d+, in <lambda>"):
        sim.run(lambda: queue.Queue().get())
    lock = threading.Lock()
    with pytest.raises(sim.DeadlockError, match=r"the driver waits in a lock at test_locks.py:\d+, in twice"):

        def twice():
            with lock, lock:
                pass

        sim.run(twice)
    assert not lock.locked()


def test_who_dies_leaves_the_lock_to_others(log, monkeypatch):
    monkeypatch.setattr(shared, "lock", threading.Lock(), raising=False)

    def program():
        @raylite.remote(max_retries=0)
        def hold(seconds):
            with shared.lock:
                shared.log.append("has it")
                sim.cost(seconds)

        first = hold.remote(100)
        raylite.wait([first], timeout=1)
        waiting, last = hold.remote(1), hold.remote(2)
        raylite.wait([waiting], timeout=1)
        raylite.cancel(waiting, force=True)
        raylite.cancel(first)
        raylite.get(last)
        return sim.current().now_s(), shared.lock.locked()

    now_s, locked = sim.run(program, num_cpus=3).value
    assert now_s < 6 and not locked and log == ["has it", "has it"]


def test_who_dies_just_before_it_takes_the_lock_leaves_it_to_the_next(log, monkeypatch):
    monkeypatch.setattr(shared, "lock", threading.Lock(), raising=False)
    monkeypatch.setattr(shared, "numbers", [], raising=False)

    def program():
        @raylite.remote(max_retries=0, num_cpus=0)
        def wait():
            shared.numbers.append(current_client().client_number())
            with shared.lock:
                shared.log.append("has it")

        refs = [wait.remote() for _ in range(2)]
        shared.lock.acquire()
        raylite.wait(refs, timeout=1)
        shared.lock.release()
        sim.current().kill_worker(shared.numbers[0])  # it may have been woken in this instant
        return [outcome(ref) for ref in refs]

    for seed in range(8):
        shared.numbers.clear()
        outcomes = sim.run(program, seed=seed, worker_cap=4).value
        assert sorted(outcomes, key=str) == [None, "WorkerCrashedError"], f"seed {seed}"
    assert log == ["has it"] * 8 and not shared.lock.locked()


def test_a_cancelled_task_leaves_the_line(log, monkeypatch):
    monkeypatch.setattr(shared, "event", threading.Event(), raising=False)

    def program():
        @raylite.remote
        def wait():
            try:
                shared.event.wait()
            except KeyboardInterrupt:
                shared.log.append("interrupted")
                raise

        ref = wait.remote()
        raylite.wait([ref], timeout=1)
        raylite.cancel(ref)
        with pytest.raises(raylite.exceptions.TaskCancelledError):
            raylite.get(ref)

    sim.run(program)
    assert log == ["interrupted"]


def test_a_task_that_starts_a_thread_is_told_what_to_do_instead():
    starts = {
        "thread": lambda: threading.Thread(target=print).start(),
        "timer": lambda: threading.Timer(1, print).start(),
        "low level": lambda: _thread.start_new_thread(print, ()),
        "executor": lambda: concurrent.futures.ThreadPoolExecutor().submit(print),
        "pool": lambda: multiprocessing.pool.ThreadPool(1),
        "asyncio": lambda: asyncio.run(asyncio.to_thread(print)),
    }

    def program(name):
        @raylite.remote
        def task():
            starts[name]()

        n_threads = threading.active_count()
        with pytest.raises(RuntimeError, match=r"cannot start another.*max_concurrency.*virtual_time=False"):
            raylite.get(task.remote())
        return threading.active_count() - n_threads

    for name in starts:
        assert sim.run(program, name).value == 0, name


def test_the_driver_may_start_threads_and_wait_for_them():
    def program():
        items = queue.Queue()

        def work():
            while (x := items.get()) is not None:
                results.put(x * 2)
            results.put("end")

        results, lock = queue.SimpleQueue(), threading.Lock()
        thread = threading.Thread(target=work)
        thread.start()
        for x in (1, 2, None):
            items.put(x)
        found = [results.get() for _ in range(3)]
        thread.join()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found += pool.map(lambda x: x + lock.locked(), range(3))
        return found

    assert sim.run(program).value == [2, 4, "end", 0, 1, 2]


def test_a_lock_that_another_thread_has_is_waited_for(monkeypatch):
    held, go, lock = threading.Event(), threading.Event(), threading.Lock()
    monkeypatch.setattr(shared, "locks", (go, lock), raising=False)

    def hold():
        with lock:
            held.set()
            go.wait(20)
            time.sleep(0.05)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)

    def program():
        @raylite.remote
        def take():
            threading.Event().wait(timeout=5)
            shared.locks[0].set()
            with shared.locks[1]:
                return "taken"

        return raylite.get(take.remote())

    assert sim.run(program).value == "taken"
    thread.join()


def test_locks_are_as_before_in_the_end():
    lock, items = threading.Lock(), queue.Queue()

    def program():
        lock.acquire()
        items.put(1)

    sim.run(program)
    begin = time.monotonic()
    assert not lock.acquire(timeout=0.05) and time.monotonic() - begin >= 0.04
    threading.Timer(0.02, lock.release).start()
    assert lock.acquire(timeout=20) and items.get(timeout=1) == 1
    condition = threading.Condition()
    with condition:
        assert not condition.wait(timeout=0.01)


def test_they_can_be_left_as_they_are():
    def program():
        @raylite.remote
        def task():
            answers = []
            thread = threading.Thread(target=lambda: answers.append(threading.Event().wait(0.01)))
            thread.start()
            thread.join()
            return answers

        return raylite.get(task.remote())

    assert sim.run(program, virtual_time=False).value == [False]


def test_a_debugger_stays_with_the_task_that_it_was_called_in(monkeypatch):
    said = io.StringIO()
    commands = io.StringIO("p x\nn\nn\nn\np y\nc\n")
    monkeypatch.setattr(shared, "terminal", {"stdin": commands, "stdout": said}, raising=False)

    def program():
        @raylite.remote
        def other(x):
            assert not isinstance(getattr(sys.gettrace(), "__self__", None), pdb.Pdb)
            return x + 1

        @raylite.remote
        def task():
            x = 20
            pdb.Pdb(**shared.terminal, readrc=False).set_trace()
            y = raylite.get(other.remote(x))
            y += 1
            return y

        return raylite.get([task.remote(), other.remote(1)])

    assert sim.run(program).value == [22, 2]
    text = said.getvalue()
    assert "20\n" in text and "22\n" in text and "in other" not in text and "other()" not in text
    assert "y = raylite.get(other.remote(x))" in text and "return y" in text


def test_an_actor_that_dies_has_left_its_locks(log):
    def program():
        @raylite.remote(max_concurrency=3)
        class Holder:
            def __init__(self):
                self.lock = threading.RLock()
                self.items = queue.Queue()

            def hold(self):
                try:
                    with self.lock:
                        time.sleep(100)
                finally:
                    shared.log.append("left")

            def get(self):
                try:
                    return self.items.get()
                finally:
                    shared.log.append("left")

        holder = Holder.remote()
        refs = [holder.hold.remote(), holder.hold.remote(), holder.get.remote()]
        raylite.wait(refs, timeout=1)
        raylite.kill(holder)
        for ref in refs:
            with pytest.raises(ActorDiedError):
                raylite.get(ref)

    sim.run(program)
    assert log == ["left"] * 3
