from libc.stdint cimport uint32_t, uint64_t
from libcpp.unordered_map cimport unordered_map
from raylite._core.ids cimport TaskId

cdef class TaskContext:
    cdef TaskId id
    cdef uint64_t n_submitted
    cdef uint32_t n_put
    cdef unordered_map[TaskId, uint64_t] n_calls     # of each actor's methods
    cdef readonly uint32_t attempt
    cdef readonly str name
    cdef readonly str function    # its name; None if that is `name`
    cdef readonly tuple gpus
    cdef readonly bint is_driver
    cdef readonly bytes group     # the placement group that it runs in, 16 bytes, or None
    cdef readonly bint captures   # what it submits goes into that group
    cdef public object resources

cdef TaskContext entered_task()
