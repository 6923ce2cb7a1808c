"""A simulated runtime of several nodes: each with its host and workers on a machine, the control plane beside them.

The driver is on node 0, and shares its fate: unless a program asks for it, no fault crashes that machine.
"""

import gc

from raylite._core.cluster.member import NODE_ID, Member
from raylite.sim.cluster_host import ClusterHost
from raylite.sim.control_plane import MASTER, PARTY_NODE, ControlPlane, address_of
from raylite.sim.errors import DriverLostError
from raylite.sim.losses import why_kept
from raylite.sim.progress import gets_on
from raylite.sim.session import PROGRESS_S, SimulatedRuntime
from raylite.sim.virtual_node import VirtualNode
from raylite.sim.waits import waits

PATIENCE_S = 30.0  # heartbeats go on for ever: if nothing else happens for so long, nothing will
REPLICAS_MOST = 3


class ClusterRuntime(SimulatedRuntime):
    """Args: as for SimulatedRuntime; spares_driver: whether faults spare the machine of the driver; network: arguments
    of ClusterNetwork; store: arguments of ControlPlane."""

    def __init__(self, config, *, spares_driver=True, network=None, store=None, **options):
        self.spares_driver = spares_driver
        self.network_options = network or {}
        self.store_options = store or {}
        self.nodes = {}
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
        self.kernel.patience_ns = int(PATIENCE_S * 1e9)
        store = {"n_replicas": min(n_nodes, REPLICAS_MOST), "check": check, **self.store_options}
        self.plane = ControlPlane(self.cluster, **store)
        for number in range(n_nodes):
            self.cluster.place(address_of(PARTY_NODE, number), number, self.maker(number), "node_crash")
        self.first = self.nodes[0]

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
                node.start_workers()
            return node.host

        return make

    def member(self, virtual_node):
        """A node as a party."""
        labels = {**virtual_node.config.labels, NODE_ID: virtual_node.id}
        address = address_of(PARTY_NODE, virtual_node.number)
        return Member(virtual_node.node, address, MASTER, self.plane.n_shards, labels=labels)

    def start_workers(self):
        for node in self.nodes.values():
            node.start_workers()

    def end_nodes(self):
        self.ending = True
        self.cluster.close()
        self.kernel.close()

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
        driver = self.client.owner
        if what.address == address_of(PARTY_NODE, 0) and driver.lost is None:
            self.kernel.failure = driver.lost = DriverLostError(
                f"node 0 died at {self.now_s():.6f} s, and with it the program, which runs there (seed {self.seed})"
            )

    def kill_node(self, number):
        """A node dies with its machine. Raises ValueError if there is none of this number, or it is down."""
        self.cluster.kill_machine(self.checked_node(number))

    def restart_node(self, number):
        """A node comes back, empty but for its disk. Raises ValueError if there is none, or it is not down."""
        self.cluster.restart_machine(self.checked_node(number))

    def checked_node(self, number):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(self.config.nodes):
            raise ValueError(f"there is no node {number!r}; there are 0 to {len(self.config.nodes) - 1}")
        return number

    def partition(self, start, end=None, one_way=False):
        """Cut nodes off from others. See ClusterNetwork.partition."""
        sides = [[self.checked_node(n) for n in side] for side in (start, end) if side is not None]
        return self.cluster.network.partition(*sides, one_way=one_way)

    def heal(self, number=None):
        """End a partition, or all."""
        self.cluster.network.heal(number)

    def stop_faults(self, after_s=0.0):
        super().stop_faults(after_s)
        if not after_s:
            self.heal()

    # ---- reports ----

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
        """The remembered transitions of the nodes that are up: dicts, oldest first."""
        rows = [{"node": node.number, **row} for node in self.alive() for row in node.node.story()]
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
                node.host.lose(ref.binary())
                return
            reasons.append(f"on node {node.number} {why}")
        raise ValueError(f"the bytes of {ref} cannot be lost: {'; '.join(reasons)}")

    def kill_worker(self, number, node=0):
        self.nodes[self.checked_node(node)].host.kill_worker(number)

    def trace_hash(self):
        return self.cluster.network.trace_hash()

    def n_events(self):
        return self.cluster.network.n_events()

    def events(self):
        return self.cluster.network.events()
