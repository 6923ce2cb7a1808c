from libc.stdint cimport uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

cdef enum:
    BLOCK_ALIGNMENT = 4096

cdef struct Block:
    uint64_t size
    uint32_t lessee               # who is writing it; 0 once it is sealed
    uint64_t request              # by which it was leased

cdef struct Segment:
    uint32_t id
    uint32_t writer               # the one client that maps it writable; 0 if none
    uint64_t size
    bint exists                   # the host has created it
    bint on_disk                  # a file: not part of what the capacity limits
    ordered_map[uint64_t, Block] blocks
    ordered_map[uint64_t, uint64_t] free            # offset -> size
    ordered_set[pair[uint64_t, uint64_t]] by_size   # (size, offset)

cdef struct Arena:
    uint64_t capacity
    uint64_t used                 # of the capacity
    uint64_t reserved             # sum of segment sizes
    uint64_t segment_size
    uint32_t n_on_disk            # segments
    uint32_t last_segment
    ordered_map[uint32_t, Segment] segments

cdef enum ArenaAnswer:
    ARENA_OK = 0
    ARENA_NEEDS_SEGMENT = 1
    ARENA_FULL = 2

cdef uint64_t block_size(uint64_t size) noexcept nogil
cdef int arena_lease(Arena* a, uint32_t client, uint64_t size, uint32_t* segment, uint64_t* offset) noexcept nogil
cdef uint64_t arena_lease_in(Arena* a, uint32_t segment, uint32_t client, uint64_t size) noexcept nogil
cdef Segment* arena_new_segment(Arena* a, uint32_t client, uint64_t size, bint on_disk) noexcept nogil
cdef bint arena_seal(Arena* a, uint32_t client, uint32_t segment, uint64_t offset, uint64_t size) noexcept nogil
cdef bint arena_free(Arena* a, uint32_t segment, uint64_t offset) noexcept nogil
cdef Block* arena_block(Arena* a, uint32_t segment, uint64_t offset) noexcept nogil
cdef void arena_forget_lease(Arena* a, uint32_t client, uint64_t request) noexcept nogil
cdef void arena_client_gone(Arena* a, uint32_t client) noexcept nogil
cdef uint32_t arena_surplus_segment(Arena* a) noexcept nogil
cdef void arena_drop_segment(Arena* a, uint32_t segment) noexcept nogil
