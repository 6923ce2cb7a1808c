from libc.stdint cimport uint32_t
from raylite._core.message cimport Message
from raylite._core.state cimport NodeState
from raylite._core.task_table cimport TaskRow

cdef bint on_submit(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint on_finished(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint on_yielded(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_recalled(NodeState* n, const Message* m) noexcept nogil
cdef void on_declined(NodeState* n, const Message* m) noexcept nogil
cdef void on_cancel(NodeState* n, const Message* m) noexcept nogil
cdef void on_worker_gone(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void announce_arrivals(NodeState* n) noexcept nogil
cdef void resolve(NodeState* n, TaskRow* row) noexcept nogil
cdef void dispatch(NodeState* n) noexcept nogil
cdef uint32_t start_worker(NodeState* n, uint32_t shape) noexcept nogil
cdef void run_again(NodeState* n, TaskRow* row) noexcept nogil
cdef void stop_idle_worker(NodeState* n, uint32_t client) noexcept nogil
