from libc.stdint cimport uint32_t
from libcpp.string cimport string
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef void ask_node(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint on_node_query(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void on_node_answer(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void questions_unanswered(NodeState* n, uint32_t node) noexcept nogil
cdef void report_nodes(NodeState* n, string* out) noexcept nogil
