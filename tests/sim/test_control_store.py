"""The control store on virtual machines: what it has acknowledged survives replicas, master and network."""

from __future__ import annotations

import hashlib
import random
from types import SimpleNamespace

import pytest

from raylite._core.store.endpoint import StoreEndpoint
from raylite.sim.cluster_host import ClusterHost
from raylite.sim.control_plane import MASTER, ControlPlane
from raylite.sim.fault_draws import FaultDraws
from raylite.sim.faults import KINDS
from raylite.sim.kernel import Kernel
from raylite.sim.party_host import PartyHost

S = 1_000_000_000
MS = 1_000_000
STORE_OK, STORE_UNKNOWN = 0, 1
REGISTER, CHAIN = 140, 143
OP_KV_PUT, OP_KV_GET, KV_OVERWRITE = 40, 41, 1
PROBE = 1 << 24 | 9
N_SHARDS = 4


class Store:
    """Three machines with a replica each, a probe on the fourth, the master on the last. crowded: there is a node on
    each of the three, too, which may crash with its machine."""

    def __init__(self, seed=7, rates=None, n_replicas=3, record=False, journals=True, crowded=False):
        faults = SimpleNamespace(**{**dict.fromkeys(KINDS, 0.0), **(rates or {})}, kept={})
        self.kernel = Kernel(seed, FaultDraws(seed, faults))
        self.cluster = ClusterHost(self.kernel, 5, record=record)
        self.plane = ControlPlane(
            self.cluster, n_replicas=n_replicas, n_shards=N_SHARDS, n_schedulers=0, journals=journals, check=True
        )
        self.cluster.place(PROBE, 3, self.maker(PROBE, 3))
        for number in range(3 * crowded):
            address = 1 << 24 | number
            self.cluster.place(address, number, self.maker(address, number), "node_crash")
        self.rng = random.Random(seed)
        self.values: dict[bytes, bytes] = {}  # what was acknowledged
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.last_token = 0
        self.put: dict[int, tuple[bytes, bytes]] = {}  # token -> key and value that were not yet

    def maker(self, address, number):
        def make(incarnation):
            endpoint = StoreEndpoint(address, incarnation, N_SHARDS)
            return PartyHost(self.cluster.network, self.cluster.machines[number], endpoint)

        return make

    @property
    def probe(self):
        return self.plane.party(PROBE)

    def ask(self, kind, key, body, flags=0):
        """Have the store do something; returns the token of its answer."""
        self.last_token += 1
        host = self.cluster.host(PROBE)
        object_id = hashlib.blake2b(key, digest_size=16).digest()
        now_ns = self.cluster.machines[3].clock_ns(self.kernel.now_ns)
        host.party.ask(now_ns, [(kind, object_id, body, flags, self.last_token)])
        host.did()
        return self.last_token

    def keep(self, key, value):
        padded = key + bytes(-len(key) % 8)
        return self.ask(OP_KV_PUT, key, len(key).to_bytes(8, "little") + padded + value, KV_OVERWRITE)

    def answer(self, token):
        """(status, body) of what the store has answered, None if it has not yet."""
        for _, _, body, status, answered in self.probe.take_entries_in():
            self.answers[answered] = status, body
        return self.answers.get(token)

    def run(self, duration_ns):
        self.kernel.pass_time(duration_ns)

    def write(self, n_keys=40):
        """Have a value kept under a key to which nothing is under way."""
        free = {b"key %d" % number for number in range(n_keys)} - {key for key, _ in self.put.values()}
        if free:
            key = self.rng.choice(sorted(free))
            value = b"%d" % self.rng.getrandbits(60)
            self.put[self.keep(key, value)] = key, value

    def take_answers(self):
        for token, (key, value) in list(self.put.items()):
            if answer := self.answer(token):
                assert answer[0] == STORE_OK
                self.values[key] = value
                del self.put[token]

    def wait_for(self, token, limit_ns=60 * S):
        until_ns = self.kernel.now_ns + limit_ns
        while self.answer(token) is None and self.kernel.now_ns < until_ns:
            self.run(10 * MS)
        return self.answer(token)

    def keep_all(self, values):
        for key, value in values.items():
            assert self.wait_for(self.keep(key, value))[0] == STORE_OK

    def check_all(self, values):
        for key, value in values.items():
            assert self.read(key) == (STORE_OK, value)

    def lengths(self):
        """How many members each chain has, as the master knows."""
        return [len(plan["members"]) for plan in self.plane.party(MASTER).chains()]

    def read(self, key):
        return self.wait_for(self.ask(OP_KV_GET, key, key))


def test_values_are_kept_and_told():
    store = Store()
    assert store.read(b"key") == (STORE_UNKNOWN, b"")
    assert store.wait_for(store.keep(b"key", b"value"))[0] == STORE_OK
    assert store.read(b"key") == (STORE_OK, b"value")
    plans = store.plane.party(MASTER).chains()
    assert [len(plan["members"]) for plan in plans] == [3] * N_SHARDS


VALUES = {b"%d" % number: b"%d" % -number for number in range(30)}


def test_the_loss_of_all_replicas_but_one_loses_nothing():
    store = Store(journals=False)
    store.keep_all(VALUES)
    for address in store.plane.replicas[:2]:
        assert store.plane.may_crash([address])
        store.cluster.kill(address)
    assert not store.plane.may_crash(store.plane.replicas[2:])
    store.check_all(VALUES)
    for address in store.plane.replicas[:2]:
        store.cluster.restart(address)
    store.run(20 * S)
    assert store.lengths() == [3] * N_SHARDS
    store.cluster.kill(store.plane.replicas[2])  # those that came back empty have it all
    store.check_all(VALUES)


def test_replicas_and_head_come_back_with_what_is_on_their_disks():
    store = Store()
    store.keep_all(VALUES)
    before = [plan["members"] for plan in store.plane.party(MASTER).chains()]
    assert store.plane.may_crash(store.plane.replicas)
    for address in (MASTER, *store.plane.replicas):
        store.cluster.kill(address)
    for address in (MASTER, *store.plane.replicas):
        store.cluster.restart(address)
    store.check_all(VALUES)
    after = [plan["members"] for plan in store.plane.party(MASTER).chains()]
    assert after == [[(address, 2) for address, _ in members] for members in before]  # each took its place again


def test_a_replica_whose_disk_is_lost_comes_back_with_nothing_and_joins():
    store = Store()
    store.keep_all(VALUES)
    for number in (0, 1, 2, 0):  # each before it is missed: the head learns of it by its registering
        address = store.plane.replicas[number]
        assert store.plane.may_lose([address])
        store.cluster.kill_machine(number, disk=True)
        store.cluster.restart_machine(number)
        assert not store.plane.may_lose(store.plane.replicas)
        store.check_all(VALUES)
        store.run(5 * S)
        assert store.lengths() == [3] * N_SHARDS


def test_what_a_process_was_writing_when_it_died_is_not_written_by_its_successors_side():
    store = Store()
    store.keep_all(VALUES)
    for _ in range(5):
        store.keep(b"late", b"value")
        store.run(60_000)  # some replica is writing
        for address in (*store.plane.replicas, MASTER):
            store.cluster.kill(address)
            store.cluster.restart(address)
        store.check_all(VALUES)
    assert store.read(b"late") == (STORE_OK, b"value")


def test_a_replica_whose_disk_is_full_is_silent_and_the_others_go_on():
    store = Store()
    store.keep_all(VALUES)
    disk = store.cluster.disks[1]
    disk.capacity_bytes = disk.used_bytes
    assert store.wait_for(store.keep(b"key", b"value"))[0] == STORE_OK
    store.run(5 * S)
    assert store.lengths() == [2] * N_SHARDS and store.cluster.host(store.plane.replicas[1]).is_stuck
    disk.capacity_bytes = 1 << 40
    store.run(5 * S)
    assert store.lengths() == [3] * N_SHARDS
    store.check_all({**VALUES, b"key": b"value"})


def test_a_journal_stays_as_long_as_what_it_is_of():
    store = Store()
    for number in range(400):
        store.wait_for(store.keep(b"key", bytes([number % 256]) * 20_000))
    assert all(disk.used_bytes < 3_000_000 for disk in store.cluster.disks[:3])  # 8 MB were written
    for address in store.plane.replicas:
        store.cluster.kill(address)
        store.cluster.restart(address)
    store.check_all({b"key": bytes([399 % 256]) * 20_000})


def test_the_master_speaks_of_nothing_that_its_disk_may_lose():
    store = Store(record=True)
    store.run(100 * MS)
    first_ns = {}
    for event in store.cluster.network.events():
        first_ns.setdefault((event["source"], event["target"], event["kind"]), event["time_ns"])
    asked_ns = min(time_ns for (_, target, kind), time_ns in first_ns.items() if (target, kind) == (MASTER, REGISTER))
    told_ns = min(time_ns for (source, _, kind), time_ns in first_ns.items() if (source, kind) == (MASTER, CHAIN))
    way_ns = 50_000
    assert told_ns - asked_ns >= store.cluster.disks[4].latency_ns + way_ns


def test_while_the_master_is_down_the_store_serves_and_afterwards_it_goes_on():
    store = Store()
    store.wait_for(store.keep(b"key", b"one"))
    epochs = [plan["epoch"] for plan in store.plane.party(MASTER).chains()]
    store.cluster.kill(MASTER)
    assert store.wait_for(store.keep(b"key", b"two"))[0] == STORE_OK
    store.cluster.kill(store.plane.replicas[0])
    store.run(5 * S)
    store.cluster.restart(MASTER)
    assert [plan["epoch"] for plan in store.plane.party(MASTER).chains()] == epochs  # by its journal
    assert store.read(b"key") == (STORE_OK, b"two")
    store.run(5 * S)
    assert all(len(plan["members"]) == 2 for plan in store.plane.party(MASTER).chains())


RATES = {
    "message_loss": 0.03,
    "message_duplication": 0.03,
    "message_delay": 0.03,
    "message_reordering": 0.03,
    "partition": 0.001,
    "slow_node": 0.2,
    "clock_skew": 0.5,
    "replica_crash": 0.003,
    "head_crash": 0.003,
}


@pytest.mark.parametrize("seed", [2, 9, *range(20, 26)])
def test_acknowledged_writes_survive_whatever_befalls(seed):
    survive(Store(seed=seed, rates=RATES, journals=False))


DISK_RATES = {"replica_crash": 0.01, "head_crash": 0.01, "node_crash": 0.005, "full_disk": 0.05, "message_loss": 0.02}


@pytest.mark.parametrize("seed", range(8))
def test_acknowledged_writes_survive_crashes_full_disks_and_lost_ones(seed):
    survive(Store(seed=seed, rates=DISK_RATES, crowded=True))


def survive(store):
    """Write under faults, then read."""
    for _ in range(300):
        for _ in range(store.rng.randrange(4)):
            store.write()
        store.run(store.rng.randrange(20) * MS)
        if store.probe is None or store.probe.incarnation > 1:
            break  # it counted as dead: what it had asked for may have been done or not
        store.take_answers()
    store.kernel.faults.stop()
    store.cluster.network.heal()
    store.run(20 * S)
    if store.probe.incarnation == 1:
        store.take_answers()
        assert not store.put  # every write was answered in the end
    unanswered = {key for key, _ in store.put.values()}
    assert store.values
    for key, value in store.values.items():
        status, found = store.read(key)
        assert status == STORE_OK and (found == value or key in unanswered)
    assert store.lengths() == [3] * N_SHARDS
    store.plane.check_invariants()
    store.run(5 * S)  # what acknowledges the last answers is on its way
    snapshots = [[store.plane.party(address).snapshot(shard) for address in store.plane.replicas] for shard in range(4)]
    assert all(each == copies[0] for copies in snapshots for each in copies)
