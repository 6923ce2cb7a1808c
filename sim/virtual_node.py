"""One node of a simulation: the Node, its host, and the processes on it."""

from json import loads

from raylite._core.ids import content_hash
from raylite._core.node.node import Node
from raylite.config import SPILL_OFF
from raylite.environments import IN_PLACE, Environment
from raylite.sim.client import SimulatedClient
from raylite.sim.disk import Disk
from raylite.sim.host import SimulatedHost
from raylite.sim.kernel import Process
from raylite.sim.machine import Machine
from raylite.sim.worker import VirtualWorker

JOB = 1
KEPT_IDLE_MOST = 64
ARENA_SEGMENT_BYTES = 1 << 26
# What the nodes of a cluster remember of the past, all together; a few nodes have each what a real one has.
REMEMBERED_TASKS = 1 << 18
REMEMBERED_BYTES = 1 << 27
REMEMBERED_TASKS_MOST = 1 << 16
REMEMBERED_BYTES_MOST = 1 << 25


class VirtualNode:
    """Args: session: the simulation; config: what the node has; number: from 0; incarnation: how often it was started;
    cluster: its ClusterHost, None if it is alone; member: called with this, returns the Member that it is in the
    cluster; check: check every table after every event; record: keep the stream of events of a node that
    is alone.
    """

    def __init__(
        self, session, config, *, number=0, incarnation=1, cluster=None, member=None, check=None, record=False
    ):
        self.session = session
        self.config = config
        self.number = number
        self.incarnation = incarnation
        self.id_bytes = content_hash(self.name(b"node"), session.seed)
        self.id = self.id_bytes.hex()  # as programs see it
        self.in_cluster = cluster is not None
        self.n_workers = min(config.num_cpus, KEPT_IDLE_MOST)
        n_nodes = len(session.config.nodes)
        remembered = min(REMEMBERED_TASKS_MOST, REMEMBERED_TASKS // n_nodes)
        self.node = Node(
            config.node_resources(),
            story_capacity=remembered,
            history_capacity=remembered,
            history_bytes=min(REMEMBERED_BYTES_MOST, REMEMBERED_BYTES // n_nodes),
            object_store_bytes=config.object_store_memory,
            worker_cap=config.worker_cap,
            kept_idle=self.n_workers,
            incarnation=incarnation,
            segment_bytes=ARENA_SEGMENT_BYTES,
            debug=check,
            spills=config.spill_dir != SPILL_OFF,
        )
        if cluster is None:
            disk = Disk(session.kernel, Machine(0))
            disk.capacity_bytes = session.config.nodes[0].disk or disk.capacity_bytes
            self.host = SimulatedHost(session.kernel, self.node, self.make_worker, record, disk=disk)
        else:
            machine = cluster.machines[number]
            self.host = SimulatedHost(
                session.kernel,
                self.node,
                self.make_worker,
                network=cluster.network,
                machine=machine,
                member=member(self),
                disk=cluster.disks[number],
            )

    def name(self, what):
        """Bytes that tell this start of this node from all others, and `what` on it."""
        if self.number == 0 and self.incarnation == 1:
            return what
        return what + self.number.to_bytes(4, "little") + self.incarnation.to_bytes(4, "little")

    def start_driver(self):
        """The process of the program, on this node. Returns it."""
        driver = self.make_process(self.host.next_number(), is_driver=True)
        driver.client.environment = self.environment(0)
        self.host.connect(driver)
        self.host.attach(driver)
        return driver

    def start_workers(self):
        """Workers before there is work for them."""
        self.host.start_workers(self.n_workers)

    def let_go(self):
        """The simulation is over."""
        self.node = self.session = None

    def make_process(self, number, *, is_driver=False, gpus=()):
        session = self.session
        name = b"driver" if is_driver else self.name(number.to_bytes(8, "little"))
        root = content_hash(name, session.seed)
        client = SimulatedClient(number, JOB, self.id_bytes, root, is_driver, self.host.memory, session.functions)
        client.in_cluster = self.in_cluster
        process = Process(session.kernel, number, client, is_driver, gpus)
        process.node = self.number
        client.join(process)
        return process

    def make_worker(self, number, environment, gpus):
        """The process of a worker that has been ordered."""
        process = self.make_process(number, gpus=gpus)
        process.client.environment = self.environment(environment)
        process.environment = dict(process.client.environment.description.get("env_vars") or {})
        if gpus:
            process.environment["CUDA_VISIBLE_DEVICES"] = ",".join(self.config.gpu_ids[gpu] for gpu in gpus)
        process.worker = VirtualWorker(process)
        return process

    def environment(self, number):
        """The environment of this number, as a process has it."""
        job_environment = self.session.job_environment
        description = loads(self.node.environment(number)) if number else job_environment
        return Environment(number, description, IN_PLACE, job_environment)
