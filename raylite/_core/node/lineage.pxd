from libcpp.vector cimport vector
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef void rebuild_wanted(NodeState* n) noexcept nogil
cdef void on_lost(NodeState* n, const Message* m) noexcept nogil
cdef void on_expose(NodeState* n, const Message* m) noexcept nogil
cdef void on_committed(NodeState* n, const Message* m) noexcept nogil
cdef bint can_be_made_again(NodeState* n, ObjectId wanted) noexcept nogil
