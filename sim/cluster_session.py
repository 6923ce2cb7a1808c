"""A simulated runtime of several nodes: each with its host and workers on a machine, the control plane beside them.

The driver is on node 0, and shares its fate: unless a program asks for it, no fault crashes that machine.
"""

import gc
from collections import deque

from raylite._core.cluster.member import NODE_ID, Member
from raylite.sim.cluster_host import ClusterHost
from raylite.sim.control_plane import MASTER, PARTY_NODE, ControlPlane, address_of
from raylite.sim.errors import DriverLostError
from raylite.sim.losses import why_kept
from raylite.sim.nodes import way_of
from raylite.sim.progress import gets_on
from raylite.sim.session import PROGRESS_S, SimulatedRuntime
from raylite.sim.victims import party_name
from raylite.sim.virtual_node import VirtualNode
from raylite.sim.waits import waits

PATIENCE_S = 30.0  # heartbeats go on for ever: if nothing else happens for so long, nothing will
REPLICAS_MOST = 3
DEAD_KEPT_MOST = 16  # nodes that died, for what they could tell
RATES = 0.5, 2.0  # of a clock: its seconds for each true one


class ClusterRuntime(SimulatedRuntime):
    """Args: as for SimulatedRuntime; spares_driver: whether faults spare the machine of the driver; network: arguments
    of ClusterNetwork; store: arguments of ControlPlane."""

    def __init__(self, config, *, spares_driver=True, network=None, store=None, **options):
        self.spares_driver = spares_driver
        self.network_options = network or {}
        self.store_options = store or {}
        self.nodes = {}
        self.dead = deque(maxlen=DEAD_KEPT_MOST)
        self.ending = False
        super().__init__(config, **options)

    def make_nodes(self, check, record):
        n_nodes = len(self.config.nodes)
        self.check = check
        self.cluster = ClusterHost(
            self.kernel,
            n_nodes + 1,
            spared=(0,) if self.spares_driver else (),
            record=record,
            **self.network_options,
        )
        self.cluster.on_killed = self.on_killed
        self.lay_network()
        self.kernel.patience_ns = int(PATIENCE_S * 1e9)
        store = {"n_replicas": min(n_nodes, REPLICAS_MOST), "check": check, **self.store_options}
        self.plane = ControlPlane(self.cluster, **store)
        for number in range(n_nodes):
            self.cluster.place(address_of(PARTY_NODE, number), number, self.maker(number), "node_crash")
        self.first = self.nodes[0]

    def lay_network(self):
        """Make links and disks what the configuration says of them."""
        network = self.config.network
        if network is not None:
            usual = {name: getattr(network, name) for name in ("latency_s", "jitter_s", "bytes_per_s")}
            self.cluster.network.set_usual(**way_of(**usual))
            for (start, end), given in network.links.items():
                self.set_link(start, end, **given)
        for number, node in enumerate(self.config.nodes):
            if node.disk is not None:
                self.cluster.disks[number].capacity_bytes = node.disk

    def maker(self, number):
        def make(incarnation):
            node = VirtualNode(
                self,
                self.config.of_node(number),
                number=number,
                incarnation=incarnation,
                cluster=self.cluster,
                member=self.member,
                check=self.check,
            )
            self.nodes[number] = node
            if incarnation > 1:
                self.told.append((self.now_s(), number, f"node {number} comes back"))
                node.start_workers()
            return node.host

        return make

    def member(self, virtual_node):
        """A node as a party."""
        labels = {**virtual_node.config.labels, NODE_ID: virtual_node.id}
        address = address_of(PARTY_NODE, virtual_node.number)
        return Member(virtual_node.node, address, MASTER, self.plane.n_shards, labels=labels)

    def start_workers(self):
        for node in self.alive():
            node.start_workers()

    def end_nodes(self):
        self.ending = True
        self.cluster.close()
        self.kernel.close()
        for node in (*self.dead, *self.nodes.values()):
            node.let_go()

    def settle(self):
        active_ns = -1
        while active_ns != self.kernel.active_ns:  # heartbeats go on, but are nothing that happens
            active_ns = self.kernel.active_ns
            gc.collect()
            self.kernel.settle()

    # ---- what dies ----

    def on_killed(self, what):
        """A machine or a party has died."""
        if self.ending or isinstance(what, int):
            return
        if what.address >> 24 == PARTY_NODE:
            self.dead.append(self.nodes[what.machine])
        self.told.append((self.now_s(), what.machine, f"{party_name(what.address)} is gone"))
        if what.address != address_of(PARTY_NODE, 0):
            return  # others may die before there is a driver
        driver = self.client.owner
        if driver.lost is None:
            self.kernel.failure = driver.lost = DriverLostError(
                f"node 0 died at {self.now_s():.6f} s, and with it the program, which runs there (seed {self.seed})"
            )

    def kill_node(self, number, disk=False):
        """A node dies with its machine. Raises ValueError if there is none of this number, or it is down."""
        if self.checked_node(number) in self.cluster.down:
            raise ValueError(f"node {number} is down already")
        self.cluster.kill_machine(number, disk)
        self.commanded("node_crash", address_of(PARTY_NODE, number))

    def restart_node(self, number):
        """A node comes back, empty but for its disk. Raises ValueError if there is none, or it is not down."""
        if self.checked_node(number) not in self.cluster.down:
            raise ValueError(f"node {number} is not down")
        self.cluster.restart_machine(number)

    def kill_replica(self, number):
        """A replica of the store dies. Raises ValueError if there is none of this number, or it is down."""
        self.cluster.kill_one(self.replica(number))
        self.commanded("replica_crash", self.replica(number))

    def restart_replica(self, number):
        """A replica comes back. Raises ValueError if there is none, or it, or its machine, is not down."""
        self.cluster.restart_one(self.replica(number))

    def kill_head(self):
        """The master dies. Raises ValueError if it is down."""
        self.cluster.kill_one(MASTER)
        self.commanded("head_crash", MASTER)

    def restart_head(self):
        """The master comes back, with its journal. Raises ValueError if it is not down."""
        self.cluster.restart_one(MASTER)

    def replica(self, number):
        """The address of a replica. Raises ValueError."""
        replicas = self.plane.replicas
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(replicas):
            raise ValueError(f"there is no replica {number!r}; there are 0 to {len(replicas) - 1}")
        return replicas[number]

    def checked_node(self, number):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self.config.nodes):
            raise ValueError(f"there is no node {number!r}; there are 0 to {len(self.config.nodes) - 1}")
        return number

    def partition(self, start, end=None, one_way=False):
        """Cut nodes off from others. See ClusterNetwork.partition."""
        sides = [self.checked_side(side) for side in (start, end) if side is not None]
        number = self.cluster.network.partition(*sides, one_way=one_way)
        self.commanded("partition", {"from": sides[0], "to": sides[1] if sides[1:] else None, "one_way": one_way})
        return number

    def checked_side(self, side):
        if isinstance(side, int):
            side = (side,)
        if not isinstance(side, (set, frozenset, list, tuple, range)):
            raise TypeError(f"a side of a partition is a set of nodes, not {side!r}")
        return sorted(self.checked_node(number) for number in side)

    def heal(self, number=None):
        """End a partition, or all."""
        self.cluster.network.heal(number)

    def set_link(self, start, end, one_way=False, **given):
        """Say what the link between two nodes is like. Raises TypeError or ValueError for what makes no sense."""
        way = way_of(**given)
        if self.checked_node(start) == self.checked_node(end):
            raise ValueError(f"a link is between two nodes, and {start} and {end} are one")
        self.cluster.network.set_way(start, end, **way)
        if not one_way:
            self.cluster.network.set_way(end, start, **way)

    def slow_node(self, number, times):
        """A node takes so many times as long for everything from now on."""
        machine = self.cluster.machines[self.checked_node(number)]
        if isinstance(times, bool) or not isinstance(times, (int, float)) or not 1 <= times <= 1000:
            raise ValueError(f"a node takes from 1 to 1000 times as long, not {times!r}")
        machine.slow_down(round(times * 100))
        if times > 1:
            self.commanded("slow_node", number)

    def skew_clock(self, number, ahead_s, rate):
        """A node's clock goes so much ahead, and from now on at this rate."""
        machine = self.cluster.machines[self.checked_node(number)]
        if isinstance(ahead_s, bool) or not isinstance(ahead_s, (int, float)) or not 0 <= ahead_s <= 1e6:
            raise ValueError(f"a clock goes ahead by 0 to 1e6 seconds (none goes back), not {ahead_s!r}")
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not RATES[0] <= rate <= RATES[1]:
            raise ValueError(f"a clock's rate is from {RATES[0]} to {RATES[1]}, not {rate!r}")
        machine.skew(self.kernel.now_ns, round(ahead_s * 1e9), round(rate * 1e6))
        self.commanded("clock_skew", number)

    def fill_disk(self, number, full):
        """Say whether writes to a node's disk fail."""
        self.cluster.disks[self.checked_node(number)].is_full = full
        if full:
            self.commanded("full_disk", number)

    def running(self, number):
        host = self.nodes[self.checked_node(number)].host
        if host.gone:
            raise ValueError(f"node {number} is down")
        return host

    def stop_faults(self, after_s=0.0):
        super().stop_faults(after_s)
        if not after_s:
            self.heal()

    # ---- reports ----

    def remembering(self):
        """The VirtualNodes that can be asked what they remember: those that are down, and those that are up."""
        return list(self.dead), self.alive()

    def reports_of_nodes(self):
        """Of each node, by number: its id, whether it is up, resources: name to (total, free) in 1/10000, labels."""
        return [
            {
                "id": node.id,
                "number": number,
                "alive": not node.host.gone,
                "resources": {} if node.host.gone else node.node.resources(),
                "labels": node.config.labels,
            }
            for number, node in sorted(self.nodes.items())
        ]

    def alive(self):
        """The nodes that are up, by number."""
        return [self.nodes[number] for number in sorted(self.nodes) if not self.nodes[number].host.gone]

    def sizes(self):
        """The sizes of all tables: of the nodes added up, and of the store by "store " and the name."""
        out = {}
        for node in self.alive():
            for name, size in node.node.sizes().items():
                out[name] = out.get(name, 0) + size
        return {**out, **{f"store {name}": size for name, size in self.plane.sizes().items()}}

    def workers(self):
        """The workers: dicts with node, client number, pid, running and queued tasks."""
        return [{"node": node.number, **worker} for node in self.alive() for worker in node.node.workers()]

    def story(self):
        """The remembered transitions of the nodes, also of the last ones that died: dicts, oldest first; times are the
        kernel's, whatever the nodes' clocks show."""
        rows = []
        for node in [*self.dead, *self.alive()]:
            true_ns = self.cluster.machines[node.number].true_ns
            story = node.node.story()
            rows += [{"node": node.number, **row, "time_ns": true_ns(row["time_ns"])} for row in story]
        return sorted(rows, key=lambda row: row["time_ns"])

    def waits(self):
        """Who waits for what, a line each."""
        return "\n  ".join(f"node {node.number}: {line}" for node in self.alive() for line in waits(node.node))

    def check_invariants(self):
        for node in self.alive():
            node.node.check_invariants()
        self.plane.check_invariants()

    def watch(self):
        self.kernel.set_alarm(PROGRESS_S, self.watch)
        lines = waits(self.node)
        is_waiting = lines and lines[0].startswith("the driver waits")
        if is_waiting and not any(gets_on(node.host, PROGRESS_S) for node in self.alive()):
            self.kernel.failure = self.no_progress()

    def lose(self, ref):
        reasons = []
        for node in self.alive():
            why = why_kept(node.node, ref.binary())
            if why is None:
                self.commanded("eviction", (node.number, ref.hex()))
                node.host.lose(ref.binary())
                return
            reasons.append(f"on node {node.number} {why}")
        raise ValueError(f"the bytes of {ref} cannot be lost: {'; '.join(reasons)}")

    def trace_hash(self):
        return self.cluster.network.trace_hash()

    def n_events(self):
        return self.cluster.network.n_events()

    def events(self):
        return self.cluster.network.events()
