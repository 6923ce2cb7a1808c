from libc.stdint cimport uint64_t
from libcpp.vector cimport vector
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Message

cdef struct Delivery:
    uint64_t sent_ns
    uint64_t arrived_ns
    bint to_client
    Message message

cdef struct Trace:
    TaskId hash
    uint64_t n_events
    bint recording
    vector[Message] events        # if recording
    vector[Delivery] deliveries   # too: also those to processes

cdef void trace_add(Trace* t, const Message* m) noexcept nogil
cdef void trace_deliver(Trace* t, const Message* m, uint64_t arrived_ns, bint to_client) noexcept nogil
cdef list trace_deliveries(const Trace* t)
cdef list trace_rows(const Trace* t)
