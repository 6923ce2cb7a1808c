"""raylite.util.state with real processes: what rows say, which are given, what is refused. One runtime for all tests."""

from __future__ import annotations

import os
import time

import pytest

import raylite
from raylite.util import state
from raylite.util.state import exception
from raylite.util.state.common import ActorState, ObjectState, TaskState, WorkerState

LISTS = [
    state.list_actors,
    state.list_jobs,
    state.list_nodes,
    state.list_objects,
    state.list_placement_groups,
    state.list_tasks,
    state.list_workers,
]


@pytest.fixture(autouse=True)
def runtime(raylite_2cpu_module):
    return raylite_2cpu_module


@pytest.fixture
def name(request):
    """A name that no other test's tasks have."""
    return request.node.name


@raylite.remote
def identity(x=None, *more):
    return x


@raylite.remote
def boom():
    raise ValueError("went wrong")


@raylite.remote
def wait_for(gate):
    gate.pass_through()


class Calls:
    def __init__(self, fails=False):
        if fails:
            raise ValueError("no such luck")

    def echo(self, x=None):
        return x

    def hold(self, gate):
        gate.pass_through()

    def die(self):
        os._exit(3)


def one(rows):
    [row] = rows
    return row


def named(name, **options):
    return state.list_tasks(filters=[("name", "=", name)], **options)


# ---- tasks -----------------------------------------------------------------------------------------------------


def test_a_task_that_has_finished(name):
    before = time.time()
    ref = identity.options(name=name, num_cpus=0.5, resources={}).remote(7)
    raylite.get(ref)
    row = one(named(name))
    context = raylite.get_runtime_context()
    assert isinstance(row, TaskState)
    assert row.task_id == ref.task_id().hex()
    assert (row.name, row.func_or_class_name, row.type) == (name, "identity", "NORMAL_TASK")
    assert (row.state, row.attempt_number, row.error_type, row.actor_id) == ("FINISHED", 0, None, None)
    assert (row.job_id, row.node_id) == (context.get_job_id(), context.get_node_id())
    worker = one(state.list_workers(filters=[("worker_id", "=", row.worker_id)]))
    assert worker.pid == row.worker_pid != os.getpid()
    assert (row.required_resources, row.events, row.start_time_ms) == (None, None, None), "told with detail=True"
    row = one(named(name, detail=True))
    assert (row.required_resources, row.language, row.placement_group_id) == ({"CPU": 0.5}, "PYTHON", None)
    assert before * 1000 - 1 <= row.creation_time_ms <= row.start_time_ms <= row.end_time_ms <= time.time() * 1000
    assert [each["state"] for each in row.events] == [
        "PENDING_ARGS_AVAIL",
        "PENDING_NODE_ASSIGNMENT",
        "RUNNING",
        "FINISHED",
    ]


def test_a_row_is_an_object_and_a_mapping(name):
    raylite.get(identity.options(name=name).remote())
    row = one(named(name))
    assert row.state == row["state"] == row.get("state") == dict(row)["state"] == row.asdict()["state"] == "FINISHED"
    assert "state" in row and "nonsense" not in row and row.get("nonsense", 1) == 1
    assert list(row) == row.keys() == TaskState.list_columns() and len(row) == len(row.values())
    assert row == one(named(name)) and row != one(named(name, detail=True))
    assert repr(row).startswith(f"TaskState(task_id='{row.task_id}', attempt_number=0, name='{name}', ")
    with pytest.raises(KeyError, match="'nonsense'; the columns of a TaskState are task_id, attempt_number"):
        row["nonsense"]


def test_a_task_that_has_failed(name):
    ref = boom.options(name=name).remote()
    with pytest.raises(ValueError):
        raylite.get(ref)
    row = one(named(name, detail=True))
    assert (row.state, row.error_type) == ("FAILED", "TASK_EXECUTION_EXCEPTION")
    assert "ValueError: went wrong" in row.error_message and "in boom" in row.error_message
    assert one(named(name)).error_message is None


def test_how_else_tasks_fail(name):
    ref = raylite.remote(lambda: os._exit(7)).options(name=f"{name} crash", max_retries=0).remote()
    after = identity.options(name=name).remote(ref)
    with pytest.raises(raylite.exceptions.WorkerCrashedError):
        raylite.get(after)
    cancelled = identity.options(name=f"{name} cancel", num_cpus=99).remote()
    raylite.cancel(cancelled)
    with pytest.raises(raylite.exceptions.TaskCancelledError):
        raylite.get(cancelled)
    crash = one(named(f"{name} crash", detail=True))
    assert (crash.state, crash.error_type) == ("FAILED", "WORKER_DIED")
    assert "exit code 7" in crash.error_message or "exit_code" in crash.error_message
    assert one(named(name)).error_type == "WORKER_DIED", "as its argument"
    assert (one(named(f"{name} cancel")).state, one(named(f"{name} cancel")).error_type) == (
        "FAILED",
        "TASK_CANCELLED",
    )
    dead = state.list_workers(filters=[("pid", "=", crash.worker_pid)], detail=True)
    assert (one(dead).is_alive, one(dead).exit_type, one(dead).exit_detail) == (False, "SYSTEM_ERROR", "exit code 7")
    assert one(dead).start_time_ms <= one(dead).end_time_ms


def test_a_retried_task_is_one_row(name, tally):
    @raylite.remote(max_retries=2, retry_exceptions=True)
    def second_time():
        tally.add()
        if len(tally) < 2:
            raise ValueError
        return 1

    raylite.get(second_time.options(name=name).remote())
    row = one(named(name))
    assert (row.state, row.attempt_number, row.error_type) == ("FINISHED", 1, None)


def test_states_of_tasks(name, gate, wait_until):
    @raylite.remote
    def parent(gate):
        return raylite.get(wait_for.options(name=f"{name} child").remote(gate))

    refs = [parent.options(name=f"{name} parent").remote(gate)]
    refs.append(identity.options(name=f"{name} waiting").remote(refs[0]))
    refs.append(identity.options(name=f"{name} large", num_cpus=99).remote())

    def states():
        return {kind: one(named(f"{name} {kind}")).state for kind in ("parent", "child", "waiting", "large")}

    wait_until(lambda: len(named(f"{name} child")) == 1)
    expected = {
        "parent": "RUNNING_IN_RAY_GET",
        "child": "RUNNING",
        "waiting": "PENDING_ARGS_AVAIL",
        "large": "PENDING_NODE_ASSIGNMENT",
    }
    wait_until(lambda: states() == expected, what=f"{expected}")
    for kind, told in expected.items():
        found = state.list_tasks(filters=[("state", "=", told), ("name", "=", f"{name} {kind}")])
        assert one(found).parent_task_id == (one(named(f"{name} parent")).task_id if kind == "child" else driver_task())
        assert named(f"{name} {kind}", detail=True)[0].end_time_ms is None
    gate.open()
    raylite.cancel(refs.pop())
    raylite.get(refs)
    assert one(named(f"{name} waiting")).state == "FINISHED"


def driver_task():
    """The id under which the driver submits."""
    from raylite.runtime.client import current_task

    return current_task().task_id.hex()


def test_the_names_of_functions_that_are_gone(wait_until):
    @raylite.remote
    def soon_forgotten():
        return 1

    ref = soon_forgotten.remote()
    task = ref.task_id().hex()
    raylite.get(ref)
    functions = raylite.lifecycle.runtime().sizes()["functions"]
    del ref, soon_forgotten
    wait_until(lambda: raylite.lifecycle.runtime().sizes()["functions"] < functions)
    assert state.get_task(task).func_or_class_name.endswith("soon_forgotten")
    slices = [event for event in raylite.timeline() if event["ph"] == "X" and event["args"]["task_id"] == task]
    assert [each["name"].rpartition(".")[2] for each in slices] == ["soon_forgotten"]


def test_a_task_by_id_and_by_reference(name):
    ref = identity.options(name=name).remote()
    raylite.get(ref)
    row = state.get_task(ref)
    assert row == state.get_task(ref.task_id().hex()) == one(named(name, detail=True))
    assert state.get_task("0" * 32) is None


def test_within_a_task(name):
    @raylite.remote
    def look():
        return state.get_task(raylite.get_runtime_context().get_task_id()), state.list_workers()

    row, workers = raylite.get(look.options(name=name).remote())
    assert (row.state, row.name) == ("RUNNING", name)
    assert os.getpid() in [worker.pid for worker in workers if worker.worker_type == "DRIVER"]


# ---- actors ----------------------------------------------------------------------------------------------------


def test_an_actor_and_its_calls(name, gate, wait_until):
    actor = raylite.remote(Calls).options(name=name, max_restarts=3).remote()
    raylite.get(actor.echo.remote(1))
    row = one(state.list_actors(filters=[("name", "=", name)], detail=True))
    assert isinstance(row, ActorState)
    assert (row.class_name, row.state, row.ray_namespace) == ("Calls", "ALIVE", "anonymous")
    assert (row.required_resources, row.is_detached, row.num_restarts, row.death_cause) == ({}, False, 0, None)
    assert row == state.get_actor(row.actor_id)
    tasks = state.list_tasks(filters=[("actor_id", "=", row.actor_id)])
    assert [(task.type, task.func_or_class_name, task.worker_pid) for task in tasks] == [
        ("ACTOR_CREATION_TASK", "Calls.__init__", row.pid),
        ("ACTOR_TASK", "Calls.echo", row.pid),
    ]
    refs = [actor.hold.options(name=f"{name} hold").remote(gate), actor.echo.options(name=f"{name} next").remote()]
    wait_until(lambda: one(named(f"{name} hold")).state == "RUNNING")
    assert one(named(f"{name} next")).state == "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"
    assert (
        one(state.list_tasks(filters=[("state", "=", "pending_actor_task_ordering_or_concurrency")])).name
        == f"{name} next"
    )
    gate.open()
    raylite.get(refs)


def test_actors_that_wait_and_die(name, gate, wait_until):
    waiting = raylite.remote(Calls).options(name=f"{name} waiting").remote(wait_for.remote(gate))
    large = raylite.remote(Calls).options(name=f"{name} large", num_cpus=99).remote()
    killed = raylite.remote(Calls).options(name=f"{name} killed").remote()
    raylite.get(killed.echo.remote())
    raylite.kill(killed)
    broken = raylite.remote(Calls).options(name=f"{name} broken").remote(fails=True)
    with pytest.raises(raylite.exceptions.ActorDiedError):
        raylite.get(broken.echo.options(name=f"{name} call").remote())

    def rows(detail=False):
        return {row.name.rpartition(" ")[2]: row for row in state.list_actors(detail=detail) if name in row.name}

    expected = {"waiting": "DEPENDENCIES_UNREADY", "large": "PENDING_CREATION", "killed": "DEAD", "broken": "DEAD"}
    wait_until(lambda: {kind: row.state for kind, row in rows().items()} == expected)
    assert rows()["large"].pid == 0
    causes = {kind: row.death_cause for kind, row in rows(detail=True).items()}
    assert causes["waiting"] is None
    assert "killed by kill()" in causes["killed"]["actor_died_error_context"]["error_message"]
    assert "no such luck" in causes["broken"]["actor_died_error_context"]["error_message"]
    assert one(named(f"{name} call")).error_type == "ACTOR_DIED"
    creation = state.list_tasks(filters=[("actor_id", "=", rows()["broken"].actor_id), ("type", "!=", "ACTOR_TASK")])
    assert (one(creation).state, one(creation).error_type) == ("FAILED", "TASK_EXECUTION_EXCEPTION")
    gate.open()
    del waiting, large, killed, broken


def test_an_actor_without_handles_is_dead(name, wait_until):
    actor = raylite.remote(Calls).options(name=name).remote()
    raylite.get(actor.echo.remote())
    del actor
    wait_until(lambda: one(state.list_actors(filters=[("name", "=", name)])).state == "DEAD")
    row = one(state.list_actors(filters=[("name", "=", name)]))
    assert state.get_actor(row.actor_id).death_cause is not None
    assert row.pid != 0 and row.node_id is None


# ---- objects ---------------------------------------------------------------------------------------------------


def test_objects(name, gate):
    small, large = raylite.put(1), raylite.put(bytes(200_000))
    box = raylite.put([small])
    pending = wait_for.remote(gate)
    user = identity.remote(pending)
    row = one(state.get_objects(large))
    assert isinstance(row, ObjectState)
    assert row == one(state.get_objects(large.hex()))
    assert 200_000 < row.object_size < 201_000
    assert (row.task_status, row.attempt_number, row.reference_type) == ("FINISHED", 1, "LOCAL_REFERENCE")
    assert (row.pid, row.type, row.call_site, row.ip) == (os.getpid(), "DRIVER", "disabled", "127.0.0.1")
    row = one(state.get_objects(pending))
    assert (row.object_size, row.reference_type) == (-1, "USED_BY_PENDING_TASK")
    assert one(state.get_objects(user)).task_status == "PENDING_ARGS_AVAIL"
    inner = small.hex()
    del small
    row = one(state.get_objects(inner))
    assert (row.reference_type, row.pid) == ("CAPTURED_IN_OBJECT", None)
    view = raylite.get(large)
    ids = {row.object_id for row in state.list_objects(limit=1000)}
    assert {large.hex(), box.hex(), inner, pending.hex()} <= ids
    assert state.get_objects("f" * 40) == []
    gate.open()
    raylite.get(user)
    del view


def test_an_array_in_use_is_pinned():
    np = pytest.importorskip("numpy")
    ref = raylite.put(np.zeros(100_000))
    view = raylite.get(ref)
    assert one(state.get_objects(ref)).reference_type == "PINNED_IN_MEMORY"
    del view
    assert one(state.get_objects(ref)).reference_type == "LOCAL_REFERENCE"


def test_the_object_of_an_actor_is_its_handle():
    actor = raylite.remote(Calls).remote()
    raylite.get(actor.echo.remote())
    handles = state.list_objects(filters=[("reference_type", "=", "ACTOR_HANDLE"), ("task_status", "=", "NIL")])
    mine = state.list_actors(filters=[("state", "=", "ALIVE")])[-1]
    assert mine.actor_id in {row.object_id[:32] for row in handles}
    del actor


# ---- the rest --------------------------------------------------------------------------------------------------


def test_workers():
    driver = one(state.list_workers(filters=[("worker_type", "=", "driver")], detail=True))
    assert isinstance(driver, WorkerState)
    assert (driver.pid, driver.is_alive, driver.exit_type) == (os.getpid(), True, None)
    assert driver.start_time_ms <= time.time() * 1000 and driver.end_time_ms == 0
    assert driver.worker_id == raylite.get_runtime_context().get_worker_id()
    assert state.get_worker(driver.worker_id) == driver
    assert state.get_worker("f" * 32) is None and state.get_worker("0" * 32) is None


def test_placement_groups():
    group = raylite.util.placement_group([{"CPU": 1}], name="state group")
    assert group.wait(10)
    row = one(state.list_placement_groups(filters=[("name", "=", "state group")], detail=True))
    assert row == state.get_placement_group(group.id.hex())
    assert (row.state, row.is_detached, row.creator_job_id) == ("CREATED", False, "00000001")
    assert row.bundles[0]["unit_resources"] == {"CPU": 1}
    ref = identity.options(placement_group=group, num_cpus=1).remote()
    raylite.get(ref)
    assert state.get_task(ref).placement_group_id == group.id.hex()
    assert state.get_task(ref).required_resources == {"CPU": 1}
    raylite.util.remove_placement_group(group)
    assert state.get_placement_group(group.id.hex()).state == "REMOVED"
    assert state.get_placement_group("0" * 32) is None


def test_the_node():
    row = one(state.list_nodes(detail=True))
    assert row == state.get_node(raylite.get_runtime_context().get_node_id())
    assert (row.state, row.is_head_node, row.resources_total["CPU"]) == ("ALIVE", True, 2)
    assert 0 < row.start_time_ms <= time.time() * 1000
    assert state.get_node("0" * 32) is None


def test_the_job():
    row = one(state.list_jobs())
    assert (row.job_id, row.type, row.status) == ("00000001", "DRIVER", "RUNNING")
    assert "pytest" in row.entrypoint
    assert row.driver_info["pid"] == str(os.getpid())
    assert state.get_job("00000001").start_time is not None
    assert state.get_job("00000002") is None


# ---- which rows ------------------------------------------------------------------------------------------------


def test_limits(name):
    refs = [identity.options(name=name).remote(i) for i in range(120)]
    raylite.get(refs)
    ids = [ref.task_id().hex() for ref in refs]
    assert sorted(row.task_id for row in named(name, limit=1000)) == sorted(ids)
    assert len(named(name)) == 100
    assert [row.task_id for row in named(name, limit=10)] == [row.task_id for row in named(name, limit=20)][10:]
    assert {row.task_id for row in state.list_tasks(limit=10)} <= set(ids)
    assert named(name, limit=0) == []


@pytest.mark.parametrize(
    "filters, passes",
    [
        ([("name", "=", "NAME")], True),
        ([("Name", "=", "NAME".lower())], True),
        ([("name", "!=", "NAME")], False),
        ([("attempt_number", "=", 0)], True),
        ([("attempt_number", "=", "0")], True),
        ([("attempt_number", "!=", "0")], False),
        ([("attempt_number", "=", "")], False),
        ([("error_type", "=", None)], True),
        ([("error_type", "!=", None)], False),
        ([("error_type", "=", "None")], False),
        ([("state", "=", "finished"), ("state", "=", "FAILED")], False),
        ([("state", "!=", "RUNNING"), ("state", "!=", "FAILED")], True),
        ([("state", "=", "NO_SUCH_STATE")], False),
        ([("actor_id", "=", "f" * 32)], False),
        ([("actor_id", "=", "not an id")], False),
    ],
)
def test_filters(filters, passes):
    name = "filtered"
    ref = identity.options(name=name).remote()
    raylite.get(ref)
    filters = [
        (column, how, {"NAME": name, "NAME".lower(): name.upper()}.get(value, value)) for column, how, value in filters
    ]
    found = state.list_tasks(filters=filters, limit=10_000)
    assert (ref.task_id().hex() in {row.task_id for row in found}) == passes


def test_truth_values_as_text():
    alive = state.list_workers(filters=[("is_alive", "=", True)])
    assert alive == state.list_workers(filters=[("is_alive", "=", "true")])
    assert alive == state.list_workers(filters=[("is_alive", "!=", "False")])
    assert alive and all(row.is_alive for row in alive)


# ---- summaries -------------------------------------------------------------------------------------------------


def test_summaries(name):
    actor = raylite.remote(Calls).remote()
    raylite.get([identity.options(name=name).remote() for _ in range(3)] + [actor.echo.remote()])
    with pytest.raises(ValueError):
        raylite.get(boom.options(name=name).remote())
    tasks = state.summarize_tasks()["cluster"]
    assert tasks["summary"][name] == {
        "func_or_class_name": name,
        "type": "NORMAL_TASK",
        "state_counts": {"FINISHED": 3, "FAILED": 1},
    }
    assert tasks["summary"]["Calls.__init__"]["type"] == "ACTOR_CREATION_TASK"
    assert tasks["total_tasks"] >= 4 and tasks["total_actor_tasks"] >= 1 and tasks["total_actor_scheduled"] >= 1
    actors = state.summarize_actors()["cluster"]
    assert actors["summary"]["Calls"]["state_counts"]["ALIVE"] >= 1
    assert actors["total_actors"] == sum(sum(row["state_counts"].values()) for row in actors["summary"].values())
    kept = raylite.put(bytes(1 << 20))
    objects = state.summarize_objects()["cluster"]
    assert objects["total_objects"] == len(state.list_objects(limit=10_000))
    assert 1 <= objects["total_size_mb"] < 3 and objects["callsite_enabled"] is False
    assert objects["summary"]["disabled"]["ref_type_counts"]["ACTOR_HANDLE"] >= 1
    del kept


# ---- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", LISTS, ids=lambda function: function.__name__)
@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"filters": "state=RUNNING"}, TypeError, 'filters is a list of tuples as in [("state", "=", "RUNNING")]'),
        ({"filters": [("state", "=")]}, ValueError, "a filter has three parts"),
        ({"filters": [("nonsense", "=", 1)]}, ValueError, "'nonsense' is no column that a "),
        ({"filters": [(5, "=", 1)]}, ValueError, "5 is no column that a "),
        ({"filters": [("state", "<", 1)]}, ValueError, "filters compare by '=' or '!=', not '<'"),
        ({"limit": -1}, ValueError, "limit is from 0 to 10000 rows, not -1"),
        ({"limit": 10_001}, ValueError, "limit is from 0 to 10000 rows, not 10001"),
        ({"limit": "many"}, TypeError, "limit is a whole number of rows, not 'many'"),
        ({"limit": True}, TypeError, "limit is a whole number of rows, not True"),
        ({"timeout": -1}, ValueError, "timeout is 0 or more seconds, not -1"),
        ({"timeout": float("nan")}, ValueError, "timeout is 0 or more seconds, not nan"),
        ({"timeout": "1"}, TypeError, "timeout is a number of seconds, not '1'"),
        ({"address": "10.0.0.1:6379"}, ValueError, "there is no runtime at '10.0.0.1:6379' to be asked"),
    ],
    ids=str,
)
def test_what_a_list_refuses(function, arguments, error, words):
    if function is state.list_jobs and arguments.get("filters") == [("state", "<", 1)]:
        arguments = {"filters": [("status", "<", 1)]}
    with pytest.raises(error) as refused:
        function(**arguments)
    assert words in str(refused.value)
    assert isinstance(refused.value, (TypeError, exception.RayStateApiException))


def test_what_a_filter_takes():
    with pytest.raises(ValueError, match=r"is picked by: actor_id, attempt_number, .*, worker_pid$"):
        state.list_tasks(filters=[("start_time_ms", "=", 1)])
    with pytest.raises(TypeError, match="the value of a filter is a string, number, True, False or None, not \\[\\]"):
        state.list_tasks(filters=[("state", "=", [])])


@pytest.mark.parametrize(
    "function, digits",
    [
        (state.get_task, 32),
        (state.get_actor, 32),
        (state.get_objects, 40),
        (state.get_worker, 32),
        (state.get_placement_group, 32),
        (state.get_node, 32),
        (state.get_job, 8),
    ],
)
@pytest.mark.parametrize("bad", ["", "zz", "0" * 31, "0" * 50, " " * 40, 5, None, b"0" * 32])
def test_what_an_id_is(function, digits, bad):
    with pytest.raises(ValueError if isinstance(bad, str) else TypeError, match=f" {digits} hexadecimal digits, not "):
        function(bad)


def test_time_can_be_up(monkeypatch, name):
    from raylite.util.state import reports

    raylite.get([identity.options(name=name).remote() for _ in range(3)])
    now = iter(range(1000))
    monkeypatch.setattr(reports, "monotonic", lambda: next(now) * 10.0)
    monkeypatch.setattr(reports, "PAGE_ROWS_MOST", 1)
    with pytest.raises(exception.RayStateApiException, match="not enough time for all rows: timeout=15 seconds"):
        named(name, timeout=15)


@pytest.mark.parametrize("name", ["get_log", "list_logs", "list_runtime_envs", "list_cluster_events", "StateApiClient"])
def test_what_there_is_nothing_of(name):
    with pytest.raises(NotImplementedError, match=f"^raylite.util.state.{name}: .*[^.]\\.$"):
        getattr(state, name)()
