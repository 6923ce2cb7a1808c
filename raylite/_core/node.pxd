from libc.stdint cimport uint32_t, uint64_t
from raylite._core.message cimport Message
from raylite._core.state cimport NodeState

cdef void node_handle(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef uint64_t node_deadline_ns(const NodeState* n) noexcept nogil
cdef void node_drop_commands(NodeState* n) noexcept nogil

cdef class Node:
    cdef NodeState* state
