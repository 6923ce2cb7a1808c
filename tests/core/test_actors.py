"""The life of an actor: made, named, held by handles, killed, restarted, ended; what its calls get; what it holds."""

from __future__ import annotations

import pytest

from raylite._core.rng import Random
from tests.core import protocol as p
from tests.core.host import DRIVER, MS, Host

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}
DEAD, PENDING = "dead", "pending"


@pytest.fixture
def wide(make_host):
    """A host with eight CPUs."""
    return make_host({"CPU": 8})


@pytest.fixture
def alive(wide):
    """The same, with an actor "A" on worker 2."""
    return make(wide, "A")


def make(host, actor, **options):
    host.create(actor, **options)
    host.attach(host.runs[actor].client, process=1000 + host.runs[actor].client)
    host.made(actor)
    return host


def error_of(host, task):
    """The code and text of a system error, the text by fields."""
    host.get(task)
    code, text = p.read_envelope(host.last(p.CMD_VALUE).payload).error
    return code, text.split("\x1f")


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
    host.call("c", "A") if host.create("A", needs={"CPU": 1}) else host.call("c", "A")
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
    code, (name, actor, full_name, _, why) = error_of(wide, "c2")
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
    assert "an argument of its __init__ is an error" in error_of(wide, "c2")[1][-1]


def test_an_argument_of_init_that_is_an_error_already(wide):
    wide.submit("a")
    wide.fail("a")
    wide.create("A", refs=["a"])
    wide.call("c", "A")
    assert error_of(wide, "c")[0] == p.ERROR_ACTOR_DIED
    wide.release("A@", "a", "c")
    assert wide.sizes() == FUNCTION_ONLY


def test_an_actor_whose_process_never_comes_dies(wide):
    wide.create("A")
    wide.call("c", "A")
    for worker in (2, 3):
        assert wide.detach(worker, why="no memory") == [f"spawn {worker + 1}", f"make A on {worker + 1}"]
    wide.detach(4, why="no memory")
    code, fields = error_of(wide, "c")
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
    code, fields = error_of(alive, "c")
    assert (code, fields[1]) == (p.ERROR_ACTOR_DIED, id_text(alive, "A"))
    assert "its last handle was released before" in fields[-1]


def test_a_detached_actor_lives_without_handles_until_it_is_killed(wide):
    make(wide, "A", actor_flags=p.ACTOR_DETACHED, full_name="space\nname")
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
    make(wide, "A", full_name="space\nname")
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
    make(wide, "A", full_name="space\nname")
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


# ---- killing, at every state -----------------------------------------------------------------------------------


def waiting(host, **options):
    host.submit("a")
    host.create("A", refs=["a"], **options)


def unplaced(host, **options):
    host.create("A", needs={"GPU": 1}, **options)


def ordered(host, **options):
    host.create("A", **options)


def creating(host, **options):
    host.create("A", **options)
    host.attach(2)


def blocked(host, **options):
    creating(host, **options)
    host.submit("b", 2, needs={"GPU": 1})
    host.get("b", client=2, task="A", flags=p.GET_LENDS)


def restarting(host, **options):
    make(host, "A", **options)
    host.detach(2)


STATES = {each.__name__: each for each in (waiting, unplaced, ordered, creating, blocked)}


@pytest.mark.parametrize("state", STATES)
def test_killed_for_good_before_it_is_made(wide, state):
    STATES[state](wide, max_restarts=5)
    wide.call("c1", "A")
    wide.get("c1")
    stopped = [] if state in ("waiting", "unplaced") else ["kill 2"]
    assert wide.kill("A") == [*stopped, "1 gets c1: died!"]
    assert wide.kill("A") == []
    wide.call("c2", "A")
    assert "it was killed" in error_of(wide, "c2")[1][-1]
    assert wide.detach(2, started=1) == []
    wide.release("A@", "c1", "c2")
    assert wide.sizes().get("actors") is None


@pytest.mark.parametrize("state", ["ordered", "creating", "blocked"])
def test_the_end_of_init_that_comes_after_the_kill_changes_nothing(wide, state):
    STATES[state](wide)
    wide.call("c", "A")
    wide.kill("A")
    assert wide.made("A") == []
    wide.release("A@", "c")
    assert wide.detach(2, started=1) == []
    wide.get("c") if state == "blocked" else None
    assert wide.sizes().get("actors") is None


@pytest.mark.parametrize("state", ["waiting", "unplaced"])
def test_killed_with_a_restart_before_it_runs_nothing_happens(wide, state):
    STATES[state](wide, max_restarts=1)
    assert wide.kill("A", no_restart=False) == []
    assert wide.story_of("A")[-1] in ("WAITING", "READY")


@pytest.mark.parametrize("state", ["creating", "blocked"])
def test_killed_with_a_restart_while_it_is_made_it_is_made_again(wide, state):
    STATES[state](wide, max_restarts=1)
    wide.call("c", "A")
    assert wide.kill("A", no_restart=False) == ["kill 2"]
    assert wide.detach(2, started=1) == ["spawn 3", "make A on 3 again 1"]
    assert wide.made("A") == ["call c on 3"]


def test_killed_with_a_restart_as_init_ends(wide):
    creating(wide, max_restarts=1)
    wide.call("c", "A")
    wide.kill("A", no_restart=False)
    assert wide.made("A") == []
    assert wide.detach(2, started=1) == ["spawn 3", "make A on 3 again 1"]
    assert wide.made("A") == ["call c on 3"]


def test_killed_for_good_while_alive(wide):
    make(wide, "A", max_restarts=5)
    for task in ("c1", "c2"):
        wide.call(task, "A", max_retries=-1)
    wide.get("c1", "c2")
    assert sorted(wide.kill("A")) == ["1 gets c1: died!", "1 gets c2: died!", "kill 2"]
    assert wide.finish("c1", run=wide.runs["c1"]) == []
    assert wide.detach(2, started=1) == []
    wide.call("c3", "A")
    code, fields = error_of(wide, "c3")
    assert (code, fields[3]) == (p.ERROR_ACTOR_DIED, "1002")


def test_killed_with_a_restart_while_alive(wide):
    make(wide, "A", max_restarts=1)
    wide.call("c1", "A")
    assert wide.kill("A", no_restart=False) == ["kill 2"]
    assert wide.call("c2", "A") == []
    assert wide.kill("A", no_restart=False) == ["kill 2"]  # and one restart is used up, not two
    assert wide.detach(2, started=2) == ["spawn 3", "make A on 3 again 1"]
    assert wide.made("A") == ["call c2 on 3"]
    assert wide.kill("A", no_restart=False) == ["kill 3"]  # none is left
    assert error_of(wide, "c2")[0] == p.ERROR_ACTOR_DIED


def test_killed_without_restarts_whatever_was_asked_for(alive):
    assert alive.kill("A", no_restart=False) == ["kill 2"]
    alive.call("c", "A")
    assert error_of(alive, "c")[0] == p.ERROR_ACTOR_DIED


@pytest.mark.parametrize("no_restart", [True, False])
def test_killed_while_it_is_restarting(wide, no_restart):
    restarting(wide, max_restarts=1)
    wide.call("c", "A")
    assert wide.kill("A", no_restart=no_restart) == ["kill 3"]
    assert error_of(wide, "c")[0] == p.ERROR_ACTOR_DIED
    assert wide.detach(3) == []


def test_a_dead_actor_cannot_be_killed_nor_one_that_is_not_known(alive):
    alive.kill("A")
    sizes = alive.sizes()
    assert alive.kill("A") == []
    assert alive.kill("unknown") == []
    assert alive.sizes() == sizes


def test_a_dead_actors_row_stays_while_there_are_handles(alive):
    alive.kill("A")
    alive.detach(2)
    assert alive.sizes()["actors"] == 1
    assert alive.release("A@") == []
    assert alive.sizes() == FUNCTION_ONLY


# ---- leaving by its own wish -----------------------------------------------------------------------------------


def test_an_actor_leaves_and_its_calls_hear_of_it(wide):
    make(wide, "A", max_restarts=5)
    for task in ("c1", "c2", "c3"):
        wide.call(task, "A", max_retries=-1)
    wide.finish("c1")
    wide.get("c2", "c3")
    assert sorted(wide.leave("c2")) == ["1 gets c2: died!", "1 gets c3: died!", "stop 2"]
    assert wide.detach(2, started=2, why="exit code 0") == []
    assert "exit_actor" in error_of(wide, "c3")[1][-1]
    assert wide.get("c1") == ["1 gets c1: c1"]


def test_one_call_of_several_ends_it_for_all(wide):
    make(wide, "A", groups=(3,))
    for task in ("c1", "c2", "c3"):
        wide.call(task, "A")
    assert wide.leave("c2") == ["stop 2"]
    assert wide.finish("c1") == []
    assert error_of(wide, "c1")[0] == p.ERROR_ACTOR_DIED


def test_a_result_given_with_the_exit_counts(alive):
    alive.call("c", "A")
    alive.get("c")
    assert alive.finish("c", flags=p.FINISHED_EXITS) == ["stop 2", "1 gets c: c"]


# ---- dying and restarting --------------------------------------------------------------------------------------


def test_an_actor_without_restarts_dies_with_its_process(alive):
    alive.call("c1", "A", max_retries=-1)
    alive.call("c2", "A")
    alive.get("c1", "c2")
    said = alive.detach(2, started=2, why="signal 9\x1fstderr")
    assert sorted(said) == ["1 gets c1: died!", "1 gets c2: died!"]
    alive.call("c3", "A")
    code, fields = error_of(alive, "c3")
    assert (code, fields[0], fields[3:]) == (p.ERROR_ACTOR_DIED, "f", ["1002", "signal 9", "stderr"])
    alive.release("A@", "c1", "c2", "c3")
    assert alive.sizes() == FUNCTION_ONLY


def test_after_a_restart_what_had_begun_has_failed_and_what_had_not_runs_in_its_order(wide):
    make(wide, "A", max_restarts=1)
    for i in range(4):
        wide.call(f"c{i}", "A")
    wide.finish("c0")
    wide.get("c1")
    assert wide.detach(2, started=3, why="signal 9") == ["1 gets c1: unavailable!", "spawn 3", "make A on 3 again 1"]
    code, text = p.read_envelope(wide.commands[0].payload).error
    assert text.split("\x1f")[-1] == "signal 9"
    wide.call("c4", "A")
    assert wide.made("A") == ["call c2 on 3", "call c3 on 3", "call c4 on 3"]


def test_what_had_begun_and_may_be_tried_again_goes_first(wide):
    make(wide, "A", max_restarts=1, groups=(2,))
    for i in range(4):
        wide.call(f"c{i}", "A", max_retries=1 if i in (0, 2) else 0)
    assert wide.detach(2, started=3) == ["spawn 3", "make A on 3 again 1"]
    assert wide.made("A") == ["call c0 on 3 again 1", "call c2 on 3", "call c3 on 3"]
    assert error_of(wide, "c1")[0] == p.ERROR_ACTOR_UNAVAILABLE


def test_retries_of_a_call_end(wide):
    make(wide, "A", max_restarts=-1)
    wide.call("c", "A", max_retries=1)
    wide.detach(2, started=2)
    wide.attach(3)
    assert wide.made("A") == ["call c on 3 again 1"]
    wide.get("c")
    assert wide.detach(3, started=2) == ["1 gets c: unavailable!", "spawn 4", "make A on 4 again 2"]


def test_a_retried_call_whose_argument_is_lost_is_waited_for_by_those_behind_it(wide):
    wide.submit("a")
    wide.finish("a", wide.in_arena(100, client=2), runtime_ns=10 * MS)
    wide.create("A", max_restarts=1)
    wide.attach(2)
    wide.made("A")
    wide.call("c1", "A", refs=["a"], max_retries=1)
    wide.call("c2", "A")
    wide.lose("a")
    wide.detach(2, started=3)
    actor, task = wide.runs["A"].client, wide.runs["a"].client
    wide.attach(actor)
    assert wide.made("A") == []
    assert wide.finish("a", wide.in_arena(100, client=task)) == [f"call c1 on {actor} again 1", f"call c2 on {actor}"]


def test_restarts_are_counted(wide):
    make(wide, "A", max_restarts=2)
    for worker in (2, 3):
        wide.detach(worker)
        wide.attach(worker + 1)
        wide.made("A")
    wide.call("c", "A", max_retries=-1)
    wide.get("c")
    assert wide.detach(4, started=2) == ["1 gets c: died!"]


def test_restarts_without_end(wide):
    make(wide, "A", max_restarts=-1)
    for worker in range(2, 100):
        assert wide.detach(worker) == [f"spawn {worker + 1}", f"make A on {worker + 1} again {worker - 1}"]
        wide.attach(worker + 1)
        wide.made("A")
    wide.kill("A")
    wide.detach(100)
    wide.release("A@")
    assert wide.sizes() == FUNCTION_ONLY


def test_arguments_of_init_are_kept_for_restarts_and_only_for_those(wide):
    for actor, max_restarts in (("A", 1), ("B", 0)):
        wide.put(f"root!{actor == 'A':d}", "argument")
        make(wide, actor, refs=[f"root!{actor == 'A':d}"], max_restarts=max_restarts)
        wide.release(f"root!{actor == 'A':d}")
    assert wide.get("root!0") == ["1 gets root!0: lost!"]
    wide.detach(2)
    assert [p.read_envelope(value.body).pickle for value in wide.run_of("A").values] == [b"argument"]
    wide.made("A")
    assert wide.get("root!1") == ["1 gets root!1: lost!"]


def test_an_argument_of_init_that_is_lost_is_made_again_for_a_restart(wide):
    wide.submit("a")
    wide.finish("a", wide.in_arena(100, client=2), runtime_ns=10 * MS)
    make(wide, "A", refs=["a"], max_restarts=1)
    wide.lose("a")
    worker = wide.runs["a"].client
    assert wide.detach(2) == []
    wide.call("c", "A")
    assert wide.finish("a", wide.in_arena(100, client=worker)) == [f"make A on {worker} again 1"]
    assert wide.made("A") == [f"call c on {worker}"]


def test_without_handles_it_is_not_restarted(wide):
    make(wide, "A", max_restarts=5)
    wide.release("A@")
    assert wide.detach(2) == []
    assert wide.sizes() == FUNCTION_ONLY


def test_without_handles_it_is_restarted_for_calls_that_are_left(wide):
    make(wide, "A", max_restarts=5)
    wide.call("c1", "A")
    wide.call("c2", "A")
    wide.release("A@", "c1")
    wide.detach(2, started=2)
    assert wide.made("A") == ["call c2 on 3"]
    assert wide.finish("c2") == ["stop 3"]


# ---- what it holds ---------------------------------------------------------------------------------------------


def test_its_worker_counts_neither_as_idle_nor_towards_the_cap(make_host):
    host = make_host({"CPU": 8}, worker_cap=1)
    make(host, "A")
    make(host, "B")
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
        make(host, f"A{i}", needs={"CPU": 1}, actor_flags=p.ACTOR_PLACED_ON_CPU)
    assert len(host.node.workers()) == 20
    assert cpus(host) == 1


def test_a_cpu_that_it_asked_for_is_its_own_for_life(host):
    make(host, "A", needs={"CPU": 1})
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
    make(wide, "A", function="Class()")
    assert wide.release("Class()") == ["forget Class() on 2"]
    wide.kill("A")
    wide.call("c", "A")
    assert error_of(wide, "c")[1][0] == "Class"


def test_a_class_is_kept_for_restarts(wide):
    wide.function("Class()")
    make(wide, "A", function="Class()", max_restarts=1)
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


# ---- creations that are repeated, or clash ---------------------------------------------------------------------


def test_a_parent_that_runs_again_makes_another(alive):
    """As in Ray: an actor is made once only; the client then takes another id."""
    assert alive.create("A", confirm=True) == ["ready for 1! []"]
    assert alive.commands[0].aux == p.SUBMIT_TAKEN
    assert alive.create("A'", confirm=True) == ["ready for 1 []", "spawn 3", "make A' on 3"]


@pytest.mark.parametrize("max_restarts", [0, 1])
def test_an_actor_submitted_twice_is_the_same(wide, max_restarts):
    make(wide, "A", max_restarts=max_restarts)
    assert wide.create("A", 7, max_restarts=max_restarts) == []
    assert wide.release("A@") == []
    assert wide.release("A@", client=7) == ["stop 2"]


def test_the_id_of_an_actor_is_no_other_tasks(alive):
    """A parent that runs again may do something else where it made the actor."""
    sizes = alive.sizes()
    assert alive.submit("A", confirm=True) == ["ready for 1! []"]
    assert alive.commands[0].aux == p.SUBMIT_TAKEN
    assert alive.submit("A") == []
    assert alive.sizes() == sizes


def test_the_id_of_a_task_is_no_actors(wide):
    wide.submit("a")
    assert wide.create("a", confirm=True, digest=1) == ["ready for 1! []"]
    assert wide.sizes().get("actors") is None


# ---- malformed -------------------------------------------------------------------------------------------------


def state_of(host):
    return host.node.sizes(), host.node.resources(), host.node.workers(), len(host.node.story()), host.actor_names()


def submissions(host):
    """A whole submission of an actor and one of a call, with all that they may have."""
    args = p.envelope(b"args", kind=p.KIND_ARGUMENTS, refs=host.objects(["root!1"]))
    common = {"refs": host.objects(["root!1"]), "name": "a name", "args": args, "demand": p.demand({"CPU": 1})}
    actor = p.actor(groups=(1, 2, 3), name=b"space\nnew", handle=p.envelope(b"handle", refs=host.objects(["A@"])))
    return {
        "actor": p.submit(host.object("f()"), n_returns=0, flags=p.SUBMIT_ACTOR, more=actor, **common),
        "call": p.submit(host.object("f()"), flags=p.SUBMIT_CALL, more=p.call(host.task("A")), **common),
    }


@pytest.fixture
def busy(alive):
    alive.put("root!1", "value")
    return alive


@pytest.mark.parametrize("kind", ["actor", "call"])
def test_cut_at_any_byte_a_submission_is_rejected_and_changes_nothing(busy, kind):
    payload = submissions(busy)[kind]
    before = state_of(busy)
    for size in range(len(payload)):
        assert busy.send_submission("new", DRIVER, payload[:size], False) == [f"reject {p.EV_SUBMIT} from 1"], size
        assert state_of(busy) == before
    assert not busy.send_submission("new", DRIVER, payload, False)[0].startswith("reject")


@pytest.mark.parametrize("kind", ["actor", "call"])
def test_with_damaged_bytes_nothing_crashes_and_what_is_rejected_changes_nothing(kind):
    random = Random(len(kind))
    for _ in range(400):
        host = make(Host({"CPU": 2}), "A")
        host.put("root!1", "value")
        damaged = bytearray(submissions(host)[kind])
        for _ in range(1 + random.below(3)):
            damaged[random.below(len(damaged))] ^= 1 << random.below(8)
        before = state_of(host)
        try:
            said = host.send_submission("new", DRIVER, bytes(damaged), False)
        except (KeyError, UnicodeDecodeError):
            said = []  # it tells of an object whose id no name has, or of a name that is no text
        if any(line.startswith("reject") for line in said):
            assert state_of(host) == before
        host.node.check_invariants()


@pytest.mark.parametrize(
    "fault",
    [
        {"groups": ()},
        {"groups": (0,)},
        {"groups": (1, 0)},
        {"groups": (1,) * 1025},
        {"max_restarts": -2},
        {"handle": b"no envelope"},
        {"handle": p.envelope(kind=p.KIND_USER_ERROR)},
    ],
    ids=str,
)
def test_an_impossible_actor_is_rejected(busy, fault):
    before = state_of(busy)
    payload = p.submit(busy.object("f()"), n_returns=0, flags=p.SUBMIT_ACTOR, more=p.actor(**fault))
    assert busy.send_submission("new", DRIVER, payload, False) == [f"reject {p.EV_SUBMIT} from 1"]
    assert state_of(busy) == before


def test_an_actor_has_no_results_and_is_no_call(busy):
    before = state_of(busy)
    for flags, more, n_returns in (
        (p.SUBMIT_ACTOR, p.actor(), 1),
        (p.SUBMIT_ACTOR | p.SUBMIT_CALL, p.call(busy.task("A")) + p.actor(), 0),
        (p.SUBMIT_CALL, p.call(busy.task("new")), 1),  # of itself
    ):
        payload = p.submit(busy.object("f()"), n_returns=n_returns, flags=flags, more=more)
        assert busy.send_submission("new", DRIVER, payload, False) == [f"reject {p.EV_SUBMIT} from 1"]
    assert state_of(busy) == before


def test_random_events_about_actors_do_not_crash_it():
    """Of any kind, by any client, in any order; submissions are whole."""
    names = ["A", "B", "c", "d", "t", "A@", "B@", "f()", "root!1", "unknown@", "c.1"]
    for seed in range(150):
        random = Random(1000 + seed)
        host = Host({"CPU": 2, "GPU": 1}, worker_cap=1 + random.below(3))
        ids = host.objects(names)
        for _ in range(60):
            host.now_ns += random.below(2 * MS)
            event(host, random, ids)
            host.node.check_invariants()


def event(host, random, ids):
    kind, client, id = random.below(12), 1 + random.below(6), ids[random.below(len(ids))]
    refs = [ids[random.below(len(ids))] for _ in range(random.below(2))]
    fields = {"object": id, "request": random.below(4), "flags": random.below(16), "attempt": random.below(2)}
    if kind < 2:
        more = p.actor(max_restarts=random.below(3) - 1, groups=(1 + random.below(2),) * (1 + random.below(2)),
                       name=[b"", b"s\nn"][random.below(2)], flags=random.below(8))  # fmt: skip
        payload = p.submit(host.object("f()"), n_returns=0, flags=p.SUBMIT_ACTOR, more=more, refs=refs,
                           demand=p.demand([{}, {"CPU": 1}, {"GPU": 1}][random.below(3)]))  # fmt: skip
        host.node.handle(host.now_ns, p.EV_SUBMIT, client, payload=payload, **{**fields, "flags": fields["flags"] & 4})
    elif kind < 6:
        actor = ids[random.below(3)][:16]
        payload = p.submit(host.object("f()"), flags=p.SUBMIT_CALL, max_retries=random.below(2), refs=refs,
                           more=p.call(actor, group=random.below(2)), parent=ids[random.below(3)][:16],
                           n_returns=random.below(3) - 1)  # fmt: skip
        host.node.handle(host.now_ns, p.EV_SUBMIT, client, payload=payload, **{**fields, "flags": fields["flags"] & 4})
    elif kind == 6:
        values = [p.inline_value(p.envelope(b"v", kind=random.below(2))) for _ in range(random.below(3))]
        host.node.handle(host.now_ns, p.EV_FINISHED, client, payload=p.finished(*values), **fields)
    elif kind == 7:
        host.node.handle(host.now_ns, p.EV_DETACH, client, payload=b"signal 9", request=random.below(5))
    elif kind == 8:
        host.node.handle(host.now_ns, p.EV_KILL, client, **fields)
    else:
        kinds = (p.EV_ATTACH, p.EV_CANCEL, p.EV_HOLD, p.EV_RELEASE, p.EV_DECLINED, p.EV_GET, p.EV_TICK, p.EV_LOST)
        payload = p.on_wire(id, *refs)
        host.node.handle(host.now_ns, kinds[random.below(len(kinds))], client, payload=payload, **fields)
