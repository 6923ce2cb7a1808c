"""What a node remembers of what is over: tasks, actors, clients, names of functions; how much, and that it is no hold."""

from __future__ import annotations

import pytest

from raylite.util.state.reports import DETAIL
from tests.core import protocol as p
from tests.core.host import DRIVER, MS

FUNCTION_ONLY = {"objects": 1, "functions": 1, "inline_bytes": 43}
PLACED, RUNNING, FINISHED, FAILED, CANCELLED = 3, 4, 7, 8, 9


def names_of(host):
    """The tasks that are remembered, latest first."""
    return [host.names[row.id] for row in host.reports().tasks()]


def test_a_task_that_is_over_is_remembered(host):
    host.submit("p")
    host.attach(2, process=77)
    host.now_ns = 1 * MS
    host.submit("a", parent="p", refs=["p"], nested=["p!1", "p"], name="mine", max_retries=4)
    host.now_ns = 5 * MS
    host.finish("p")
    host.now_ns = 9 * MS
    host.finish("a", runtime_ns=3 * MS)
    host.release("a", "p")
    assert "tasks" not in host.sizes()
    row = host.past("a")
    assert (row.state, row.name, row.function, row.attempt, row.n_returns) == (FINISHED, "mine", "f", 0, 1)
    assert row.parent == host.task("p")
    assert row.refs == host.objects(["p", "p!1", "p"])
    assert (row.submit_ns, row.ready_ns, row.start_ns, row.end_ns) == (1 * MS, 5 * MS, 6 * MS, 9 * MS)
    assert (row.client, row.is_drivers, row.worker, row.process) == (DRIVER, True, 2, 77)
    assert row.demand.amounts == {"CPU": 1}
    assert (row.actor, row.before, row.error_code, row.error) == (None, None, 0, b"")


def test_references_inside_an_argument_block_are_remembered(host):
    host.submit("p")
    host.attach(2)
    host.finish("p")
    host.put("root!1", p.envelope(b"args", kind=p.KIND_ARGUMENTS, refs=host.objects(["p"])))
    host.submit("a", refs=["root!1"], flags=p.SUBMIT_ARGS_OBJECT)
    assert host.past("a").refs == host.objects(["root!1", "p"])
    host.release("root!1", "p")
    host.finish("a")
    assert host.past("a").refs == host.objects(["root!1", "p"])


def test_a_row_that_is_there_says_the_same_as_afterwards(host):
    host.submit("p")
    host.attach(2)
    host.submit("a", refs=["p"], nested=["p"], name="mine")
    before = host.past("a")
    host.finish("p")
    host.finish("a")
    changed = {"state", "ready_ns", "start_ns", "end_ns", "worker"}
    after = host.past("a")
    assert {name for name in before._fields if getattr(before, name) != getattr(after, name)} <= changed
    assert (before.state, after.state) == (1, FINISHED)


# ---- failures --------------------------------------------------------------------------------------------------


def test_what_a_task_raised_is_remembered(host):
    host.submit("a")
    host.attach(2)
    host.fail("a", "boom")
    row = host.past("a")
    assert (row.state, row.error_code) == (FAILED, p.ERROR_RAISED)
    assert p.read_envelope(row.error).pickle == b"boom"


def test_what_a_task_without_returns_raised_has_no_text(host):
    host.submit("a", n_returns=0)
    host.attach(2)
    host.finish("a", flags=p.FINISHED_USER_ERROR, count=0)
    assert (host.past("a").error_code, host.past("a").error) == (p.ERROR_RAISED, b"")


def test_a_task_fails_of_its_argument_s_error(host):
    host.submit("a")
    host.attach(2)
    host.submit("b", refs=["a"])
    host.fail("a", "boom")
    assert (host.past("b").state, host.past("b").error_code) == (FAILED, p.ERROR_RAISED)
    assert p.read_envelope(host.past("b").error).pickle == b"boom"
    assert host.past("b").start_ns == 0


def test_a_crash_is_remembered(host):
    host.submit("a", max_retries=0)
    host.attach(2)
    host.detach(2, started=1, why="signal 9")
    row = host.past("a")
    assert (row.state, row.error_code) == (FAILED, p.ERROR_WORKER_CRASHED)
    assert "signal 9" in p.read_envelope(row.error).error[1]


def test_a_cancelled_task_is_remembered(host):
    host.submit("a", needs={"CPU": 8})
    host.cancel("a")
    assert (host.past("a").state, host.past("a").error_code) == (CANCELLED, p.ERROR_TASK_CANCELLED)


def test_of_a_retried_task_the_last_attempt_counts(host):
    host.submit("a", max_retries=1)
    host.attach(2)
    host.now_ns = 5 * MS
    host.detach(2, started=1)
    row = host.past("a")
    assert (row.attempt, row.error_code, row.end_ns) == (1, 0, 0)
    assert row.start_ns == 5 * MS == row.ready_ns
    host.attach(host.runs["a"].client)
    host.finish("a")
    assert (host.past("a").attempt, host.past("a").state) == (1, FINISHED)


def test_an_error_of_many_bytes_is_not_kept(host):
    host.submit("a")
    host.attach(2)
    host.fail("a", "x" * (1 << 16))
    assert (host.past("a").error_code, host.past("a").error) == (p.ERROR_RAISED, b"")


# ---- actors ----------------------------------------------------------------------------------------------------


def test_calls_remember_the_one_before(alive):
    for task in ("c1", "c2", "c3"):
        alive.call(task, "A")
    assert (alive.past("c2").before, alive.past("c2").state) == (alive.task("c1"), PLACED)
    for task in ("c1", "c2", "c3"):
        alive.finish(task)
    rows = [alive.past(task) for task in ("c1", "c2", "c3")]
    assert [row.before for row in rows] == [None, alive.task("c1"), alive.task("c2")]
    assert {row.actor for row in rows} == {alive.task("A")} == {alive.past("A").actor}


def test_an_actor_is_remembered_when_nobody_has_a_handle_of_it(wide):
    wide.now_ns = 3 * MS
    wide.make("A", full_name="space\nname", actor_flags=p.ACTOR_PLACED_ON_CPU, needs={"CPU": 1})
    [row] = wide.reports().actors(flags=DETAIL)
    assert (row.state, row.process, row.worker, row.death) == (1, 1002, 2, b"")
    wide.release("A@")
    wide.detach(2, started=1)
    assert "actors" not in wide.sizes()
    [row] = wide.reports().actors(flags=DETAIL)
    assert (row.id, row.made_ns, row.state, row.process, row.worker) == (wide.task("A"), 3 * MS, 3, 1002, 0)
    assert (row.class_name, row.full_name, row.flags) == ("f", "space\nname", p.ACTOR_PLACED_ON_CPU)
    assert row.demand.amounts == {"CPU": 1}
    assert "all handles of it are gone" in p.read_envelope(row.death).error[1]


def test_an_actor_whose_init_raises(wide):
    wide.create("A")
    wide.attach(2)
    wide.finish("A", p.envelope(b"oh no"))
    assert (wide.past("A").state, wide.past("A").error_code) == (FAILED, p.ERROR_ACTOR_INIT)
    [row] = wide.reports().actors(flags=DETAIL)
    assert (row.state, p.read_envelope(row.death).error[0]) == (3, p.ERROR_ACTOR_INIT)


# ---- clients, names --------------------------------------------------------------------------------------------


def test_clients_that_are_gone_are_remembered(host):
    host.submit("a")
    host.now_ns = 2 * MS
    host.attach(2, process=77)
    host.now_ns = 4 * MS
    host.detach(2, started=1, why="signal 9\x1flast words")
    rows = {row.id: row for row in host.reports().clients()}
    assert rows[DRIVER] == (DRIVER, True, 0, False, 0, 0, "", "")
    assert rows[2] == (2, False, 77, True, 2 * MS, 4 * MS, "signal 9", "")


def test_the_name_of_a_function_is_known_when_it_is_forgotten(host):
    host.function("g()")
    host.submit("a", function="g()")
    host.attach(2)
    host.finish("a")
    host.release("a", "g()")
    assert host.sizes() == FUNCTION_ONLY
    assert host.past("a").function == "g"
    assert {row["function"] for row in host.node.story()} == {"g"}


def test_the_latest_names_are_known(host):
    host.function("g()")
    host.submit("a", function="g()")
    host.attach(2)
    host.finish("a")
    host.release("a", "g()")
    for i in range(10_000):
        assert i < 9_999 or host.past("a").function == "g"
        host.function(f"g{i}()")
        host.release(f"g{i}()")
    assert host.sizes() == FUNCTION_ONLY
    assert host.past("a").function == ""


# ---- how much --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [0, 1, 3, 5, 100])
def test_the_latest_tasks_are_remembered(make_host, capacity):
    host = make_host(history_capacity=capacity)
    tasks = [f"t{i}" for i in range(10)]
    host.attach(2)
    for i, task in enumerate(tasks):
        host.now_ns = i * MS
        host.submit(task, name=f"name of {task}")
        host.finish(task)
        host.release(task)
    assert names_of(host) == tasks[::-1][:capacity]
    assert host.sizes() == FUNCTION_ONLY
    if capacity:
        assert host.past("t9").name == "name of t9"


def test_what_lies_behind_the_tasks_is_bounded(make_host):
    host = make_host(history_bytes=24 * 400)
    host.put("root!1")
    host.attach(2)
    for i in range(6):
        host.now_ns = i * MS
        host.submit(f"t{i}", refs=["root!1"] * 100, name="x" * 100)  # four times the references fit, but no names
        host.finish(f"t{i}")
    assert names_of(host) == ["t5", "t4", "t3"]
    host.now_ns += MS
    host.submit("last", name="x")
    host.finish("last")
    assert names_of(host)[0] == "last"


def test_lineage_is_no_history(make_host):
    host = make_host(lineage_cap=1)
    for task in ("a", "b"):
        host.submit(task)
        host.attach(2)
        host.finish(task, host.in_arena(100, client=2))
        assert host.past(task).state == FINISHED
    assert host.sizes()["tasks"] == 1
    assert sorted(names_of(host)) == ["a", "b"]
    host.release("a", "b")
    assert "tasks" not in host.sizes()
    assert sorted(names_of(host)) == ["a", "b"]


def test_what_a_task_asked_for_is_not_another_s(host):
    unschedulable = 2
    for i in range(64):
        host.submit(f"t{i}", needs={f"r{i}": 1}, demand_flags=unschedulable)
    for i in range(64):
        host.submit(f"n{i}", needs={f"s{i}": 1})
    assert host.node.table_sizes()["shapes"] < 128, "the numbers of shapes are used again"
    assert {host.past(f"t{i}").state for i in range(64)} == {FAILED}
    assert {str(host.past(f"t{i}").demand.amounts) for i in range(64)} <= {
        "{}",
        *(f"{{'r{i}': 1.0}}" for i in range(64)),
    }
