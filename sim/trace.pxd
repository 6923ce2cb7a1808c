from libc.stdint cimport uint64_t
from libcpp.vector cimport vector
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Message

cdef struct Trace:
    TaskId hash
    uint64_t n_events
    bint recording
    vector[Message] events        # if recording

cdef void trace_add(Trace* t, const Message* m) noexcept nogil
cdef list trace_rows(const Trace* t)
