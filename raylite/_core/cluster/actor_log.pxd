from libc.stdint cimport uint16_t, uint32_t, uint64_t
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Message, ValueRecord
from raylite._core.node.actor_table cimport ActorRow
from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef bint is_known_beyond(NodeState* n, const ActorRow* actor, TaskRow* row) noexcept nogil
cdef bint is_kept_for_parent(NodeState* n, const TaskRow* row) noexcept nogil
cdef void parent_committed(NodeState* n, TaskId parent) noexcept nogil
cdef void commit_answered(NodeState* n, TaskId id, uint16_t status) noexcept nogil
cdef void log_beyond(NodeState* n, TaskRow* row) noexcept nogil
cdef void log_arrived(NodeState* n, TaskId id, const char* body, uint64_t size) noexcept nogil
cdef void give_up_log(NodeState* n, ActorRow* actor) noexcept nogil
cdef void forget_log(ActorRow* actor) noexcept nogil
cdef bint is_on_log(NodeState* n, TaskId actor, TaskId call) noexcept nogil
cdef void refuse_logged(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef bint fits_in_store(NodeState* n, ActorRow* actor, const ValueRecord* value) noexcept nogil
cdef void save_beyond(NodeState* n, ActorRow* actor, TaskRow* creation, const ObjectRow* checkpoint) noexcept nogil
