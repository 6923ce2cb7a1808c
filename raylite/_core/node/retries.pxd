from libc.stdint cimport uint64_t
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void retry(NodeState* n, TaskRow* row) noexcept nogil
cdef void retry_when_memory_allows(NodeState* n, TaskRow* row) noexcept nogil
cdef void end_delays(NodeState* n) noexcept nogil
