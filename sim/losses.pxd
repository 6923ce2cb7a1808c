from libc.stdint cimport uint64_t
from raylite._core.ids cimport ObjectId
from raylite._core.node.state cimport NodeState

cdef bint find_evictable(NodeState* n, uint64_t number, ObjectId* out) noexcept nogil
