from libc.stdint cimport int64_t, uint64_t
from raylite._core.rng cimport Rng

cdef enum Fault:                  # in the order of faults.KINDS
    FAULT_WORKER_CRASH = 0
    FAULT_NODE_CRASH = 1
    FAULT_MESSAGE_DELAY = 2
    FAULT_MESSAGE_LOSS = 3
    FAULT_MESSAGE_DUPLICATION = 4
    FAULT_MESSAGE_REORDERING = 5
    FAULT_PARTITION = 6
    FAULT_SLOW_NODE = 7
    FAULT_CLOCK_SKEW = 8
    FAULT_FULL_STORE = 9
    FAULT_FULL_DISK = 10
    FAULT_EVICTION = 11
    FAULT_REPLICA_CRASH = 12
    FAULT_HEAD_CRASH = 13
    N_FAULTS = 14

cdef enum:
    FIRST_COMMANDED = 1 << 30     # and above: numbers of faults that no draw has said

cdef class FaultDraws:
    cdef Rng draws[N_FAULTS]
    cdef uint64_t below[N_FAULTS]     # a draw under this is a fault; 0: it never happens, and nothing is drawn
    cdef uint64_t n_due[N_FAULTS]     # how many the draws have said; those that were left out count too
    cdef uint64_t n_ordered[N_FAULTS]     # how many of the next occasions are to be faults, by command
    cdef uint64_t n_commanded     # faults by command so far, of all kinds
    cdef list kept                    # for each kind the numbers of those that do happen: a frozenset, or None: all
    cdef readonly list occurred       # (kind, its number, virtual time, whom it befell)
    cdef int64_t strikes(self, int kind, int rarely=*) except -2
    cdef int64_t drawn(self, int kind, int rarely) except -2
    cdef int64_t next_commanded(self) noexcept
    cdef int note(self, int kind, int64_t number, uint64_t now_ns, object whom) except -1
