"""The arena's segments in a simulation: plain memory of this process, which all virtual processes see.

Nothing is unmapped while anybody may still look: a task that has died may have left a view of a value behind, in a
traceback or a global. Segments that the node drops serve as later ones.
"""
from cython.operator cimport dereference as deref, preincrement

cdef extern from *:
    """
    #include <sys/mman.h>
    static inline char *raylite_map(uint64_t size) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? NULL : (char *)p; }
    static inline void raylite_unmap(char *p, uint64_t size) { munmap(p, size); }
    """
    char* raylite_map(uint64_t size) nogil
    void raylite_unmap(char* p, uint64_t size) nogil


cdef class Memory:
    """The segments of one node."""

    cdef bint make(self, uint32_t segment, uint64_t size):
        """Have memory for a segment. False if there is none left."""
        cdef Mapping m
        cdef size_t i, best = self.spare.size()
        for i in range(self.spare.size()):
            if self.spare[i].size >= size and (best == self.spare.size() or self.spare[i].size < self.spare[best].size):
                best = i
        if best < self.spare.size():
            self.segments[segment] = self.spare[best]
            self.spare.erase(self.spare.begin() + best)
            return True
        m.size = size
        m.fd = -1
        m.readable = m.writable = raylite_map(size)
        if m.writable == NULL:
            return False
        self.segments[segment] = m
        return True

    cdef void drop(self, uint32_t segment):
        """The node has dropped the segment."""
        it = self.segments.find(segment)
        if it != self.segments.end():
            self.spare.push_back(deref(it).second)
            self.segments.erase(it)

    cdef Mapping* find(self, uint32_t segment):
        """The segment, or NULL."""
        it = self.segments.find(segment)
        return &deref(it).second if it != self.segments.end() else NULL

    def __dealloc__(self):
        cdef ordered_map[uint32_t, Mapping].iterator it = self.segments.begin()
        cdef size_t i
        while it != self.segments.end():
            raylite_unmap(deref(it).second.writable, deref(it).second.size)
            preincrement(it)
        for i in range(self.spare.size()):
            raylite_unmap(self.spare[i].writable, self.spare[i].size)
