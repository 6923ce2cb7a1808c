from libc.stdint cimport uint8_t, uint64_t
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Cursor
from raylite._core.store.message cimport StoreOp, StoreValue
from raylite._core.store.state cimport HolderKey, StoredObject, StoreState

cdef struct GivenValue:           # a StoreValue and what follows it
    const StoreValue* head
    const ObjectId* refs
    const char* inline_value

cdef bint take_given(Cursor* c, GivenValue* out) noexcept nogil
cdef StoredObject* known_object(StoreState* s, ObjectId id, uint8_t state) noexcept nogil
cdef void hold(StoreState* s, ObjectId id, HolderKey key, bint awaited) noexcept nogil
cdef void release(StoreState* s, ObjectId id, HolderKey key) noexcept nogil
cdef void hold_here(StoreState* s, ObjectId id, HolderKey key) noexcept nogil
cdef void release_here(StoreState* s, ObjectId id, HolderKey key) noexcept nogil
cdef void give(StoreState* s, ObjectId id, const GivenValue* value) noexcept nogil
cdef void give_error(StoreState* s, StoredObject* row, const char* envelope, uint64_t size) noexcept nogil
cdef void give_up(StoreState* s, StoredObject* row, const char* why) noexcept nogil
cdef void notify(StoreState* s, const StoredObject* row) noexcept nogil
cdef bint lacks_nothing(const StoredObject* row) noexcept nogil
cdef void settle_object(StoreState* s, ObjectId id) noexcept nogil
cdef void drop_location(StoreState* s, StoredObject* row, uint64_t key) noexcept nogil

cdef bint on_put(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_hold(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef void on_locate(StoreState* s, const StoreOp* op) noexcept nogil
cdef void on_unlocate(StoreState* s, const StoreOp* op) noexcept nogil
cdef void on_watch(StoreState* s, const StoreOp* op) noexcept nogil
cdef void on_unwatch(StoreState* s, const StoreOp* op) noexcept nogil
