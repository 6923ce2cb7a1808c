from libc.stdint cimport uint64_t, uint8_t
from libcpp.pair cimport pair
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport TaskId
from raylite._core.message cimport ACTOR_REPLAYS, CallHeader, Message, SubmitHeader
from raylite._core.node.actor_table cimport ActorRow
from raylite._core.node.state cimport Made, NodeState
from raylite._core.node.task_table cimport TaskRow

cdef inline bint replays(const ActorRow* actor) noexcept nogil:
    """Whether the actor comes back to where it was."""
    return actor != NULL and actor.flags & ACTOR_REPLAYS != 0

cdef bint is_logged(NodeState* n, const ActorRow* actor) noexcept nogil
cdef void log_call(NodeState* n, TaskRow* row) noexcept nogil
cdef void call_repeated(NodeState* n, TaskRow* row, uint8_t state, uint64_t duration_ns) noexcept nogil
cdef void rewind(NodeState* n, ActorRow* actor, const vector[pair[uint64_t, TaskId]]* sent, uint64_t started,
                 vector[TaskId]* lost) noexcept nogil
cdef void resume(NodeState* n, ActorRow* actor) noexcept nogil
cdef void cannot_repeat(NodeState* n, TaskRow* row, Blob* error) noexcept nogil
cdef void forget_calls(NodeState* n, ActorRow* actor) noexcept nogil
cdef void end_repetition(NodeState* n, TaskRow* row, Blob* death) noexcept nogil
cdef bint on_checkpoint(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void repeat(NodeState* n, ActorRow* actor, TaskRow* row) noexcept nogil
cdef void keep_made(NodeState* n, TaskId parent, TaskId id, const Made* made) noexcept nogil
cdef void note_made(NodeState* n, const TaskRow* row, const CallHeader* call) noexcept nogil
cdef bint made_before(NodeState* n, const Message* m, const SubmitHeader* h) noexcept nogil
cdef void forget_made(NodeState* n, TaskId parent) noexcept nogil
