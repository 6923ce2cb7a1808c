from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.links.packet cimport Packet
from raylite._core.rng cimport Rng
from raylite.sim.fault_draws cimport FaultDraws
from raylite.sim.kernel cimport Kernel
from raylite.sim.machine cimport Machine
from raylite.sim.trace cimport Trace

cdef struct Way:                  # from one machine to another
    uint64_t free_ns              # when all that was sent before has left
    uint64_t arrives_ns           # when the last one arrives of those that keep their order
    uint64_t latency_ns
    uint64_t jitter_ns
    uint64_t bytes_per_s          # 0: size costs no time
    uint32_t n_cuts               # partitions that cut it

cdef struct Flight:               # a packet under way
    Packet packet
    uint64_t sent_ns

cdef struct Draw:                 # what befalls one packet: numbers of faults, -1: none
    uint64_t travel_ns
    int64_t partition
    int64_t loss
    int64_t delay
    int64_t reordering
    int64_t duplication

cdef class Receiver:
    cdef readonly uint32_t address
    cdef readonly Machine machine
    cdef bint take(self, const Packet* packet) except -1

cdef class ClusterNetwork:
    cdef readonly Kernel kernel
    cdef readonly tuple machines
    cdef readonly FaultDraws faults
    cdef Trace trace
    cdef Rng draws
    cdef Way usual
    cdef vector[vector[Way]] ways     # [from][to]; a row is made when it is needed
    cdef unordered_map[uint32_t, uint32_t] homes          # address -> machine, also of who is down
    cdef unordered_map[uint32_t, void*] receivers         # address -> Receiver
    cdef dict connected           # the same, to keep them
    cdef vector[Flight] flights
    cdef vector[uint32_t] free
    cdef readonly frozenset spared    # machines that partitions by a fault cut off for a short while only
    cdef public object may_last       # called with both ends of a partition by a fault; False: for a short while only
    cdef dict partitions          # number -> (from, to) of the ways that it cuts
    cdef uint64_t last_partition
    cdef readonly uint64_t n_sent
    cdef readonly uint64_t n_arrived
    cdef readonly uint64_t n_lost     # by a fault, a partition, or because nobody was there
    cdef readonly uint64_t n_bytes    # sent between machines
    cdef Way* way(self, uint32_t start, uint32_t end) noexcept
    cdef int carry(self, Receiver sender, Packet* packet) except -1
    cdef int carry_all(self, Receiver sender, vector[Packet]* packets) except -1
    cdef int draw(self, const Way* way, Draw* out) except -1
    cdef int fly(self, Packet* packet, uint64_t arrives_ns) except -1
    cdef int lose(self, Packet* packet) except -1
    cdef int arrive(self, uint32_t slot) except -1
    cdef int begin_partition(self, int64_t number, uint32_t start, uint32_t end) except -1
    cdef Rng extent(self, int kind, int64_t number) noexcept

cdef class Probe(Receiver):
    cdef ClusterNetwork network
    cdef readonly list arrived
