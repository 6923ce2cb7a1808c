from raylite._core.ids cimport TaskId
from libc.stdint cimport uint64_t
from libcpp.string cimport string
from raylite._core.message cimport Cursor
from raylite._core.store.message cimport StoreOp
from raylite._core.store.state cimport StoreState

cdef void drop_name(StoreState* s, TaskId owner, const string* name) noexcept nogil
cdef void claimant_gone(StoreState* s, uint64_t claimant) noexcept nogil
cdef bint on_name(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_value(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
