"""How actors end, and come back: killed at every state, left by their own wish, their process died."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import MS

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


# ---- killing, at every state -----------------------------------------------------------------------------------


def waiting(host, **options):
    host.submit("a", max_retries=0)
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
    host.make("A", **options)
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
    assert "it was killed" in wide.error_of("c2")[1][-1]
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
    wide.make("A", max_restarts=5)
    for task in ("c1", "c2"):
        wide.call(task, "A", max_retries=-1)
    wide.get("c1", "c2")
    assert sorted(wide.kill("A")) == ["1 gets c1: died!", "1 gets c2: died!", "kill 2"]
    assert wide.finish("c1", run=wide.runs["c1"]) == []
    assert wide.detach(2, started=1) == []
    wide.call("c3", "A")
    code, fields = wide.error_of("c3")
    assert (code, fields[3]) == (p.ERROR_ACTOR_DIED, "1002")


def test_killed_with_a_restart_while_alive(wide):
    wide.make("A", max_restarts=1)
    wide.call("c1", "A")
    assert wide.kill("A", no_restart=False) == ["kill 2"]
    assert wide.call("c2", "A") == []
    assert wide.kill("A", no_restart=False) == ["kill 2"]  # and one restart is used up, not two
    assert wide.detach(2, started=2) == ["spawn 3", "make A on 3 again 1"]
    assert wide.made("A") == ["call c2 on 3"]
    assert wide.kill("A", no_restart=False) == ["kill 3"]  # none is left
    assert wide.error_of("c2")[0] == p.ERROR_ACTOR_DIED


def test_killed_without_restarts_whatever_was_asked_for(alive):
    assert alive.kill("A", no_restart=False) == ["kill 2"]
    alive.call("c", "A")
    assert alive.error_of("c")[0] == p.ERROR_ACTOR_DIED


@pytest.mark.parametrize("no_restart", [True, False])
def test_killed_while_it_is_restarting(wide, no_restart):
    restarting(wide, max_restarts=1)
    wide.call("c", "A")
    assert wide.kill("A", no_restart=no_restart) == ["kill 3"]
    assert wide.error_of("c")[0] == p.ERROR_ACTOR_DIED
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
    wide.make("A", max_restarts=5)
    for task in ("c1", "c2", "c3"):
        wide.call(task, "A", max_retries=-1)
    wide.finish("c1")
    wide.get("c2", "c3")
    assert sorted(wide.leave("c2")) == ["1 gets c2: died!", "1 gets c3: died!", "stop 2"]
    assert wide.detach(2, started=2, why="exit code 0") == []
    assert "exit_actor" in wide.error_of("c3")[1][-1]
    assert wide.get("c1") == ["1 gets c1: c1"]


def test_one_call_of_several_ends_it_for_all(wide):
    wide.make("A", groups=(3,))
    for task in ("c1", "c2", "c3"):
        wide.call(task, "A")
    assert wide.leave("c2") == ["stop 2"]
    assert wide.finish("c1") == []
    assert wide.error_of("c1")[0] == p.ERROR_ACTOR_DIED


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
    code, fields = alive.error_of("c3")
    assert (code, fields[0], fields[3:]) == (p.ERROR_ACTOR_DIED, "f", ["1002", "signal 9", "stderr"])
    alive.release("A@", "c1", "c2", "c3")
    assert alive.sizes() == FUNCTION_ONLY


def test_after_a_restart_what_had_begun_has_failed_and_what_had_not_runs_in_its_order(wide):
    wide.make("A", max_restarts=1)
    for i in range(4):
        wide.call(f"c{i}", "A")
    wide.finish("c0")
    wide.get("c1")
    assert wide.detach(2, started=3, why="signal 9") == ["1 gets c1: unavailable!", "spawn 3", "make A on 3 again 1"]
    _, text = p.read_envelope(wide.commands[0].payload).error
    assert text.split("\x1f")[-1] == "signal 9"
    wide.call("c4", "A")
    assert wide.made("A") == ["call c2 on 3", "call c3 on 3", "call c4 on 3"]


def test_what_had_begun_and_may_be_tried_again_goes_first(wide):
    wide.make("A", max_restarts=1, groups=(2,))
    for i in range(4):
        wide.call(f"c{i}", "A", max_retries=1 if i in (0, 2) else 0)
    assert wide.detach(2, started=3) == ["spawn 3", "make A on 3 again 1"]
    assert wide.made("A") == ["call c0 on 3 again 1", "call c2 on 3", "call c3 on 3"]
    assert wide.error_of("c1")[0] == p.ERROR_ACTOR_UNAVAILABLE


def test_retries_of_a_call_end(wide):
    wide.make("A", max_restarts=-1)
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
    wide.make("A", max_restarts=2)
    for worker in (2, 3):
        wide.detach(worker)
        wide.attach(worker + 1)
        wide.made("A")
    wide.call("c", "A", max_retries=-1)
    wide.get("c")
    assert wide.detach(4, started=2) == ["1 gets c: died!"]


def test_restarts_without_end(wide):
    wide.make("A", max_restarts=-1)
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
        wide.make(actor, refs=[f"root!{actor == 'A':d}"], max_restarts=max_restarts)
        wide.release(f"root!{actor == 'A':d}")
    assert wide.get("root!0") == ["1 gets root!0: lost!"]
    wide.detach(2)
    assert [p.read_envelope(value.body).pickle for value in wide.run_of("A").values] == [b"argument"]
    wide.made("A")
    assert wide.get("root!1") == ["1 gets root!1: lost!"]


def test_an_argument_of_init_that_is_lost_is_made_again_for_a_restart(wide):
    wide.submit("a")
    wide.finish("a", wide.in_arena(100, client=2), runtime_ns=10 * MS)
    wide.make("A", refs=["a"], max_restarts=1)
    wide.lose("a")
    worker = wide.runs["a"].client
    assert wide.detach(2) == []
    wide.call("c", "A")
    assert wide.finish("a", wide.in_arena(100, client=worker)) == [f"make A on {worker} again 1"]
    assert wide.made("A") == [f"call c on {worker}"]


def test_without_handles_it_is_not_restarted(wide):
    wide.make("A", max_restarts=5)
    wide.release("A@")
    assert wide.detach(2) == []
    assert wide.sizes() == FUNCTION_ONLY


def test_without_handles_it_is_restarted_for_calls_that_are_left(wide):
    wide.make("A", max_restarts=5)
    wide.call("c1", "A")
    wide.call("c2", "A")
    wide.release("A@", "c1")
    wide.detach(2, started=2)
    assert wide.made("A") == ["call c2 on 3"]
    assert wide.finish("c2") == ["stop 3"]
