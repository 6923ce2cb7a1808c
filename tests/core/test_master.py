"""The master: who registers, who is suspected and dead, what it tells whom, and its journal."""

from __future__ import annotations

from collections import Counter

import pytest

from raylite._core.store.master import Master
from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.packets import Packet
from tests.core.store_world import DEAD_NS, MS, SUSPECT_NS, World

MASTER_NODE = 144


def formed(**options):
    world = World(5, **{"n_shards": 2, "n_replicas": 2, "n_nodes": 3, **options})
    world.run_until(world.is_formed)
    world.run(5 * MS)
    return world


def heard(world, node):
    return set(world.parties[node].take_heard())


def test_nodes_are_told_of_each_other():
    world = formed()
    a, b, c = world.nodes
    assert heard(world, a) == {("node", b, 1), ("node", c, 1)}


def test_first_suspected_then_dead():
    world = formed()
    a, b, _ = world.nodes
    world.crash(b)
    world.run_until(lambda: world.master().members()[b][1], 2 * SUSPECT_NS)
    assert ("dead", b, 1) not in heard(world, a)
    world.run_until(lambda: b not in world.master().members(), 2 * DEAD_NS)
    world.run(2 * MS)
    assert ("dead", b, 1) in heard(world, a)
    world.settle()
    assert world.master().dying() == []


def test_one_that_was_silent_for_a_while_is_well_again():
    world = formed()
    b = world.nodes[1]
    world.partition([b], [sp.MASTER])
    world.run_until(lambda: world.master().members()[b][1])
    world.heal()
    world.run(DEAD_NS)
    assert world.master().members()[b] == (1, False)


def test_a_node_that_starts_again_at_once_is_dead_first():
    world = formed()
    a, b, _ = world.nodes
    held = p.object_id(p.named_task("t"))
    world.ask(b, sp.hold(held, b))
    world.settle()
    world.crash(b)
    world.start(b)
    world.run(20 * MS)
    assert {("dead", b, 1), ("node", b, 2)} <= heard(world, a)
    world.settle()
    assert sum(world.sizes(shard)["objects"] for shard in range(2)) == 0


def test_one_that_was_cut_off_is_fenced_and_comes_back_as_another():
    world = formed()
    b = world.nodes[1]
    world.partition([b], [sp.MASTER, *world.replicas, *world.nodes])
    world.run(3 * DEAD_NS)
    world.heal()
    world.run_until(lambda: world.master().members().get(b) == (2, False))


def test_deaths_at_the_same_time_are_dropped_together():
    world = formed()
    a, b, c = world.nodes
    held = p.object_id(p.named_task("t"))
    for node in (a, b, c):
        world.ask(node, sp.hold(held, node))
    world.crash(b)
    world.run(10 * MS)
    world.crash(c)
    world.nodes[:] = [a]
    world.run(3 * DEAD_NS)
    world.settle()
    assert sum(world.sizes(shard)["objects"] for shard in range(2)) == 1


def test_it_goes_on_where_it_was_with_a_death():
    world = formed()
    a, b, _ = world.nodes
    held = p.object_id(p.named_task("t"))
    world.ask(b, sp.hold(held, b))
    world.settle()
    world.crash(b)
    world.nodes.remove(b)
    world.partition([a], world.replicas)
    world.ask(a, sp.hold(p.object_id(p.named_task("u")), a))
    world.run_until(lambda: bool(world.master().dying()))
    world.run(50 * MS)
    plans = world.master().chains()
    world.crash(sp.MASTER)
    world.heal()
    world.start(sp.MASTER)
    assert world.master().dying() == [(b, 1)]
    assert world.master().chains() == plans
    world.run(20 * MS)
    world.settle()
    assert sum(world.sizes(shard)["objects"] for shard in range(2)) == 1


def test_a_journal_that_was_rewritten_says_what_the_whole_one_did():
    world = formed(n_spare=1)
    a, b, _ = world.nodes
    for _ in range(3):  # each start of it is another node, and the one before dead
        world.crash(b)
        world.start(b)
        world.run(3 * DEAD_NS)
        world.settle()
    world.crash(world.replicas[0])
    world.run(3 * DEAD_NS)
    world.partition([a], world.replicas)
    world.ask(a, sp.hold(p.object_id(p.named_task("u")), a))
    world.crash(b)
    world.nodes.remove(b)
    world.run_until(lambda: bool(world.master().dying()))
    world.run(50 * MS)
    long = world.journals[sp.MASTER].records
    master = world.master()
    master.rewrite_journal()
    short = master.take_journal()
    assert master.take_journal() == [] and len(short) < len(long)
    found = []
    for records in (long, short):
        again = Master(9, n_shards=2, n_replicas=2)
        again.replay(records)
        again.rewrite_journal()
        found.append((again.chains(), again.members(), again.dying(), again.take_journal()))
    assert found[0] == found[1]
    assert found[0][2] == [(b, 4)]


def test_chains_are_spread_and_filled_from_spare_replicas():
    world = formed(n_shards=4, n_replicas=2, n_spare=2)
    heads = {plan["members"][0][0] for plan in world.master().chains()}
    assert len(heads) == 2
    victim = heads.pop()
    world.crash(victim)
    world.run(2 * DEAD_NS)
    world.settle()
    for plan in world.master().chains():
        assert len(plan["members"]) == 2
        assert victim not in {address for address, _ in plan["members"]}


@pytest.mark.parametrize(
    "options",
    [{"n_shards": 0}, {"n_replicas": 0}, {"heartbeat_ns": 0}, {"suspect_ns": 5, "heartbeat_ns": 10}, {"dead_ns": 1}],
)
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match="a store has shards"):
        Master(1, **options)


def test_when_many_nodes_start_at_once_each_is_told_of_all_others_in_a_message_or_two():
    world = World(1, n_replicas=1, n_nodes=30, delay_ns=(MS // 10, MS // 5))
    told, carry = Counter(), world.carry

    def counted(data):
        packet = Packet.unpack(data)
        told[packet.target[0]] += packet.kind == MASTER_NODE
        carry(data)

    world.carry = counted
    world.run_until(world.is_formed)
    world.run(20 * MS)
    others = {node: {("node", other, 1) for other in world.nodes if other != node} for node in world.nodes}
    assert {node: heard(world, node) for node in world.nodes} == others
    assert max(told[node] for node in world.nodes) <= 2
    assert told[world.replicas[0]] <= len(world.nodes)


def test_a_node_that_has_died_before_the_others_were_told_of_it_is_no_news():
    world = formed()
    a, b, c = world.nodes
    world.crash(c)
    world.run_until(lambda: c not in world.master().members())
    world.run(2 * MS)
    world.start(c)
    world.run_until(lambda: c in world.master().members())
    heard(world, a)
    world.crash(c)
    world.start(c)  # whose third start the master hears of before it has told of the second
    world.run(20 * MS)
    assert {each for each in heard(world, a) if each[0] == "node"} <= {("node", c, 2), ("node", c, 3)}
    assert ("node", c, 3) in heard(world, b)


def test_a_replica_that_never_comes_keeps_the_store_from_nothing_and_joins_when_it_does():
    world = World(1, n_replicas=3, n_shards=2)
    late = world.replicas[1]
    world.partition([late], [sp.MASTER])
    world.run(DEAD_NS // 2)
    assert not world.is_formed()
    world.run(DEAD_NS)
    assert [len(plan["members"]) for plan in world.master().chains()] == [2, 2]
    world.ask(world.nodes[0], sp.key_value(sp.OP_KV_PUT, "key", b"value", token=1))
    world.run(20 * MS)
    assert [entry.flags for entry in world.entries(world.nodes[0])] == [sp.STORE_OK]
    world.heal()
    world.settle()
    assert [len(plan["members"]) for plan in world.master().chains()] == [3, 3]
