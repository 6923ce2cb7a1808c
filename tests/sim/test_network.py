"""The network between virtual machines: literal packets in, times of arrival out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from raylite.sim.cluster_network import ClusterNetwork, Probe
from raylite.sim.fault_draws import FaultDraws
from raylite.sim.faults import KINDS
from raylite.sim.kernel import Kernel
from raylite.sim.machine import Machine

HEADER_BYTES = 112
START_NS = 1_000_000_000_000_000
LATENCY_NS = 10_000
MS = 1_000_000
FAR_NS = 10_000_000_000
MESSAGE_FAULTS = ("message_loss", "message_duplication", "message_delay", "message_reordering")


class World:
    """Machines with a probe on each, address 100 + machine; one nanosecond a byte, no jitter."""

    def __init__(self, n_machines=3, seed=7, kept=None, rates=None, **network):
        self.machines = [Machine(number) for number in range(n_machines)]
        faults = FaultDraws(seed, SimpleNamespace(**{**dict.fromkeys(KINDS, 0.0), **(rates or {})}, kept=kept or {}))
        self.kernel = Kernel(seed, faults)
        options = {"latency_ns": LATENCY_NS, "jitter_ns": 0, "bytes_per_s": 10**9, **network}
        self.network = ClusterNetwork(self.kernel, self.machines, **options)
        self.probes = [Probe(100 + machine.number, machine, self.network) for machine in self.machines]

    def send(self, start, end, numbers, payload=b""):
        for number in numbers:
            self.probes[start].send(100 + end, number, payload)

    def run(self, until_ns=FAR_NS):
        """Let time pass until so long after the start."""
        self.kernel.pass_time(START_NS + until_ns - self.kernel.now_ns)

    def arrived(self, machine):
        """(time since the start, number) of each packet that came."""
        return [(time_ns - START_NS, number) for time_ns, _, number, _ in self.probes[machine].arrived]

    def numbers(self, machine):
        return [number for _, number in self.arrived(machine)]

    def occurred(self, kind):
        return [fault for fault in self.network.faults.occurred if fault[0] == list(KINDS).index(kind)]


def test_a_packet_takes_its_size_and_the_latency():
    world = World()
    world.probes[0].send(101, 5, b"x" * 1000)
    world.run()
    assert world.probes[1].arrived == [(START_NS + HEADER_BYTES + 1000 + LATENCY_NS, 100, 5, b"x" * 1000)]


def test_what_follows_a_large_packet_waits_until_it_has_left():
    world = World()
    world.send(0, 1, [1], b"x" * 1_000_000)
    world.send(0, 1, [2])
    world.send(0, 2, [3])  # another way
    world.run()
    left_ns = HEADER_BYTES + 1_000_000
    assert world.arrived(1) == [(left_ns + LATENCY_NS, 1), (left_ns + HEADER_BYTES + LATENCY_NS, 2)]
    assert world.arrived(2) == [(HEADER_BYTES + LATENCY_NS, 3)]


def test_each_way_has_its_own_latency_jitter_and_bandwidth():
    world = World()
    world.network.set_way(0, 1, latency_ns=500, bytes_per_s=10**8)
    world.network.set_way(1, 0, bytes_per_s=0)
    world.send(0, 1, [1])
    world.send(1, 0, [2], b"x" * 10_000_000)
    world.run()
    assert world.arrived(1) == [(HEADER_BYTES * 10 + 500, 1)]
    assert world.arrived(0) == [(LATENCY_NS, 2)]


def test_within_a_machine_nothing_befalls_a_packet():
    rates = dict.fromkeys((*MESSAGE_FAULTS, "partition"), 1.0)
    world = World(rates=rates)
    Probe(200, world.machines[0], world.network).send(100, 1, b"x" * 1_000_000)
    world.run()
    assert world.arrived(0) == [(5000, 1)] and not world.network.faults.occurred


def test_jitter_is_drawn_and_never_reorders():
    world = World(jitter_ns=1_000_000)
    world.send(0, 1, range(200))
    world.run()
    times = [time_ns for time_ns, _ in world.arrived(1)]
    assert world.numbers(1) == list(range(200))
    assert times == sorted(times) and len(set(times)) > 5
    assert min(times) >= LATENCY_NS and max(times) <= LATENCY_NS + 1_000_000 + 200 * HEADER_BYTES


def test_a_lost_packet_is_lost_and_nothing_else():
    world = World(rates={"message_loss": 0.2})
    world.send(0, 1, range(500))
    world.run()
    lost = set(range(500)) - set(world.numbers(1))
    assert world.numbers(1) == sorted(world.numbers(1)) and 50 < len(lost) < 150
    assert len(world.occurred("message_loss")) == len(lost) == world.network.n_lost
    assert {fault[3] for fault in world.network.faults.occurred} == {(100, 101)}
    fault_free = World()
    fault_free.send(0, 1, range(500))
    fault_free.run()
    assert world.arrived(1) == [row for row in fault_free.arrived(1) if row[1] not in lost]


def test_a_repeated_packet_comes_once_more_later():
    world = World(rates={"message_duplication": 0.2})
    world.send(0, 1, range(500), b"payload")
    world.run()
    firsts = list(dict.fromkeys(world.numbers(1)))
    assert firsts == list(range(500))
    assert len(world.numbers(1)) - 500 == len(world.occurred("message_duplication")) > 50
    assert {payload for _, _, _, payload in world.probes[1].arrived} == {b"payload"}


def test_a_delayed_packet_holds_up_what_follows():
    world = World(rates={"message_delay": 0.02})
    world.send(0, 1, range(500))
    world.run()
    assert world.numbers(1) == list(range(500)) and world.occurred("message_delay")
    usual_ns = [(number + 1) * HEADER_BYTES + LATENCY_NS for number in range(500)]
    late_ns = [time_ns - usual for (time_ns, _), usual in zip(world.arrived(1), usual_ns, strict=True)]
    assert min(late_ns) == 0 and LATENCY_NS < max(late_ns) <= 99 * LATENCY_NS


def test_an_overtaken_packet_holds_up_nothing():
    world = World(rates={"message_reordering": 0.1})
    world.send(0, 1, range(500))
    world.run()
    n_overtaken = len(world.occurred("message_reordering"))
    usual = {(((number + 1) * HEADER_BYTES) + LATENCY_NS, number) for number in range(500)}
    assert sorted(world.numbers(1)) == list(range(500)) != world.numbers(1)
    assert len(usual - set(world.arrived(1))) == n_overtaken > 20


def test_a_partition_cuts_both_ways_until_it_heals():
    world = World()
    world.send(0, 1, [1])
    number = world.network.partition({0}, {1})
    world.send(0, 1, [2])
    world.send(1, 0, [3])
    world.send(0, 2, [4])
    world.send(2, 1, [5])
    world.run(MS)
    assert (world.numbers(0), world.numbers(1), world.numbers(2)) == ([], [1, 5], [4])
    world.network.heal(number)
    world.network.heal(number)
    world.send(0, 1, [6])
    world.run()
    assert world.numbers(1) == [1, 5, 6]


def test_a_partition_of_one_way_lets_the_other_pass():
    world = World()
    world.network.partition({0}, one_way=True)
    for start, end in ((0, 1), (0, 2), (1, 0), (2, 0), (1, 2)):
        world.send(start, end, [10 * start + end])
    world.run()
    assert [sorted(world.numbers(machine)) for machine in range(3)] == [[10, 20], [], [12]]
    assert world.network.is_cut(0, 1) and not world.network.is_cut(1, 0)


def test_partitions_overlap_and_all_heal_at_once():
    world = World()
    first = world.network.partition({0}, {1, 2})
    world.network.partition({0, 1}, {2})
    world.network.heal(first)
    assert [world.network.is_cut(0, end) for end in (1, 2)] == [False, True]
    world.network.heal()
    assert not any(world.network.is_cut(a, b) for a in range(3) for b in range(3))


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (({0}, {3}), "there is no machine 3; there are 0 to 2"),
        (({0}, {0, 1}), "machine 0 is on both sides"),
        (([], {1}), "on both sides, not"),
        (({0, 1, 2}, None), "on both sides, not"),
        (({True}, {1}), "there is no machine True"),
        (({"a"}, {1}), "there is no machine 'a'"),
    ],
)
def test_a_partition_that_makes_no_sense_is_refused(sides, words):
    world = World()
    with pytest.raises(ValueError, match=words):
        world.network.partition(*sides)
    assert not any(world.network.is_cut(a, b) for a in range(3) for b in range(3))


def test_drawn_partitions_begin_and_heal():
    world = World(rates={"partition": 0.02})
    for round_ in range(400):
        for start, end in ((0, 1), (1, 2), (2, 0)):
            world.send(start, end, [round_])
        world.run((round_ + 1) * 10 * MS)
    shapes = {(fault[3]["to"] is None, fault[3]["one_way"]) for fault in world.occurred("partition")}
    assert shapes == {(False, False), (False, True), (True, False)}
    assert 0 < world.network.n_lost == 1200 - sum(len(world.numbers(machine)) for machine in range(3))
    world.run(2 * FAR_NS)
    assert not any(world.network.is_cut(a, b) for a in range(3) for b in range(3))


def test_to_an_address_that_is_down_packets_are_lost():
    world = World()
    world.send(0, 1, [1])
    world.network.disconnect(world.probes[1])
    world.send(0, 1, [2])
    world.run(5000)
    again = Probe(101, world.machines[1], world.network)
    world.run()
    assert world.probes[1].arrived == [] and [row[2] for row in again.arrived] == [1, 2]  # it was back in time
    world.network.disconnect(again)
    world.send(0, 1, [3])
    world.run(2 * FAR_NS)
    assert world.network.n_lost == 1
    with pytest.raises(RuntimeError, match="0x63, which never was there"):
        world.probes[0].send(99, 4)


def test_a_slow_machine_slows_what_it_sends_and_gets():
    world = World()
    world.machines[1].slow_down(1000)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        world.send(start, end, [0])
    world.run()
    usual_ns = HEADER_BYTES + LATENCY_NS
    assert [world.arrived(machine)[0][0] for machine in range(3)] == [usual_ns, usual_ns * 10, usual_ns * 10]
    with pytest.raises(ValueError, match="from 100 to"):
        world.machines[1].slow_down(99)


def test_clocks_differ_and_never_go_back():
    machine = Machine(0)
    assert machine.clock_ns(START_NS + 5) == START_NS + 5
    machine.skew(START_NS + 1000, 500, 900_000)
    assert machine.clock_ns(START_NS + 1000) == START_NS + 1500
    assert machine.clock_ns(START_NS + 2000) == START_NS + 2400
    machine.skew(START_NS + 2000, 0, 2_000_000)
    assert [machine.clock_ns(START_NS + 2000 + after) for after in (0, 1, 10)] == [
        START_NS + 2400 + after for after in (0, 2, 20)
    ]
    with pytest.raises(ValueError, match="from 500000 to 2000000 parts per million"):
        machine.skew(START_NS, 0, 2_000_001)


def swarm(rates, kept=None, seed=11):
    """A world after many packets under faults."""
    world = World(4, seed=seed, rates=rates, kept=kept, jitter_ns=30_000)
    for round_ in range(50):
        for start in range(4):
            for end in range(4):
                world.send(start, end, [round_], b"x" * (round_ * 100))
        world.run((round_ + 1) * MS)
    world.run()
    return world


ALL = dict.fromkeys((*MESSAGE_FAULTS, "partition"), 0.05)


def test_a_fault_that_is_left_out_shifts_no_draw():
    rates = {**ALL, "partition": 0.002}
    everything = swarm(rates).network.faults.occurred
    for kind, name in enumerate(KINDS):
        numbers = [fault[1] for fault in everything if fault[0] == kind]
        if name == "message_reordering":
            kept = {name: [number for number in numbers if number != numbers[3]]}
            fewer = swarm(rates, kept).network.faults.occurred
            left_out = (kind, numbers[3])
    assert fewer == [fault for fault in everything if (fault[0], fault[1]) != left_out]
    without_loss = swarm({**rates, "message_loss": 0.0}).network.faults.occurred
    loss = list(KINDS).index("message_loss")
    befell = [fault for fault in everything if fault[0] != loss]
    assert [fault for fault in without_loss if fault in befell] == befell  # and what would have befallen lost packets


PROGRAM = """
from tests.sim.test_network import ALL, swarm
world = swarm(ALL)
print(world.network.trace_hash(), world.network.n_events(), len(world.network.faults.occurred))
"""


def test_the_same_seed_is_the_same_stream_of_events():
    outputs = set()
    for hash_seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(run.stdout)
    here = swarm(ALL).network
    assert outputs == {f"{here.trace_hash()} {here.n_events()} {len(here.faults.occurred)}\n"}
    assert swarm(ALL, seed=12).network.trace_hash() != here.trace_hash()
    assert swarm({**ALL, "partition": 0.0}).network.trace_hash() != here.trace_hash()
