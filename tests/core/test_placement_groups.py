"""Placement groups on one node: reserved whole or not at all, used by their tasks only, given back when they go."""

from __future__ import annotations

import pytest

from raylite._core.rng import Random
from tests.core import protocol as p
from tests.core.host import DRIVER, OTHER
from tests.core.test_resources import available

CREATED = ["ready for 1 []"]
IMPOSSIBLE = "warn: A placement group cannot be placed: "


@pytest.fixture
def host(make_host):
    return make_host({"CPU": 4, "GPU": 2, "x": 1})


def plain(host):
    """What is available of the node's own resources."""
    return {name: amount for name, amount in available(host).items() if "_group_" not in name}


def states(host):
    return {name: row.state for name, row in host.groups().items()}


def names_of_groups(host):
    return [name for name in host.node.resources() if "_group_" in name]


# ---- making ----


def test_a_group_takes_its_bundles_from_the_node(host):
    assert host.group("g", {"CPU": 1}, {"CPU": 2, "x": 0.5}) == CREATED
    assert plain(host) == {"CPU": 1, "GPU": 2, "memory": 0, "x": 0.5}
    [row] = host.groups().values()
    assert (row.state, row.strategy, row.name, row.detached) == (p.GROUP_CREATED, p.GROUP_PACK, "", 0)
    assert row.bundles == [{"CPU": 10000}, {"CPU": 20000, "x": 5000}]


def test_what_it_has_is_listed_by_bundle_and_as_a_whole(host):
    host.group("g", {"CPU": 1}, {"CPU": 2})
    hexadecimal = host.object("g")[:16].hex()
    assert {name: total / p.UNIT for name, (total, _) in host.node.resources().items() if "_group_" in name} == {
        f"bundle_group_{hexadecimal}": 2000,
        f"bundle_group_0_{hexadecimal}": 1000,
        f"bundle_group_1_{hexadecimal}": 1000,
        f"CPU_group_{hexadecimal}": 3,
        f"CPU_group_0_{hexadecimal}": 1,
        f"CPU_group_1_{hexadecimal}": 2,
    }


def test_it_is_all_bundles_or_none(host):
    host.submit("a", needs={"CPU": 2})
    assert host.group("g", {"CPU": 2}, {"CPU": 1}) == CREATED
    assert states(host) == {"g": p.GROUP_PENDING}
    assert plain(host)["CPU"] == 2
    host.finish("a")
    assert states(host) == {"g": p.GROUP_CREATED}
    assert plain(host)["CPU"] == 1


def test_those_that_wait_are_created_in_order(host):
    host.submit("a", needs={"CPU": 4})
    host.group("first", {"CPU": 3})
    host.group("second", {"CPU": 3})
    host.group("third", {"CPU": 1})
    host.finish("a")
    assert states(host) == {"first": p.GROUP_CREATED, "second": p.GROUP_PENDING, "third": p.GROUP_CREATED}
    host.ungroup("first")
    assert states(host)["second"] == p.GROUP_CREATED


def tries_of(host, events):
    """How often it is tried to create a group meanwhile."""
    before = host.node.group_tries()
    events()
    return host.node.group_tries() - before


MANY = 40


@pytest.mark.parametrize("needs", [{"CPU": 3}, {"x": 2}, {"CPU": 1, "x": 2}, {"GPU": 2}], ids=str)
def test_those_that_wait_cost_nothing_while_nothing_that_would_do_is_freed(host, needs):
    """Tasks come and go, on what is too little."""
    host.submit("long", needs={"CPU": 2, "GPU": 1})
    for i in range(MANY):
        host.group(f"g{i}", needs)

    def tasks():
        for i in range(20):
            host.submit(f"t{i}", needs={"CPU": 1})
            host.finish(f"t{i}")

    assert tries_of(host, tasks) <= (MANY if len(needs) == 2 else 0)  # those that lacked the CPU first, once
    assert tries_of(host, tasks) == 0


def test_each_is_tried_once_to_be_created(host):
    host.submit("long", needs={"CPU": 4})
    for i in range(MANY):
        host.group(f"g{i}", {"CPU": 1 + i % 4, "x": 0.001})
    assert tries_of(host, lambda: host.finish("long")) == 3
    assert {name for name, state in states(host).items() if state == p.GROUP_CREATED} == {"g0", "g1", "g4"}
    for i, created in ((0, "g8"), (4, "g12"), (8, "g16")):
        assert tries_of(host, lambda i=i: host.ungroup(f"g{i}")) == 1
        assert states(host)[created] == p.GROUP_CREATED


def test_a_gpu_that_is_whole_again_is_noticed(host):
    """As much of them is available as before."""
    host.submit("a", needs={"GPU": 0.5})
    host.submit("b", needs={"GPU": 0.6})
    host.group("g", {"GPU": 1})
    assert states(host) == {"g": p.GROUP_PENDING}
    host.submit("c", needs={"GPU": 0.4})
    assert available(host)["GPU"] == 0.5
    host.finish("a")
    assert states(host) == {"g": p.GROUP_CREATED}


@pytest.mark.parametrize("seed", range(5))
def test_at_no_time_does_one_wait_that_would_fit(host, seed):
    """Groups and tasks come and go."""
    random = Random(seed)
    groups, tasks = [], []
    for i in range(120):
        kind = random.below(4)
        needs = {name: 1 + random.below(most) for name, most in (("CPU", 4), ("GPU", 2), ("x", 1)) if random.below(2)}
        needs = {name: amount / 2 if random.below(3) == 0 and amount == 1 else amount for name, amount in needs.items()}
        if kind == 0 and needs:
            groups.append(f"g{i}")
            host.group(f"g{i}", *({name: amount} for name, amount in needs.items()))
        elif kind == 1:
            tasks.append(f"t{i}")
            host.submit(f"t{i}", needs=needs)
        elif kind == 2 and groups:
            host.ungroup(groups.pop(random.below(len(groups))))
        elif kind == 3 and any(task in host.runs for task in tasks):
            running = [task for task in tasks if task in host.runs]
            task = running[random.below(len(running))]
            tasks.remove(task)
            host.finish(task)
        assert_none_fits(host)
        host.node.check_invariants()


def assert_none_fits(host):
    free = plain(host)
    for name, row in host.groups().items():
        if row.state == p.GROUP_PENDING:
            wants = {}
            for bundle in row.bundles:
                for resource, amount in bundle.items():
                    wants[resource] = wants.get(resource, 0) + amount / p.UNIT
            fits = all(amount <= free[resource] for resource, amount in wants.items())
            assert not fits or "GPU" in wants, name  # whole GPUs may be free in pieces


def test_it_comes_before_tasks_that_wait_for_the_same(host):
    host.submit("a", needs={"CPU": 4})
    host.submit("b", needs={"CPU": 4})
    host.group("g", {"CPU": 1})
    assert host.finish("a") == []
    assert states(host) == {"g": p.GROUP_CREATED}
    assert host.ungroup("g") == ["run b on 2"]


@pytest.mark.parametrize("strategy", [p.GROUP_PACK, p.GROUP_SPREAD, p.GROUP_STRICT_PACK])
def test_strategies_that_one_node_can_meet(host, strategy):
    host.group("g", {"CPU": 1}, {"CPU": 1}, strategy=strategy)
    assert states(host) == {"g": p.GROUP_CREATED}


def test_strict_spread_is_for_one_bundle_on_one_node(host):
    assert host.group("one", {"CPU": 1}, strategy=p.GROUP_STRICT_SPREAD) == CREATED
    said = host.group("two", {"CPU": 1}, {"CPU": 1}, strategy=p.GROUP_STRICT_SPREAD)
    assert said[0].startswith(IMPOSSIBLE + "STRICT_SPREAD wants a node for each bundle")
    assert states(host) == {"one": p.GROUP_CREATED, "two": p.GROUP_PENDING}


def test_one_that_asks_for_more_than_there_is_waits_and_says_so(host):
    [warning, answer] = host.group("g", {"CPU": 3}, {"CPU": 2}, strategy=p.GROUP_STRICT_PACK)
    assert warning.startswith(IMPOSSIBLE + "its bundles ask for more than there is")
    assert [answer] == CREATED
    assert states(host) == {"g": p.GROUP_PENDING}
    assert host.group("h", {"widget": 1})[0].startswith(IMPOSSIBLE)


def test_a_repetition_is_the_same_group(host):
    assert host.group("g", {"CPU": 1}) == host.group("g", {"CPU": 1}) == CREATED
    assert plain(host)["CPU"] == 3


def test_an_id_is_one_groups_for_good(host):
    host.group("g", {"CPU": 1})
    assert host.group("g", {"CPU": 2}) == ["ready for 1! []"]
    assert host.last(p.CMD_READY).aux == p.GROUP_ID_TAKEN
    for other in ({"strategy": p.GROUP_SPREAD}, {"name": "a name"}):
        assert host.group("g", {"CPU": 1}, **other) == ["ready for 1! []"]
    assert host.group("g", {"CPU": 1}, {"CPU": 1}) == ["ready for 1! []"]
    assert plain(host)["CPU"] == 3
    host.ungroup("g")
    assert host.group("g", {"CPU": 1}) == ["ready for 1! []"]
    assert states(host) == {"g": p.GROUP_GONE}


def test_a_name_is_one_groups_while_that_is_there(host):
    assert host.group("g", {"CPU": 1}, name="space\x1fname") == CREATED
    assert host.group("h", {"CPU": 1}, name="space\x1fname") == ["ready for 1! []"]
    assert host.last(p.CMD_READY).aux == p.GROUP_NAME_TAKEN
    assert host.group("i", {"CPU": 1}, name="other\x1fname") == CREATED
    assert host.group("g", {"CPU": 1}, name="space\x1fname") == CREATED
    host.ungroup("g")
    assert host.group("h", {"CPU": 1}, name="space\x1fname") == CREATED
    assert {name: row.name for name, row in host.groups().items()} == {
        "g": "space\x1fname",
        "h": "space\x1fname",
        "i": "other\x1fname",
    }


def test_one_group_alone_can_be_asked_for(host):
    host.group("g", {"CPU": 1})
    host.group("h", {"CPU": 1})
    for name, found in (("h", ["h"]), ("never", [])):
        host.send(p.EV_GROUPS, DRIVER, request=1, object=host.object(name))
        assert [host.names[row.id] for row in p.read_groups(host.commands[0].payload)] == found


# ---- tasks in it ----


def test_a_task_takes_from_its_bundle_and_not_from_the_node(host):
    host.group("g", {"CPU": 1}, {"CPU": 2})
    assert host.submit("a", group="g", bundle=1) == ["spawn 2", "run a on 2"]
    assert host.run_of("a").group == host.object("g")[:16]
    assert plain(host)["CPU"] == 1
    assert host.submit("b", group="g", bundle=1) == ["spawn 3", "run b on 3"]
    assert host.submit("c", group="g", bundle=1) == []
    assert host.submit("d", group="g", bundle=0) == ["spawn 4", "run d on 4"]
    assert host.submit("e") == ["spawn 5", "run e on 5"]
    assert host.submit("f") == []
    assert host.finish("e") == ["run f on 5"]
    assert host.finish("d") == []
    assert host.finish("a") == ["run c on 2"]


def test_any_bundle_means_what_the_group_has(host):
    host.group("g", {"CPU": 1}, {"CPU": 1})
    host.submit("a", group="g")
    host.submit("b", group="g")
    assert host.submit("c", group="g", bundle=0) == []
    assert host.submit("d", group="g") == []
    assert host.finish("b") == ["run c on 3"]
    assert host.finish("c") == ["run d on 3"]


def test_tasks_wait_for_their_group(host):
    host.submit("a", needs={"CPU": 4})
    host.group("g", {"CPU": 1})
    assert host.submit("b", group="g") == []
    assert host.submit("nothing", group="g", needs={}) == []
    assert host.finish("a") == ["run b on 2", "spawn 3", "run nothing on 3"]


def test_a_task_that_waits_lends_the_cpu_of_its_bundle(host):
    host.group("g", {"CPU": 1})
    host.submit("a", group="g", bundle=0)
    host.attach(2)
    host.submit("b", client=2, parent="a", group="g")
    said = host.get("b", client=2, task="a", flags=p.GET_LENDS)
    assert "run b on 3" in said
    assert plain(host)["CPU"] == 3
    host.finish("b")
    assert host.story_of("a")[-2:] == ["BLOCKED", "RUNNING"]


def test_a_task_that_no_bundle_holds_waits(host):
    host.group("g", {"CPU": 1})
    assert host.submit("a", group="g", bundle=0, needs={"CPU": 2}) == []
    assert host.submit("b", group="g", bundle=7, needs={"CPU": 1}) == []
    assert host.submit("c", group="g", needs={"GPU": 1}) == []
    host.ungroup("g")
    assert host.get("a", "b", "c") == ["1 gets a: ungrouped!", "1 gets b: ungrouped!", "1 gets c: ungrouped!"]


def test_capturing_is_said_with_the_run(host):
    host.group("g", {"CPU": 2})
    host.submit("a", group="g", demand_flags=p.DEMAND_CAPTURES)
    assert host.last(p.CMD_RUN).flags & p.RUN_CAPTURES
    host.submit("b", group="g")
    assert not host.last(p.CMD_RUN).flags & p.RUN_CAPTURES


# ---- GPUs ----


def test_a_bundle_has_gpus_of_its_own(host):
    host.submit("plain", needs={"GPU": 1})
    host.group("g", {"GPU": 1, "CPU": 1})
    assert host.submit("other", needs={"GPU": 1}) == []
    assert host.submit("a", group="g", bundle=0, needs={"GPU": 1})[-1] == "run a on 3 gpus 1"
    assert host.submit("b", group="g", bundle=0, needs={"GPU": 0.5}) == []
    assert host.finish("a") == ["run b on 3 gpus 1"]
    assert host.finish("plain") == ["run other on 2 gpus 0"]


def test_fractions_of_a_bundles_gpu(host):
    host.group("g", {"GPU": 0.5}, {"GPU": 0.5})
    assert available(host)["GPU"] == 1
    assert host.submit("a", group="g", bundle=0, needs={"GPU": 0.5})[-1] == "run a on 2 gpus 0"
    assert host.submit("b", group="g", bundle=0, needs={"GPU": 0.25}) == []
    assert host.submit("c", group="g", bundle=1, needs={"GPU": 0.25})[-1] == "run c on 3 gpus 0"
    assert host.submit("d", needs={"GPU": 1})[-1] == "run d on 4 gpus 1"
    host.finish("a")
    host.node.check_invariants()


def test_bundles_of_whole_gpus_do_not_share_one(host):
    host.group("g", {"GPU": 1}, {"GPU": 1})
    first = host.submit("a", group="g", bundle=0, needs={"GPU": 1})[-1]
    second = host.submit("b", group="g", bundle=1, needs={"GPU": 1})[-1]
    assert (first, second) == ("run a on 2 gpus 0", "run b on 3 gpus 1")
    host.finish("a")
    host.finish("b")
    assert host.submit("c", group="g", needs={"GPU": 2})[-1] == "run c on 4 gpus 0,1"


def test_any_bundles_gpu_is_its_bundles_no_more(host):
    host.group("g", {"GPU": 1}, {"GPU": 1})
    assert host.submit("a", group="g", needs={"GPU": 1})[-1] == "run a on 2 gpus 0"
    assert host.submit("b", group="g", bundle=0, needs={"GPU": 1}) == []
    assert host.submit("c", group="g", bundle=1, needs={"GPU": 0.5})[-1] == "run c on 3 gpus 1"
    assert host.submit("d", group="g", needs={"GPU": 1}) == []
    assert host.finish("a") == ["run b on 2 gpus 0"]


def test_gpus_come_back_with_the_group(host):
    host.group("g", {"GPU": 1}, {"GPU": 0.5})
    assert host.submit("a", needs={"GPU": 2}) == []
    assert host.ungroup("g")[-1] == "run a on 2 gpus 0,1"


# ---- removing ----


def test_a_group_that_is_removed_gives_everything_back(host):
    host.group("g", {"CPU": 1}, {"CPU": 2, "x": 0.5})
    assert host.ungroup("g") == []
    assert plain(host) == {"CPU": 4, "GPU": 2, "memory": 0, "x": 1}
    assert names_of_groups(host) == []
    assert states(host) == {"g": p.GROUP_GONE}
    assert host.ungroup("g") == []
    assert host.ungroup("never") == []


def test_one_that_waits_can_be_removed(host):
    host.submit("a", needs={"CPU": 4})
    host.group("g", {"CPU": 1})
    host.submit("b", group="g")
    host.ungroup("g")
    assert host.get("b") == ["1 gets b: ungrouped!"]
    host.finish("a")
    assert plain(host)["CPU"] == 4
    assert names_of_groups(host) == []


def test_tasks_that_wait_fail(host):
    host.group("g", {"CPU": 1})
    host.submit("running", group="g")
    host.submit("waiting", group="g")
    host.get("waiting")
    assert host.ungroup("g") == ["kill 2", "1 gets waiting: ungrouped!"]


def test_tasks_that_wait_for_arguments_fail_when_those_are_there(host):
    host.group("g", {"CPU": 1})
    host.submit("a")
    host.submit("b", refs=["a"], group="g")
    host.ungroup("g")
    host.get("b")
    assert host.finish("a") == ["1 gets b: ungrouped!"]


def test_tasks_that_run_lose_their_worker_and_fail_as_of_that(host):
    host.group("g", {"CPU": 1})
    host.submit("a", group="g", max_retries=0)
    host.attach(2)
    assert host.ungroup("g") == ["kill 2"]
    assert plain(host)["CPU"] == 3  # until it has ended
    assert states(host) == {"g": p.GROUP_LEAVING}
    host.get("a")
    assert host.detach(2, started=1) == ["1 gets a: crashed!"]
    assert plain(host)["CPU"] == 4
    assert states(host) == {"g": p.GROUP_GONE}


def test_tasks_that_would_be_tried_again_fail_as_of_the_group(host):
    host.group("g", {"CPU": 1})
    host.submit("a", group="g", max_retries=3)
    host.attach(2)
    host.get("a")
    host.ungroup("g")
    assert host.detach(2, started=1) == ["1 gets a: ungrouped!"]


def test_what_a_worker_has_not_begun_fails_too(host):
    host.group("g", {"CPU": 1})
    host.submit("long", group="g")
    host.attach(2)
    host.finish("long", runtime_ns=1000)
    host.submit("a", group="g")
    assert host.submit("queued", group="g") == ["run queued on 2"]
    host.get("queued")
    assert host.ungroup("g") == ["recall 2", "kill 2"]
    assert "1 gets queued: ungrouped!" in host.detach(2, started=2)


def test_nothing_new_begins_in_a_group_that_is_leaving(host):
    host.group("g", {"CPU": 2})
    host.submit("a", group="g")
    host.attach(2)
    host.ungroup("g")
    assert states(host) == {"g": p.GROUP_LEAVING}
    assert host.submit("as before", group="g") == []
    assert host.submit("otherwise", group="g", needs={}) == []
    assert host.get("as before", "otherwise") == ["1 gets as before: ungrouped!", "1 gets otherwise: ungrouped!"]


def test_others_are_left_alone(host):
    host.group("g", {"CPU": 1})
    host.group("h", {"CPU": 1})
    host.submit("a", group="h")
    host.submit("b")
    host.submit("c", group="h")
    assert host.ungroup("g") == []
    assert host.finish("a") == ["run c on 2"]


def test_tasks_for_a_group_that_is_gone_or_never_was_fail(host):
    host.group("g", {"CPU": 1})
    host.ungroup("g")
    host.submit("a", group="g", bundle=0)
    host.submit("b", group="never")
    host.submit("c", group="g", refs=["b"])
    assert host.get("a", "b", "c") == ["1 gets a: ungrouped!", "1 gets b: ungrouped!", "1 gets c: ungrouped!"]


def test_a_result_that_is_lost_cannot_be_made_again_without_the_group(host):
    host.group("g", {"CPU": 1})
    host.submit("a", group="g")
    host.finish("a", host.in_arena(100, client=2))
    host.ungroup("g")
    host.get("a")
    host.lose("a")
    assert host.get("a") == ["1 gets a: ungrouped!"]


def test_the_driver_takes_its_groups_along(host):
    host.attach(OTHER, p.CLIENT_DRIVER)
    host.group("mine", {"CPU": 1})
    host.group("theirs", {"CPU": 1}, client=OTHER)
    host.group("detached", {"CPU": 1}, client=OTHER, flags=p.GROUP_DETACHED)
    for i in range(1100):  # more than are remembered
        host.group(f"gone {i}", {"x": 1}, client=OTHER)
        if i % 2:
            host.ungroup(f"gone {i}")
    host.detach(OTHER)
    assert {name: state for name, state in states(host).items() if "gone" not in name} == {
        "mine": p.GROUP_CREATED,
        "theirs": p.GROUP_GONE,
        "detached": p.GROUP_CREATED,
    }
    assert len(host.groups()) == 1002


def test_a_worker_does_not(host):
    host.submit("a")
    host.attach(2)
    host.group("g", {"CPU": 1}, client=2)
    host.detach(2, started=1)
    assert states(host) == {"g": p.GROUP_CREATED}


# ---- many ----


def test_numbers_of_names_and_shapes_are_used_again(host):
    """Thousands of groups, each used: the tables stay as small as for one."""
    n_names = []
    for i in range(3000):
        group = f"g{i}"
        host.group(group, {"CPU": 1}, {"CPU": 1})
        host.submit(f"a{i}", group=group, bundle=i % 2)
        host.finish(f"a{i}")
        host.release(f"a{i}")
        host.ungroup(group)
        n_names.append(len(host.node.resources()))
    assert max(n_names[10:]) == max(n_names[:10])
    assert host.node.table_sizes()["shapes"] < 300
    assert host.node.table_sizes()["names"] < 30
    assert len(host.groups()) == 1000  # remembered
    assert plain(host)["CPU"] == 4


def test_shapes_in_use_are_not_used_again(host):
    """A task of a doomed shape waits for an argument while many others come and go."""
    host.submit("argument")
    host.group("g", {"CPU": 1})
    host.submit("waits", refs=["argument"], group="g")
    host.ungroup("g")
    for i in range(300):
        host.group(f"g{i}", {"CPU": 1})
        host.submit(f"a{i}", group=f"g{i}")
        host.finish(f"a{i}")
        host.ungroup(f"g{i}")
    host.get("waits")
    assert host.finish("argument") == ["1 gets waits: ungrouped!"]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_the_tables_agree_and_everything_comes_back(make_host, seed):
    """The node checks its tables against each other after every event."""
    random = Random(seed)
    host = make_host({"CPU": 4, "GPU": 2, "x": 1}, worker_cap=8)
    groups, n_tasks = [], 0
    amounts = [{"CPU": 1}, {"CPU": 2}, {"GPU": 1}, {"GPU": 0.5, "CPU": 1}, {"x": 1}, {"CPU": 1, "x": 0.25}, {}]
    for _ in range(300):
        act = random.below(10)
        if act == 0 or not groups:
            groups.append(f"g{len(groups)}")
            bundles = [amounts[random.below(6)] for _ in range(1 + random.below(3))]
            host.group(groups[-1], *bundles, strategy=random.below(4))
        elif act == 1:
            host.ungroup(groups[random.below(len(groups))])
        elif act < 6:
            group = groups[max(len(groups) - 1 - random.below(4), 0)] if random.below(4) else ""
            refs = [f"t{random.below(n_tasks)}"] if n_tasks and random.below(3) == 0 else []
            host.submit(f"t{n_tasks}", group=group, bundle=random.below(3) - 1, needs=amounts[random.below(7)], refs=refs,
                        max_retries=random.below(2))  # fmt: skip
            n_tasks += 1
        elif act < 9:
            finish_any(host, random)
        else:
            workers = host.node.workers()
            if workers:
                worker = workers[random.below(len(workers))]["client"]
                host.attach(worker)
                host.detach(worker, started=1 << 30)
    for group in groups:
        host.ungroup(group)
    for worker in host.node.workers():
        host.attach(worker["client"])
        host.detach(worker["client"], started=1 << 30)
    while finish_any(host, random):
        pass
    assert plain(host) == {"CPU": 4, "GPU": 2, "memory": 0, "x": 1}
    assert names_of_groups(host) == []


def finish_any(host, random):
    """End one of the tasks that run, if any does."""
    running = [task for task, run in host.runs.items() if host.story_of(task)[-1:] == ["RUNNING"] and alive(host, run)]
    if running:
        host.finish(running[random.below(len(running))], count=1)
    return running


def alive(host, run):
    return any(worker["client"] == run.client for worker in host.node.workers())


# ---- what is malformed; strategies ----


@pytest.mark.parametrize(
    "payload",
    [
        p.group([]),
        p.group([{}]),
        p.group([{"CPU": 0}]),
        p.group([{"CPU": -1}]),
        p.group([{"GPU": 1.5}]),
        p.group([{"": 1}]),
        p.group([{"CPU": 1}], strategy=4),
        p.group([{"new": 1}, {"CPU": -1}]),
        p.group([{"CPU": 1}]) + bytes(8),
        p.GROUP_HEADER.pack(0, 1, 0, 0) + p.BUNDLE_HEADER.pack(2, 0) + 2 * p.entries({"CPU": 1}),
    ],
)
def test_a_malformed_group_is_refused_and_leaves_no_trace(host, payload):
    before = host.node.resources()
    assert host.send(p.EV_GROUP, DRIVER, object=host.object("g"), payload=payload) == [f"reject {p.EV_GROUP} from 1"]
    assert host.node.resources() == before
    assert host.groups() == {}


def test_what_no_node_is_meant_for_fails(host):
    host.submit("a", demand_flags=p.DEMAND_UNSCHEDULABLE)
    host.submit("b", refs=["a"])
    assert host.get("a", "b") == ["1 gets a: unschedulable!", "1 gets b: unschedulable!"]
