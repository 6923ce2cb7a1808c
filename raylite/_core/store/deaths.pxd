from libc.stdint cimport uint32_t, uint64_t
from raylite._core.store.master_state cimport MasterState
from raylite._core.store.message cimport NodeRecord

cdef void node_died(MasterState* m, NodeRecord node) noexcept nogil
cdef void resume_deaths(MasterState* m) noexcept nogil
cdef void on_node_settled(MasterState* m, uint32_t node, uint64_t number) noexcept nogil
cdef void on_shard_settled(MasterState* m, uint64_t number) noexcept nogil
