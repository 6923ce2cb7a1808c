from libc.stdint cimport uint32_t, uint64_t
from libcpp.queue cimport priority_queue
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message

cdef extern from *:
    """
    #ifndef RAYLITE_SIM_DUE
    #define RAYLITE_SIM_DUE
    #include <cstdint>
    #define RAYLITE_NEVER UINT64_MAX
    struct Due { uint64_t time_ns; uint64_t sequence; uint32_t slot; };
    /* For std::priority_queue, whose top is the greatest: the one that is due first, ties in order of planning. */
    static inline bool operator<(const Due &a, const Due &b) {
        return a.time_ns != b.time_ns ? a.time_ns > b.time_ns : a.sequence > b.sequence; }
    #endif
    """
    cdef struct Due:
        uint64_t time_ns
        uint64_t sequence
        uint32_t slot
    const uint64_t NEVER "RAYLITE_NEVER"

cdef enum:
    START_NS = 1000000000000000   # virtual time begins here, well away from zero

ctypedef int (*handle_function)(void* target, void* event) except -1

cdef struct Event:
    handle_function handle        # called at its time
    void* target                  # with this and the event
    bint background               # by itself it brings nothing about: when only such are left, nothing will happen
    uint64_t token
    Message message
    Blob* payload                 # the handler drops it

cdef struct Timeline:
    uint64_t now_ns
    uint64_t last_sequence
    uint64_t n_foreground         # planned events that are not background
    priority_queue[Due] due
    vector[Event] slots
    vector[uint32_t] free

cdef void timeline_plan(Timeline* t, uint64_t time_ns, const Event* event) noexcept nogil
cdef bint timeline_take(Timeline* t, uint64_t until_ns, Event* out) noexcept nogil
cdef void timeline_clear(Timeline* t) noexcept nogil
