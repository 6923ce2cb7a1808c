from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.scheduler.loads cimport LoadTable
from raylite._core.scheduler.message cimport GroupQuestion

cdef struct Need:
    string resource
    int64_t amount

cdef enum Amounts:                # of what the nodes have
    AMOUNTS_AVAILABLE = 0
    AMOUNTS_TOTAL = 1             # whether it could be placed if nothing else was there

cdef bint group_question_read(const char* payload, uint64_t size, GroupQuestion* head, vector[uint32_t]* kept,
                              vector[vector[Need]]* bundles) noexcept nogil
cdef bint group_place(LoadTable* loads, int strategy, const vector[vector[Need]]* bundles, int amounts,
                      const vector[uint32_t]* excluded, vector[uint32_t]* addresses) noexcept nogil
