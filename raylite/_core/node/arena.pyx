"""Where large values lie: segments, the blocks leased in them, and who may write each.

A segment is written by one client only; all others map it read-only, so a wild write harms nobody else's values. The
state is here, never in the shared memory. Blocks are found by best fit, ties to the oldest segment and lowest offset,
so a block of the same size comes back to the pages already touched. Freed segments are kept while the arena's
reservation allows. A segment on disk has one block, is not part of the capacity, and goes with that block.
"""
from cython.operator cimport dereference as deref, predecrement, preincrement


cdef uint64_t block_size(uint64_t size) noexcept nogil:
    return (size + BLOCK_ALIGNMENT - 1) & ~(<uint64_t> BLOCK_ALIGNMENT - 1) if size else BLOCK_ALIGNMENT


cdef void add_free(Segment* s, uint64_t offset, uint64_t size) noexcept nogil:
    s.free[offset] = size
    s.by_size.insert(pair[uint64_t, uint64_t](size, offset))


cdef void remove_free(Segment* s, uint64_t offset, uint64_t size) noexcept nogil:
    s.free.erase(offset)
    s.by_size.erase(pair[uint64_t, uint64_t](size, offset))


cdef uint64_t best_fit(const Segment* s, uint64_t size) noexcept nogil:
    """The size of the smallest free piece that holds `size` bytes, or 0."""
    cdef ordered_set[pair[uint64_t, uint64_t]].const_iterator it = \
        s.by_size.const_lower_bound(pair[uint64_t, uint64_t](size, 0))
    return deref(it).first if it != s.by_size.const_end() else 0


cdef uint64_t segment_take(Segment* s, uint32_t client, uint64_t size) noexcept nogil:
    """Make a block in the piece of best fit (there is one); returns its offset."""
    cdef ordered_set[pair[uint64_t, uint64_t]].iterator it = s.by_size.lower_bound(pair[uint64_t, uint64_t](size, 0))
    cdef uint64_t found = deref(it).first, at = deref(it).second
    remove_free(s, at, found)
    if found > size:
        add_free(s, at + size, found - size)
    s.blocks[at].size = size
    s.blocks[at].lessee = client
    return at


cdef int arena_lease(Arena* a, uint32_t client, uint64_t size, uint32_t* segment, uint64_t* offset) noexcept nogil:
    """Find room for `size` bytes that `client` will write. ARENA_NEEDS_SEGMENT: create one and ask again."""
    cdef ordered_map[uint32_t, Segment].iterator it
    cdef uint64_t rounded = block_size(size), piece, best_piece = 0
    cdef Segment* s
    cdef Segment* best = NULL
    cdef int turn
    if size > a.capacity or rounded > a.capacity - a.used:
        return ARENA_FULL
    for turn in range(2):         # first where this client writes already, then in a segment nobody uses
        it = a.segments.begin()
        while it != a.segments.end():
            s = &deref(it).second
            preincrement(it)
            if not s.exists or s.on_disk or (s.writer != client if turn == 0 else not s.blocks.empty()):
                continue
            piece = best_fit(s, rounded)
            if piece and (best == NULL or piece < best_piece):
                best = s
                best_piece = piece
        if best != NULL:
            best.writer = client
            segment[0] = best.id
            offset[0] = segment_take(best, client, rounded)
            a.used += rounded
            return ARENA_OK
    return ARENA_NEEDS_SEGMENT


cdef uint64_t arena_lease_in(Arena* a, uint32_t segment, uint32_t client, uint64_t size) noexcept nogil:
    """The one block of a segment on disk; returns its offset."""
    return segment_take(&a.segments[segment], client, block_size(size))


cdef Segment* arena_new_segment(Arena* a, uint32_t client, uint64_t size, bint on_disk) noexcept nogil:
    """A segment with room for `size` bytes, to be created by the host; large values get one to themselves."""
    cdef uint64_t rounded = block_size(size)
    cdef Segment* s
    a.last_segment += 1
    s = &a.segments[a.last_segment]
    s.id = a.last_segment
    s.writer = client
    s.size = rounded if on_disk or rounded > a.segment_size // 4 else a.segment_size
    s.on_disk = on_disk
    s.exists = False
    add_free(s, 0, s.size)
    if on_disk:
        a.n_on_disk += 1
    else:
        a.reserved += s.size
    return s


cdef Block* arena_block(Arena* a, uint32_t segment, uint64_t offset) noexcept nogil:
    """The block at exactly this place, or NULL."""
    cdef ordered_map[uint32_t, Segment].iterator it = a.segments.find(segment)
    cdef ordered_map[uint64_t, Block].iterator at
    if it == a.segments.end():
        return NULL
    at = deref(it).second.blocks.find(offset)
    if at == deref(it).second.blocks.end():
        return NULL
    return &deref(at).second


cdef bint arena_seal(Arena* a, uint32_t client, uint32_t segment, uint64_t offset, uint64_t size) noexcept nogil:
    """The client has written its block. False if it holds no such lease, or claims more than it leased."""
    cdef Block* b = arena_block(a, segment, offset)
    if b == NULL or b.lessee != client or client == 0 or size > b.size:
        return False
    b.lessee = 0
    return True


cdef bint arena_free(Arena* a, uint32_t segment, uint64_t offset) noexcept nogil:
    """Give a block back; it merges with its free neighbours."""
    cdef ordered_map[uint32_t, Segment].iterator it = a.segments.find(segment)
    cdef ordered_map[uint64_t, uint64_t].iterator next_free
    cdef Segment* s
    cdef Block* b = arena_block(a, segment, offset)
    cdef uint64_t size, start = offset, other
    if b == NULL:
        return False
    s = &deref(it).second
    size = b.size
    if not s.on_disk:
        a.used -= size
    s.blocks.erase(offset)
    next_free = s.free.lower_bound(offset)
    if next_free != s.free.end() and deref(next_free).first == offset + size:
        other = deref(next_free).second
        remove_free(s, offset + size, other)
        size += other
    next_free = s.free.lower_bound(offset)
    if next_free != s.free.begin():
        predecrement(next_free)
        if deref(next_free).first + deref(next_free).second == offset:
            start = deref(next_free).first
            other = deref(next_free).second
            remove_free(s, start, other)
            size += other
    add_free(s, start, size)
    return True


cdef void arena_forget_lease(Arena* a, uint32_t client, uint64_t request) noexcept nogil:
    """The client does not wait for this lease any more: the block that it got is free again."""
    cdef ordered_map[uint32_t, Segment].iterator it = a.segments.begin()
    cdef ordered_map[uint64_t, Block].iterator at
    while it != a.segments.end():
        at = deref(it).second.blocks.begin()
        while deref(it).second.writer == client and at != deref(it).second.blocks.end():
            if deref(at).second.lessee == client and deref(at).second.request == request:
                arena_free(a, deref(it).first, deref(at).first)
                return
            preincrement(at)
        preincrement(it)


cdef void arena_client_gone(Arena* a, uint32_t client) noexcept nogil:
    """Its unfinished blocks are freed; its segments stay closed to writers until they are empty."""
    cdef ordered_map[uint32_t, Segment].iterator it = a.segments.begin()
    cdef ordered_map[uint64_t, Block].iterator at
    cdef vector[uint64_t] unfinished
    cdef size_t i
    while it != a.segments.end():
        if deref(it).second.writer == client:
            deref(it).second.writer = 0
            unfinished.clear()
            at = deref(it).second.blocks.begin()
            while at != deref(it).second.blocks.end():
                if deref(at).second.lessee == client:
                    unfinished.push_back(deref(at).first)
                preincrement(at)
            for i in range(unfinished.size()):
                arena_free(a, deref(it).first, unfinished[i])
        preincrement(it)


cdef uint32_t arena_surplus_segment(Arena* a) noexcept nogil:
    """An empty segment that the arena should give back to the system, or 0: kept ones may double the capacity."""
    cdef ordered_map[uint32_t, Segment].iterator it = a.segments.begin()
    cdef bint too_many = a.reserved > a.capacity + a.segment_size
    if not too_many and not a.n_on_disk:
        return 0
    while it != a.segments.end():
        if (too_many or deref(it).second.on_disk) and deref(it).second.blocks.empty() and deref(it).second.exists:
            return deref(it).first
        preincrement(it)
    return 0


cdef void arena_drop_segment(Arena* a, uint32_t segment) noexcept nogil:
    cdef ordered_map[uint32_t, Segment].iterator it = a.segments.find(segment)
    if it != a.segments.end():
        if deref(it).second.on_disk:
            a.n_on_disk -= 1
        else:
            a.reserved -= deref(it).second.size
        a.segments.erase(it)
