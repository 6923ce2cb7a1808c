"""The vocabulary between clients, hosts and the node: one header, a payload by kind, little-endian, 8-byte aligned.

Every message carries time, node incarnation, attempt, job and a version byte, so that it can be written down and
replayed (DESIGN 4.13). Payloads are outside bytes (rule 7): they are read only through a Cursor, which fails once and
stays failed.
"""
from libc.string cimport memcpy, memset
from raylite._core.envelope cimport align8, envelope_valid, KIND_CHECKPOINT


cdef const char* take(Cursor* c, uint64_t size) noexcept nogil:
    """The next `size` bytes, or NULL (and the cursor has failed) if there are not as many."""
    cdef const char* at = c.data
    if c.failed or size > c.left:
        c.failed = True
        return NULL
    c.data += size
    c.left -= size
    return at


cdef const char* take_padded(Cursor* c, uint64_t size) noexcept nogil:
    """As take, and skips the padding behind it."""
    if size > c.left:
        c.failed = True
        return NULL
    return take(c, align8(size))


cdef const ValueRecord* take_value(Cursor* c, const char** body) noexcept nogil:
    """A ValueRecord and what follows: `body` is the inline envelope (checked), or the references of an arena one."""
    cdef const ValueRecord* v = <const ValueRecord*> take(c, sizeof(ValueRecord))
    if v == NULL:
        return NULL
    if v.kind > KIND_CHECKPOINT:
        c.failed = True
        return NULL
    if v.in_arena:
        body[0] = take(c, sizeof(ObjectId) * <uint64_t> v.n_refs)
    else:
        body[0] = take_padded(c, v.where.size)
        if body[0] != NULL and not envelope_valid(body[0], v.where.size):
            c.failed = True
    if c.failed:
        return NULL
    return v


cdef char* write_padded(char* at, const char* data, uint64_t size) noexcept nogil:
    """Padding is zero: equal events lead to equal bytes."""
    if size:
        memcpy(at, data, size)
    memset(at + size, 0, align8(size) - size)
    return at + align8(size)
