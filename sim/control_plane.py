"""The control plane of a virtual cluster beside its nodes: the master, the replicas of the store, global schedulers.

The master is on a machine of its own, the last one, with its journal; replicas and schedulers are on the machines of
the nodes, one on each from the first on, and die with them. A replica keeps a journal on its machine's disk, and comes
back with what it had. The store keeps what is acknowledged as long as there is one replica of each chain that has it
all, alive or on a disk, so no fault takes the last one.
"""

from __future__ import annotations

from raylite._core.scheduler.global_scheduler import GlobalScheduler
from raylite._core.store.master import Master
from raylite._core.store.replica import Replica
from raylite.sim.journal_host import JournalHost, ReplicaHost
from raylite.sim.party_host import PartyHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.sim.cluster_host import ClusterHost

PARTY_NODE, PARTY_REPLICA, PARTY_MASTER, PARTY_SCHEDULER = range(1, 5)
JOURNAL = "master"


def address_of(kind: int, number: int) -> int:
    """The address of a party."""
    return kind << 24 | number


MASTER = address_of(PARTY_MASTER, 0)


class ControlPlane:
    """Args: cluster: its last machine is the master's; n_replicas: of each chain; n_shards: of the store; n_schedulers;
    journals: whether replicas keep any; archives: whether rows of tasks that nothing can need again are kept on disk;
    check: check every table of the store after every update; master: times, as
    Master takes them."""

    def __init__(
        self,
        cluster: ClusterHost,
        *,
        n_replicas: int = 2,
        n_shards: int = 4,
        n_schedulers: int = 1,
        journals: bool = True,
        archives: bool = False,
        check: bool | None = None,
        **master: int,
    ) -> None:
        self.cluster = cluster
        self.n_shards = n_shards
        self.journals = journals
        self.archives = archives
        self.check = check
        self.master_options = {"n_shards": n_shards, "n_replicas": n_replicas, **master}
        n_nodes = len(cluster.machines) - 1
        self.replicas = [address_of(PARTY_REPLICA, number) for number in range(n_replicas)]
        self.schedulers = [address_of(PARTY_SCHEDULER, number) for number in range(n_schedulers)]
        cluster.may_crash = self.may_crash
        cluster.may_wipe = self.may_lose
        cluster.network.may_last = self.may_last
        cluster.place(MASTER, n_nodes, self.make_master, "head_crash")
        for number, address in enumerate(self.replicas):
            cluster.place(address, number % n_nodes, self.replica_maker(address), "replica_crash")
        for number, address in enumerate(self.schedulers):
            cluster.place(address, number % n_nodes, self.maker(address, self.scheduler))

    def make_master(self, incarnation: int) -> Any:
        machine = len(self.cluster.machines) - 1
        party, disk = Master(incarnation, **self.master_options), self.cluster.disks[machine]
        party.replay(disk.read(JOURNAL))
        return JournalHost(self.cluster.network, self.cluster.machines[machine], party, disk, JOURNAL)

    def replica_maker(self, address: int) -> Any:
        def make(incarnation: int) -> Any:
            number = self.cluster.places[address].machine
            machine, disk = self.cluster.machines[number], self.cluster.disks[number]
            party = Replica(address, incarnation, journals=self.journals, keeps_archive=self.archives, debug=self.check)
            if not (self.journals or self.archives):
                return PartyHost(self.cluster.network, machine, party)
            file = f"replica {address & 0xFFFFFF}"
            party.replay(self.n_shards, disk.read(file))
            return ReplicaHost(self.cluster.network, machine, party, disk, file)

        return make

    def scheduler(self, address: int, incarnation: int) -> GlobalScheduler:
        return GlobalScheduler(address, incarnation, master=MASTER)

    def maker(self, address: int, kind: Any) -> Any:
        def make(incarnation: int) -> Any:
            machine = self.cluster.machines[self.cluster.places[address].machine]
            return PartyHost(self.cluster.network, machine, kind(address, incarnation))

        return make

    def party(self, address: int) -> Any:
        """The party of this address, None if it is down."""
        place = self.cluster.places.get(address)
        return None if place is None or place.host is None else place.host.party

    # ---- what the store survives ----

    def may_crash(self, addresses: list[int]) -> bool:
        """Whether these may die at once, and come back with what their disks have."""
        return self.journals or self.may_lose(addresses)

    def may_lose(self, addresses: list[int]) -> bool:
        """Whether all that these have may be lost: what any replica has applied, one that stays in the chain has."""
        victims = set(addresses).intersection(self.replicas)
        if not victims:
            return True
        master = self.party(MASTER)
        if master is None:
            return False
        views = {address: party.shards() for address in self.replicas if (party := self.party(address)) is not None}
        victims.update(self.out_of_touch(master))
        return all(self.survives(shard, plan, views, victims) for shard, plan in enumerate(master.chains()))

    def out_of_touch(self, master: Any) -> list[int]:
        """The replicas that the master may soon take for dead, because it does not hear them."""
        head, members = self.cluster.places[MASTER].machine, master.members()
        out = []
        for address in filter(self.party, self.replicas):
            machine = self.cluster.places[address].machine
            is_cut = self.cluster.network.is_cut(machine, head) or self.cluster.network.is_cut(head, machine)
            if is_cut or members.get(address, (0, True))[1]:
                out.append(address)
        return out

    def may_last(self, start: int, end: int | None) -> bool:
        """Whether machines (None: all others) may be cut off from each other so long that one is taken for dead."""
        head = self.cluster.places[MASTER].machine
        if head not in (start, end) and end is not None:
            return True
        if start != head:
            lost = [start]
        else:
            lost = [end] if end is not None else list(range(head))
        return self.may_crash([address for machine in lost for address in self.cluster.on(machine)])

    def survives(self, shard: int, plan: dict[str, Any], views: dict[int, Any], victims: set[int]) -> bool:
        applied, kept = 0, -1
        for address, shards in views.items():
            view = shards.get(shard)
            if view is None or not view["has_state"]:
                continue
            applied = max(applied, view["applied"])
            is_member = (address, self.party(address).incarnation) in plan["members"]
            if is_member and address not in victims and view["epoch"] == plan["epoch"]:
                kept = max(kept, view["applied"])
        return kept >= applied

    # ---- reports ----

    def sizes(self) -> dict[str, int]:
        """How many rows each table of the store has, all shards together."""
        out: dict[str, int] = {}
        for shard in range(self.n_shards):
            for party in map(self.party, self.replicas):
                if party is not None and party.shards().get(shard, {}).get("has_state"):
                    for name, size in party.sizes(shard).items():
                        out[name] = out.get(name, 0) + size
                    break
        return out

    def check_invariants(self) -> None:
        """Check the tables of all parties. Raises RuntimeError if they contradict each other."""
        for address in (MASTER, *self.replicas, *self.schedulers):
            party = self.party(address)
            if party is not None:
                party.check_invariants()
