from libc.stdint cimport uint32_t
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef bint on_group(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_ungroup(NodeState* n, const Message* m) noexcept nogil
cdef void on_groups(NodeState* n, const Message* m) noexcept nogil
cdef void group_client_gone(NodeState* n, uint32_t client) noexcept nogil
cdef void serve_groups(NodeState* n) noexcept nogil
