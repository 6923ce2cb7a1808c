from libc.stdint cimport uint16_t, uint64_t
from libcpp.string cimport string
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.store.message cimport StoreOp
from raylite._core.store.state cimport Endpoint, StoreState

cdef Endpoint* find_endpoint(StoreState* s, uint64_t key) noexcept nogil
cdef Endpoint* add_endpoint(StoreState* s, uint64_t key) noexcept nogil
cdef void drop_endpoint(StoreState* s, uint64_t key) noexcept nogil
cdef void put_out(StoreState* s, uint64_t endpoint, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object,
                  const char* body, uint64_t size) noexcept nogil
cdef string* begin_out(StoreState* s, uint64_t endpoint, uint16_t kind, uint16_t flags, ObjectId object,
                       uint64_t* at) noexcept nogil
cdef void forward(StoreState* s, TaskId to, uint16_t op, ObjectId object, const char* body, uint64_t size,
                  bint awaited) noexcept nogil
cdef void answer(StoreState* s, const StoreOp* op, uint16_t status, const char* body, uint64_t size) noexcept nogil
cdef void await_all(StoreState* s, const StoreOp* op) noexcept nogil
cdef void acknowledge(StoreState* s, Endpoint* e, uint64_t number) noexcept nogil
cdef void seal_drafts(StoreState* s) noexcept nogil
