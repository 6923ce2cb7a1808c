"""The arena's segments in a simulation: plain memory of this process, which all virtual processes see.

Nothing is unmapped while anybody may still look: a task that has died may have left a view of a value behind, in a
traceback or a global. Segments that the node drops serve as later ones, and a few of an ended simulation's as the next
one's: first touch is what memory costs, so the beginning of each keeps its pages.
"""
from cython.operator cimport dereference as deref, preincrement

cdef extern from *:
    """
    #include <sys/mman.h>
    static inline char *raylite_map(uint64_t size) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return p == MAP_FAILED ? NULL : (char *)p; }
    static inline void raylite_unmap(char *p, uint64_t size) { munmap(p, size); }
    static inline void raylite_forget(char *p, uint64_t size) { madvise(p, size, MADV_DONTNEED); }
    #ifdef __GLIBC__
    #include <malloc.h>
    static inline void raylite_keep_freed(int bytes) {
        mallopt(M_TRIM_THRESHOLD, bytes);
        mallopt(M_MMAP_THRESHOLD, bytes); }
    #else
    static inline void raylite_keep_freed(int bytes) { (void)bytes; }
    #endif
    """
    char* raylite_map(uint64_t size) nogil
    void raylite_unmap(char* p, uint64_t size) nogil
    void raylite_forget(char* p, uint64_t size) nogil
    void raylite_keep_freed(int bytes) nogil

cdef enum:
    POOLED_MOST = 16              # segments
    POOLED_BYTES_MOST = 1 << 26   # a larger one is nobody's next
    KEPT_BYTES = 1 << 20          # of each
    FREED_MOST = 1 << 25          # bytes that are not given back to the system

raylite_keep_freed(FREED_MOST)    # so does what one simulation frees, for the next

cdef vector[Mapping] pool         # of simulations that have ended


cdef void release(Mapping m) noexcept nogil:
    """Nobody looks at this memory any more."""
    if pool.size() == POOLED_MOST or m.size > POOLED_BYTES_MOST:
        raylite_unmap(m.writable, m.size)
        return
    if m.size > KEPT_BYTES:
        raylite_forget(m.writable + KEPT_BYTES, m.size - KEPT_BYTES)
    pool.push_back(m)


cdef bint take(vector[Mapping]* mappings, uint64_t size, Mapping* out) noexcept nogil:
    """The smallest of these that is large enough, and it is one of them no more. False if there is none."""
    cdef size_t i, best = mappings.size()
    for i in range(mappings.size()):
        if mappings[0][i].size >= size and (best == mappings.size() or mappings[0][i].size < mappings[0][best].size):
            best = i
    if best == mappings.size():
        return False
    out[0] = mappings[0][best]
    mappings.erase(mappings.begin() + best)
    return True


cdef class Memory:
    """The segments of one node."""

    cdef bint make(self, uint32_t segment, uint64_t size):
        """Have memory for a segment. False if there is none left."""
        cdef Mapping m
        if take(&self.spare, size, &m) or take(&pool, size, &m):
            self.segments[segment] = m
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
            release(deref(it).second)
            preincrement(it)
        for i in range(self.spare.size()):
            release(self.spare[i])
