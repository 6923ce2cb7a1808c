from libc.stdint cimport uint16_t, uint32_t
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.node.objects cimport ObjectRow, Waiter
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void on_get(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_wait(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_next(NodeState* n, const Message* m) noexcept nogil
cdef void on_await_read(NodeState* n, const Message* m) noexcept nogil
cdef void release_generator(NodeState* n, TaskRow* task, uint16_t flags) noexcept nogil
cdef void on_forget(NodeState* n, const Message* m) noexcept nogil
cdef bint waits_anywhere(NodeState* n, const Waiter* waiter) noexcept nogil
cdef bint fail_get(NodeState* n, const Waiter* waiter, ObjectRow* row, Blob* error) noexcept nogil
cdef void request_arrived(NodeState* n, const Waiter* waiter, ObjectRow* row) noexcept nogil
cdef void forget_client_requests(NodeState* n, uint32_t client) noexcept nogil
