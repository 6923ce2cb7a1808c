"""In which order an actor's calls go to its worker: per caller, by concurrency group; what cancels, limits, loses them."""

from __future__ import annotations

import itertools

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER, MS, OTHER

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


def sent(said):
    """The calls that were sent, in order."""
    return [line.split()[1] for line in said if line.startswith("call ")]


def states(host, *tasks):
    return [host.story_of(task)[-1] for task in tasks]


# ---- order per caller ------------------------------------------------------------------------------------------


def test_a_call_is_sent_at_once(alive):
    assert alive.call("c", "A") == ["call c on 2"]
    assert alive.get("c") == []
    assert alive.finish("c") == ["1 gets c: c"]
    alive.release("c", "A@")
    alive.detach(2, started=2)
    assert alive.sizes() == FUNCTION_ONLY


def test_calls_wait_for_the_creation_and_keep_their_order(wide):
    wide.create("A")
    for task in ("c1", "c2", "c3"):
        assert wide.call(task, "A") == []
    assert wide.made("A") == ["call c1 on 2", "call c2 on 2", "call c3 on 2"]
    assert states(wide, "c1", "c2", "c3") == ["RUNNING", "PLACED", "PLACED"]


def test_one_call_runs_at_a_time(alive):
    for task in ("c1", "c2", "c3"):
        alive.call(task, "A")
    assert alive.finish("c1") == []
    assert states(alive, "c2", "c3") == ["RUNNING", "PLACED"]
    alive.finish("c2")
    assert states(alive, "c2", "c3") == ["FINISHED", "RUNNING"]


def test_a_call_waits_for_its_arguments_and_those_behind_it_for_it(alive):
    alive.submit("a")
    assert alive.call("c1", "A", refs=["a"]) == []
    assert alive.call("c2", "A") == []
    assert alive.call("c3", "A") == []
    assert sent(alive.finish("a")) == ["c1", "c2", "c3"]


def test_a_later_call_whose_arguments_come_first_still_waits(alive):
    alive.submit("a")
    alive.submit("b")
    alive.call("c1", "A", refs=["a"])
    alive.call("c2", "A", refs=["b"])
    assert sent(alive.finish("b")) == []
    assert sent(alive.finish("a")) == ["c1", "c2"]


def test_calls_of_other_callers_pass_by(alive):
    alive.attach(OTHER + 10, p.CLIENT_DRIVER)
    alive.submit("a")
    alive.call("c1", "A", refs=["a"])
    assert alive.call("d1", "A", parent="another") == ["call d1 on 2"]
    assert alive.call("e1", "A", OTHER + 10, parent="a third") == ["call e1 on 2"]
    assert alive.call("c2", "A") == []


def test_the_caller_is_the_task_and_not_the_process(alive):
    alive.submit("a")
    alive.call("c1", "A", parent="one", refs=["a"])
    assert alive.call("c2", "A", 7, parent="one") == []
    assert alive.call("d1", "A", parent="two") == ["call d1 on 2"]


def test_another_actors_calls_pass_by(alive):
    alive.make("B")
    alive.submit("a")
    alive.call("c1", "A", refs=["a"])
    assert alive.call("d1", "B") == ["call d1 on 3"]


def test_a_call_may_wait_for_another_of_the_same_actor(alive):
    alive.call("c1", "A")
    assert alive.call("c2", "A", refs=["c1"]) == []
    assert alive.finish("c1") == ["call c2 on 2"]


def test_a_call_whose_argument_is_an_error_fails_and_the_next_goes_on(alive):
    alive.submit("a")
    alive.call("c1", "A", refs=["a"])
    alive.call("c2", "A")
    alive.get("c1")
    assert alive.fail("a", "boom") == ["1 gets c1: boom!", "call c2 on 2"]


def test_a_call_with_a_failed_argument_fails_at_once_whatever_comes_before_it(alive):
    alive.submit("a")
    alive.submit("b")
    alive.fail("b", "boom")
    alive.call("c1", "A", refs=["a"])
    alive.call("c2", "A", refs=["b"])
    assert alive.get("c2") == ["1 gets c2: boom!"]
    assert sent(alive.finish("a")) == ["c1"]


def test_out_of_order_a_call_waits_for_its_own_arguments_only(wide):
    wide.make("A", actor_flags=p.ACTOR_OUT_OF_ORDER)
    wide.submit("a")
    wide.call("c1", "A", refs=["a"])
    assert wide.call("c2", "A") == ["call c2 on 2"]
    assert sent(wide.finish("a")) == ["c1"]


def test_a_call_says_what_it_is(alive):
    alive.put("root!1", "argument")
    alive.call("c", "A", refs=["root!1"], name="A.method", n_returns=2, parent="caller")
    run = alive.run_of("c")
    assert (run.function, run.parent, run.n_returns, run.name) == (
        alive.object("f()"), alive.task("caller"), 2, "A.method",
    )  # fmt: skip
    assert [p.read_envelope(value.body).pickle for value in run.values] == [b"argument"]
    assert alive.last(p.CMD_RUN).flags & p.RUN_CALL


def test_a_call_submitted_again_is_the_same_call(alive):
    alive.call("c", "A")
    assert alive.call("c", "A", 7) == []
    alive.finish("c")
    alive.release("c")
    assert alive.get("c", client=7) == ["7 gets c: c"]


def test_calls_that_have_ended_can_be_repeated_once_nobody_holds_their_result(alive):
    """As in Ray: a parent that runs again calls its actors again."""
    alive.call("c", "A")
    alive.finish("c")
    alive.release("c")
    assert alive.call("c", "A", confirm=True) == ["ready for 1 []", "call c on 2"]


# ---- concurrency groups ----------------------------------------------------------------------------------------


def test_a_group_runs_as_many_as_its_limit(wide):
    wide.make("A", groups=(2,))
    for i in range(4):
        assert wide.call(f"c{i}", "A") == [f"call c{i} on 2"]
    assert states(wide, "c0", "c1", "c2", "c3") == ["RUNNING", "RUNNING", "PLACED", "PLACED"]
    wide.finish("c1")
    assert states(wide, "c0", "c2", "c3") == ["RUNNING", "RUNNING", "PLACED"]


def test_calls_may_end_in_any_order(wide):
    """The worker knows better which of them it has begun."""
    wide.make("A", groups=(1,))
    for i in range(4):
        wide.call(f"c{i}", "A")
    wide.get("c2")
    assert wide.finish("c2") == ["1 gets c2: c2"]
    assert wide.story_of("c2") == ["WAITING", "READY", "PLACED", "FINISHED"]
    wide.finish("c0")
    assert states(wide, "c1", "c3") == ["RUNNING", "PLACED"]
    wide.finish("c3")
    wide.finish("c1")


def test_groups_do_not_wait_for_each_other(wide):
    wide.make("A", groups=(1, 1))
    wide.call("c1", "A")
    wide.call("c2", "A")
    assert wide.call("d1", "A", group=1) == ["call d1 on 2 in group 1"]
    assert states(wide, "c1", "c2", "d1") == ["RUNNING", "PLACED", "RUNNING"]


@pytest.mark.parametrize("limit", [1, 3])
def test_so_many_are_sent_ahead_and_no_more(wide, limit):
    wide.make("A", groups=(limit,))
    most = limit + p.CALLS_AHEAD
    said = [wide.call(f"c{i}", "A") for i in range(most + 2)]
    assert all(said[:most])
    assert said[most:] == [[], []]
    assert states(wide, f"c{most}") == ["READY"]
    assert wide.finish("c0") == [f"call c{most} on 2"]
    assert wide.finish("c1") == [f"call c{most + 1} on 2"]
    assert wide.finish("c2") == []


def test_a_full_group_holds_up_no_other(wide):
    wide.make("A", groups=(1, 1))
    for i in range(2 + p.CALLS_AHEAD):
        wide.call(f"c{i}", "A")
    assert wide.call("d", "A", group=1) == ["call d on 2 in group 1"]


def test_a_group_there_is_not_is_rejected(alive):
    before = alive.sizes()
    assert alive.call("c", "A", group=1) == [f"reject {p.EV_SUBMIT} from 1"]
    assert alive.sizes() == before


def test_ten_thousand_calls_keep_their_order(alive):
    for i in range(10_000):
        alive.call(f"c{i}", "A")
    order = []
    for i in range(10_000):
        order += sent(alive.finish(f"c{i}"))
        alive.release(f"c{i}")
    first = 1 + p.CALLS_AHEAD
    assert order == [f"c{i}" for i in range(first, 10_000)]
    alive.release("A@")
    alive.detach(2)
    assert alive.sizes() == FUNCTION_ONLY


# ---- results ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_results_as_were_asked_for(alive, count):
    alive.call("c", "A", n_returns=count)
    names = ["c", "c.1", "c.2"][:count]
    alive.finish("c", *names) if names else alive.finish("c", count=0)
    for name in names:
        assert alive.get(name) == [f"1 gets {name}: {name}"]


def test_what_a_method_raises_is_the_result_and_the_actor_goes_on(alive):
    alive.call("c1", "A")
    alive.call("c2", "A")
    alive.get("c1")
    assert alive.fail("c1", "boom") == ["1 gets c1: boom!"]
    alive.finish("c2")
    assert alive.get("c2") == ["1 gets c2: c2"]


def test_a_method_that_raises_is_tried_again_before_those_behind_it(alive):
    for i in range(2 + p.CALLS_AHEAD):
        alive.call(f"c{i}", "A", max_retries=1 if i == 0 else 0)
    assert alive.fail("c0", "boom", retryable=True) == ["call c0 on 2 again 1"]
    assert sent(alive.finish("c1")) == [f"c{1 + p.CALLS_AHEAD}"]
    alive.get("c0")
    assert alive.fail("c0", "boom", retryable=True) == ["1 gets c0: boom!"]


def test_a_generator_method_gives_items(alive):
    alive.call("c", "A", n_returns=p.STREAMING)
    alive.next("c.1")
    assert alive.give("c.1") == ["ready for 1 []"]
    alive.give("c.2")
    alive.finish("c")
    assert alive.next("c.2") == ["ready for 1 []"]
    assert alive.next("c.3") == ["end for 1"]


def test_a_generator_whose_actor_dies_ends_with_the_error(alive):
    alive.call("c", "A", n_returns=p.STREAMING)
    alive.give("c.1")
    alive.kill("A")
    alive.next("c.1")
    assert alive.next("c.2") == ["ready for 1! []"]
    assert alive.get("c.2") == ["1 gets c.2: died!"]


def test_results_in_the_arena_cannot_be_made_again(alive):
    alive.call("c", "A")
    value = alive.in_arena(100, client=2)
    alive.finish("c", value)
    alive.lose("c")
    assert alive.get("c") == ["1 gets c: lost!"]


# ---- arguments that are lost before they are sent --------------------------------------------------------------


def arena_argument(host, task):
    """A task's result in the arena, held by the driver."""
    host.submit(task)
    host.finish(task, host.in_arena(100, client=host.runs[task].client), runtime_ns=10 * MS)


def test_a_call_whose_argument_is_lost_waits_for_it_and_those_behind_it_wait_too(wide):
    arena_argument(wide, "a")
    wide.create("A")
    wide.call("c1", "A")
    wide.call("c2", "A", refs=["a"])
    wide.call("c3", "A")
    wide.call("d1", "A", parent="another")
    wide.lose("a")
    worker = wide.runs["a"].client
    assert wide.story_of("a")[-1] == "RUNNING"
    assert sent(wide.made("A")) == ["c1", "d1"]
    assert wide.call("c4", "A") == []
    assert sent(wide.finish("a", wide.in_arena(100, client=worker))) == ["c2", "c3", "c4"]


def test_out_of_order_only_the_call_itself_waits(wide):
    arena_argument(wide, "a")
    wide.create("A", actor_flags=p.ACTOR_OUT_OF_ORDER)
    wide.call("c1", "A", refs=["a"])
    wide.call("c2", "A")
    wide.lose("a")
    assert sent(wide.made("A")) == ["c2"]
    assert sent(wide.finish("a")) == ["c1"]


def test_a_lost_argument_that_cannot_be_made_again_is_the_calls_error(wide):
    wide.put("root!1", wide.in_arena(100))
    wide.create("A")
    wide.call("c1", "A", refs=["root!1"])
    wide.call("c2", "A")
    wide.get("c1")
    wide.lose("root!1")
    assert wide.made("A") == ["call c2 on 2", "1 gets c1: lost!"]


# ---- cancelling ------------------------------------------------------------------------------------------------


def test_a_call_that_waits_for_arguments_is_cancelled_and_the_next_goes_on(alive):
    alive.submit("a")
    alive.call("c1", "A", refs=["a"])
    alive.call("c2", "A")
    alive.get("c1")
    assert alive.cancel("c1") == ["1 gets c1: cancelled!", "call c2 on 2"]
    assert sent(alive.finish("a")) == []


def test_a_call_that_waits_for_one_before_it_is_cancelled(alive):
    alive.submit("a")
    for task, refs in (("c1", ["a"]), ("c2", []), ("c3", [])):
        alive.call(task, "A", refs=refs)
    alive.get("c2")
    assert alive.cancel("c2") == ["1 gets c2: cancelled!"]
    assert sent(alive.finish("a")) == ["c1", "c3"]


def test_out_of_order_a_waiting_call_is_cancelled(wide):
    wide.make("A", actor_flags=p.ACTOR_OUT_OF_ORDER)
    wide.submit("a")
    wide.call("c", "A", refs=["a"])
    wide.get("c")
    assert wide.cancel("c") == ["1 gets c: cancelled!"]


def test_a_ready_call_is_cancelled(wide):
    wide.create("A")
    wide.call("c1", "A")
    wide.call("c2", "A")
    wide.get("c1")
    assert wide.cancel("c1") == ["1 gets c1: cancelled!"]
    assert sent(wide.made("A")) == ["c2"]


def test_a_sent_call_whose_turn_has_not_come_ends_at_once_and_the_worker_is_told(alive):
    for task in ("c1", "c2", "c3"):
        alive.call(task, "A")
    alive.get("c2")
    assert alive.cancel("c2") == ["cancel c2 on 2", "1 gets c2: cancelled!"]
    alive.finish("c1")
    assert states(alive, "c3") == ["RUNNING"]
    assert alive.finish("c2", count=0, flags=p.FINISHED_CANCELLED) == []


def test_a_cancelled_call_makes_room_for_the_next(alive):
    for i in range(2 + p.CALLS_AHEAD):
        alive.call(f"c{i}", "A")
    assert alive.cancel("c1") == ["cancel c1 on 2", f"call c{1 + p.CALLS_AHEAD} on 2"]


def test_a_running_call_ends_if_its_worker_ends_it(alive):
    alive.call("c", "A")
    alive.get("c")
    assert alive.cancel("c") == ["cancel c on 2"]
    assert alive.last(p.CMD_CANCEL).attempt == 0
    assert alive.finish("c", count=0, flags=p.FINISHED_CANCELLED) == ["1 gets c: cancelled!"]


def test_a_running_call_that_goes_on_has_its_result(alive):
    alive.call("c", "A", max_retries=1)
    alive.get("c")
    alive.cancel("c")
    assert alive.finish("c") == ["1 gets c: c"]


def test_a_cancelled_call_is_not_tried_again(alive):
    alive.call("c", "A", max_retries=1)
    alive.get("c")
    alive.cancel("c")
    assert alive.fail("c", "boom", retryable=True) == ["1 gets c: boom!"]


@pytest.mark.parametrize("started", [1, 2])
def test_a_cancelled_call_does_not_go_to_the_next_process_whether_it_was_begun_or_not(wide, started):
    wide.make("A", max_restarts=1)
    wide.call("c", "A", max_retries=1)
    wide.cancel("c")
    wide.get("c")
    assert wide.detach(2, started=started) == ["1 gets c: cancelled!", "spawn 3", "make A on 3 again 1"]


def test_the_worker_hears_which_message_brought_the_call(alive):
    alive.call("c1", "A")
    alive.call("c2", "A")
    alive.cancel("c2")
    assert alive.last(p.CMD_CANCEL).aux == alive.runs["c2"].position > alive.runs["c1"].position


def test_force_is_refused_until_the_call_has_ended(wide):
    """Be it one that is remembered, to be run again for its result."""
    wide.make("A", max_restarts=1)
    wide.call("c", "A", max_retries=1)

    def answer():
        wide.send(p.EV_CANCEL, DRIVER, object=wide.object("c"), flags=p.CANCEL_FORCE, request=99)
        return wide.last(p.CMD_READY).aux

    assert answer() == 1
    wide.finish("c")
    assert wide.story_of("c")
    assert answer() == 0


def test_force_does_not_kill_the_actor(alive):
    alive.call("c", "A")
    assert alive.cancel("c", p.CANCEL_FORCE) == ["cancel c on 2"]


def test_calls_are_cancelled_with_the_task_that_made_them(alive):
    alive.submit("parent")
    alive.call("c1", "A", parent="parent")
    alive.call("c2", "A", parent="parent")
    alive.call("d", "A")
    said = alive.cancel("parent", p.CANCEL_RECURSIVE)
    assert sorted(said) == ["cancel c1 on 2", "cancel c2 on 2", "interrupt parent on 3"]


# ---- pending calls ---------------------------------------------------------------------------------------------


def test_an_actor_takes_so_many_pending_calls_and_no_more(wide):
    wide.make("A", max_pending=2)
    for task in ("c1", "c2"):
        assert wide.call(task, "A", confirm=True) == ["ready for 1 []", f"call {task} on 2"]
    sizes = wide.sizes()
    assert wide.call("c3", "A", confirm=True) == ["ready for 1! []"]
    assert wide.commands[0].aux == p.SUBMIT_TOO_MANY
    assert wide.sizes() == sizes
    wide.finish("c1")
    assert wide.call("c3", "A", confirm=True) == ["ready for 1 []", "call c3 on 2"]


def test_calls_that_wait_count_as_pending(wide):
    wide.create("A", max_pending=1)
    assert wide.call("c1", "A", confirm=True) == ["ready for 1 []"]
    assert wide.call("c2", "A", confirm=True) == ["ready for 1! []"]


def test_a_dead_actor_takes_any_number(wide):
    """Each hears that it is dead."""
    wide.make("A", max_pending=0)
    assert wide.call("c1", "A", confirm=True) == ["ready for 1! []"]
    wide.kill("A")
    assert wide.call("c1", "A", confirm=True) == ["ready for 1 []"]
    assert wide.get("c1") == ["1 gets c1: died!"]


# ---- blocking --------------------------------------------------------------------------------------------------


def cpus(host):
    return host.node.resources()["CPU"][1] / p.UNIT


def test_a_call_that_blocks_lends_the_actors_cpu(make_host):
    host = make_host({"CPU": 1})
    host.make("A", needs={"CPU": 1})
    host.call("c", "A")
    assert cpus(host) == 0
    assert host.submit("a", 2, parent="c") == []
    assert host.get("a", client=2, task="c", flags=p.GET_LENDS) == ["spawn 3", "run a on 3"]
    assert host.finish("a") == ["2 gets a: a"]
    assert cpus(host) == 0
    host.finish("c")
    assert cpus(host) == 0


def test_two_calls_that_block_lend_it_once(make_host):
    host = make_host({"CPU": 1})
    host.make("A", needs={"CPU": 1}, groups=(2,))
    for task in ("c1", "c2"):
        host.call(task, "A")
    host.submit("a")
    host.get("a", client=2, task="c1", flags=p.GET_LENDS, request=101)
    assert cpus(host) == 0  # "a" has it
    host.get("a", client=2, task="c2", flags=p.GET_LENDS, request=102)
    host.forget(101, client=2)
    host.submit("b", max_retries=-1)
    assert host.finish("a", runtime_ns=10 * MS) == ["2 gets a: a"]
    assert cpus(host) == 0  # the actor has taken it back
    assert host.detach(2) == ["run b on 3"]


def test_a_get_begun_by_init_that_outlives_it_lends_until_it_ends(make_host):
    """Of another thread of it."""
    host = make_host({"CPU": 1})
    host.create("A", needs={"CPU": 1})
    host.attach(2)
    host.submit("a")
    assert host.get("a", client=2, task="A", flags=p.GET_LENDS) == ["spawn 3", "run a on 3"]
    host.made("A")
    assert cpus(host) == 0
    assert host.submit("b") == []
    assert host.finish("a", runtime_ns=10 * MS) == ["2 gets a: a"]
    assert cpus(host) == 0
    assert host.detach(2) == ["run b on 3"]


def test_an_actor_that_blocks_runs_nothing_in_place(make_host):
    host = make_host({"CPU": 4}, worker_cap=1)
    host.make("A")
    host.call("c", "A")
    host.submit("a", 2, parent="c")
    host.submit("b", 2, parent="c")
    assert host.get("b", client=2, task="c", flags=p.GET_LENDS | p.GET_IN_PLACE) == []
    assert host.finish("a") == ["run b on 3"]


# ---- what its worker says that is not so -----------------------------------------------------------------------


def test_a_call_that_is_declined_is_sent_again_with_its_function(alive):
    alive.call("c1", "A")
    alive.call("c2", "A")
    assert alive.run_of("c2").function_body == b""
    assert alive.declined("c2", flags=p.DECLINED_NO_FUNCTION) == ["call c2 on 2"]
    assert alive.run_of("c2").function_body


def test_an_end_of_an_earlier_attempt_does_not_count(alive):
    alive.call("c", "A", max_retries=1)
    first = alive.runs["c"]
    alive.fail("c", retryable=True)
    assert alive.finish("c", run=first) == []
    alive.get("c")
    assert alive.finish("c") == ["1 gets c: c"]


def test_an_end_told_by_another_client_does_not_count(alive):
    alive.call("c", "A")
    alive.get("c")
    assert alive.finish("c", run=alive.runs["c"]._replace(client=9)) == []


# ---- functions -------------------------------------------------------------------------------------------------


def test_a_method_travels_once_and_is_forgotten_after_its_last_use(alive):
    alive.function("m()")
    alive.call("c1", "A", function="m()")
    assert alive.run_of("c1").function_body
    alive.call("c2", "A", function="m()")
    assert not alive.run_of("c2").function_body
    alive.release("m()", "c1", "c2")
    alive.finish("c1")
    assert alive.finish("c2") == ["forget m() on 2"]


# ---- any order of events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_in_whatever_order_arguments_come_calls_begin_in_the_order_of_their_submission(alive, order):
    for task in "abc":
        alive.submit(task)
    for i, task in enumerate("abc"):
        alive.call(f"c{i}", "A", refs=[task])
        alive.call(f"d{i}", "A", refs=[task], parent="another")
    begun = [call for task in order for call in sent(alive.finish(task, runtime_ns=10 * MS))]
    assert [call for call in begun if call[0] == "c"] == ["c0", "c1", "c2"]
    assert [call for call in begun if call[0] == "d"] == ["d0", "d1", "d2"]
    assert alive.commands[0].client in (DRIVER, 2)
