from libc.stdint cimport uint32_t, uint64_t
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void on_worker_gone(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_recalled(NodeState* n, const Message* m) noexcept nogil
cdef void on_declined(NodeState* n, const Message* m) noexcept nogil
cdef void on_cancel(NodeState* n, const Message* m) noexcept nogil
cdef void cancel_task(NodeState* n, TaskRow* row, unsigned char how) noexcept nogil
cdef void task_lost(NodeState* n, TaskRow* row, uint32_t process, uint32_t code, const char* why,
                    uint64_t why_size) noexcept nogil
