"""explain(), stacks and the word of a call that waits for long, with real processes."""

from __future__ import annotations

import os
import threading
import time

import pytest

import raylite
from raylite.exceptions import RaySystemError
from raylite.util import debug
from tests.runtime import drivers

pytestmark = pytest.mark.timeout(60)


@raylite.remote
def until(path):
    while not os.path.exists(path):
        time.sleep(0.01)


@raylite.remote
def stuck_in_c(path):
    open(path, "w").close()
    sum(range(10**13))  # one call of C's, with the GIL


@raylite.remote
def after(*values):
    return len(values)


@raylite.remote
class Actor:
    def meet(self, others, there, path):
        open(there, "w").close()
        while not os.path.exists(path):
            time.sleep(0.01)
        return raylite.get(others[0].ping.remote())

    def alone(self, me):
        return raylite.get(me[0].ping.remote())

    def ping(self):
        return 1


def test_what_is_ready_and_what_is_no_reference(raylite_2cpu):
    found = raylite.explain(raylite.put(b"x" * 200_000))
    assert found.ready and not found.stuck and found.reason == "there"
    assert found.chain[0].size >= 200_000
    assert "is ready" in str(found) and "shared memory" in str(found)
    for wrong in (3, None, [raylite.put(1)]):
        with pytest.raises(TypeError, match="explain"):
            raylite.explain(wrong)


def test_a_task_that_runs_shows_its_stack_while_another_waits_for_it(raylite_2cpu, tmp_path, wait_until):
    ref = after.remote(until.remote(str(tmp_path / "go")))
    wait_until(lambda: raylite.explain(ref).chain[-1].stack)
    found = raylite.explain(ref)
    assert [link.reason for link in found.chain] == ["made", "arguments", "made", "runs"]
    last = found.chain[-1]
    assert last.name == "until" and last.pid and last.since_s >= 0
    assert last.stack[-1].endswith("in until") and __file__ in last.stack[-1]
    assert "until has been running" in repr(found) and last.stack[-1] in repr(found)
    (tmp_path / "go").touch()
    assert raylite.get(ref) == 1


def test_a_worker_that_hangs_in_c_with_the_gil(raylite_2cpu, tmp_path, wait_until):
    ref = stuck_in_c.remote(str(tmp_path / "there"))
    wait_until((tmp_path / "there").exists)
    wait_until(lambda: any("in stuck_in_c" in line for line in raylite.explain(ref).chain[-1].stack or ()))
    [process] = [each for each in debug.stacks() if each.task == "stuck_in_c"]
    assert process.type == "WORKER" and any("in stuck_in_c" in line for line in process.threads[0])
    raylite.cancel(ref, force=True)


def test_a_task_that_lacks_resources_names_them_and_who_has_them(raylite_2cpu, tmp_path, wait_until):
    holders = [until.options(name=f"holder {i}").remote(str(tmp_path / "go")) for i in range(2)]
    ref = after.remote()
    wait_until(lambda: raylite.explain(ref).reason == "runs")
    found = raylite.explain(ref)
    assert not found.stuck
    lacks = found.chain[1]
    assert (lacks.resource, lacks.asked, lacks.available, lacks.total) == ("CPU", 1, 0, 2)
    assert sorted(holder.name for holder in lacks.holders) == ["holder 0", "holder 1"]
    (tmp_path / "go").touch()
    raylite.get(holders)


def test_what_can_never_run_is_stuck(raylite_2cpu):
    found = raylite.explain(after.options(num_cpus=64).remote())
    assert found.stuck and found.reason == "too much"
    assert "64 CPU" in str(found)


def test_two_actors_that_wait_for_each_other(raylite_2cpu, tmp_path, wait_until):
    a, b = Actor.remote(), Actor.remote()
    refs = [
        a.meet.remote([b], str(tmp_path / "a"), str(tmp_path / "go")),
        b.meet.remote([a], str(tmp_path / "b"), str(tmp_path / "go")),
    ]
    wait_until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    (tmp_path / "go").touch()
    wait_until(lambda: raylite.explain(refs[0]).cycle)
    found = raylite.explain(refs[0])
    assert found.stuck and found.reason == "cycle"
    assert [link.name for link in found.cycle].count("Actor.meet") == 2
    assert "circle" in str(found)
    assert raylite.explain(a).ready is False


def test_from_inside_a_task_and_from_a_thread_while_the_main_thread_waits(raylite_2cpu, tmp_path, wait_until):
    @raylite.remote
    def look(refs):
        found = raylite.explain(refs[0])
        return found.reason, str(found)

    ref = until.remote(str(tmp_path / "go"))
    wait_until(lambda: raylite.explain(ref).reason == "runs")
    reason, text = raylite.get(look.remote([ref]))
    assert reason == "runs" and "until" in text

    seen = []

    def watch():
        seen.append(raylite.explain(ref).reason)
        seen.append(next(each for each in debug.stacks() if each.type == "DRIVER").threads)
        (tmp_path / "go").touch()

    thread = threading.Thread(target=watch)
    thread.start()
    raylite.get(ref)
    thread.join()
    assert seen[0] == "runs"
    assert any("test_from_inside_a_task" in line for line in seen[1][0])


def test_a_stream_that_waits_for_its_reader(raylite_2cpu, wait_until):
    @raylite.remote(num_returns="streaming", _generator_backpressure_num_objects=1)
    def items():
        yield 1
        yield 2

    stream = items.remote()
    wait_until(lambda: raylite.explain(stream.completed()).reason == "reader")
    assert "backpressure" in str(raylite.explain(stream.completed()))
    assert raylite.explain(stream).ready
    assert [raylite.get(item) for item in stream] == [1, 2]


def test_without_a_runtime(raylite_2cpu):
    ref = raylite.put(1)
    raylite.shutdown()
    with pytest.raises(RaySystemError):
        raylite.explain(ref)
    with pytest.raises(RaySystemError):
        debug.stacks()


PATIENT = """
@raylite.remote
def slow():
    time.sleep(3.5)

@raylite.remote
class Actor:
    def alone(self, me):
        return raylite.get(me[0].alone.remote(me), timeout=4)

raylite.init(num_cpus=2)
{body}
say("ready")
"""
RUNS = "raylite.get(slow.remote()); raylite.get(slow.remote())"
CIRCLE = """
a = Actor.remote()
try:
    raylite.get(a.alone.remote([a]))
except raylite.exceptions.GetTimeoutError:
    pass
"""


@pytest.mark.parametrize(("body", "words"), [(RUNS, "slow has been running"), (CIRCLE, "This is a circle")])
def test_a_call_that_waits_for_long_says_why_once(body, words, tmp_path):
    driver = drivers.start(PATIENT.format(body=body), tmp_path, env={"RAYLITE_EXPLAIN_AFTER_S": "2"})
    try:
        driver.succeed()
    finally:
        driver.clean_up()
    assert driver.stderr.count("nothing goes on") == 1, driver.stderr
    assert words in driver.stderr


def test_a_call_that_is_not_to_say_anything(tmp_path):
    driver = drivers.start(PATIENT.format(body=RUNS), tmp_path, env={"RAYLITE_EXPLAIN_AFTER_S": "0"})
    try:
        driver.succeed()
    finally:
        driver.clean_up()
    assert driver.stderr == ""
