from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.node cimport Node
from raylite._core.party cimport Party
from raylite._core.store_client cimport StoreClient

cdef class Member(Party):
    cdef readonly Node node
    cdef readonly uint32_t master     # its address; 0: nothing is sent, what is to be said is taken out (for tests)
    cdef StoreClient store
    cdef uint64_t heartbeat_ns        # 0: the master has not welcomed it yet
    cdef uint64_t next_heartbeat_ns
    cdef int handle(self, const Message* m, const char* payload) except -1    # of a client, or of the host
    cdef int start(self, uint64_t now_ns) except -1
    cdef int register(self) except -1
    cdef int tell_master(self, uint8_t kind, const string* body) except -1
    cdef int hear_master(self, const Message* message, Blob* payload) except -1
    cdef int meet(self, uint32_t address, uint32_t incarnation) except -1
    cdef int part(self, uint32_t address, uint32_t incarnation) except -1
    cdef int take_entries(self, Blob* payload) except -1
    cdef int ask_store(self) except -1
    cdef int say(self) except -1
