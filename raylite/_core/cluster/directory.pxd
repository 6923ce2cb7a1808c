from libc.stdint cimport uint16_t, uint64_t
from raylite._core.cluster.table cimport Expected
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef void list_names(NodeState* n, const Message* m) noexcept nogil
cdef bint ask_for_value(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void value_answered(NodeState* n, const Expected* asked, uint16_t status, const char* body,
                         uint64_t size) noexcept nogil
cdef void shard_listed(NodeState* n, const Expected* asked, const char* body, uint64_t size) noexcept nogil
