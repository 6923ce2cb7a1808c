from libc.stdint cimport uint64_t

cdef struct Rng:
    uint64_t state

cdef uint64_t rng_next(Rng* rng) noexcept nogil
cdef uint64_t rng_below(Rng* rng, uint64_t bound) noexcept nogil
cdef double rng_unit(Rng* rng) noexcept nogil
