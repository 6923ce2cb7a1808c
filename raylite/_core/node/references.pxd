from libc.stdint cimport uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport ValueRecord
from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef Blob* unknown_object() noexcept nogil
cdef ObjectRow* require_object(NodeState* n, ObjectId id) noexcept nogil
cdef void store_value(NodeState* n, uint32_t client, ObjectRow* row, const ValueRecord* value,
                      const char* body) noexcept nogil
cdef void store_blob(NodeState* n, ObjectRow* row, Blob* envelope) noexcept nogil
cdef void refuse_value(NodeState* n, uint32_t client, const ValueRecord* value) noexcept nogil
cdef void client_holds(NodeState* n, ObjectRow* row, uint32_t client) noexcept nogil
cdef void hold_arguments(NodeState* n, TaskRow* row) noexcept nogil
cdef void retire_task(NodeState* n, TaskRow* row) noexcept nogil
cdef void take_instead(NodeState* n, TaskRow* row, ObjectId id) noexcept nogil
cdef void keep_as_lineage(NodeState* n, TaskRow* row, uint32_t n_kept) noexcept nogil
cdef void lineage_to_arguments(NodeState* n, TaskRow* row) noexcept nogil
cdef void client_gone(NodeState* n, uint32_t client) noexcept nogil
cdef void settle(NodeState* n) noexcept nogil
cdef void drop_value(NodeState* n, ObjectRow* row) noexcept nogil
cdef void give_back_segments(NodeState* n) noexcept nogil
cdef void contain(NodeState* n, ObjectRow* row, const ObjectId* refs, uint32_t n_refs) noexcept nogil
cdef void lineage_serves_less(NodeState* n, TaskRow* creator) noexcept nogil
cdef void comes_from_elsewhere(NodeState* n, const ObjectRow* row) noexcept nogil
