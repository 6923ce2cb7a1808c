"""The threads of a concurrency group: who comes for a call, and that nobody comes in vain."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from raylite.runtime.actor_process import Crew

LAST = SimpleNamespace(task_id=b"last")


class Work:
    """A crew whose calls, named by a byte, begin and wait until they are told to end."""

    def __init__(self, limit):
        self.begun, self.cancelled, self.n_ended = [], [], 0
        self.gates = {}
        self.crew = Crew(limit, self.serve)

    def serve(self, next_call):
        while True:
            run, gate, is_cancelled = next_call()
            if run is LAST:
                break
            (self.cancelled if is_cancelled else self.begun).append(run.task_id)
            if not is_cancelled:
                gate.wait()
        self.n_ended += 1

    def add(self, name):
        self.gates[name] = threading.Event()
        self.crew.add(SimpleNamespace(task_id=name), self.gates[name])

    def end(self, *names):
        for name in names:
            self.gates[name].set()


@pytest.fixture
def start(wait_until):
    """A function that makes the Work of a crew of `limit` threads."""
    made = []

    def make(limit):
        made.append(Work(limit))
        return made[-1]

    yield make
    for work in made:
        work.end(*work.gates)
        for _ in range(work.crew.n_threads):
            work.crew.add(LAST, None)
        wait_until(lambda work=work: work.n_ended == work.crew.n_threads)


def test_as_many_calls_as_the_limit_run_at_once_and_the_next_when_one_ends(start, wait_until):
    work = start(3)
    for name in (b"a", b"b", b"c", b"d", b"e"):
        work.add(name)
    wait_until(lambda: len(work.begun) == 3)
    assert sorted(work.begun) == [b"a", b"b", b"c"]
    assert work.crew.n_threads == 3
    work.end(b"b")
    wait_until(lambda: len(work.begun) == 4)
    assert work.begun[3] == b"d"


class Sleepers(list):
    """A list that counts how often a thread fell asleep."""

    n_appended = 0

    def append(self, bell):
        self.n_appended += 1
        super().append(bell)


@pytest.fixture
def asleep(start, wait_until):
    """The Work of a crew of four threads, all of which are asleep."""
    work, names = start(4), (b"a", b"b", b"c", b"d")
    for name in names:
        work.add(name)
    wait_until(lambda: len(work.begun) == 4)
    work.crew.asleep = Sleepers()
    work.end(*names)
    wait_until(lambda: len(work.crew.asleep) == 4)
    return work


def test_a_call_wakes_one_thread_and_no_more(asleep, wait_until):
    for number, name in enumerate((b"e", b"f", b"g")):
        assert asleep.crew.asleep.n_appended == 4 + number
        asleep.add(name)
        asleep.end(name)
        wait_until(lambda name=name: name in asleep.begun and len(asleep.crew.asleep) == 4)


def test_a_call_that_blocks_holds_up_no_other(asleep, wait_until):
    for name in (b"e", b"f", b"g"):
        asleep.add(name)
    wait_until(lambda: {b"e", b"f", b"g"} <= set(asleep.begun))
    assert len(asleep.crew.asleep) == 1


def test_nobody_is_sent_while_a_thread_is_on_its_way(asleep, wait_until):
    crew = asleep.crew
    crew.is_one_coming = True
    asleep.add(b"e")
    asleep.add(b"f")
    assert len(crew.asleep) == 4
    with crew.guard:
        crew.is_one_coming = False
        crew.send_one()
    wait_until(lambda: {b"e", b"f"} <= set(asleep.begun))


def test_one_thread_begins_calls_in_their_order(start, wait_until):
    work = start(1)
    names = [bytes([number]) for number in range(50)]
    for name in names:
        work.add(name)
    work.end(*names)
    wait_until(lambda: len(work.begun) == 50)
    assert work.begun == names


def test_a_cancelled_call_is_told_apart_if_it_has_not_begun(start, wait_until):
    work = start(1)
    for name in (b"a", b"b", b"c"):
        work.add(name)
    wait_until(lambda: work.begun == [b"a"])
    for name in (b"a", b"b", b"unknown"):
        work.crew.cancel(name)
    work.end(b"a", b"c")
    wait_until(lambda: work.begun == [b"a", b"c"])
    assert work.cancelled == [b"b"]
    assert not work.crew.cancelled
