from libc.stdint cimport uint8_t, uint32_t
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef bint on_task(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void on_home_committed(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef void on_home_cancels(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef void on_function_gone(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef void ended_beyond(NodeState* n, TaskRow* row, uint8_t state) noexcept nogil
cdef void count_guest_holds(NodeState* n, const TaskRow* row, int change) noexcept nogil
cdef void expel(NodeState* n, TaskRow* row) noexcept nogil
cdef void drop_guest(NodeState* n, TaskRow* row) noexcept nogil
cdef void return_guest(NodeState* n, TaskRow* row) noexcept nogil
cdef void home_lost(NodeState* n, uint32_t address) noexcept nogil
