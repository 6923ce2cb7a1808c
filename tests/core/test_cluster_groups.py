"""Placement groups whose bundles are on several nodes: set aside by all or none, known where needed, placed again."""

from __future__ import annotations

import struct

import pytest

from tests.core import protocol as p
from tests.core.neighbours import (
    NODE_BUNDLES_TAKEN,
    OP_NAME_CLAIM,
    OP_NAME_FIND,
    STORE_OK,
    STORE_TAKEN,
    STORE_UNKNOWN,
    A,
    B,
    C,
    Neighbour,
)

LATER_NS = 100_000_000
RESCHEDULING = 4


@pytest.fixture
def trio():
    a = Neighbour(A, {"CPU": 2})
    nodes = [a, *(Neighbour(number, {"CPU": 2}).named_by(a) for number in (B, C))]
    yield nodes
    for node in nodes:
        node.node.check_invariants()


def free_cpus(node):
    return node.node.resources()["CPU"][1] / p.UNIT


def states(node):
    return {name: (row.state, row.nodes) for name, row in node.groups().items()}


def carry(*nodes):
    """All that nodes have said to each other arrives, until nothing is left; returns what that led to."""
    out = []
    while any(each["target"] == to.number for source in nodes for each in source.said for to in nodes):
        for source in nodes:
            for to in nodes:
                out += to.hears(source)
    return out


def made(trio, *bundles, at, strategy=p.GROUP_PACK, name="g"):
    """A group of the first node's."""
    a = trio[0]
    a.group(name, *bundles, strategy=strategy)
    a.acknowledged()
    lines = a.bundles_go_to(name, *at)
    return lines + carry(*trio)


# ---- made ------------------------------------------------------------------------------------------------------


def test_who_makes_a_group_is_answered_when_the_store_knows_whose_it_is(trio):
    a = trio[0]
    assert a.group("g", {"CPU": 1}, {"CPU": 1}) == ["store: claim name of group g"]
    assert a.acknowledged() == ["ready for 1 []", "asks for places: g, 2 bundles"]
    assert free_cpus(a) == 2


def test_each_node_sets_its_bundles_aside_and_then_all_are_opened(trio):
    a, b, c = trio
    a.group("g", {"CPU": 1}, {"CPU": 2}, {"CPU": 1})
    a.acknowledged()
    assert a.bundles_go_to("g", A, B, B) == ["to 2: group g", "to 2: bundles of g: 1,2"]
    assert b.hears(a) == ["to 1: set aside for g: no"]  # two and one do not fit
    assert free_cpus(a) == 1
    assert a.hears(b) == ["to 2: bundles back g"]
    assert free_cpus(a) == free_cpus(b) == 2
    assert a.tick(LATER_NS) == ["asks for places: g, 3 bundles"]
    assert a.bundles_go_to("g", A, B, C) == [
        "to 2: bundles of g: 1",
        "to 3: group g",
        "to 3: bundles of g: 2",
    ]
    assert carry(*trio)[-4:] != []
    assert states(a) == {"g": (p.GROUP_CREATED, ["node 1", "node 2", "node 3"])} == states(b) == states(c)
    assert [free_cpus(node) for node in trio] == [1, 0, 1]


def test_without_a_place_it_is_asked_again_from_time_to_time_and_said_once(trio):
    a = trio[0]
    a.group("g", {"CPU": 4})
    a.acknowledged()
    [warning] = a.bundles_go_to("g", possible=False)
    assert warning.startswith("warn: A placement group cannot be placed: its bundles ask for more than there is")
    for _ in range(2):
        assert a.tick(LATER_NS) == ["asks for places: g, 1 bundles"]
        assert a.bundles_go_to("g", possible=False) == []


def test_a_taken_name_or_id_is_told_and_leaves_nothing(trio):
    a = trio[0]
    a.group("g", {"CPU": 1}, name="space\x1fname")
    assert a.operations[0]["kind"] == OP_NAME_CLAIM
    a.acknowledged(status=STORE_TAKEN)
    assert a.last(p.CMD_READY).aux == p.GROUP_NAME_TAKEN
    assert a.group("h", {"CPU": 1}, name="space\x1fother") == ["store: claim name space\x1fother"]
    assert a.acknowledged() == ["store: claim name of group h"]
    assert a.acknowledged(status=STORE_TAKEN) == ["ready for 1! []", "store: drop name space\x1fother"]
    assert a.last(p.CMD_READY).aux == p.GROUP_ID_TAKEN
    assert a.groups() == {}


def test_a_question_that_a_scheduler_takes_to_its_grave_is_asked_again(trio):
    a = trio[0]
    a.group("g", {"CPU": 1})
    a.acknowledged()
    a.member.scheduler(100, alive=False)
    a.member.scheduler(101)
    assert a.tick(LATER_NS) == ["asks for places: g, 1 bundles"]


# ---- its tasks -------------------------------------------------------------------------------------------------


def test_tasks_wait_for_their_bundle_and_go_straight_there(trio):
    a, b, _ = trio
    a.submit("early", group="g", bundle=1)
    assert a.acknowledged(status=STORE_UNKNOWN) is not None  # nobody has such a group
    a.group("h", {"CPU": 1}, {"CPU": 1})
    assert a.submit("t", group="h", bundle=1) == []
    a.acknowledged()
    a.bundles_go_to("h", A, B)
    b.hears(a)
    assert "to 2: task t" in a.hears(b)
    assert "run t on 2" in b.hears(a)


def test_a_task_in_a_bundle_that_is_here_runs_here(trio):
    a = trio[0]
    made(trio, {"CPU": 1}, {"CPU": 1}, at=(A, B))
    assert a.submit("t", group="g", bundle=0) == ["spawn 2", "run t on 2"]


def test_tasks_for_any_bundle_take_turns_among_those_they_fit(trio):
    a = trio[0]
    made(trio, {"CPU": 1}, {"CPU": 2}, {"CPU": 2}, at=(A, B, C))
    assert a.submit("t", group="g", needs={"CPU": 2})[-1] == "to 2: task t"
    assert a.submit("u", group="g", needs={"CPU": 2})[-1] == "to 3: task u"
    assert a.submit("v", group="g", needs={"CPU": 1})[-1] == "run v on 2"


# ---- known elsewhere -------------------------------------------------------------------------------------------


def found(node, home=A, incarnation=1):
    """The store says whose the group is that was asked about last."""
    [asked] = [each for each in node.operations if each["kind"] == OP_NAME_FIND]
    node.operations.remove(asked)
    body = struct.pack("<QQ", home << 32 | incarnation, 0)
    return node.entry(1, token=asked["token"], flags=STORE_OK, body=body)


def test_a_node_that_meets_a_group_asks_whose_it_is_and_is_told_of_it_from_then_on(trio):
    a, _, c = trio
    made(trio, {"CPU": 1}, {"CPU": 1}, at=(A, B))
    assert c.submit("t", group="g", bundle=1) == ["store: find name of group g"]
    assert found(c) == ["to 1: watch group g"]
    assert a.hears(c) == ["to 3: group g"]
    assert "to 2: task t" in c.hears(a)
    a.ungroup("g")
    c.hears(a)
    c.submit("u", group="g", bundle=1)
    assert c.get("u") == ["1 gets u: ungrouped!"]


def test_a_group_that_nobody_has_is_gone(trio):
    c = trio[2]
    c.submit("t", group="g")
    c.get("t")
    assert c.acknowledged(status=STORE_UNKNOWN) == ["1 gets t: ungrouped!"]


def test_while_a_home_is_not_known_here_it_is_asked_again(trio):
    c = trio[2]
    c.submit("t", group="g")
    assert found(c, home=9) == []
    assert c.tick(LATER_NS) == ["store: find name of group g"]
    c.get("t")
    assert c.acknowledged(status=STORE_UNKNOWN) == ["1 gets t: ungrouped!"]


def test_who_asks_of_a_group_or_removes_it_waits_until_it_is_known(trio):
    a, _, c = trio
    made(trio, {"CPU": 1}, at=(B,))
    assert c.send(p.EV_GROUPS, 1, object=c.object("g"), request=7) == ["store: find name of group g"]
    assert c.ungroup("g") == []
    found(c)
    a.hears(c)
    out = c.hears(a)
    assert out[0].startswith("ready for 1") and out[1:] == ["to 1: group gone g"]
    carry(*trio)
    assert {name: row.state for name, row in a.groups().items()} == {"g": p.GROUP_GONE}
    assert free_cpus(trio[1]) == 2


# ---- removed ---------------------------------------------------------------------------------------------------


def test_a_removed_group_gives_back_everywhere_and_kills_what_runs_in_it(trio):
    a, b, _ = trio
    made(trio, {"CPU": 1}, {"CPU": 1}, at=(A, B))
    a.submit("t", group="g", bundle=1)
    b.hears(a)
    a.acknowledged()
    assert a.ungroup("g") == ["store: drop name of group g", "to 2: group gone g"]
    b.hears(a)
    assert b.last(p.CMD_STOP).flags & p.STOP_KILL
    assert free_cpus(a) == 2 and free_cpus(b) == 1  # until that worker has ended


def test_a_group_that_is_removed_while_it_is_placed_leaves_nothing_set_aside(trio):
    a, b, _ = trio
    a.group("g", {"CPU": 1}, {"CPU": 1})
    a.acknowledged()
    a.bundles_go_to("g", A, B)
    b.hears(a)
    assert (free_cpus(a), free_cpus(b)) == (1, 1)
    a.ungroup("g")
    carry(*trio)
    assert (free_cpus(a), free_cpus(b)) == (2, 2)
    assert a.tick(LATER_NS) == []


# ---- deaths ----------------------------------------------------------------------------------------------------


def test_the_bundles_of_a_dead_node_are_placed_again_and_the_others_stay(trio):
    a, _, c = trio
    made(trio, {"CPU": 1}, {"CPU": 1}, at=(A, B), strategy=p.GROUP_STRICT_SPREAD)
    a.submit("t", group="g", bundle=1, max_retries=1)
    a.acknowledged()
    assert "asks for places: g, 1 bundles, kept at 1" in a.dies(B)
    assert states(a) == {"g": (RESCHEDULING, ["node 1", ""])}
    a.acknowledged()  # of the attempt: it waits for a bundle
    a.bundles_go_to("g", C)
    c.hears(a)
    assert "to 3: task t again 1" in a.hears(c)
    assert states(a) == {"g": (p.GROUP_CREATED, ["node 1", "node 3"])}


def test_a_node_that_dies_before_it_has_answered_undoes_the_round(trio):
    a, _, c = trio
    a.group("g", {"CPU": 1}, {"CPU": 1}, {"CPU": 1})
    a.acknowledged()
    a.bundles_go_to("g", A, B, C)
    c.hears(a)
    a.hears(c)
    assert a.dies(B) == ["to 3: bundles back g"]
    assert free_cpus(a) == 2
    assert a.tick(LATER_NS) == ["asks for places: g, 3 bundles"]


def test_what_is_said_in_an_earlier_round_does_not_count(trio):
    a, b, _ = trio
    a.group("g", {"CPU": 1}, {"CPU": 1})
    a.acknowledged()
    a.bundles_go_to("g", B, B)
    a.hear(B, NODE_BUNDLES_TAKEN, object=a.object("g"), request=0)
    assert states(a)["g"][0] == p.GROUP_PENDING
    b.hears(a)
    a.hears(b)
    assert states(a)["g"] == (p.GROUP_CREATED, ["node 2", "node 2"])


def test_a_group_is_gone_with_its_home(trio):
    _, b, c = trio
    made(trio, {"CPU": 1}, {"CPU": 1}, at=(B, B))
    c.submit("t", group="g", needs={"CPU": 3})
    found(c)
    carry(*trio)
    c.get("t")
    assert c.dies(A) == ["1 gets t: ungrouped!"]
    b.dies(A)
    assert free_cpus(b) == 2
