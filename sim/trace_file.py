"""A simulation as a file for Perfetto (https://ui.perfetto.dev): the trace event format of Chrome, in virtual time.

Nodes are processes, and so is the head; control planes, the driver and each worker's lanes are threads. Attempts of
tasks are slices, deaths of workers and other faults are instants, messages are flow arrows from the slice in which they
were sent to the one in which they arrived.
"""

import json
from bisect import bisect_right

from raylite.sim.recording import recording_of
from raylite.sim.victims import NUMBER_BITS, Victims, party_name
from raylite.trace_events import instant, process_name, slice_event, thread_name

DRIVERS_NODE = 0
CONTROL_PLANE, DRIVER, REPLICA, SCHEDULER = range(4)  # threads of a node; the master is the head's control plane
LANES_MOST = 1000  # of a worker: its threads are numbered from its own number times this
HANDLING_NS = 1000  # how long a message's arrival is drawn
US = 1000  # ns

RUN = 64
MESSAGES = {  # those worth an arrow, by kind (_core/message.pxd)
    3: "submit",
    4: "finished",
    5: "yielded",
    6: "get",
    7: "wait",
    8: "next",
    10: "put",
    14: "lease",
    17: "cancel",
    27: "kill",
    RUN: "run",
    65: "value",
    66: "ready",
    67: "leased",
    78: "interrupt",
    79: "cancel",
}
PACKETS = {  # the same between parties (_core/links/packet.pxd, _core/cluster/message.pxd)
    129: "fenced",
    130: "store request",
    131: "store entries",
    132: "chain update",
    133: "chain ack",
    134: "chain resync",
    135: "chain snapshot",
    136: "chain taken",
    140: "master register",
    141: "master welcome",
    143: "master chain",
    144: "master node",
    145: "master node dead",
    146: "master settled",
    148: "master settle",
    149: "master joined",
    160: "scheduler ask",
    161: "scheduler answer",
    162: "scheduler ask group",
    163: "scheduler answer group",
    170: "node task",
    171: "node return",
    172: "node result",
    173: "node committed",
    174: "node cancel",
    175: "node function gone",
    176: "node pull",
    177: "node value",
    178: "node chunk",
    179: "node not here",
    180: "node item",
    181: "node item held",
    182: "node read",
    200: "node group",
    201: "node group watch",
    202: "node group gone",
    203: "node bundles",
    204: "node bundles taken",
    205: "node bundles back",
    206: "node query",
    207: "node answer",
}
THREADS = {1: CONTROL_PLANE, 2: REPLICA, 3: CONTROL_PLANE, 4: SCHEDULER}  # of each kind of party
THREAD_NAMES = {CONTROL_PLANE: "control plane", REPLICA: "store replica", SCHEDULER: "global scheduler"}


def write_timeline(what, path):
    """Write what a simulation did as a trace that Perfetto and chrome://tracing open.

    Args: what: the Result of sim.run(record=True), a sim.cluster or a simulation that records; path: of the file.
    Raises TypeError for something else, ValueError if nothing was recorded.
    """
    events = Trace(recording_of(what)).events()
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


class Trace:
    """Makes trace events of a Recording. A row is a process of the trace and a thread of that."""

    def __init__(self, recording):
        self.recording = recording
        self.head = recording.n_nodes
        self.victims = Victims(recording.n_nodes)
        self.lanes = {}  # (node, process, lane) -> its slices, by their begin
        self.last_flow = 0
        for each in recording.slices:
            self.lanes.setdefault((each.node, each.process, each.lane), []).append(each)
        for each in recording.slices:
            if each.outcome == "running":
                each.end_ns = recording.end_ns

    def events(self):
        """All of them: dicts."""
        handled = self.handled()
        out = self.names(handled)
        end_ns = self.since_start(self.recording.end_ns)
        out.append(slice_event("program", DRIVERS_NODE, DRIVER, 0, end_ns, {}, "driver"))
        out.extend(self.task_slice(each) for each in self.recording.slices)
        out.extend(self.death(*each) for each in self.recording.deaths)
        out.extend(self.fault(each) for each in self.recording.faults if each["kind"] != "worker_crash")
        out.extend(self.telling(*each) for each in self.recording.told)
        for row, times in handled.items():
            self.add_handling(out, row, times)
        for message in self.recording.messages:
            if message["kind"] in MESSAGES:
                self.add_message(out, message)
        for packet in self.recording.packets:
            if packet["kind"] in PACKETS:
                source, target = self.row_of(packet["source"]), self.row_of(packet["target"])
                self.add_arrow(out, PACKETS[packet["kind"]], (source, packet["sent_ns"]), (target, packet["time_ns"]))
        return out

    def names(self, handled):
        """What processes and threads are called."""
        out = [process_name(0, f"node 0 (seed {self.recording.seed})")]
        out.extend(process_name(node, f"node {node}") for node in range(1, self.recording.n_nodes))
        if self.recording.n_nodes > 1:
            out.append(process_name(self.head, "head"))
            out.append(thread_name(self.head, CONTROL_PLANE, "master"))
        rows = {row for row in handled if row[0] != self.head}
        rows.update((node, CONTROL_PLANE) for node in range(self.recording.n_nodes))
        out.extend(thread_name(node, thread, THREAD_NAMES[thread]) for node, thread in sorted(rows))
        out.append(thread_name(DRIVERS_NODE, DRIVER, "driver"))
        for node, process, lane in sorted(self.lanes):
            label = f"worker {process}" + (f", {lane + 1}" if lane else "")
            out.append(thread_name(node, process * LANES_MOST + lane, label))
        return out

    def since_start(self, time_ns):
        return max(time_ns - self.recording.start_ns, 0)

    def task_slice(self, each):
        args = {"task_id": each.task, "attempt": each.attempt, "outcome": each.outcome}
        begin_ns = self.since_start(each.begin_ns)
        thread = each.process * LANES_MOST + each.lane
        duration_ns = self.since_start(each.end_ns) - begin_ns
        return slice_event(each.name, each.node, thread, begin_ns, duration_ns, args, each.kind)

    def death(self, time_ns, node, process, why):
        """A process that has ended, where its first lane is."""
        thread = process * LANES_MOST if (node, process, 0) in self.lanes else CONTROL_PLANE
        return instant(f"worker {process} dies: {why}", node, thread, self.since_start(time_ns), {"why": why}, "fault")

    def fault(self, fault):
        name = f"{fault['kind'].replace('_', ' ')}: {fault['whom']}"
        args = {"number": fault["number"], "whom": fault["whom"]}
        node = self.head if fault["node"] is None else fault["node"]
        return instant(name, node, CONTROL_PLANE, round(fault["time_s"] * 1e9), args, "fault")

    def telling(self, time_s, node, text):
        """A node that went or came."""
        return instant(text, node, CONTROL_PLANE, round(time_s * 1e9), {}, "cluster")

    # ---- messages ----

    def row_of(self, address):
        """Where a party is drawn."""
        home = self.victims.home(address)
        return (self.head if home is None else home), THREADS[address >> NUMBER_BITS]

    def handled(self):
        """What each control plane and party did: row -> time -> (name, details)."""
        out = {}
        for message in self.recording.messages:
            row = out.setdefault((node_of(message), CONTROL_PLANE), {})
            if message["to_client"]:
                row.setdefault(message["sent_ns"], ("timer", {}))
            else:
                row[message["arrived_ns"]] = self.handling(message)
        for packet in self.recording.packets:
            if packet["kind"] in PACKETS:
                out.setdefault(self.row_of(packet["source"]), {}).setdefault(packet["sent_ns"], ("timer", {}))
                args = {"from": party_name(packet["source"]), "task_id": packet["object"][:32]}
                out.setdefault(self.row_of(packet["target"]), {})[packet["time_ns"]] = PACKETS[packet["kind"]], args
        return out

    def add_handling(self, out, row, handled):
        times = sorted(handled)
        for time_ns, next_ns in zip(times, [*times[1:], self.recording.end_ns + HANDLING_NS], strict=True):
            name, args = handled[time_ns]
            begin_ns, duration_ns = self.since_start(time_ns), min(HANDLING_NS, next_ns - time_ns)
            out.append(slice_event(name, *row, begin_ns, duration_ns, args, "message"))

    def handling(self, message):
        """What the control plane does when a message comes, and the details."""
        name = MESSAGES.get(message["kind"], "bookkeeping")
        return name, {"client": message["client"], "task_id": message["object"][:32], "attempt": message["attempt"]}

    def add_message(self, out, message):
        """An arrow between a node and a process, if there is a slice at either end."""
        at_client = self.client_end(message, message["arrived_ns" if message["to_client"] else "sent_ns"])
        if at_client is None:
            return
        at_node = (node_of(message), CONTROL_PLANE), message["sent_ns" if message["to_client"] else "arrived_ns"]
        source, target = (at_node, at_client) if message["to_client"] else (at_client, at_node)
        self.add_arrow(out, MESSAGES[message["kind"]], source, target)

    def add_arrow(self, out, name, source, target):
        """Args: source, target: each a row and a time."""
        self.last_flow += 1
        for phase, ((process, thread), time_ns) in (("s", source), ("f", target)):
            out.append(
                {
                    "ph": phase,
                    "bp": "e",
                    "id": self.last_flow,
                    "cat": "message",
                    "name": name,
                    "pid": process,
                    "tid": thread,
                    "ts": self.since_start(time_ns) / US,
                }
            )

    def client_end(self, message, time_ns):
        """(row, time) in a slice of the process that sent or got a message; None if it was doing nothing."""
        node = node_of(message)
        if node == DRIVERS_NODE and message["client"] == self.recording.driver:
            return (node, DRIVER), time_ns
        found = None
        lane = 0
        while (slices := self.lanes.get((node, message["client"], lane))) is not None:
            if message["kind"] == RUN:
                found = found or begun_by(slices, message)
            else:
                inside = enclosing(slices, time_ns)
                if inside is not None and (found is None or inside.task == message["object"][:32]):
                    found = inside
            lane += 1
        if found is None:
            return None
        if message["kind"] == RUN:
            time_ns = found.begin_ns
        return (node, found.process * LANES_MOST + found.lane), time_ns


def node_of(message):
    """The number of the node in which a message went."""
    return message["address"] & (1 << NUMBER_BITS) - 1


def enclosing(slices, time_ns):
    """The innermost slice of a lane at a time, or None."""
    i = bisect_right(slices, time_ns, key=lambda each: each.begin_ns) - 1
    while i >= 0:
        if slices[i].end_ns >= time_ns:
            return slices[i]
        i -= 1
    return None


def begun_by(slices, message):
    """The slice that a message to run a task began."""
    for each in slices:
        if each.task == message["object"][:32] and each.attempt == message["attempt"]:
            return each if each.begin_ns >= message["arrived_ns"] else None
    return None
