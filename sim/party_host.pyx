"""The host of a party: gives it packets and time by its machine's clock, and has the network carry what it sends.

After each event of its party a fault may befall it (see faults.KINDS): before what the party has just sent has left, or
after.
"""
from libc.string cimport memset
from raylite._core.links.enlisted cimport Enlisted
from raylite._core.message cimport EV_TICK, Message
from raylite._core.rng cimport rng_next
from raylite.sim.machine cimport Machine
from raylite.sim.timeline cimport Event, timeline_plan
from raylite.sim.trace cimport trace_add

from raylite.sim.cluster_network import FAULT_NAMES

cdef enum:
    SOON_NS = 1                   # a deadline that is past


cdef int at_tick(void* target, void* event) except -1:
    return (<PartyHost> target).tick_event((<Event*> event).token)


cdef class PartyHost(Receiver):
    """Args: network: that carries its packets; machine: where it is; party."""

    def __init__(self, ClusterNetwork network not None, Machine machine not None, Party party not None):
        Receiver.__init__(self, party.address, machine)
        self.kernel = network.kernel
        self.network = network
        self.party = party
        self.crash_fault = -1

    def set_crash_fault(self, name):
        """Say which kind of fault each of its events may be for it. Args: name: of the kind, or None."""
        self.crash_fault = -1 if name is None else FAULT_NAMES.index(name)

    cdef uint64_t now_ns(self) noexcept:
        """What its machine's clock shows."""
        return self.machine.local_ns(self.kernel.timeline.now_ns)

    def start(self):
        """Its packets come to it from now on, and time passes for it."""
        self.network.connect(self)
        if isinstance(self.party, Enlisted):
            (<Enlisted> self.party).start(self.now_ns())
        elif hasattr(self.party, "begin"):
            self.party.begin(self.now_ns())
        self.after_event()

    def end(self):
        """It is gone, as from one instant to the next; what it has sent still arrives."""
        self.gone = True
        if self.network is not None:
            self.network.disconnect(self)
        self.party = None

    def did(self):
        """Something was asked of the party itself: see to what it has left behind."""
        self.after_call()
        self.after_event()

    cdef bint take(self, const Packet* packet) except -1:
        if self.gone:
            return False
        self.party.receive(self.now_ns(), packet)
        self.after_event()
        return True

    cdef int after_event(self) except -1:
        """Perform what the party wants done, unless a fault befalls it first; or after that."""
        cdef int64_t number = -1
        cdef bint has_left = True
        if self.crash_fault >= 0:
            number = self.kernel.faults.strikes(self.crash_fault)
        if number >= 0:
            draws = self.network.extent(self.crash_fault, number)
            has_left = rng_next(&draws) & 1
        if has_left:
            self.after_call()
        if number >= 0 and self.on_crash(self, FAULT_NAMES[self.crash_fault], number):
            return self.kernel.faults.note(self.crash_fault, number, self.kernel.timeline.now_ns, self.address)
        if not has_left:
            self.after_call()
        if self.party is not None and self.party.fenced and self.on_fenced is not None:
            self.on_fenced(self)
        return 0

    cdef int after_call(self) except -1:
        """Perform what the party wants done."""
        self.network.carry_all(self, &self.party.out)
        return self.plan_tick(self.party.deadline_ns())

    cdef int tick(self) except -1:
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.kind = EV_TICK
        m.time_ns = self.now_ns()
        trace_add(&self.network.trace, self.kernel.timeline.now_ns, self.address, &m)
        self.party.tick(m.time_ns)
        return 0

    cdef int tick_event(self, uint64_t at_ns) except -1:
        if self.gone or self.tick_at_ns != at_ns:
            return 0
        self.tick_at_ns = 0
        self.tick()
        return self.after_event()

    cdef int plan_tick(self, uint64_t deadline_ns) except -1:
        """Have the party told of the time when it wants to be. Args: deadline_ns: by its machine's clock; 0: never."""
        cdef Event e
        cdef uint64_t at_ns
        if deadline_ns == 0:
            return 0
        at_ns = max(self.machine.kernel_ns(deadline_ns), self.kernel.timeline.now_ns + SOON_NS)
        if self.tick_at_ns and self.tick_at_ns <= at_ns:
            return 0
        self.tick_at_ns = at_ns
        memset(&e, 0, sizeof(Event))
        e.handle = at_tick
        e.target = <void*> self
        e.background = True
        e.token = at_ns
        timeline_plan(&self.kernel.timeline, at_ns, &e)
        return 0
