from libc.stdint cimport uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.store.state cimport StoredTask, StoreState

cdef Blob* task_record(const StoredTask* t) noexcept nogil
cdef void write_snapshot(StoreState* s, string* out) noexcept nogil
cdef bint read_snapshot(StoreState* s, const char* data, uint64_t size) noexcept nogil
