"""The life of an actor: made, named, held by handles; what its calls get if that fails; what it holds meanwhile."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER, MS

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


def cpus(host):
    return host.node.resources()["CPU"][1] / p.UNIT


# ---- making ----------------------------------------------------------------------------------------------------


def test_the_task_that_makes_an_actor_takes_a_worker_for_good(host):
    assert host.create("A") == ["spawn 2", "make A on 2"]
    assert host.made("A") == []
    assert host.submit("a") == ["spawn 3", "run a on 3"]


def test_an_idle_worker_becomes_the_actors(host):
    host.submit("a")
    host.finish("a")
    assert host.create("A") == ["make A on 2"]


def test_the_object_of_an_actor_describes_a_handle_from_the_start(wide):
    wide.create("A")
    assert wide.get("A@") == ["1 gets A@: handle of A"]


def test_a_creation_waits_for_its_arguments(wide):
    wide.submit("a")
    assert wide.create("A", refs=["a"]) == []
    assert wide.call("c", "A") == []
    assert wide.finish("a") == ["make A on 2"]
    assert [p.read_envelope(value.body).pickle for value in wide.run_of("A").values] == [b"a"]
    assert wide.made("A") == ["call c on 2"]


def test_a_creation_waits_for_its_resources(host):
    host.submit("a")
    assert host.create("A", needs={"CPU": 1}) == []
    host.call("c", "A")
    assert host.finish("a") == ["make A on 2"]
    assert host.made("A") == ["call c on 2"]


def test_one_that_can_never_be_scheduled_waits_and_the_user_is_told(host):
    said = host.create("A", needs={"GPU": 1})
    assert len(said) == 1 and said[0].startswith("warn: No node can run f: it asks for 1 GPU")
    host.call("c", "A")
    assert host.story_of("c")[-1] == "READY"
    host.get("c")
    assert host.kill("A") == ["1 gets c: died!"]
    host.release("A@", "c")
    assert host.sizes() == FUNCTION_ONLY


def test_an_actor_may_be_made_by_a_task_and_by_an_actor(alive):
    alive.submit("a")
    assert alive.create("B", alive.runs["a"].client, parent="a") == ["spawn 4", "make B on 4"]
    assert alive.create("C", 2, parent="c") == ["spawn 5", "make C on 5"]


# ---- `__init__` that fails -------------------------------------------------------------------------------------


def test_what_init_raises_is_what_calls_get(wide):
    wide.create("A", full_name="space\nname", max_restarts=3)
    wide.attach(2, process=77)
    wide.call("c1", "A")
    wide.get("c1")
    assert wide.fail("A", "ValueError: no") == ["stop 2", "1 gets c1: init failed!"]
    wide.call("c2", "A")
    code, (name, actor, full_name, _, why) = wide.error_of("c2")
    assert (code, name, full_name, why) == (p.ERROR_ACTOR_INIT, "f", "space\nname", "ValueError: no")
    assert actor == id_text(wide, "A")
    assert wide.actor_names() == ""
    assert wide.detach(2, started=1) == []
    wide.release("A@", "c1", "c2")
    assert wide.sizes() == FUNCTION_ONLY


def id_text(host, actor):
    return host.task(actor).hex()


def test_an_argument_of_init_that_is_an_error_ends_the_actor(wide):
    wide.submit("a")
    wide.create("A", refs=["a"], max_restarts=3)
    wide.call("c1", "A")
    wide.get("c1")
    assert wide.fail("a", "boom") == ["1 gets c1: died!"]
    wide.call("c2", "A")
    assert "an argument of its __init__ is an error" in wide.error_of("c2")[1][-1]


def test_an_argument_of_init_that_is_an_error_already(wide):
    wide.submit("a")
    wide.fail("a")
    wide.create("A", refs=["a"])
    wide.call("c", "A")
    assert wide.error_of("c")[0] == p.ERROR_ACTOR_DIED
    wide.release("A@", "a", "c")
    assert wide.sizes() == FUNCTION_ONLY


def test_an_actor_whose_process_never_comes_dies(wide):
    wide.create("A")
    wide.call("c", "A")
    for worker in (2, 3):
        assert wide.detach(worker, why="no memory") == [f"spawn {worker + 1}", f"make A on {worker + 1}"]
    wide.detach(4, why="no memory")
    code, fields = wide.error_of("c")
    assert (code, fields[-1]) == (
        p.ERROR_ACTOR_DIED,
        "it could not be created: no process could be started: no memory",
    )


def test_a_process_that_dies_in_init_uses_up_a_restart(wide):
    wide.create("A", max_restarts=1)
    wide.attach(2)
    wide.call("c", "A")
    assert wide.detach(2, started=1) == ["spawn 3", "make A on 3 again 1"]
    wide.attach(3)
    wide.get("c")
    assert wide.detach(3, started=1, why="signal 11") == ["1 gets c: died!"]
    wide.release("c", "A@")
    assert wide.sizes() == FUNCTION_ONLY


def test_a_process_that_dies_before_init_costs_nothing(wide):
    wide.create("A")
    wide.attach(2)
    assert wide.detach(2, started=0) == ["spawn 3", "make A on 3"]


# ---- handles ---------------------------------------------------------------------------------------------------


def test_with_its_last_handle_an_actor_ends(alive):
    assert alive.release("A@") == ["stop 2"]
    assert alive.detach(2, why="exit code 0") == []
    assert alive.sizes() == FUNCTION_ONLY


def test_calls_that_were_sent_still_run(alive):
    alive.call("c1", "A")
    alive.call("c2", "A")
    assert alive.release("A@") == []
    alive.get("c2")
    assert alive.finish("c1") == []
    assert alive.finish("c2") == ["1 gets c2: c2", "stop 2"]


def test_calls_that_wait_for_arguments_still_run(alive):
    alive.submit("a")
    alive.call("c", "A", refs=["a"])
    assert alive.release("A@") == []
    assert alive.finish("a") == ["call c on 2"]
    assert alive.finish("c") == ["stop 2"]


def test_calls_made_before_it_was_made_still_run(wide):
    wide.create("A")
    wide.call("c", "A")
    assert wide.release("A@") == []
    assert wide.made("A") == ["call c on 2"]
    assert wide.finish("c") == ["stop 2"]


def test_an_actor_that_nobody_can_call_any_more_is_made_for_what_init_does_if_that_has_begun(wide):
    wide.create("A")
    assert wide.release("A@") == []
    assert wide.made("A") == ["stop 2"]


def test_an_actor_that_nobody_can_call_any_more_is_not_made_if_that_has_not_begun(wide):
    wide.submit("a")
    wide.create("A", refs=["a"])
    wide.release("A@")
    assert wide.finish("a") == []
    assert wide.story_of("A") == ["WAITING", "CANCELLED"]
    wide.release("a")
    assert wide.sizes() == FUNCTION_ONLY


def test_one_that_waits_for_a_place_is_not_made(host):
    host.submit("a")
    host.create("A", needs={"CPU": 1})
    host.release("A@")
    assert host.finish("a") == []
    assert host.story_of("A") == ["WAITING", "READY", "CANCELLED"]


@pytest.mark.parametrize("where", ["an argument", "inside an argument", "a result", "a put", "a function", "a handle"])
def test_a_handle_inside_something_keeps_the_actor(alive, where):
    if where == "an argument":
        alive.submit("a", refs=["A@"])
        end = lambda: alive.finish("a")  # noqa: E731
    elif where == "inside an argument":
        alive.submit("a", nested=["A@"])
        end = lambda: alive.finish("a")  # noqa: E731
    elif where == "a result":
        alive.submit("a")
        alive.finish("a", p.envelope(refs=alive.objects(["A@"])))
        end = lambda: alive.release("a")  # noqa: E731
    elif where == "a put":
        alive.put("root!1", p.envelope(refs=alive.objects(["A@"])))
        end = lambda: alive.release("root!1")  # noqa: E731
    elif where == "a function":
        alive.function("g()", refs=["A@"])
        end = lambda: alive.release("g()")  # noqa: E731
    else:
        alive.create("B", handle_refs=["A@"], needs={"GPU": 1})
        end = lambda: alive.release("B@")  # noqa: E731
    assert alive.release("A@") == []
    assert "stop 2" in end()


def test_a_handle_in_another_process_keeps_the_actor(alive):
    alive.hold("A@", 7)
    assert alive.release("A@") == []
    assert alive.detach(7) == ["stop 2"]


def test_a_handle_travels_to_whoever_gets_it(alive):
    alive.put("root!1", p.envelope(refs=alive.objects(["A@"])))
    alive.release("A@")
    alive.get("root!1", client=7)
    alive.hold("A@", 7)
    assert alive.release("root!1") == []
    assert alive.call("c", "A", 7, parent="seven") == ["call c on 2"]


def test_a_call_makes_a_handle_of_its_own_actor(alive):
    """As get_runtime_context().current_actor does, when nobody else has one any more."""
    alive.call("c", "A")
    alive.release("A@")
    alive.hold("A@", 2)
    assert alive.get("A@", client=2) == ["2 gets A@: handle of A"]
    assert alive.finish("c") == []
    assert alive.call("d", "A", 2, parent="c") == ["call d on 2"]
    alive.finish("d")
    assert alive.release("A@", client=2) == ["stop 2"]


def test_one_asked_for_before_it_is_known_is_as_good_as_any(wide):
    wide.hold("A@", 7)
    assert wide.get("A@", client=7) == ["7 gets A@: lost!"]
    wide.create("A")
    assert wide.get("A@", client=7) == ["7 gets A@: handle of A"]
    wide.made("A")
    assert wide.release("A@") == []
    assert wide.release("A@", client=7) == ["stop 2"]


def test_a_call_of_an_actor_that_is_gone_says_so(alive):
    alive.release("A@")
    alive.call("c", "A")
    code, fields = alive.error_of("c")
    assert (code, fields[1]) == (p.ERROR_ACTOR_DIED, id_text(alive, "A"))
    assert "its last handle was released before" in fields[-1]


def test_a_detached_actor_lives_without_handles_until_it_is_killed(wide):
    wide.make("A", actor_flags=p.ACTOR_DETACHED, full_name="space\nname")
    assert wide.release("A@") == []
    assert wide.detach(DRIVER) == ["forget f() on 2"]
    wide.attach(7, p.CLIENT_DRIVER)
    assert wide.find_actor("space\nname", 7) == "A"
    wide.release("A@", client=7)
    assert wide.kill("A") == ["kill 2"]
    wide.detach(2)
    assert wide.sizes().get("actors") is None
    assert wide.sizes().get("objects") is None


# ---- names -----------------------------------------------------------------------------------------------------


def test_an_actor_is_found_by_its_name(wide):
    wide.create("A", full_name="space\nname")
    assert wide.find_actor("space\nname", 7) == "A"
    assert wide.find_actor("other\nname", 7) is None
    assert wide.query(p.QUERY_ACTOR_NAME, wide.task("A")) == b"space\nname"
    wide.made("A")
    assert wide.release("A@") == []
    assert wide.release("A@", client=7) == ["stop 2"]


def test_names_are_listed(wide):
    for actor, name in (("A", "a\nx"), ("B", ""), ("C", "a\na"), ("D", "b\na")):
        wide.create(actor, full_name=name)
    assert wide.actor_names() == "a\na\na\nx\nb\na\n"


def test_a_name_is_one_actors_until_it_dies(wide):
    wide.make("A", full_name="space\nname")
    assert wide.create("B", full_name="space\nname", confirm=True) == ["ready for 1! []"]
    assert wide.commands[0].aux == p.SUBMIT_NAME_TAKEN
    assert wide.sizes()["actors"] == 1
    assert wide.create("C", full_name="elsewhere\nname", confirm=True)[0] == "ready for 1 []"
    wide.kill("A")
    assert wide.find_actor("space\nname") is None
    assert wide.create("B", full_name="space\nname", confirm=True)[0] == "ready for 1 []"
    assert wide.find_actor("space\nname") == "B"


def test_a_name_is_found_while_the_actors_last_calls_run(wide):
    """Else who makes it if it does not exist would neither find it nor be able to make it."""
    wide.make("A", full_name="space\nname")
    wide.call("c", "A")
    wide.release("A@")
    assert wide.find_actor("space\nname", 7) == "A"
    assert wide.finish("c") == []
    assert wide.call("d", "A", 7, parent="seven") == ["call d on 2"]
    assert wide.get("A@", client=7) == ["7 gets A@: handle of A"]
    wide.finish("d")
    assert wide.release("A@", client=7) == ["stop 2"]


def test_a_name_is_found_while_an_actor_without_handles_is_made(wide):
    wide.create("A", full_name="space\nname")
    wide.release("A@")
    assert wide.find_actor("space\nname", 7) == "A"
    assert wide.made("A") == []
    assert wide.release("A@", client=7) == ["stop 2"]


def test_the_name_of_an_actor_there_is_not(wide):
    assert wide.query(p.QUERY_ACTOR_NAME, wide.task("A")) == b""
    assert wide.find_actor("") is None


# ---- what it holds ---------------------------------------------------------------------------------------------


def test_its_worker_counts_neither_as_idle_nor_towards_the_cap(make_host):
    host = make_host({"CPU": 8}, worker_cap=1)
    host.make("A")
    host.make("B")
    assert host.submit("a") == ["spawn 4", "run a on 4"]
    assert host.create("C") == ["spawn 5", "make C on 5"]
    host.finish("a", runtime_ns=10 * MS)
    host.attach(4)
    assert host.tick(10 * p.IDLE_NS) == ["stop 4"]


def test_a_cpu_that_is_for_placing_only_is_given_back(host):
    host.create("A", needs={"CPU": 1}, actor_flags=p.ACTOR_PLACED_ON_CPU)
    assert cpus(host) == 0
    host.submit("a")
    assert host.made("A") == ["spawn 3", "run a on 3"]
    host.call("c", "A")
    host.get("a", client=2, task="c", flags=p.GET_LENDS)
    host.finish("a")
    assert cpus(host) == 1
    host.detach(2)
    assert cpus(host) == 1


def test_so_any_number_of_them_fits(host):
    for i in range(20):
        host.make(f"A{i}", needs={"CPU": 1}, actor_flags=p.ACTOR_PLACED_ON_CPU)
    assert len(host.node.workers()) == 20
    assert cpus(host) == 1


def test_a_cpu_that_it_asked_for_is_its_own_for_life(host):
    host.make("A", needs={"CPU": 1})
    assert host.submit("a") == []
    assert host.kill("A") == ["kill 2"]
    assert cpus(host) == 0  # until its process is gone
    assert host.detach(2) == ["spawn 3", "run a on 3"]


def test_gpus_are_its_own_for_life(make_host):
    host = make_host({"CPU": 4, "GPU": 2})
    assert host.create("A", needs={"GPU": 1}) == ["spawn 2 gpus 0", "make A on 2 gpus 0"]
    host.attach(2)
    host.made("A")
    assert host.create("B", needs={"GPU": 2}) == []
    assert host.submit("a", needs={"GPU": 1}) == ["spawn 3 gpus 1", "run a on 3 gpus 1"]
    host.finish("a", runtime_ns=10 * MS)
    host.kill("A")
    assert host.detach(2) == ["spawn 4 gpus 0,1", "make B on 4 gpus 0,1"]


def test_resources_are_given_back_when_init_fails(host):
    host.create("A", needs={"CPU": 1})
    host.attach(2)
    host.fail("A", "no")
    assert cpus(host) == 0
    host.detach(2)
    assert cpus(host) == 1


def test_a_class_is_forgotten_after_the_last_creation_and_still_named_in_errors(wide):
    wide.function("Class()")
    wide.make("A", function="Class()")
    assert wide.release("Class()") == ["forget Class() on 2"]
    wide.kill("A")
    wide.call("c", "A")
    assert wide.error_of("c")[1][0] == "Class"


def test_a_class_is_kept_for_restarts(wide):
    wide.function("Class()")
    wide.make("A", function="Class()", max_restarts=1)
    assert wide.release("Class()") == []
    wide.detach(2)
    assert wide.run_of("A").function_body


def test_nobody_is_stuck_for_want_of_a_process(make_host):
    """The only shared worker waits for an actor that is not made yet."""
    host = make_host({"CPU": 1}, worker_cap=1)
    host.submit("a")
    host.create("A", 2, parent="a", needs={"CPU": 1})
    host.call("c", "A", 2, parent="a")
    assert host.get("c", client=2, task="a", flags=p.GET_LENDS | p.GET_IN_PLACE) == ["spawn 3", "make A on 3"]


# ---- what a worker has -----------------------------------------------------------------------------------------


def assigned(host, task, client):
    """What the node says that a worker's task has."""
    answer = p.read_resources(host.query(p.QUERY_ASSIGNED, host.task(task), client))
    return {name: total / p.UNIT for name, (total, _) in answer.items()}


def test_a_worker_can_ask_what_its_task_has(make_host):
    host = make_host({"CPU": 4, "GPU": 1, "x": 1})
    host.submit("a", needs={"CPU": 1, "x": 0.5})
    host.submit("b", needs={"CPU": 0.5, "GPU": 1})
    host.submit("nothing", needs={})
    assert assigned(host, "a", host.runs["a"].client) == {"CPU": 1, "x": 0.5}
    assert assigned(host, "b", host.runs["b"].client) == {"CPU": 0.5, "GPU": 1}
    assert assigned(host, "nothing", host.runs["nothing"].client) == {}
    assert assigned(host, "a", host.runs["b"].client) == assigned(host, "a", DRIVER) == assigned(host, "a", 99) == {}


@pytest.mark.parametrize("bundle", [p.ANY_BUNDLE, 1])
def test_in_a_group_it_is_what_was_asked_for(make_host, bundle):
    host = make_host({"CPU": 4, "x": 1})
    host.group("g", {"CPU": 1}, {"CPU": 2, "x": 0.5})
    host.submit("a", needs={"CPU": 1.5, "x": 0.5}, group="g", bundle=bundle)
    assert assigned(host, "a", host.runs["a"].client) == {"CPU": 1.5, "x": 0.5}


@pytest.mark.parametrize("flags, cpus", [(p.ACTOR_PLACED_ON_CPU, {}), (0, {"CPU": 1})])
def test_an_actor_has_it_for_life(make_host, flags, cpus):
    host = make_host({"CPU": 2, "x": 1})
    host.create("A", needs={"CPU": 1, "x": 1}, actor_flags=flags)
    assert assigned(host, "A", 2) == {**cpus, "x": 1}
    host.attach(2)
    host.made("A")
    host.call("c", "A")
    assert assigned(host, "c", 2) == assigned(host, "root", 2) == {**cpus, "x": 1}
