"""The network between virtual machines: packets under way, and what befalls them.

A packet takes, on the way from one machine to another, the time that its size takes at the way's bandwidth, during
which no other leaves; then the latency, and a drawn part of the jitter. Packets on one way arrive in the order of their
sending. Within a machine a packet takes a little time, and nothing befalls it.

Faults: a packet is lost, arrives twice, is held up and with it what follows (delay), or is overtaken by what follows
(reordering); a partition begins with it. What a fault does follows from its number, so that to leave one out shifts no
draw of the others.
"""
from cython.operator cimport dereference as deref
from libc.string cimport memset
from raylite._core.cluster.message cimport NODE_CHUNK
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, blob_keep
from raylite._core.ids cimport derive_task, task_bytes, TaskId
from raylite._core.message cimport Message
from raylite._core.links.packet cimport PacketHeader
from raylite._core.rng cimport rng_below, rng_next
from raylite.sim.fault_draws cimport FAULT_CLOCK_SKEW, FAULT_MESSAGE_DELAY, FAULT_MESSAGE_DUPLICATION, \
    FAULT_MESSAGE_LOSS, FAULT_MESSAGE_REORDERING, FAULT_PARTITION, FAULT_SLOW_NODE
from raylite.sim.kernel cimport stream_seed
from raylite.sim.timeline cimport Event, timeline_plan
from raylite.sim.trace cimport trace_packet, trace_rows

from raylite.sim.faults import KINDS

FAULT_NAMES = tuple(KINDS)

cdef enum:
    STREAM_PACKETS = 48           # of kernel.Stream
    STREAM_EXTENTS = 49           # and those that follow, one for each kind of fault
    LOCAL_NS = 5000               # within a machine
    DELAY_TIMES = 100             # a delayed packet takes up to so many times as long
    HELD_LEAST_NS = 100000        # a packet that is overtaken, or repeated; each of the following is twice as long
    HELD_DOUBLINGS = 8
    CUT_LEAST_NS = 5000000        # how long a partition lasts, the same
    CUT_DOUBLINGS = 10
    CUT_SPARED_NS = 300000000     # at most, if no machine may be taken for dead by it
    SLOW_PERCENT = 1000
    SKEW_MOST_NS = 60000000000
    DRIFT_PPM = 10000             # of a clock that is off


cdef int at_arrival(void* target, void* event) except -1:
    return (<ClusterNetwork> target).arrive(<uint32_t> (<Event*> event).token)


cdef int at_heal(void* target, void* event) except -1:
    (<ClusterNetwork> target).heal((<Event*> event).token)
    return 0


cdef uint64_t doubling(Rng* draws, uint64_t least_ns, uint64_t doublings) noexcept nogil:
    """A time drawn so that each doubling of `least_ns` is as likely as the next."""
    cdef uint64_t base = least_ns << rng_below(draws, doublings)
    return base + rng_below(draws, base)


cdef class Receiver:
    """What has an address in the network. Args: address; machine: the Machine that it is on."""

    def __init__(self, uint32_t address, Machine machine not None):
        self.address = address
        self.machine = machine

    cdef bint take(self, const Packet* packet) except -1:
        """A packet has come; False: there is nobody any more. The payload's hold stays with the caller."""
        return False


cdef class ClusterNetwork:
    """Args: kernel; machines: the Machines, by number; spared: numbers of those that no fault cuts off for so long that
    others take them for dead; latency_ns, jitter_ns, bytes_per_s: of
    every way that set_way() says nothing of; record: keep the stream of events, and not only its hash."""

    def __init__(self, Kernel kernel not None, machines, *, spared=(), uint64_t latency_ns=50000,
                 uint64_t jitter_ns=20000, uint64_t bytes_per_s=3125000000, bint record=False):
        self.kernel = kernel
        self.machines = tuple(machines)
        self.faults = kernel.faults
        self.trace.recording = record
        self.draws.state = stream_seed(kernel.seed, STREAM_PACKETS)
        memset(&self.usual, 0, sizeof(Way))
        self.usual.latency_ns = latency_ns
        self.usual.jitter_ns = jitter_ns
        self.usual.bytes_per_s = bytes_per_s
        self.ways.resize(len(self.machines))
        self.spared = frozenset(spared)
        self.connected = {}
        self.partitions = {}

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.flights.size()):
            blob_drop(self.flights[i].packet.payload)

    # ---- who is there ------------------------------------------------------------------------------------------

    def connect(self, Receiver receiver not None):
        """From now on packets to its address come to it; it takes the place of who had the address before."""
        self.connected[receiver.address] = receiver
        self.receivers[receiver.address] = <void*> receiver
        self.homes[receiver.address] = receiver.machine.number

    def disconnect(self, Receiver receiver not None):
        """Packets to it are lost, as long as nobody takes its address."""
        if self.connected.get(receiver.address) is receiver:
            self.receivers.erase(receiver.address)
            del self.connected[receiver.address]

    def set_way(self, uint32_t start, uint32_t end, *, latency_ns=None, jitter_ns=None, bytes_per_s=None):
        """Say what the way from one machine to another is like; what is None stays."""
        cdef Way* way = self.way(self.checked(start), self.checked(end))
        if latency_ns is not None:
            way.latency_ns = latency_ns
        if jitter_ns is not None:
            way.jitter_ns = jitter_ns
        if bytes_per_s is not None:
            way.bytes_per_s = bytes_per_s

    def set_usual(self, *, uint64_t latency_ns, uint64_t jitter_ns, uint64_t bytes_per_s):
        """Say what every way is like that set_way() says nothing of. Before any packet."""
        self.usual.latency_ns, self.usual.jitter_ns, self.usual.bytes_per_s = latency_ns, jitter_ns, bytes_per_s
        self.ways.clear()
        self.ways.resize(len(self.machines))

    def checked(self, machine):
        """The number of a machine. Raises ValueError if there is none of this number."""
        if isinstance(machine, bool) or not isinstance(machine, int) or not 0 <= machine < len(self.machines):
            raise ValueError(f"there is no machine {machine!r}; there are 0 to {len(self.machines) - 1}")
        return machine

    cdef Way* way(self, uint32_t start, uint32_t end) noexcept:
        cdef vector[Way]* row = &self.ways[start]
        if row.empty():
            row.resize(self.ways.size(), self.usual)
            deref(row)[start].latency_ns = LOCAL_NS
            deref(row)[start].jitter_ns = 0
            deref(row)[start].bytes_per_s = 0
        return &deref(row)[end]

    # ---- packets -----------------------------------------------------------------------------------------------

    cdef int carry_all(self, Receiver sender, vector[Packet]* packets) except -1:
        """Carry what a party has left to be carried."""
        cdef vector[Packet] out
        cdef size_t i
        if packets.empty():
            return 0
        out.swap(packets[0])
        for i in range(out.size()):
            self.carry(sender, &out[i])
        return 0

    cdef int carry(self, Receiver sender, Packet* packet) except -1:
        """Carry a packet. Takes over the payload's hold."""
        cdef Way* way
        cdef Machine here = sender.machine, there
        cdef Draw draw
        cdef Packet copy
        cdef uint64_t size = sizeof(PacketHeader) + sizeof(Message) + (packet.payload.size if packet.payload else 0)
        cdef uint64_t now_ns = self.kernel.timeline.now_ns, arrives_ns
        home = self.homes.find(packet.head.target)
        if home == self.homes.end():
            raise RuntimeError(f"{sender.address:#x} sends a packet to {packet.head.target:#x}, which never was there")
        there = self.machines[deref(home).second]
        way = self.way(here.number, there.number)
        self.n_sent += 1
        if way.free_ns < now_ns:
            way.free_ns = now_ns
        if here is there:
            return self.fly(packet, now_ns + here.slowed(way.latency_ns))
        self.n_bytes += size
        self.draw(way, &draw)
        if way.bytes_per_s:
            way.free_ns += here.slowed(there.slowed(size * 1000000000 // way.bytes_per_s))
        if draw.partition >= 0:
            self.begin_partition(draw.partition, here.number, there.number)
        if draw.loss >= 0:
            self.faults.note(FAULT_MESSAGE_LOSS, draw.loss, now_ns, (packet.head.source, packet.head.target))
        if draw.loss >= 0 or way.n_cuts:
            return self.lose(packet)
        arrives_ns = way.free_ns + here.slowed(there.slowed(draw.travel_ns))
        if draw.delay >= 0:
            self.faults.note(FAULT_MESSAGE_DELAY, draw.delay, now_ns, (packet.head.source, packet.head.target))
            extent = self.extent(FAULT_MESSAGE_DELAY, draw.delay)
            arrives_ns += rng_below(&extent, (DELAY_TIMES - 1) * (way.latency_ns + way.jitter_ns))
        if draw.reordering >= 0:
            self.faults.note(FAULT_MESSAGE_REORDERING, draw.reordering, now_ns,
                             (packet.head.source, packet.head.target))
            extent = self.extent(FAULT_MESSAGE_REORDERING, draw.reordering)
            arrives_ns += doubling(&extent, HELD_LEAST_NS, HELD_DOUBLINGS)
        elif arrives_ns < way.arrives_ns:
            arrives_ns = way.arrives_ns
        else:
            way.arrives_ns = arrives_ns
        if draw.duplication >= 0:
            self.faults.note(FAULT_MESSAGE_DUPLICATION, draw.duplication, now_ns,
                             (packet.head.source, packet.head.target))
            extent = self.extent(FAULT_MESSAGE_DUPLICATION, draw.duplication)
            copy = packet[0]
            blob_keep(copy.payload)
            self.fly(&copy, arrives_ns + doubling(&extent, HELD_LEAST_NS, HELD_DOUBLINGS))
        return self.fly(packet, arrives_ns)

    cdef int draw(self, const Way* way, Draw* out) except -1:
        """All that is drawn for a packet, whatever comes of it: so that no outcome shifts a later draw."""
        out.travel_ns = way.latency_ns + rng_below(&self.draws, way.jitter_ns + 1)
        out.partition = self.faults.strikes(FAULT_PARTITION)
        out.loss = self.faults.strikes(FAULT_MESSAGE_LOSS)
        out.delay = self.faults.strikes(FAULT_MESSAGE_DELAY)
        out.reordering = self.faults.strikes(FAULT_MESSAGE_REORDERING)
        out.duplication = self.faults.strikes(FAULT_MESSAGE_DUPLICATION)
        return 0

    cdef Rng extent(self, int kind, int64_t number) noexcept:
        """What says how long, how much or whom: the draws of this fault alone."""
        cdef Rng draws
        draws.state = derive_task(TaskId(self.kernel.seed, STREAM_EXTENTS + kind), number, 0).lo
        return draws

    cdef int fly(self, Packet* packet, uint64_t arrives_ns) except -1:
        cdef Event event
        cdef Flight flight
        flight.packet = packet[0]
        flight.sent_ns = self.kernel.timeline.now_ns
        memset(&event, 0, sizeof(Event))
        event.handle = at_arrival
        event.target = <void*> self
        event.background = packet.message.kind != NODE_CHUNK   # bytes of a value on their way are progress
        if self.free.empty():
            event.token = self.flights.size()
            self.flights.push_back(flight)
        else:
            event.token = self.free.back()
            self.free.pop_back()
            self.flights[event.token] = flight
        timeline_plan(&self.kernel.timeline, arrives_ns, &event)
        return 0

    cdef int lose(self, Packet* packet) except -1:
        self.n_lost += 1
        blob_drop(packet.payload)
        return 0

    cdef int arrive(self, uint32_t slot) except -1:
        """A packet has come to the machine that its target is on, or was."""
        cdef Packet packet = self.flights[slot].packet
        cdef bint taken = False
        self.flights[slot].packet.payload = NULL
        self.free.push_back(slot)
        receiver = self.receivers.find(packet.head.target)
        if receiver == self.receivers.end():
            return self.lose(&packet)
        trace_packet(&self.trace, self.kernel.timeline.now_ns, &packet, self.flights[slot].sent_ns)
        try:
            taken = (<Receiver> deref(receiver).second).take(&packet)
        finally:
            blob_drop(packet.payload)
        self.n_arrived += taken
        self.n_lost += not taken
        return 0

    # ---- partitions --------------------------------------------------------------------------------------------

    def partition(self, start, end=None, one_way=False):
        """Cut machines off from others. What is under way arrives.

        Args: start, end: numbers of machines, end: by default all others; one_way: what the first send does not reach
        the others, but what those send arrives. Returns the partition's number. Raises ValueError if there is no such
        machine, if one is on both sides or a side is empty.
        """
        sides = [sorted({self.checked(m) for m in start})]
        sides.append(sorted({self.checked(m) for m in end} if end is not None
                            else set(range(len(self.machines))).difference(sides[0])))
        if not sides[0] or not sides[1]:
            raise ValueError(f"a partition has machines on both sides, not {sides[0]} and {sides[1]}")
        both = set(sides[0]).intersection(sides[1])
        if both:
            raise ValueError(f"machine {min(both)} is on both sides of the partition")
        cut = [(a, b) for a in sides[0] for b in sides[1]]
        if not one_way:
            cut += [(b, a) for a, b in cut]
        for a, b in cut:
            self.way(a, b).n_cuts += 1
        self.last_partition += 1
        self.partitions[self.last_partition] = cut
        return self.last_partition

    def heal(self, number=None):
        """End a partition, or all. One that has ended already is none."""
        for n in list(self.partitions) if number is None else [number]:
            for a, b in self.partitions.pop(n, ()):
                self.way(a, b).n_cuts -= 1

    def is_cut(self, start, end):
        """Whether what one machine sends does not reach another."""
        return bool(self.way(self.checked(start), self.checked(end)).n_cuts)

    def spares(self, start, end):
        """Whether a fault may cut off these machines for a short while only. Args: end: None for all others."""
        if start in self.spared or end in self.spared or (end is None and self.spared):
            return True
        return self.may_last is not None and not self.may_last(start, end)

    cdef int begin_partition(self, int64_t number, uint32_t start, uint32_t end) except -1:
        """A fault: two machines do not reach each other for a while, or one not the other, or nobody reaches one."""
        cdef Event event
        cdef Rng extent = self.extent(FAULT_PARTITION, number)
        cdef uint64_t shape = rng_below(&extent, 4)
        cdef uint64_t duration_ns = doubling(&extent, CUT_LEAST_NS, CUT_DOUBLINGS)
        one_way = shape == 1
        others = None if shape == 3 else [end]
        if self.spares(start, None if shape == 3 else end):
            duration_ns = min(duration_ns, <uint64_t> CUT_SPARED_NS)
        self.faults.note(FAULT_PARTITION, number, self.kernel.timeline.now_ns,
                         {"from": start, "to": others, "one_way": one_way, "duration_ns": duration_ns})
        memset(&event, 0, sizeof(Event))
        event.handle = at_heal
        event.target = <void*> self
        event.background = True
        event.token = self.partition([start], others, one_way)
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns + duration_ns, &event)
        return 0

    # ---- other faults ------------------------------------------------------------------------------------------

    def draw_machine(self, uint32_t number):
        """Draw what is wrong with a machine from its start: it is slow, its clock is off."""
        cdef int64_t fault = self.faults.strikes(FAULT_SLOW_NODE)
        cdef Machine machine = self.machines[number]
        cdef uint64_t now_ns = self.kernel.timeline.now_ns
        if fault >= 0:
            self.faults.note(FAULT_SLOW_NODE, fault, now_ns, number)
            machine.slow_down(SLOW_PERCENT)
        fault = self.faults.strikes(FAULT_CLOCK_SKEW)
        if fault >= 0:
            self.faults.note(FAULT_CLOCK_SKEW, fault, now_ns, number)
            extent = self.extent(FAULT_CLOCK_SKEW, fault)
            machine.skew(now_ns, rng_below(&extent, SKEW_MOST_NS),
                         <uint32_t> (1000000 - DRIFT_PPM + rng_below(&extent, 2 * DRIFT_PPM + 1)))

    def drawn_s(self, kind not None, int64_t number, double least_s, uint64_t doublings):
        """How long this fault lasts. Args: kind: its name; least_s: each of so many doublings of it is as likely."""
        cdef Rng extent = self.extent(FAULT_NAMES.index(kind), number)
        rng_next(&extent)             # which said whether what was sent has left
        return doubling(&extent, <uint64_t> (least_s * 1e9), doublings) / 1e9

    def drawn_below(self, kind not None, int64_t number, uint64_t limit):
        """What else is to be drawn of this fault: a number from 0 up to this."""
        cdef Rng extent = self.extent(FAULT_NAMES.index(kind), number)
        return (rng_next(&extent) >> 1) % limit       # its lowest bit said whether what was sent has left

    # ---- reports -----------------------------------------------------------------------------------------------

    def trace_hash(self):
        """The hash of all that parties and nodes have handled, in hexadecimal."""
        return task_bytes(self.trace.hash).hex()

    def n_events(self):
        """How much that was."""
        return self.trace.n_events

    def events(self):
        """It itself, if it was recorded: dicts."""
        return trace_rows(&self.trace)


cdef class Probe(Receiver):
    """An address without a party, for tests: it sends what it is told to, and keeps what comes.

    Attributes: arrived: tuples (kernel time, source, number, payload).
    """

    def __init__(self, uint32_t address, Machine machine not None, ClusterNetwork network not None):
        Receiver.__init__(self, address, machine)
        self.network = network
        self.arrived = []
        network.connect(self)

    cdef bint take(self, const Packet* packet) except -1:
        payload = blob_data(packet.payload)[:packet.payload.size] if packet.payload else b""
        self.arrived.append((self.network.kernel.now_ns, packet.head.source, packet.message.request, payload))
        return True

    def send(self, uint32_t target, uint64_t number=0, bytes payload=b""):
        """Send a packet. Args: target: an address; number: any; payload: bytes."""
        cdef Packet packet
        memset(&packet, 0, sizeof(Packet))
        packet.head.source = self.address
        packet.head.target = target
        packet.message.request = number
        packet.message.size = <uint32_t> len(payload)
        packet.payload = blob_copy(payload, len(payload)) if payload else NULL
        self.network.carry(self, &packet)
