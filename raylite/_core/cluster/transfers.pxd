from libc.stdint cimport uint32_t, uint64_t
from raylite._core.message cimport Message
from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState

cdef enum:
    NODE_CLIENT = 0x7FFFFFFF      # as whom the node itself leases and views blocks of its arena

cdef void start_transfer(NodeState* n, ObjectRow* row) noexcept nogil
cdef void stop_transfer(NodeState* n, uint64_t id) noexcept nogil
cdef void transfer_leased(NodeState* n, uint64_t id, uint32_t segment, uint64_t offset, uint64_t size) noexcept nogil
cdef void transfers_lost(NodeState* n, uint32_t source) noexcept nogil
cdef bint on_pull(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef bint on_value(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef bint on_chunk(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void on_not_here(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef void on_bytes(NodeState* n, const Message* m, const char* payload) noexcept nogil
