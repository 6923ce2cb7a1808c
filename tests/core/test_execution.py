"""The life of a task: arguments, errors, retries, attempts that do not count, return counts, streams, resubmission."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER, MS, OTHER

LONG = 10 * MS
FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


# ---- arguments -------------------------------------------------------------------------------------------------


def test_a_task_carries_what_was_submitted(wide):
    args = p.envelope(b"arguments", kind=p.KIND_ARGUMENTS)
    wide.put("root!1", "first")
    wide.submit("a", refs=["root!1", "f()"], args=args, name="my name", n_returns=3)
    run = wide.run_of("a")
    assert (run.function, run.parent, run.n_returns, run.name) == (wide.object("f()"), p.ROOT, 3, "my name")
    assert run.args == args
    assert [p.read_envelope(value.body).pickle for value in run.values] == [b"first", b"body of f()"]


def test_a_task_runs_once_its_arguments_are_there(wide):
    wide.submit("a")
    wide.submit("b")
    assert wide.submit("c", refs=["a", "b"]) == []
    assert wide.story_of("c") == ["WAITING"]
    assert wide.finish("a", runtime_ns=LONG) == []
    assert wide.finish("b", runtime_ns=LONG) == ["run c on 3"]
    assert [p.read_envelope(value.body).pickle for value in wide.run_of("c").values] == [b"a", b"b"]


def test_an_argument_may_be_given_twice(wide):
    wide.submit("a")
    wide.submit("b", refs=["a", "a", "a"])
    assert wide.finish("a") == ["run b on 2"]
    assert len(wide.run_of("b").values) == 3


def test_references_inside_arguments_are_not_waited_for(wide):
    wide.submit("a")
    assert wide.submit("b", nested=["a"]) == ["spawn 3", "run b on 3"]


def test_the_argument_block_can_be_an_object(wide):
    wide.put("root!1", p.envelope(b"large arguments", kind=p.KIND_ARGUMENTS))
    wide.submit("a", refs=["root!1"], flags=p.SUBMIT_ARGS_OBJECT)
    assert wide.last(p.CMD_RUN).flags & p.RUN_ARGS_OBJECT


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_as_many_results_as_were_asked_for(wide, count):
    wide.submit("a", n_returns=count)
    names = ["a", *(f"a.{i}" for i in range(1, count))][:count]
    assert wide.node.sizes()["objects"] == 1 + count
    wide.finish("a", *names) if names else wide.finish("a", count=0)
    for name in names:
        assert wide.get(name) == [f"1 gets {name}: {name}"]
        wide.release(name)
    assert wide.sizes() == FUNCTION_ONLY


@pytest.mark.parametrize("n_values", [0, 1, 3])
def test_a_finish_with_another_number_of_results_is_rejected(wide, n_values):
    wide.submit("a", n_returns=2)
    values = [p.inline_value(p.envelope())] * n_values
    assert wide.send(p.EV_FINISHED, 2, object=wide.object("a"), payload=p.finished(*values)) == [
        f"reject {p.EV_FINISHED} from 2"
    ]
    assert wide.story_of("a")[-1] == "RUNNING"
    wide.finish("a", count=2)
    assert wide.get("a.1") == ["1 gets a.1: a.1"]


@pytest.mark.parametrize("n_returns", [-2, -(2**31), 2**20 + 1, 2**31 - 1])
def test_an_impossible_number_of_results_is_rejected(wide, n_returns):
    assert wide.submit("a", n_returns=n_returns) == [f"reject {p.EV_SUBMIT} from 1"]
    assert wide.sizes() == FUNCTION_ONLY


# ---- errors ----------------------------------------------------------------------------------------------------


def test_an_error_passes_to_dependents_unchanged(wide):
    wide.submit("a")
    wide.submit("b", refs=["a"])
    wide.submit("c", refs=["b"])
    assert wide.get("c", "a") == []
    assert wide.fail("a", "boom") == ["1 gets a: boom!", "1 gets c: boom!"]
    assert wide.story_of("b") == ["WAITING", "FAILED"]
    wide.release("a", "b", "c")
    assert wide.sizes() == FUNCTION_ONLY


def test_a_task_with_a_failed_argument_fails_at_submission(wide):
    wide.submit("a")
    wide.fail("a", "boom")
    wide.submit("never")
    wide.submit("b", refs=["never", "a"])
    assert wide.get("b") == ["1 gets b: boom!"]
    wide.finish("never")
    assert wide.story_of("b") == ["WAITING", "FAILED"]


def test_the_first_error_to_come_is_the_one(wide):
    wide.submit("a")
    wide.submit("b")
    wide.submit("c", refs=["a", "b", "a"])
    wide.fail("b", "second")
    wide.fail("a", "first")
    assert wide.get("c") == ["1 gets c: second!"]


def test_what_an_earlier_wait_left_behind_is_not_counted(wide):
    """The first b still stands among those that wait for y when the second one comes."""
    for task in "xyz":
        wide.submit(task)
    wide.submit("b", refs=["x", "y"])
    wide.fail("x")
    wide.release("b")
    assert wide.submit("b", refs=["y", "z"]) == []
    assert wide.finish("y") == []
    assert wide.finish("z")[0].startswith("run b")


def test_every_result_of_a_task_whose_argument_failed_is_the_error(wide):
    wide.submit("a")
    wide.submit("b", refs=["a"], n_returns=3)
    wide.fail("a", "boom")
    assert wide.get("b", "b.1", "b.2") == [f"1 gets {name}: boom!" for name in ("b", "b.1", "b.2")]


def test_an_error_runs_through_a_chain_of_any_length(host):
    """Without recursion: the stack would not hold it."""
    depth = 100_000
    host.submit("t0")
    for i in range(1, depth):
        host.submit(f"t{i}", refs=[f"t{i - 1}"])
        host.release(f"t{i - 1}")
    assert host.get(f"t{depth - 1}") == []
    assert host.fail("t0", "boom") == [f"1 gets t{depth - 1}: boom!"]
    host.release(f"t{depth - 1}")
    assert host.sizes() == FUNCTION_ONLY


def test_an_error_is_an_argument_only_for_tasks_that_waited_for_it(wide):
    """Inside a container it is the task's own affair."""
    wide.submit("a")
    wide.fail("a", "boom")
    assert wide.submit("b", nested=["a"]) == ["run b on 2"]


# ---- retries ---------------------------------------------------------------------------------------------------


def test_a_task_whose_worker_dies_is_retried(wide):
    wide.submit("a", max_retries=1)
    assert wide.detach(2, started=1) == ["spawn 3", "run a on 3 again 1"]
    wide.finish("a")
    assert wide.get("a") == ["1 gets a: a"]


def test_with_no_retry_left_the_error_says_what_happened(wide):
    wide.submit("a", max_retries=1)
    wide.attach(2)
    wide.detach(2, started=1, why="signal 11\x1fstderr")
    wide.attach(3, process=77)
    wide.get("a")
    assert wide.detach(3, started=1, why="signal 9\x1flast words") == ["1 gets a: crashed!"]
    error = p.read_envelope(wide.commands[0].payload).error
    assert error == (p.ERROR_WORKER_CRASHED, "f\x1f1\x1f1\x1f77\x1fsignal 9\x1flast words")


def test_the_name_in_the_error_is_the_tasks_own_if_it_has_one(wide):
    wide.submit("a", name="my name", max_retries=0)
    wide.get("a")
    wide.detach(2, started=1, why="exit code 1")
    assert p.read_envelope(wide.commands[0].payload).error[1] == "my name\x1f0\x1f0\x1f0\x1fexit code 1"


def test_retries_without_end(wide):
    wide.submit("a", max_retries=-1)
    for attempt in range(1, 100):
        worker = wide.runs["a"].client
        wide.attach(worker)
        assert wide.detach(worker, started=1) == [f"spawn {worker + 1}", f"run a on {worker + 1} again {attempt}"]


def test_what_a_dead_worker_had_not_begun_costs_no_retry(host):
    host.submit("first")
    host.finish("first", runtime_ns=1000)
    for task in "abc":
        host.submit(task, max_retries=0)
        host.get(task)
    host.attach(2)
    begun = host.runs["b"].position
    assert host.detach(2, started=begun - 1) == ["1 gets a: crashed!", "spawn 3", "run b on 3", "run c on 3"]
    assert host.runs["b"].attempt == 0


def test_a_retried_task_keeps_its_place(host):
    host.submit("a", max_retries=1)
    host.submit("b")
    host.attach(2)
    assert host.detach(2, started=1) == ["spawn 3", "run a on 3 again 1"]
    assert host.finish("a", runtime_ns=LONG) == ["run b on 3"]


def test_a_retryable_error_is_retried_as_often_as_allowed(wide):
    wide.submit("a", max_retries=2, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    assert wide.last(p.CMD_RUN).flags & p.RUN_RETRY_EXCEPTIONS
    wide.get("a")
    assert wide.fail("a", "one", retryable=True) == ["run a on 2 again 1"]
    assert wide.fail("a", "two", retryable=True) == ["run a on 2 again 2"]
    assert wide.fail("a", "three", retryable=True) == ["1 gets a: three!"]


def test_an_error_that_is_not_retryable_is_final(wide):
    wide.submit("a", max_retries=2, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    wide.get("a")
    assert wide.fail("a", "boom") == ["1 gets a: boom!"]


def test_a_retried_error_frees_the_block_it_lies_in(wide):
    wide.submit("a", max_retries=1)
    record = wide.in_arena(100, 2)
    flags = p.FINISHED_USER_ERROR | p.FINISHED_RETRYABLE
    assert wide.finish("a", record, flags=flags) == ["run a on 2 again 1"]
    assert wide.node.sizes()["arena_bytes"] == 0


def test_crashes_and_errors_use_the_same_retries(wide):
    wide.submit("a", max_retries=1, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    wide.fail("a", retryable=True)
    wide.attach(2)
    wide.get("a")
    assert wide.detach(2, started=2) == ["1 gets a: crashed!"]


# ---- attempts that do not count --------------------------------------------------------------------------------


def test_the_end_of_another_attempt_changes_nothing(wide):
    wide.submit("a", max_retries=1)
    first = wide.runs["a"]
    wide.fail("a", retryable=True)
    assert wide.finish("a", "stale", run=first) == []
    assert wide.story_of("a")[-1] == "RUNNING"
    wide.finish("a", "fresh")
    assert wide.get("a") == ["1 gets a: fresh"]


def test_the_end_told_by_another_worker_changes_nothing(wide):
    wide.submit("a")
    wide.submit("b")
    assert wide.finish("a", "forged", run=wide.runs["b"]) == []
    wide.finish("a", "true")
    assert wide.get("a") == ["1 gets a: true"]


def test_a_block_that_came_with_a_stale_result_is_freed(wide):
    wide.submit("a", max_retries=1)
    first = wide.runs["a"]
    wide.fail("a", retryable=True)
    record = wide.in_arena(100, 2)
    wide.finish("a", record, run=first)
    assert wide.node.sizes()["arena_bytes"] == 0


def test_a_second_end_changes_nothing(wide):
    wide.submit("a")
    wide.finish("a", "first")
    assert wide.finish("a", wide.in_arena(100, 2)) == []
    assert wide.get("a") == ["1 gets a: first"]
    assert wide.node.sizes()["arena_bytes"] == 0


def test_the_end_of_a_task_nobody_knows_changes_nothing(wide):
    wide.submit("a")
    assert wide.finish("b", run=wide.runs["a"]) == []
    assert wide.story_of("a")[-1] == "RUNNING"


# ---- streams ---------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(wide):
    """A running generator task "s"."""
    wide.submit("s", n_returns=p.STREAMING, max_retries=0)
    return wide


def test_the_reader_comes_after_the_items(stream):
    assert [stream.give(f"s.{i}") for i in (1, 2)] == [[], []]
    assert stream.next("s.1") == ["ready for 1 []"]
    assert stream.get("s.1") == ["1 gets s.1: s.1"]
    stream.next("s.2")
    assert stream.finish("s", "end") == []
    assert stream.next("s.3") == ["end for 1"]
    stream.release("s", "s.1", "s.2")
    assert stream.sizes() == FUNCTION_ONLY


def test_the_reader_comes_before_the_items(stream):
    assert stream.next("s.1") == []
    assert stream.give("s.1") == ["ready for 1 []"]
    assert stream.next("s.2") == []
    assert stream.finish("s", "end") == ["end for 1"]
    stream.release("s", "s.1")
    assert stream.sizes() == FUNCTION_ONLY


def test_a_stream_may_be_empty(stream):
    stream.finish("s", "end")
    assert stream.next("s.1") == ["end for 1"]


def test_the_generators_error_is_the_last_item(stream):
    stream.give("s.1")
    stream.fail("s", "boom")
    assert stream.next("s.1") == ["ready for 1 []"]
    assert stream.next("s.2") == ["ready for 1! []"]
    assert stream.get("s.2") == ["1 gets s.2: boom!"]
    assert stream.next("s.3", after_error=True) == ["end for 1"]
    stream.release("s", "s.1", "s.2")
    assert stream.sizes() == FUNCTION_ONLY


def test_a_waiting_reader_gets_the_error(stream):
    stream.next("s.1")
    assert stream.fail("s", "boom") == ["ready for 1! []"]
    assert stream.get("s.1") == ["1 gets s.1: boom!"]


def test_a_crash_is_the_last_item_too(stream):
    stream.give("s.1")
    stream.attach(2)
    stream.detach(2, started=1)
    assert stream.next("s.1") == ["ready for 1 []"]
    assert stream.next("s.2") == ["ready for 1! []"]
    assert stream.get("s.2") == ["1 gets s.2: crashed!"]


def test_a_retried_generator_goes_on_where_its_reader_is(wide):
    wide.submit("s", n_returns=p.STREAMING, max_retries=1)
    for i in (1, 2):
        wide.give(f"s.{i}", f"first {i}")
    wide.next("s.1")
    wide.attach(2)
    assert wide.detach(2, started=1) == ["spawn 3", "run s on 3 again 1"]
    for i in (1, 2, 3):
        wide.give(f"s.{i}", f"second {i}")
    wide.finish("s", "end")
    for i in (2, 3):
        wide.next(f"s.{i}")
    assert wide.get("s.1", "s.2", "s.3") == [
        "1 gets s.1: first 1", "1 gets s.2: first 2", "1 gets s.3: second 3"
    ]  # fmt: skip
    wide.release("s", "s.1", "s.2", "s.3")
    assert wide.sizes() == FUNCTION_ONLY


def test_an_error_that_comes_sooner_than_in_an_earlier_attempt_follows_what_that_made(wide):
    wide.submit("s", n_returns=p.STREAMING, max_retries=1)
    for i in (1, 2):
        wide.give(f"s.{i}")
    wide.attach(2)
    wide.detach(2, started=1)
    wide.give("s.1", p.envelope(b"boom", kind=p.KIND_USER_ERROR))
    wide.finish("s", "end")
    for i in (1, 2, 3):
        assert wide.next(f"s.{i}") == ["ready for 1 []"]
    assert wide.get("s.1", "s.2", "s.3") == ["1 gets s.1: s.1", "1 gets s.2: s.2", "1 gets s.3: boom!"]
    assert wide.next("s.4") == ["end for 1"]


def test_items_in_the_arena_that_are_not_needed_are_freed(wide):
    wide.submit("s", n_returns=p.STREAMING, max_retries=1)
    wide.give("s.1")
    wide.next("s.1")
    wide.release("s.1")
    wide.fail("s", retryable=True)
    wide.give("s.1", wide.in_arena(100, 2))
    assert wide.node.sizes()["arena_bytes"] == 0


def test_a_dropped_stream_frees_what_nobody_read(stream):
    stream.give("s.1", stream.in_arena(100, 2))
    stream.give("s.2")
    stream.next("s.1")
    assert stream.release("s") == []
    assert stream.get("s.2") == ["1 gets s.2: lost!"]
    assert stream.get("s.1") == ["1 gets s.1: 1+0"], "the reader has that one"
    stream.give("s.3", stream.in_arena(100, 2))
    stream.finish("s", "end")
    stream.unpin("s.1")
    stream.release("s.1")
    assert stream.sizes() == FUNCTION_ONLY


def test_a_reader_that_gives_up_leaves_no_trace(stream):
    stream.next("s.1", request=8)
    assert stream.node.sizes()["objects"] == 3
    stream.forget(8)
    assert stream.node.sizes()["objects"] == 2
    stream.next("s.5", request=9)
    stream.finish("s", "end")
    stream.release("s")
    assert stream.sizes() == FUNCTION_ONLY


def test_a_reader_that_dies_leaves_no_trace(stream):
    stream.attach(OTHER, p.CLIENT_DRIVER)
    stream.next("s.1", client=OTHER)
    stream.detach(OTHER)
    stream.finish("s", "end")
    stream.release("s")
    assert stream.sizes() == FUNCTION_ONLY


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_an_item_that_was_read_and_released_is_an_error_not_the_end(stream, ended):
    """A second reader, or the first one run again, must not take the stream for a shorter one."""
    stream.give("s.1")
    stream.next("s.1")
    stream.release("s.1")
    if ended:
        stream.finish("s", "end")
    assert stream.next("s.1") == ["ready for 1! []"]
    assert stream.get("s.1") == ["1 gets s.1: lost!"]
    assert stream.next("s.2", after_error=True) == ["end for 1"]


def test_a_stream_nobody_knows_is_an_error(wide):
    assert wide.next("x.1") == ["ready for 1! []"]
    assert wide.get("x.1") == ["1 gets x.1: lost!"]


def test_items_belong_to_the_stream_until_they_are_read(stream):
    stream.give("s.1", stream.in_arena(100, 2))
    stream.finish("s", "end")
    stream.release("s")
    assert stream.sizes() == FUNCTION_ONLY


def test_many_unread_items_are_read_in_order(stream):
    count = 20_000
    for i in range(1, count + 1):
        stream.give(f"s.{i}", "item")
    stream.finish("s", "end")
    for i in range(1, count + 1):
        assert stream.next(f"s.{i}") == ["ready for 1 []"]
        stream.release(f"s.{i}")
    stream.release("s")
    assert stream.sizes() == FUNCTION_ONLY


def test_an_item_cannot_be_the_stream_itself(stream):
    item = {"object": stream.object("s"), "payload": p.inline_value(p.envelope())}
    assert stream.send(p.EV_YIELDED, 2, **item) == [f"reject {p.EV_YIELDED} from 2"]
    assert stream.send(p.EV_NEXT, DRIVER, request=1, object=stream.object("s")) == [f"reject {p.EV_NEXT} from 1"]


def test_a_task_that_is_no_generator_yields_nothing(wide):
    wide.submit("a", n_returns=2)
    assert wide.give("a.1", wide.in_arena(100, 2)) == []
    assert wide.node.sizes()["arena_bytes"] == 0


# ---- the same task again ---------------------------------------------------------------------------------------


def test_a_task_submitted_again_is_that_task(wide):
    wide.submit("a")
    assert wide.submit("a") == []
    assert wide.node.sizes()["tasks"] == 1
    wide.finish("a")
    assert wide.submit("a") == [], "its result is there"
    wide.release("a")
    assert wide.submit("a") == ["run a on 2"], "nothing of it is left"


def test_who_submits_again_holds_the_results(wide):
    wide.attach(OTHER, p.CLIENT_DRIVER)
    wide.submit("a", n_returns=2)
    wide.submit("a", OTHER, n_returns=2)
    wide.release("a", "a.1")
    wide.finish("a", count=2)
    assert wide.get("a.1", client=OTHER) == ["2 gets a.1: a.1"]


def test_a_repetition_cannot_claim_more_results(wide):
    wide.submit("a", n_returns=1)
    wide.submit("a", n_returns=5)
    assert wide.node.sizes()["objects"] == 2


def test_confirmation(wide):
    assert wide.submit("a", confirm=True, digest=7) == ["ready for 1 []", "spawn 2", "run a on 2"]
    assert wide.submit("a", confirm=True, digest=7) == ["ready for 1 []"]


def test_another_task_under_the_same_id_is_refused_and_said(wide):
    wide.attach(OTHER, p.CLIENT_DRIVER)
    wide.submit("a", digest=7)
    assert wide.submit("a", OTHER, confirm=True, digest=8) == ["ready for 2! []"]
    wide.release("a")
    wide.finish("a")
    assert wide.sizes() == FUNCTION_ONLY, "and who was refused holds nothing"


def test_a_stream_submitted_again_is_that_stream_until_it_has_items(wide):
    """Whoever submits it anew reads it from its first item, and that may have been read and released."""
    wide.submit("s", n_returns=p.STREAMING)
    assert wide.submit("s", confirm=True, n_returns=p.STREAMING) == ["ready for 1 []"]
    wide.give("s.1")
    assert wide.submit("s", confirm=True, n_returns=p.STREAMING) == ["ready for 1! []"]
    wide.finish("s", "end")
    assert wide.submit("s", confirm=True, n_returns=p.STREAMING) == ["ready for 1! []"]


def test_a_finished_task_submitted_again_runs_again_if_results_are_gone(wide):
    wide.submit("a", n_returns=2)
    wide.finish("a", wide.in_arena(100, 2), "small")
    wide.release("a.1")
    assert wide.submit("a", n_returns=2) == ["run a on 2 again 1"]
    wide.finish("a", wide.in_arena(100, 2), "small again")
    assert wide.get("a", "a.1") == ["1 gets a: 1+0", "1 gets a.1: small again"]


# ---- cancelling ------------------------------------------------------------------------------------------------


def test_a_waiting_task_is_cancelled_at_once(wide):
    wide.submit("a")
    wide.submit("b", refs=["a", "a"])
    wide.submit("c", refs=["b"])
    wide.get("c")
    assert wide.cancel("b") == ["1 gets c: cancelled!"]
    assert wide.finish("a") == []
    assert wide.story_of("b") == ["WAITING", "CANCELLED"]


def test_a_ready_task_is_cancelled_at_once(host):
    host.submit("a")
    host.submit("b")
    host.cancel("b")
    assert host.finish("a", runtime_ns=LONG) == []
    assert host.get("b") == ["1 gets b: cancelled!"]


def test_a_running_task_is_interrupted(wide):
    wide.submit("a")
    assert wide.cancel("a") == ["interrupt a on 2"]
    assert wide.last(p.CMD_INTERRUPT).attempt == 0
    wide.finish("a", p.envelope(b"cancelled", kind=p.KIND_USER_ERROR), flags=p.FINISHED_CANCELLED)
    assert wide.story_of("a")[-1] == "CANCELLED"
    assert wide.get("a") == ["1 gets a: cancelled!"]


def test_a_cancelled_task_may_leave_its_results_to_the_node(wide):
    wide.submit("a", n_returns=2)
    wide.cancel("a")
    wide.get("a", "a.1")
    assert wide.finish("a", flags=p.FINISHED_CANCELLED, count=0) == ["1 gets a: cancelled!", "1 gets a.1: cancelled!"]


def test_a_task_that_ends_before_the_interrupt_reaches_it_has_its_result(wide):
    wide.submit("a")
    wide.cancel("a")
    wide.finish("a")
    assert wide.get("a") == ["1 gets a: a"]


def test_by_force_the_worker_is_killed_and_nothing_retried(wide):
    wide.submit("a", max_retries=5)
    assert wide.cancel("a", p.CANCEL_FORCE) == ["kill 2"]
    wide.get("a")
    assert wide.detach(2, started=1) == ["1 gets a: cancelled!"]


def test_a_cancelled_task_is_not_retried_after_an_exception(wide):
    wide.submit("a", max_retries=5)
    wide.cancel("a")
    wide.get("a")
    assert wide.fail("a", "interrupted", retryable=True) == ["1 gets a: interrupted!"]


@pytest.fixture
def queued(host):
    """Task "b" in the queue of worker 2, which runs "a"."""
    host.submit("first")
    host.finish("first", runtime_ns=1000)
    host.submit("a", max_retries=0)
    host.submit("b")
    return host


@pytest.mark.parametrize("flags", [0, p.CANCEL_FORCE], ids=["gently", "by force"])
def test_a_queued_task_is_taken_back_and_cancelled(queued, flags):
    """The task before it in the queue has nothing to do with it, least of all by force."""
    queued.get("b")
    assert queued.cancel("b", flags) == ["recall 2"]
    assert queued.recalled(2, started=queued.runs["a"].position) == ["1 gets b: cancelled!"]
    queued.finish("a")
    assert queued.get("a") == ["1 gets a: a"]


@pytest.mark.parametrize(("flags", "said"), [(0, "interrupt b on 2"), (p.CANCEL_FORCE, "kill 2")])
def test_a_queued_task_that_could_not_be_taken_back_is_stopped_when_it_runs(queued, flags, said):
    queued.cancel("b", flags)
    assert queued.recalled(2, started=queued.runs["b"].position) == []
    assert queued.finish("a") == [said]


def test_a_queued_task_that_is_cancelled_does_not_go_elsewhere_when_its_worker_dies(queued):
    queued.cancel("b")
    queued.get("b")
    assert queued.detach(2, started=queued.runs["a"].position) == ["1 gets b: cancelled!"]


def test_a_worker_that_is_killed_gets_no_more_work_and_gives_back_what_it_has_not_begun(queued):
    assert queued.cancel("a", p.CANCEL_FORCE) == ["recall 2", "kill 2"]
    assert queued.recalled(2, started=queued.runs["a"].position) == []
    assert queued.submit("c") == []
    assert queued.detach(2, started=queued.runs["a"].position) == ["spawn 3", "run b on 3", "run c on 3"]
    assert queued.runs["b"].attempt == 0


def test_cancelling_reaches_the_tasks_that_a_task_submitted(wide):
    wide.submit("a")
    wide.submit("b", 2, parent="a")
    wide.submit("c", 3, parent="b", needs={"CPU": 100})
    wide.submit("d", 3, parent="b", refs=["c"])
    wide.submit("other")
    assert wide.cancel("a", p.CANCEL_RECURSIVE) == ["interrupt a on 2", "interrupt b on 3"]
    assert wide.get("c", "d") == ["1 gets c: cancelled!", "1 gets d: cancelled!"]
    assert wide.story_of("other")[-1] == "RUNNING"


def test_without_recursion_children_go_on(wide):
    wide.submit("a")
    wide.submit("b", 2, parent="a")
    assert wide.cancel("a") == ["interrupt a on 2"]


def test_ids_forged_into_a_circle_do_not_hang_it(wide):
    wide.submit("a", parent="b")
    wide.submit("b", parent="a")
    assert set(wide.cancel("a", p.CANCEL_RECURSIVE)) == {"interrupt a on 2", "interrupt b on 3"}


def test_cancelling_what_has_ended_or_is_unknown_changes_nothing(wide):
    wide.submit("a")
    wide.finish("a", wide.in_arena(100, 2))
    assert wide.cancel("a", p.CANCEL_FORCE) == wide.cancel("nothing") == []
    assert wide.get("a") == ["1 gets a: 1+0"]


# ---- the story -------------------------------------------------------------------------------------------------


def test_the_story_tells_each_change_and_its_cause(host):
    host.now_ns = 5
    host.submit("a")
    host.now_ns = 9
    host.finish("a", runtime_ns=3)
    story = [each for each in host.node.story() if each["task"] == host.task("a").hex()]
    assert [(each["from"], each["to"], each["time_ns"], each["cause"]) for each in story] == [
        ("NONE", "WAITING", 5, p.EV_SUBMIT),
        ("WAITING", "READY", 5, p.EV_SUBMIT),
        ("READY", "RUNNING", 5, p.EV_SUBMIT),
        ("RUNNING", "FINISHED", 9, p.EV_FINISHED),
    ]
    assert [(each["worker"], each["attempt"], each["duration_ns"], each["function"]) for each in story[2:]] == [
        (2, 0, 0, "f"),
        (2, 0, 3, "f"),
    ]


def test_the_story_keeps_the_last_of_what_happened(make_host):
    host = make_host(story_capacity=5)
    for task in "ab":
        host.submit(task)
        host.finish(task)
    assert [each["to"] for each in host.node.story()] == ["FINISHED", "WAITING", "READY", "RUNNING", "FINISHED"]


def test_no_story_if_none_is_wanted(make_host):
    host = make_host(story_capacity=0)
    host.submit("a")
    assert host.node.story() == []
