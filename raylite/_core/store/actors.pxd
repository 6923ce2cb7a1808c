from libc.stdint cimport uint64_t
from raylite._core.ids cimport TaskId
from raylite._core.message cimport Cursor
from raylite._core.store.message cimport StoreOp
from raylite._core.store.state cimport StoredActor, StoreState

cdef bint actor_needs_creation(StoreState* s, TaskId id) noexcept nogil
cdef void actor_unreferenced(StoreState* s, TaskId id) noexcept nogil
cdef void actor_condemned(StoreState* s, TaskId id) noexcept nogil
cdef void actor_lost_node(StoreState* s, TaskId id) noexcept nogil
cdef void creation_forsaken(StoreState* s, TaskId id) noexcept nogil
cdef void make_waiting_actors(StoreState* s) noexcept nogil
cdef bint on_actor(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef bint on_actor_report(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
cdef void on_actor_watch(StoreState* s, const StoreOp* op) noexcept nogil
cdef void on_actor_unwatch(StoreState* s, const StoreOp* op) noexcept nogil
cdef void on_actor_kill(StoreState* s, const StoreOp* op) noexcept nogil
cdef void on_actor_named(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
