from libc.stdint cimport uint16_t, uint32_t, uint64_t
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef bint on_rerun(NodeState* n, TaskId id, const char* body, uint64_t size) noexcept nogil
cdef void register_attempt(NodeState* n, TaskRow* row) noexcept nogil
cdef void take_home(NodeState* n, TaskRow* row, uint32_t epoch) noexcept nogil
cdef void adopt(NodeState* n, TaskRow* row) noexcept nogil
cdef void see_elsewhere(NodeState* n, TaskRow* row) noexcept nogil
cdef void new_epoch(NodeState* n, TaskId id, uint32_t epoch) noexcept nogil
cdef void attempt_answered(NodeState* n, TaskId id, uint16_t status) noexcept nogil
cdef void adoption_answered(NodeState* n, TaskId id, uint16_t status) noexcept nogil
cdef void copies_refused(NodeState* n, TaskId id) noexcept nogil
cdef void done_refused(NodeState* n, TaskId id, const char* values, uint64_t size) noexcept nogil
