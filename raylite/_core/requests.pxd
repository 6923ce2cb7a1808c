from libc.stdint cimport uint32_t
from raylite._core.message cimport Message
from raylite._core.objects cimport ObjectRow, Waiter
from raylite._core.state cimport NodeState

cdef void on_get(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_wait(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_next(NodeState* n, const Message* m) noexcept nogil
cdef void on_forget(NodeState* n, const Message* m) noexcept nogil
cdef void request_arrived(NodeState* n, const Waiter* waiter, ObjectRow* row) noexcept nogil
cdef void forget_client_requests(NodeState* n, uint32_t client) noexcept nogil
