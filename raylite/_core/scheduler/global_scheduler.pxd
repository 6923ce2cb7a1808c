from libc.stdint cimport uint32_t, uint64_t
from raylite._core.links.enlisted cimport Enlisted
from raylite._core.message cimport Message
from raylite._core.scheduler.node_choice cimport Board

cdef class GlobalScheduler(Enlisted):
    cdef Board board
    cdef readonly uint64_t n_malformed        # messages, of which the rest was ignored
    cdef int on_ask(self, uint32_t source, const char* payload, uint64_t size) except -1
    cdef int on_ask_group(self, uint32_t source, const char* payload, uint64_t size) except -1
    cdef int on_loads(self, const char* payload, uint64_t size) except -1
    cdef int on_report(self, const char* report, uint64_t size) except -1
    cdef int on_node(self, const char* payload, uint64_t size) except -1
    cdef int on_nodes_dead(self, const char* payload, uint64_t size) except -1
