from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef bint hear(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef bint hear_store(NodeState* n, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object, const char* body,
                     uint64_t size) noexcept nogil
cdef void reach_out(NodeState* n) noexcept nogil
cdef void peer_came(NodeState* n, uint32_t address, uint32_t incarnation, const string* id) noexcept nogil
cdef void peer_died(NodeState* n, uint32_t address, uint32_t incarnation) noexcept nogil
cdef void scheduler_came(NodeState* n, uint32_t address) noexcept nogil
cdef void scheduler_died(NodeState* n, uint32_t address) noexcept nogil
