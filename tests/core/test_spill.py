"""Tasks that run on other nodes: who asks, what travels when, how results come back, what happens when one of both dies."""

from __future__ import annotations

import struct

import pytest

from tests.core import protocol as p
from tests.core.neighbours import ENTRY_ANSWER, ENTRY_RERUN, OP_DONE, STORE_STALE, STORE_UNKNOWN, A, B, C, Neighbour
from tests.core.store_protocol import COMMIT_HEADER

GPU = {"GPU": 1}


@pytest.fixture
def pair():
    """Two nodes: a without a GPU, and b with one."""
    a = Neighbour(A, {"CPU": 1})
    b = Neighbour(B, {"CPU": 1, "GPU": 1}).named_by(a)
    yield a, b
    a.node.check_invariants()
    b.node.check_invariants()


def given(pair, task="t", **options):
    """A task that a gives b, and that runs there; nothing is acknowledged yet."""
    a, b = pair
    a.submit(task, needs=GPU, **options)
    a.placed(task, B)
    a.acknowledged(0)
    b.hears(a)
    if task in b.runs:
        b.attach(b.runs[task].client)
    return a, b


# ---- one task --------------------------------------------------------------------------------------------------


def test_a_task_that_this_node_can_never_run_goes_where_a_scheduler_says(pair):
    a, b = pair
    assert "asks: t" in a.submit("t", needs=GPU)
    assert a.placed("t", B) == ["store: commit t", "store: put f()", "to 2: task t"]
    assert b.hears(a) == ["spawn 2 gpus 0", "run t on 2 gpus 0"]
    assert b.run_of("t").function_body
    b.attach(2)
    assert b.finish("t") == []  # nothing leaves before its lineage is committed
    assert a.acknowledged() == ["to 2: committed t"]
    assert b.hears(a) == ["store: done t"]
    assert b.acknowledged() == ["to 1: result of t: t"]
    assert a.get("t") == []
    assert a.hears(b) == ["1 gets t: t"]
    assert a.story_of("t") == ["WAITING", "SPILLED", "FINISHED"]


def test_a_result_that_comes_after_the_commit_leaves_at_once(pair):
    a, b = given(pair)
    a.acknowledged()
    assert b.hears(a) == []
    assert b.finish("t") == ["store: done t"]
    assert b.acknowledged() == ["to 1: result of t: t"]


def test_a_function_travels_once(pair):
    a, b = given(pair)
    a.acknowledged()
    b.hears(a)
    b.finish("t")
    a.submit("u", needs=GPU)
    assert a.placed("u", B) == ["store: commit u", "to 2: task u"]
    assert b.hears(a) == ["run u on 2 gpus 0"]


def test_nodes_that_have_sent_each_other_a_function_both_let_go_of_it():
    a, b = Neighbour(A, {"CPU": 1, "a": 1}), Neighbour(B, {"CPU": 1, "b": 1})
    b.named_by(a)
    for here, there, place, needs in ((a, b, B, {"b": 1}), (b, a, A, {"a": 1})):
        here.submit(f"t{place}", needs=needs)
        here.placed(f"t{place}", place)
        here.acknowledged()
        there.hears(here)
        there.attach(there.runs[f"t{place}"].client)
        there.finish(f"t{place}")
        there.acknowledged()
        here.hears(there)
        here.release(f"t{place}")
    for here in (a, b):
        here.release("f()")
        here.acknowledged()
        here.acknowledged()
    a.hears(b)
    b.hears(a)
    assert "functions" not in a.sizes() and "functions" not in b.sizes()


def test_a_scheduler_may_say_that_the_task_stays(pair):
    a, _ = pair
    for i in range(30):  # each taken to last a millisecond, as none has run
        a.submit(f"t{i}")
    assert a.submit("u")[-1] == "asks: u"
    assert a.placed("u", A) == []
    assert a.story_of("u") == ["WAITING", "SPILLED", "WAITING", "READY"]


def test_a_queue_that_is_short_is_no_reason_to_ask(pair):
    a, _ = pair
    for i in range(5):
        assert not any(line.startswith("asks") for line in a.submit(f"t{i}"))


def test_a_node_that_cannot_run_it_gives_it_back(pair):
    a, b = pair
    a.submit("t", needs={"TPU": 1})
    a.placed("t", B)
    assert b.hears(a) == ["to 1: task back t"]
    assert a.hears(b) == ["asks: t"]
    assert "t" not in b.runs


# ---- arguments -------------------------------------------------------------------------------------------------


def test_small_arguments_travel_along(pair):
    a, b = pair
    a.put("root!1", "x")
    a.submit("t", needs=GPU, refs=["root!1"])
    a.placed("t", B)
    b.hears(a)
    [value] = b.run_of("t").values
    assert p.read_envelope(value.body).pickle == b"x"


def test_large_arguments_are_pulled_in_chunks_from_where_they_are(pair):
    a, b = pair
    size = (5 << 20) + 3
    a.put("root!1", a.in_arena(size))
    a.submit("t", needs=GPU, refs=["root!1"])
    assert a.placed("t", B) == ["store: commit t", "store: put f()", "store: put root!1", "to 2: task t"]
    assert b.hears(a) == ["to 1: pull what is of root!1"]
    assert a.hears(b) == []  # what leaves waits for the store
    assert f"to 2: root!1 has {size}" in a.acknowledged()
    b.hears(a)
    chunks = b.segment(1)
    assert chunks == [f"to 1: pull {1 << 20} from {i << 20} of root!1" for i in range(4)]
    written = 0
    while "t" not in b.runs:
        for line in a.hears(b, 1):
            assert line.startswith("read")
        a.read(bytes(1 << 20))
        written += sum(line.startswith("write") for line in b.hears(a))
    assert written == 6
    assert b.run_of("t").values[0].where.size == size
    assert [each["kind"] for each in b.operations].count(6) == 1  # it says that it has a copy


def test_a_scheduler_is_told_of_all_known_copies(pair):
    """Of a value that was pulled here its maker has a copy too."""
    a, b = pair
    a.submit("x", needs=GPU)
    a.placed("x", B)
    a.acknowledged()
    b.hears(a)
    b.attach(2)
    b.finish("x", b.in_arena(200_000, client=2))
    b.acknowledged()
    a.hears(b)
    a.get("x")
    b.hears(a)
    b.acknowledged()
    a.hears(b)
    a.segment(1)
    b.hears(a)
    b.read(bytes(200_000))
    a.hears(b)
    assert a.submit("t", needs=GPU, refs=["x"]) == ["asks: t (x 200000 at 2,1)"]


def test_what_is_on_its_way_comes_from_another_copy_if_its_source_dies(pair):
    _a, b = pair
    b.submit("u", refs=["x"])
    assert b.stored("x", C, size=100) == ["store: unwatch x", "to 3: pull what is of x"]
    assert b.dies(C) == ["store: watch x"]
    assert b.stored("x", A, size=100) == ["store: unwatch x", "to 1: pull what is of x"]


# ---- references ------------------------------------------------------------------------------------------------


def test_what_a_guest_takes_and_is_lost_is_held_before_it_is_asked_for(pair):
    """The store may not have heard of it yet, and would say that it is gone."""
    a, b = pair
    a.submit("x")
    a.attach(2)
    a.finish("x", a.in_arena(200_000, client=2))
    a.submit("t", needs=GPU, refs=["x"])
    a.placed("t", B)
    a.lose("x")
    b.hears(a)
    a.hears(b)
    assert b.hears(a) == ["store: hold x", "store: watch x"]
    assert "store: unwatch x" in b.stored("x", value=p.envelope(b"made again"))
    b.attach(b.runs["t"].client)
    b.finish("t")
    a.acknowledged()
    b.hears(a)
    assert "store: release x" in b.acknowledged() + b.acknowledged()


def test_a_task_with_references_inside_leaves_when_these_are_known(pair):
    a, _b = pair
    a.put("root!1", "x")
    a.submit("t", needs=GPU, nested=["root!1"])
    assert a.placed("t", B) == ["store: commit t", "store: put f()", "store: put root!1"]
    assert a.acknowledged() == ["to 2: task t", "to 2: committed t"]


def test_who_gets_a_reference_holds_it_before_what_brought_it_is_let_go(pair):
    a, b = pair
    a.put("root!1", "x")
    a.submit("t", needs=GPU, nested=["root!1"])
    a.placed("t", B)
    a.acknowledged()
    b.hears(a)
    b.attach(2)
    assert b.hold("root!1", 2) == ["store: hold root!1"]
    assert b.finish("t") == []
    assert b.acknowledged() == ["store: done t"]
    assert b.acknowledged() == ["to 1: result of t: t"]
    assert b.release("root!1", client=2) == ["store: release root!1"]


def test_what_is_held_again_before_it_was_let_go_of_stays_held(pair):
    """The store has one hold of a node's: letting go waits, holding does not, so the two would arrive in wrong order."""
    a, _ = pair
    a.attach(9, p.CLIENT_DRIVER)
    assert a.hold("x", 9) == ["store: hold x"]
    a.acknowledged()
    assert a.hold("y", 9) == ["store: hold y"]
    assert a.release("x", client=9) == []
    assert a.hold("x", 9) == ["store: hold x"]
    assert a.acknowledged() == []
    assert a.release("x", client=9) == ["store: release x"]


def test_of_two_times_that_a_reference_is_let_go_the_last_counts(pair):
    a, _ = pair
    a.attach(9, p.CLIENT_DRIVER)
    a.hold("x", 9)
    a.acknowledged()
    a.hold("y", 9)
    a.release("x", client=9)
    a.hold("x", 9)
    a.hold("z", 9)
    assert a.release("x", client=9) == []
    assert a.acknowledged(2) == []  # y, and x, but not z
    assert a.acknowledged() == ["store: release x"]


def test_a_reference_that_came_with_a_task_and_is_not_kept_costs_no_question(pair):
    a, b = pair
    a.put("root!1", "x")
    given(pair, nested=["root!1"])
    a.acknowledged()
    b.hears(a)
    assert b.operations == []


def test_what_a_result_contains_is_known_before_it(pair):
    a, b = given(pair)
    a.acknowledged()
    b.hears(a)
    b.submit("child", client=2, parent="t")
    assert b.finish("t", p.envelope(b"list", refs=[b.object("child")])) == ["store: commit child", "store: put f()"]
    assert b.acknowledged() == ["store: done t"]
    assert b.acknowledged() == ["to 1: result of t: list"]
    assert a.hears(b) == ["store: hold child"]
    assert a.release("t") == []
    assert a.acknowledged() == ["store: release t", "store: release child"]


@pytest.mark.parametrize("busy", [False, True], ids=["store has answered", "store has not answered"])
def test_what_a_guests_result_contains_is_let_go_after_it(pair, busy):
    """The result waits for the guest's home; that nothing here holds what it contains any more must wait for it."""
    a, b = given(pair)
    worker = b.runs["t"].client
    b.put("t!1", b.in_arena(100, client=worker), client=worker)
    b.finish("t", p.envelope(b"box", refs=[b.object("t!1")]))
    assert b.release("t!1", client=worker) == []
    if not busy:
        assert b.acknowledged() == []
    a.acknowledged()
    assert b.hears(a) + (b.acknowledged() if busy else []) == ["store: done t"]
    assert b.acknowledged() == ["store: release t!1", "to 1: result of t: box"]


def test_a_reference_that_nobody_knows_any_more_resolves_to_an_error(pair):
    a, _ = pair
    assert a.hold("gone", 1) == ["store: hold gone"]
    assert a.get("gone") == ["store: watch gone"]
    assert a.acknowledged(status=STORE_UNKNOWN) == ["1 gets gone: lost!"]


def test_a_copy_stays_until_the_store_says_that_nobody_needs_it(pair):
    a, b = given(pair)
    a.acknowledged()
    b.hears(a)
    b.finish("t", b.in_arena(1000, client=2))
    assert b.sizes()["arena_bytes"]
    assert b.entry(3, "t") == ["store: unlocate t"]
    assert "arena_bytes" not in b.sizes()


# ---- going wrong -----------------------------------------------------------------------------------------------


def test_a_crash_there_uses_up_an_attempt_here(pair):
    a, b = given(pair, max_retries=1)
    a.acknowledged()
    b.hears(a)
    b.detach(b.runs["t"].client, started=1)
    assert a.hears(b) == ["store: attempt t"]
    assert a.acknowledged() == ["asks: t"]  # only the attempt that is known may run
    assert "to 2: task t again 1" in a.placed("t", B)
    b.hears(a)
    b.attach(b.runs["t"].client)
    b.detach(b.runs["t"].client, started=1)
    assert a.get("t") + a.hears(b) == ["1 gets t: crashed!", "store: done t"]


def test_an_error_that_may_be_tried_again_is_and_others_are_not(pair):
    a, b = given(pair, max_retries=1, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    a.acknowledged()
    b.hears(a)
    retryable = p.envelope(b"error", kind=p.KIND_USER_ERROR, flags=p.ENVELOPE_RETRYABLE)
    b.finish("t", retryable, flags=p.FINISHED_USER_ERROR)
    assert a.hears(b) == ["store: attempt t"]
    assert a.acknowledged() == ["asks: t"]
    a.placed("t", B)
    b.hears(a)
    assert b.fail("t") == ["to 1: result of t: error!"]
    assert a.get("t") + a.hears(b) == ["1 gets t: error!", "store: done t"]


def test_a_task_on_a_node_that_dies_has_another_attempt_if_there_is_one(pair):
    a, _ = given(pair, max_retries=1)
    a.acknowledged()
    assert a.dies(B) == ["store: attempt t"]
    assert a.acknowledged() == ["asks: t"]
    a.placed("t", C)
    assert a.get("t") == []
    assert a.dies(C) == ["1 gets t: crashed!", "store: done t"]


def test_a_guest_whose_home_dies_uncommitted_ends_and_leaves_nothing(pair):
    _, b = given(pair)
    worker = b.runs["t"].client
    assert b.dies(A) == [f"kill {worker}"]
    b.detach(worker, started=1)
    assert b.operations == []
    assert b.said == []
    assert {"tasks", "objects"} & set(b.sizes()) == set() or b.sizes().get("tasks", 0) == 0


def test_who_waits_where_a_guest_fails_hears_what_its_home_makes_of_it(pair):
    a, b = given(pair, max_retries=1)
    a.acknowledged()
    b.hears(a)
    b.attach(9, p.CLIENT_DRIVER)
    b.hold("t", 9)
    b.acknowledged()
    assert b.get("t", client=9) == ["store: watch t"]
    assert b.detach(b.runs["t"].client, started=1) == ["to 1: result of t: crashed!"]
    assert b.stored("t", value=p.envelope(b"done elsewhere"))[0] == "9 gets t: done elsewhere"


def test_who_submits_a_guest_again_holds_what_it_makes_before_it_asks_for_it(pair):
    """Its parent runs here as well, in another attempt."""
    _, b = given(pair)
    b.attach(9, p.CLIENT_DRIVER)
    assert b.submit("t", 9) == ["store: hold t"]
    assert b.get("t", client=9) == ["store: watch t"]


def test_a_home_of_which_the_master_has_not_told_yet_hears_of_a_failure_alone():
    """The store would take it for the end, although there are retries."""
    a = Neighbour(A, {"CPU": 1})
    b = Neighbour(B, {"CPU": 1, "GPU": 1}, others=(B, C)).named_by(a)
    given((a, b), max_retries=1)
    a.acknowledged()
    b.hears(a)
    assert b.detach(b.runs["t"].client, started=1) == ["to 1: result of t: crashed!"]
    assert a.hears(b) == ["store: attempt t"]


def test_an_adopted_guest_that_fails_before_the_store_has_answered_is_tried_again_with_the_stores_leave(pair):
    a, b = given(pair, max_retries=1)
    a.acknowledged()
    b.hears(a)
    assert b.dies(A) == ["store: adopt t"]
    assert b.detach(b.runs["t"].client, started=1) == ["store: attempt t"]
    assert "run t on 3 again 1 gpus 0" in b.acknowledged()


def test_the_end_of_an_orphan_without_retries_goes_to_the_store_alone(pair):
    a, b = given(pair, max_retries=0)
    a.acknowledged()
    b.hears(a)
    b.dies(A)
    b.detach(b.runs["t"].client, started=1)
    assert "store: done t" in b.acknowledged()


def test_a_task_that_the_store_gives_to_who_derives_it_again_ends_under_the_epoch_it_says(pair):
    """Its home has died, and its parent runs again here."""
    a, _ = pair
    a.submit("x")
    a.attach(2)
    a.finish("x", a.in_arena(200_000, client=2))
    a.submit("t", needs=GPU, refs=["x"])
    assert a.placed("t", B)[:1] == ["store: commit t"]
    commit = next(each for each in a.operations if each["object"] == a.object("x"))
    said = a.entry(ENTRY_ANSWER, token=commit["token"], body=struct.pack("<II", 3, 0))
    a.operations.remove(commit)
    said += a.acknowledged()
    assert "store: done x" in said
    done = next(each for each in a.operations if each["object"] == a.object("x") and each["kind"] == OP_DONE)
    assert struct.unpack_from("<I", done["body"]) == (3,)


def test_retries_are_counted_from_the_first_attempt_wherever_it_was(pair):
    a, _ = pair
    a.submit("t", max_retries=3)
    a.attach(2)
    a.detach(2, started=1)
    a.attach(3)
    a.submit("u", needs=GPU, nested=["t"])
    assert a.placed("u", B)[:2] == ["store: commit u", "store: commit t"]
    [commit] = [each for each in a.operations if each["object"] == a.object("t")]
    assert COMMIT_HEADER.unpack_from(commit["body"])[5] == 3


def test_a_task_that_waits_to_leave_does_not_reach_the_next_node_at_an_address(pair):
    a, _ = pair
    a.put("root!1", a.in_arena(100))
    a.submit("t", needs=GPU, nested=["root!1"], max_retries=1)
    assert "to 2: task t" not in a.placed("t", B)
    a.dies(B)
    a.member.peer(B, 2)
    assert a.acknowledged() == ["asks: t"]


def test_of_a_guest_that_has_ended_nothing_is_left_if_its_home_dies_uncommitted(pair):
    _, b = given(pair)
    b.finish("t", b.in_arena(100, client=b.runs["t"].client))
    assert b.member.departing()
    b.dies(A)
    b.acknowledged()
    assert b.member.departing() == [] and "arena_bytes" not in b.sizes()


def test_who_runs_what_a_forgotten_guest_submitted_hears_that_it_is_committed(pair):
    _, b = given(pair)
    worker = b.runs["t"].client
    b.submit("child", worker, parent="t", needs={"x": 1})
    b.placed("child", C)
    assert b.acknowledged() == []
    assert b.dies(A) == [f"kill {worker}", "to 3: committed child"]


def test_a_copy_of_which_nobody_was_to_hear_goes_if_the_store_refuses_it(pair):
    a, b = given(pair)
    a.acknowledged()
    b.hears(a)
    b.dies(A)
    b.acknowledged()
    assert b.finish("t", b.in_arena(100, client=b.runs["t"].client)) == ["store: done t"]
    assert b.sizes()["arena_bytes"]
    b.acknowledged(status=STORE_STALE)
    assert "arena_bytes" not in b.sizes()


def test_a_task_that_was_given_away_is_cancelled_there(pair):
    a, b = given(pair)
    a.acknowledged()
    b.hears(a)
    assert a.cancel("t") == ["to 2: cancel t"]
    assert b.hears(a) == [f"interrupt t on {b.runs['t'].client}"]
    b.finish("t", count=0, flags=p.FINISHED_CANCELLED)
    assert a.get("t") + a.hears(b) == ["1 gets t: cancelled!", "store: done t"]


def test_a_task_that_has_no_place_yet_is_cancelled_here(pair):
    a, _ = pair
    a.submit("t", needs=GPU)
    a.cancel("t")
    assert a.get("t") == ["1 gets t: cancelled!"]
    assert a.placed("t", B) == []


def test_a_question_that_a_scheduler_takes_to_its_grave_is_asked_again(pair):
    a, _ = pair
    a.submit("t", needs=GPU)
    old = dict(a.tokens)
    a.member.scheduler(100, alive=False)
    a.member.scheduler(101)
    assert a.beyond() == ["asks: t"]
    a.tokens, new = old, a.tokens
    assert a.placed("t", B) == []  # an answer from before
    a.tokens = new
    assert "to 2: task t" in a.placed("t", B)


def test_a_home_that_another_has_taken_over_from_asks_for_the_result(pair):
    a, _ = given(pair, max_retries=1)
    a.acknowledged()
    a.get("t")
    a.dies(B)
    assert a.acknowledged(status=STORE_STALE) == ["store: watch t"]
    assert a.stored("t", value=p.envelope(b"done there")) == ["1 gets t: done there", "store: unwatch t"]
    assert a.story_of("t")[-1] == "FINISHED"


def test_a_home_of_whose_guest_the_store_knows_another_end_asks_for_that(pair):
    """The task was derived twice, and ended once before."""
    a, b = given(pair)
    a.acknowledged()
    b.hears(a)
    assert b.finish("t") == ["store: done t"]
    assert b.acknowledged(status=STORE_UNKNOWN) == ["to 1: result of t: refused"]
    a.get("t")
    assert a.hears(b) == ["store: watch t"]
    assert a.stored("t", value=p.envelope(b"the first end")) == ["1 gets t: the first end", "store: unwatch t"]


def test_who_runs_a_task_for_a_home_that_dies_adopts_it(pair):
    a, b = given(pair, max_retries=3)
    a.acknowledged()
    b.hears(a)
    assert b.dies(A) == ["store: adopt t"]
    assert b.acknowledged() == []
    assert b.finish("t") == ["store: done t"]
    assert b.said == []


def test_an_orphan_that_nobody_needs_ends(pair):
    a, b = given(pair)
    a.acknowledged()
    b.hears(a)
    b.dies(A)
    assert b.acknowledged(status=STORE_UNKNOWN) == [f"kill {b.runs['t'].client}"]


def test_an_adopted_task_has_the_attempts_that_its_home_had_left(pair):
    a, b = given(pair, max_retries=1)
    a.acknowledged()
    b.hears(a)
    b.dies(A)
    b.acknowledged()
    assert b.detach(b.runs["t"].client, started=1) == ["store: attempt t"]
    assert "run t on 3 again 1 gpus 0" in b.acknowledged()


def test_what_the_store_gives_a_node_to_run_again_is_its_own(pair):
    a, b = given(pair, "t", max_retries=2)
    spec = next(each for each in a.operations if each["kind"] == 1)["body"]
    spec = spec[64 + 24 :]  # behind the header and one argument, the function
    c = Neighbour(C, {"CPU": 1, "GPU": 1}).named_by(a)
    assert c.get("t") == ["store: hold t", "store: watch t"]
    c.acknowledged()
    body = struct.pack("<II", 1, 1)
    assert c.entry(4, "t", body=body + spec) == ["spawn 2 gpus 0", "run t on 2 again 1 gpus 0"]
    c.attach(2)
    assert c.finish("t") == ["1 gets t: t", "store: unwatch t", "store: done t"]
    assert b.operations == []


def test_a_copy_that_the_store_heard_of_after_its_loss_is_denied(pair):
    """That the task has ended waits for what went before; that its result is lost does not."""
    a, b = pair
    a.submit("x")
    a.attach(2)
    a.finish("x", a.in_arena(200_000, client=2))
    a.submit("t", needs=GPU, refs=["x"])
    a.placed("t", B)
    a.lose("x")
    a.acknowledged()
    assert a.stored("x", A, size=200_000) == ["store: unlocate x"]
    a.get("x")
    assert a.stored("x", A, C, size=200_000) == ["store: unlocate x", "store: unwatch x", "to 3: pull what is of x"]
    b.hears(a)
    assert a.hears(b) == ["store: unlocate x", "to 2: not here x"]


def test_a_lost_object_that_others_know_of_is_made_again_as_the_store_says(pair):
    a, _ = pair
    a.submit("x")
    a.attach(2)
    a.finish("x", a.in_arena(200_000, client=2))
    a.submit("t", needs=GPU, refs=["x"])
    a.placed("t", B)
    a.acknowledged()
    a.acknowledged()
    assert a.lose("x") == ["store: unlocate x", "store: watch x"]
    assert a.entry(4, "x", body=struct.pack("<II", 1, 1)) == ["run x on 2 again 1"]


def test_a_task_that_the_store_has_forgotten_is_made_known_again_before_another_attempt(pair):
    """Nobody held what it makes when its parent had died; since then somebody may."""
    a, _ = given(pair, max_retries=1)
    a.acknowledged()
    assert a.dies(B) == ["store: attempt t"]
    assert a.acknowledged(status=STORE_UNKNOWN) == ["store: commit t", "asks: t"]


def test_a_task_that_the_store_gives_to_who_is_at_it_counts_as_the_attempt_that_runs(pair):
    a, _ = pair
    a.submit("t", max_retries=2)
    a.attach(2)
    assert a.entry(ENTRY_RERUN, "t", body=struct.pack("<II", 1, 1)) == ["store: attempt t"]
    [attempt] = a.operations
    assert attempt["body"] == struct.pack("<II", 1, 0)
    assert "store: done t" in a.acknowledged() + a.finish("t")
