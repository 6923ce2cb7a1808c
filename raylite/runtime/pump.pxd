from libc.stdint cimport int64_t, uint32_t, uint64_t
from raylite.runtime.native cimport pthread_cond_t, pthread_mutex_t, pthread_t

ctypedef void (*poll_function)(void* owner) noexcept nogil
ctypedef bint (*pending_function)(void* owner) noexcept nogil
ctypedef void (*readable_function)(void* owner, uint32_t tag) noexcept nogil
ctypedef bint (*done_function)(void* what) noexcept nogil

cdef enum:
    TAG_BELL = 0
    TAG_TIMER = 1
    TAG_FIRST = 2                 # of the owner's own descriptors

cdef struct Pump:
    pthread_mutex_t lock          # guards all that poll() touches; never awaited with the GIL held
    pthread_cond_t moved          # something was polled, or leadership is free
    pthread_t thread
    uint64_t* bell                # where the other side looks whom to wake
    int thread_event
    int waiter_event
    int timer
    int epoll
    void* owner
    poll_function poll            # under the lock: take in all there is
    pending_function pending      # without the lock: is there anything?
    readable_function readable    # under the lock: a descriptor of the owner's is readable
    uint64_t spin_ns
    bint leader
    bint nudged                   # something has happened since the leader last looked
    bint leader_asleep            # in the system, on waiter_event
    bint running
    bint stopping
    uint64_t timer_at_ns          # when the timer fires; 0: not armed
    int n_followers
    int n_waiting                 # threads inside pump_wait

cdef bint pump_open(Pump* p, void* owner, uint64_t* bell, int thread_event, int waiter_event) noexcept nogil
cdef bint pump_start(Pump* p) noexcept nogil
cdef void pump_stop(Pump* p) noexcept nogil
cdef int pump_wait(Pump* p, done_function done, void* what, int64_t timeout_ns, bint spin) noexcept nogil
cdef void pump_wake_by(Pump* p, uint64_t after_ns) noexcept nogil
cdef void pump_nudge(Pump* p) noexcept nogil
