from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.cluster.table cimport Expected
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Message
from raylite._core.node.placement_groups cimport PlacementGroup
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void know_group(NodeState* n, const char* demand, uint64_t size) noexcept nogil
cdef void group_made(NodeState* n, PlacementGroup* row, const Message* m) noexcept nogil
cdef void group_removed(NodeState* n, PlacementGroup* row) noexcept nogil
cdef bint group_waits(NodeState* n, const Message* m) noexcept nogil
cdef void find_named(NodeState* n, const Message* m, const string* name) noexcept nogil
cdef bint group_answered(NodeState* n, const Expected* asked, uint64_t token, uint16_t status, const char* body,
                         uint64_t size) noexcept nogil
cdef void find_bundle(NodeState* n, TaskRow* row) noexcept nogil
cdef void ask_for_groups(NodeState* n) noexcept nogil
cdef void ask_for_groups_later(NodeState* n) noexcept nogil
cdef void group_questions_lost(NodeState* n) noexcept nogil
cdef bint on_group_placement(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint hear_of_group(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void groups_lost_node(NodeState* n, uint32_t address) noexcept nogil
