"""Memory runs short: which worker goes, that it is one at a time, and what its task then gets."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import MS

SECOND = 1000 * MS


def begin(host, *tasks, **options):
    """Have each task run, a moment after the one before, on workers 2, 3, ..."""
    for task in tasks:
        host.now_ns += MS
        host.submit(task, **options)
        host.attach(host.runs[task].client, process=1000 + host.runs[task].client)


def kills(said):
    return [line for line in said if line.startswith("kill")]


def test_the_task_that_began_last_goes(wide):
    begin(wide, "a", "b", "c", max_retries=3)
    assert kills(wide.memory_short({2: 500, 3: 100, 4: 50})) == ["kill 4"]


def test_one_that_can_be_tried_again_goes_before_one_that_cannot(wide):
    begin(wide, "a", max_retries=1)
    begin(wide, "b", max_retries=0)
    assert kills(wide.memory_short({2: 50, 3: 500})) == ["kill 2"]


def test_one_that_cannot_be_tried_again_goes_if_nothing_else_does(wide):
    begin(wide, "a", "b", max_retries=0)
    assert kills(wide.memory_short({2: 50, 3: 500})) == ["kill 3"]


@pytest.mark.parametrize(
    ("max_retries", "max_restarts", "gone"), [(1, 1, "kill 3"), (0, 1, "kill 2"), (0, 0, "kill 3"), (1, 0, "kill 3")]
)
def test_actors_and_tasks(wide, max_retries, max_restarts, gone):
    """A task that comes back, an actor that comes back, a task, an actor: in this order."""
    wide.make("A", max_restarts=max_restarts)
    begin(wide, "b", max_retries=max_retries)
    assert kills(wide.memory_short({2: 500, 3: 500})) == [gone]


def test_an_actor_goes_as_the_last_resort(alive):
    assert kills(alive.memory_short({2: 500})) == ["kill 2"]


def test_a_worker_that_has_little_stays(wide):
    """One percent of the memory, 10 of 1000 MiB, is what it takes."""
    begin(wide, "a", "b", max_retries=3)
    assert kills(wide.memory_short({2: 10, 3: 9})) == ["kill 2"]


def test_a_worker_that_does_nothing_stays(wide):
    begin(wide, "a")
    wide.finish("a")
    [said] = wide.memory_short({2: 900})
    assert said.startswith("warn") and "ending no task here would free much" in said
    assert wide.memory_short({2: 900}) == []  # said once
    assert wide.memory_short({2: 900}) == []
    wide.now_ns += 61 * SECOND
    assert len(wide.memory_short({2: 900})) == 1


def test_one_goes_at_a_time(wide):
    begin(wide, "a", "b", max_retries=3)
    wide.memory_short({2: 500, 3: 400})
    assert wide.memory_short({2: 500, 3: 400}) == []
    wide.detach(3, started=1)
    assert kills(wide.memory_short({2: 500})) == ["kill 2"]


def test_the_task_comes_back_after_a_second_then_two(wide):
    begin(wide, "a", max_retries=3)
    for seconds in (1, 2, 4):
        worker = wide.runs["a"].client
        wide.memory_short({worker: 500})
        assert wide.detach(worker, started=1) == []
        assert wide.node.deadline_ns() == wide.now_ns + seconds * SECOND
        assert wide.tick(seconds * SECOND)[-1].startswith(f"run a on {worker + 1} again")
        wide.attach(worker + 1)


def test_its_own_delay_counts_if_it_is_longer(wide):
    begin(wide, "a", max_retries=3, retry_delay_ms=5000)
    wide.memory_short({2: 500})
    wide.detach(2, started=1)
    assert wide.node.deadline_ns() == wide.now_ns + 5 * SECOND


def test_with_no_retries_left_the_error_says_what_was_short(wide):
    begin(wide, "a", max_retries=0)
    begin(wide, "b", max_retries=0)
    [warning, _] = wide.memory_short({2: 200, 3: 300}, used=15 << 10, total=16 << 10, limit=14 << 10)
    wide.detach(3, started=1, why="signal 9")
    code, (function, attempt, max_retries, pid, why) = wide.error_of("b")
    assert (code, function, attempt, max_retries, pid) == (p.ERROR_OUT_OF_MEMORY, "f", "0", "0", "1003")
    assert why == (
        "its worker had 300.0 MiB when memory ran short: 15.00 GiB of 16.00 GiB were in use, more than the limit of "
        "14.00 GiB. The workers with the most: 300.0 MiB f() (pid 1003), 200.0 MiB f() (pid 1002)"
    )
    assert why in warning


def test_a_worker_that_dies_of_something_else_is_not_said_to_have(wide):
    begin(wide, "a", "b", max_retries=0)
    wide.memory_short({2: 500, 3: 400})
    wide.detach(2, started=1, why="signal 11")
    assert wide.error_of("a")[0] == p.ERROR_WORKER_CRASHED


def test_a_task_that_ended_before_its_worker_did_has_its_value(wide):
    begin(wide, "a", max_retries=0)
    wide.memory_short({2: 500})
    wide.finish("a")
    wide.detach(2, started=1)
    assert wide.get("a") == ["1 gets a: a"]


def test_an_actor_says_what_it_died_of(alive):
    alive.memory_short({2: 500})
    alive.detach(2, started=0)
    alive.call("c", "A")
    code, fields = alive.error_of("c")
    assert code == p.ERROR_ACTOR_DIED and fields[-1].startswith("its worker had 500.0 MiB when memory ran short")


@pytest.mark.parametrize("payload", [b"", bytes(23), bytes(24 + 15), bytes(25)])
def test_half_a_report_is_malformed(host, payload):
    assert host.send(p.EV_MEMORY_SHORT, payload=payload) == [f"reject {p.EV_MEMORY_SHORT} from 0"]


def test_workers_that_are_not_known_are_passed_over(wide):
    begin(wide, "a", max_retries=3)
    assert kills(wide.memory_short({2: 500, 99: 900})) == ["kill 2"]
    assert "99" not in str(wide.commands)
