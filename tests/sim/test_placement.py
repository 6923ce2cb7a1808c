"""Where tasks, actors and bundles go on several virtual nodes: strategies, labels, placement groups, queues that move."""

from __future__ import annotations

from random import Random

import pytest

import raylite
from raylite import sim
from raylite.exceptions import ActorUnschedulableError, TaskPlacementGroupRemoved, TaskUnschedulableError
from raylite.util import (
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from raylite.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

UNKNOWN = "0" * 31 + "1"


def cluster(*nodes, seed=1, **options):
    return sim.cluster(seed, list(nodes), **options)


def cpus(*amounts):
    return [sim.Node(num_cpus=amount) for amount in amounts]


@raylite.remote
def where(seconds=0.1):
    sim.cost(seconds)
    return raylite.get_runtime_context().get_node_id()


@raylite.remote
class Here:
    def where(self):
        return raylite.get_runtime_context().get_node_id()


def here():
    return raylite.get_runtime_context().get_node_id()


def on(node, soft=False):
    return NodeAffinitySchedulingStrategy(node, soft)


def others():
    """The ids of the nodes but this one, in no order."""
    return sorted(
        set(raylite.get([where.options(scheduling_strategy="SPREAD").remote() for _ in range(12)])) - {here()}
    )


# ---- strategies ----


def test_spread_uses_all_nodes_though_one_could_run_everything():
    with cluster(*cpus(8, 8, 8)):
        spread = raylite.get([where.options(scheduling_strategy="SPREAD").remote() for _ in range(6)])
        assert len(set(spread)) == 3
        assert set(raylite.get([where.remote(0.001) for _ in range(6)])) == {here()}
        actors = [Here.options(scheduling_strategy="SPREAD").remote() for _ in range(3)]
        assert len(set(raylite.get([actor.where.remote() for actor in actors]))) == 3


def test_affinity_runs_there_and_nowhere_else():
    with cluster(*cpus(2, 2, 2)):
        for node in (here(), *others()):
            there = [where.options(scheduling_strategy=on(node)).remote() for _ in range(5)]
            assert set(raylite.get(there)) == {node}
            actor = Here.options(scheduling_strategy=on(node, soft=True)).remote()
            assert raylite.get(actor.where.remote()) == node


def test_a_node_that_is_not_there_or_cannot_run_it_fails_what_must_run_there():
    with cluster(*cpus(2, 2)) as c:
        [other] = others()
        with pytest.raises(TaskUnschedulableError):
            raylite.get(where.options(scheduling_strategy=on(UNKNOWN)).remote())
        with pytest.raises(TaskUnschedulableError):
            raylite.get(where.options(scheduling_strategy=on(other), num_cpus=3).remote())
        assert raylite.get(where.options(scheduling_strategy=on(UNKNOWN, soft=True)).remote()) in (here(), other)
        c.kill_node(1)
        with pytest.raises(TaskUnschedulableError):
            raylite.get(where.options(scheduling_strategy=on(other)).remote())
        with pytest.raises(ActorUnschedulableError):
            raylite.get(Here.options(scheduling_strategy=on(other)).remote().where.remote())
        assert raylite.get(where.options(scheduling_strategy=on(other, soft=True)).remote()) == here()


def test_labels_choose_the_node():
    zones = [sim.Node(num_cpus=2, labels=labels) for labels in ({"zone": "a"}, {"zone": "b", "disk": "ssd"}, {})]
    with cluster(*zones) as c:
        ids = [c.session.nodes[number].id for number in range(3)]

        def at(hard, soft=None):
            strategy = NodeLabelSchedulingStrategy(hard, soft=soft)
            return {ids.index(each) for each in raylite.get([where.options(scheduling_strategy=strategy).remote()] * 2)}

        assert at({"zone": In("a")}) == {0}
        assert at({"zone": In("b", "c")}) == {1}
        assert at({"disk": Exists()}) == {1}
        assert at({"zone": DoesNotExist()}) == {2}
        assert at({"zone": NotIn("a", "b")}) == {2}
        assert at(None, {"disk": In("ssd")}) == {1}
        assert at({"zone": NotIn("b")}, {"zone": In("a")}) == {0}
        assert ids.index(raylite.get(where.options(label_selector={"zone": "!in(a, b)"}).remote())) == 2
        nowhere = where.options(scheduling_strategy=NodeLabelSchedulingStrategy({"zone": In("x")})).remote()
        assert raylite.wait([nowhere], timeout=5) == ([], [nowhere])


# ---- placement groups ----


def places(group):
    return list(placement_group_table(group)["bundles_to_node_id"].values())


def in_bundle(group, bundle=-1, **options):
    return where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, bundle), **options)


@pytest.mark.parametrize(
    ("strategy", "n_nodes"), [("PACK", 1), ("SPREAD", 3), ("STRICT_PACK", 1), ("STRICT_SPREAD", 3)]
)
def test_bundles_go_where_the_strategy_wants_and_tasks_follow(strategy, n_nodes):
    with cluster(*cpus(4, 4, 4)):
        group = placement_group([{"CPU": 1}] * 3, strategy)
        assert group.wait(10)
        nodes = places(group)
        assert len(set(nodes)) == n_nodes
        assert raylite.get([in_bundle(group, bundle).remote() for bundle in range(3)]) == nodes
        assert set(raylite.get([in_bundle(group).remote() for _ in range(9)])) == set(nodes)
        actor = Here.options(placement_group=group, placement_group_bundle_index=2, num_cpus=1).remote()
        assert raylite.get(actor.where.remote()) == nodes[2]


def test_a_group_waits_until_all_of_it_fits():
    with cluster(*cpus(2, 2)):
        first = placement_group([{"CPU": 2}], "STRICT_PACK")
        assert first.wait(10)
        second = placement_group([{"CPU": 2}, {"CPU": 2}], "STRICT_SPREAD")
        task = in_bundle(second, 1).remote()
        assert not second.wait(3) and raylite.wait([task], timeout=1)[0] == []
        free = raylite.get(where.options(num_cpus=2).remote())  # nothing of it is set aside meanwhile
        assert free not in places(first)
        remove_placement_group(first)
        assert second.wait(10) and raylite.get(task) == places(second)[1]


def test_removing_a_group_fails_what_waits_in_it_and_gives_back_all_nodes():
    with cluster(*cpus(2, 2)):
        group = placement_group([{"CPU": 2}, {"CPU": 2}], "STRICT_SPREAD")
        assert group.wait(10)
        runs = in_bundle(group, 1, num_cpus=2, max_retries=-1).remote(50)
        waits = in_bundle(group, 1, num_cpus=2).remote()
        raylite.wait([waits], timeout=1)
        remove_placement_group(group)
        for ref in (runs, waits):
            with pytest.raises(TaskPlacementGroupRemoved):
                raylite.get(ref)
        with pytest.raises(TaskPlacementGroupRemoved):
            raylite.get(in_bundle(group, 0).remote())
        assert len(set(raylite.get([where.options(num_cpus=2).remote(1) for _ in range(2)]))) == 2


@raylite.remote
def inside(group, bundle):
    """Of a group that this node may not know: its state, and where a task of it runs."""
    return here(), placement_group_table(group)["state"], raylite.get(in_bundle(group, bundle).remote())


@raylite.remote
def called(name):
    return get_placement_group(name)


@raylite.remote
def make_group():
    group = placement_group([{"CPU": 1}, {"CPU": 1}], "STRICT_SPREAD", name="mine")
    group.wait(10)
    return group


def test_a_group_is_known_wherever_its_handle_goes():
    with cluster(*cpus(2, 2, 2)):
        node = others()[0]
        group = placement_group([{"CPU": 1}], "STRICT_PACK")
        assert group.wait(10)
        assert raylite.get(inside.options(scheduling_strategy=on(node)).remote(group, 0)) == (
            node,
            "CREATED",
            places(group)[0],
        )
        theirs = raylite.get(make_group.options(scheduling_strategy=on(node)).remote())
        assert raylite.get([in_bundle(theirs, bundle).remote() for bundle in range(2)]) == places(theirs)
        assert get_placement_group("mine") == theirs
        assert raylite.get(called.options(scheduling_strategy=on(others()[1])).remote("mine")) == theirs
        remove_placement_group(theirs)
        with pytest.raises(TaskPlacementGroupRemoved):
            raylite.get(in_bundle(theirs, 1).remote())
        with pytest.raises(ValueError, match="Failed to look up"):
            get_placement_group("mine")


def test_children_are_captured_by_the_group_on_whichever_node():
    @raylite.remote
    def parent():
        return here(), raylite.get([where.remote() for _ in range(3)])

    with cluster(*cpus(1, 4, 1)):
        group = placement_group([{"CPU": 2}], "STRICT_PACK")
        strategy = PlacementGroupSchedulingStrategy(group, 0, placement_group_capture_child_tasks=True)
        node, children = raylite.get(parent.options(scheduling_strategy=strategy).remote())
        assert node != here() and set(children) == {node}


def test_a_bundle_whose_node_dies_is_placed_again_and_the_others_stay():
    with cluster(*cpus(1, 1, 1, 1)) as c:
        group = placement_group([{"CPU": 1}] * 3, "STRICT_SPREAD")
        assert group.wait(10)
        before = places(group)
        number = next(n for n in (1, 2, 3) if c.session.nodes[n].id in before)
        lost = before.index(c.session.nodes[number].id)
        actor = Here.options(
            placement_group=group, placement_group_bundle_index=lost, num_cpus=1, max_restarts=-1, max_task_retries=-1
        ).remote()
        assert raylite.get(actor.where.remote()) == before[lost]
        c.kill_node(number)
        tasks = [in_bundle(group, bundle).remote() for bundle in range(3) if bundle != lost]
        moved = raylite.get(actor.where.remote())
        after = places(group)
        assert after[lost] == moved != before[lost] and len(set(after)) == 3
        assert [node for bundle, node in enumerate(after) if bundle != lost] == raylite.get(tasks)
        assert placement_group_table(group)["state"] == "CREATED"


def test_a_group_that_lost_its_only_place_waits_for_another():
    with cluster(*cpus(1, 2)) as c:
        group = placement_group([{"CPU": 2}], "STRICT_PACK")
        assert group.wait(10)
        c.kill_node(1)
        task = in_bundle(group, 0, num_cpus=2).remote()
        assert raylite.wait([task], timeout=5)[0] == []
        assert placement_group_table(group)["state"] == "RESCHEDULING"
        c.restart_node(1)
        assert raylite.get(task) == c.session.nodes[1].id


def test_a_group_ends_with_the_node_that_made_it():
    with cluster(*cpus(2, 2)) as c:
        [node] = others()
        group = raylite.get(make_group.options(scheduling_strategy=on(node)).remote())
        assert raylite.get(in_bundle(group).remote()) in places(group)
        c.kill_node(1)
        with pytest.raises(TaskPlacementGroupRemoved):
            raylite.get(in_bundle(group, max_retries=-1).remote(5))
        assert raylite.get([where.options(num_cpus=2).remote()]) == [here()]


# ---- queues ----


def test_what_is_queued_moves_to_a_node_that_comes():
    with cluster(*cpus(1, 1, 1)) as c:
        c.kill_node(1)
        c.kill_node(2)
        raylite.get(where.remote(1.0))
        tasks = [where.remote(1.0) for _ in range(30)]
        raylite.wait(tasks, num_returns=2)
        start = c.now()
        c.restart_node(1)
        c.restart_node(2)
        nodes = raylite.get(tasks)
        assert len(set(nodes)) == 3 and c.now() - start < 16  # one node would take 28 seconds


# ---- under faults ----

RATES = {
    "node_crash": 0.002,
    "worker_crash": 0.01,
    "message_loss": 0.02,
    "message_duplication": 0.02,
    "message_delay": 0.02,
    "message_reordering": 0.02,
    "partition": 0.001,
}
STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


@raylite.remote(max_retries=-1)
def echo(value):
    sim.cost(0.2)
    return value


def random_groups(seed):
    """Groups made, used and removed, some at once; the values that came back, and those that should have."""
    rng = Random(seed)
    groups, values, expected = [], [], []
    for _ in range(4):
        n_bundles = rng.randint(1, 3)
        group = placement_group([{"CPU": 1}] * n_bundles, rng.choice(STRATEGIES))
        groups.append(group)
        for value in range(5):
            strategy = PlacementGroupSchedulingStrategy(group, rng.randrange(-1, n_bundles))
            values.append(echo.options(scheduling_strategy=strategy).remote(value))
            expected.append(value)
        values.append(echo.options(scheduling_strategy="SPREAD").remote(9))
        expected.append(9)
        if rng.random() < 0.5:
            values, got = [], raylite.get(values)
            assert got == expected
            expected = []
            remove_placement_group(groups.pop(rng.randrange(len(groups))))
    got = raylite.get(values)
    for group in groups:
        remove_placement_group(group)
    return got, expected


@pytest.mark.parametrize("seed", range(4))
def test_groups_come_out_right_and_leave_nothing_whatever_dies(seed):
    with cluster(*cpus(3, 3, 3), seed=seed, faults=sim.Faults(**RATES), faults_for_s=30.0) as c:
        got, expected = random_groups(seed)
        assert got == expected
        c.stop_faults()
        c.settle()
        for node in c.session.alive():
            resources = node.node.resources()
            assert not [name for name in resources if "_group_" in name]
            assert resources["CPU"] == (30_000, 30_000)
