"""What clients wait for: get, wait, next, and how each ends."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER, MS, OTHER

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


@pytest.fixture
def wide(make_host):
    """A host with eight CPUs and two drivers; its workers are numbered from 3."""
    host = make_host({"CPU": 8})
    host.attach(OTHER, p.CLIENT_DRIVER)
    return host


# ---- get -------------------------------------------------------------------------------------------------------


def test_get_delivers_what_is_there_at_once_and_the_rest_as_it_comes(wide):
    wide.put("root!1")
    wide.submit("a")
    wide.submit("b")
    assert wide.get("a", "root!1", "b", request=7) == ["1 gets root!1: root!1"]
    assert (wide.commands[0].request, wide.commands[0].aux) == (7, 1)
    assert wide.finish("b") == ["1 gets b: b"]
    assert (wide.commands[0].request, wide.commands[0].aux) == (7, 2)
    assert wide.finish("a") == ["1 gets a: a"]
    assert wide.node.sizes()["requests"] == 0


def test_get_of_one_object_twice_fills_both_slots(wide):
    wide.submit("a")
    wide.get("a", "a")
    assert wide.finish("a") == ["1 gets a: a", "1 gets a: a"]
    assert sorted(command.aux for command in wide.commands) == [0, 1]
    assert wide.node.sizes()["requests"] == 0


def test_all_who_ask_get_it(wide):
    wide.submit("a")
    wide.get("a")
    wide.get("a", client=OTHER)
    wide.get("a")
    assert wide.finish("a") == ["1 gets a: a", "2 gets a: a", "1 gets a: a"]


def test_get_of_what_is_unknown_is_an_error(wide):
    assert wide.get("nothing") == ["1 gets nothing: lost!"]
    assert wide.sizes() == FUNCTION_ONLY


def test_get_of_nothing_says_nothing(wide):
    assert wide.get() == []
    assert wide.node.sizes()["requests"] == 0


def test_get_of_a_stream_is_its_end(wide):
    wide.submit("s", n_returns=p.STREAMING)
    wide.get("s")
    wide.give("s.1")
    assert wide.finish("s", "end") == ["1 gets s: end"]


def test_two_clients_may_use_the_same_number(wide):
    wide.submit("a")
    wide.submit("b")
    wide.get("a", request=7)
    wide.get("b", client=OTHER, request=7)
    wide.forget(7, client=OTHER)
    assert wide.finish("b") == []
    assert wide.finish("a") == ["1 gets a: a"]


@pytest.mark.parametrize("ask", [p.EV_GET, p.EV_WAIT, p.EV_NEXT])
def test_a_number_that_could_be_another_clients_is_rejected(wide, ask):
    wide.submit("s", n_returns=p.STREAMING)
    fields = {"object": wide.object("s.1"), "payload": p.on_wire(wide.object("s"))}
    assert wide.send(ask, DRIVER, request=1 << 40, **fields) == [f"reject {ask} from 1"]
    assert wide.commands[0].request == 1 << 40, "so that the client knows which call it was"


def test_a_number_used_again_drops_the_request_that_had_it(wide):
    wide.submit("a")
    wide.submit("b", n_returns=3)
    wide.get("a", "b", "b.1", "b.2", request=7)
    wide.get("a", request=7)
    assert wide.finish("b", count=3) == []
    assert wide.finish("a") == ["1 gets a: a"]
    assert wide.node.sizes()["requests"] == 0


# ---- wait ------------------------------------------------------------------------------------------------------


def test_wait_answers_once_when_enough_are_ready(wide):
    for task in "abc":
        wide.submit(task)
    assert wide.wait("a", "b", "c", count=2, request=7) == []
    assert wide.finish("c") == []
    assert wide.finish("a") == ["ready for 1 [0, 2]"]
    assert wide.commands[0].request == 7
    assert wide.finish("b") == []
    assert wide.node.sizes()["requests"] == 0


def test_wait_names_no_more_than_asked_for_the_first_in_order(wide):
    for name in ("root!1", "root!2", "root!3"):
        wide.put(name)
    assert wide.wait("root!3", "root!1", "root!2", count=2) == ["ready for 1 [0, 1]"]
    wide.submit("a", n_returns=3)
    assert wide.wait("a", "a.1", "a.2", count=1) == []
    assert wide.finish("a", count=3) == ["ready for 1 [0]"]


def test_wait_for_none_tells_what_is_ready_now(wide):
    wide.put("root!1")
    wide.submit("a")
    assert wide.wait("a", "root!1", count=0) == ["ready for 1 [1]"]
    assert wide.wait("a", count=0) == ["ready for 1 []"]


def test_wait_for_more_than_there_are_is_for_all(wide):
    wide.submit("a")
    wide.wait("a", count=5)
    assert wide.finish("a") == ["ready for 1 [0]"]


def test_errors_are_ready_and_so_is_what_is_unknown(wide):
    wide.submit("a")
    wide.wait("a")
    assert wide.fail("a") == ["ready for 1 [0]"]
    assert wide.wait("nothing") == ["ready for 1 [0]"]


def test_wait_for_an_object_that_is_listed_twice(wide):
    wide.submit("a")
    wide.submit("b")
    wide.wait("a", "a", "b", count=3)
    assert wide.finish("a") == []
    assert wide.finish("b") == ["ready for 1 [0, 1, 2]"]


def test_wait_for_the_next_item_of_a_stream(wide):
    wide.submit("s", n_returns=p.STREAMING)
    wide.wait("s.1")
    assert wide.give("s.1") == ["ready for 1 [0]"]
    wide.wait("s.2")
    assert wide.finish("s", "end") == ["ready for 1 [0]"], "the reader learns that it has ended"
    wide.release("s")
    assert wide.sizes() == FUNCTION_ONLY


def test_wait_for_items_of_several_streams_counts_each_once(wide):
    for stream in "st":
        wide.submit(stream, n_returns=p.STREAMING)
    wide.wait("s.1", "t.1", count=2)
    assert wide.give("s.1") == []
    assert wide.finish("s", "end") == []
    assert wide.give("t.1") == ["ready for 1 [0, 1]"]
    wide.release("s", "t")
    wide.finish("t", "end")
    assert wide.sizes() == FUNCTION_ONLY


# ---- ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ["get", "wait"])
def test_what_is_forgotten_is_not_answered(wide, ask):
    wide.submit("a")
    getattr(wide, ask)("a", request=7)
    assert wide.forget(7) == []
    assert wide.node.sizes()["requests"] == 0
    assert wide.finish("a") == []


def test_forgetting_twice_or_what_was_never_asked_changes_nothing(wide):
    wide.submit("a")
    wide.get("a", request=7)
    wide.forget(8)
    wide.forget(7)
    wide.forget(7)
    assert wide.sizes()["objects"] == 2


def test_after_forgetting_the_object_is_free_to_go(wide):
    wide.submit("a")
    wide.get("a", request=7)
    wide.release("a")
    wide.forget(7)
    wide.finish("a")
    assert wide.sizes() == FUNCTION_ONLY


def test_what_came_before_the_forgetting_stays_viewed(wide):
    wide.put("root!1", wide.in_arena(100))
    wide.submit("a")
    wide.get("root!1", "a", request=7)
    wide.forget(7)
    wide.release("root!1")
    assert wide.node.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    wide.unpin("root!1")
    assert wide.node.sizes()["arena_bytes"] == 0


def test_a_dead_clients_requests_end(wide):
    wide.submit("a")
    wide.get("a", client=OTHER)
    wide.wait("a", client=OTHER)
    wide.submit("b", max_retries=1)
    wide.get("a", client=4, task="b", flags=p.GET_LENDS)
    wide.attach(4)
    wide.detach(OTHER)
    wide.detach(4, started=1)
    assert wide.node.sizes()["requests"] == 0
    assert wide.finish("a") == []


def test_a_client_may_have_many_requests(wide):
    wide.submit("a")
    for _ in range(1000):
        wide.get("a")
    assert wide.finish("a") == ["1 gets a: a"] * 1000
    wide.submit("b")
    for _ in range(1000):
        wide.wait("b")
    wide.detach(DRIVER)
    assert wide.node.sizes()["requests"] == 0


@pytest.mark.parametrize("size", [1, 20, 23, 25, 47])
@pytest.mark.parametrize("ask", [p.EV_GET, p.EV_WAIT])
def test_part_of_an_id_is_rejected_and_nothing_delivered(wide, ask, size):
    wide.put("root!1")
    payload = (p.on_wire(wide.object("root!1")) * 2)[:size]
    assert wide.send(ask, DRIVER, request=1, payload=payload) == [f"reject {ask} from 1"]


def test_a_value_that_is_lost_while_another_is_waited_for_is_waited_for_again(make_host):
    host = make_host({"CPU": 8})
    host.submit("a")
    host.submit("b")
    host.finish("a", host.in_arena(100, 2), runtime_ns=20 * MS)
    assert host.wait("a", "b", count=2) == []
    assert host.lose("a") == ["run a on 2 again 1"]
    assert host.finish("b") == []
    assert host.finish("a") == ["ready for 1 [0, 1]"]


def test_a_blocked_task_stays_blocked_while_its_wait_is_counted_anew(make_host):
    host = make_host({"CPU": 8})
    host.submit("w")
    host.submit("a", 2, parent="w")
    host.submit("b", 2, parent="w")
    host.finish("a", host.in_arena(100, 3), runtime_ns=20 * MS)
    host.wait("a", "b", count=2, client=2, task="w", flags=p.GET_LENDS)
    host.lose("a")
    host.finish("b")
    assert host.story_of("w")[-1] == "BLOCKED"
    assert host.finish("a") == ["ready for 2 [0, 1]"]
    assert host.story_of("w")[-1] == "RUNNING"
