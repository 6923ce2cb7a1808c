from libc.stdint cimport uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from raylite._core.links.enlisted cimport Enlisted
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.node.node cimport Node
from raylite._core.store.client cimport StoreClient
from raylite._core.store.master_message cimport NodeNotice

cdef class Member(Enlisted):
    cdef readonly Node node
    cdef StoreClient store
    cdef uint64_t n_reports
    cdef ordered_map[string, string] labels   # of the node
    cdef int handle(self, const Message* m, const char* payload) except -1    # of a client, or of the host
    cdef int hear_master(self, const Message* message, Blob* payload) except -1
    cdef int meet_all(self, const char* data, uint64_t size) except -1
    cdef int meet(self, const NodeNotice* notice, const char* about) except -1
    cdef int part(self, uint32_t address, uint32_t incarnation) except -1
    cdef int take_entries(self, Blob* payload) except -1
    cdef int ask_store(self) except -1
    cdef int say(self) except -1
