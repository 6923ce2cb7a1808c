"""Cancelling calls: one that has not begun never runs, however soon its cancellation comes; one that runs can ask."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from types import SimpleNamespace

import pytest

import raylite
from raylite.actor import current_actor
from raylite.exceptions import TaskCancelledError
from raylite.runtime.actor_process import SerialActor

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


def is_canceled():
    return raylite.get_runtime_context().is_canceled()


class Calls:
    def __init__(self):
        self.ran = []

    def pid(self):
        return os.getpid()

    def note(self, name):
        self.ran.append(name)

    def noted(self):
        return self.ran

    def through(self, gate, tally):
        tally.add()
        gate.pass_through()

    def until_cancelled(self, tally):
        tally.add()
        while not is_canceled():
            time.sleep(0.001)

    def is_canceled(self):
        return is_canceled()

    def n_remembered(self):
        actor = current_actor()
        return len(actor.cancelled) + sum(len(crew.cancelled) for crew in getattr(actor, "crews", ()))


Serial = raylite.remote(Calls)
Threaded = raylite.remote(max_concurrency=2)(Calls)


@raylite.remote
class Async:
    def hold_up_the_loop(self, gate, tally):
        tally.add()
        gate.pass_through()

    async def sleep(self):
        await asyncio.sleep(1000)

    async def is_canceled(self):
        return is_canceled()

    async def n_remembered(self):
        return len(current_actor().cancelled)


def test_of_an_async_actor_together_with_the_call(gate, tally, wait_until):
    """They come to the loop at once."""
    actor = Async.remote()
    first = actor.hold_up_the_loop.remote(gate, tally)
    wait_until(tally.notes)
    ref = actor.sleep.remote()
    raylite.cancel(ref)
    gate.open()
    raylite.get(first)
    with pytest.raises(TaskCancelledError):
        raylite.get(ref, timeout=20)
    assert raylite.get(actor.n_remembered.remote()) == 0


def test_of_a_threaded_actor_together_with_the_call():
    """They come to its process at once, which is stopped meanwhile, behind another call."""
    actor = Threaded.remote()
    pid = raylite.get(actor.pid.remote())
    os.kill(pid, signal.SIGSTOP)
    try:
        first, second = actor.note.remote("first"), actor.note.remote("second")
        raylite.cancel(second)
    finally:
        os.kill(pid, signal.SIGCONT)
    raylite.get(first)
    with pytest.raises(TaskCancelledError):
        raylite.get(second)
    assert raylite.get(actor.noted.remote()) == ["first"]
    assert raylite.get(actor.n_remembered.remote()) == 0


@pytest.mark.parametrize("make", [Serial, Threaded], ids=["serial", "threaded"])
def test_nothing_is_remembered_of_a_call_that_was_cancelled_while_it_ran(make, gate, tally, wait_until):
    actor = make.remote()
    ref = actor.through.remote(gate, tally)
    wait_until(tally.notes)
    raylite.cancel(ref)
    gate.open()
    raylite.wait([ref])
    assert raylite.get(actor.n_remembered.remote()) == 0


def test_only_calls_still_to_come_are_remembered():
    """The word may come when others have run since."""
    actor = SerialActor(SimpleNamespace(client=None), SimpleNamespace(name=""), {"limits": [1]})
    actor.position, actor.running = 5, b"fifth"
    for task_id, position in ((b"fourth", 4), (b"fifth", 5), (b"sixth", 6)):
        actor.cancel(task_id, position)
    assert actor.cancelled == {b"sixth"}
    assert actor.is_running_cancelled


def test_a_call_that_runs_is_told_if_it_asks(tally, wait_until):
    actor = Serial.remote()
    ref = actor.until_cancelled.remote(tally)
    wait_until(tally.notes)
    raylite.cancel(ref)
    raylite.wait([ref], timeout=20)
    assert raylite.get(actor.is_canceled.remote(), timeout=20) is False


def test_of_calls_that_run_at_once_the_one_that_is_cancelled_is_told(tally, wait_until):
    actor = Threaded.remote()
    refs = [actor.until_cancelled.remote(tally) for _ in range(2)]
    wait_until(lambda: len(tally) == 2)
    raylite.cancel(refs[1])
    assert raylite.wait(refs, timeout=20)[0] == [refs[1]]
    assert raylite.get(actor.is_canceled.remote()) is False
    raylite.cancel(refs[0])
    raylite.get(actor.is_canceled.remote(), timeout=20)


def test_a_task_that_goes_on_after_its_interrupt_is_told(gate, tally, wait_until):
    @raylite.remote
    def goes_on():
        try:
            tally.add()
            gate.pass_through()
        except KeyboardInterrupt:
            return is_canceled()

    @raylite.remote
    def asks():
        return is_canceled()

    ref = goes_on.remote()
    wait_until(tally.notes)
    raylite.cancel(ref)
    assert raylite.get(ref) is True
    assert raylite.get([asks.remote() for _ in range(20)]) == [False] * 20


def test_the_driver_and_coroutines_cannot_ask():
    with pytest.raises(RuntimeError, match="driver"):
        is_canceled()
    with pytest.raises(RuntimeError, match="async"):
        raylite.get(Async.remote().is_canceled.remote())


def test_a_call_that_has_ended_is_left_alone_by_force_too():
    """As in Ray; also one that may be run again for its result."""
    actor = Serial.options(max_restarts=1, max_task_retries=1).remote()
    ref = actor.pid.remote()
    pid = raylite.get(ref)
    assert raylite.cancel(ref, force=True) is None
    assert raylite.get(ref) == pid == raylite.get(actor.pid.remote())
