from raylite._core.message cimport Cursor
from raylite._core.store.message cimport StoreOp
from raylite._core.store.state cimport StoreState

cdef bint on_node(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil
