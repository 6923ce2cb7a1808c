"""Scheduling strategies and label selectors on one node: what they allow, refuse, and let wait."""

from __future__ import annotations

import pytest

import raylite
from raylite.exceptions import ActorUnschedulableError, TaskUnschedulableError
from raylite.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)

ELSEWHERE = "ab" * 16


@raylite.remote
def one():
    return 1


@raylite.remote
class Keeper:
    def one(self):
        return 1


@raylite.remote(num_cpus=0)
def in_child(**options):
    return raylite.get(one.options(**options).remote(), timeout=30)


@pytest.fixture(scope="module")
def labelled(module_leaves_nothing):
    raylite.init(num_cpus=2, labels={"zone": "a", "disk": "ssd"}, log_to_driver=False)
    yield raylite
    raylite.shutdown()


def here():
    return raylite.nodes()[0]["NodeID"]


def check_runs(expected, **options):
    """A task and an actor with these options run; or else both wait."""
    refs = [one.options(**options).remote(), Keeper.options(**options).remote().one.remote()]
    if expected:
        assert raylite.get(refs, timeout=30) == [1, 1]
    else:
        assert raylite.wait(refs, timeout=0.05)[0] == []
        for ref in refs:
            raylite.cancel(ref)


# ---- a node ----


@pytest.mark.parametrize("strategy", [None, "DEFAULT", "SPREAD"])
def test_words(labelled, strategy):
    check_runs(True, scheduling_strategy=strategy)


@pytest.mark.parametrize("soft", [True, False])
def test_this_node(labelled, soft):
    check_runs(True, scheduling_strategy=NodeAffinitySchedulingStrategy(here(), soft=soft))
    node_id = raylite.NodeID.from_hex(here())
    check_runs(True, scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=soft))


def test_another_node_will_do_without_if_that_is_soft(labelled):
    check_runs(True, scheduling_strategy=NodeAffinitySchedulingStrategy(ELSEWHERE, soft=True))


def test_another_node_that_must_be_fails(labelled):
    there = {"scheduling_strategy": NodeAffinitySchedulingStrategy(ELSEWHERE, soft=False)}
    with pytest.raises(TaskUnschedulableError, match=r"NodeAffinitySchedulingStrategy.*soft=False.*name=one"):
        raylite.get(one.options(**there).remote(), timeout=30)
    with pytest.raises(ActorUnschedulableError, match="soft=False"):
        raylite.get(Keeper.options(**there).remote().one.remote(), timeout=30)
    with pytest.raises(TaskUnschedulableError):
        raylite.get(in_child.remote(**there), timeout=30)


@pytest.mark.parametrize("node_id", ["zz", "ab", "", "ff" * 16, 5])
def test_what_is_no_node_is_refused(node_id):
    with pytest.raises(ValueError, match=f"Invalid node_id {node_id!r}. It takes the 32 hexadecimal digits"):
        NodeAffinitySchedulingStrategy(node_id, soft=True)


def test_flags_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="soft is False"):
        NodeAffinitySchedulingStrategy(ELSEWHERE, soft=False, _spill_on_unavailable=True)
    with pytest.raises(ValueError, match="soft is True"):
        NodeAffinitySchedulingStrategy(ELSEWHERE, soft=True, _fail_on_unavailable=True)


# ---- labels ----


@pytest.mark.parametrize(
    ("hard", "runs_here"),
    [
        ({"zone": In("a", "b")}, True),
        ({"zone": In("b")}, False),
        ({"colour": In("red")}, False),
        ({"zone": NotIn("b")}, True),
        ({"colour": NotIn("red")}, True),
        ({"zone": NotIn("a", "b")}, False),
        ({"zone": Exists()}, True),
        ({"colour": Exists()}, False),
        ({"colour": DoesNotExist()}, True),
        ({"zone": DoesNotExist()}, False),
        ({"zone": In("a"), "disk": In("ssd")}, True),
        ({"zone": In("a"), "disk": In("hdd")}, False),
    ],
)
def test_labels_that_must_be(labelled, hard, runs_here):
    check_runs(runs_here, scheduling_strategy=NodeLabelSchedulingStrategy(hard))


def test_labels_that_are_preferred_decide_nothing_on_one_node(labelled):
    strategy = NodeLabelSchedulingStrategy({}, soft={"zone": In("b")})
    check_runs(True, scheduling_strategy=strategy)
    check_runs(False, scheduling_strategy=NodeLabelSchedulingStrategy({"zone": In("b")}, soft={"zone": In("a")}))


@pytest.mark.parametrize(
    ("selector", "runs_here"),
    [
        ({"zone": "a"}, True),
        ({"zone": "b"}, False),
        ({"zone": "!b"}, True),
        ({"zone": "!a"}, False),
        ({"colour": "!red"}, True),
        ({"colour": "red"}, False),
        ({"zone": "in(b, a)"}, True),
        ({"zone": "in(b,c)"}, False),
        ({"zone": "!in(b,c)"}, True),
        ({"zone": "!in(a, c)"}, False),
        ({"zone": "a", "disk": "hdd"}, False),
        ({}, True),
    ],
)
def test_label_selectors(labelled, selector, runs_here):
    check_runs(runs_here, label_selector=selector)


def test_the_node_is_a_label_too(labelled):
    check_runs(True, label_selector={"ray.io/node-id": here()})
    check_runs(False, label_selector={"ray.io/node-id": ELSEWHERE})


def test_one_of_the_fallbacks_will_do(labelled):
    check_runs(True, label_selector={"zone": "b"}, fallback_strategy=[{"label_selector": {"zone": "c"}}, {"label_selector": {"disk": "ssd"}}])  # fmt: skip
    check_runs(False, label_selector={"zone": "b"}, fallback_strategy=[{"label_selector": {"zone": "c"}}])


def test_tasks_inside_tasks_know_the_labels(labelled):
    assert raylite.get(in_child.remote(label_selector={"zone": "a"}), timeout=30) == 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: NodeLabelSchedulingStrategy({}), "cannot both be empty"),
        (lambda: NodeLabelSchedulingStrategy(None, soft={}), "cannot both be empty"),
        (lambda: NodeLabelSchedulingStrategy([1]), "must be a map"),
        (lambda: NodeLabelSchedulingStrategy({1: Exists()}), "keys of the hard parameter are strings"),
        (lambda: NodeLabelSchedulingStrategy({"a": "b"}), "must be one of In, NotIn, Exists or DoesNotExist"),
        (In, "one value or more"),
        (lambda: NotIn("a", 5), "5 is of type int"),
    ],
)
def test_expressions_that_make_no_sense_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


# ---- as options ----


def test_what_is_no_strategy_is_refused():
    with pytest.raises(ValueError, match="'DEFAULT', 'SPREAD', or an object of a strategy class"):
        one.options(scheduling_strategy="FAST")
    with pytest.raises(TypeError, match="of type int"):
        Keeper.options(scheduling_strategy=5)


def test_a_group_of_none_is_no_group(labelled):
    check_runs(True, scheduling_strategy=PlacementGroupSchedulingStrategy(None))


def test_who_waits_for_labels_is_told(labelled, capfd, wait_until):
    ref = one.options(label_selector={"zone": "nowhere"}).remote()
    said = []
    wait_until(lambda: said.append(capfd.readouterr().err) or "No node can run one" in "".join(said))
    assert "it asks for 1 node with label zone=nowhere, and there is 0." in "".join(said)
    raylite.cancel(ref)
