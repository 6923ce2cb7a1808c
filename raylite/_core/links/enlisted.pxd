from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.links.party cimport Party

cdef enum:
    REGISTER_AGAIN_NS = 100000000     # after so long without a welcome: a master that dies may have heard it in vain

cdef class Enlisted(Party):
    cdef readonly uint32_t master     # its address; 0: it is enlisted nowhere
    cdef uint64_t heartbeat_ns        # 0: the master has not welcomed it yet
    cdef uint64_t next_heartbeat_ns
    cdef int start(self, uint64_t now_ns) except -1
    cdef int register(self) except -1
    cdef int tell_master(self, uint8_t kind, const string* body) except -1
    cdef bint hear_enlisting(self, const Message* message, Blob* payload) except -1
    cdef bint is_heartbeat_due(self, uint64_t now_ns) except -1
    # what it overrides
    cdef int write_report(self, string* out) except -1    # what the master is told of it, when it registers and later
