"""A party: the base of whatever has an address in the cluster. Packets come in, messages go to what is built on it.

Rules it keeps: messages are delivered in the order of their link; of a peer that is gone first what was not delivered
is given back, then its end is told, and then what its next incarnation says; once fenced it does nothing more.
"""
from libc.string cimport memset
from raylite._core.envelope cimport Blob, blob_copy, blob_data, blob_drop
from raylite._core.links.link cimport LANE_BULK, LANE_CONTROL, links_answer, links_clear, links_deadline_ns, \
    links_declare_dead, links_know, links_receive, links_send, links_taken, links_tick, links_unacknowledged, \
    links_violation, links_violation_at, PeerGone
from raylite._core.links.packet cimport packet_read, packet_size, packet_write
from raylite._core.links.packet import PacketError

cdef extern from *:
    """
    #ifdef RAYLITE_DEBUG
    #define RAYLITE_IS_DEBUG 1
    #else
    #define RAYLITE_IS_DEBUG 0
    #endif
    """
    bint RAYLITE_IS_DEBUG

cdef enum:
    CHECKED_ALWAYS = 16           # links


cdef class Party:
    """What has an address. Its kinds are classes of their own.

    Hosts that are compiled call `receive`, `tick` and `deadline_ns` and take `out`; the methods that Python sees do the
    same with packets as bytes.
    """

    def __dealloc__(self):
        cdef size_t i
        links_clear(&self.links)
        for i in range(self.out.size()):
            blob_drop(self.out[i].payload)

    cdef int join(self, uint32_t address, uint32_t incarnation) except -1:
        """Be a party of a cluster from now on. Raises ValueError for an address or incarnation 0."""
        if address == 0 or incarnation == 0:
            raise ValueError(f"a party has an address and an incarnation, got {address} and {incarnation}")
        self.address = self.links.address = address
        self.incarnation = self.links.incarnation = incarnation
        return 0

    cdef int receive(self, uint64_t now_ns, const Packet* packet) except -1:
        self.now_ns = now_ns
        links_receive(&self.links, now_ns, packet, &self.out)
        self.hand_over()
        links_answer(&self.links, now_ns, packet.head.source, &self.out)
        return self.check_links(packet.head.source)

    cdef int tick(self, uint64_t now_ns) except -1:
        cdef uint64_t wanted_ns
        self.now_ns = now_ns
        links_tick(&self.links, now_ns, &self.out)
        wanted_ns = self.wants_time_ns()
        if wanted_ns and wanted_ns <= now_ns and not self.links.fenced:
            self.on_time(now_ns)
        self.hand_over()
        return self.check_links(0)

    cdef uint64_t deadline_ns(self) noexcept:
        cdef uint64_t links_ns, own_ns
        if self.links.fenced:
            return not self.fenced
        links_ns = links_deadline_ns(&self.links)
        own_ns = self.wants_time_ns()
        return min(links_ns, own_ns) if links_ns and own_ns else links_ns + own_ns

    cdef int send(self, uint32_t target, Message* message, Blob* payload) except -1:
        return links_send(&self.links, self.now_ns, target, message, payload, LANE_CONTROL, &self.out)

    cdef int send_bulk(self, uint32_t target, Message* message, Blob* payload) except -1:
        return links_send(&self.links, self.now_ns, target, message, payload, LANE_BULK, &self.out)

    cdef int know(self, uint32_t address, uint32_t incarnation) except -1:
        links_know(&self.links, self.now_ns, address, incarnation, &self.out)
        return 0

    cdef int declare_dead(self, uint32_t address, uint32_t incarnation) except -1:
        links_declare_dead(&self.links, address, incarnation)
        return 0

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        return 0

    cdef int on_time(self, uint64_t now_ns) except -1:
        return 0

    cdef uint64_t wants_time_ns(self) noexcept:
        return 0

    cdef int on_returned(self, uint64_t now_ns, uint32_t target, uint32_t incarnation, const Message* message,
                         Blob* payload) except -1:
        return 0

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        return 0

    cdef int on_fenced(self, uint64_t now_ns) except -1:
        return 0

    cdef int hand_over(self) except -1:
        """Tell what has come of the links, until nothing follows any more."""
        cdef Links* links = &self.links
        cdef size_t n_returned = 0, n_gone = 0, n_arrived = 0
        cdef Packet p
        cdef PeerGone gone
        try:
            while not links.fenced:
                if n_returned < links.returned.size():
                    p = links.returned[n_returned]
                    n_returned += 1
                    self.on_returned(self.now_ns, p.head.target, p.head.target_incarnation, &p.message, p.payload)
                elif n_gone < links.gone.size():
                    gone = links.gone[n_gone]
                    n_gone += 1
                    self.on_peer_gone(self.now_ns, gone.address, gone.incarnation)
                elif n_arrived < links.arrived.size():
                    p = links.arrived[n_arrived]
                    n_arrived += 1
                    self.deliver(self.now_ns, p.head.source, &p.message, p.payload)
                else:
                    break
        finally:
            links_taken(links)
        if links.fenced and not self.fenced:
            self.fenced = True
            self.on_fenced(self.now_ns)
        return 0

    cdef int check_links(self, uint32_t address) except -1:
        """In a debug build, check the link to this party, and all while they are few."""
        if RAYLITE_IS_DEBUG:
            require_none(links_violation_at(&self.links, address))
            if self.links.rows.size() <= CHECKED_ALWAYS:
                require_none(links_violation(&self.links))
        return 0

    def check_invariants(self):
        """Check the tables of the links against each other; raises RuntimeError naming the first violation."""
        require_none(links_violation(&self.links))

    def take_packets(self):
        """The packets that it has sent since the last call, as bytes."""
        cdef size_t i
        packets = [packet_bytes(&self.out[i]) for i in range(self.out.size())]
        for i in range(self.out.size()):
            blob_drop(self.out[i].payload)
        self.out.clear()
        return packets

    def take_in(self, uint64_t now_ns, bytes packet not None):
        """Receive a packet. Raises PacketError if the bytes are none."""
        cdef Packet p
        if not packet_read(packet, len(packet), &p):
            raise PacketError(f"{len(packet)} bytes that are no packet")
        try:
            self.receive(now_ns, &p)
        finally:
            blob_drop(p.payload)

    def pass_time(self, uint64_t now_ns):
        """Do what is due."""
        self.tick(now_ns)

    def deadline(self):
        """By when pass_time is to be called, or 0."""
        return self.deadline_ns()


cdef class Recorder(Party):
    """A party that writes down what it is told: for tests, and to see what a link does.

    Args: address, incarnation: its own.
    """
    cdef list told

    def __init__(self, uint32_t address, uint32_t incarnation):
        self.join(address, incarnation)
        self.told = []

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        self.told.append(("delivered", source, message.kind, payload_bytes(payload)))
        return 0

    cdef int on_returned(self, uint64_t now_ns, uint32_t target, uint32_t incarnation, const Message* message,
                         Blob* payload) except -1:
        self.told.append(("returned", target, incarnation, message.kind, payload_bytes(payload)))
        return 0

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        self.told.append(("gone", source, incarnation))
        return 0

    cdef int on_fenced(self, uint64_t now_ns) except -1:
        self.told.append(("fenced",))
        return 0

    def take_told(self):
        """What was delivered, given back and said of peers since the last call, in order."""
        told, self.told = self.told, []
        return told

    def say(self, uint64_t now_ns, uint32_t target, int kind, bytes payload=b"", *, bint bulk=False):
        """Send a message."""
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.kind = kind
        self.now_ns = now_ns
        if bulk:
            self.send_bulk(target, &m, blob_of(payload))
        else:
            self.send(target, &m, blob_of(payload))

    def hear_of(self, uint64_t now_ns, uint32_t address, uint32_t incarnation):
        """Somebody says which incarnation a party has."""
        self.now_ns = now_ns
        self.know(address, incarnation)

    def hear_death(self, uint64_t now_ns, uint32_t address, uint32_t incarnation):
        """Somebody says that a party's incarnations up to this one are dead."""
        self.now_ns = now_ns
        self.declare_dead(address, incarnation)

    def unacknowledged(self, uint32_t address):
        """How many packets to a party wait or are not acknowledged."""
        return links_unacknowledged(&self.links, address)


cdef int require_none(const char* wrong) except -1:
    if wrong != NULL:
        raise RuntimeError(f"raylite link invariant violated: {wrong.decode()}")
    return 0


cdef Blob* blob_of(bytes payload) except? NULL:
    return blob_copy(payload, len(payload)) if payload else NULL


cdef bytes payload_bytes(Blob* payload):
    return blob_data(payload)[:payload.size] if payload != NULL else b""


cdef bytes packet_bytes(const Packet* packet):
    cdef bytearray data = bytearray(packet_size(packet))
    packet_write(packet, data)
    return bytes(data)
