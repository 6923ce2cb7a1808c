"""What the state API tells of a virtual cluster of several nodes."""

from __future__ import annotations

import pytest

import raylite
from raylite import sim
from raylite.util import placement_group, placement_group_table, remove_placement_group, state
from raylite.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from raylite.util.state.exception import RayStateApiException


def on(node):
    return NodeAffinitySchedulingStrategy(node, False)


def ids():
    return [node["NodeID"] for node in raylite.nodes()]


@raylite.remote
def where(seconds=0.1):
    sim.cost(seconds)
    return raylite.get_runtime_context().get_node_id()


@raylite.remote
def boom():
    raise ValueError("went wrong")


@raylite.remote
def parent(node):
    return raylite.get(where.options(scheduling_strategy=on(node)).remote())


@raylite.remote
class Counter:
    def add(self, x):
        return x


@pytest.fixture
def cluster():
    with sim.cluster(3, [sim.Node(num_cpus=2) for _ in range(3)]) as c:
        yield c


def test_tasks_of_all_nodes_are_listed_once_with_where_they_ran(cluster):
    nodes = ids()
    refs = [where.options(scheduling_strategy=on(node), name=f"on {i}").remote() for i, node in enumerate(nodes)]
    assert raylite.get(refs) == nodes
    raylite.get(parent.options(scheduling_strategy=on(nodes[1])).remote(nodes[2]))
    rows = state.list_tasks(detail=True)
    assert [row.name for row in rows] == ["on 0", "on 1", "on 2", "parent", "where"]
    assert [row.node_id for row in rows] == [*nodes, nodes[1], nodes[2]]
    assert {row.state for row in rows} == {"FINISHED"}
    assert all(row.worker_id and row.worker_pid and row.start_time_ms for row in rows)
    assert rows[4].parent_task_id == rows[3].task_id
    assert state.get_task(refs[2]) == rows[2]


def test_tasks_that_run_and_wait_elsewhere(cluster):
    nodes = ids()
    running = where.options(scheduling_strategy=on(nodes[1]), name="running").remote(60.0)
    nowhere = where.options(num_gpus=1, name="nowhere").remote()
    raylite.wait([running, nowhere], timeout=5)
    states = {row.name: (row.state, row.node_id) for row in state.list_tasks()}
    assert states == {"running": ("RUNNING", nodes[1]), "nowhere": ("PENDING_NODE_ASSIGNMENT", None)}
    assert [row.name for row in state.list_tasks(filters=[("state", "=", "RUNNING")])] == ["running"]
    assert [row.name for row in state.list_tasks(filters=[("node_id", "=", nodes[1])])] == ["running"]


def test_limits_and_summaries_count_the_whole_cluster(cluster):
    nodes = ids()
    refs = [where.options(scheduling_strategy=on(nodes[i % 3])).remote() for i in range(30)]
    raylite.get(refs)
    raylite.wait([boom.options(scheduling_strategy=on(nodes[2])).remote()])
    assert len(state.list_tasks()) == 31
    assert [row.name for row in state.list_tasks(limit=2)] == ["where", "boom"]
    assert state.list_tasks(limit=1)[0].error_type == "TASK_EXECUTION_EXCEPTION"
    summary = state.summarize_tasks()["cluster"]
    assert summary["summary"]["where"]["state_counts"] == {"FINISHED": 30}
    assert summary["summary"]["boom"]["state_counts"] == {"FAILED": 1}


def test_actors_are_where_they_run(cluster):
    nodes = ids()
    actors = [Counter.options(scheduling_strategy=on(node), name=f"a{i}").remote() for i, node in enumerate(nodes)]
    assert raylite.get([actor.add.remote(1) for actor in actors]) == [1, 1, 1]
    raylite.kill(actors[1])
    with pytest.raises(raylite.exceptions.RayActorError):
        raylite.get(actors[1].add.remote(1))
    rows = state.list_actors()
    assert [(row.name, row.class_name) for row in rows] == [(f"a{i}", "Counter") for i in range(3)]
    assert [row.state for row in rows] == ["ALIVE", "DEAD", "ALIVE"]
    assert [row.node_id for row in rows] == [nodes[0], None, nodes[2]]
    assert state.get_actor(actors[2]._actor_id.hex()).node_id == nodes[2]
    assert state.summarize_actors()["cluster"]["summary"]["Counter"]["state_counts"] == {"ALIVE": 2, "DEAD": 1}


def test_objects_and_workers_of_all_nodes(cluster):
    nodes = ids()
    ref = where.options(scheduling_strategy=on(nodes[2])).remote()
    raylite.get(ref)
    [row] = state.get_objects(ref)
    assert (row.task_status, row.reference_type, row.type) == ("FINISHED", "LOCAL_REFERENCE", "DRIVER")
    assert [row.object_id for row in state.list_objects()].count(ref.hex()) == 1
    workers = state.list_workers()
    assert {row.node_id for row in workers} >= {nodes[0], nodes[2]}
    for row in workers:
        assert state.get_worker(row.worker_id).node_id == row.node_id


def test_placement_groups_of_all_nodes(cluster):
    nodes = ids()

    @raylite.remote
    def make():
        group = placement_group([{"CPU": 1}], name="theirs", lifetime="detached")
        raylite.get(group.ready())
        return group

    mine = placement_group([{"CPU": 1}] * 2, "STRICT_SPREAD", name="mine")
    raylite.get(mine.ready())
    theirs = raylite.get(make.options(scheduling_strategy=on(nodes[1])).remote())
    table = placement_group_table()
    assert {row["name"]: row["state"] for row in table.values()} == {"mine": "CREATED", "theirs": "CREATED"}
    rows = {row.name: row for row in state.list_placement_groups(detail=True)}
    assert [bundle["node_id"] for bundle in rows["theirs"].bundles] == [table[theirs.id.hex()]["bundles_to_node_id"][0]]
    assert len({bundle["node_id"] for bundle in rows["mine"].bundles}) == 2
    assert rows["theirs"].is_detached and not rows["mine"].is_detached
    remove_placement_group(theirs)


def test_nodes_that_are_down_are_left_out(cluster):
    nodes = ids()
    raylite.get([where.options(scheduling_strategy=on(node), name=node).remote() for node in nodes])
    cluster.kill_node(2)
    raylite.get(where.options(scheduling_strategy=on(nodes[1])).remote(20.0))  # until everybody knows
    rows = {row.name: row for row in state.list_tasks()}
    assert {nodes[0], nodes[1]} <= set(rows)
    assert {row.node_id for row in state.list_workers()} == {nodes[0], nodes[1]}


def test_a_node_that_dies_while_it_is_asked_is_an_error_or_a_warning(cluster):
    nodes = ids()
    raylite.get([where.options(scheduling_strategy=on(node), name=node).remote() for node in nodes])
    cluster.partition({2})
    with pytest.raises(RayStateApiException, match="1 of 3 nodes died"):
        state.list_tasks()


def test_a_warning_is_enough_for_who_wants_what_there_is(cluster):
    nodes = ids()
    raylite.get([where.options(scheduling_strategy=on(node), name=node).remote() for node in nodes])
    cluster.partition({2})
    with pytest.warns(UserWarning, match="1 of 3 nodes died"):
        rows = state.list_tasks(raise_on_missing_output=False)
    assert {nodes[0], nodes[1]} <= {row.name for row in rows}


def test_a_task_in_the_cluster_sees_it_whole(cluster):
    nodes = ids()

    @raylite.remote
    def names():
        return sorted(row.name for row in state.list_tasks())

    raylite.get(where.options(scheduling_strategy=on(nodes[2])).remote())
    assert raylite.get(names.options(scheduling_strategy=on(nodes[1])).remote()) == ["names", "where"]


def test_the_graph_is_of_the_whole_cluster(cluster):
    nodes = ids()
    raylite.get(parent.options(scheduling_strategy=on(nodes[1])).remote(nodes[2]))
    graph = state.task_graph()
    assert sorted(node.name for node in graph.nodes.values() if node.kind == "task") == ["parent", "where"]


def test_two_runs_list_the_same():
    def program():
        raylite.get([where.remote(0.5) for _ in range(12)])
        return [(row.name, row.node_id) for row in state.list_tasks()], len(state.list_workers())

    found = [sim.run(program, seed=5, nodes=[sim.Node(num_cpus=1) for _ in range(3)]).value for _ in range(2)]
    assert found[0] == found[1]
    assert len(found[0][0]) == 12
