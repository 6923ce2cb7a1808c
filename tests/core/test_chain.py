"""Chains, replica by replica: who must have what before anybody is answered, who joins, what a journal is good for."""

from __future__ import annotations

import pytest

from tests.core import store_protocol as sp
from tests.core.packets import HEADER, MESSAGE, Packet
from tests.core.store_world import DEAD_NS, HEARTBEAT_NS, MS, World

STORE_ENTRIES, CHAIN_UPDATE, CHAIN_ACK = 131, 132, 133


def formed(**options):
    world = World(3, **{"n_shards": 1, "n_replicas": 3, "n_nodes": 1, **options})
    world.run_until(world.is_formed)
    world.run(5 * MS)
    return world


def write(world, number, value=b"value"):
    world.ask(world.nodes[0], sp.key_value(sp.OP_KV_PUT, f"key {number}", value, token=number))


def answered(world):
    return [entry.token for entry in world.entries(world.nodes[0])]


def chain(world):
    return [address for address, _ in world.master().chains()[0]["members"]]


def test_nothing_is_answered_before_every_replica_has_it():
    world = formed()
    head, middle, tail = chain(world)
    for cut in ((head, middle), (middle, tail)):
        world.partition([cut[0]], [cut[1]])
        write(world, 1 + (cut[0] == middle))
        world.run(DEAD_NS // 2)
        assert answered(world) == []
        world.cut.clear()
        world.settle()
        assert len(answered(world)) == 1


def test_the_last_of_three_has_everything_that_was_answered():
    world = formed()
    n_answered = 0
    for number, replica in enumerate(chain(world)[:2]):
        for i in range(10):
            write(world, 10 * number + i + 1)
        world.run(3 * MS)
        n_answered += len(answered(world))
        world.crash(replica)
        world.run(3 * DEAD_NS)
    world.run(DEAD_NS)
    assert n_answered + len(answered(world)) == 20
    assert world.sizes(0)["values"] == 20
    assert len(chain(world)) == 1


def test_the_last_replica_is_never_taken_out():
    world = formed(n_replicas=1)
    write(world, 1)
    world.settle()
    [only] = chain(world)
    world.partition([only], [sp.MASTER])
    world.run(5 * DEAD_NS)
    assert chain(world) == [only]
    write(world, 2)
    world.run(20 * MS)
    assert answered(world) == [1, 2]


def test_a_replica_joins_while_clients_write_and_a_large_snapshot_takes_its_time():
    world = formed(n_spare=1)
    for i in range(200):
        write(world, i + 1, bytes(8000))
    world.settle()
    [spare] = set(world.replicas) - set(chain(world))
    world.crash(chain(world)[1])
    for i in range(200, 400):
        write(world, i + 1)
        world.run(2 * MS)
    world.settle()
    assert len(chain(world)) == 3
    assert spare in chain(world)
    assert answered(world) == list(range(1, 401))


def test_a_joiner_that_dies_does_not_stop_the_chain():
    world = formed(n_replicas=2, n_spare=1)
    world.crash(chain(world)[0])
    world.run_until(lambda: world.master().chains()[0]["joiner"])
    world.crash(world.master().chains()[0]["joiner"][0])
    write(world, 1)
    world.run(4 * DEAD_NS)
    assert answered(world) == [1]
    assert len(chain(world)) == 1


def test_the_tail_dies_while_somebody_joins():
    world = formed(n_spare=1)
    for i in range(100):
        write(world, i + 1, bytes(8000))
    world.settle()
    head, middle, tail = chain(world)
    [spare] = set(world.replicas) - {head, middle, tail}
    world.crash(middle)
    world.run_until(lambda: world.master().chains()[0]["joiner"])
    world.crash(tail)
    world.settle()
    assert chain(world) == [head, spare]
    assert world.sizes(0)["values"] == 100


def test_a_replica_that_comes_back_without_a_journal_starts_from_nothing():
    world = formed(n_replicas=2)
    write(world, 1)
    world.settle()
    first = chain(world)[0]
    world.crash(first)
    world.start(first)
    world.settle()
    assert chain(world)[1] == first
    assert world.master().chains()[0]["members"][1][1] == 2


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_replica_that_comes_back_with_its_journal_takes_its_place(which):
    world = formed(journals_first=True)
    for i in range(5):
        write(world, i + 1)
    world.run(MS)
    before = chain(world)
    world.crash(before[which])
    world.start(before[which])
    world.settle()
    assert chain(world) == before
    assert answered(world) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("n_starts", [1, 2, 3])
def test_a_replica_that_has_lost_its_journal_does_not_take_its_place_however_often_it_starts(which, n_starts):
    world = formed(journals_first=True)
    for i in range(5):
        write(world, i + 1)
    world.settle()
    before = chain(world)
    world.crash(before[which])
    world.lose_disk(before[which])
    for _ in range(n_starts):  # the first begins a journal, and the next ones find it; the head hears of the last only
        world.crash(before[which])
        world.start(before[which])
    world.settle()
    assert chain(world) == [address for address in before if address != before[which]] + [before[which]]
    assert world.sizes(0)["values"] == 5


@pytest.mark.parametrize("lost", [0, 1])
def test_of_replicas_that_are_all_silent_none_is_taken_out(lost):
    world = formed(journals_first=True, n_replicas=2)
    for i in range(5):
        write(world, i + 1)
    world.settle()
    before = chain(world)
    world.crash(before[lost])
    world.lose_disk(before[lost])  # for good, and the other one knows all
    world.crash(before[1 - lost])
    world.run(5 * DEAD_NS)
    assert chain(world) == before
    for address in before:
        world.start(address)
    world.settle()
    assert chain(world) == [before[1 - lost], before[lost]]
    assert world.sizes(0)["values"] == 5


def test_a_replica_that_starts_from_its_journal_hears_what_all_have():
    world = formed(journals_first=True)
    for i in range(5):
        write(world, i + 1)
    world.settle()
    head = chain(world)[0]
    world.crash(head)
    world.start(head)
    world.settle()
    assert [replica.shards()[0]["logged"] for replica in world.members(0)] == [0, 0, 0]


def test_what_is_written_of_an_earlier_part_in_a_chain_counts_for_no_later_one():
    world = formed(journals_first=True, n_replicas=2)
    head, tail = chain(world)
    write(world, 1)
    world.settle()
    world.write_journal = lambda replica: None
    write(world, 2)  # of which the head's disk is not told for a while
    world.run(2 * MS)
    late = world.parties[head].take_journal()
    del world.write_journal
    world.partition([head], [sp.MASTER, tail, *world.nodes])
    world.run(2 * DEAD_NS)
    assert chain(world) == [tail]
    replica = world.parties[head]
    replica.journaled(world.now_ns, late)
    world.after(replica)
    world.cut.clear()
    world.settle()
    assert answered(world) == [1, 2] and world.sizes(0)["values"] == 2


def test_all_replicas_and_the_master_start_again_from_their_journals():
    world = formed(journals_first=True)
    for i in range(50):
        write(world, i + 1)
        if i == 25:
            world.run(3 * MS)
            world.parties[chain(world)[1]].compact_journal(0)
            world.after(world.parties[chain(world)[1]])
    for address in (sp.MASTER, *world.replicas):
        world.crash(address)
    world.run(50 * MS)
    for address in (sp.MASTER, *world.replicas):
        world.start(address)
    world.settle()
    assert answered(world) == list(range(1, 51))
    assert world.sizes(0)["values"] == 50


def test_what_is_not_in_the_journal_is_not_passed_on():
    world = formed(journals_first=True)
    head, middle, _ = (world.parties[each] for each in chain(world))
    write_journal, world.write_journal = world.write_journal, lambda replica: None
    write(world, 1)
    world.run(20 * MS)
    assert head.shards()[0]["applied"] == middle.shards()[0]["applied"] + 1
    assert answered(world) == []
    world.write_journal = write_journal
    world.after(head)
    world.settle()
    assert answered(world) == [1]


def test_a_journal_with_a_gap_is_refused():
    world = formed(journals_first=True)
    for i in range(3):
        write(world, i + 1)
        world.run(5 * MS)
    head = chain(world)[0]
    world.crash(head)
    del world.journals[head].records[-2]
    with pytest.raises(ValueError, match="does not follow"):
        world.start(head)


def test_updates_are_forgotten_when_all_have_them():
    world = formed()
    for i in range(100):
        write(world, i + 1)
    world.settle()
    assert [replica.shards()[0]["logged"] for replica in world.members(0)] == [0, 0, 0]


def held_journal(world, holder):
    """From now on what this replica writes is not on its disk, until the returned function is called."""
    write_journal = world.write_journal
    world.write_journal = lambda replica: None if replica.address == holder else write_journal(replica)

    def release():
        world.write_journal = write_journal
        world.after(world.parties[holder])

    return release


def carried(world, change=lambda packet: packet):
    """Packets from now on, as they leave; `change` makes others of them."""
    packets, carry = [], world.carry

    def noted(packet):
        packets.append(Packet.unpack(packet))
        carry(change(packet))

    world.carry = noted
    return packets


def n_packets(packets, source, target, kind):
    return len(
        [p for p in packets if (p.source[0], p.target[0], p.kind, p.sequence > 0) == (source, target, kind, True)]
    )


@pytest.mark.parametrize(("size_bytes", "n_messages"), [(10, 1), (30_000, 5), (70_000, 10)])
def test_letters_that_may_be_passed_on_at_once_go_in_one_message_as_far_as_there_is_room(size_bytes, n_messages):
    world = formed(journals_first=True)
    head, middle, tail = chain(world)
    release = held_journal(world, head)
    for i in range(10):
        write(world, i + 1, bytes(size_bytes))
        world.run(MS)
    packets = carried(world)
    release()
    world.run(3 * MS)
    assert n_packets(packets, head, middle, CHAIN_UPDATE) == n_messages
    assert n_packets(packets, middle, tail, CHAIN_UPDATE) == n_messages
    assert answered(world) == list(range(1, 11))
    assert len({world.parties[each].snapshot(0) for each in (head, middle, tail)}) == 1


def test_a_message_of_letters_that_is_not_whole_is_a_fault():
    world = formed(journals_first=True)
    release = held_journal(world, chain(world)[0])
    for i in range(2):
        write(world, i + 1)
    world.run(MS)

    def cut(packet):
        if Packet.unpack(packet).kind != CHAIN_UPDATE:
            return packet
        fields = list(MESSAGE.unpack_from(packet, HEADER.size))
        fields[3] -= 8
        return packet[: HEADER.size] + MESSAGE.pack(*fields) + packet[HEADER.size + MESSAGE.size : -8]

    carried(world, cut)
    release()
    with pytest.raises(RuntimeError, match="not whole"):
        world.run(10 * MS)


def test_what_all_have_is_told_to_the_predecessor_now_and_then():
    world = formed()
    _, middle, tail = chain(world)
    packets = carried(world)
    start_ns = world.now_ns
    for i in range(200):
        write(world, i + 1)
        world.run(MS // 10)
        assert world.members(0)[1].shards()[0]["logged"] <= 64 + 30  # and what is under way
    most = 200 // 64 + (world.now_ns - start_ns) // HEARTBEAT_NS + 1
    assert 1 <= n_packets(packets, tail, middle, CHAIN_ACK) <= most


def test_letters_without_an_answer_are_acknowledged_together_and_none_that_the_tail_has_not_on_its_disk():
    world = formed(journals_first=True)
    tail = chain(world)[-1]
    [node] = world.nodes
    packets = carried(world)
    release = held_journal(world, tail)
    for i in range(3):
        world.ask(node, sp.key_value(sp.OP_KV_PUT, f"key {i}", b"value"))
        world.run(MS)
    world.run(4 * MS)
    held = world.parties[tail].take_journal()
    world.ask(node, sp.key_value(sp.OP_KV_PUT, "late", b"value"))  # which the tail has applied, and not on its disk
    world.run(5 * MS)
    assert n_packets(packets, tail, node, STORE_ENTRIES) == 0
    world.parties[tail].journaled(world.now_ns, held)
    for packet in world.parties[tail].take_packets():
        world.carry(packet)
    told = [
        sp.STREAM_HEADER.unpack_from(p.payload)[5] for p in packets if p.kind == STORE_ENTRIES and p.target[0] == node
    ]
    assert told == [3]
    release()
    world.settle()
