"""What a program can ask about where it runs: nodes, resources, context, timeline, the life of a runtime."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile

import pytest

import raylite

HEX_16 = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def running(leaves_nothing):
    with raylite.init(num_cpus=2, namespace="space", resources={"disk": 1.5}):
        yield


@raylite.remote
def context_of_task():
    context = raylite.get_runtime_context()
    names = [
        "get_job_id",
        "get_node_id",
        "get_task_id",
        "get_task_name",
        "get_task_function_name",
        "get_attempt_number",
        "get_worker_id",
        "get_actor_id",
        "get_actor_name",
        "get_accelerator_ids",
    ]
    values = {name: getattr(context, name)() for name in names}
    return {**values, "namespace": context.namespace, "task_id": context.task_id, "pid": os.getpid()}


def test_the_context_of_the_driver(running):
    context = raylite.get_runtime_context()
    assert re.fullmatch("[0-9a-f]{8}", context.get_job_id())
    assert context.job_id.hex() == context.get_job_id()
    assert HEX_16.fullmatch(context.get_node_id())
    assert context.node_id == raylite.NodeID.from_hex(context.get_node_id())
    assert HEX_16.fullmatch(context.get_worker_id())
    assert context.namespace == "space"
    assert context.get_task_id() is None
    assert context.get_task_name() is None
    assert context.get_task_function_name() is None
    assert context.get_actor_id() is None
    assert context.get_accelerator_ids() == {"GPU": []}
    assert context.was_current_actor_reconstructed is False


REST = """
    get_node_labels get_placement_group_id current_placement_group_id should_capture_child_tasks_in_placement_group
    runtime_env get_runtime_env_string get_session_name get_temp_dir gcs_address
""".split()


def rest_of_context():
    context = raylite.get_runtime_context()
    values = {name: getattr(context, name) for name in REST}
    return {name: value() if callable(value) else value for name, value in values.items()}, context.get()


def test_the_rest_of_the_context_is_that_of_the_runtime_in_every_process(leaves_nothing, tmp_path):
    variables = {"env_vars": {"COLOUR": "red"}}
    with raylite.init(num_cpus=1, namespace="space", labels={"rack": "a"}, runtime_env=variables):
        rest, ids = rest_of_context()
        assert rest == {
            "get_node_labels": {"rack": "a"},
            "get_placement_group_id": None,
            "current_placement_group_id": raylite.PlacementGroupID.nil(),
            "should_capture_child_tasks_in_placement_group": False,
            "runtime_env": variables,
            "get_runtime_env_string": json.dumps(variables),
            "get_session_name": f"session_{raylite.get_runtime_context().get_node_id()}",
            "get_temp_dir": tempfile.gettempdir(),
            "gcs_address": "local",
        }
        context = raylite.get_runtime_context()
        assert ids == {"job_id": context.job_id, "node_id": context.node_id, "namespace": "space"}

        ref = raylite.remote(rest_of_context).remote()
        rest_of_task, ids_of_task = raylite.get(ref)
        assert rest_of_task == rest
        assert ids_of_task == {**ids, "task_id": ref.task_id()}


def test_the_context_of_a_task(running):
    first, second = raylite.get(
        [context_of_task.options(name="named", num_cpus=0.5).remote(), context_of_task.remote()]
    )
    driver = raylite.get_runtime_context()
    for seen in (first, second):
        assert seen["get_job_id"] == driver.get_job_id()
        assert seen["get_node_id"] == driver.get_node_id()
        assert seen["namespace"] == "space"
        assert seen["get_task_function_name"] == "context_of_task"
        assert seen["get_attempt_number"] == 0
        assert HEX_16.fullmatch(seen["get_task_id"]) and seen["task_id"].hex() == seen["get_task_id"]
        assert seen["get_worker_id"] != driver.get_worker_id()
        assert seen["get_actor_id"] is None and seen["get_actor_name"] is None
    assert first["get_task_name"] == "named"
    assert second["get_task_name"] == "context_of_task"
    assert first["get_task_id"] != second["get_task_id"]


def test_the_worker_id_is_the_process(running):
    seen = raylite.get([context_of_task.remote() for _ in range(20)])
    assert len({(s["get_worker_id"], s["pid"]) for s in seen}) == len({s["pid"] for s in seen})


def test_the_context_of_a_nested_task_is_its_own(running):
    @raylite.remote
    def parent():
        before = raylite.get_runtime_context().get_task_id()
        child = raylite.get(context_of_task.remote())["get_task_id"]
        return before, child, raylite.get_runtime_context().get_task_id()

    before, child, after = raylite.get(parent.remote())
    assert before == after != child


def test_nodes(running):
    (node,) = raylite.nodes()
    assert node["NodeID"] == raylite.get_runtime_context().get_node_id()
    assert node["Alive"] is True and node["alive"] is True
    assert node["NodeManagerHostname"] == socket.gethostname()
    assert node["Resources"] == raylite.cluster_resources()
    assert (node["Resources"]["CPU"], node["Resources"]["disk"]) == (2.0, 1.5)


def test_questions_from_a_task(running):
    @raylite.remote
    def ask():
        return raylite.nodes(), raylite.cluster_resources(), raylite.available_resources(), raylite.is_initialized()

    nodes, total, free, is_initialized = raylite.get(ask.remote())
    assert nodes == raylite.nodes()
    assert total == raylite.cluster_resources()
    assert free["CPU"] == 1.0
    assert is_initialized is True


def test_labels(leaves_nothing):
    raylite.init(num_cpus=1, labels={"zone": "a"})
    assert raylite.nodes()[0]["Labels"] == {"zone": "a"}


# ---- timeline ----


def test_the_timeline(running, tmp_path):
    @raylite.remote
    def work(x):
        return x

    @raylite.remote
    def fails():
        raise ValueError

    raylite.get([work.remote(i) for i in range(20)])
    with pytest.raises(ValueError):
        raylite.get(fails.remote())
    path = tmp_path / "trace.json"
    assert raylite.timeline(str(path)) is None
    events = json.loads(path.read_text())
    assert events == json.loads(json.dumps(raylite.timeline()))
    slices = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in slices].count("work") == 20
    assert [event["name"] for event in slices].count("fails") == 1
    rows = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    for event in slices:
        assert event["dur"] >= 0 and event["ts"] > 0
        assert event["tid"] in rows
        assert set(event) >= {"cat", "pid", "args"}
    assert all("pid" in name for name in rows.values())

    @raylite.remote
    def ask():
        return raylite.timeline()

    with pytest.raises(raylite.exceptions.RaySystemError, match="driver"):
        raylite.get(ask.remote())


def test_the_timeline_of_nothing(running):
    assert [event for event in raylite.timeline() if event["ph"] == "X"] == []


# ---- a runtime's life ----


def test_init_and_shutdown(leaves_nothing):
    assert not raylite.is_initialized()
    raylite.shutdown()
    for _ in range(3):
        raylite.init(num_cpus=1)
        assert raylite.is_initialized()
        assert raylite.get(context_of_task.remote())["namespace"] == "anonymous"
        raylite.shutdown()
        assert not raylite.is_initialized()
    raylite.shutdown()


def test_the_context_manager_ends_it(leaves_nothing):
    with raylite.init(num_cpus=1, namespace="n") as context:
        assert context["node_id"] == raylite.get_runtime_context().get_node_id()
        assert context["namespace"] == "n"
        assert context.address_info["mode"] == "embedded"
        assert context.dashboard_url == ""
    assert not raylite.is_initialized()
    with pytest.raises(KeyError), raylite.init(num_cpus=1):
        raise KeyError
    assert not raylite.is_initialized()
    raylite.init(num_cpus=1).disconnect()
    assert not raylite.is_initialized()


@pytest.mark.parametrize("first_call", ["f.remote(1)", "raylite.put(1)", "raylite.get([])"])
def test_the_first_call_starts_a_runtime(first_call):
    code = f"""
import raylite
@raylite.remote
def f(x): return x
assert not raylite.is_initialized()
{first_call}
assert raylite.is_initialized()
assert raylite.get(f.remote(2)) == 2
print("fine")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env=environment)
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def test_ids_of_sessions_differ(leaves_nothing):
    seen = set()
    for _ in range(2):
        with raylite.init(num_cpus=1):
            seen.add(raylite.put(0).hex())
    assert len(seen) == 2


# ---- what a task was given ----


def assigned():
    return raylite.get_runtime_context().get_assigned_resources()


@raylite.remote
class Assigned:
    def __init__(self):
        self.at_first = assigned()

    def twice(self):
        return self.at_first, assigned()


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, {"CPU": 1.0}),
        ({"num_cpus": 0}, {}),
        ({"num_cpus": 0.5, "resources": {"disk": 1.5}}, {"CPU": 0.5, "disk": 1.5}),
        ({"memory": 1 << 20}, {"CPU": 1.0, "memory": float(1 << 20)}),
    ],
    ids=str,
)
def test_a_task_knows_what_it_was_given(running, options, expected):
    assert raylite.get(raylite.remote(**{"num_cpus": 1, **options})(assigned).remote()) == expected


@pytest.mark.parametrize(
    "options, expected", [({}, {}), ({"num_cpus": 1}, {"CPU": 1.0}), ({"num_cpus": 0}, {})], ids=str
)
def test_an_actor_knows_what_it_was_given(running, options, expected):
    assert raylite.get(Assigned.options(**options).remote().twice.remote()) == (expected, expected)


def test_in_a_placement_group_it_is_told_by_the_usual_names(running):
    group = raylite.util.placement_group([{"CPU": 1, "disk": 1}])
    strategy = raylite.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, 0)
    task = raylite.remote(scheduling_strategy=strategy, resources={"disk": 0.5})(assigned)
    assert raylite.get(task.remote()) == {"CPU": 1.0, "disk": 0.5}


def test_the_driver_was_given_nothing(running):
    with pytest.raises(AssertionError, match="driver"):
        assigned()


# ---- ids ----


@pytest.mark.parametrize("kind, size", [("JobID", 4), ("NodeID", 16), ("TaskID", 16), ("WorkerID", 16)])
def test_ids(kind, size):
    cls = getattr(raylite, kind)
    one = cls(bytes(range(size)))
    assert (one.binary(), one.hex(), cls.size()) == (bytes(range(size)), bytes(range(size)).hex(), size)
    assert one == cls.from_hex(one.hex()) and hash(one) == hash(cls.from_hex(one.hex()))
    assert one != cls(bytes(size)) and one != one.binary()
    assert cls.nil().is_nil() and not one.is_nil()
    assert one.hex() in repr(one)
    for bad in (b"", bytes(size + 1), "x" * size, None):
        with pytest.raises(ValueError, match=kind):
            cls(bad)
    with pytest.raises(ValueError):
        cls.from_hex("zz")


def test_job_ids_are_numbers():
    assert raylite.JobID.from_int(5).int() == 5
