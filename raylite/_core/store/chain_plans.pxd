from libc.stdint cimport uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.store.master_message cimport ShardHeld
from raylite._core.store.master_state cimport MasterState
from raylite._core.store.message cimport NodeRecord

cdef void plan_bytes(MasterState* m, uint32_t shard, string* out) noexcept nogil
cdef bint plan_from_bytes(MasterState* m, const char* data, uint64_t size) noexcept nogil
cdef void form_chains(MasterState* m) noexcept nogil
cdef void fill_chains(MasterState* m) noexcept nogil
cdef bint leave_chains(MasterState* m, NodeRecord replica) noexcept nogil
cdef void return_to_chains(MasterState* m, NodeRecord replica, const ShardHeld* held, uint32_t n_held,
                           uint32_t journal_since) noexcept nogil
cdef void on_joined(MasterState* m, uint32_t shard, uint64_t epoch) noexcept nogil
cdef void tell_plan(MasterState* m, uint32_t shard, uint32_t target) noexcept nogil
