"""Tasks that ask for certain nodes: what the node asks a scheduler, what it knows itself; queued tasks offered again."""

from __future__ import annotations

import pytest

from raylite.demand import NEAR_NODE, ON_NODE, SPREAD, packed_label
from raylite.strategies import LABEL_ABSENT, LABEL_IN
from tests.core.neighbours import NODE_ID, A, B, C, Neighbour

INFEASIBLE, NO_NODE = 1, 2
LATER_NS = 100_000_000


@pytest.fixture
def pair():
    a = Neighbour(A, {"CPU": 1})
    b = Neighbour(B, {"CPU": 1, "GPU": 1}).named_by(a)
    yield a, b
    a.node.check_invariants()
    b.node.check_invariants()


@pytest.fixture
def a(pair):
    return pair[0]


def named(node):
    return packed_label(LABEL_IN, NODE_ID, [f"node {node}"])


# ---- strategies ------------------------------------------------------------------------------------------------


def test_what_is_to_be_spread_asks_although_there_is_room(a):
    assert a.submit("t", demand_flags=SPREAD) == ["asks: t spread"]
    assert a.placed("t", A) == ["spawn 2", "run t on 2"]


def test_labels_go_along_hard_ones_and_soft_ones(a):
    labels = [packed_label(LABEL_IN, "zone", ["a", "b"]), packed_label(LABEL_ABSENT, "slow", (), True)]
    assert a.submit("t", labels=labels) == ["asks: t (zone in a,b) (soft slow absent)"]


def test_what_is_for_this_node_stays_and_asks_nobody(a):
    assert a.submit("t", demand_flags=ON_NODE, labels=[named(A)]) == ["spawn 2", "run t on 2"]


def test_what_is_for_another_node_is_asked_for_by_its_address(a):
    assert a.submit("t", demand_flags=ON_NODE, labels=[named(B)]) == ["asks: t on 2"]
    assert a.submit("u", demand_flags=NEAR_NODE, labels=[named(C)]) == ["asks: u near 3"]


def test_what_must_be_on_a_node_that_is_not_there_fails_soon(a):
    assert a.submit("t", demand_flags=ON_NODE, labels=[named(9)]) == []
    assert a.tick(LATER_NS) == []
    a.get("t")
    assert a.tick(LATER_NS) == ["1 gets t: unschedulable!"]


def test_a_node_that_is_heard_of_in_time_is_not_missed(a):
    a.submit("t", demand_flags=ON_NODE, labels=[named(9)])
    a.member.peer(9, 1, node_id="node 9")
    assert a.tick(LATER_NS) == ["asks: t on 9"]


def test_what_had_better_be_on_a_node_that_is_not_there_goes_anywhere(a):
    assert a.submit("t", demand_flags=NEAR_NODE, labels=[named(9)]) == ["asks: t near"]


def test_what_its_node_could_never_run_fails_and_other_tasks_wait(a):
    a.submit("t", demand_flags=ON_NODE, labels=[named(B)])
    a.submit("u", labels=[packed_label(LABEL_IN, "zone", ["x"])])
    a.get("t")
    assert a.placed("t", 0, INFEASIBLE) == ["1 gets t: unschedulable!"]
    [warning] = a.placed("u", 0, INFEASIBLE)
    assert warning.startswith("warn: No node can run f: none with the labels")
    assert a.tick(LATER_NS) == ["asks: u (zone in x)"]
    assert a.placed("u", 0, INFEASIBLE) == []  # it is said once


def test_a_task_whose_node_dies_fails_when_it_is_tried_again(pair):
    a, _ = pair
    a.submit("t", demand_flags=ON_NODE, labels=[named(B)], max_retries=1)
    a.placed("t", B)
    a.acknowledged()
    a.get("t")
    a.dies(B)
    a.acknowledged()
    assert a.tick(LATER_NS) == []
    assert "1 gets t: unschedulable!" in a.tick(LATER_NS)


def test_an_actor_that_must_be_on_a_node_that_is_not_there_dies(a):
    a.create("actor", demand_flags=ON_NODE, labels=[named(9)])
    a.call("c", "actor")
    a.get("c")
    a.tick(LATER_NS)
    assert "1 gets c: unschedulable!" in a.tick(LATER_NS)


# ---- offered again ---------------------------------------------------------------------------------------------


def queue(a, count):
    """Tasks that wait here, as no scheduler had a better place; the worker has the first few."""
    for i in range(count):
        if a.submit(f"t{i}")[-1:] == [f"asks: t{i}"]:
            a.placed(f"t{i}", A)


def ready(a, count):
    return [i for i in range(count) if a.story_of(f"t{i}")[-1] == "READY"]


def test_queued_tasks_are_offered_one_then_more_as_long_as_they_go(a):
    queue(a, 40)
    assert a.heartbeat() == ["asks: t39 1"]
    assert "to 2: task t39" in a.placed("t39", B)
    assert a.heartbeat() == ["asks: t38 1", "asks: t37 1"]
    assert a.heartbeat() == []  # those are not answered yet
    assert "to 3: task t38" in a.placed("t38", C)
    assert a.placed("t37", A) == []  # it waits least where it is
    assert [a.story_of(f"t{i}")[-1] for i in (37, 38, 39)] == ["READY", "SPILLED", "SPILLED"]
    assert len(a.heartbeat()) == 4
    for i in (37, 36, 35, 34):
        a.placed(f"t{i}", A)
    assert len(a.heartbeat()) == 1


def test_a_task_that_has_begun_meanwhile_stays(a):
    queue(a, 2)
    a.attach(2)
    if a.heartbeat() == ["asks: t1 1"]:
        a.finish("t0")
        assert a.placed("t1", B) == []
    assert a.story_of("t1")[-1] in ("RUNNING", "PLACED")


def test_nothing_is_offered_when_nothing_waits(a):
    a.submit("t")
    assert a.heartbeat() == []


def test_a_guest_that_would_wait_less_elsewhere_goes_back_and_its_home_asks(pair):
    a, b = pair
    queue(b, 5)
    a.submit("t", needs={"GPU": 1, "CPU": 1})
    a.placed("t", B)
    assert not any(line.startswith("run t") for line in b.hears(a))
    assert b.heartbeat()[-1] == "asks: t 2"
    assert b.placed("t", C) == ["to 1: task back t"]
    assert a.hears(b) == ["asks: t"]
    assert b.story_of("t")[-1] == "CANCELLED"


def test_a_task_moves_so_often_and_then_stays(pair):
    a, b = pair
    queue(b, 5)
    a.submit("t", needs={"GPU": 1, "CPU": 1})
    for _ in range(8):
        a.placed("t", B)
        b.hears(a)
        assert "asks: t 2" in b.heartbeat()
        for name in list(b.tokens):
            b.placed(name, C if name == "t" else B)
        a.hears(b)
    a.placed("t", B)
    b.hears(a)
    assert "asks: t 2" not in b.heartbeat()
