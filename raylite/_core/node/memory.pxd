from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef bint on_memory_short(NodeState* n, const Message* m, const char* payload) noexcept nogil
