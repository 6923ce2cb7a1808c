"""Actors that replay: what runs again when their process dies, in which order, and what of it counts."""

from __future__ import annotations

import pytest

from tests.core import protocol as p

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


@pytest.fixture
def actor(wide):
    """A host with an actor "A" on worker 2 that replays; its calls come to it as messages 2, 3, 4, ..."""
    return wide.make("A", actor_flags=p.ACTOR_REPLAYS, max_restarts=-1)


def call(host, *calls, finish=True, **options):
    """Calls of "A", which end, one after the other."""
    for each in calls:
        host.call(each, "A", max_retries=3, **options)
        if finish:
            host.finish(each)


def die(host, worker, started, actor="A"):
    """The worker dies, having begun its messages up to `started`. The next one has made or restored the actor."""
    said = host.detach(worker, started=started)
    assert said[-1].split()[:2] in (["make", actor], ["restore", actor]), said
    if "spawn" in said[0]:
        host.attach(host.runs[actor].client)
    return host.made(actor)


def end(host, *names):
    """Everybody lets go of the actor and of these."""
    host.release("A@", *names)
    assert host.sizes() == FUNCTION_ONLY


# ---- what runs again -------------------------------------------------------------------------------------------


def test_the_calls_that_have_ended_run_again_in_their_order(actor):
    call(actor, "c1", "c2")
    assert die(actor, 2, started=3) == ["call c1 on 3 again 1", "call c2 on 3 again 1"]
    assert actor.get("c1") == ["1 gets c1: c1"]


def test_their_results_stay_those_of_the_first_time(actor):
    call(actor, "c1", "c2")
    actor.release("c2")
    die(actor, 2, started=3)
    assert actor.finish("c1", "other") == []
    assert actor.finish("c2", "other") == []
    assert actor.get("c1") == ["1 gets c1: c1"]
    end(actor, "c1")


def test_they_run_again_as_often_as_the_process_dies(actor):
    call(actor, "c1", "c2")
    die(actor, 2, started=3)
    actor.finish("c1")
    assert die(actor, 3, started=3) == ["call c1 on 4 again 2", "call c2 on 4 again 2"]
    actor.finish("c1")
    actor.finish("c2")
    assert die(actor, 4, started=3) == ["call c1 on 5 again 3", "call c2 on 5 again 3"]
    end(actor, "c1", "c2")


def test_what_ran_just_then_comes_after_them_and_what_had_not_begun_after_that(actor):
    call(actor, "c1")
    call(actor, "c2", "c3", finish=False)
    said = die(actor, 2, started=3)
    assert said == ["call c1 on 3 again 1", "call c2 on 3 again 1", "call c3 on 3"]
    for each in ("c1", "c2", "c3"):
        actor.finish(each)
    assert actor.get("c2", "c3") == ["1 gets c2: c2", "1 gets c3: c3"]
    end(actor, "c1", "c2", "c3")


def test_calls_made_meanwhile_come_last(actor):
    call(actor, "c1")
    actor.detach(2, started=2)
    call(actor, "c2", finish=False)
    actor.attach(3)
    assert actor.made("A") == ["call c1 on 3 again 1", "call c2 on 3"]


def test_a_call_that_raised_has_been_applied_too(actor):
    actor.call("c1", "A")
    actor.fail("c1", "no")
    assert die(actor, 2, started=2) == ["call c1 on 3 again 1"]
    assert actor.fail("c1", "again") == []
    assert actor.get("c1") == ["1 gets c1: no!"]
    assert die(actor, 3, started=2) == ["call c1 on 4 again 2"]
    end(actor, "c1")


def test_one_that_might_be_tried_again_for_what_it_raised_is_not(actor):
    actor.call("c1", "A", max_retries=3, flags=p.SUBMIT_RETRY_EXCEPTIONS)
    actor.get("c1")
    assert actor.fail("c1", "no", retryable=True) == ["1 gets c1: no!"]


def test_one_that_raises_only_when_it_runs_again_is_told_of(actor):
    call(actor, "c1")
    die(actor, 2, started=2)
    [said] = actor.fail("c1", "no")
    assert said.startswith("warn: f had not raised, and did when it was replayed")


def test_a_call_of_no_results_runs_again(actor):
    actor.call("c1", "A", n_returns=0)
    actor.finish("c1", count=0)
    assert die(actor, 2, started=2) == ["call c1 on 3 again 1"]
    assert actor.finish("c1", count=0) == []
    end(actor)


def test_a_call_under_which_the_process_dies_too_often_fails_and_is_left_out(actor):
    call(actor, "c1")
    actor.call("c2", "A", max_retries=1)
    actor.get("c2")
    assert die(actor, 2, started=3)[-1] == "call c2 on 3 again 1"
    actor.finish("c1")
    assert actor.detach(3, started=3) == ["1 gets c2: unavailable!", "spawn 4", "make A on 4 again 2"]
    actor.attach(4)
    assert actor.made("A") == ["call c1 on 4 again 2"]
    end(actor, "c1", "c2")


def test_a_call_that_had_not_begun_again_keeps_its_retries(actor):
    call(actor, "c1")
    actor.call("c2", "A", max_retries=1)
    die(actor, 2, started=3)
    assert die(actor, 3, started=2)[-1] == "call c2 on 4 again 2"
    actor.finish("c1")
    actor.finish("c2")
    assert actor.get("c2") == ["1 gets c2: c2"]


def test_a_process_that_dies_before_it_has_made_the_actor(actor):
    call(actor, "c1")
    call(actor, "c2", finish=False)
    actor.detach(2, started=3)
    assert actor.detach(3, started=1) == ["spawn 4", "make A on 4 again 2"]
    actor.attach(4)
    assert actor.made("A") == ["call c1 on 4 again 1", "call c2 on 4 again 1"]


def test_more_calls_than_are_sent_at_once_run_again_in_order(actor):
    names = [f"c{i}" for i in range(2 * p.CALLS_AHEAD)]
    call(actor, *names)
    said = die(actor, 2, started=len(names) + 1)
    assert said == [f"call {each} on 3 again 1" for each in names[: p.CALLS_AHEAD + 1]]
    call(actor, "last", finish=False)
    for i, each in enumerate(names):
        expected = names[p.CALLS_AHEAD + 1 + i] if p.CALLS_AHEAD + 1 + i < len(names) else None
        said = actor.finish(each)
        assert said == ([f"call {expected} on 3 again 1"] if expected else said)
    assert actor.finish("last") == []
    assert actor.get("last") == ["1 gets last: last"]


def test_an_item_is_made_once(actor):
    actor.call("c1", "A", n_returns=p.STREAMING)
    actor.give("c1.1")
    actor.finish("c1")
    die(actor, 2, started=2)
    assert actor.give("c1.1", "other") == []
    assert actor.give("c1.2", p.envelope(b"no", kind=p.KIND_USER_ERROR)) == []
    actor.finish("c1", "other")
    assert actor.next("c1.1") == ["ready for 1 []"]
    actor.hold("c1.1", 1)
    assert actor.get("c1.1") == ["1 gets c1.1: c1.1"]
    assert actor.next("c1.2") == ["end for 1"]


# ---- arguments -------------------------------------------------------------------------------------------------


def test_arguments_are_there_for_as_long_as_the_call_may_run_again(actor):
    actor.put("root!1", actor.in_arena(5000))
    actor.put("root!2")
    actor.call("c1", "A", refs=["root!1"], args=p.envelope(b"", kind=p.KIND_ARGUMENTS, refs=actor.objects(["root!2"])))
    actor.finish("c1")
    actor.release("root!1", "root!2", "c1")
    die(actor, 2, started=2)
    assert len(actor.run_of("c1").values) == 1
    assert actor.get("root!2") == ["1 gets root!2: root!2"]
    actor.release("root!2")
    actor.finish("c1")
    actor.unpin("root!1", 3)
    assert "arena_bytes" in actor.sizes()
    actor.save("A", 3, 2)
    assert "arena_bytes" not in actor.sizes()
    end(actor)


def test_an_argument_that_was_lost_is_made_again_first(actor):
    actor.submit("a")
    actor.finish("a", actor.in_arena(5000, 3))
    actor.call("c1", "A", refs=["a"])
    actor.finish("c1")
    call(actor, "c2")
    actor.unpin("a", 2)
    assert actor.lose("a") == ["run a on 3 again 1"]
    assert actor.detach(2, started=3) == ["spawn 4", "make A on 4 again 1"]
    actor.attach(4)
    assert actor.made("A") == []
    assert actor.finish("a", actor.in_arena(5000, 3)) == ["call c1 on 4 again 1", "call c2 on 4 again 1"]


def test_one_that_is_gone_for_good_ends_the_actor(actor):
    actor.put("root!1", actor.in_arena(5000))
    actor.call("c1", "A", refs=["root!1"])
    actor.finish("c1")
    call(actor, "c2", finish=False)
    actor.get("c2")
    actor.unpin("root!1", 2)
    actor.lose("root!1")
    actor.detach(2, started=2)
    assert "cannot be repeated" in actor.error_of("c2")[1][-1]
    assert actor.get("c1") == ["1 gets c1: c1"]


# ---- checkpoints -----------------------------------------------------------------------------------------------


def test_a_checkpoint_stands_for_the_calls_before_it(actor):
    call(actor, "c1", "c2")
    assert actor.save("A", 2, 3) == []
    call(actor, "c3")
    assert die(actor, 2, started=4) == ["call c3 on 3 again 1"]
    assert actor.story_of("c1")[-1] == "FINISHED"
    end(actor, "c1", "c2", "c3")


def test_the_actor_is_restored_from_the_last_one_and_init_does_not_run(wide):
    wide.put("root!1")
    wide.make("A", actor_flags=p.ACTOR_REPLAYS, max_restarts=-1, refs=["root!1"])
    wide.release("root!1")
    for i in (1, 2):
        call(wide, f"c{i}")
        wide.save("A", 2, i + 1, f"state {i}")
    assert wide.get("root!1") == ["1 gets root!1: lost!"]
    wide.release("root!1")
    assert wide.detach(2, started=3) == ["spawn 3", "restore A on 3 again 1"]
    run = wide.run_of("A")
    assert [p.read_envelope(value.body).pickle for value in run.values] == [b"state 2"]
    assert wide.get("A#1") == ["1 gets A#1: lost!"]
    wide.release("A#1")
    wide.attach(3)
    assert wide.made("A") == []
    end(wide, "c1", "c2")


def test_a_checkpoint_that_covers_not_all_that_was_sent(actor):
    call(actor, "c1", "c2")
    call(actor, "c3", finish=False)
    actor.save("A", 2, 2)
    assert die(actor, 2, started=4) == ["call c2 on 3 again 1", "call c3 on 3 again 1"]


def test_a_checkpoint_on_the_way_back(actor):
    call(actor, "c1", "c2", "c3")
    die(actor, 2, started=4)
    actor.finish("c1")
    actor.finish("c2")
    actor.save("A", 3, 3)
    assert die(actor, 3, started=3) == ["call c3 on 4 again 2"]
    actor.finish("c3")
    assert die(actor, 4, started=2) == ["call c3 on 5 again 3"]
    end(actor, "c1", "c2", "c3")


def test_what_the_state_refers_to_lives_with_the_checkpoint(actor):
    actor.put("root!1")
    actor.call("c1", "A", args=p.envelope(b"", kind=p.KIND_ARGUMENTS, refs=actor.objects(["root!1"])))
    actor.finish("c1")
    actor.release("root!1", "c1")
    actor.save("A", 2, 2, p.envelope(b"", refs=actor.objects(["root!1"])))
    die(actor, 2, started=2)
    assert actor.get("root!1") == ["1 gets root!1: root!1"]
    actor.release("root!1")
    actor.save("A", 3, 1)
    assert actor.get("root!1") == ["1 gets root!1: lost!"]
    actor.release("root!1")
    end(actor)


def test_a_checkpoint_in_the_arena_is_one_at_a_time(actor):
    for i in range(1, 4):
        call(actor, f"c{i}")
        actor.save("A", 2, i + 1, actor.in_arena(5000, 2))
        assert actor.sizes()["arena_bytes"] == 8192
    assert actor.sizes()["tasks"] == 1
    assert die(actor, 2, started=4) == []
    actor.unpin("A#3", 3)
    end(actor, "c1", "c2", "c3")


def test_a_checkpoint_that_is_lost_ends_the_actor(actor):
    call(actor, "c1")
    actor.save("A", 2, 2, actor.in_arena(5000, 2))
    call(actor, "c2", finish=False)
    actor.lose("A#1")
    actor.detach(2, started=2)
    assert actor.error_of("c2")[1][-1] == "it could not be restored: its checkpoint is lost"


@pytest.mark.parametrize("client", [1, 3])
def test_only_the_actors_own_worker_saves_it(actor, client):
    actor.submit("a")
    call(actor, "c1")
    actor.save("A", client, 2)
    assert actor.detach(2, started=2) == ["spawn 4", "make A on 4 again 1"]
    actor.attach(4)
    assert actor.made("A") == ["call c1 on 4 again 1"]


def test_a_checkpoint_of_what_does_not_replay_is_not_taken(alive):
    alive.save("A", 2, 1, alive.in_arena(5000, 2))
    assert "arena_bytes" not in alive.sizes()


def test_a_checkpoint_of_another_or_none_is_harmless(actor):
    assert actor.save("B", 2, 9, actor.in_arena(5000, 2)) == []
    assert "arena_bytes" not in actor.sizes()
    assert actor.send(p.EV_CHECKPOINT, 2, object=p.object_id(actor.task("A")), payload=b"short") == ["reject 36 from 2"]


@pytest.mark.parametrize("groups", [(2,), (1, 1)])
def test_an_actor_that_runs_calls_at_once_cannot_replay(wide, groups):
    assert wide.create("A", actor_flags=p.ACTOR_REPLAYS, max_restarts=-1, groups=groups) == ["reject 3 from 1"]


# ---- what its calls submit -------------------------------------------------------------------------------------


def test_what_a_call_submitted_is_not_run_again_with_it(actor):
    actor.call("c1", "A")
    actor.submit("a", 2, parent="c1")
    actor.finish("a")
    actor.release("a", client=2)
    actor.finish("c1")
    die(actor, 2, started=2)
    assert actor.submit("a", 3, parent="c1", confirm=True) == ["ready for 3 []"]
    assert actor.get("a", client=3, task="c1") == ["3 gets a: a"]


def test_nor_is_a_call_of_another_actor(actor):
    actor.make("B")
    actor.call("c1", "A", max_retries=3)
    actor.call("b", "B", 2, parent="c1")
    actor.finish("b")
    actor.release("b", client=2)
    actor.detach(2, started=2)
    actor.attach(4)
    actor.made("A")
    assert actor.call("b", "B", 4, parent="c1", confirm=True) == ["ready for 4 []"]
    assert actor.get("b", client=4, task="c1") == ["4 gets b: b"]
    actor.release("b", client=4)
    actor.finish("c1")
    actor.save("A", 4, 2)
    assert actor.get("b") == ["1 gets b: lost!"]


def test_nor_is_one_that_makes_no_result(actor):
    actor.make("B")
    actor.call("c1", "A", max_retries=3)
    actor.call("b", "B", 2, parent="c1", n_returns=0)
    actor.finish("b", count=0)
    die(actor, 2, started=2)
    assert actor.call("b", "B", 4, parent="c1", n_returns=0, confirm=True) == ["ready for 4 []"]


def test_an_actor_that_a_call_made_is_the_same_when_it_runs_again(actor):
    actor.call("c1", "A", max_retries=3)
    actor.create("B", 2, parent="c1")
    actor.attach(3)
    actor.made("B")
    actor.finish("c1")
    assert die(actor, 2, started=2) == ["call c1 on 4 again 1"]
    assert actor.create("B", 4, parent="c1", confirm=True) == ["ready for 4 []"]
    assert actor.call("b", "B", 4, parent="c1", confirm=True) == ["ready for 4 []", "call b on 3"]


def test_a_call_that_runs_otherwise_than_the_first_time_submits_something_new(actor):
    actor.call("c1", "A")
    actor.submit("a", 2, parent="c1", digest=1)
    actor.finish("a")
    actor.finish("c1")
    die(actor, 2, started=2)
    assert actor.submit("a", 3, parent="c1", digest=2, confirm=True) == ["ready for 3! []"]


def test_a_task_that_runs_again_calls_the_actor_once(actor):
    actor.submit("t", max_retries=1)
    actor.call("c1", "A", 3, parent="t")
    actor.finish("c1")
    assert actor.detach(3, started=1) == ["spawn 4", "run t on 4 again 1"]
    actor.attach(4)
    assert actor.call("c1", "A", 4, parent="t", confirm=True) == ["ready for 4 []"]
    assert actor.get("c1", client=4, task="t") == ["4 gets c1: c1"]
    actor.finish("t")
    assert actor.get("c1") == ["1 gets c1: c1"]


# ---- ends ------------------------------------------------------------------------------------------------------


def test_one_that_is_killed_keeps_nothing(actor):
    call(actor, "c1")
    actor.save("A", 2, 2)
    call(actor, "c2")
    assert actor.kill("A") == ["kill 2"]
    actor.detach(2, started=3)
    end(actor, "c1", "c2")


def test_one_that_is_killed_to_restart_comes_back_as_it_was(actor):
    call(actor, "c1")
    assert actor.kill("A", no_restart=False) == ["kill 2"]
    assert die(actor, 2, started=2) == ["call c1 on 3 again 1"]


@pytest.mark.parametrize("n_sent", [0, 1, 2])
def test_one_that_is_killed_on_the_way_back(actor, n_sent):
    call(actor, "c1", "c2")
    call(actor, "c3", finish=False)
    actor.get("c3")
    actor.detach(2, started=4)
    if n_sent:
        actor.attach(3)
        actor.made("A")
    if n_sent == 2:
        actor.finish("c1")
    assert actor.kill("A") == ["kill 3", "1 gets c3: died!"]
    actor.detach(3, started=1)
    assert actor.get("c2") == ["1 gets c2: c2"]
    end(actor, "c1", "c2", "c3")


def test_one_that_leaves_keeps_nothing(actor):
    call(actor, "c1")
    actor.call("c2", "A")
    actor.leave("c2")
    actor.detach(2, started=3)
    end(actor, "c1", "c2")


def test_one_whose_last_handle_goes_ends_though_it_is_on_the_way_back(actor):
    call(actor, "c1")
    die(actor, 2, started=2)
    assert actor.release("A@") == ["stop 3"]
    actor.detach(3, started=2)
    actor.release("c1")
    assert actor.sizes() == FUNCTION_ONLY


def test_after_its_last_restart_nothing_is_kept(wide):
    wide.make("A", actor_flags=p.ACTOR_REPLAYS, max_restarts=1)
    call(wide, "c1")
    assert die(wide, 2, started=2) == ["call c1 on 3 again 1"]
    call(wide, "c2", finish=False)
    wide.finish("c1")
    wide.finish("c2")
    assert wide.sizes().get("tasks") is None
    wide.save("A", 3, 3, wide.in_arena(5000, 3))
    assert "arena_bytes" not in wide.sizes()
    wide.call("c3", "A", max_retries=3)
    wide.get("c3")
    assert wide.detach(3, started=4) == ["1 gets c3: died!"]
    end(wide, "c1", "c2", "c3")


# ---- cancelling ------------------------------------------------------------------------------------------------


def test_a_call_that_has_ended_cannot_be_cancelled_when_it_runs_again(actor):
    call(actor, "c1")
    actor.detach(2, started=2)
    assert actor.cancel("c1") == []
    actor.attach(3)
    assert actor.made("A") == ["call c1 on 3 again 1"]
    assert actor.cancel("c1") == []
    assert actor.get("c1") == ["1 gets c1: c1"]


def test_one_that_was_cancelled_while_it_ran_does_not_run_again(actor):
    call(actor, "c1", "c2", finish=False)
    actor.get("c1")
    actor.cancel("c1")
    assert actor.detach(2, started=2) == ["1 gets c1: cancelled!", "spawn 3", "make A on 3 again 1"]
    actor.attach(3)
    assert actor.made("A") == ["call c2 on 3"]


def test_one_that_is_to_run_again_can_be_cancelled_before_it_does(actor):
    call(actor, "c1", "c2", finish=False)
    actor.get("c1")
    actor.detach(2, started=2)
    assert actor.cancel("c1") == ["1 gets c1: cancelled!"]
    actor.attach(3)
    assert actor.made("A") == ["call c2 on 3"]
