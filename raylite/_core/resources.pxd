from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

cdef enum:
    UNIT = 10000                  # resources are whole multiples of 1/10000
    CPU = 0
    GPU = 1
    MEMORY = 2

cdef struct Amount:
    uint32_t resource
    int64_t amount

cdef struct Shape:                # what a class of tasks asks for; tasks of one shape queue together
    vector[Amount] amounts
    uint64_t environment          # hash of its runtime_env; part of the worker pool's key
    int64_t gpus
    string key                    # the bytes it was interned from

cdef struct Resources:
    vector[string] names
    vector[int64_t] total
    vector[int64_t] available
    vector[int64_t] gpu_free      # of each GPU
    vector[Shape] shapes

cdef struct DemandHeader:
    uint64_t environment
    uint32_t n_amounts
    uint32_t unused

cdef struct DemandEntry:          # the name follows, padded to 8
    int64_t amount
    uint32_t name_size
    uint32_t unused

cdef void resources_setup(Resources* r) noexcept nogil
cdef uint32_t resources_name(Resources* r, const char* name, uint64_t size) noexcept nogil
cdef void resources_provide(Resources* r, uint32_t resource, int64_t amount) noexcept nogil
cdef int resources_intern(Resources* r, const char* data, uint64_t size) noexcept nogil
cdef bint resources_fit(const Resources* r, uint32_t shape) noexcept nogil
cdef bint resources_await(const Resources* r, uint32_t shape, uint32_t other) noexcept nogil
cdef int resources_lacking(const Resources* r, uint32_t shape) noexcept nogil
cdef void resources_acquire(Resources* r, uint32_t shape, vector[uint32_t]* gpus) noexcept nogil
cdef void resources_release(Resources* r, uint32_t shape, const vector[uint32_t]* gpus) noexcept nogil
cdef void resources_lend(Resources* r, uint32_t shape) noexcept nogil
cdef void resources_take_back(Resources* r, uint32_t shape) noexcept nogil
