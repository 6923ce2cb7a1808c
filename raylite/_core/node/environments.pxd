from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef bint on_environment(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_find_environment(NodeState* n, const Message* m) noexcept nogil
