from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState

cdef const char* check_foreign(NodeState* n, const ObjectRow* row) noexcept nogil
cdef const char* check_reach(NodeState* n) noexcept nogil
