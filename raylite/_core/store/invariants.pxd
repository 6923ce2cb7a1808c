from libcpp.string cimport string
from raylite._core.store.state cimport StoreState

cdef void store_violation(StoreState* s, string* wrong) noexcept nogil
