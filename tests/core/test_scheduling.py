"""Which ready task goes to which worker: order, reuse, spawning, queues in front of workers, lending, running in place."""

from __future__ import annotations

import itertools

import pytest

from tests.core import protocol as p
from tests.core.host import MS

LONG = 10 * MS  # longer than what is ever queued in front of a worker
BLOCKS = p.GET_LENDS | p.GET_IN_PLACE


@pytest.fixture
def quick(host):
    """A host with one CPU that knows its function to take 10 us; worker 2 runs task "a"."""
    host.submit("first")
    host.finish("first", runtime_ns=10_000)
    assert host.submit("a") == ["run a on 2"]
    return host


def cpus(host):
    return host.node.resources()["CPU"][1] / p.UNIT


# ---- order -----------------------------------------------------------------------------------------------------


def test_tasks_run_in_the_order_of_becoming_ready(host):
    assert host.submit("a") == ["spawn 2", "run a on 2"]
    for task in "bcd":
        assert host.submit(task) == []
    assert [host.finish(task, runtime_ns=LONG) for task in "abcd"] == [
        ["run b on 2"], ["run c on 2"], ["run d on 2"], []
    ]  # fmt: skip


def test_the_oldest_goes_first_whatever_its_shape(make_host):
    host = make_host({"CPU": 1, "x": 5})
    host.submit("a")
    for i, needs in enumerate([{"x": 1, "CPU": 1}, {"CPU": 1}, {"CPU": 0.5, "x": 1}, {"CPU": 1}, {"x": 1, "CPU": 1}]):
        assert host.submit(f"t{i}", needs=needs) == []
    order = [host.finish(task, runtime_ns=LONG) for task in ("a", "t0", "t1", "t2", "t3")]
    assert order == [[f"run t{i} on 2"] for i in range(5)]


def test_a_younger_task_that_fits_goes_before_an_older_that_does_not(make_host):
    host = make_host({"CPU": 2})
    host.submit("a")
    assert host.submit("large", needs={"CPU": 2}) == []
    assert host.submit("small") == ["spawn 3", "run small on 3"]
    assert host.finish("a", runtime_ns=LONG) == []
    assert host.finish("small", runtime_ns=LONG) == ["run large on 3"]


def test_a_task_is_ready_when_its_last_argument_is_there_not_when_it_was_submitted(make_host):
    host = make_host({"CPU": 1})
    host.submit("a")
    host.submit("late", refs=["a"])
    host.submit("b")
    assert host.finish("a", runtime_ns=LONG) == ["run b on 2"]
    assert host.finish("b", runtime_ns=LONG) == ["run late on 2"]


def test_many_ready_tasks_are_kept_in_order(host):
    host.submit("t0")
    for i in range(1, 2000):
        host.submit(f"t{i}")
    for i in range(1999):
        assert host.finish(f"t{i}", runtime_ns=LONG) == [f"run t{i + 1} on 2"]


# ---- workers ---------------------------------------------------------------------------------------------------


def test_the_most_recently_used_worker_is_taken(make_host):
    host = make_host({"CPU": 3})
    for task in "abc":
        host.submit(task)
    for task in "bca":
        host.finish(task)
    assert [host.submit(task) for task in "xyz"] == [["run x on 2"], ["run y on 4"], ["run z on 3"]]


def test_a_worker_is_given_work_before_it_has_come(host):
    assert host.submit("a") == ["spawn 2", "run a on 2"]
    assert host.node.workers() == [{"client": 2, "pid": 0, "running": 1, "queued": 0, "attached": False}]
    host.attach(2, process=4321)
    assert host.node.workers() == [{"client": 2, "pid": 4321, "running": 1, "queued": 0, "attached": True}]


def test_workers_ordered_in_advance_are_used(make_host):
    host = make_host({"CPU": 2})
    host.node.start_workers(2)
    assert [(each["kind"], each["client"]) for each in host.node.take_commands()] == [
        (p.CMD_SPAWN, 2),
        (p.CMD_SPAWN, 3),
    ]
    assert [host.submit(task) for task in "abc"] == [["run a on 3"], ["run b on 2"], []]


def test_no_more_workers_than_the_cap(make_host):
    host = make_host({"CPU": 10}, worker_cap=2)
    assert [host.submit(task) for task in "abc"] == [["spawn 2", "run a on 2"], ["spawn 3", "run b on 3"], []]
    assert host.finish("a", runtime_ns=LONG) == ["run c on 2"]


def test_at_the_cap_an_idle_worker_of_another_kind_makes_room(make_host):
    host = make_host({"CPU": 4}, worker_cap=2)
    host.submit("a", environment=7)
    host.submit("b", environment=8)
    host.finish("b")
    host.finish("a")
    assert host.submit("c") == ["stop 3", "spawn 4", "run c on 4"], "the one idle for longest"
    assert host.submit("d", environment=8) == ["stop 2", "spawn 5 in 8", "run d on 5"]
    assert host.detach(3) == host.detach(2) == []


def test_a_cap_of_no_workers_still_runs_one(make_host):
    host = make_host(worker_cap=0)
    assert host.submit("a") == ["spawn 2", "run a on 2"]


def test_idle_workers_beyond_those_kept_end_after_a_while(make_host):
    host = make_host({"CPU": 4}, kept_idle=1)
    for task in "abc":
        host.submit(task)
    for client in (2, 3, 4):
        host.attach(client)
    host.finish("b")
    host.finish("c")
    assert host.node.deadline_ns() == p.IDLE_NS // 2
    assert host.tick(p.IDLE_NS - 1) == []
    assert host.tick(1) == ["stop 3", "stop 4"]
    assert host.tick(10 * p.IDLE_NS) == [], "they are on their way out, and the busy one is the one that is kept"
    host.finish("a")
    assert host.tick(10 * p.IDLE_NS) == []
    host.detach(3)
    host.detach(4)
    assert host.node.deadline_ns() == 0
    assert host.submit("d") == ["run d on 2"]


def test_those_on_their_way_out_do_not_count_as_kept(make_host):
    host = make_host({"CPU": 4}, kept_idle=2)
    for task in "abc":
        host.submit(task)
        host.attach(host.runs[task].client)
    for task in "abc":
        host.finish(task)
    assert host.tick(p.IDLE_NS) == ["stop 2"]
    assert host.tick(p.IDLE_NS) == []


def test_a_worker_that_never_came_is_not_stopped_for_idling(make_host):
    host = make_host()
    host.node.start_workers(1)
    host.node.take_commands()
    assert host.tick(p.IDLE_NS) == []


def test_a_worker_that_stops_gets_no_work(make_host):
    host = make_host({"CPU": 1})
    host.submit("a")
    host.attach(2)
    host.finish("a")
    assert host.tick(p.IDLE_NS) == ["stop 2"]
    assert host.submit("b") == ["spawn 3", "run b on 3"]


# ---- workers that cannot be started ----------------------------------------------------------------------------


def test_a_worker_that_never_came_costs_no_retry(host):
    host.submit("a")
    assert host.detach(2, why="no memory") == ["spawn 3", "run a on 3"]
    host.attach(3)
    host.finish("a")
    assert host.get("a") == ["1 gets a: a"]


def test_where_no_worker_can_be_started_the_task_fails(host):
    host.submit("a")
    host.get("a")
    assert host.detach(2, why="no memory") == ["spawn 3", "run a on 3"]
    assert host.detach(3, why="no memory") == ["spawn 4", "run a on 4"]
    assert host.detach(4, why="no memory") == ["1 gets a: not spawned!"]
    assert p.read_envelope(host.commands[0].payload).error == (p.ERROR_SPAWN_FAILED, "no memory")


def test_those_that_came_do_the_work_of_those_that_cannot_be_started(make_host):
    host = make_host({"CPU": 3}, worker_cap=3)
    host.submit("a")
    host.attach(2)
    host.submit("b")
    assert host.detach(3, why="no memory") == [
        "warn: A worker process could not be started. The number of workers is limited to 1 from now on."
    ]
    assert host.finish("a", runtime_ns=LONG) == ["run b on 2"]


def test_a_worker_that_came_ends_the_count_of_those_that_did_not(make_host):
    host = make_host()
    host.submit("a")
    host.detach(2)
    host.detach(3)
    host.attach(4)
    host.detach(4)
    for client in (5, 6):
        assert host.detach(client)[-1] == f"run a on {client + 1}"


def test_a_worker_that_was_ended_before_it_came_is_no_failure(make_host):
    host = make_host()
    for i, task in enumerate("abcde"):
        assert host.submit(task)[-1] == f"run {task} on {i + 2}"
        host.cancel(task, p.CANCEL_FORCE)
        assert host.detach(i + 2, why="signal 9") == []
        assert host.get(task) == [f"1 gets {task}: cancelled!"]


def test_when_all_wait_for_one_that_cannot_be_started_it_fails(make_host):
    host = make_host(worker_cap=1)
    host.submit("a")
    host.attach(2)
    host.submit("b", 2, parent="a")
    assert host.get("b", client=2, task="a", flags=p.GET_LENDS) == ["spawn 3", "run b on 3"]
    warning = "warn: A worker process could not be started. The number of workers is limited to 1 from now on."
    assert host.detach(3) == [warning, "spawn 4", "run b on 4"]
    assert host.detach(4) == [warning, "spawn 5", "run b on 5"]
    assert host.detach(5) == [warning, "2 gets b: not spawned!"]


# ---- queues in front of workers --------------------------------------------------------------------------------


def test_short_tasks_queue_behind_a_short_one(quick):
    assert quick.submit("b") == ["run b on 2"]
    assert quick.runs["b"].position == quick.runs["a"].position + 1
    assert quick.node.sizes()["queued"] == 1
    assert quick.story_of("b") == ["WAITING", "READY", "PLACED"]
    assert cpus(quick) == 0
    quick.finish("a", runtime_ns=10_000)
    assert quick.story_of("b")[-1] == "RUNNING"
    assert cpus(quick) == 0
    quick.finish("b")
    assert cpus(quick) == 1


def test_a_queue_holds_no_more_than_its_share_of_tasks(quick):
    said = [quick.submit(f"t{i}") for i in range(p.PREFETCH_TASKS + 1)]
    assert [f"run t{i} on 2" for i in range(p.PREFETCH_TASKS)] == [line for lines in said for line in lines]


def test_a_queue_holds_no_more_than_its_share_of_work(host):
    host.submit("first")
    host.finish("first", runtime_ns=300_000)
    said = [host.submit(task) for task in "abcd"]
    assert said == [["run a on 2"], ["run b on 2"], ["run c on 2"], []]


@pytest.mark.parametrize("runtime_ns", [p.PREFETCH_NS, LONG])
def test_long_tasks_are_not_queued(host, runtime_ns):
    host.submit("first")
    host.finish("first", runtime_ns=runtime_ns)
    assert [host.submit(task) for task in "ab"] == [["run a on 2"], []]


def test_tasks_of_unknown_length_are_neither_queued_nor_queued_behind(quick):
    quick.function("g()")
    quick.submit("b", function="g()")
    assert quick.story_of("b") == ["WAITING", "READY"]
    quick.finish("a")
    assert quick.story_of("b")[-1] == "RUNNING"
    assert quick.submit("c") == []


def test_tasks_that_take_no_time_at_all_stay_known_to_be_short(host):
    """As in a simulation, where tasks may take no virtual time."""
    host.submit("a")
    for _ in range(50):
        host.finish("a", runtime_ns=0)
        host.submit("a")
        assert host.submit("b") == ["run b on 2"]
        host.finish("a", runtime_ns=0)
        host.finish("b", runtime_ns=0)
        host.release("a", "b")
        host.submit("a")


def test_only_tasks_of_the_same_shape_are_queued_behind(quick):
    assert quick.submit("b", needs={"CPU": 0.5}) == []
    assert quick.submit("c", needs={"CPU": 1, "memory": 0}) == []


def test_gpu_tasks_are_not_queued(make_host):
    host = make_host({"CPU": 2, "GPU": 1})
    for task in "ab":
        host.submit(task, needs={"GPU": 1})
        if task == "a":
            host.finish("a", runtime_ns=1000)
    assert host.submit("c", needs={"GPU": 1}) == []


def test_an_idle_worker_is_better_than_a_queue(make_host):
    host = make_host({"CPU": 2})
    host.submit("first")
    host.finish("first", runtime_ns=10_000)
    assert [host.submit(task) for task in "abcd"] == [
        ["run a on 2"], ["spawn 3", "run b on 3"], ["run c on 2"], ["run d on 3"]
    ]  # fmt: skip


def test_a_function_that_became_long_is_believed_at_once(quick):
    quick.finish("a", runtime_ns=LONG)
    quick.submit("b")
    assert quick.submit("c") == []


def test_a_stream_of_short_tasks_does_not_starve_an_older_task_of_another_shape(quick):
    quick.submit("b")
    assert quick.submit("other", needs={"CPU": 1, "memory": 0}) == []
    assert quick.submit("c") == [], "it would go before an older task that needs the same CPU"
    assert quick.finish("a", runtime_ns=10_000) == []
    assert quick.finish("b", runtime_ns=10_000) == ["run other on 2"]
    assert quick.finish("other", runtime_ns=10_000) == ["run c on 2"]


def test_a_task_that_waits_for_something_else_does_not_keep_others_from_queueing(make_host):
    host = make_host({"CPU": 2, "GPU": 1})
    host.submit("gpu", needs={"CPU": 1, "GPU": 1})
    host.submit("first")
    host.finish("first", runtime_ns=10_000)
    host.submit("a")
    assert host.submit("second gpu", needs={"CPU": 1, "GPU": 1}) == []
    assert host.submit("never", needs={"CPU": 100})[0].startswith("warn")
    assert host.submit("b") == ["run b on 3"]


# ---- taking queues back ----------------------------------------------------------------------------------------


def test_a_queue_that_does_not_move_is_taken_back(quick):
    quick.submit("b")
    quick.submit("c")
    assert quick.node.deadline_ns() == p.STALL_NS
    assert quick.tick(p.STALL_NS - 1) == []
    assert quick.tick(1) == ["recall 2"]
    assert quick.tick(p.STALL_NS) == [], "one at a time"
    assert quick.recalled(2, started=quick.runs["a"].position) == []
    assert quick.story_of("b") == ["WAITING", "READY", "PLACED", "READY"]


def test_nothing_is_queued_again_behind_what_does_not_move(quick):
    """Else a task that takes an hour where others took no time would be sent its queue over and over."""
    quick.submit("b")
    quick.tick(p.STALL_NS)
    assert quick.recalled(2, started=quick.runs["a"].position) == []
    assert quick.submit("c") == []
    assert quick.tick(p.STALL_NS) == []
    assert quick.finish("a", runtime_ns=10_000) == ["run b on 2", "run c on 2"]


def test_what_is_queued_bit_by_bit_is_taken_back_all_the_same(quick):
    """Sending is no progress."""
    for i in range(5):
        assert quick.submit(f"t{i}") == [f"run t{i} on 2"]
        assert quick.tick(p.STALL_NS // 5) == (["recall 2"] if i == 4 else [])


def test_what_moves_is_not_taken_back(quick):
    quick.submit("b")
    quick.submit("c")
    quick.now_ns += p.STALL_NS - 1
    quick.finish("a")
    assert quick.tick(1) == []
    assert quick.tick(p.STALL_NS - 1) == ["recall 2"]


def test_what_the_worker_had_begun_stays_with_it(make_host):
    host = make_host({"CPU": 1})
    host.submit("first")
    host.finish("first", runtime_ns=10_000)
    for task in "abc":
        host.submit(task)
    host.tick(p.STALL_NS)
    begun = host.runs["b"]
    host.recalled(2, started=begun.position)
    assert host.story_of("b")[-1] == "PLACED"
    assert host.story_of("c")[-1] == "READY"
    assert host.finish("a", runtime_ns=10_000) == ["run c on 2"]
    assert host.runs["b"] == begun
    assert host.story_of("b")[-1] == "RUNNING"
    assert host.runs["c"].position == begun.position + 2, "sent anew"


def test_what_is_taken_back_goes_where_there_is_room_in_its_old_order(make_host):
    host = make_host({"CPU": 2})
    host.submit("first")
    host.finish("first", runtime_ns=10_000)
    host.submit("a")
    host.submit("blocker", needs={"CPU": 1, "memory": 0})
    for task in "bc":
        assert host.submit(task) == [f"run {task} on 2"]
    host.submit("younger", refs=["blocker"])
    host.tick(p.STALL_NS)
    assert host.finish("blocker", runtime_ns=10_000) == ["run younger on 3"]
    assert host.recalled(2, started=host.runs["a"].position) == ["run b on 3", "run c on 3"]


def test_a_declined_task_goes_elsewhere(quick):
    """The worker saw the recall just before it would have begun: the host counted the task as begun."""
    quick.submit("b")
    quick.tick(p.STALL_NS)
    quick.recalled(2, started=quick.runs["b"].position)
    first = quick.runs["b"]
    quick.finish("a", runtime_ns=10_000)
    assert quick.declined("b") == ["run b on 2"]
    assert quick.runs["b"].position == first.position + 1
    assert quick.declined("b", first) == [], "about a message that does not count any more"
    quick.finish("b")
    assert quick.get("b") == ["1 gets b: b"]


def test_a_task_declined_out_of_the_queue_goes_elsewhere(quick):
    quick.submit("b")
    quick.submit("c")
    assert quick.declined("b") == ["run b on 2"]
    assert quick.node.sizes()["queued"] == 2
    quick.finish("a")
    assert quick.story_of("c")[-1] == "RUNNING"


def test_a_worker_that_lacks_the_function_gets_the_task_again_with_it(quick):
    """The message that brought the function was taken back before the worker saw it."""
    quick.function("g()")
    quick.finish("a", runtime_ns=10_000)
    quick.submit("b", function="g()")
    assert quick.last(p.CMD_RUN).flags & p.RUN_HAS_FUNCTION
    assert quick.declined("b") == ["run b on 2"]
    assert not quick.last(p.CMD_RUN).flags & p.RUN_HAS_FUNCTION
    assert quick.declined("b", flags=p.DECLINED_NO_FUNCTION) == ["run b on 2"]
    assert quick.last(p.CMD_RUN).flags & p.RUN_HAS_FUNCTION
    assert quick.runs["b"].attempt == 0


def test_views_of_arguments_end_with_the_message_that_was_taken_back(quick):
    quick.put("root!1", quick.in_arena(100))
    quick.submit("b", refs=["root!1"])
    quick.tick(p.STALL_NS)
    quick.recalled(2, started=quick.runs["a"].position)
    quick.finish("a")
    quick.finish("b")
    quick.release("root!1")
    assert quick.node.sizes()["arena_bytes"] == p.BLOCK_ALIGNMENT
    quick.unpin("root!1", 2)
    assert quick.node.sizes()["arena_bytes"] == 0


def test_news_of_workers_that_are_gone_changes_nothing(quick):
    quick.submit("b")
    b = quick.runs["b"]
    quick.detach(2)
    quick.recalled(2, started=0)
    quick.declined("b", b)
    assert quick.story_of("b").count("READY") == 2


# ---- lending ---------------------------------------------------------------------------------------------------


def test_a_task_that_blocks_lends_its_cpu_and_takes_it_back(host):
    host.submit("a")
    host.submit("b", 2, parent="a")
    assert host.get("b", client=2, task="a", flags=BLOCKS, request=5) == ["spawn 3", "run b on 3"]
    assert host.story_of("a")[-1] == "BLOCKED"
    assert cpus(host) == 0
    assert host.finish("b") == ["2 gets b: b"]
    assert host.story_of("a")[-1] == "RUNNING"
    assert cpus(host) == 0
    host.finish("a")
    assert cpus(host) == 1


def test_only_cpus_are_lent(make_host):
    host = make_host({"CPU": 1, "GPU": 1, "memory": 10})
    host.submit("a", needs={"CPU": 1, "GPU": 1, "memory": 10})
    host.submit("b")
    assert host.get("b", client=2, task="a", flags=BLOCKS) == ["spawn 3", "run b on 3"]
    assert {name: free for name, (_, free) in host.node.resources().items()} == {"CPU": 0, "GPU": 0, "memory": 0}


def test_who_takes_its_cpu_back_may_overbook_it(host):
    for task in "abc":
        host.submit(task)
    assert host.get("b", client=2, task="a", flags=BLOCKS, request=7) == ["spawn 3", "run b on 3"]
    assert host.forget(7, client=2) == []
    assert cpus(host) == -1
    assert host.finish("a", runtime_ns=LONG) == []
    assert cpus(host) == 0
    assert host.finish("b", runtime_ns=LONG) == ["run c on 3"]


def test_a_get_that_does_not_block_the_task_lends_nothing(host):
    host.submit("a")
    host.submit("b")
    assert host.get("b", client=2, task="a") == []
    assert cpus(host) == 0


def test_several_waits_of_one_task_lend_once_and_end_with_the_last(host):
    host.submit("a")
    host.submit("b")
    host.submit("c")
    host.get("b", client=2, task="a", flags=p.GET_LENDS, request=1)
    host.get("c", client=2, task="a", flags=p.GET_LENDS, request=2)
    assert cpus(host) == 0
    host.forget(1, client=2)
    assert host.story_of("a")[-1] == "BLOCKED"
    host.forget(2, client=2)
    assert host.story_of("a")[-1] == "RUNNING"
    assert cpus(host) == -1


def test_a_blocked_task_that_ends_gives_its_cpu_back_once(host):
    host.submit("a")
    host.submit("b", needs={"CPU": 2})
    host.get("b", client=2, task="a", flags=p.GET_LENDS)
    assert cpus(host) == 1
    host.finish("a")
    assert cpus(host) == 1


@pytest.mark.parametrize("ask", ["get", "wait", "next"])
def test_every_kind_of_waiting_lends(host, ask):
    host.submit("a")
    host.submit("s", 2, parent="a", n_returns=p.STREAMING)
    if ask == "next":
        said = host.next("s.1", client=2, flags=p.GET_LENDS)
    else:
        said = getattr(host, ask)("s", client=2, task="a", flags=p.GET_LENDS)
    assert said == ["spawn 3", "run s on 3"]
    assert host.story_of("a")[-1] == "BLOCKED"
    host.give("s.1")
    host.finish("s")
    assert host.story_of("a")[-1] == "RUNNING"


def test_the_drivers_waiting_lends_nothing(host):
    host.submit("a")
    host.get("a", flags=BLOCKS)
    assert cpus(host) == 0


def test_what_is_queued_behind_a_task_that_blocks_is_taken_back(quick):
    quick.submit("b")
    quick.submit("c")
    assert quick.get("c", client=2, task="a", flags=BLOCKS) == ["recall 2"]
    assert quick.recalled(2, started=quick.runs["a"].position) == ["spawn 3", "run b on 3", "run c on 3"]


def test_nothing_is_queued_behind_a_task_that_blocks(quick):
    quick.submit("b", needs={"CPU": 5})
    quick.get("b", client=2, task="a", flags=BLOCKS)
    assert quick.submit("c") == ["spawn 3", "run c on 3"]
    assert quick.submit("d") == ["run d on 3"]


# ---- in place --------------------------------------------------------------------------------------------------


@pytest.fixture
def capped(make_host):
    """One worker and no more; it runs "a", which submits "b"."""
    host = make_host(worker_cap=1)
    host.submit("a", max_retries=0)
    host.submit("b", 2, parent="a", max_retries=0)
    return host


def test_at_the_cap_the_awaited_task_runs_in_its_waiter(capped):
    assert capped.get("b", client=2, task="a", flags=BLOCKS, request=8) == ["run b on 2 in place"]
    message = capped.last(p.CMD_RUN)
    assert (message.request, message.aux) == (0, 8), "outside the worker's queue, for the call that waits"
    assert cpus(capped) == 0
    assert capped.finish("b") == ["2 gets b: b"]
    assert capped.story_of("a")[-1] == "RUNNING"
    capped.finish("a")
    assert cpus(capped) == 1


def test_in_place_goes_to_any_depth(capped):
    capped.get("b", client=2, task="a", flags=BLOCKS)
    chain = ["a", "b", *(f"t{i}" for i in range(500))]
    for parent, child in itertools.pairwise(chain[1:]):
        capped.submit(child, 2, parent=parent)
        assert capped.get(child, client=2, task=parent, flags=BLOCKS) == [f"run {child} on 2 in place"]
    for child in reversed(chain[1:]):
        assert capped.finish(child) == [f"2 gets {child}: {child}"]
    capped.finish("a")
    assert cpus(capped) == 1
    assert capped.node.workers()[0]["running"] == 0


def test_what_an_awaited_task_waits_for_runs_in_place_too(capped):
    """b waits for c, which waits for d: d runs first."""
    capped.submit("d", 2, parent="a")
    capped.submit("c", 2, parent="a", refs=["d"])
    capped.submit("e", 2, parent="a", refs=["c"])
    assert capped.get("e", client=2, task="a", flags=BLOCKS) == ["run d on 2 in place"]
    assert capped.finish("d") == ["run c on 2 in place"]
    assert capped.finish("c") == ["run e on 2 in place"]
    assert capped.finish("e") == ["2 gets e: e"]


def test_what_is_sought_among_many_shared_dependencies_is_found_soon(capped):
    """Forty layers of two, each waiting for both of the layer below: 2**40 paths lead down, 80 tasks."""
    below = []
    for layer in range(40):
        names = [f"{layer}{side}" for side in "lr"]
        for name in names:
            capped.submit(name, 2, parent="a", refs=below)
        below = names
    capped.submit("unrelated")
    assert capped.get("39r", client=2, task="a", flags=BLOCKS) == ["run 0l on 2 in place"]
    assert capped.finish("0l") == ["run 0r on 2 in place"]


def test_a_long_chain_of_dependencies_is_followed_to_its_end(capped):
    capped.submit("t0", 2, parent="a")
    for i in range(1, 5000):
        capped.submit(f"t{i}", 2, parent="a", refs=[f"t{i - 1}"])
    assert capped.get("t4999", client=2, task="a", flags=BLOCKS) == ["run t0 on 2 in place"]


def test_the_first_that_can_run_in_place_does(make_host):
    host = make_host({"CPU": 1, "GPU": 1}, worker_cap=1)
    host.submit("a")
    host.submit("gpu", 2, parent="a", needs={"GPU": 1})
    host.submit("other", 2, parent="a", environment=7)
    host.submit("large", 2, parent="a", needs={"CPU": 1, "memory": 0})
    assert host.get("gpu", "other", "large", client=2, task="a", flags=BLOCKS)[0] == "run large on 2 in place"


def test_who_does_not_offer_to_run_in_place_gets_one_more_worker(capped):
    assert capped.get("b", client=2, task="a", flags=p.GET_LENDS) == ["spawn 3", "run b on 3"]


def test_one_more_worker_only_if_all_wait(make_host):
    host = make_host({"CPU": 2}, worker_cap=2)
    host.submit("a")
    host.submit("b")
    host.submit("c")
    assert host.get("c", client=2, task="a", flags=p.GET_LENDS) == []
    assert host.get("c", client=3, task="b", flags=p.GET_LENDS) == ["spawn 4", "run c on 4"]


def test_in_place_comes_before_the_queue_of_another_worker(make_host):
    """What runs there may take long, though it usually does not; the waiter is at hand."""
    host = make_host({"CPU": 2}, worker_cap=2)
    host.submit("first")
    host.finish("first", runtime_ns=10_000)
    host.submit("a")
    host.submit("busy")
    assert host.submit("b", 2, parent="a") == ["run b on 2"]
    assert host.get("b", client=2, task="a", flags=BLOCKS) == ["recall 2"]
    assert host.recalled(2, started=host.runs["a"].position) == ["run b on 2 in place"]


def test_at_the_cap_short_tasks_queue_though_resources_are_there(make_host):
    host = make_host({"CPU": 10}, worker_cap=1)
    host.submit("first")
    host.finish("first", runtime_ns=10_000)
    assert [host.submit(task) for task in "abc"] == [["run a on 2"], ["run b on 2"], ["run c on 2"]]


def test_a_wait_runs_nothing_in_place(capped):
    assert capped.wait("b", client=2, task="a", flags=BLOCKS) == ["spawn 3", "run b on 3"]


def test_a_task_that_waits_in_two_calls_at_once_runs_nothing_in_place(make_host):
    """Which of its threads would run it?"""
    host = make_host({"CPU": 3}, worker_cap=2)
    for task in ("a", "busy", "b"):
        host.submit(task)
    host.submit("large", needs={"CPU": 4})
    assert host.get("large", client=2, task="a", flags=BLOCKS, request=1) == []
    assert host.get("b", client=2, task="a", flags=BLOCKS, request=2) == []
    host.forget(1, client=2)
    host.forget(2, client=2)
    assert host.get("b", client=2, task="a", flags=BLOCKS) == ["run b on 2 in place"]


def test_in_place_takes_no_more_than_there_is(make_host):
    """The CPU that was lent runs another task: the awaited one waits for it."""
    host = make_host({"CPU": 1}, worker_cap=2)
    host.submit("a")
    host.submit("x")
    host.submit("b", 2, parent="a")
    assert host.get("b", client=2, task="a", flags=BLOCKS) == ["spawn 3", "run x on 3"]
    assert host.finish("x", runtime_ns=LONG) == ["run b on 3"]


def test_a_declined_run_in_place_is_placed_anew(capped):
    """The call it was meant for had ended when the message came."""
    capped.get("b", client=2, task="a", flags=BLOCKS, request=8)
    capped.forget(8, client=2)
    assert capped.declined("b") == []
    assert capped.finish("a", runtime_ns=LONG) == ["run b on 2"]


def test_the_death_of_a_worker_loses_all_that_it_runs_in_place(capped):
    capped.get("b", client=2, task="a", flags=BLOCKS)
    capped.get("a", "b")
    assert capped.detach(2, started=1) == ["1 gets a: crashed!", "1 gets b: crashed!"]
    assert cpus(capped) == 1
