"""The value envelope: what the core must know of a payload that it never opens (DESIGN 4.1).

Every value, argument block, function and checkpoint starts with an EnvelopeHeader: its kind, whether it may be
retried, the references and actor handles inside it, where its buffers lie. The serializer fills it while pickling.
A system error, which the core itself makes, has as its "pickle" a 32-bit code and UTF-8 text.
"""
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

cdef int64_t n_live_blobs = 0     # counted in debug builds


cdef Blob* blob_new(uint64_t size) noexcept nogil:
    """A buffer of `size` bytes with one owner, to be filled before it is shared; NULL if there is no memory."""
    cdef Blob* b = blob_allocate(size)
    if RAYLITE_COUNTS_BLOBS and b != NULL:
        add_relaxed(&n_live_blobs, 1)
    return b


cdef Blob* blob_copy(const char* data, uint64_t size) noexcept nogil:
    cdef Blob* b = blob_new(size)
    if b != NULL and size:
        memcpy(blob_data(b), data, size)
    return b


cdef void blob_drop(Blob* b) noexcept nogil:
    """One owner fewer; the last one frees it."""
    if b != NULL and blob_let_go(b):
        if RAYLITE_COUNTS_BLOBS:
            add_relaxed(&n_live_blobs, -1)
        free(b)


def live_blobs():
    """How many blobs exist in this process; None in a release build, which does not count."""
    return n_live_blobs if RAYLITE_COUNTS_BLOBS else None


cdef bint envelope_valid(const char* data, uint64_t size) noexcept nogil:
    """Whether `data` is a whole envelope: header, lists, pickle and aligned buffers follow each other and fill it."""
    cdef const EnvelopeHeader* h = <const EnvelopeHeader*> data
    cdef uint64_t end, i
    cdef const BufferSpan* spans
    if size < sizeof(EnvelopeHeader) or h.version != ENVELOPE_VERSION or h.kind > KIND_CHECKPOINT or h.size != size \
            or h.flags & ~ENVELOPE_RETRYABLE or h.unused:
        return False
    end = sizeof(EnvelopeHeader) + sizeof(ObjectId) * (<uint64_t> h.n_refs + h.n_actors) \
        + sizeof(BufferSpan) * <uint64_t> h.n_buffers
    if end > size or h.pickle_size > size - end:
        return False
    end += h.pickle_size
    spans = envelope_spans(data)
    for i in range(h.n_buffers):
        end = (end + BUFFER_ALIGNMENT - 1) & ~(<uint64_t> BUFFER_ALIGNMENT - 1)
        if spans[i].offset != end or end > size or spans[i].size > size - end:
            return False
        end += spans[i].size
    return end == size


cdef Blob* system_error(uint32_t code, const char* text, uint64_t size) noexcept nogil:
    """An envelope of kind system error: a code (errors of the node, see node.pxd) and a text."""
    cdef uint64_t total = sizeof(EnvelopeHeader) + 4 + size
    cdef Blob* blob = blob_new(total)
    cdef EnvelopeHeader* h
    if blob == NULL:
        return NULL
    h = <EnvelopeHeader*> blob_data(blob)
    memset(h, 0, sizeof(EnvelopeHeader))
    h.version = ENVELOPE_VERSION
    h.kind = KIND_SYSTEM_ERROR
    h.pickle_size = 4 + size
    h.size = total
    memcpy(blob_data(blob) + sizeof(EnvelopeHeader), &code, 4)
    memcpy(blob_data(blob) + sizeof(EnvelopeHeader) + 4, text, size)
    return blob


def is_valid(bytes data not None):
    """Whether a byte string is a well-formed envelope."""
    return envelope_valid(<const char*> data, len(data))
