"""A control store in a virtual network: master, replicas and endpoints, their packets delayed, lost, repeated, reordered.

One thread, virtual time, a heap of (time, sequence), one seeded generator: a run is its seed. Endpoints are nodes whose
only part is the store's; what they do is up to the test.
"""

from __future__ import annotations

import heapq
import random
import struct
from typing import Any

from raylite._core.store.endpoint import StoreEndpoint
from raylite._core.store.master import Master
from raylite._core.store.replica import Replica
from tests.core import store_protocol as sp

MS = 1_000_000
HEADER = struct.Struct("<IIII")  # of a packet: source, target
JOURNAL_BEGUN = 4
HEARTBEAT_NS, SUSPECT_NS, DEAD_NS = 20 * MS, 60 * MS, 200 * MS


class Journal:
    """What survives the end of a process: its records, as far as they were written."""

    def __init__(self) -> None:
        self.records: list = []


class World:
    """Args: seed, n_shards, n_replicas: of each chain, n_spare: replicas beside those, n_nodes: endpoints, loss: of
    packets, delay_ns: least and most, journals_first: whether replicas start again with what they had."""

    def __init__(self, seed: int, *, n_shards: int = 2, n_replicas: int = 3, n_spare: int = 0, n_nodes: int = 2,
                 loss: float = 0.0, repeats: float = 0.0, delay_ns=(MS // 10, MS), journals_first: bool = False,
                 debug: bool = True) -> None:  # fmt: skip
        self.random = random.Random(seed)
        self.now_ns = 1
        self.sequence = 0
        self.packets: list[tuple[int, int, int, bytes]] = []
        self.timers: list[tuple[int, int, int, Any]] = []
        self.n_shards, self.n_replicas, self.journals_first, self.debug = n_shards, n_replicas, journals_first, debug
        self.loss, self.repeats, self.delay_ns = loss, repeats, delay_ns
        self.cut: set[tuple[int, int]] = set()  # pairs of addresses that cannot reach each other
        self.parties: dict[int, Any] = {}
        self.incarnations: dict[int, int] = {}
        self.journals: dict[int, Journal] = {}
        self.replicas = [sp.party(sp.PARTY_REPLICA, i) for i in range(n_replicas + n_spare)]
        self.nodes = [sp.node(i) for i in range(n_nodes)]
        for address in (sp.MASTER, *self.replicas, *self.nodes):
            self.journals[address] = Journal()
            self.start(address)

    # ---- parties ----

    def start(self, address: int) -> None:
        """Start a party, again if it was there: with its journal, if it keeps one."""
        incarnation = self.incarnations[address] = self.incarnations.get(address, 0) + 1
        journal = self.journals[address]
        kind = address >> 24
        party: Any
        if kind == sp.PARTY_MASTER:
            party = Master(incarnation, n_shards=self.n_shards, n_replicas=self.n_replicas, heartbeat_ns=HEARTBEAT_NS,
                           suspect_ns=SUSPECT_NS, dead_ns=DEAD_NS)  # fmt: skip
            party.replay(journal.records)
        elif kind == sp.PARTY_REPLICA:
            party = Replica(address, incarnation, journals=self.journals_first, debug=self.debug)
            if self.journals_first and journal.records:
                party.replay(self.n_shards, journal.records)
        else:
            party = StoreEndpoint(address, incarnation, self.n_shards, ack_delay_ns=5 * MS)
        self.parties[address] = party
        party.begin(self.now_ns)
        self.after(party)

    def crash(self, address: int) -> None:
        """End a party; what it had not sent or written is gone."""
        self.parties.pop(address, None)

    def lose_disk(self, address: int) -> None:
        """What was written there is gone; its party must be down."""
        assert address not in self.parties
        self.journals[address] = Journal()

    def after(self, party: Any) -> None:
        """Carry what a party has left: records first, then packets."""
        address = party.address
        if address >> 24 == sp.PARTY_MASTER:
            self.journals[address].records += party.take_journal()
        elif address >> 24 == sp.PARTY_REPLICA and self.journals_first:
            self.write_journal(party)
        for packet in party.take_packets():
            self.carry(packet)
        deadline = party.deadline()
        if deadline:
            self.sequence += 1
            heapq.heappush(self.timers, (max(deadline, self.now_ns + 1), self.sequence, address, party))

    def write_journal(self, replica: Any) -> None:
        while records := replica.take_journal():
            kept = self.journals[replica.address].records
            for shard, kind, number, data in records:
                if kind == 1:  # supersedes
                    kept[:] = [record for record in kept if record[0] != shard or record[1] == JOURNAL_BEGUN]
                kept.append((shard, kind, number, data))
            replica.journaled(self.now_ns, records)

    # ---- the network ----

    def carry(self, packet: bytes) -> None:
        target = HEADER.unpack_from(packet)[1]
        copies = 1 if self.random.random() >= self.loss else 0
        copies += self.random.random() < self.repeats
        for _ in range(copies):
            self.sequence += 1
            arrives = self.now_ns + self.random.randint(*self.delay_ns)
            heapq.heappush(self.packets, (arrives, self.sequence, target, packet))

    def partition(self, some, others) -> None:
        self.cut |= {(a, b) for a in some for b in others} | {(b, a) for a in some for b in others}

    def heal(self) -> None:
        self.cut.clear()
        self.loss = self.repeats = 0.0

    def step(self, until_ns: int) -> bool:
        """The next thing that happens up to then; False if there is none."""
        packet_ns = self.packets[0][0] if self.packets else until_ns + 1
        timer_ns = self.timers[0][0] if self.timers else until_ns + 1
        if min(packet_ns, timer_ns) > until_ns:
            return False
        self.now_ns = max(self.now_ns, min(packet_ns, timer_ns))
        if packet_ns <= timer_ns:
            _, _, target, packet = heapq.heappop(self.packets)
            party = self.parties.get(target)
            if party is not None and HEADER.unpack_from(packet)[:2] not in self.cut:
                party.take_in(self.now_ns, packet)
                self.after(party)
                self.revive(party)
        else:
            _, _, target, party = heapq.heappop(self.timers)
            if self.parties.get(target) is party and 0 < party.deadline() <= self.now_ns:
                party.pass_time(self.now_ns)
                self.after(party)
                self.revive(party)
        return True

    def revive(self, party: Any) -> None:
        """Who was declared dead while it lived starts anew."""
        if party.fenced and self.parties.get(party.address) is party:
            self.start(party.address)

    def run(self, time_ns: int) -> None:
        until = self.now_ns + time_ns
        while self.step(until):
            pass
        self.now_ns = max(self.now_ns, until)

    def run_until(self, condition, limit_ns: int = 60_000 * MS) -> None:
        until = self.now_ns + limit_ns
        while not condition():
            assert self.step(until), f"nothing more happens: {self.report()}"

    # ---- endpoints ----

    def ask(self, node: int, *items: sp.Item, shard: int | None = None) -> None:
        """Let an endpoint say something to the store, in one event."""
        endpoint = self.parties[node]
        endpoint.ask(
            self.now_ns, [(item.kind, item.object, item.body, item.flags, item.token) for item in items], shard
        )
        self.after(endpoint)

    def entries(self, node: int) -> list[sp.Item]:
        return [sp.Item(*entry) for entry in self.parties[node].take_entries_in()]

    # ---- what there is ----

    def master(self) -> Any:
        return self.parties[sp.MASTER]

    def members(self, shard: int) -> list[Any]:
        """The replicas of a shard's chain that are there, head first."""
        plan = self.master().chains()[shard]
        here = [(self.parties.get(address), incarnation) for address, incarnation in plan["members"]]
        return [party for party, incarnation in here if party is not None and party.incarnation == incarnation]

    def sizes(self, shard: int) -> dict[str, int]:
        return self.members(shard)[-1].sizes(shard)

    def is_formed(self) -> bool:
        return sp.MASTER in self.parties and all(plan["epoch"] for plan in self.master().chains())

    def is_quiet(self) -> bool:
        """Whether all chains are as long as they can be, and nothing waits for anything."""
        if sp.MASTER not in self.parties or self.master().dying():
            return False
        members = self.master().members()
        for address, party in self.parties.items():
            if address != sp.MASTER and members.get(address, (0,))[0] != party.incarnation:
                return False
        if any(address >> 24 == sp.PARTY_NODE and address not in self.parties for address in members):
            return False  # a death that the master has not seen
        n_live = sum(address in self.parties for address in self.replicas)
        for shard, plan in enumerate(self.master().chains()):
            if plan["joiner"] or len(plan["members"]) < min(self.n_replicas, n_live):
                return False
            replicas = self.members(shard)
            if len(replicas) < len(plan["members"]):
                return False
            states = [replica.shards().get(shard) for replica in replicas]
            if any(s is None or s["epoch"] != plan["epoch"] or s["applied"] != s["acknowledged"] for s in states):
                return False
            if len({state["applied"] for state in states}) > 1:
                return False
            sizes = replicas[-1].sizes(shard)
            if sizes["letters"] or sizes["answers"]:
                return False
        return not any(self.parties[node].unacknowledged() for node in self.nodes if node in self.parties)

    def settle(self, limit_ns: int = 60_000 * MS) -> None:
        """Go on until nothing happens any more; then all replicas of a shard have the same tables."""
        until = self.now_ns + limit_ns
        while not self.is_quiet():
            before = self.now_ns
            self.run(10 * MS)
            assert before < until, f"not quiet: {self.report()}"
        for shard in range(self.n_shards):
            snapshots = {replica.snapshot(shard) for replica in self.members(shard)}
            assert len(snapshots) == 1, f"the replicas of shard {shard} differ"
        for party in self.parties.values():
            party.check_invariants()

    def report(self) -> str:
        lines = []
        if sp.MASTER in self.parties:
            lines += [f"chains {self.master().chains()}", f"members {self.master().members()}",
                      f"dying {self.master().dying()}"]  # fmt: skip
        for address, party in self.parties.items():
            if address >> 24 == sp.PARTY_REPLICA:
                shards = party.shards()
                lines.append(f"{address:x}: {shards} {[party.sizes(shard) for shard in shards]}")
            elif address >> 24 == sp.PARTY_NODE:
                lines.append(f"{address:x}: {party.unacknowledged()} unacknowledged")
        return "\n".join(lines)
