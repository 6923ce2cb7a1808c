"""A simulation as a file for Perfetto (https://ui.perfetto.dev): the trace event format of Chrome, in virtual time.

Nodes are processes; their control plane, the driver and each worker's lanes are threads. Attempts of tasks are slices,
deaths of workers and other faults are instants, messages are flow arrows from the slice in which they were sent to the
one in which they arrived.
"""

import json
from bisect import bisect_right

from raylite.sim.recording import recording_of
from raylite.trace_events import instant, process_name, slice_event, thread_name

NODE = 0  # the one there is
CONTROL_PLANE, DRIVER = 0, 1  # threads of it
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


def write_timeline(what, path):
    """Write what a simulation did as a trace that Perfetto and chrome://tracing open.

    Args: what: the Result of sim.run(record=True), a sim.cluster or a simulation that records; path: of the file.
    Raises TypeError for something else, ValueError if nothing was recorded.
    """
    events = Trace(recording_of(what)).events()
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


class Trace:
    """Makes trace events of a Recording."""

    def __init__(self, recording):
        self.recording = recording
        self.lanes = {}  # (process, lane) -> its slices, by their begin
        self.last_flow = 0
        for each in recording.slices:
            self.lanes.setdefault((each.process, each.lane), []).append(each)
        for each in recording.slices:
            if each.outcome == "running":
                each.end_ns = recording.end_ns

    def events(self):
        """All of them: dicts."""
        out = [
            process_name(NODE, f"node {NODE} (seed {self.recording.seed})"),
            thread_name(NODE, CONTROL_PLANE, "control plane"),
            thread_name(NODE, DRIVER, "driver"),
            slice_event("program", NODE, DRIVER, 0, self.since_start(self.recording.end_ns), {}, "driver"),
        ]
        for process, lane in sorted(self.lanes):
            label = f"worker {process}" + (f", {lane + 1}" if lane else "")
            out.append(thread_name(NODE, process * LANES_MOST + lane, label))
        out.extend(self.task_slice(each) for each in self.recording.slices)
        out.extend(self.death(*each) for each in self.recording.deaths)
        out.extend(self.fault(each) for each in self.recording.faults if each["kind"] != "worker_crash")
        self.add_messages(out)
        return out

    def since_start(self, time_ns):
        return max(time_ns - self.recording.start_ns, 0)

    def task_slice(self, each):
        args = {"task_id": each.task, "attempt": each.attempt, "outcome": each.outcome}
        begin_ns = self.since_start(each.begin_ns)
        thread = each.process * LANES_MOST + each.lane
        return slice_event(each.name, NODE, thread, begin_ns, self.since_start(each.end_ns) - begin_ns, args, each.kind)

    def death(self, time_ns, process, why):
        """A process that has ended, where its first lane is."""
        thread = process * LANES_MOST if (process, 0) in self.lanes else CONTROL_PLANE
        return instant(f"worker {process} dies: {why}", NODE, thread, self.since_start(time_ns), {"why": why}, "fault")

    def fault(self, fault):
        name = f"{fault['kind'].replace('_', ' ')}: {fault['whom']}"
        args = {"number": fault["number"], "whom": fault["whom"]}
        return instant(name, NODE, CONTROL_PLANE, round(fault["time_s"] * 1e9), args, "fault")

    # ---- messages ----

    def add_messages(self, out):
        """The control plane's row, and the arrows."""
        handled = {}  # time -> what the control plane did
        for message in self.recording.messages:
            if message["to_client"]:
                handled.setdefault(message["sent_ns"], ("timer", {}))
            else:
                handled[message["arrived_ns"]] = self.handling(message)
        times = sorted(handled)
        for time_ns, next_ns in zip(times, [*times[1:], self.recording.end_ns + HANDLING_NS], strict=True):
            name, args = handled[time_ns]
            begin_ns, duration_ns = self.since_start(time_ns), min(HANDLING_NS, next_ns - time_ns)
            out.append(slice_event(name, NODE, CONTROL_PLANE, begin_ns, duration_ns, args, "message"))
        for message in self.recording.messages:
            if message["kind"] in MESSAGES:
                self.add_arrow(out, message)

    def handling(self, message):
        """What the control plane does when a message comes, and the details."""
        name = MESSAGES.get(message["kind"], "bookkeeping")
        return name, {"client": message["client"], "task_id": message["object"][:32], "attempt": message["attempt"]}

    def add_arrow(self, out, message):
        """An arrow, if there is a slice at either end."""
        at_client = self.client_end(message, message["arrived_ns" if message["to_client"] else "sent_ns"])
        if at_client is None:
            return
        at_node = CONTROL_PLANE, message["sent_ns" if message["to_client"] else "arrived_ns"]
        source, target = (at_node, at_client) if message["to_client"] else (at_client, at_node)
        self.last_flow += 1
        for phase, (thread, time_ns) in (("s", source), ("f", target)):
            out.append(
                {
                    "ph": phase,
                    "bp": "e",
                    "id": self.last_flow,
                    "cat": "message",
                    "name": MESSAGES[message["kind"]],
                    "pid": NODE,
                    "tid": thread,
                    "ts": self.since_start(time_ns) / US,
                }
            )

    def client_end(self, message, time_ns):
        """(thread, time) in a slice of the process that sent or got a message; None if it was doing nothing."""
        if message["client"] == self.recording.driver:
            return DRIVER, time_ns
        found = None
        lane = 0
        while (slices := self.lanes.get((message["client"], lane))) is not None:
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
        return found.process * LANES_MOST + found.lane, time_ns


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
