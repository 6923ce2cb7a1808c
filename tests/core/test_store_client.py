"""An endpoint's end of its streams: letters once and in order, kept until acknowledged, sent again to a new head."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.store_world import DEAD_NS, MS, Journal, World


@pytest.fixture
def world():
    world = World(1, n_shards=2, n_replicas=2, n_nodes=1)
    world.run_until(world.is_formed)
    world.run(5 * MS)
    return world


def keys(count):
    return [sp.key_value(sp.OP_KV_PUT, f"key {i}", b"value", token=i + 1) for i in range(count)]


def test_what_an_event_leads_to_is_one_letter_to_each_shard(world):
    [node] = world.nodes
    world.ask(node, *keys(20))
    assert world.parties[node].unacknowledged() == 2
    world.settle()
    assert sorted(entry.token for entry in world.entries(node)) == list(range(1, 21))
    assert world.parties[node].unacknowledged() == 0


def test_what_is_asked_before_there_is_a_chain_is_kept(world):
    young = World(1, n_shards=1, n_replicas=2, n_nodes=1)
    young.ask(young.nodes[0], *keys(3))
    young.settle()
    assert [entry.token for entry in young.entries(young.nodes[0])] == [1, 2, 3]


def test_a_new_head_gets_what_the_old_one_may_not_have_passed_on(world):
    [node] = world.nodes
    head = world.master().chains()[0]["members"][0][0]
    world.crash(head)
    for item in keys(30):
        world.ask(node, item)
    world.run(2 * DEAD_NS)
    world.settle()
    assert sorted(entry.token for entry in world.entries(node)) == list(range(1, 31))


def test_letters_of_entries_are_acknowledged_though_nothing_is_asked(world):
    [node] = world.nodes
    world.ask(node, *keys(1))
    world.run_until(lambda: world.sizes(0)["letters"] + world.sizes(1)["letters"] == 1)
    world.run_until(lambda: world.sizes(0)["letters"] + world.sizes(1)["letters"] == 0, 20 * MS)


def test_an_endpoint_that_was_declared_dead_is_told(world):
    [node] = world.nodes
    world.partition([node], [sp.MASTER])
    world.run_until(lambda: node not in world.master().members())
    world.run(5 * MS)
    world.ask(node, *keys(1))
    party = world.parties[node]
    world.run_until(lambda: party.is_refused() or party.fenced)


def test_a_node_settles_when_what_it_had_asked_is_acknowledged(world):
    [node] = world.nodes
    other = sp.node(7)
    world.nodes.append(other)
    world.journals[other] = Journal()
    world.start(other)
    world.run(20 * MS)
    world.partition([node], world.replicas)
    object = p.object_id(p.named_task("t"))
    world.ask(other, sp.hold(object, other))
    world.settle()
    world.ask(node, sp.hold(object, node))
    world.crash(other)
    world.run(5 * DEAD_NS)
    assert world.master().dying() == [(other, 1)]
    world.nodes.remove(other)
    world.heal()
    world.settle()
    assert sum(world.sizes(shard)["objects"] for shard in range(2)) == 1
