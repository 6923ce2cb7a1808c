from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from raylite._core.cluster.table cimport Departure, Expected, PartyMessage
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef Message* tell(NodeState* n, uint32_t target, uint8_t kind, Blob* payload) noexcept nogil
cdef uint64_t ask_store(NodeState* n, uint16_t kind, ObjectId object, Blob* body) noexcept nogil
cdef Message* depart(NodeState* n, uint32_t target, uint8_t kind, Blob* payload, const TaskRow* guest) noexcept nogil
cdef Departure* depart_to_store(NodeState* n, uint16_t kind, ObjectId object, Blob* body,
                                const TaskRow* guest) noexcept nogil
cdef void depart_release(NodeState* n, ObjectId object, Blob* holder) noexcept nogil
cdef Message* then_tell(NodeState* n, Departure* d, uint32_t target, uint8_t kind, Blob* payload) noexcept nogil
cdef bint go_on(NodeState* n, uint64_t token, bint done, PartyMessage* refused) noexcept nogil
cdef void guest_committed(NodeState* n, TaskId task) noexcept nogil
cdef void forget_guest(NodeState* n, TaskId task) noexcept nogil
cdef void forget_target(NodeState* n, uint32_t address) noexcept nogil
cdef void send_departures(NodeState* n) noexcept nogil
cdef bint take_answer(NodeState* n, uint64_t token, Expected* out) noexcept nogil
cdef void drop_cluster(NodeState* n) noexcept nogil
