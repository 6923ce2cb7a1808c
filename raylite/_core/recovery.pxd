from raylite._core.message cimport Message
from raylite._core.state cimport NodeState

cdef void on_worker_gone(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_recalled(NodeState* n, const Message* m) noexcept nogil
cdef void on_declined(NodeState* n, const Message* m) noexcept nogil
cdef void on_cancel(NodeState* n, const Message* m) noexcept nogil
