from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from raylite._core.ids cimport ObjectId

cdef extern from *:
    """
    #ifndef RAYLITE_CORE_BLOB
    #define RAYLITE_CORE_BLOB
    #include <cstdint>
    #include <cstdlib>
    #include <cstring>
    /* An immutable byte buffer with a count of owners, which is atomic: a host may keep a buffer past its lock. */
    struct Blob { uint64_t size; int32_t owners; int32_t offset; };  /* offset: from here to the data */
    static inline char *blob_data(Blob *b) { return (char *)b + b->offset; }
    #ifdef RAYLITE_DEBUG
    #define RAYLITE_COUNTS_BLOBS 1
    #else
    #define RAYLITE_COUNTS_BLOBS 0
    #endif
    static inline Blob *blob_allocate(uint64_t size) {
        /* Values with buffers worth aligning are aligned as they are in the arena. */
        uint64_t align = size >= 4096 ? 64 : 1;
        Blob *b = (Blob *)malloc(sizeof(Blob) + align - 1 + size);
        if (b) {
            b->size = size; b->owners = 1;
            b->offset = (int32_t)(((uintptr_t)(b + 1) + align - 1) / align * align - (uintptr_t)b); }
        return b; }
    static inline Blob *blob_keep(Blob *b) {
        if (b) __atomic_add_fetch(&b->owners, 1, __ATOMIC_RELAXED);
        return b; }
    static inline int blob_let_go(Blob *b) { return __atomic_sub_fetch(&b->owners, 1, __ATOMIC_ACQ_REL) == 0; }
    static inline void add_relaxed(int64_t *n, int64_t more) { __atomic_add_fetch(n, more, __ATOMIC_RELAXED); }
    #endif
    """
    cdef struct Blob:
        uint64_t size
    char* blob_data(Blob* b) noexcept nogil
    Blob* blob_allocate(uint64_t size) noexcept nogil
    Blob* blob_keep(Blob* b) noexcept nogil
    bint blob_let_go(Blob* b) noexcept nogil
    void add_relaxed(int64_t* n, int64_t more) noexcept nogil
    bint RAYLITE_COUNTS_BLOBS

cdef Blob* blob_new(uint64_t size) noexcept nogil
cdef Blob* blob_copy(const char* data, uint64_t size) noexcept nogil
cdef void blob_drop(Blob* b) noexcept nogil

cdef enum:
    ENVELOPE_VERSION = 1

cdef enum ValueKind:
    KIND_VALUE = 0
    KIND_USER_ERROR = 1
    KIND_SYSTEM_ERROR = 2
    KIND_ARGUMENTS = 3
    KIND_FUNCTION = 4
    KIND_CHECKPOINT = 5

cdef enum:
    ENVELOPE_RETRYABLE = 1        # a user error that its task's options allow to retry

cdef struct EnvelopeHeader:
    uint8_t version
    uint8_t kind
    uint8_t flags
    uint8_t unused
    uint32_t n_refs               # object references inside, listed after this header
    uint32_t n_actors             # actor handles inside, listed next
    uint32_t n_buffers            # out-of-band buffers: (offset, size) pairs, listed next
    uint64_t pickle_size          # the pickle follows the lists
    uint64_t size                 # of the whole envelope; buffers lie behind the pickle, 64-byte aligned

cdef struct BufferSpan:
    uint64_t offset               # from the start of the envelope
    uint64_t size

cdef enum:
    BUFFER_ALIGNMENT = 64

cdef bint envelope_valid(const char* data, uint64_t size) noexcept nogil

cdef inline const ObjectId* envelope_refs(const char* data) noexcept nogil:
    return <const ObjectId*> (data + sizeof(EnvelopeHeader))

cdef inline const ObjectId* envelope_actors(const char* data) noexcept nogil:
    return envelope_refs(data) + (<const EnvelopeHeader*> data).n_refs

cdef inline const BufferSpan* envelope_spans(const char* data) noexcept nogil:
    return <const BufferSpan*> (envelope_actors(data) + (<const EnvelopeHeader*> data).n_actors)

cdef inline const char* envelope_pickle(const char* data) noexcept nogil:
    return <const char*> (envelope_spans(data) + (<const EnvelopeHeader*> data).n_buffers)

cdef inline uint64_t align8(uint64_t n) noexcept nogil:
    return (n + 7) & ~(<uint64_t> 7)

cdef Blob* system_error(uint32_t code, const char* text, uint64_t size) noexcept nogil
