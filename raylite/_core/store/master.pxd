from libc.stdint cimport uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.store.master_state cimport MasterState
from raylite._core.message cimport Message
from raylite._core.links.party cimport Party

cdef class Master(Party):
    cdef MasterState* state       # its `journal` is the host's to write down, before it carries `out`
    cdef uint64_t next_check_ns
    cdef int start(self, uint64_t now_ns) except -1
    cdef int send_all(self) except -1
    cpdef rewrite_journal(self)
    cdef int on_register(self, uint32_t source, uint32_t incarnation, Blob* payload) except -1
