from libc.stdint cimport uint32_t, uint64_t
from libcpp.vector cimport vector
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Message
from raylite._core.links.packet cimport Packet

cdef struct Traced:
    uint64_t time_ns              # the kernel's
    uint64_t sent_ns              # packets only
    uint64_t sequence             # of a packet in its link
    uint32_t source               # address: where a packet comes from; 0: it is no packet
    uint32_t target               # where the event was handled; 0: there is one node
    Message message

cdef struct Delivery:
    uint64_t sent_ns
    uint64_t arrived_ns
    uint32_t address              # of the node; 0: it is alone
    bint to_client
    Message message

cdef struct Trace:
    TaskId hash
    uint64_t n_events
    bint recording
    vector[Traced] events         # if recording
    vector[Delivery] deliveries   # too: also those to processes

cdef void trace_add(Trace* t, uint64_t time_ns, uint32_t address, const Message* m) noexcept nogil
cdef void trace_packet(Trace* t, uint64_t time_ns, const Packet* p, uint64_t sent_ns) noexcept nogil
cdef void trace_deliver(Trace* t, const Message* m, uint64_t arrived_ns, uint32_t address,
                        bint to_client) noexcept nogil
cdef list trace_deliveries(const Trace* t)
cdef list trace_rows(const Trace* t)
