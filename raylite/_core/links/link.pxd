from libc.stdint cimport uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.links.packet cimport Packet

cdef enum:
    WINDOW = 1024                 # packets of a link that are sent and not acknowledged
    BULK_WINDOW = 256             # of them in the bulk lane
    BULK_BYTES = 8388608          # and their payloads together, if there is more than one
    ACK_EVERY = 64                # packets that wait for an acknowledgement at most
    ACK_DELAY_NS = 5000000        # and how long
    FIRST_TIMEOUT_NS = 100000000  # until round trips are known
    LEAST_TIMEOUT_NS = 20000000   # well above ACK_DELAY_NS
    MOST_TIMEOUT_NS = 1000000000
    LEAST_BYTE_NS = 100           # what a time-out allows for each byte of bulk in the window: from 10 MB/s
    MOST_BYTE_NS = 4000           # to 250 kB/s

cdef enum:
    LANE_CONTROL = 0
    LANE_BULK = 1                 # lets the other lane's packets pass before they are numbered

cdef enum SendStatus:
    SEND_OK = 0
    SEND_RETURNED = 1             # the target is dead: given back
    SEND_FENCED = 2               # who sends is dead: dropped

cdef struct Sending:              # a packet that waits, or is not acknowledged yet
    Message message
    Blob* payload
    uint64_t sent_ns
    uint32_t n_sent
    bint bulk
    bint arrived                  # acknowledged, but not all before it

cdef struct SendQueue:            # a ring; its size is a power of two, or 0
    vector[Sending] slots
    uint64_t head
    uint64_t count

cdef struct Link:
    uint32_t address              # of the peer
    uint32_t incarnation          # that it is known to have; 0: not known
    uint32_t dead                 # its incarnations up to here are: all before the known one
    bint ack_now
    bint must_answer              # even if there is nothing to acknowledge
    # sending
    SendQueue lanes[2]            # have no number yet
    SendQueue window              # sent and not acknowledged, without a gap
    uint64_t next_sequence
    uint64_t bulk_bytes           # in the window
    uint64_t bulk_most            # that it may have now: halved by a time-out
    uint64_t byte_ns              # how long a byte of bulk takes, as far as it is known
    uint32_t n_bulk
    uint32_t n_timeouts           # since the last round trip that was measured
    uint64_t round_trip_ns        # smoothed; 0: not known
    uint64_t variation_ns         # of it, smoothed
    uint64_t retransmit_ns        # 0: nothing to send again
    uint64_t recover_to           # what was sent before a time-out, up to here, is sent again
    uint64_t recover_from         # as acknowledgements come: from here on
    # receiving
    uint64_t received             # all up to here was handed over
    ordered_map[uint64_t, Packet] early
    uint64_t ack_due_ns           # 0: nothing to acknowledge
    uint32_t n_unacknowledged
    uint64_t timer_ns             # of this link in Links.timers; 0: none

cdef struct PeerGone:
    uint32_t address
    uint32_t incarnation

cdef struct Links:
    uint32_t address              # of the party whose links these are
    uint32_t incarnation
    bint fenced
    unordered_map[uint32_t, Link] rows        # by address
    ordered_set[pair[uint64_t, uint32_t]] timers      # time, address: none later than its link needs
    vector[Packet] arrived        # in order, for the party to take; with their payloads' holds
    vector[Packet] returned       # the same: sent to a target that is gone, and not acknowledged
    vector[PeerGone] gone         # the same: known incarnations that have ended

cdef int links_send(Links* l, uint64_t now_ns, uint32_t target, const Message* message, Blob* payload, int lane,
                    vector[Packet]* out) noexcept nogil
cdef void links_receive(Links* l, uint64_t now_ns, const Packet* packet, vector[Packet]* out) noexcept nogil
cdef void links_answer(Links* l, uint64_t now_ns, uint32_t address, vector[Packet]* out) noexcept nogil
cdef void links_tick(Links* l, uint64_t now_ns, vector[Packet]* out) noexcept nogil
cdef uint64_t links_deadline_ns(Links* l) noexcept nogil
cdef void links_know(Links* l, uint64_t now_ns, uint32_t address, uint32_t incarnation, vector[Packet]* out) \
    noexcept nogil
cdef void links_declare_dead(Links* l, uint32_t address, uint32_t incarnation) noexcept nogil
cdef uint64_t links_unacknowledged(Links* l, uint32_t address) noexcept nogil
cdef void links_taken(Links* l) noexcept nogil
cdef void links_clear(Links* l) noexcept nogil
cdef const char* links_violation_at(Links* l, uint32_t address) noexcept nogil
cdef const char* links_violation(Links* l) noexcept nogil
