"""The simulated host of a node: virtual processes in place of real ones, everything else of the node as it is.

It performs the node's commands in virtual time, and tells the node what a real host would: that a worker came or went,
that its queue was taken back, that a segment is there. Between a process and the node every message takes its time.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, blob_keep
from raylite._core.ids cimport object_bytes, object_from_bytes, ObjectId, task_bytes
from raylite._core.cluster.member cimport Member
from raylite._core.message cimport *
from raylite._core.node.node cimport node_deadline_ns, node_handle
from raylite._core.node.objects cimport ObjectRow, objects_find
from raylite._core.node.reports cimport report_rows, ReportQuery
from raylite._core.rng cimport rng_below, rng_next
from raylite._core.node.state cimport Command
from raylite.runtime.inbox cimport inbox_close, inbox_deliver, inbox_flush
from raylite.sim.fault_draws cimport FAULT_EVICTION, FAULT_FULL_STORE
from raylite.sim.cluster_network cimport ClusterNetwork, Receiver
from raylite.sim.disk cimport Disk
from raylite.sim.kernel cimport Kernel, STREAM_DELAYS, stream_seed, STREAM_STARTS
from raylite.sim.losses cimport find_evictable
from raylite.sim.machine cimport Machine
from raylite.sim.network cimport delay_ns, Link, link_report, link_to_client
from raylite.sim.timeline cimport timeline_plan
from raylite.sim.trace cimport trace_add, trace_deliver, trace_deliveries, trace_rows

import sys
from functools import partial

cdef enum:
    START_LEAST_NS = 700000       # until a worker runs: a fork
    START_SPREAD_NS = 3000000
    START_SLOW_NS = 300000000     # one in 16 takes up to so much longer
    NO_MEMORY = 12                # errno
    NO_SPACE = 28                 # errno
    RUBBISH = 0xDD


cdef int at_node(void* target, void* event) except -1:
    return (<SimulatedHost> target).node_event(<Event*> event)


cdef int at_client(void* target, void* event) except -1:
    return (<SimulatedHost> target).client_event(<Event*> event)


cdef int at_flush(void* target, void* event) except -1:
    return (<SimulatedHost> target).flush_event((<Event*> event).message.client)


cdef int at_start(void* target, void* event) except -1:
    return (<SimulatedHost> target).start_event((<Event*> event).message.client)


def report(Node node not None, uint32_t what, bytes query not None):
    """What a node answers to a question about rows of its tables (see reports.pxd), also when it is down."""
    cdef string out
    if len(query) != sizeof(ReportQuery) \
            or not report_rows(node.state, what, <const ReportQuery*> <const char*> query, &out):
        raise ValueError(f"no question: {what}")
    return <bytes> out


cdef class SimulatedHost(PartyHost):
    """Args: kernel; node: a Node nobody else hosts; make_worker: called with number, environment and GPUs of a new
    worker, returns its Process; record: keep the stream of events, and not only its hash, if the node is alone;
    network, machine, member: in a cluster, where the node is, and the Member that it is there; disk: for values that
    its object store has no room for, which go with the host, as files without a name do."""

    def __init__(self, Kernel kernel not None, Node node not None, make_worker, bint record=False,
                 ClusterNetwork network=None, Machine machine=None, Member member=None, Disk disk=None):
        Receiver.__init__(self, 0 if member is None else member.address, Machine(0) if machine is None else machine)
        self.party = member
        self.kernel = kernel
        self.network = network
        self.node = node
        self.memory = Memory()
        self.disk = disk
        self.spilled = set()
        self.processes = {}
        self.make_worker = make_worker
        self.crash_fault = -1
        self.own_trace.recording = record
        self.trace = &self.own_trace if network is None else &network.trace
        self.delays.state = stream_seed(kernel.seed, STREAM_DELAYS + (<uint64_t> self.machine.number << 8))
        self.starts.state = stream_seed(kernel.seed, STREAM_STARTS + (<uint64_t> self.machine.number << 8))

    # ---- processes ---------------------------------------------------------------------------------------------

    cdef Process process(self, uint32_t number):
        """The process of this number, None if it is gone."""
        return self.processes.get(number)

    def next_number(self):
        """A client number that is free."""
        self.node.state.last_client += 1
        return self.node.state.last_client

    def connect(self, Process p not None):
        """Link a process with the node."""
        cdef Link* way = &p.link
        way.timeline = &self.kernel.timeline
        way.delays = &self.delays
        way.host = <void*> self
        way.at_node = at_node
        way.at_client = at_client
        way.at_flush = at_flush
        way.slowness = &self.machine.slowness
        way.client = p.number
        self.processes[p.number] = p

    def attach(self, Process p not None):
        """Tell the node that a process is there."""
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.kind = EV_ATTACH
        m.flags = CLIENT_DRIVER if p.is_driver else CLIENT_WORKER
        m.request = p.pid
        link_report(&p.link, &m, NULL)

    def start_workers(self, int count):
        """Order workers before there is work for them."""
        self.node.start_workers(count)
        self.after_call()

    cdef int kill(self, Process p) except -1:
        """End a worker as SIGKILL would, now or as soon as it runs."""
        if p.started:
            p.end("signal 9")
        else:
            p.doomed = True
        return 0

    def kill_worker(self, uint32_t number):
        """Kill the worker of this number. Raises ValueError if there is none."""
        cdef Process p = self.process(number)
        if p is None or p.is_driver:
            raise ValueError(f"there is no worker {number}; there are {self.workers()}")
        self.kill(p)

    def workers(self):
        """The numbers of the workers that live."""
        return sorted(number for number, p in self.processes.items() if not (p.is_driver or p.ended))

    def end_all(self):
        """End every process, however deep in its tasks: nothing of them runs any more."""
        for p in list(self.processes.values()):
            p.end("")
            self.kernel.unwind(p)

    def end(self):
        """The node is gone with all its processes, as from one instant to the next; what was sent still arrives."""
        self.gone = True
        self.end_all()
        for number in sorted(self.spilled):
            self.drop_spilled(number)
        if self.network is not None:
            self.network.disconnect(self)
        self.close()

    def close(self):
        """Let go of the node and the processes, all ended: references to the simulation outlive it."""
        for p in self.processes.values():
            (<Process> p).end_code()
        self.processes.clear()
        self.node = None
        self.party = None
        self.memory = None
        self.make_worker = None

    # ---- what is due -------------------------------------------------------------------------------------------

    cdef int node_event(self, Event* e) except -1:
        """A message has come to the node."""
        if self.gone:
            blob_drop(e.payload)
            return 0
        self.hear(e)
        self.after_event()
        return 0 if self.gone else self.evict()

    cdef int hear(self, Event* e) except -1:
        cdef const char* payload = blob_data(e.payload) if e.payload != NULL else NULL
        trace_deliver(self.trace, &e.message, self.kernel.timeline.now_ns, self.address, False)
        e.message.time_ns = self.now_ns()
        trace_add(self.trace, self.kernel.timeline.now_ns, self.address, &e.message)
        if self.party is None:
            node_handle(self.node.state, &e.message, payload)
        else:
            (<Member> self.party).handle(&e.message, payload)
        blob_drop(e.payload)
        if not self.node.state.fault.empty():
            self.node.check()
        if e.message.kind == EV_DETACH:
            self.forget(e.message.client)
        return 0

    cdef int after_call(self) except -1:
        cdef uint64_t deadline_ns = node_deadline_ns(self.node.state)
        self.perform()
        if self.party is not None:
            self.network.carry_all(self, &self.party.out)
            self.plan_tick(self.party.deadline_ns())
        return self.plan_tick(deadline_ns)

    cdef int tick(self) except -1:
        cdef Event e
        memset(&e, 0, sizeof(Event))
        e.message.version = MESSAGE_VERSION
        e.message.kind = EV_TICK
        self.hear(&e)
        return 0 if self.party is None else self.party.tick(e.message.time_ns)

    cdef int evict(self) except -1:
        """A value gets lost after this event, if a draw says so."""
        cdef ObjectId id
        cdef int64_t number = self.kernel.faults.strikes(FAULT_EVICTION)
        if number < 0 or not find_evictable(self.node.state, number, &id):
            return 0
        self.kernel.faults.note(FAULT_EVICTION, number, self.kernel.timeline.now_ns,
                                (self.machine.number, object_bytes(id).hex()))
        return self.lose_object(id)

    cdef int lose_object(self, ObjectId id) except -1:
        """The bytes of a value that nobody reads are gone at once; who looks all the same, looks at rubbish."""
        cdef Event e
        cdef ObjectRow* row = objects_find(&self.node.state.objects, id)
        memset(self.memory.find(row.segment).writable + row.offset, RUBBISH, row.size)
        memset(&e, 0, sizeof(Event))
        e.message.version = MESSAGE_VERSION
        e.message.kind = EV_LOST
        e.message.object = id
        self.hear(&e)
        return self.after_call()

    def lose(self, bytes object not None):
        """Lose the bytes of an object (by its 20-byte id) that why_kept() says nothing against."""
        self.lose_object(object_from_bytes(object))

    cdef uint64_t make_segment(self, const Message* m) except? 1:
        """0, or errno. One on disk takes memory here as any other does, and counts on the disk nowhere."""
        if m.flags & SEGMENT_ON_DISK:
            return 0 if not self.disk.is_full and self.memory.make(m.object.index, m.request) else NO_SPACE
        return 0 if self.fits(m) else NO_MEMORY

    cdef bint fits(self, const Message* m) except -1:
        """Whether the store has room for a segment that the node orders."""
        cdef int64_t number = self.kernel.faults.strikes(FAULT_FULL_STORE)
        if number < 0:
            return not self.is_full and self.memory.make(m.object.index, m.request)
        self.kernel.faults.note(FAULT_FULL_STORE, number, self.kernel.timeline.now_ns, self.machine.number)
        return False

    cdef int forget(self, uint32_t number) except -1:
        """The node knows that the process has ended."""
        cdef Process p = self.process(number)
        if p is not None:
            p.end_code()
            del self.processes[number]
        return 0

    cdef int client_event(self, Event* e) except -1:
        """A message has come to a process."""
        cdef Process p = self.process(e.message.client)
        trace_deliver(self.trace, &e.message, self.kernel.timeline.now_ns, self.address, True)
        if p is None or p.ended:
            blob_drop(e.payload)
            return 0
        if e.message.kind == CMD_STOP:
            inbox_close(p.inbox)
        else:
            inbox_deliver(p.inbox, &e.message, blob_data(e.payload) if e.payload != NULL else NULL, e.payload)
        blob_drop(e.payload)
        if e.message.kind == CMD_INTERRUPT:
            return self.interrupt(p)
        return self.attend(p)

    cdef int attend(self, Process p) except -1:
        """Let a process go on if what has come lets it."""
        return p.attend() if p.started or p.is_driver else 0

    cdef int start_event(self, uint32_t number) except -1:
        """The worker's code begins."""
        cdef Process p = self.process(number)
        if p is None:
            return 0
        self.attach(p)
        if p.doomed:
            p.end("signal 9")
            return 0
        p.started = True
        return self.attend(p)

    cdef int interrupt(self, Process p) except -1:
        """As the signal in a real worker: KeyboardInterrupt is raised in the task that is meant, if it still runs."""
        try:
            p.worker.on_interrupt(2, None)
        except KeyboardInterrupt:
            p.interrupt()
        return 0

    cdef int flush_event(self, uint32_t number) except -1:
        cdef Process p = self.process(number)
        if p is not None:
            p.link.flush_planned = False
            inbox_flush(p.inbox, True)
        return 0

    # ---- commands ----------------------------------------------------------------------------------------------

    cdef int perform(self) except -1:
        """Perform what the node wants done."""
        cdef vector[Command] commands
        cdef Message* m
        cdef Process p
        cdef size_t i
        commands.swap(self.node.state.commands)
        for i in range(commands.size()):
            m = &commands[i].message
            if m.kind == CMD_SPAWN:
                self.spawn(m, commands[i].payload)
            elif m.kind == CMD_RECALL:
                self.recall(m.client)
            elif m.kind == CMD_SEGMENT:
                self.tell_node(EV_SEGMENT, m.client, self.make_segment(m), m.object.index)
            elif m.kind == CMD_READ:
                self.read_arena(m, commands[i].payload)
            elif m.kind == CMD_WRITE:
                self.written_ns = self.kernel.timeline.now_ns
                memcpy(self.memory.find(m.object.index).writable + m.aux, blob_data(commands[i].payload), m.size)
            elif m.kind == CMD_UNSEGMENT:
                self.memory.drop(m.object.index)
            elif m.kind == CMD_SPILL:
                self.spill(m, (<const uint64_t*> blob_data(commands[i].payload))[0])
            elif m.kind == CMD_RESTORE:
                self.restore(m, (<const uint64_t*> blob_data(commands[i].payload))[0])
            elif m.kind == CMD_DROP_SPILLED:
                self.drop_spilled(m.request)
            elif m.kind == CMD_STOP and m.flags & STOP_KILL:
                p = self.process(m.client)
                if p is not None:
                    self.kill(p)
            elif m.kind == CMD_COMMIT:
                self.tell_node(EV_COMMITTED, 0, m.request, 0)
            elif m.kind == CMD_WARN:
                self.warn(commands[i].payload)
            elif m.kind == CMD_REJECT:
                raise RuntimeError(f"the node rejected an event of kind {m.aux} from client {m.client}")
            else:
                p = self.process(m.client)
                if p is not None:
                    link_to_client(&p.link, m, blob_keep(commands[i].payload))
            blob_drop(commands[i].payload)
        return 0

    cdef int spawn(self, const Message* m, Blob* payload) except -1:
        """A worker: it runs after a while; messages may come to it before."""
        cdef Event e
        cdef uint64_t draw = rng_next(&self.starts)
        cdef uint64_t delay = START_LEAST_NS + draw % START_SPREAD_NS
        cdef const uint32_t* gpus = <const uint32_t*> (blob_data(payload) + 8)
        cdef uint64_t environment = (<const uint64_t*> blob_data(payload))[0]
        cdef uint32_t i
        if draw >> 60 == 0:
            delay += rng_below(&self.starts, START_SLOW_NS)
        cdef uint32_t n_gpus = <uint32_t> ((payload.size - 8) // 4)
        self.connect(self.make_worker(m.client, environment, tuple([gpus[i] for i in range(n_gpus)])))
        memset(&e, 0, sizeof(Event))
        e.handle = at_start
        e.target = <void*> self
        e.message.client = m.client
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns + self.machine.slowed(delay), &e)
        return 0

    cdef int recall(self, uint32_t number) except -1:
        """Take back what the worker has not begun. What it meets of that later, it declines (see Client.begin)."""
        cdef Process p = self.process(number)
        if p is None or p.ended:
            return 0
        p.link.recall_from = p.link.started + 1
        p.link.recall_to = self.node.state.scheduler.workers[number].position + 1
        return self.tell_node(EV_RECALLED, number, p.link.started, 0)

    cdef int read_arena(self, const Message* m, Blob* payload) except -1:
        """Read bytes that are to go to another node: one reading after another."""
        cdef Event e
        cdef uint64_t size = (<const ReadHeader*> blob_data(payload)).size
        cdef uint64_t spilled = (<const ReadHeader*> blob_data(payload)).spilled
        cdef bytes value = self.value_on_disk(spilled) if spilled else b""
        memset(&e, 0, sizeof(Event))
        e.handle = at_node
        e.target = <void*> self
        e.message.version = MESSAGE_VERSION
        e.message.kind = EV_BYTES
        e.message.request = m.request
        e.message.size = <uint32_t> size
        if spilled:
            e.payload = blob_copy(<const char*> value + m.aux, size)
            self.read_ns = max(self.read_ns, self.disk.read_ns(size))
        else:
            e.payload = blob_copy(self.memory.find(m.object.index).writable + m.aux, size)
        self.read_ns = max(self.read_ns, self.kernel.timeline.now_ns + self.delay())
        timeline_plan(&self.kernel.timeline, self.read_ns, &e)
        return 0

    # ---- the disk ----------------------------------------------------------------------------------------------

    def file_of(self, uint64_t number):
        """The name of what was spilled under this number, which no other host of this disk gives."""
        return f"spilled/{self.address}/{self.node.state.incarnation}/{number}"

    cdef bytes value_on_disk(self, uint64_t number):
        return self.disk.read(self.file_of(number))[0]

    cdef int spill(self, const Message* m, uint64_t size) except -1:
        """Write a value, whole or not at all."""
        self.spilled.add(m.request)
        self.disk.append(self.file_of(m.request), (self.memory.find(m.object.index).writable + m.aux)[:size],
                         partial(self.was_written, m.request))
        return 0

    def was_written(self, uint64_t number, bint fits):
        """The disk has a value, or has no room for it."""
        if not self.gone:
            self.tell_node(EV_SPILLED, 0, number, 0, 0 if fits else NO_SPACE)

    cdef int restore(self, const Message* m, uint64_t size) except -1:
        """Read a value into its block, which nobody looks at before the node is told."""
        cdef Event e
        cdef bytes value = self.value_on_disk(m.request)
        memcpy(self.memory.find(m.object.index).writable + m.aux, <const char*> value, size)
        memset(&e, 0, sizeof(Event))
        e.handle = at_node
        e.target = <void*> self
        e.message.version = MESSAGE_VERSION
        e.message.kind = EV_RESTORED
        e.message.request = m.request
        timeline_plan(&self.kernel.timeline, self.disk.read_ns(size), &e)
        return 0

    cdef int drop_spilled(self, uint64_t number) except -1:
        self.spilled.discard(number)
        self.disk.abandon(self.file_of(number))
        self.disk.remove(self.file_of(number))
        return 0

    cdef uint64_t delay(self) noexcept:
        """How long the host's own work takes."""
        return self.machine.slowed(delay_ns(&self.delays))

    cdef int warn(self, Blob* text) except -1:
        if text != NULL:
            sys.stderr.write(f"raylite: {blob_data(text)[:text.size].decode('utf-8', 'replace')}\n")
        return 0

    cdef int tell_node(self, uint8_t kind, uint32_t client, uint64_t request, uint32_t segment,
                       uint64_t aux=0) except -1:
        """An event of the host's own, after a small delay."""
        cdef Event e
        memset(&e, 0, sizeof(Event))
        e.handle = at_node
        e.target = <void*> self
        e.message.version = MESSAGE_VERSION
        e.message.kind = kind
        e.message.client = client
        e.message.request = request
        e.message.object.index = segment
        e.message.aux = aux
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns + self.delay(), &e)
        return 0

    # ---- reports -----------------------------------------------------------------------------------------------

    def trace_hash(self):
        """The hash of all events that the node has handled, in hexadecimal."""
        return task_bytes(self.trace.hash).hex()

    def n_events(self):
        """How many events the node has handled."""
        return self.trace.n_events

    def events(self):
        """The events, if they were recorded: dicts."""
        return trace_rows(self.trace)

    def deliveries(self):
        """The messages between the node and its clients, if they were recorded, as they arrived: dicts."""
        return trace_deliveries(self.trace)
