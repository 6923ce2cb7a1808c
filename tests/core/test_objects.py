"""Objects and references: who keeps a value alive, what pins its bytes, what a free frees in turn."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER, OTHER, Host

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


@pytest.fixture
def two(make_host):
    """A host with clients 1 and 2."""
    host = make_host(segment_bytes=1 << 20)
    host.attach(OTHER, p.CLIENT_DRIVER)
    return host


def exists(host, name, client=DRIVER):
    """Whether a value is there, as get says (giving the pin back)."""
    [line] = host.get(name, client=client)
    host.unpin(name, client)
    return not line.endswith("lost!")


# ---- holds -----------------------------------------------------------------------------------------------------


def test_the_client_that_puts_holds(two):
    two.put("root!1")
    assert two.get("root!1") == ["1 gets root!1: root!1"]
    assert two.release("root!1") == []
    assert two.sizes() == FUNCTION_ONLY
    assert two.get("root!1") == ["1 gets root!1: lost!"]
    assert two.sizes() == FUNCTION_ONLY


def test_holds_are_a_set(two):
    two.put("root!1")
    for _ in range(3):
        two.hold("root!1", DRIVER)
        two.hold("root!1", OTHER)
    two.release("root!1")
    two.release("root!1")
    assert exists(two, "root!1")
    two.release("root!1", client=OTHER)
    assert not exists(two, "root!1")


def test_a_release_by_one_who_never_held_changes_nothing(two):
    two.put("root!1")
    two.release("root!1", "root!2", client=OTHER)
    assert exists(two, "root!1")


def test_a_hold_on_what_is_gone_holds_an_error(two):
    """Every reference resolves (rule 5)."""
    two.hold("root!1", OTHER)
    assert two.get("root!1", client=OTHER) == ["2 gets root!1: lost!"]
    assert p.read_envelope(two.commands[0].payload).error == (
        p.ERROR_OBJECT_LOST,
        "the object is not known to this node: its last reference was released before",
    )
    two.release("root!1", client=OTHER)
    assert two.sizes() == FUNCTION_ONLY


def test_a_second_put_does_not_replace_a_living_value(two):
    two.put("root!1", "first")
    two.put("root!1", "second", OTHER)
    assert two.get("root!1") == ["1 gets root!1: first"]
    two.release("root!1")
    assert two.get("root!1", client=OTHER) == ["2 gets root!1: first"]


def test_a_dead_clients_holds_end(two):
    two.put("root!1", client=OTHER)
    two.put("root!2", client=OTHER)
    two.hold("root!2", DRIVER)
    two.detach(OTHER)
    assert not exists(two, "root!1")
    assert exists(two, "root!2")


def test_a_kept_object_outlives_all_its_holders(two):
    two.put("root!1")
    two.send(p.EV_KEEP, DRIVER, object=two.object("root!1"))
    two.release("root!1")
    two.detach(DRIVER)
    assert two.get("root!1", client=OTHER) == ["2 gets root!1: root!1"]


def test_a_result_that_nobody_holds_any_more_is_dropped_on_arrival(two):
    two.submit("a")
    two.release("a")
    two.finish("a")
    assert two.sizes() == FUNCTION_ONLY


def test_a_request_under_way_keeps_the_object(two):
    two.submit("a")
    two.get("a")
    two.release("a")
    assert two.finish("a") == ["1 gets a: a"]
    assert two.sizes() == FUNCTION_ONLY


# ---- pins ------------------------------------------------------------------------------------------------------


def test_a_viewed_value_keeps_its_bytes_and_nothing_else(two):
    two.put("root!1", two.in_arena(100, refs=["root!2"]))
    two.get("root!1")
    two.release("root!1")
    assert two.node.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    two.unpin("root!1")
    assert two.sizes() == FUNCTION_ONLY


def test_views_are_counted_by_client(two):
    two.put("root!1", two.in_arena(100))
    two.get("root!1")
    two.get("root!1")
    two.get("root!1", client=OTHER)
    two.release("root!1")
    two.unpin("root!1")
    two.unpin("root!1", OTHER)
    two.unpin("root!1", OTHER)
    assert two.node.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    two.unpin("root!1")
    assert two.sizes() == FUNCTION_ONLY


def test_each_slot_of_a_get_is_a_view(two):
    two.put("root!1", two.in_arena(100))
    two.get("root!1", "root!1")
    two.release("root!1")
    two.unpin("root!1")
    assert two.node.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    two.unpin("root!1")
    assert two.sizes() == FUNCTION_ONLY


def test_a_dead_clients_views_end(two):
    two.put("root!1", two.in_arena(100))
    two.get("root!1", client=OTHER)
    two.release("root!1")
    two.detach(OTHER)
    assert two.sizes() == FUNCTION_ONLY


def test_arguments_in_the_arena_are_viewed_by_the_worker(two):
    two.put("root!1", two.in_arena(100))
    two.submit("a", refs=["root!1"])
    [value] = two.run_of("a").values
    assert (value.where, value.refs) == ((1, 0, 100), (two.object("root!1"),))
    two.release("root!1")
    two.finish("a")
    assert two.node.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    two.unpin("root!1", 3)
    assert two.node.sizes()["arena_bytes"] == 0


# ---- references in values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_arena", [False, True], ids=["inline", "in the arena"])
def test_a_value_holds_the_references_inside_it(two, in_arena):
    two.put("root!1")
    two.put("root!2", two.in_arena(9, refs=["root!1"]) if in_arena else p.envelope(b"", refs=two.objects(["root!1"])))
    two.release("root!1")
    assert exists(two, "root!1")
    two.release("root!2")
    assert two.sizes() == FUNCTION_ONLY


def test_a_reference_contained_twice_is_held_until_both_are_gone(two):
    two.put("root!1")
    for i in (2, 3):
        two.put(f"root!{i}", p.envelope(b"", refs=two.objects(["root!1", "root!1"])))
    two.release("root!1", "root!2")
    assert exists(two, "root!1")
    two.release("root!3")
    assert two.sizes() == FUNCTION_ONLY


def test_a_container_of_something_unknown_holds_an_error(two):
    two.put("root!2", p.envelope(b"", refs=two.objects(["root!1"])))
    assert two.get("root!1") == ["1 gets root!1: lost!"]
    two.release("root!2")
    assert two.sizes() == FUNCTION_ONLY


def test_a_container_frees_its_references_even_while_it_is_viewed_elsewhere(two):
    two.put("root!1")
    two.put("root!2", two.in_arena(9, refs=["root!1"]))
    two.get("root!2", client=OTHER)
    two.release("root!1", "root!2")
    assert exists(two, "root!1"), "who views the container may yet take the reference out of it"
    two.unpin("root!2", OTHER)
    assert two.sizes() == FUNCTION_ONLY


def test_containers_in_containers_are_freed_to_any_depth_without_recursion(two):
    depth = 100_000
    two.put("root!1")
    for i in range(2, depth + 1):
        two.put(f"root!{i}", p.envelope(b"", refs=two.objects([f"root!{i - 1}"])))
        two.release(f"root!{i - 1}")
    assert two.node.sizes()["objects"] == depth + 1
    two.release(f"root!{depth}")
    assert two.sizes() == FUNCTION_ONLY


def test_a_wide_container_is_freed_at_once(two):
    names = [f"root!{i}" for i in range(2, 1002)]
    for name in names:
        two.put(name)
    two.put("root!1", p.envelope(b"", refs=two.objects(names)))
    two.release(*names)
    assert two.node.sizes()["objects"] == 1002
    two.release("root!1")
    assert two.sizes() == FUNCTION_ONLY


def test_a_shared_part_lives_as_long_as_one_of_its_containers(two):
    """4 -> 2 -> 1;   4 -> 3 -> 1;   5 -> 3"""
    two.put("root!1")
    two.put("root!2", p.envelope(b"", refs=two.objects(["root!1"])))
    two.put("root!3", p.envelope(b"", refs=two.objects(["root!1"])))
    two.put("root!4", p.envelope(b"", refs=two.objects(["root!2", "root!3"])))
    two.put("root!5", p.envelope(b"", refs=two.objects(["root!3"])))
    two.release("root!1", "root!2", "root!3", "root!4")
    assert [exists(two, f"root!{i}") for i in range(1, 6)] == [True, False, True, False, True]
    two.release("root!5")
    assert two.sizes() == FUNCTION_ONLY


def test_an_error_passed_on_holds_what_the_exception_holds(two):
    two.put("root!1")
    two.submit("a")
    two.submit("b", refs=["a"])
    error = p.envelope(b"boom", kind=p.KIND_USER_ERROR, refs=two.objects(["root!1"]))
    two.finish("a", error, flags=p.FINISHED_USER_ERROR)
    two.release("root!1", "a")
    assert exists(two, "root!1")
    assert two.get("b") == ["1 gets b: boom!"]
    two.release("b")
    assert two.sizes() == FUNCTION_ONLY


# ---- arguments -------------------------------------------------------------------------------------------------


def test_a_task_holds_its_arguments_until_it_ends(two):
    two.put("root!1")
    two.put("root!2")
    two.submit("a", refs=["root!1"], nested=["root!2"])
    two.release("root!1", "root!2")
    assert exists(two, "root!1")
    assert exists(two, "root!2")
    two.finish("a")
    assert not exists(two, "root!1")
    assert not exists(two, "root!2")


def test_a_queued_task_holds_its_arguments_after_its_submitter_died(two):
    two.submit("busy")
    two.put("root!1", client=OTHER)
    two.submit("a", OTHER, refs=["root!1"])
    two.detach(OTHER)
    assert exists(two, "root!1")
    assert two.finish("busy", runtime_ns=1) == ["run a on 3"]
    assert two.run_of("a").values[0].body == p.envelope(b"root!1")
    two.finish("a")
    assert not exists(two, "root!1")


# ---- functions -------------------------------------------------------------------------------------------------


def test_a_function_is_sent_once_to_each_worker(make_host):
    host = make_host({"CPU": 2})
    for task, flags, body in (("a", p.RUN_HAS_FUNCTION, b"body of f()"), ("b", p.RUN_HAS_FUNCTION, b"body of f()")):
        host.submit(task)
        assert host.last(p.CMD_RUN).flags == flags
        assert p.read_envelope(host.run_of(task).function_body).pickle == body
    host.finish("a", runtime_ns=1 << 40)
    host.submit("c")
    assert host.last(p.CMD_RUN).flags == 0
    assert host.run_of("c").function_body == b""


def test_workers_forget_a_function_nobody_has(two):
    two.function("g()")
    two.submit("a", function="g()")
    two.submit("b", function="g()")
    two.finish("a", runtime_ns=1 << 40)
    assert two.release("g()") == [], "b still needs it"
    assert two.finish("b") == ["forget g() on 3"]
    assert two.sizes()["functions"] == 1


def test_a_function_of_many_clients_goes_with_the_last(two):
    two.function("g()", OTHER)
    two.function("g()", DRIVER)
    two.release("g()", client=OTHER)
    two.submit("a", function="g()")
    assert p.read_envelope(two.run_of("a").function_body).pickle == b"body of g()"


def test_a_function_holds_what_it_captured(two):
    two.put("root!1")
    two.function("g()", refs=["root!1"])
    two.release("root!1")
    two.submit("a", function="g()")
    two.release("g()")
    assert exists(two, "root!1")
    assert two.finish("a")[0] == "forget g() on 3"
    assert not exists(two, "root!1")


def test_a_task_of_an_unknown_function_fails_saying_so(two):
    two.submit("a", function="never()")
    assert two.get("a") == ["1 gets a: lost!"]
    two.release("a")
    assert two.sizes() == FUNCTION_ONLY


def test_a_function_can_be_registered_after_a_task_missed_it(two):
    two.hold("g()", DRIVER)
    two.submit("a", function="g()")
    assert two.get("a") == ["1 gets a: lost!"]
    two.function("g()")
    assert two.submit("b", function="g()") == ["spawn 3", "run b on 3"]
    assert p.read_envelope(two.run_of("b").function_body).pickle == b"body of g()"


def test_what_is_no_function_is_refused_as_one(two):
    two.put("root!1", two.in_arena(100))
    two.put("root!2", "a value")
    for name in ("root!1", "root!2"):
        assert two.submit("a", function=name) == [f"reject {p.EV_SUBMIT} from 1"]
    assert two.send(p.EV_FUNCTION, DRIVER, object=two.object("h()"), payload=p.function_payload(p.envelope())) == [
        f"reject {p.EV_FUNCTION} from 1"
    ]


def test_the_name_of_a_function_is_known_while_it_is():
    host = Host()
    assert host.node.function_name(host.object("f()")) == "f"
    host.release("f()")
    assert host.node.function_name(host.object("f()")) == host.object("f()").hex()[:12]
    assert host.sizes() == {}
