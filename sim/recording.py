"""What a simulation did, kept for a look at it afterwards: who ran what when, what went wrong, which messages went.

Kept where events are (`record=True`). Nothing that is decided depends on it.
"""

from asyncio import CancelledError

from raylite.sim.errors import ProcessEnded

LOST = 22  # EV_LOST, of _core/message.pxd


class Slice:
    """A time in which a lane of a process was busy: one attempt of a task.

    kind: "task", "call" (of an actor) or "creation"; times in virtual nanoseconds from the start; outcome: "finished",
    "failed", "cancelled", "crashed", "exited", or "running" if it was not over; node, process: numbers; lane: threads
    and coroutines of one process that run at the same time have different ones.
    """

    __slots__ = ("attempt", "begin_ns", "end_ns", "kind", "lane", "name", "node", "outcome", "process", "task")

    def __init__(self, node, process, lane, kind, name, task, attempt, begin_ns):
        self.node = node
        self.process = process
        self.lane = lane
        self.kind = kind
        self.name = name
        self.task = task
        self.attempt = attempt
        self.begin_ns = begin_ns
        self.end_ns = begin_ns
        self.outcome = "running"


class Recorder:
    """Notes what happens. Args: kernel."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.slices = []
        self.deaths = []  # (time in ns, node, number of the process, why)
        self.n_open = {}  # node and number of a process -> how many slices are open on each lane of it
        self.stacks = {}  # kernel.Thread -> its open slices, outermost first

    def begin(self, process, run, kind, name, stack):
        lanes = self.n_open.setdefault((process.node, process.number), [])
        if stack:
            lane = stack[-1].lane  # it runs in place of the one that waits for it
        elif 0 in lanes:
            lane = lanes.index(0)
        else:
            lane = len(lanes)
            lanes.append(0)
        lanes[lane] += 1
        new = Slice(process.node, process.number, lane, kind, name, run.task_id.hex(), run.attempt, self.kernel.now_ns)
        self.slices.append(new)
        return new

    def end(self, process, done, outcome):
        done.end_ns = self.kernel.now_ns
        done.outcome = outcome
        self.n_open[process.node, process.number][done.lane] -= 1

    def around(self, process, run, kind, name, call, *args, **kwargs):
        """call(*args, **kwargs), noted."""
        stack = self.stacks.setdefault(self.kernel.calling_thread(), [])
        new = self.begin(process, run, kind, name, stack)
        stack.append(new)
        try:
            result = call(*args, **kwargs)
        except BaseException as error:
            self.end(process, new, outcome_of(error))
            raise
        else:
            self.end(process, new, "finished")
            return result
        finally:
            stack.pop()

    async def around_coroutine(self, process, run, name, call, *args):
        """await call(*args), noted."""
        new = self.begin(process, run, "call", name, ())
        try:
            result = await call(*args)
        except BaseException as error:
            self.end(process, new, outcome_of(error))
            raise
        self.end(process, new, "finished")
        return result

    def process_ended(self, process, why):
        """A process has ended; with "" because the simulation is over."""
        if why:
            self.deaths.append((self.kernel.now_ns, process.node, process.number, why))


def outcome_of(error):
    """The word for how a call ended that raised this."""
    if isinstance(error, ProcessEnded):
        return "crashed"
    if isinstance(error, SystemExit):
        return "exited"
    return "cancelled" if isinstance(error, (KeyboardInterrupt, CancelledError)) else "failed"


class Recording:
    """What a simulation did up to now. Args: session: a SimulatedRuntime that records.

    Attributes: seed; n_nodes; start_ns, end_ns: virtual times; driver: the number of its process, which is on node 0;
    slices: of tasks; deaths: of processes: (time in ns, node, number, why); faults, told: as in SimulatedRuntime;
    messages: within nodes: dicts, see SimulatedHost.deliveries; packets: between parties of a cluster: events; lost:
    the ids of objects whose bytes were lost, in hexadecimal; graph: the task graph (see raylite.util.state), or None:
    it is still to be asked for, while the simulation is there.
    """

    def __init__(self, session):
        recorder = session.kernel.recorder
        self.seed = session.seed
        self.n_nodes = len(session.config.nodes)
        self.start_ns = session.kernel.start_ns
        self.end_ns = session.kernel.now_ns
        self.driver = session.client.client_number()
        self.messages = session.host.deliveries()
        self.slices = list(recorder.slices)
        self.deaths = list(recorder.deaths)
        self.faults = session.occurred()
        self.told = list(session.told)
        events = session.events()
        self.packets = [event for event in events if event["source"]]
        self.lost = {event["object"] for event in events if event["kind"] == LOST and not event["source"]}
        self.graph = None


def recording_of(what):
    """The recording of a Result, a Trial, a Cluster or a SimulatedRuntime.

    Raises TypeError if it is something else, ValueError if nothing was recorded.
    """
    try:
        found = getattr(what, "session", what).recording
    except AttributeError:
        text = f"what sim.run() returned is drawn, a sim.cluster or a simulation that runs, not {what!r}"
        raise TypeError(text) from None
    if callable(found):
        found = found()
    if found is None:
        raise ValueError("nothing was recorded: run it with record=True")
    return found
