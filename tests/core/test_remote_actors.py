"""Actors of a cluster: made elsewhere, called from elsewhere, lost, restarted, ended, named."""

from __future__ import annotations

import struct

import pytest

from tests.core import protocol as p
from tests.core.neighbours import (
    END_KILLED,
    END_RESTART,
    END_UNREFERENCED,
    ENTRY_ACTOR_END,
    ENTRY_ANSWER,
    ENTRY_RERUN,
    STORE_STALE,
    STORE_TAKEN,
    STORED_ACTOR_ALIVE,
    STORED_ACTOR_DEAD,
    STORED_ACTOR_RESTARTING,
    A,
    B,
    C,
    Neighbour,
)

GPU = {"GPU": 1}


@pytest.fixture
def pair():
    """Two nodes: a without a GPU, and b with one."""
    a = Neighbour(A, {"CPU": 1})
    b = Neighbour(B, {"CPU": 1, "GPU": 1}).named_by(a)
    yield a, b
    a.node.check_invariants()
    b.node.check_invariants()


def made(pair, **options):
    """An actor that a makes on b: all know that it is alive."""
    a, b = pair
    a.create("X", needs=GPU, **options)
    a.placed("X", B)
    a.acknowledged()
    b.hears(a)
    b.attach(b.runs["X"].client)
    b.made("X")
    b.acknowledged()
    a.actor_is("X", STORED_ACTOR_ALIVE, B)
    return a, b


def called(a, b, *calls, **options):
    """Calls from a that run on b."""
    for call in calls:
        a.call(call, "X", **options)
    a.acknowledged()
    return b.hears(a)


def test_an_actor_is_made_where_there_is_what_it_needs(pair):
    a, b = pair
    said = a.create("X", needs=GPU)
    assert said[-5:] == ["store: commit X", "store: put f()", "store: actor X@", "store: watch X@", "asks: X"]
    assert a.placed("X", B) == ["to 2: task X"]
    assert b.hears(a) == ["spawn 2 gpus 0", "make X on 2 gpus 0"]
    b.attach(2)
    assert b.made("X") == ["store: alive X@"]
    assert a.actor_is("X", STORED_ACTOR_ALIVE, B) == []
    assert a.node.sizes()["tasks"] == 0  # the store keeps what makes it again


def test_calls_go_to_the_node_that_runs_it_in_order_and_results_come_back(pair):
    a, b = made(pair)
    assert a.call("c", "X") == ["store: commit c", "to 2: task c"]
    assert a.call("d", "X") == ["store: commit d", "to 2: task d"]
    a.acknowledged()
    assert b.hears(a) == ["call c on 2", "call d on 2"]
    assert b.finish("c") == ["store: done c"]
    assert b.acknowledged() == ["to 1: result of c: c"]
    assert a.get("c") + a.hears(b) == ["1 gets c: c"]


def test_calls_wait_until_it_is_known_where_it_runs(pair):
    a, _ = pair
    a.create("X", needs=GPU)
    assert [line for line in a.call("c", "X") if "to 2" in line] == []
    a.placed("X", B)
    assert a.actor_is("X", STORED_ACTOR_ALIVE, B) == ["store: commit c", "to 2: task c"]


def test_a_node_that_only_has_a_handle_asks_where_it_runs(pair):
    c = Neighbour(C)
    c.hold("X@", 1)
    assert c.call("c", "X") == ["store: watch X@"]
    assert c.actor_is("X", STORED_ACTOR_ALIVE, B) == ["store: commit c", "store: put f()", "to 2: task c"]
    c.node.check_invariants()


def test_what_has_not_begun_when_it_crashes_comes_back_and_goes_to_where_it_starts_again(pair):
    a, b = made(pair, max_restarts=1)
    called(a, b, "c", "d")
    assert b.detach(2, started=b.runs["c"].position, why="signal 9") == [
        "store: crashed X@", "store: watch X@", "store: unwatch X@", "to 1: task back d", "to 1: result of c: unavailable!",
    ]  # fmt: skip
    assert a.get("c") == []
    assert a.hears(b) == ["store: watch X@", "1 gets c: unavailable!", "store: done c"]
    assert a.actor_is("X", STORED_ACTOR_RESTARTING) == []
    assert a.actor_is("X", STORED_ACTOR_ALIVE, C) == ["to 3: task d", "to 3: committed d"]


def test_the_store_says_which_node_makes_it_again(pair):
    a, b = made(pair, max_restarts=1)
    spec = a_spec(a)
    b.detach(2, started=1)
    b.acknowledged()
    assert "make X on 3 again 1 gpus 0" in b.entry(ENTRY_RERUN, "X", body=struct.pack("<II", 1, 1) + spec)
    b.attach(3)
    assert b.made("X") == ["store: alive X@"]


def a_spec(a):
    """The submission of X, as a would write it: what the store keeps."""
    other = Neighbour(A, {"CPU": 1}).named_by(a)
    other.create("X", needs=GPU, max_restarts=1)
    body = next(each for each in other.operations if each["kind"] == 1)["body"]
    return body[64 + 24 :]


def test_an_actor_without_restarts_ends_with_its_process_for_all(pair):
    a, b = made(pair)
    called(a, b, "c")
    assert "store: ended X@" in b.detach(2, started=1)
    b.acknowledged()
    assert a.get("c") + a.hears(b) == ["1 gets c: died!", "store: done c"]
    death = p.envelope(struct.pack("<I", p.ERROR_ACTOR_DIED) + b"X", kind=p.KIND_SYSTEM_ERROR)
    a.actor_is("X", STORED_ACTOR_DEAD, death=death)
    a.call("d", "X")
    assert a.get("d") == ["1 gets d: died!"]


def test_calls_to_an_actor_whose_node_dies_fail_or_go_where_it_starts_again(pair):
    a, b = made(pair, max_restarts=1)
    called(a, b, "c")
    called(a, b, "d", max_retries=1)
    assert a.get("c") == []
    said = a.dies(B)
    assert "1 gets c: crashed!" in said
    assert "store: attempt d" in said
    a.acknowledged()
    assert "to 3: task d again 1" in a.actor_is("X", STORED_ACTOR_ALIVE, C)


def test_a_call_that_was_meant_for_another_life_of_the_actor_comes_back(pair):
    """Else it would go before what its caller sent to the life before, and has not heard of."""
    a, b = made(pair)
    a.actor_is("X", STORED_ACTOR_ALIVE, B, epoch=1)
    assert called(a, b, "c") == ["to 1: task back c"]


def test_what_comes_back_waits_for_what_was_sent_before_it(pair):
    a, b = made(pair, max_restarts=1)
    called(a, b, "c", "d", max_retries=1)
    b.detach(2, started=b.runs["c"].position, why="signal 9")
    a.hears(b, 1)  # that d comes back; that c has failed is still on its way
    assert a.actor_is("X", STORED_ACTOR_ALIVE, C, epoch=1) == []
    assert a.hears(b) == ["store: attempt c"]
    sent = [line for line in a.acknowledged() + a.actor_is("X", STORED_ACTOR_ALIVE, C, epoch=1) if "task" in line]
    assert sent == ["to 3: task c again 1", "to 3: task d"]


def test_a_call_that_the_store_knows_the_end_of_is_asked_for_and_those_behind_it_go_on(pair):
    a, b = made(pair, max_restarts=1)
    called(a, b, "c", "d", max_retries=1)
    a.get("c")
    assert a.dies(B) == ["store: attempt c", "store: attempt d"]
    first, second = (each["token"] for each in a.operations)
    assert a.entry(ENTRY_ANSWER, token=first, flags=STORE_STALE) == ["store: watch c"]
    assert a.entry(ENTRY_ANSWER, token=second) == []
    assert a.stored("c", value=p.envelope(b"done")) == ["1 gets c: done", "store: unwatch c"]
    assert "to 3: task d again 1" in a.actor_is("X", STORED_ACTOR_ALIVE, C)


def test_the_last_handle_ends_it_after_the_calls_that_were_sent(pair):
    a, b = made(pair)
    called(a, b, "c")
    assert "store: release X@" in a.release("X@")
    assert b.entry(ENTRY_ACTOR_END, "X@", flags=END_UNREFERENCED) == []
    assert "stop 2" in b.finish("c")


def test_killing_goes_through_the_store_to_where_it_runs(pair):
    a, b = made(pair)
    assert a.kill("X") == ["store: kill X@"]
    assert "kill 2" in b.entry(ENTRY_ACTOR_END, "X@", flags=END_KILLED)


def test_killing_may_leave_restarts(pair):
    _, b = made(pair, max_restarts=1)
    assert b.entry(ENTRY_ACTOR_END, "X@", flags=END_RESTART) == ["kill 2"]


def test_an_actor_that_was_ended_while_it_was_made_ends_where_it_was_made(pair):
    a, b = pair
    a.create("X", needs=GPU)
    a.placed("X", B)
    b.hears(a)
    b.acknowledged()
    b.attach(2)
    b.made("X")
    assert "kill 2" in b.acknowledged(status=STORE_STALE)


def test_init_that_raises_ends_it(pair):
    a, b = pair
    a.create("X", needs=GPU)
    a.placed("X", B)
    b.hears(a)
    b.attach(2)
    assert "store: ended X@" in b.finish("X", p.envelope(b"no", kind=p.KIND_USER_ERROR), flags=p.FINISHED_USER_ERROR)


def test_another_node_makes_it_if_the_one_that_was_to_dies(pair):
    a, _ = pair
    a.create("X", needs=GPU)
    a.placed("X", B)
    a.acknowledged()
    assert a.dies(B) == ["store: attempt X"]
    assert a.acknowledged() == ["asks: X"]


def test_a_name_is_claimed_before_the_actor_is_made(pair):
    a, _ = pair
    assert a.create("X", full_name="space\nname") == ["store: claim name space\nname"]
    assert "make X on 2" in a.acknowledged()


def test_a_name_that_another_has_is_refused(pair):
    a, _ = pair
    a.create("X", full_name="space\nname", confirm=True)
    assert a.acknowledged(status=STORE_TAKEN) == ["ready for 1! []"]
    assert a.sizes().get("actors", 0) == 0


def test_an_actor_is_found_by_its_name_and_held_by_who_asked(pair):
    c = Neighbour(C)
    c.task("X")
    c.send(p.EV_QUERY, 1, object=p.object_id(bytes(16), p.QUERY_ACTOR), request=7, payload=b"space\nname")
    [asked] = c.operations
    c.operations.clear()
    said = c.entry(ENTRY_ANSWER, token=asked["token"], body=c.task("X"))
    assert said[-1] == "store: hold X@"
    assert c.commands[0].payload == c.task("X")
