from libc.stdint cimport uint32_t, uint64_t
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef void lease_room(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil
cdef bint try_lease(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil
cdef void lease_on_disk(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil
cdef void refuse_lease(NodeState* n, uint32_t client, uint64_t request, bint no_disk) noexcept nogil
cdef void on_segment(NodeState* n, const Message* m) noexcept nogil
cdef void on_return(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void forget_lease(NodeState* n, uint32_t client, uint64_t request) noexcept nogil
cdef void forget_client_leases(NodeState* n, uint32_t client) noexcept nogil
