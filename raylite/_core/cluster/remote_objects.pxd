from libc.stdint cimport uint32_t, uint64_t
from raylite._core.cluster.table cimport Expected, RemoteObject
from raylite._core.ids cimport ObjectId
from raylite._core.node.objects cimport ObjectRow
from raylite._core.node.state cimport NodeState

cdef ObjectRow* foreign_object(NodeState* n, ObjectId id) noexcept nogil
cdef void touch(NodeState* n, const ObjectRow* row) noexcept nogil
cdef void hold_touched(NodeState* n) noexcept nogil
cdef bint settle_beyond(NodeState* n, ObjectRow* row) noexcept nogil
cdef void forget_remote(NodeState* n, ObjectId id) noexcept nogil
cdef RemoteObject* remote_of(NodeState* n, ObjectId id) noexcept nogil
cdef void want_from_elsewhere(NodeState* n, ObjectRow* row) noexcept nogil
cdef void is_at(NodeState* n, ObjectRow* row, uint64_t size, const uint32_t* locations, uint32_t count) noexcept nogil
cdef void not_at(NodeState* n, ObjectRow* row, uint32_t address) noexcept nogil
cdef void watch(NodeState* n, ObjectRow* row) noexcept nogil
cdef bint on_object_entry(NodeState* n, ObjectId id, const char* body, uint64_t size) noexcept nogil
cdef void on_free_entry(NodeState* n, ObjectId id) noexcept nogil
cdef void hold_refused(NodeState* n, ObjectId id) noexcept nogil
cdef void forget_locations(NodeState* n, uint32_t address) noexcept nogil
