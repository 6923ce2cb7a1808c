from libc.stdint cimport uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.links.party cimport Party
from raylite._core.store.client cimport StoreClient

cdef class StoreEndpoint(Party):
    cdef StoreClient* store
    cdef uint32_t master
    cdef uint64_t heartbeat_ns
    cdef uint64_t next_heartbeat_ns
    cdef bytes about
    cdef list entries
    cdef list heard
    cdef int register(self) except -1
    cdef int say_to_master(self, int kind, uint64_t aux, bytes body) except -1
    cdef int meet(self, Blob* payload) except -1
    cdef int take_entries(self) except -1
    cdef int send_all(self) except -1
