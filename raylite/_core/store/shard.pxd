from libc.stdint cimport uint64_t
from raylite._core.store.message cimport StreamHeader
from raylite._core.store.state cimport StoreState

cdef enum LetterFate:
    LETTER_MALFORMED = 0          # of no endpoint of this shard, or not whole: nothing was changed
    LETTER_FENCED = 1             # its endpoint was declared dead
    LETTER_KNOWN = 2              # it was applied before, and acknowledges nothing new
    LETTER_EARLY = 3              # one before it is missing
    LETTER_NEW = 4

cdef int judge_letter(StoreState* s, const char* data, uint64_t size) noexcept nogil
cdef void apply_letter(StoreState* s, const char* data, uint64_t size) noexcept nogil

cdef class Shard:
    cdef StoreState* state
