from libc.stdint cimport uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.node cimport Node
from raylite._core.party cimport Party
from raylite._core.store_client cimport StoreClient

cdef class Member(Party):
    cdef readonly Node node
    cdef readonly uint32_t master     # its address; 0: nothing is sent, what is to be said is taken out (for tests)
    cdef StoreClient store
    cdef int handle(self, const Message* m, const char* payload) except -1    # of a client, or of the host
    cdef int take_entries(self, Blob* payload) except -1
    cdef int ask_store(self) except -1
    cdef int say(self) except -1
