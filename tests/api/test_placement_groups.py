"""Placement groups with real processes: Ray's calls, for tasks and actors."""

from __future__ import annotations

import os
import pickle
import threading

import pytest

import raylite
from raylite.exceptions import (
    ActorDiedError,
    ActorPlacementGroupRemoved,
    RaySystemError,
    TaskPlacementGroupRemoved,
    WorkerCrashedError,
)
from raylite.util import placement_group, placement_group_table, remove_placement_group
from raylite.util.placement_group import (
    PlacementGroup,
    check_placement_group_index,
    get_current_placement_group,
    get_placement_group,
    validate_placement_group,
)
from raylite.util.scheduling_strategies import PlacementGroupSchedulingStrategy


@raylite.remote
def pid():
    return os.getpid()


@raylite.remote(num_cpus=0)
def current():
    return get_current_placement_group()


@raylite.remote(num_cpus=0)
def childs(**options):
    return raylite.get(current.options(**options).remote())


@raylite.remote
def wait_for(gate, tally):
    tally.add()
    gate.pass_through()


@raylite.remote
class Keeper:
    def group(self):
        return get_current_placement_group()

    def childs(self):
        return raylite.get(current.remote())

    def pid(self):
        return os.getpid()


@pytest.fixture
def four_cpus(leaves_nothing):
    raylite.init(num_cpus=4, num_gpus=0)
    yield raylite
    raylite.shutdown()


def inside(group, bundle=-1, captures=None):
    strategy = PlacementGroupSchedulingStrategy(
        group, placement_group_bundle_index=bundle, placement_group_capture_child_tasks=captures
    )
    return {"scheduling_strategy": strategy}


def free_cpus():
    return raylite.available_resources().get("CPU", 0)


# ---- making and looking ----


def test_a_group_is_ready_when_it_is_created(four_cpus):
    group = placement_group([{"CPU": 1}, {"CPU": 2}], name="mine")
    assert raylite.get(group.ready(), timeout=30) == group
    assert group.wait(0)
    assert free_cpus() == 1
    assert group.bundle_specs == [{"CPU": 1.0}, {"CPU": 2.0}]
    assert group.bundle_count == 2
    assert not group.is_empty
    row = placement_group_table(group)
    node = raylite.nodes()[0]["NodeID"]
    assert row == {
        "placement_group_id": group.id.hex(),
        "name": "mine",
        "bundles": {0: {"CPU": 1.0}, 1: {"CPU": 2.0}},
        "bundles_to_node_id": {0: node, 1: node},
        "strategy": "PACK",
        "state": "CREATED",
        "stats": {},
    }
    assert placement_group_table() == {group.id.hex(): row}
    assert raylite.cluster_resources()["CPU"] == 4
    assert not [name for name in raylite.cluster_resources() if "group" in name]
    assert raylite.available_resources()[f"CPU_group_1_{group.id.hex()}"] == 2


def test_custom_resources_may_have_group_in_their_name():
    with raylite.init(num_cpus=1, resources={"my_group_of_two": 2}):
        assert raylite.cluster_resources()["my_group_of_two"] == 2
        assert raylite.nodes()[0]["Resources"]["my_group_of_two"] == 2


def test_the_module_and_the_function_of_one_name():
    import raylite.util

    assert raylite.util.placement_group is placement_group
    assert raylite.util.remove_placement_group is remove_placement_group


def test_one_that_does_not_fit_is_not_ready(four_cpus):
    first = placement_group([{"CPU": 3}])
    second = placement_group([{"CPU": 3}])
    assert first.wait(30) and not second.wait(0.05)
    ready, waiting = raylite.wait([second.ready()], timeout=0.05)
    assert not ready and len(waiting) == 1
    assert placement_group_table(second)["state"] == "PENDING"
    remove_placement_group(first)
    assert second.wait(30)


def test_strict_spread_over_two_bundles_waits_on_one_node(four_cpus):
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert not group.wait(0.05)
    assert placement_group_table(group)["strategy"] == "STRICT_SPREAD"
    assert free_cpus() == 4
    assert placement_group([{"CPU": 1}], strategy="STRICT_SPREAD").wait(30)


def test_names(four_cpus):
    group = placement_group([{"CPU": 1}], name="mine", lifetime="detached")
    found = get_placement_group("mine")
    assert found == group and hash(found) == hash(group) and found.bundle_specs == [{"CPU": 1}]
    with pytest.raises(RaySystemError, match="name 'mine' already exists"):
        placement_group([{"CPU": 1}], name="mine")
    remove_placement_group(group)
    with pytest.raises(ValueError, match="Failed to look up placement group with name: mine"):
        get_placement_group("mine")
    assert placement_group([{"CPU": 1}], name="mine").wait(30)


def test_a_handle_travels(four_cpus):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    for copy in (pickle.loads(pickle.dumps(group)), PlacementGroup(group.id)):
        assert copy == group and copy.bundle_count == 2

    @raylite.remote(num_cpus=0)
    def use(handle):
        return raylite.get(current.options(**inside(handle, 1)).remote())

    assert raylite.get(use.remote(group)) == group


def test_a_group_made_by_a_task_outlives_it(four_cpus):
    @raylite.remote(num_cpus=0)
    def make():
        group = placement_group([{"CPU": 1}], name="of a task")
        group.wait(30)
        return group

    assert raylite.get(make.remote()) == get_placement_group("of a task")
    assert free_cpus() == 3


def test_a_task_that_runs_again_has_the_group_of_its_first_attempt(four_cpus, tally):
    @raylite.remote(num_cpus=0, max_retries=1)
    def make(removes):
        first = placement_group([{"CPU": 1}], name="" if removes else "of a task")
        assert first.wait(30)
        if removes:
            remove_placement_group(first)
        tally.add(first.id.hex())
        if len(tally) % 2:
            os.kill(os.getpid(), 9)
        return first

    kept = raylite.get(make.remote(False))
    assert tally.notes() == [kept.id.hex()] * 2
    assert free_cpus() == 3
    raylite.get(make.remote(True))
    third, fourth = tally.notes()[2:]
    assert third != fourth  # the first attempt's is gone
    assert free_cpus() == 3


def test_the_empty_group(four_cpus):
    empty = PlacementGroup.empty()
    assert empty.is_empty and empty.bundle_count == 0 and empty.wait(0)
    assert raylite.get(empty.ready()).is_empty
    assert raylite.get(current.options(placement_group=empty).remote()) is None


# ---- tasks and actors in it ----


@pytest.mark.parametrize("as_strategy", [True, False])
def test_tasks_run_in_it_by_strategy_or_by_option(four_cpus, as_strategy):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    options = inside(group, 1) if as_strategy else {"placement_group": group, "placement_group_bundle_index": 1}
    assert raylite.get(current.options(**options).remote()) == group
    assert raylite.get(current.remote()) is None
    assert get_current_placement_group() is None


def test_the_runtime_context_tells_of_the_group(four_cpus):
    @raylite.remote(num_cpus=0)
    def told():
        context = raylite.get_runtime_context()
        return (
            context.get_placement_group_id(),
            context.current_placement_group_id,
            context.should_capture_child_tasks_in_placement_group,
        )

    group = placement_group([{"CPU": 1}])
    assert raylite.get(told.options(**inside(group)).remote()) == (group.id.hex(), group.id, False)
    assert raylite.get(told.options(**inside(group, captures=True)).remote()) == (group.id.hex(), group.id, True)
    assert raylite.get(told.remote()) == (None, raylite.PlacementGroupID.nil(), False)
    assert raylite.get_runtime_context().get_placement_group_id() is None


def test_tasks_use_no_more_than_it_has(four_cpus, gate, tally, wait_until):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    refs = [wait_for.options(**inside(group)).remote(gate, tally) for _ in range(3)]
    wait_until(lambda: len(tally) == 2)
    assert raylite.get(pid.remote())  # the node has CPUs left, and they are not the group's
    ready, _ = raylite.wait(refs, num_returns=3, timeout=0.05)
    assert ready == [] and free_cpus() == 2
    assert len(tally) == 2
    gate.open()
    raylite.get(refs)


def test_children_go_into_the_group_if_it_captures_them(four_cpus):
    group = placement_group([{"CPU": 2}])
    assert raylite.get(childs.options(**inside(group)).remote()) is None
    captured = childs.options(**inside(group, captures=True))
    assert raylite.get(captured.remote()) == group
    assert raylite.get(captured.remote(placement_group=None)) is None
    assert raylite.get(captured.remote(scheduling_strategy="DEFAULT")) is None
    grandchild = raylite.remote(num_cpus=0)(lambda: raylite.get(childs.remote()))
    assert raylite.get(grandchild.options(**inside(group, captures=True)).remote()) == group


def test_actors_in_it(four_cpus):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    keepers = [Keeper.options(num_cpus=1, **inside(group, i, captures=True)).remote() for i in range(2)]
    assert raylite.get([keeper.group.remote() for keeper in keepers]) == [group, group]
    assert raylite.get(keepers[0].childs.remote()) == group
    third = Keeper.options(num_cpus=1, placement_group=group).remote()
    ready, _ = raylite.wait([third.pid.remote()], timeout=0.05)
    assert not ready
    raylite.kill(keepers[1])
    assert raylite.get(third.group.remote(), timeout=30) == group


def test_an_actor_that_holds_no_cpu_is_in_it_too(four_cpus):
    group = placement_group([{"CPU": 1}])
    keeper = Keeper.options(placement_group=group).remote()
    assert raylite.get(keeper.group.remote()) == group
    assert raylite.get(keeper.childs.remote()) is None
    assert raylite.get(pid.options(placement_group=group).remote())


# ---- removing ----


def test_what_waits_in_a_group_that_is_removed_fails(four_cpus, gate, tally, wait_until):
    group = placement_group([{"CPU": 1}])
    running = wait_for.options(max_retries=0, **inside(group)).remote(gate, tally)
    wait_until(lambda: len(tally) == 1)
    waiting = pid.options(**inside(group)).remote()
    actor = Keeper.options(placement_group=group).remote()
    call = actor.pid.remote()
    remove_placement_group(group)
    for ref, error in [
        (running, WorkerCrashedError),
        (waiting, TaskPlacementGroupRemoved),
        (call, ActorPlacementGroupRemoved),
        (group.ready(), TaskPlacementGroupRemoved),
        (pid.options(**inside(group)).remote(), TaskPlacementGroupRemoved),
    ]:
        with pytest.raises(error):
            raylite.get(ref, timeout=30)
    with pytest.raises(ValueError, match="has been removed"):
        group.wait(1)
    wait_until(lambda: free_cpus() == 4)
    assert placement_group_table(group)["state"] == "REMOVED"
    remove_placement_group(group)
    assert not [name for name in raylite.available_resources() if "group" in name]


def test_actors_in_a_group_that_is_removed_die_with_the_reason(four_cpus, wait_until):
    group = placement_group([{"CPU": 2}])
    keepers = [
        Keeper.options(num_cpus=1, max_restarts=-1, placement_group=group).remote(),
        Keeper.options(placement_group=group).remote(),
    ]
    pids = raylite.get([keeper.pid.remote() for keeper in keepers])
    remove_placement_group(group)
    for keeper in keepers:
        with pytest.raises(ActorDiedError, match="its placement group was removed"):
            raylite.get(keeper.pid.remote(), timeout=30)
    wait_until(lambda: free_cpus() == 4)
    wait_until(lambda: not any(os.path.exists(f"/proc/{each}") for each in pids))


def test_a_task_with_retries_fails_as_of_the_group(four_cpus, gate, tally, wait_until):
    group = placement_group([{"CPU": 1}])
    running = wait_for.options(max_retries=5, **inside(group)).remote(gate, tally)
    wait_until(lambda: len(tally) == 1)
    remove_placement_group(group)
    with pytest.raises(TaskPlacementGroupRemoved, match="has been removed"):
        raylite.get(running, timeout=30)


def test_many_groups_come_and_go(four_cpus):
    for i in range(200):
        group = placement_group([{"CPU": 2}, {"CPU": 2}])
        assert raylite.get(current.options(**inside(group, i % 2)).remote(), timeout=30) == group
        remove_placement_group(group)
    assert free_cpus() == 4


def test_many_threads_make_and_remove_groups_at_once(four_cpus, wait_until):
    failures = []

    def use():
        try:
            for _ in range(10):
                group = placement_group([{"CPU": 2}])
                assert raylite.get(current.options(**inside(group)).remote(), timeout=30) == group
                remove_placement_group(group)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    wait_until(lambda: free_cpus() == 4)


def test_gpus_of_a_bundle(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")

    @raylite.remote(num_cpus=0)
    def gpus():
        return raylite.get_gpu_ids()

    with raylite.init(num_cpus=1, num_gpus=2):
        group = placement_group([{"GPU": 1}, {"GPU": 1}])
        asked = [gpus.options(num_gpus=1, **inside(group, i)).remote() for i in (0, 1, 0, 1)]
        assert raylite.get(asked) == [[5], [7], [5], [7]]
        assert raylite.available_resources().get("GPU", 0) == 0


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bundles": []}, "non-empty list"),
        ({"bundles": {"CPU": 1}}, "non-empty list"),
        ({"bundles": [5]}, "A bundle is a dict"),
        ({"bundles": [{}]}, "empty or have only zeros"),
        ({"bundles": [{"CPU": 0}]}, "empty or have only zeros"),
        ({"bundles": [{"CPU": -1}]}, "it is negative"),
        ({"bundles": [{"CPU": "1"}]}, "'CPU' in the bundle"),
        ({"bundles": [{"GPU": 1.5}]}, "must be whole numbers"),
        ({"bundles": [{"bundle": 1}]}, "'bundle'"),
        ({"bundles": [{"CPU": 1}], "strategy": "CLOSE"}, "PACK, SPREAD, STRICT_PACK, STRICT_SPREAD"),
        ({"bundles": [{"CPU": 1}], "lifetime": "long"}, "either None or 'detached'"),
        ({"bundles": [{"CPU": 1}], "name": 5}, "must be a string"),
        ({"bundles": [{"CPU": 1}], "_soft_target_node_id": "ab"}, "only works with STRICT_PACK"),
        ({"bundles": [{"CPU": 1}], "topology_strategy": {}}, "topology_strategy is not supported"),
        ({"bundles": [{"CPU": 1}], "bundle_label_selector": [{}, {}]}, "a dict for each bundle"),
        ({"bundles": [{"CPU": 1}], "bundle_label_selector": [{"a b": "c"}]}, "bundle_label_selector"),
    ],
)
def test_wrong_arguments(four_cpus, arguments, text):
    with pytest.raises(ValueError, match=text):
        placement_group(**arguments)
    assert placement_group_table() == {}


def test_arguments_and_indices_can_be_checked_beforehand(four_cpus):
    assert validate_placement_group([{"CPU": 1}], "SPREAD", "detached", None, [{"zone": "a"}]) is True
    with pytest.raises(ValueError, match="STRICT_SPREAD"):
        validate_placement_group([{"CPU": 1}], "CLOSE")
    group = placement_group([{"CPU": 1}])
    check_placement_group_index(group, -1)
    check_placement_group_index(group, 0)
    with pytest.raises(ValueError, match="bundle index 1 is invalid"):
        check_placement_group_index(group, 1)
    with pytest.raises(ValueError, match="must be -1"):
        check_placement_group_index(PlacementGroup.empty(), 0)


def test_bundles_with_labels(leaves_nothing):
    with raylite.init(num_cpus=2, labels={"zone": "a"}):
        assert placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "in(a, b)"}]).wait(30)
        assert not placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "b"}]).wait(0.05)


def test_tasks_that_cannot_be_in_it_are_refused_at_the_call(four_cpus):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    for bundle in (2, -2):
        with pytest.raises(ValueError, match=f"bundle index {bundle} is invalid. Valid ones are 0 to 1"):
            pid.options(**inside(group, bundle)).remote()
    with pytest.raises(ValueError, match=r"Cannot schedule pid .*\{'CPU': 2.0\} cannot fit into any bundles"):
        pid.options(num_cpus=2, **inside(group)).remote()
    with pytest.raises(ValueError, match=r"Cannot schedule Keeper .*'widget'"):
        Keeper.options(resources={"widget": 1}, placement_group=group).remote()
    with pytest.raises(ValueError, match="the value of bundle index must be -1"):
        pid.options(placement_group_bundle_index=1).remote()
    with pytest.raises(TypeError, match="takes a PlacementGroup, not 5"):
        remove_placement_group(5)
    with pytest.raises(ValueError, match="a name that is not empty"):
        get_placement_group("")


def test_a_group_of_another_runtime_is_none_of_this_ones():
    with raylite.init(num_cpus=1):
        group = placement_group([{"CPU": 1}])
    with raylite.init(num_cpus=1):
        with pytest.raises(TaskPlacementGroupRemoved):
            raylite.get(pid.options(**inside(group)).remote(), timeout=30)
        with pytest.raises(ValueError, match="does not exist"):
            group.wait(0)


def test_in_the_simulator():
    with raylite.init(mode="sim", seed=5, num_cpus=4):
        group = placement_group([{"CPU": 1}, {"CPU": 2}])
        assert raylite.get(group.ready()) == group
        assert raylite.get(childs.options(**inside(group, captures=True)).remote()) == group
        waiting = placement_group([{"CPU": 3}])
        assert not waiting.wait(10)
        remove_placement_group(group)
        assert waiting.wait(10)
        with pytest.raises(TaskPlacementGroupRemoved):
            raylite.get(pid.options(**inside(group)).remote())
