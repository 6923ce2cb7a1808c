from libc.stdint cimport uint32_t
from raylite._core.state cimport NodeState

cdef void dispatch(NodeState* n) noexcept nogil
cdef uint32_t start_worker(NodeState* n, uint32_t shape) noexcept nogil
cdef void stop_idle_worker(NodeState* n, uint32_t client) noexcept nogil
