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
    """Three machines with a replica each, the master on a fourth, and a probe on the third or on one of its own."""

    def __init__(self, seed=7, rates=None, n_replicas=3, record=False):
        faults = SimpleNamespace(**{**dict.fromkeys(KINDS, 0.0), **(rates or {})}, kept={})
        self.kernel = Kernel(seed, FaultDraws(seed, faults))
        self.cluster = ClusterHost(self.kernel, 5, record=record)
        self.plane = ControlPlane(self.cluster, n_replicas=n_replicas, n_shards=N_SHARDS, n_schedulers=0, check=True)
        self.cluster.place(PROBE, 3, self.make_probe)
        self.rng = random.Random(seed)
        self.values: dict[bytes, bytes] = {}  # what was acknowledged
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.last_token = 0
        self.put: dict[int, tuple[bytes, bytes]] = {}  # token -> key and value that were not yet

    def make_probe(self, incarnation):
        return PartyHost(self.cluster.network, self.cluster.machines[3], StoreEndpoint(PROBE, incarnation, N_SHARDS))

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

    def read(self, key):
        return self.wait_for(self.ask(OP_KV_GET, key, key))


def test_values_are_kept_and_told():
    store = Store()
    assert store.read(b"key") == (STORE_UNKNOWN, b"")
    assert store.wait_for(store.keep(b"key", b"value"))[0] == STORE_OK
    assert store.read(b"key") == (STORE_OK, b"value")
    plans = store.plane.party(MASTER).chains()
    assert [len(plan["members"]) for plan in plans] == [3] * N_SHARDS


def test_the_loss_of_all_replicas_but_one_loses_nothing():
    store = Store()
    for number in range(30):
        store.wait_for(store.keep(b"%d" % number, b"%d" % -number))
    for address in store.plane.replicas[:2]:
        assert store.plane.may_crash([address])
        store.cluster.kill(address)
    assert not store.plane.may_crash(store.plane.replicas[2:])
    for number in range(30):
        assert store.read(b"%d" % number) == (STORE_OK, b"%d" % -number)
    for address in store.plane.replicas[:2]:
        store.cluster.restart(address)
    store.run(20 * S)
    assert [len(plan["members"]) for plan in store.plane.party(MASTER).chains()] == [3] * N_SHARDS
    store.cluster.kill(store.plane.replicas[2])  # those that came back empty have it all
    for number in range(30):
        assert store.read(b"%d" % number) == (STORE_OK, b"%d" % -number)


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
    store = Store(seed=seed, rates=RATES)
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
    for plan in store.plane.party(MASTER).chains():
        assert len(plan["members"]) == 3
    store.plane.check_invariants()
    store.run(5 * S)  # what acknowledges the last answers is on its way
    snapshots = [[store.plane.party(address).snapshot(shard) for address in store.plane.replicas] for shard in range(4)]
    assert all(each == copies[0] for copies in snapshots for each in copies)
