from libc.stdint cimport uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Cursor
from raylite._core.store.message cimport StoreOp
from raylite._core.store.state cimport StoredActor, StoreState

cdef bint on_actor_log(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_actor_saved(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef void append_log(const StoredActor* actor, string* out) noexcept nogil
cdef void fail_log(StoreState* s, StoredActor* actor, Blob* why) noexcept nogil
cdef void drop_log(StoredActor* actor) noexcept nogil
