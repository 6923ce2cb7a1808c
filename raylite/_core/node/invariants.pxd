from libcpp.string cimport string
from raylite._core.node.state cimport NodeState

cdef void invariant_violation(NodeState* n, string* wrong) noexcept nogil
