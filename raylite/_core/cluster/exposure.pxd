from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void expose_task(NodeState* n, TaskId id) noexcept nogil
cdef void expose_contained(NodeState* n, const TaskRow* row) noexcept nogil
cdef void expose_all(NodeState* n, ObjectId id, bint itself) noexcept nogil
cdef Blob* write_item(ObjectRow* row) noexcept nogil
cdef Blob* write_values(NodeState* n, const TaskRow* row) noexcept nogil
cdef void task_committed(NodeState* n, TaskId id) noexcept nogil
