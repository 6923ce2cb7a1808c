from libc.stdint cimport uint8_t, uint64_t
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Cursor
from raylite._core.store.message cimport StoreOp
from raylite._core.store.state cimport StoredObject, StoredTask, StoreState

cdef bint may_be_missed(const StoredTask* t, const StoredObject* row) noexcept nogil
cdef bint rebuild(StoreState* s, StoredObject* row) noexcept nogil
cdef void run_again(StoreState* s, StoredTask* t, uint64_t home) noexcept nogil
cdef void end_task(StoreState* s, StoredTask* t) noexcept nogil
cdef void settle_task(StoreState* s, TaskId id) noexcept nogil
cdef void fail_unended(StoreState* s, TaskId id, const char* error, uint64_t size) noexcept nogil
cdef void forsake(StoreState* s, StoredTask* t) noexcept nogil
cdef uint64_t n_results(const StoredTask* t) noexcept nogil
cdef bint on_commit(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_made(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_done(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_failed(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_attempt(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
