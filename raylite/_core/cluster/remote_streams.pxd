from libc.stdint cimport uint16_t, uint32_t
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Message, ValueRecord
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void item_of_guest(NodeState* n, TaskRow* row, const Message* m, const ValueRecord* value,
                        const char* body) noexcept nogil
cdef bint on_item(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void on_item_held(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef void on_read(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef void tell_reader_so_far(NodeState* n, const TaskRow* row) noexcept nogil
cdef void tell_reading(NodeState* n, const TaskRow* row, uint32_t index, uint16_t flags) noexcept nogil
