"""The lineage graph: what runs again when bytes are lost, what is remembered for that, and what commits before exposure."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER, MS

LONG = 20 * MS
FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}


@pytest.fixture
def wide(make_host):
    """A host with eight CPUs."""
    return make_host({"CPU": 8})


def run(host, task, *, refs=(), n_returns=1, inline=False, **options):
    """Submit a task and finish it, its results in the arena."""
    host.submit(task, refs=refs, n_returns=n_returns, **options)
    worker = host.runs[task].client
    values = [f"{task}.{i}" if inline else host.in_arena(100, worker) for i in range(n_returns)]
    host.finish(task, *values, runtime_ns=LONG)
    for ref in refs:
        host.unpin(ref, worker)


def finish(host, task, n_returns=1):
    worker = host.runs[task].client
    return host.finish(task, *(host.in_arena(100, worker) for _ in range(n_returns)), runtime_ns=LONG)


# ---- remembering -----------------------------------------------------------------------------------------------


def test_a_task_is_remembered_while_a_result_of_it_could_be_lost(wide):
    run(wide, "a", n_returns=2)
    run(wide, "b", inline=True)
    assert wide.sizes()["tasks"] == wide.sizes()["lineage"] == 1
    wide.release("a")
    assert wide.sizes()["lineage"] == 1
    wide.release("a.1", "b")
    assert wide.sizes() == FUNCTION_ONLY


def test_its_arguments_bytes_are_freed_and_their_rows_remembered(wide):
    run(wide, "a")
    run(wide, "b", refs=["a"])
    wide.release("a")
    assert wide.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT, "that of b"
    assert wide.sizes()["lineage"] == 2
    wide.release("b")
    assert wide.sizes() == FUNCTION_ONLY


def test_small_arguments_are_kept_with_it(wide):
    """They cannot be lost and lie in no arena, so their tasks are not remembered: the values are."""
    run(wide, "a", inline=True)
    run(wide, "b", refs=["a"])
    wide.release("a")
    wide.lose("b")
    assert wide.run_of("b").values[0].body == p.envelope(b"a.0")


def test_what_a_task_put_is_no_result_of_it(wide):
    """When that goes, the task is remembered still."""
    wide.submit("a", n_returns=2)
    wide.put("a!1", wide.in_arena(100, 2), client=2)
    finish(wide, "a", 2)
    wide.release("a!1", client=2)
    wide.release("a.1")
    assert wide.lose("a") == ["run a on 2 again 1"]


def test_what_failed_is_not_remembered(wide):
    wide.submit("a")
    record = wide.in_arena(100, 2)
    wide.finish("a", record, flags=p.FINISHED_USER_ERROR)
    assert "lineage" not in wide.sizes()


def test_what_was_cancelled_is_not_remembered(wide):
    wide.submit("a")
    wide.cancel("a")
    wide.finish("a", wide.in_arena(100, 2), flags=p.FINISHED_CANCELLED)
    assert "lineage" not in wide.sizes()
    assert wide.lose("a") == []
    assert wide.get("a") == ["1 gets a: lost!"]


def test_a_long_lineage_goes_without_recursion(wide):
    depth = 50_000
    run(wide, "t0")
    for i in range(1, depth):
        run(wide, f"t{i}", refs=[f"t{i - 1}"])
        wide.release(f"t{i - 1}")
    assert wide.sizes()["lineage"] == depth
    wide.release(f"t{depth - 1}")
    assert wide.sizes() == FUNCTION_ONLY


def test_no_more_is_remembered_than_the_cap_the_oldest_goes(make_host):
    host = make_host({"CPU": 8}, lineage_cap=3)
    for task in "abcd":
        run(host, task)
    assert host.sizes()["lineage"] == 3
    assert host.lose("a") == []
    assert host.get("a") == ["1 gets a: lost!"]
    assert host.lose("b") == ["run b on 2 again 1"]


def test_what_ran_again_is_as_young_as_that(make_host):
    host = make_host({"CPU": 8}, lineage_cap=2)
    run(host, "a")
    run(host, "b")
    host.lose("a")
    finish(host, "a")
    run(host, "c")
    assert host.lose("a") == ["run a on 2 again 2"]
    assert host.lose("b") == []


def test_what_is_released_counts_no_more(make_host):
    """An object that lives long is not forgotten because many came and went."""
    host = make_host({"CPU": 8}, lineage_cap=3)
    run(host, "long")
    for i in range(300):
        run(host, f"t{i}")
        host.release(f"t{i}")
    assert host.lose("long") == ["run long on 2 again 1"]


def test_a_cap_of_none_remembers_none(make_host):
    host = make_host({"CPU": 8}, lineage_cap=0)
    run(host, "a")
    assert "lineage" not in host.sizes()
    host.lose("a")
    assert p.read_envelope(host_value(host, "a")).error == (
        p.ERROR_NOT_REMADE, "\x1fits bytes are lost, and the task that made it is no longer in the lineage"
    )  # fmt: skip


def host_value(host, name):
    host.get(name)
    return host.last(p.CMD_VALUE).payload


# ---- running again ---------------------------------------------------------------------------------------------


def test_a_lost_result_is_made_again(wide):
    run(wide, "a")
    assert wide.lose("a") == ["run a on 2 again 1"]
    assert wide.get("a") == []
    assert finish(wide, "a") == ["1 gets a: 1+0"]


def test_this_costs_a_retry(wide):
    run(wide, "a", max_retries=3)
    for attempt in range(1, 4):
        assert wide.lose("a") == [f"run a on 2 again {attempt}"]
        finish(wide, "a")
    assert wide.lose("a") == []
    assert p.read_envelope(host_value(wide, "a")).error == (
        p.ERROR_NOT_REMADE, "f\x1fits bytes are lost, and the task that made it has no retries left"
    )  # fmt: skip
    wide.release("a")
    assert wide.sizes() == FUNCTION_ONLY


def test_of_several_results_without_a_retry_those_that_live_stay(wide):
    run(wide, "a", n_returns=2, max_retries=0)
    assert wide.lose("a") == []
    assert wide.get("a", "a.1") == ["1 gets a: lost!", f"1 gets a.1: 1+{p.BLOCK_ALIGNMENT}"]
    assert wide.lose("a.1") == []
    wide.release("a", "a.1")
    assert wide.sizes() == FUNCTION_ONLY


def test_a_crash_and_a_loss_use_the_same_retries(wide):
    wide.submit("a", max_retries=1)
    wide.attach(2)
    assert wide.detach(2, started=1) == ["spawn 3", "run a on 3 again 1"]
    wide.attach(3)
    wide.finish("a", wide.in_arena(100, 3))
    assert wide.lose("a") == []
    assert wide.get("a") == ["1 gets a: lost!"]


def test_the_smallest_set_runs_again_once(wide):
    """a -> b -> d;   a -> c -> d;   c is still there"""
    run(wide, "a")
    run(wide, "b", refs=["a"])
    run(wide, "c", refs=["a"])
    run(wide, "d", refs=["b", "c"])
    wide.release("a", "b")
    said = wide.lose("d")
    assert said == ["run a on 2 again 1"]
    assert wide.story_of("b")[-1] == wide.story_of("d")[-1] == "WAITING"
    assert finish(wide, "a") == ["run b on 2 again 1"]
    assert finish(wide, "b") == ["run d on 2 again 1"]
    assert finish(wide, "d") == []
    assert wide.story_of("c").count("RUNNING") == 1
    wide.release("c", "d")
    for name, worker in (("a", 2), ("b", 2), ("c", 2)):
        wide.unpin(name, worker)
    assert wide.sizes() == FUNCTION_ONLY


def test_two_losses_of_one_task_run_it_once(wide):
    run(wide, "a", n_returns=2)
    assert wide.lose("a") == ["run a on 2 again 1"]
    assert wide.lose("a.1") == []
    assert wide.lose("a") == []
    wide.get("a", "a.1")
    assert len(finish(wide, "a", 2)) == 2


def test_a_chain_of_any_length_is_made_again_from_its_beginning(wide):
    depth = 10_000
    run(wide, "t0")
    for i in range(1, depth):
        run(wide, f"t{i}", refs=[f"t{i - 1}"])
        wide.release(f"t{i - 1}")
    assert wide.lose(f"t{depth - 1}") == ["run t0 on 2 again 1"]
    assert finish(wide, "t0") == ["run t1 on 2 again 1"]


def test_results_that_live_are_not_replaced(wide):
    run(wide, "a", n_returns=2)
    [before] = wide.get("a.1")
    wide.unpin("a.1")
    wide.lose("a")
    finish(wide, "a", 2)
    assert wide.get("a.1") == [before]
    wide.unpin("a.1")
    assert wide.sizes()["arena_bytes"] == 2 * p.BLOCK_ALIGNMENT
    wide.release("a", "a.1")
    assert wide.sizes() == FUNCTION_ONLY


def test_results_that_lived_are_remembered_still(wide):
    """After the second run the task is lineage of all its results, not of the new ones only."""
    run(wide, "a", n_returns=2)
    wide.lose("a")
    finish(wide, "a", 2)
    wide.release("a")
    assert wide.lose("a.1") == ["run a on 2 again 2"]
    finish(wide, "a", 2)
    wide.release("a.1")
    assert wide.sizes() == FUNCTION_ONLY


def test_results_that_nobody_needs_any_more_are_dropped_when_made_again(wide):
    run(wide, "a", n_returns=3)
    wide.release("a.1")
    wide.lose("a")
    wide.release("a.2")
    finish(wide, "a", 3)
    assert wide.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    wide.release("a")
    assert wide.sizes() == FUNCTION_ONLY


def test_nobody_asks_nothing_runs(wide):
    run(wide, "a")
    run(wide, "b", refs=["a"])
    wide.get("a")
    wide.release("a")
    assert wide.lose("a") == [], "it was viewed only, and is lineage of b"
    assert wide.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    wide.release("b")
    assert wide.sizes() == FUNCTION_ONLY


def test_losing_what_is_not_there_changes_nothing(wide):
    wide.put("root!1", "small")
    wide.submit("a")
    assert wide.lose("root!1") == wide.lose("a") == wide.lose("nothing") == []
    assert wide.get("root!1") == ["1 gets root!1: small"]


def test_who_asks_for_a_freed_argument_has_it_made_again(wide):
    """A client learns of a reference again after its value was freed: from a value that contained it."""
    run(wide, "a")
    run(wide, "b", refs=["a"])
    wide.attach(9, p.CLIENT_DRIVER)
    wide.release("a")
    assert wide.hold("a", 9) == ["run a on 2 again 1"]
    wide.get("a", client=9)
    assert finish(wide, "a")[0].startswith("9 gets a: ")


def test_a_put_cannot_be_made_again(wide):
    wide.put("root!1", wide.in_arena(100))
    assert wide.lose("root!1") == []
    assert p.read_envelope(host_value(wide, "root!1")).error == (
        p.ERROR_NOT_REMADE, "\x1fits bytes are lost, and it was made by put, which cannot be repeated"
    )  # fmt: skip


def test_a_put_of_a_task_that_still_runs_cannot_be_made_again_either(wide):
    wide.submit("a")
    wide.put("a!1", wide.in_arena(100, 2), client=2)
    wide.get("a!1", client=2)
    wide.lose("a!1")
    assert wide.get("a!1", client=2) == ["2 gets a!1: lost!"]


def test_the_loss_of_a_put_fails_what_needs_it_again(wide):
    wide.put("root!1", wide.in_arena(100))
    run(wide, "a", refs=["root!1"])
    run(wide, "b", refs=["a"])
    wide.release("root!1", "a")
    wide.lose("b")
    assert wide.get("b") == ["1 gets b: lost!"]
    wide.release("b")
    assert wide.sizes() == FUNCTION_ONLY


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_an_item_of_a_stream_cannot_be_made_again(wide, ended):
    wide.submit("s", n_returns=p.STREAMING)
    wide.give("s.1", wide.in_arena(100, 2))
    wide.next("s.1")
    if ended:
        wide.finish("s", wide.in_arena(100, 2))
    assert wide.lose("s.1") == []
    assert p.read_envelope(host_value(wide, "s.1")).error == (
        p.ERROR_NOT_REMADE, "f\x1fits bytes are lost, and it was an item of a stream, which cannot be repeated"
    )  # fmt: skip


def test_a_worker_that_dies_while_it_makes_something_again(wide):
    run(wide, "a", max_retries=2)
    wide.attach(2)
    wide.lose("a")
    wide.get("a")
    assert wide.detach(2, started=2) == ["spawn 3", "run a on 3 again 2"]
    wide.attach(3)
    assert wide.detach(3, started=1) == ["1 gets a: crashed!"]


def test_a_cancelled_task_that_had_finished_is_made_again_like_any_other(wide):
    wide.submit("a", max_retries=1)
    wide.cancel("a")
    finish(wide, "a")
    wide.attach(2)
    assert wide.lose("a") == ["run a on 2 again 1"]
    wide.get("a")
    assert wide.detach(2, started=2) == ["1 gets a: crashed!"]


# ---- losses while others wait ----------------------------------------------------------------------------------


def test_a_ready_task_whose_argument_is_lost_waits_for_it(make_host):
    host = make_host({"CPU": 2, "x": 1})
    run(host, "a", needs={"CPU": 1, "x": 1})
    host.submit("busy", needs={"CPU": 2})
    host.submit("b", refs=["a"])
    host.submit("holder", needs={"x": 1, "CPU": 0})
    assert host.lose("a") == []
    assert host.finish("busy", runtime_ns=LONG) == []
    assert host.story_of("b") == ["WAITING", "READY", "WAITING"]
    assert host.finish("holder", runtime_ns=LONG)[-1].startswith("run a on")
    assert finish(host, "a")[-1].startswith("run b on")


def test_a_ready_task_whose_put_argument_is_lost_fails(host):
    host.put("root!1", host.in_arena(100))
    host.submit("busy")
    host.submit("b", refs=["root!1"])
    host.get("b")
    host.lose("root!1")
    assert host.finish("busy", runtime_ns=LONG) == ["1 gets b: lost!"]
    assert host.story_of("b") == ["WAITING", "READY", "WAITING", "FAILED"]


def test_a_task_that_is_taken_back_after_its_argument_was_lost_waits_for_it(make_host):
    host = make_host({"CPU": 1, "x": 1})
    run(host, "a", needs={"CPU": 1, "x": 1})
    host.submit("holder", needs={"x": 1})
    host.function("g()")
    host.submit("first", function="g()")
    host.finish("first", runtime_ns=1000)
    host.submit("busy", function="g()")
    assert host.submit("b", function="g()", refs=["a"])[-1].startswith("run b on")
    assert host.lose("a") == []
    host.tick(p.STALL_NS)
    host.recalled(host.runs["busy"].client, started=host.runs["busy"].position)
    assert host.finish("busy", runtime_ns=1000) == []
    assert host.story_of("b") == ["WAITING", "READY", "PLACED", "READY", "WAITING"]
    assert host.finish("holder", runtime_ns=LONG)[-1].startswith("run a on")
    assert finish(host, "a")[-1].startswith("run b on")


def test_a_task_that_is_retried_after_its_argument_was_lost_waits_for_it(wide):
    run(wide, "a")
    wide.submit("b", refs=["a"], max_retries=1)
    wide.attach(2)
    assert wide.lose("a") == ["spawn 3", "run a on 3 again 1"]
    assert wide.detach(2, started=2) == []
    assert finish(wide, "a") == ["run b on 3 again 1"]


def test_submitted_with_an_argument_that_is_being_made_again(wide):
    run(wide, "a")
    wide.lose("a")
    assert wide.submit("b", refs=["a"]) == []
    assert finish(wide, "a") == ["run b on 2"]


# ---- commit before expose --------------------------------------------------------------------------------------


def test_what_leaves_is_committed_first(wide):
    run(wide, "a")
    assert wide.send(p.EV_EXPOSE, DRIVER, object=wide.object("a"), request=77) == ["commit 1: a"]
    assert wide.committed(1) == ["exposed a to 1"]
    assert wide.last(p.CMD_EXPOSED).request == 77
    assert "commits" not in wide.sizes()


def test_so_are_its_ancestors_and_the_producers_of_its_arguments(wide):
    """a submits b; b's arguments are the result of c, and inside them that of d, whose parent e submitted it."""
    wide.submit("a")
    wide.submit("c")
    wide.submit("e")
    wide.submit("d", parent="e")
    wide.submit("b", parent="a", refs=["c"], nested=["d"])
    wide.submit("unrelated")
    assert wide.expose("b") == ["commit 1: a b c d e"]


def test_what_is_acknowledged_is_not_sent_again(wide):
    run(wide, "a")
    run(wide, "b", refs=["a"])
    run(wide, "c", refs=["b"])
    wide.expose("a")
    wide.committed(1)
    assert wide.expose("c") == ["commit 2: b c"]
    assert wide.expose("b") == ["commit 3: b"], "not acknowledged yet"
    assert wide.committed(2) == ["exposed c to 1"]
    assert wide.committed(3) == ["exposed b to 1"]
    assert wide.expose("c") == ["commit 4: "]
    assert wide.committed(4) == ["exposed c to 1"]


def test_a_put_commits_the_task_that_put_it(wide):
    wide.submit("a")
    wide.put("a!1", client=2)
    assert wide.expose("a!1") == ["commit 1: a"]


def test_a_put_of_the_driver_has_no_row(wide):
    wide.put("root!1")
    assert wide.expose("root!1") == ["commit 1: "]
    assert wide.committed(1) == ["exposed root to 1"]


def test_an_acknowledgement_of_nothing_changes_nothing(wide):
    assert wide.committed(1) == []
    run(wide, "a")
    wide.expose("a")
    wide.committed(1)
    assert wide.committed(1) == []


def test_rows_that_went_meanwhile_are_acknowledged_in_peace(wide):
    run(wide, "a")
    wide.expose("a")
    wide.release("a")
    assert wide.committed(1) == ["exposed a to 1"]
    assert wide.sizes() == FUNCTION_ONLY


def test_a_long_ancestry_is_committed_as_one(wide):
    previous = "root"
    for i in range(5000):
        wide.submit(f"t{i}", parent=previous, needs={"CPU": 100} if i else None)
        previous = f"t{i}"
    wide.expose(previous)
    assert len(p.read_tasks(wide.last(p.CMD_COMMIT).payload)) == 5000
