from libc.stdint cimport uint32_t, uint64_t
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Message
from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef enum:
    PATIENCE_NS = 500000000       # with nothing that could make way, until what wants room goes to disk, or is refused

cdef enum:
    RESTORES = 0x4000000000000000   # in the request of a lease of the node's own: of what the disk has by this number

cdef void enter_arena(NodeState* n, ObjectRow* row) noexcept nogil
cdef void use_value(NodeState* n, ObjectRow* row) noexcept nogil
cdef void leave_arena(NodeState* n, ObjectRow* row) noexcept nogil
cdef void leave_disk(NodeState* n, ObjectRow* row) noexcept nogil
cdef void ask_for_room(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil
cdef void forget_room(NodeState* n, uint32_t client, uint64_t request) noexcept nogil
cdef void serve_room(NodeState* n) noexcept nogil
cdef uint64_t room_deadline_ns(const NodeState* n) noexcept nogil
cdef void on_spilled(NodeState* n, const Message* m) noexcept nogil
cdef void want_restored(NodeState* n, ObjectRow* row) noexcept nogil
cdef void restore_leased(NodeState* n, uint64_t number, uint32_t segment, uint64_t offset) noexcept nogil
cdef void restore_refused(NodeState* n, uint64_t number, uint32_t code, const char* text, uint64_t size) noexcept nogil
cdef void on_restored(NodeState* n, const Message* m) noexcept nogil
cdef void gather(NodeState* n, TaskRow* row) noexcept nogil
cdef void end_gathering(NodeState* n, TaskId task) noexcept nogil
