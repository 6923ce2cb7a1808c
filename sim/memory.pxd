from libc.stdint cimport uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.vector cimport vector
from raylite.runtime.client cimport Mapping

cdef class Memory:
    cdef ordered_map[uint32_t, Mapping] segments
    cdef vector[Mapping] spare
    cdef bint make(self, uint32_t segment, uint64_t size)
    cdef void drop(self, uint32_t segment)
    cdef Mapping* find(self, uint32_t segment)
