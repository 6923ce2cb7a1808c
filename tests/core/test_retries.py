"""Attempts after the first: delays, their random share, what ends them early, and how they go with actors' calls."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import MS

SECOND = 1000 * MS


def crash(host, task):
    run = host.runs[task]
    host.attach(run.client)
    return host.detach(run.client, started=run.position)


def deadline(host):
    return host.node.deadline_ns()


def test_an_attempt_waits_for_its_time(wide):
    wide.submit("a", max_retries=3, retry_delay_ms=500)
    assert crash(wide, "a") == []
    assert wide.story_of("a")[-1] == "WAITING"
    assert deadline(wide) == wide.now_ns + 500 * MS
    assert wide.tick(499 * MS) == []
    assert wide.tick(1 * MS) == ["spawn 3", "run a on 3 again 1"]


def test_after_an_exception_too(wide):
    wide.submit("a", max_retries=3, retry_delay_ms=500, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    assert wide.fail("a", retryable=True) == []
    assert wide.tick(500 * MS) == ["run a on 2 again 1"]


def test_no_delay_is_the_default(wide):
    wide.submit("a", max_retries=3)
    assert crash(wide, "a") == ["spawn 3", "run a on 3 again 1"]


def test_the_last_failure_is_told_at_once(wide):
    wide.submit("a", max_retries=0, retry_delay_ms=500)
    wide.get("a")
    assert crash(wide, "a") == ["1 gets a: crashed!"]


def test_others_run_meanwhile(host):
    host.submit("a", max_retries=1, retry_delay_ms=500)
    host.submit("b")
    assert host.runs.keys() == {"a"}
    assert crash(host, "a") == ["spawn 3", "run b on 3"]
    host.tick(500 * MS)
    assert host.finish("b") == ["run a on 3 again 1"]


def test_attempts_come_in_the_order_of_their_times(host):
    for task, delay_ms in (("a", 300), ("b", 100), ("c", 200)):
        host.submit(task, max_retries=1, retry_delay_ms=delay_ms)
        crash(host, task)
    for task in "bca":
        assert deadline(host) == host.now_ns + 100 * MS
        assert host.tick(100 * MS)[-1].startswith(f"run {task} on")
        host.finish(task)


def jittered_ms(make_host, task, jitter):
    host = make_host()
    host.submit(task, max_retries=1, retry_delay_ms=1000, retry_jitter=jitter)
    crash(host, task)
    return (deadline(host) - host.now_ns) / MS


def test_jitter_lengthens_a_delay_by_a_share_of_it(make_host):
    delays = [jittered_ms(make_host, f"task {i}", p.UNIT // 2) for i in range(50)]
    assert len(set(delays)) == 50
    assert 1000 <= min(delays) < 1100 and 1400 < max(delays) <= 1500


def test_the_same_attempt_waits_as_long_whatever_else_happens(make_host):
    assert jittered_ms(make_host, "a", p.UNIT) == jittered_ms(make_host, "a", p.UNIT)
    assert jittered_ms(make_host, "a", 0) == 1000


def test_jitter_beyond_all_of_the_delay_is_malformed(host):
    assert host.submit("a", retry_jitter=p.UNIT + 1) == [f"reject {p.EV_SUBMIT} from 1"]


def test_a_task_that_is_put_off_can_be_cancelled(wide):
    wide.submit("a", max_retries=3, retry_delay_ms=500)
    wide.get("a")
    crash(wide, "a")
    assert wide.cancel("a") == ["1 gets a: cancelled!"]
    assert deadline(wide) == 0
    assert wide.tick(SECOND) == []


def test_what_it_waits_with_is_kept(wide):
    wide.put("root!1", "argument")
    wide.submit("a", refs=["root!1"], max_retries=3, retry_delay_ms=500)
    wide.release("root!1")
    crash(wide, "a")
    wide.tick(500 * MS)
    assert [p.read_envelope(value.body).pickle for value in wide.run_of("a").values] == [b"argument"]


def test_an_argument_lost_meanwhile_is_made_again_first(wide):
    wide.submit("a")
    wide.finish("a", wide.in_arena(100, 2))
    wide.submit("b", refs=["a"], max_retries=3, retry_delay_ms=500)
    wide.fail("b", retryable=True)
    wide.lose("a")
    wide.tick(500 * MS)
    assert "b" not in [line.split()[1] for line in wide.tick(0) if line.startswith("run")]
    assert any(line.startswith("run b on") for line in wide.finish("a", wide.in_arena(100, wide.runs["a"].client)))


def test_later_calls_of_the_same_caller_wait_for_one_that_is_put_off(alive):
    alive.call("c", "A", max_retries=3, retry_delay_ms=500, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    assert alive.fail("c", retryable=True) == []
    assert alive.call("d", "A", 1) == []
    assert alive.tick(500 * MS) == ["call c on 2 again 1", "call d on 2"]


def test_a_call_that_is_put_off_gets_its_actors_death(alive):
    alive.call("c", "A", max_retries=3, retry_delay_ms=500, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    alive.fail("c", retryable=True)
    alive.get("c")
    alive.detach(2, started=1)
    assert alive.error_of("c")[0] == p.ERROR_ACTOR_DIED
    assert deadline(alive) == 0


@pytest.mark.parametrize("delay_ms", [1, 2**32 - 1])
def test_the_shortest_and_the_longest_delay(wide, delay_ms):
    wide.submit("a", max_retries=1, retry_delay_ms=delay_ms)
    crash(wide, "a")
    assert deadline(wide) == wide.now_ns + delay_ms * MS
