from libc.stdint cimport uint32_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Cursor, Message
from raylite._core.node.placement_groups cimport Bundle, PlacementGroup
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef Blob* doom_error(NodeState* n, const TaskRow* row, int doom) noexcept nogil
cdef bint bundles_valid(Cursor c, uint32_t count) noexcept nogil
cdef void take_bundle(NodeState* n, Cursor* c, Bundle* bundle) noexcept nogil
cdef void remove_group(NodeState* n, PlacementGroup* row) noexcept nogil
cdef bint on_group(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void on_ungroup(NodeState* n, const Message* m) noexcept nogil
cdef void write_groups(NodeState* n, string* out) noexcept nogil
cdef void on_groups(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void group_client_gone(NodeState* n, uint32_t client) noexcept nogil
cdef void serve_groups(NodeState* n) noexcept nogil
