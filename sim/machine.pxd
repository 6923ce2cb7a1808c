from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    FULL_SPEED = 100              # of Machine.slowness: percent of the time that things take on a sound machine

cdef class Machine:
    cdef readonly uint32_t number
    cdef readonly uint32_t slowness
    cdef readonly uint32_t rate_ppm   # its clock's; 1,000,000 is true
    cdef uint64_t since_ns        # kernel time when the clock's rate was last set
    cdef uint64_t showed_ns       # what it showed then
    cdef list before              # the same of earlier rates: (since, showed, rate)
    cdef uint64_t local_ns(self, uint64_t kernel_ns) noexcept nogil
    cdef uint64_t kernel_ns(self, uint64_t local_ns) noexcept nogil
    cdef uint64_t slowed(self, uint64_t duration_ns) noexcept nogil
