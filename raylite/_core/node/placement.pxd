from libc.stdint cimport uint32_t, uint64_t
from libcpp.vector cimport vector
from raylite._core.node.local_scheduler cimport Worker
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef void dispatch(NodeState* n) noexcept nogil
cdef uint32_t start_worker(NodeState* n, uint32_t shape) noexcept nogil
cdef void stop_idle_worker(NodeState* n, uint32_t client) noexcept nogil
cdef void send_run(NodeState* n, Worker* w, TaskRow* row, uint64_t position, const vector[uint32_t]* gpus,
                   uint64_t in_place_request) noexcept nogil
