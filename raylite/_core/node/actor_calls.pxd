from raylite._core.node.actor_table cimport ActorRow
from raylite._core.ids cimport TaskId
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void call_waits(NodeState* n, TaskRow* row) noexcept nogil
cdef void call_ready(NodeState* n, TaskRow* row) noexcept nogil
cdef void call_leaves(NodeState* n, TaskRow* row) noexcept nogil
cdef void call_comes_back(NodeState* n, ActorRow* actor, TaskRow* row) noexcept nogil
cdef void want_service(NodeState* n, ActorRow* actor) noexcept nogil
cdef void send_calls(NodeState* n, ActorRow* actor) noexcept nogil
cdef bint actor_is_busy(NodeState* n, TaskId id) noexcept nogil
