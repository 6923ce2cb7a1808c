from libc.stdint cimport uint32_t, uint64_t
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef enum:
    CALL_SITES_MOST = 1 << 16     # lines that are told apart; what more there are is not known
    CALL_SITE_BYTES_MOST = 1 << 12

cdef bint on_call_site(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef uint32_t call_site_number(NodeState* n, uint64_t hash) noexcept nogil
cdef void note_call_site(NodeState* n, TaskRow* row, uint32_t n_results, uint64_t hash) noexcept nogil
