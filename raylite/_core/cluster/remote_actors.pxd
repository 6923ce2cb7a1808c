from libc.stdint cimport uint16_t, uint32_t, uint64_t
from raylite._core.node.actor_table cimport ActorRow
from raylite._core.node.actors cimport ActorRequest
from raylite._core.cluster.table cimport Expected
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef ActorRow* actor_from_afar(NodeState* n, TaskId id) noexcept nogil
cdef void watch_actor(NodeState* n, ActorRow* actor) noexcept nogil
cdef void make_actor_known(NodeState* n, TaskRow* row, ActorRow* actor) noexcept nogil
cdef void report_alive(NodeState* n, ActorRow* actor, const TaskRow* creation) noexcept nogil
cdef void report_end(NodeState* n, ActorRow* actor) noexcept nogil
cdef void report_crash(NodeState* n, ActorRow* actor, Blob* why) noexcept nogil
cdef void send_calls_away(NodeState* n, ActorRow* actor) noexcept nogil
cdef void call_came_back(NodeState* n, TaskRow* row) noexcept nogil
cdef void give_calls_back(NodeState* n, ActorRow* actor) noexcept nogil
cdef void host_creation(NodeState* n, TaskRow* row, const ActorRequest* request) noexcept nogil
cdef void forget_afar(NodeState* n, ActorRow* actor) noexcept nogil
cdef void actors_lost_node(NodeState* n, uint32_t address) noexcept nogil
cdef void actors_of_node(NodeState* n, uint32_t address) noexcept nogil
cdef bint on_actor_entry(NodeState* n, TaskId id, const char* body, uint64_t size) noexcept nogil
cdef void on_actor_end_entry(NodeState* n, TaskId id, uint16_t how) noexcept nogil
cdef bint claim_name(NodeState* n, const Message* m, const char* payload, const ActorRequest* request) noexcept nogil
cdef void name_claimed(NodeState* n, uint64_t token, uint16_t status) noexcept nogil
cdef void find_name(NodeState* n, const Message* m, const char* name, uint64_t size) noexcept nogil
cdef void name_found(NodeState* n, const Expected* asked, uint16_t status, const char* body,
                     uint64_t size) noexcept nogil
