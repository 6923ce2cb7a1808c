from libc.stdint cimport uint32_t, uint64_t
from raylite._core.node.actor_table cimport ActorRow
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.node.local_scheduler cimport Worker
from raylite._core.message cimport ActorHeader, Cursor, FinishedHeader, Message
from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef enum:
    GROUPS_MOST = 1024

cdef struct ActorRequest:         # what a submission says of the actor that it makes
    const ActorHeader* header
    const uint32_t* groups
    const char* name
    const char* handle

cdef bint take_actor(Cursor* c, ActorRequest* out) noexcept nogil
cdef bint actor_is_known(NodeState* n, TaskId id) noexcept nogil
cdef bint name_is_taken(NodeState* n, const ActorRequest* request) noexcept nogil
cdef ObjectRow* actor_object(NodeState* n, TaskId id) noexcept nogil
cdef void add_actor(NodeState* n, TaskRow* row, const ActorRequest* request, uint32_t client) noexcept nogil
cdef Blob* actor_error(NodeState* n, const ActorRow* actor, uint32_t code, const char* why, uint64_t size) \
    noexcept nogil
cdef Blob* died(NodeState* n, const ActorRow* actor, const char* why) noexcept nogil
cdef void actor_dies(NodeState* n, ActorRow* actor, Blob* death, uint32_t stop_flags) noexcept nogil
cdef Blob* death_of(NodeState* n, TaskId actor) noexcept nogil
cdef void creation_ended(NodeState* n, TaskRow* row, Worker* w, const char* error) noexcept nogil
cdef void creation_failed(NodeState* n, TaskRow* row, Blob* error) noexcept nogil
cdef void actor_lost(NodeState* n, ActorRow* actor, uint64_t started, const char* why, uint64_t why_size) \
    noexcept nogil
cdef void actor_exits(NodeState* n, TaskId id) noexcept nogil
cdef void actor_unreferenced(NodeState* n, TaskId id) noexcept nogil
cdef void serve_actors(NodeState* n) noexcept nogil
cdef void on_kill(NodeState* n, const Message* m) noexcept nogil
cdef ObjectId actor_by_name(NodeState* n, uint32_t client, const char* name, uint64_t size) noexcept nogil
cdef void fill_actor(NodeState* n, TaskRow* row, ActorRow* actor, const ActorRequest* request) noexcept nogil
cdef void stop_worker(NodeState* n, uint32_t client, uint32_t flags) noexcept nogil
