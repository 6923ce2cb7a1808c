"""A simulated runtime: what init(mode="sim") starts in place of processes."""

import gc
import signal
import threading

from raylite.environments import IN_PLACE, describe
from raylite.sim import clock, event_loops, function_keys, locks
from raylite.sim.errors import DeadlockError, NoProgressError
from raylite.sim.fault_draws import BY_COMMAND, FaultDraws
from raylite.sim.faults import KINDS, check_occasions
from raylite.sim.kernel import Kernel
from raylite.sim.losses import why_kept
from raylite.sim.places import places
from raylite.sim.progress import gets_on
from raylite.sim.victims import Victims
from raylite.sim.virtual_node import VirtualNode
from raylite.sim.waits import waits

PROGRESS_S = 60.0
LEFT_MOST = 1024  # nodes of ended simulations that may wait for the garbage collector

_current = None
_n_left = 0  # nodes of simulations since the last collection
at_start: list = []  # each is called with a simulation that has begun
at_end: list = []  # and these with one that is about to end
recording = False  # whether simulations keep their events, if they are not told


def current():
    """The simulation that runs in this process. Raises RuntimeError if there is none."""
    if _current is None:
        raise RuntimeError("there is no simulation: raylite.init(mode='sim') or raylite.sim.run() starts one")
    return _current


def begin(config, **settings):
    """Start the simulation that a Config describes, of one node or of several."""
    if len(config.nodes) == 1:
        return SimulatedRuntime(config, **settings)
    from raylite.sim.cluster_session import ClusterRuntime

    return ClusterRuntime(config, **settings)


def collect_what_is_left(n_nodes):
    """Collect what ended simulations have left in cycles, before it counts as what was there already: then it would
    stay. Not each time: it takes as long as all that the process has takes to look at."""
    global _n_left
    if _n_left >= LEFT_MOST:
        gc.collect()
        _n_left = 0
    _n_left += n_nodes


class SimulatedRuntime:
    """A node with virtual workers, in virtual time.

    Args: config: a Config; virtual_time: whether `time`, `random` and asyncio's waiting are the simulation's; check:
    check every table of the node after every event (default: in a debug build); record: keep the stream of events
    (default: `recording`).
    """

    def __init__(self, config, *, virtual_time=True, check=None, record=None):
        self.config = config
        self.seed = config.sim_seed
        self.kernel = Kernel(self.seed, FaultDraws(self.seed, config.faults))
        self.kernel.explain = self.deadlock
        self.victims = Victims(len(config.nodes))
        self.told = []  # (virtual seconds, node, what happened to it) beside faults and tasks
        self.stopped = False
        record = recording if record is None else record
        if record:
            from raylite.sim.recording import Recorder

            self.kernel.recorder = Recorder(self.kernel)
        self.functions = {}
        self.job_environment = describe(config.runtime_env, {}, IN_PLACE)
        self.make_nodes(check, record)
        self.client = self.first.start_driver().client
        self.start(virtual_time)
        self.start_workers()
        for call in at_start:
            call(self)

    def make_nodes(self, check, record):
        """Make what there is when the program begins."""
        self.first = VirtualNode(self, self.config, check=check, record=record)

    def start_workers(self):
        """Have workers started before there is work for them."""
        self.first.start_workers()

    @property
    def node(self):
        """The node that the driver is on."""
        return self.first.node

    @property
    def host(self):
        """Its host."""
        return self.first.host

    def start(self, virtual_time):
        """Take over what is the whole process's."""
        global _current
        _current = self
        self.collected = gc.isenabled()
        gc.disable()
        collect_what_is_left(len(self.config.nodes))
        gc.freeze()  # what is there already is no garbage of the simulation's: collections stay short
        self.on_signal = None
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.on_signal = signal.signal(signal.SIGINT, self.interrupt)
        function_keys.install()
        self.kernel.virtual_time = virtual_time
        if virtual_time:
            event_loops.install(self.kernel)
            locks.install(self.kernel)
            clock.install(self.kernel)

    def interrupt(self, signum, frame):
        """Ctrl-C is the driver's, whose code ever runs; a second one ends what does not give way."""
        if self.kernel.in_task and not self.kernel.interrupted:
            self.kernel.interrupted = True
        else:
            signal.default_int_handler(signum, frame)

    def leave_to_parent(self):
        """In a forked child: there is nothing here by which the parent could be reached."""

    def stop(self):
        """End every process and free everything. Fine if it is stopped."""
        global _current
        if self.stopped:
            return
        self.stopped = True
        try:
            for call in at_end:
                call(self)
            self.end_nodes()
            self.client.owner.let_go()
            self.kernel.explain = self.kernel.recorder = None
        finally:
            function_keys.remove()
            clock.remove()
            locks.remove()
            event_loops.remove()
            if self.on_signal is not None:
                signal.signal(signal.SIGINT, self.on_signal)
            if self.collected:
                gc.enable()
            gc.unfreeze()
            _current = None

    def end_nodes(self):
        """End every process and every node."""
        self.host.end_all()
        self.kernel.close()
        self.host.close()
        self.first.let_go()

    # ---- reports ----

    def alive(self):
        """The nodes that are up."""
        return [self.first]

    def sizes(self):
        """The sizes of the node's tables, by name."""
        return self.node.sizes()

    def workers(self):
        """The workers: dicts with client number, pid, running and queued tasks."""
        return self.node.workers()

    def story(self):
        """The node's remembered transitions: dicts, oldest first."""
        return self.node.story()

    def waits(self):
        """Who waits for what, a line each."""
        return "\n  ".join(waits(self.node, *places(self.host.processes.values())))

    def deadlock(self):
        """The error that says who waits for what."""
        return DeadlockError(
            f"nothing can happen any more, and the program still waits (seed {self.seed}):\n  {self.waits()}"
        )

    def check_invariants(self):
        """Check all tables of the node. Raises if they contradict each other."""
        self.node.check_invariants()

    # ---- faults ----

    def occurred(self):
        """The faults so far: dicts with kind, number (among those of its kind; None: it was commanded), time_s, whom it
        befell, in words, and node: the number of the one that this is or is on."""
        names = tuple(KINDS)
        return [
            {
                "kind": names[kind],
                "number": number if number < BY_COMMAND else None,
                "time_s": self.kernel.seconds(now_ns),
                **self.victims.of(names[kind], noted),
            }
            for kind, number, now_ns, noted in self.kernel.faults.occurred
        ]

    def commanded(self, kind, noted):
        """Note a fault that the program has brought about. Args: noted: as FaultDraws.note has it for that kind."""
        self.kernel.faults.command(kind, self.kernel.now_ns, noted)

    def strike(self, kind, times=1):
        """Have the next occasions of a kind of fault be faults. Raises ValueError for one that has none here."""
        check_occasions(kind, len(self.config.nodes))
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ValueError(f"times is a whole number from 1 up, not {times!r}")
        self.kernel.faults.order(kind, times)

    def stop_faults(self, after_s=0.0):
        """No more faults after so many virtual seconds: from then on the program has to get on."""
        if after_s:
            self.kernel.set_alarm(after_s, self.stop_faults)
        else:
            self.kernel.faults.stop()
            self.kernel.set_alarm(PROGRESS_S, self.watch)

    def watch(self):
        """Once in a virtual minute after the faults: see that the program gets on."""
        self.kernel.set_alarm(PROGRESS_S, self.watch)
        lines = waits(self.node)
        if lines and lines[0].startswith("the driver waits") and not gets_on(self.host, PROGRESS_S):
            self.kernel.failure = self.no_progress()

    def no_progress(self):
        return NoProgressError(
            f"no task has ended for a virtual minute, though faults have stopped, and the program still waits "
            f"(seed {self.seed}, {self.now_s():.3f} s):\n  {self.waits()}"
        )

    def lose(self, ref):
        """Lose the bytes of a value in the object store. Raises ValueError if they cannot be, saying why."""
        if why := why_kept(self.node, ref.binary()):
            raise ValueError(f"the bytes of {ref} cannot be lost: {why}")
        self.commanded("eviction", (0, ref.hex()))
        self.host.lose(ref.binary())

    def fill_store(self, node, full):
        """Say whether the store of a node has memory for another segment. Raises ValueError if there is none of it."""
        host = self.running(node)
        if full:
            self.commanded("full_store", node)
        host.is_full = full

    def running(self, node):
        """The host of a node. Raises ValueError if there is none of this number, or it is down."""
        if node != 0:
            raise ValueError(f"there is no node {node!r}; there is node 0")
        return self.host

    # ---- for tests ----

    def now_s(self):
        """Virtual seconds since the start."""
        return self.kernel.elapsed_s

    def trace_hash(self):
        """The hash of all events that the node has handled so far, in hexadecimal."""
        return self.host.trace_hash()

    def n_events(self):
        """How many events the node has handled so far."""
        return self.host.n_events()

    def events(self):
        """The events themselves, if they were recorded: dicts."""
        return self.host.events()

    def recording(self, *, with_graph=False):
        """What it did so far, as a recording.Recording; None if that is not recorded. The graph is asked for, which
        takes events of its own."""
        if self.kernel.recorder is None:
            return None
        from raylite.sim.recording import Recording

        recording = Recording(self)
        if with_graph:
            from raylite.sim.graph import graph_of

            recording.graph = graph_of(self)
        return recording

    def settle(self):
        """Let everything happen that still can, and garbage go. For the driver."""
        n_events = -1
        while n_events != self.n_events():  # what is collected tells the node, which may let go of more
            n_events = self.n_events()
            gc.collect()
            self.kernel.settle()

    def kill_worker(self, number, node=0):
        """Kill a worker as SIGKILL would, by its number and its node's. Raises ValueError if there is none."""
        self.running(node).kill_worker(number)
        self.commanded("worker_crash", (node, number))
